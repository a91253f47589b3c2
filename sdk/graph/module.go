package graph

import (
	"fmt"
	"slices"
)

// Version is the IR version this package writes. It reads every earlier one.
const Version = 1

// Mode says for which use a function was traced.
type Mode uint8

const (
	// Any marks a function that is the same in training and inference.
	Any Mode = iota
	// Train marks the function used while training.
	Train
	// Infer marks the function used for inference and in frozen scopes.
	Infer
)

var modeNames = [...]string{"any", "train", "infer"}

// String returns any, train or infer.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// Role says what a parameter or result of a function is.
type Role uint8

// The roles of parameters and results. Their numbers are part of the wire
// format.
const (
	NoRole Role = iota
	// Input is a value that flows in from another layer, or an argument.
	Input
	// ParamRole is a trainable or frozen parameter, named by its path.
	ParamRole
	// StateRole is a value that a function reads and replaces (moving averages).
	StateRole
	// SlotRole is an optimizer's value beside a parameter (moments).
	SlotRole
	// HyperRole is a scalar that may change between steps without recompiling.
	HyperRole
	// KeyRole is the u64 key of one random draw, named PATH#ORDINAL.
	KeyRole
	// StepRole is the u64 number of the training step.
	StepRole
	// IndexRole is the i64[batch] index of each example in the global batch.
	IndexRole
	// Output is a result that flows out.
	Output
	// GlobalRole is an optimizer's value shared by all parameters.
	GlobalRole
)

var roleNames = [...]string{"none", "input", "param", "state", "slot", "hyper", "key", "step", "index", "output", "global"}

// String returns the role's name as the text form spells it.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// Module is a set of functions and the large constants they refer to: the
// stored unit of the IR. Callees stand before their callers.
type Module struct {
	Funcs  []*Func
	Consts map[string]*Tensor
}

// NewModule returns an empty module.
func NewModule() *Module { return &Module{Consts: map[string]*Tensor{}} }

// Func returns the function with exactly this name and mode, or nil.
func (m *Module) Func(name string, mode Mode) *Func {
	for _, f := range m.Funcs {
		if f.Name == name && f.Mode == mode {
			return f
		}
	}
	return nil
}

// Resolve returns the function that a call to name takes in the given mode:
// the one traced for that mode, else the one traced for any.
func (m *Module) Resolve(name string, mode Mode) *Func {
	if f := m.Func(name, mode); f != nil {
		return f
	}
	return m.Func(name, Any)
}

// Add appends f. It fails where a function of that name and mode exists.
func (m *Module) Add(f *Func) error {
	if m.Func(f.Name, f.Mode) != nil {
		return fmt.Errorf("the module already has a function %q for mode %v", f.Name, f.Mode)
	}
	m.Funcs = append(m.Funcs, f)
	return nil
}

// Merge adds the functions and constants of other, each under the name that
// rename gives it; a nil rename keeps the names. Instances of composites keep
// their composite's name and are shared where the module has an equal one.
// Where it fails m may hold a part of other.
func (m *Module) Merge(other *Module, rename func(string) string) error {
	if rename == nil {
		rename = func(s string) string { return s }
	}
	for name, t := range other.Consts {
		n := rename(name)
		if u, ok := m.Consts[n]; ok && !u.equal(t) {
			return fmt.Errorf("the module already has another constant %q", n)
		}
		m.Consts[n] = t
	}
	instances := map[string]string{} // names of other's composites -> names in m
	function := func(s string) string {
		if n, ok := instances[s]; ok {
			return n
		}
		if s == "" {
			return ""
		}
		return rename(s)
	}
	var here map[[32]byte]string // digests of m's composites
	for _, f := range other.Funcs {
		if f.Composite == nil {
			if err := m.Add(renamed(f, rename(f.Name), function, rename)); err != nil {
				return err
			}
			continue
		}
		if here == nil {
			here = map[[32]byte]string{}
			d := digester{m: m, done: map[*Func]*[32]byte{}}
			for _, g := range m.Funcs {
				if g.Composite != nil {
					here[d.fn(g)] = g.Name
				}
			}
		}
		sum := FuncDigest(other, f)
		if n, ok := here[sum]; ok {
			instances[f.Name] = n
			continue
		}
		n := m.freeInstance(f.Composite.Name)
		instances[f.Name], here[sum] = n, n
		if err := m.Add(renamed(f, n, function, rename)); err != nil {
			return err
		}
	}
	return nil
}

// renamed returns a copy of f under another name, with the names of the
// functions and constants that it refers to changed.
func renamed(f *Func, name string, function, constant func(string) string) *Func {
	g := f.Clone()
	g.Name = name
	if g.Composite != nil {
		g.Composite.Gradient = function(g.Composite.Gradient)
	}
	for i := range g.Params {
		if d := g.Params[i].Decl; d != nil {
			d.Initializer, d.Regularizer, d.Constraint = function(d.Initializer), function(d.Regularizer), function(d.Constraint)
		}
	}
	for i := range g.Nodes {
		switch a := g.Nodes[i].Attrs.(type) {
		case *CallAttrs:
			c := *a
			c.Callee = function(c.Callee)
			g.Nodes[i].Attrs = &c
		case *ScanAttrs:
			c := *a
			c.Callee = function(c.Callee)
			g.Nodes[i].Attrs = &c
		case *ConstantAttrs:
			if a.Ref != "" {
				c := *a
				c.Ref = constant(c.Ref)
				g.Nodes[i].Attrs = &c
			}
		}
	}
	return g
}

// Clone returns a copy whose functions may be edited; constants and attributes
// are shared, since both are immutable.
func (m *Module) Clone() *Module {
	c := NewModule()
	for _, f := range m.Funcs {
		c.Funcs = append(c.Funcs, f.Clone())
	}
	for k, v := range m.Consts {
		c.Consts[k] = v
	}
	return c
}

// ValueID numbers a value of a function: its parameters first, then the
// results of its nodes in order.
type ValueID int32

// Func is one function: a role-marked signature and a body in SSA form.
type Func struct {
	Name      string
	Mode      Mode
	Composite *Composite // what a registered composite stands for; nil otherwise
	Params    []Param
	Nodes     []Node
	Results   []Result

	// Types holds the type of every value, indexed by ValueID.
	Types []Type

	// Scopes, where not nil, says for every node which layer it came from, in
	// functions whose calls were expanded or that were derived: a path, or words
	// such as "gradient of PATH". It is there for people who read a plan or a
	// profile, and no part of the function's identity or text.
	Scopes []string
}

// Param is one parameter of a function's signature.
type Param struct {
	// Name is the path of a param or state (body.stage3[2].conv1.kernel), the
	// name of an input or hyper, PATH#ORDINAL for a key.
	Name string
	Role Role
	Type Type
	Decl *Decl // of params, states, slots and hypers; nil otherwise
}

// Decl says what the host must know of a parameter beside its type.
type Decl struct {
	// Axes tags each axis: in, out, group, spatial or "" (untagged).
	Axes []string
	// Tag is the role tag: kernel, bias, scale, offset, embedding, statistic.
	Tag string
	// Initializer names the function (key u64) -> value that gives the first value.
	Initializer string
	// Regularizer names the function (value) -> f32[] added to the loss, or "".
	Regularizer string
	// Constraint names the function (value) -> value applied after updates, or "".
	Constraint string
	// NonTrainable keeps the optimizer away from the parameter.
	NonTrainable bool
	// NoDecay keeps decoupled weight decay away from the parameter.
	NoDecay bool
	// Alias is the path of the parameter that this one shares storage with, or "".
	Alias string
	// Default is the value of a hyper where the host sets none.
	Default float64
}

// Result is one result of a function's signature.
type Result struct {
	// Name is the output's name, or the path of the state or slot replaced.
	Name  string
	Role  Role
	Value ValueID
}

// Node applies an op. Its results are the values Out .. Out+NumOut-1.
type Node struct {
	Op     Op
	Args   []ValueID
	Attrs  Attrs // the op's attribute struct; nil where the op has none
	Out    ValueID
	NumOut int32
}

// Composite identifies what a function computes, so that a backend may use a
// kernel of its own where the body equals the registered one.
type Composite struct {
	// Name is namespace/name@version, such as hone/softmax@1.
	Name string
	// Attrs are the composite's attributes, sorted by name.
	Attrs []NamedAttr
	// Gradient names a function (inputs, outputs, output gradients) -> input
	// gradients to be used instead of differentiating the body; "" for the body.
	Gradient string
}

// NamedAttr is one attribute of a composite, as the text form spells its value.
type NamedAttr struct{ Name, Value string }

// Attr returns the value of the attribute called name, "" where there is none.
func (c *Composite) Attr(name string) string {
	for _, a := range c.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// TypeOf returns the type of a value.
func (f *Func) TypeOf(v ValueID) Type { return f.Types[v] }

// NumValues returns how many values the function has.
func (f *Func) NumValues() int { return len(f.Types) }

// Param returns the index of the parameter of that role and name, or -1.
func (f *Func) Param(role Role, name string) int {
	return slices.IndexFunc(f.Params, func(p Param) bool { return p.Role == role && p.Name == name })
}

// Result returns the index of the result of that role and name, or -1.
func (f *Func) Result(role Role, name string) int {
	return slices.IndexFunc(f.Results, func(r Result) bool { return r.Role == role && r.Name == name })
}

// Clone returns a copy that may be edited; attributes are shared.
func (f *Func) Clone() *Func {
	g := *f
	g.Params = slices.Clone(f.Params)
	for i := range g.Params {
		if d := g.Params[i].Decl; d != nil {
			e := *d
			e.Axes = slices.Clone(d.Axes)
			g.Params[i].Decl = &e
		}
	}
	g.Nodes = slices.Clone(f.Nodes)
	for i := range g.Nodes {
		g.Nodes[i].Args = slices.Clone(g.Nodes[i].Args)
	}
	g.Results = slices.Clone(f.Results)
	g.Types = slices.Clone(f.Types)
	g.Scopes = slices.Clone(f.Scopes)
	if f.Composite != nil {
		c := *f.Composite
		c.Attrs = slices.Clone(c.Attrs)
		g.Composite = &c
	}
	return &g
}
