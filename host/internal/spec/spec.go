package spec

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Node is where a part of a Spec was written. It is zero for one built in Go.
type Node struct {
	Range diag.Range            // a block's header, or an expression
	at    map[string]diag.Range // its arguments, by name
}

// At returns the place of the named argument's value, or of the whole node if it
// was not written.
func (n Node) At(argument string) diag.Range {
	if r, ok := n.at[argument]; ok {
		return r
	}
	return n.Range
}

// Has reports whether the named argument was written in the file.
func (n Node) Has(argument string) bool {
	_, ok := n.at[argument]
	return ok
}

// Spec is everything that a user asks for.
type Spec struct {
	// Dir is the folder from which relative paths start; empty is the current one.
	Dir       string
	Sources   []Source // the files read, in order of their names; none if built in Go
	Hone      Hone
	Variables []Variable
	Data      []Data
	Models    []Model
	Train     *Train // nil if there is none
}

// Source is one file's name and text.
type Source struct {
	Name string
	Text []byte
}

// Hone is the block that says what the spec needs.
type Hone struct {
	Node
	RequiredVersion string // a constraint on hone's own version; empty accepts any
	Plugins         []RequiredPlugin
}

// RequiredPlugin is one entry of required_plugins.
type RequiredPlugin struct {
	Node
	Name    string // the local name, as in layer "NAME.swish"
	Source  string // such as github.com/acme/hone-layers
	Version string // a constraint; empty accepts any
}

// Variable is a declared variable with the value that it has in this run.
type Variable struct {
	Node
	Name        string
	Type        string // as written; empty accepts any
	Description string
	Sensitive   bool
	Value       cty.Value
	Origin      string // "default", "--var", "HONE_VAR_x", or the variable file's name
}

// TypeRef names a component's type.
type TypeRef struct {
	Local string // the plugin's local name; empty for a built-in
	Name  string
}

// Component is a type with arguments: an initializer, a schedule, a regularizer.
type Component struct {
	Node
	Type TypeRef
	Args Args
}

// Data is a source of examples and what is done to them before they are split and fed.
type Data struct {
	Node
	Type TypeRef
	Name string
	// Args are those of the source, still to be checked against its schema.
	Args       Args
	Sources    []DataSource
	Columns    []Column
	Targets    []string // columns that hold what is to be predicted
	Weight     string   // column of example weights; empty weights all alike
	Transforms []Transform
	Split      *Split
}

// DataSource gives one part of the data arguments of its own, such as another path.
type DataSource struct {
	Node
	Part string // "train", "validation" or "test"
	Args Args
}

// Column says what the file does not say about one of its columns.
type Column struct {
	Node
	Name string
	// Type is a word of the data source's, such as "number" or "string"; empty infers it.
	Type    string
	Missing []string // texts that mean that there is no value; nil keeps the source's
	Args    Args
}

// Transform is one step of preprocessing. The order of a block's transforms counts.
type Transform struct {
	Node
	Type    TypeRef
	Name    string   // the label, or one made of the type and, if needed, a number
	Columns []string // names or patterns with *; nil lets the transform choose
	Args    Args
}

// Split derives parts from the data. The zero value derives none.
type Split struct {
	Node
	Validation float64 // fraction of the examples, in [0, 1)
	Test       float64 // likewise
	Stratify   string  // column whose values each part holds in the same proportions
	Group      string  // column whose equal values stay in one part
	Folds      int     // k of a k-fold split, 0 for none; one fold is the validation part
	Fold       int     // which one, from 0
	Seed       *uint64 // nil takes the run's
	Shuffle    *bool   // nil is true
}

// Model is a network, or the inside of a layer made from a block.
type Model struct {
	Node
	Name    string
	Inputs  []Input
	Layers  []Layer
	Outputs []Output // none means one, called "output": the last layer
}

// Input is a named input of a model.
type Input struct {
	Node
	Name    string
	Shape   []int    // without the batch; nil infers it from the data, empty is a scalar
	DType   string   // element type such as "i32"; empty is f32
	Columns []string // data columns or patterns with *; nil binds the column of that name
}

// Layer is one layer of a model. One with count = n was written once and stands
// here n times, called name[0] to name[n-1].
type Layer struct {
	Node
	Type      TypeRef
	Name      string
	Args      Args
	From      []Ref // none: see Model.Feeds
	Share     *Ref  // the layer whose parameters and arguments this one uses
	Trainable *bool // nil is true
	Group     *Model
	// Group is the inside of an instance of a block, with the arguments filled in;
	// Type is then block.NAME and Args are empty.
}

// Output names a result of a model.
type Output struct {
	Node
	Name string
	From Ref
}

// RefKind says what a Ref points at.
type RefKind uint8

const (
	ToLayer RefKind = iota // the zero value
	ToInput
)

// Ref points at an output of a layer, or at an input, of the same model.
type Ref struct {
	Node
	Kind RefKind
	Name string
	// Output is the output's name, or its number in decimal ("1" for out[1]);
	// empty means the only one.
	Output string
}

// Train says how a model is trained.
type Train struct {
	Node
	Model           string // empty: the only one
	Data            string // likewise
	Epochs          int    // 0 when there are phases, which have their own
	BatchSize       int    // 0 lets the host choose (32)
	Seed            *uint64
	Shuffle         *bool   // nil is true
	ValidationSplit float64 // fraction of the training part, in [0, 1)
	Losses          []Loss
	Metrics         []Metric
	Optimizer       *Optimizer
	ClassWeight     *ClassWeight
	ClipNorm        float64 // largest norm of all gradients together; 0 does not clip
	ClipValue       float64 // largest magnitude of a gradient's element; 0 does not clip
	Accumulate      int     // batches whose gradients make one update; 0 is 1
	EarlyStopping   *EarlyStopping
	Checkpoint      *Checkpoint
	EMA             *EMA
	InitFrom        *InitFrom
	Phases          []Phase
}

// Loss is one term of what is minimized.
type Loss struct {
	Node
	Type   TypeRef
	Name   string   // the second label; empty for the only loss
	Output string   // the model's output; empty: the only one
	Target string   // the data's column; empty: the only target
	Weight *float64 // nil is 1
	Args   Args
}

// Metric is a number reported after each epoch.
type Metric struct {
	Node
	Type     TypeRef
	Name     string // under which it is reported: the second label, or the type's name
	Output   string // as in Loss
	Target   string
	Weighted bool // whether example weights count
	Args     Args
}

// Optimizer is an optimizer with its learning rate's schedule.
type Optimizer struct {
	Node
	Type TypeRef
	Args Args
	// Schedule gives the learning rate; nil leaves it to the argument learning_rate.
	Schedule *Component
}

// ClassWeight weighs examples by their class.
type ClassWeight struct {
	Node
	Balanced bool // inversely to the classes' frequencies; Weights is then nil
	Weights  []WeightOfClass
}

// WeightOfClass is the weight of one class, named by its label or number.
type WeightOfClass struct {
	Class  string
	Weight float64
}

// EarlyStopping ends training when a number no longer improves.
type EarlyStopping struct {
	Node
	Monitor     string  // empty is "val_loss"
	Patience    int     // epochs without improvement that are borne
	MinDelta    float64 // what counts as improvement
	Mode        string  // "min", "max"; empty goes by the monitored number
	RestoreBest bool
}

// Checkpoint says when to save and what to keep. A numbered checkpoint is one of
// an epoch that stays when the training goes on.
type Checkpoint struct {
	Node
	Every     int // epochs; 0 is 1
	Keep      int // how many of the last ones; 0 is 1, which needs no numbered ones
	KeepEvery int // those of every so many epochs are kept for ever; 0 is none
	// FullEvery makes one numbered checkpoint in so many whole, and the others
	// differences to the last whole one; 0 and 1 make all whole.
	FullEvery int
	Best      *Best
	// OnError says what a checkpoint that cannot be written does to the
	// training: "stop" it, which is the default, or let it "continue".
	OnError string
}

// Best keeps the checkpoint at which a number was best.
type Best struct {
	Node
	Monitor string // empty is "val_loss"
	Mode    string // as in EarlyStopping
	Keep    int    // how many of the best epochs stay as numbered checkpoints; 0 is 1, which needs none
}

// Numbered reports whether checkpoints of single epochs stay.
func (c *Checkpoint) Numbered() bool {
	return c != nil && (c.Keep > 1 || c.KeepEvery > 0 || c.Best != nil && c.Best.Keep > 1)
}

// EMA evaluates and keeps an exponential moving average of the parameters.
type EMA struct {
	Node
	Decay float64
}

// InitFrom takes weights from a checkpoint, a safetensors file or a NumPy archive.
type InitFrom struct {
	Node
	Path    Path
	Map     []Rename // in order; the first that fits a name of the file counts
	Axes    []Axes   // of the model's parameters whose axes lie in another order in the file
	Exclude []string // patterns, see MatchPath, of parameters that are not taken
	Cut     string   // the layer at which the other model is cut: it and all after it are not taken
	Strict  *bool    // nil is true: a parameter without a counterpart is an error
}

// Rename maps a name in the file, and all names below it, to a path of the model.
// From may be any name; in it * stands for any characters without a dot and ** for
// any characters, and $1, $2 in To for what they stood for.
type Rename struct{ From, To string }

// Axes says, of the parameters that a pattern fits (see MatchPath), which axis of
// the file's tensor each of their axes is: [1, 0] transposes a matrix.
type Axes struct {
	Pattern string
	Order   []int
}

// Phase is a stretch of training with its own settings; what is absent is Train's.
type Phase struct {
	Node
	Name      string
	Epochs    int
	BatchSize int      // 0 is Train's
	Freeze    []string // patterns, see MatchPath, of parameters that stay as they are
	Unfreeze  []string // exceptions from Freeze and from the layers' own trainable = false
	// LearningRate replaces the optimizer's rate; nil keeps it.
	LearningRate *float64
	// Schedule replaces it by a schedule that starts with the phase; nil keeps it.
	Schedule  *Component
	Optimizer *Optimizer // nil goes on with Train's, slots and all
}

// Path is a path as written and as it is opened.
type Path struct {
	Raw      string
	Resolved string // relative ones joined to Spec.Dir
}
