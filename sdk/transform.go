package sdk

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Transform makes columns of a table from others, row by row: the same for
// training, evaluation and prediction. The smallest one is
//
//	type Double struct{}
//
//	func (*Double) Apply(b *sdk.TransformBuilder) {
//		for _, c := range b.Columns() {
//			b.Set(c, b.Number(c).Times(2))
//		}
//	}
//
// A row's results must depend on that row alone. What depends on the others is
// learned before, from the training rows: see [Fitter]. A transform may also drop
// rows ([TransformBuilder.Keep]) or draw them ([TransformBuilder.Sample]); one
// that draws random bits is an augmentation, which is applied to training rows
// alone, anew in each epoch.
//
// The fitted transform is the traced function with what it learned as constants,
// and tables of strings; it lives in checkpoints and needs the plugin no more.
type Transform interface {
	Apply(b *TransformBuilder)
}

// Taker is the optional power of transforms that choose their columns where the
// user names none. Without it they are the columns of numbers that are not
// targets. The others pass unchanged.
type Taker interface {
	Takes(c Column) bool
}

// ColumnKind says what a column holds.
type ColumnKind uint8

// The kinds of columns.
const (
	NumberColumn ColumnKind = iota + 1
	TruthColumn
	TextColumn
)

// String returns numbers, truth values or text.
func (k ColumnKind) String() string {
	return [...]string{"nothing", "numbers", "truth values", "text"}[min(k, TextColumn)]
}

// Column describes a column of the table that a transform is given.
type Column struct {
	Name string
	Kind ColumnKind
	// Type is that of the elements, with the batch as the first axis. It has no
	// element type for text.
	Type graph.Type
	// Target says that the column is to be predicted, and is absent in prediction.
	Target bool
	// Features are the names of the elements of a column with one more axis; nil for none.
	Features []string

	index int
}

// Elements returns the number of elements in a row.
func (c Column) Elements() int {
	n := int64(1)
	for _, d := range c.Type.Shape[min(1, len(c.Type.Shape)):] {
		k, _ := d.Const()
		n *= k
	}
	return int(n)
}

// Feature returns the name of a row's i-th element: the column's own where it
// has one element, else the name with the feature's, or with the element's number.
func (c Column) Feature(i int) string {
	switch {
	case i < len(c.Features):
		return c.Features[i]
	case c.Elements() == 1:
		return c.Name
	}
	return fmt.Sprintf("%s[%d]", c.Name, i)
}

// Vocabulary turns values into codes: their places in Words, or in Numbers for a
// column of numbers or truth values (0 and 1). A value that is not among them has
// the code Len(), a missing one Len()+1.
type Vocabulary struct {
	Words   []string
	Numbers []float64
	// Strict makes a value that is not among them an error that names it.
	Strict bool
	// Complete makes a missing value an error.
	Complete bool
}

// Len returns the number of values.
func (v Vocabulary) Len() int { return max(len(v.Words), len(v.Numbers)) }

// feed declares the inputs of a traced function as they are asked for.
type feed struct {
	b       *graph.Builder
	entries []*pluginpb.Entry
	values  map[string]graph.Value
}

func newFeed(b *graph.Builder) feed { return feed{b: b, values: map[string]graph.Value{}} }

func (f *feed) input(key string, e *pluginpb.Entry, t graph.Type) graph.Value {
	key = fmt.Sprintf("%d %s", e.Column, key)
	if v, ok := f.values[key]; ok {
		return v
	}
	v := f.b.Input(fmt.Sprintf("x%d", len(f.entries)), t)
	f.entries = append(f.entries, e)
	f.values[key] = v
	return v
}

var batch = graph.Shape{graph.Batch}

// Elements returns the column's elements as they are; NaN or zero where the value
// is missing. Text has none: see Codes, Hash and ParseNumber.
func (f *feed) Elements(c Column) graph.Value {
	if c.Kind == TextColumn {
		return f.b.Failf("column %q holds text, and numbers are wanted; turn it into numbers first, with one_hot, ordinal or hash, or name other columns", c.Name)
	}
	return f.input("elements", &pluginpb.Entry{Column: uint32(c.index), How: &pluginpb.Entry_Elements{Elements: &pluginpb.Elements{}}}, c.Type)
}

// Number returns the column's elements as floating-point numbers: f64 for those
// that f32 does not hold exactly, else f32; true is 1. NaN or zero where the value
// is missing.
func (f *feed) Number(c Column) graph.Value {
	v := f.Elements(c)
	switch c.Type.DType {
	case graph.F64, graph.I64, graph.I32, graph.U64, graph.U32:
		return v.Convert(graph.F64)
	}
	return v.Convert(graph.F32)
}

// Missing returns the bools [batch] that hold where the row has no value.
func (f *feed) Missing(c Column) graph.Value {
	return f.input("missing", &pluginpb.Entry{Column: uint32(c.index), How: &pluginpb.Entry_Missing{Missing: &pluginpb.MissingMask{}}}, graph.Type{DType: graph.Bool, Shape: batch})
}

// Codes returns the codes, i32[batch] of a column of any kind with one element a row.
func (f *feed) Codes(c Column, v Vocabulary) graph.Value {
	if !f.single(c) {
		return graph.Value{}
	}
	if (c.Kind == TextColumn) == (len(v.Numbers) > 0) && v.Len() > 0 {
		return f.b.Failf("column %q holds %v, and the vocabulary does not", c.Name, c.Kind)
	}
	p := &pluginpb.Vocabulary{Words: v.Words, Numbers: v.Numbers, Strict: v.Strict, Complete: v.Complete}
	return f.input(fmt.Sprintf("vocabulary %q %v %v %v", v.Words, v.Numbers, v.Strict, v.Complete),
		&pluginpb.Entry{Column: uint32(c.index), How: &pluginpb.Entry_Vocabulary{Vocabulary: p}}, graph.Type{DType: graph.I32, Shape: batch})
}

// Hash returns codes i32[batch] below buckets from a hash of the value, and
// buckets for a missing one. Columns with different salts collide differently.
func (f *feed) Hash(c Column, buckets int, salt string) graph.Value {
	if !f.single(c) {
		return graph.Value{}
	}
	p := &pluginpb.HashBucket{Buckets: uint32(buckets), Salt: salt}
	return f.input(fmt.Sprintf("hash %d %q", buckets, salt), &pluginpb.Entry{Column: uint32(c.index), How: &pluginpb.Entry_Hash{Hash: p}}, graph.Type{DType: graph.I32, Shape: batch})
}

// ParseNumber reads text as numbers, f64[batch]; NaN where it is none, or an
// error where strict.
func (f *feed) ParseNumber(c Column, strict bool) graph.Value {
	if c.Kind != TextColumn {
		return f.Number(c)
	}
	return f.input(fmt.Sprint("parse ", strict), &pluginpb.Entry{Column: uint32(c.index), How: &pluginpb.Entry_Parse{Parse: &pluginpb.ParseNumber{Strict: strict}}},
		graph.Type{DType: graph.F64, Shape: batch})
}

func (f *feed) single(c Column) bool {
	if len(c.Type.Shape) > 1 {
		f.b.Failf("column %q has %d values a row, and one is wanted; name other columns", c.Name, c.Elements())
		return false
	}
	return true
}

// TransformBuilder is a [graph.Builder] that reads columns and writes columns.
// A column that is neither set nor passed is dropped.
type TransformBuilder struct {
	*graph.Builder
	feed
	columns []Column
	fitted  *pluginpb.Fitted
	outputs int
}

// Columns returns the columns that the transform is applied to.
func (b *TransformBuilder) Columns() []Column { return b.columns }

// Output is a column that a transform makes.
type Output struct {
	Name string
	// Value is [batch, ...].
	Value graph.Value
	// Missing, bool[batch], says where the column has no value; the zero Value nowhere.
	Missing graph.Value
	// Words makes the column text: Value holds codes, i32[batch]. A code beyond
	// them stands for what the column WordsFrom holds there.
	Words     []string
	WordsFrom *Column
	// Labels are the names of the classes whose numbers Value holds; predictions of
	// the column are given under them.
	Labels []string
	// Features are the names of the elements of a value [batch, n].
	Features []string
}

// Output adds a column.
func (b *TransformBuilder) Output(o Output) {
	if f := b.output(o); f != nil {
		b.fitted.Columns = append(b.fitted.Columns, f)
	}
}

// Set gives the column new values; it is missing where it was.
func (b *TransformBuilder) Set(c Column, v graph.Value) {
	if f := b.output(Output{Name: c.Name, Value: v}); f != nil {
		f.MissingAs = uint32(c.index) + 1
		if v.Rank() == len(c.Type.Shape) && v.Type().Shape.Equal(c.Type.Shape) {
			f.Features = c.Features
		}
		b.fitted.Columns = append(b.fitted.Columns, f)
	}
}

// Pass lets a column through as it is.
func (b *TransformBuilder) Pass(c Column) { b.PassAs(c, c.Name) }

// PassAs lets a column through under another name. A column may pass under several.
func (b *TransformBuilder) PassAs(c Column, name string) {
	b.fitted.Columns = append(b.fitted.Columns, &pluginpb.FittedColumn{
		Name: name, From: &pluginpb.FittedColumn_Pass{Pass: uint32(c.index)}, Features: c.Features,
	})
}

// DropOthers drops all columns that the transform is not applied to, but no target.
func (b *TransformBuilder) DropOthers() { b.fitted.DropOthers = true }

// Keep makes the transform a filter: rows for which keep, bool[batch], does not
// hold are left out of training and evaluation. Rows to predict all stay.
func (b *TransformBuilder) Keep(keep graph.Value) {
	if b.typed("keep", keep, graph.Type{DType: graph.Bool, Shape: batch}) {
		b.fitted.Filter = true
		b.Builder.Output("keep", keep)
	}
}

// Sample makes the transform a sample of the training rows: group, i32[batch],
// puts each row into one of len(counts) groups, or elsewhere into none, and in the
// end group g has counts[g] rows. Where there are more they are drawn without
// replacement; where there are fewer all stay, and the others are drawn with it.
func (b *TransformBuilder) Sample(group graph.Value, counts []int64) {
	if b.typed("group", group, graph.Type{DType: graph.I32, Shape: batch}) {
		b.fitted.Sample = &pluginpb.Sample{Counts: counts}
		b.Builder.Output("group", group)
	}
}

// Warn tells the user something about the data, in a sentence.
func (b *TransformBuilder) Warn(format string, args ...any) {
	b.fitted.Warnings = append(b.fitted.Warnings, fmt.Sprintf(format, args...))
}

func (b *TransformBuilder) typed(what string, v graph.Value, t graph.Type) bool {
	if v.Valid() && !v.Type().Equal(t) {
		b.Failf("%s is %v and must be %v", what, v.Type(), t)
	}
	return v.Valid() && b.Err() == nil
}

func (b *TransformBuilder) output(o Output) *pluginpb.FittedColumn {
	if !o.Value.Valid() {
		b.Failf("column %q is set to a failed value", o.Name)
		return nil
	}
	t := o.Value.Type()
	switch {
	case o.Name == "":
		b.Failf("a column has no name")
	case t.Rank() == 0 || t.Shape[0] != graph.Batch:
		b.Failf("column %q is %v; the first axis of a column is the batch", o.Name, t)
	case len(o.Words) > 0 && !t.Equal(graph.Type{DType: graph.I32, Shape: batch}):
		b.Failf("column %q holds codes of words and is %v; codes are i32[batch]", o.Name, t)
	case len(o.Features) > 0 && (t.Rank() != 2 || !t.Shape[1].Is(int64(len(o.Features)))):
		b.Failf("column %q is %v and has names for %d elements", o.Name, t, len(o.Features))
	}
	if b.Err() != nil {
		return nil
	}
	f := &pluginpb.FittedColumn{
		Name: o.Name, From: &pluginpb.FittedColumn_Output{Output: uint32(b.outputs)},
		Words: o.Words, Labels: o.Labels, Features: o.Features,
	}
	if o.WordsFrom != nil {
		f.WordsFrom = uint32(o.WordsFrom.index) + 1
	}
	b.result(o.Value)
	if o.Missing.Builder() != nil && b.typed("missing", o.Missing, graph.Type{DType: graph.Bool, Shape: batch}) {
		f.MissingOutput = uint32(b.outputs) + 1
		b.result(o.Missing)
	}
	return f
}

func (b *TransformBuilder) result(v graph.Value) {
	b.Builder.Output(fmt.Sprintf("y%d", b.outputs), v)
	b.outputs++
}
