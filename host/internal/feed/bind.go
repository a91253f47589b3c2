package feed

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"unsafe"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Binding says which columns feed which input and target, and how. It is stored
// in the checkpoint.
type Binding struct {
	Inputs  []InputBinding  `json:"inputs"`
	Targets []TargetBinding `json:"targets,omitempty"`
	Weight  string          `json:"weight,omitempty"` // column of example weights
	// Reading is how text was read; nil where the rows were none.
	Reading *Reading `json:"reading,omitempty"`

	indices map[string][]train.Index // by input: see Choose
}

// InputBinding joins columns, in order, to one input of the model.
type InputBinding struct {
	Name    string   `json:"name"`
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"` // of one example
	Columns []string `json:"columns"`
}

// TargetBinding is a column that is to be predicted.
type TargetBinding struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	// Shape is that of one example; empty for a number or class.
	Shape []int64 `json:"shape,omitempty"`
	// Classes are the labels by number, for a column of strings.
	Classes []string `json:"classes,omitempty"`
	// Numbered says that a transform has given the column the classes' numbers.
	Numbered bool `json:"numbered,omitempty"`
}

// Targets returns the columns to predict: those of the data block, then those that
// losses and metrics name; where there are none, the column called label or target.
func Targets(d *spec.Data, columns data.Schema, named []string) []string {
	names := slices.Clone(d.Targets)
	for _, n := range named {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) > 0 {
		return names
	}
	for _, guess := range []string{"label", "target"} {
		if columns.Index(guess) >= 0 {
			return []string{guess}
		}
	}
	return nil
}

// Bind decides how the columns of the training table feed the model; of its rows
// it needs none, but for the dictionaries of strings. targets
// are the columns that losses and metrics name beside those of the data block.
func Bind(m *spec.Model, d *spec.Data, t *data.Table, targets []string) (*Binding, diag.Diagnostics) {
	var diags diag.Diagnostics
	b := &Binding{Weight: d.Weight}
	names := Targets(d, t.Schema(), targets)
	at := "data." + d.Name
	for _, n := range names {
		tb, err := bindTarget(t, n)
		if err != nil {
			for _, x := range diag.From(err) {
				diags.Append(located(x, d.Node, at+".target"))
			}
			continue
		}
		b.Targets = append(b.Targets, *tb)
	}
	if w := d.Weight; w != "" {
		if c := t.Column(w); c == nil {
			diags.Append(located(data.MissingColumn("the data block", w, t.Schema()), d.Node, at+".weight"))
		} else if c.Type == data.String || c.Width() != 1 {
			diags.Append(located(diag.Errorf("weight_column", "column %q holds %v and cannot weigh examples", w, c.Field()).Hint("Name a column of numbers."), d.Node, at+".weight"))
		}
	}
	for i := range m.Inputs {
		in := &m.Inputs[i]
		ib, err := bindInput(in, t, names, d.Weight)
		if err != nil {
			for _, x := range diag.From(err) {
				diags.Append(located(x, in.Node, "model."+m.Name+".input."+in.Name))
			}
			continue
		}
		b.Inputs = append(b.Inputs, *ib)
	}
	return b, diags
}

// Numbers returns the columns whose whole numbers count as numbers of any kind, so
// that rows to predict may have 3.5 where training had 3 and 4: features of a text
// file, whose types are guessed from its cells, unless the spec gives their type or
// an input of whole numbers takes them. targets are the columns to predict.
func Numbers(m *spec.Model, d *spec.Data, p *Parts, targets []string) []string {
	if p.Reading() == nil {
		return nil
	}
	var out []string
	for _, f := range p.Train.Schema() {
		typed := slices.ContainsFunc(d.Columns, func(c spec.Column) bool { return c.Name == f.Name && c.Type != "" })
		aside := slices.Contains(targets, f.Name) || f.Name == d.Weight
		whole := slices.ContainsFunc(m.Inputs, func(in spec.Input) bool {
			t, err := graph.ParseDType(in.DType)
			patterns := in.Columns
			if patterns == nil {
				patterns = []string{in.Name}
			}
			return err == nil && t.IsInt() && slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, f.Name); return ok })
		})
		if f.Type == data.I64 && !typed && !aside && !whole {
			out = append(out, f.Name)
		}
	}
	return out
}

func bindTarget(t *data.Table, name string) (*TargetBinding, error) {
	c := t.Column(name)
	if c == nil {
		return nil, data.MissingColumn("the target", name, t.Schema())
	}
	tb := &TargetBinding{Name: name}
	for _, e := range c.Shape {
		tb.Shape = append(tb.Shape, int64(e))
	}
	switch {
	case c.Type == data.String:
		// In the order of the alphabet, as scikit-learn's LabelEncoder.
		tb.DType, tb.Classes = graph.I32.String(), slices.Sorted(slices.Values(c.Dict()))
		if len(tb.Classes) < 2 {
			return nil, diag.Errorf("one_class", "the target %q has one class alone (%v)", name, tb.Classes).Cell(name, 0).
				Hint("There is nothing to tell apart. Check the file, or name another target.")
		}
	case c.Type.Integer(), c.Type == data.Bool:
		tb.DType = graph.I32.String()
	default:
		tb.DType = graph.F32.String()
	}
	return tb, nil
}

func bindInput(in *spec.Input, t *data.Table, targets []string, weight string) (*InputBinding, error) {
	b := &InputBinding{Name: in.Name, DType: in.DType}
	if b.DType == "" {
		b.DType = graph.F32.String()
	}
	if _, err := graph.ParseDType(b.DType); err != nil {
		return nil, diag.Errorf("input_dtype", "input %q: %v", in.Name, err)
	}
	patterns := in.Columns
	if patterns == nil {
		patterns = []string{in.Name}
	}
	for _, p := range patterns {
		found := false
		for _, f := range t.Schema() {
			if slices.Contains(targets, f.Name) || f.Name == weight {
				if f.Name != p || in.Columns == nil {
					continue
				}
			}
			if ok, _ := path.Match(p, f.Name); ok && !slices.Contains(b.Columns, f.Name) {
				b.Columns, found = append(b.Columns, f.Name), true
			}
		}
		if !found {
			d := data.MissingColumn(fmt.Sprintf("the input %q", in.Name), p, t.Schema())
			if in.Columns == nil {
				d = d.Hint("An input takes the column of its own name. Say which ones it takes: columns = [\"*\"] takes all but the targets.")
			}
			return nil, d
		}
	}
	total := int64(0)
	for _, name := range b.Columns {
		c := t.Column(name)
		if c.Type == data.String {
			return nil, diag.Errorf("string_input", "column %q holds strings, and the input %q takes numbers", name, in.Name).Cell(name, diag.SomeRow).
				Hint("Encode it with a transform, such as one_hot, or leave it out of columns.")
		}
		total += int64(c.Width())
	}
	switch {
	case in.Shape != nil:
		n := int64(1)
		for _, e := range in.Shape {
			b.Shape = append(b.Shape, int64(e))
			n *= int64(e)
		}
		if n != total {
			return nil, diag.Errorf("input_shape", "input %q has the shape %v, %d elements, and its columns give %d", in.Name, in.Shape, n, total).
				Hint("Columns: %s. Leave shape out to take what they give.", listOf(b.Columns))
		}
	case len(b.Columns) == 1 && in.Columns == nil:
		for _, e := range t.Column(b.Columns[0]).Shape {
			b.Shape = append(b.Shape, int64(e))
		}
		if len(b.Shape) == 0 {
			b.Shape = []int64{1}
		}
	default:
		b.Shape = []int64{total}
	}
	return b, nil
}

// InputTypes returns the types of the model's inputs, with a symbolic batch.
func (b *Binding) InputTypes() map[string]graph.Type {
	out := map[string]graph.Type{}
	for _, in := range b.Inputs {
		out[in.Name] = batchType(in.DType, in.Shape)
	}
	return out
}

// TargetTypes returns the types of the targets and their names in order.
func (b *Binding) TargetTypes() (map[string]graph.Type, []string) {
	out := map[string]graph.Type{}
	var names []string
	for _, t := range b.Targets {
		out[t.Name] = batchType(t.DType, t.Shape)
		names = append(names, t.Name)
	}
	return out, names
}

func batchType(dtype string, shape []int64) graph.Type {
	d, _ := graph.ParseDType(dtype)
	return graph.Type{DType: d, Shape: append(graph.Shape{graph.Batch}, graph.ShapeOf(shape...)...)}
}

// Arrays makes the arrays of a table: the inputs, and where withTargets the
// targets and example weights.
func (b *Binding) Arrays(t *data.Table, withTargets bool) (*train.Arrays, diag.Diagnostics) {
	return b.arrays(t, 0, withTargets)
}

// arrays is Arrays for rows from number first on, by which messages name them.
func (b *Binding) arrays(t *data.Table, first int, withTargets bool) (*train.Arrays, diag.Diagnostics) {
	var diags diag.Diagnostics
	a := &train.Arrays{Examples: int64(t.Rows()), Fields: map[string]kernels.View{}}
	for _, in := range b.Inputs {
		v, err := inputArray(&in, t, first)
		if err != nil {
			diags.AppendErr(err)
			continue
		}
		a.Fields[in.Name] = v
	}
	if !diags.HasErrors() {
		diags.AppendErr(b.checkIndices(t, a, first))
	}
	if !withTargets {
		return a, diags
	}
	for _, tb := range b.Targets {
		v, err := targetArray(&tb, t, first)
		if err != nil {
			diags.AppendErr(err)
			continue
		}
		a.Fields["target:"+tb.Name] = v
	}
	if b.Weight != "" {
		c := t.Column(b.Weight)
		if c == nil {
			diags.Append(data.MissingColumn("the example weights", b.Weight, t.Schema()))
			return a, diags
		}
		a.Weights = c.GatherFloat32(nil, all(t.Rows()))
		for i, w := range a.Weights {
			if !(w >= 0) || math.IsInf(float64(w), 0) {
				diags.Append(diag.Errorf("weight_value", "row %d of the weight column %q is %v", first+i+1, b.Weight, w).Cell(b.Weight, int64(first+i+1)).Hint("Weights are finite numbers from 0 up."))
				break
			}
		}
	}
	return a, diags
}

func all(n int) []int64 {
	rows := make([]int64, n)
	for i := range rows {
		rows[i] = int64(i)
	}
	return rows
}

func bytesOf[T any](v []T) []byte {
	if len(v) == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

func inputArray(in *InputBinding, t *data.Table, first int) (kernels.View, error) {
	n := t.Rows()
	dtype, err := graph.ParseDType(in.DType)
	if err != nil {
		return kernels.View{}, err
	}
	shape := append([]int64{int64(n)}, in.Shape...)
	width := int64(1)
	for _, e := range in.Shape {
		width *= e
	}
	var cols []*data.Column
	total := int64(0)
	for _, name := range in.Columns {
		c := t.Column(name)
		if c == nil {
			return kernels.View{}, data.MissingColumn(fmt.Sprintf("the input %q", in.Name), name, t.Schema()).Cell(name, 0)
		}
		if c.Type == data.String {
			return kernels.View{}, diag.Errorf("string_input", "column %q holds strings, and the input %q takes numbers", name, in.Name).Cell(name, diag.SomeRow).
				Hint("Check the column's type in the file.")
		}
		if m := c.Missing.Count(n); m > 0 {
			at := 0
			for !c.IsMissing(at) {
				at++
			}
			return kernels.View{}, diag.Errorf("missing_values", "column %q lacks %d of %d values, the first in row %d, and the input %q cannot take that", name, m, n, first+at+1, in.Name).Cell(name, int64(first+at+1)).
				Hint("Fill them with the transform impute, or drop the rows with drop_missing.")
		}
		total += int64(c.Width())
		cols = append(cols, c)
	}
	if total != width {
		return kernels.View{}, diag.Errorf("input_shape", "the columns of the input %q give %d numbers an example, the model takes %d", in.Name, total, width).
			Hint("The file must have the columns that the model was trained on: %s.", listOf(in.Columns))
	}
	rows := all(n)
	if len(cols) == 1 && cols[0].Type.DType() == dtype {
		// As it is.
		switch dtype {
		case graph.F32:
			return finite(in, cols, data.Values[float32](cols[0]), shape, first)
		case graph.U8:
			return kernels.View{DType: dtype, Shape: shape, Data: bytesOf(data.Values[uint8](cols[0]))}, nil
		case graph.I32:
			return kernels.View{DType: dtype, Shape: shape, Data: bytesOf(data.Values[int32](cols[0]))}, nil
		case graph.I64:
			return kernels.View{DType: dtype, Shape: shape, Data: bytesOf(data.Values[int64](cols[0]))}, nil
		}
	}
	if dtype == graph.F32 {
		out := make([]float32, n*int(width))
		at := 0
		var buf []float32
		for _, c := range cols {
			w := c.Width()
			if len(cols) == 1 {
				out = c.GatherFloat32(out[:0], rows)
				break
			}
			buf = c.GatherFloat32(buf[:0], rows)
			for r := range n {
				copy(out[r*int(width)+at:], buf[r*w:(r+1)*w])
			}
			at += w
		}
		return finite(in, cols, out, shape, first)
	}
	v := graph.NewTensor(dtype, shape...)
	at := 0
	for _, c := range cols {
		w := c.Width()
		for r := range n {
			for i := range w {
				x, k := c.Float64At(r, i), r*int(width)+at+i
				if v.SetFloat(k, x); dtype.IsInt() && v.Float(k) != x {
					return kernels.View{}, diag.Errorf("input_value", "column %q is %v in row %d, and the input %q takes whole numbers (%v)", c.Name, x, first+r+1, in.Name, dtype).Cell(c.Name, int64(first+r+1)).
						Hint("Correct the value, or leave dtype out of the input: it takes any number then.")
				}
			}
		}
		at += w
	}
	return kernels.View{DType: dtype, Shape: shape, Data: v.Data}, nil
}

// finite refuses infinite values and NaN, which would spoil every weight.
func finite(in *InputBinding, cols []*data.Column, v []float32, shape []int64, first int) (kernels.View, error) {
	for i, x := range v {
		if x-x != 0 {
			width := len(v) / max(int(shape[0]), 1)
			row, k := i/width, i%width
			name := cols[0].Name
			for _, c := range cols {
				if name = c.Name; k < c.Width() {
					break
				}
				k -= c.Width()
			}
			return kernels.View{}, diag.Errorf("infinite_value", "row %d of column %q, which feeds the input %q, is %v", first+row+1, name, in.Name, x).Cell(name, int64(first+row+1)).
				Hint("Remove the row, or bound the column with the transform clip_outliers.")
		}
	}
	return kernels.View{DType: graph.F32, Shape: shape, Data: bytesOf(v)}, nil
}

func targetArray(tb *TargetBinding, t *data.Table, first int) (kernels.View, error) {
	n := t.Rows()
	c := t.Column(tb.Name)
	if c == nil {
		return kernels.View{}, data.MissingColumn("the target", tb.Name, t.Schema()).Cell(tb.Name, 0)
	}
	if m := c.Missing.Count(n); m > 0 {
		at := 0
		for !c.IsMissing(at) {
			at++
		}
		return kernels.View{}, diag.Errorf("missing_target", "the target %q lacks %d of %d values, the first in row %d", tb.Name, m, n, first+at+1).Cell(tb.Name, int64(first+at+1)).
			Hint("Drop those rows with the transform drop_missing.")
	}
	shape := append([]int64{int64(n)}, tb.Shape...)
	if tb.Classes != nil && !tb.Numbered {
		codes := make([]int32, n)
		if c.Type != data.String {
			return kernels.View{}, diag.Errorf("target_type", "the target %q holds %v, and the model was trained on classes", tb.Name, c.Field()).
				Hint("The classes are %s.", listOf(tb.Classes))
		}
		to := make([]int32, len(c.Dict()))
		for i, s := range c.Dict() {
			j, ok := slices.BinarySearch(tb.Classes, s)
			if !ok {
				j = slices.Index(tb.Classes, s)
			}
			to[i] = int32(j)
		}
		for i, code := range c.Codes() {
			if codes[i] = to[code]; codes[i] < 0 {
				return kernels.View{}, diag.Errorf("unknown_class", "row %d has the class %q of the target %q, which training did not see", first+i+1, c.StringAt(i), tb.Name).Cell(tb.Name, int64(first+i+1)).
					Hint("The classes are %s.", listOf(tb.Classes))
			}
		}
		return kernels.View{DType: graph.I32, Shape: shape, Data: bytesOf(codes)}, nil
	}
	if c.Type == data.String {
		return kernels.View{}, diag.Errorf("target_type", "the target %q holds strings, and the model was trained on numbers", tb.Name).Hint("Check the column in the file.")
	}
	if tb.DType == graph.I32.String() {
		ints := c.GatherInt64(nil, all(n))
		out := make([]int32, len(ints))
		for i, v := range ints {
			if tb.Numbered && (v < 0 || v >= int64(len(tb.Classes))) {
				return kernels.View{}, diag.Errorf("unknown_class", "row %d has a class of the target %q that training did not see", first+i+1, tb.Name).Cell(tb.Name, int64(first+i+1)).
					Hint("The classes are %s.", listOf(tb.Classes))
			}
			if v < math.MinInt32 || v > math.MaxInt32 {
				return kernels.View{}, diag.Errorf("target_value", "row %d of the target %q is %d, beyond 32 bits", first+i+1, tb.Name, v).Cell(tb.Name, int64(first+i+1)).
					Hint("Number the classes from 0, or give them names.")
			}
			out[i] = int32(v)
		}
		return kernels.View{DType: graph.I32, Shape: shape, Data: bytesOf(out)}, nil
	}
	out := c.GatherFloat32(nil, all(n))
	for i, v := range out {
		if v-v != 0 {
			return kernels.View{}, diag.Errorf("infinite_value", "row %d of the target %q is %v", first+i+1, tb.Name, v).Cell(tb.Name, int64(first+i+1)).Hint("Remove the row.")
		}
	}
	return kernels.View{DType: graph.F32, Shape: shape, Data: bytesOf(out)}, nil
}

// ClassLimit is what a loss takes for the number of a class.
type ClassLimit struct {
	Classes int64  // from 0
	Ignored *int64 // one that it leaves out, which may be any; nil for none
}

// CheckClasses reports a class number that an output cannot have and that the
// loss does not leave out.
func CheckClasses(a *train.Arrays, target string, limit ClassLimit, where string) error {
	return checkClasses(a, 0, target, limit, where)
}

func checkClasses(a *train.Arrays, first int, target string, limit ClassLimit, where string) error {
	v, ok := a.Fields["target:"+target]
	if !ok || v.DType != graph.I32 {
		return nil
	}
	labels := unsafe.Slice((*int32)(unsafe.Pointer(unsafe.SliceData(v.Data))), len(v.Data)/4)
	per := 1 // labels of a row
	for _, e := range v.Shape[1:] {
		per *= int(e)
	}
	for i, l := range labels {
		if k := int64(l); (k < 0 || k >= limit.Classes) && (limit.Ignored == nil || k != *limit.Ignored) {
			row := first + i/per + 1
			err := diag.Errorf("label_range", "row %d of the %s part has the label %d of the target %q, and the model's output has %d classes, 0 to %d", row, where, l, target, limit.Classes, limit.Classes-1).Cell(target, int64(row))
			if l < 0 {
				return err.Hint("Number the classes from 0, or let the loss leave them out: ignore_class = %d.", l)
			}
			return err.Hint("Give the last layer more units (at least %d), or correct the label.", max(k+1, 2))
		}
	}
	return nil
}

// ClassName returns the label of a class number.
func (t *TargetBinding) ClassName(i int) string {
	if i >= 0 && i < len(t.Classes) {
		return t.Classes[i]
	}
	return strconv.Itoa(i)
}
