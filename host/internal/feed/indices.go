package feed

import (
	"math"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Choose tells the binding which elements of the inputs choose rows of tables:
// from then on one that is no whole number, or beyond its table, is refused.
func (b *Binding) Choose(indices map[string][]train.Index) { b.indices = indices }

// CheckIndices reports an index in the inputs' arrays that its table does not have.
func (b *Binding) CheckIndices(a *train.Arrays) error { return b.checkIndices(nil, a, 0) }

// checkIndices names the column that holds the index and the row, counted from
// number first on; t is the table that the arrays are of, or nil.
func (b *Binding) checkIndices(t *data.Table, a *train.Arrays, first int) error {
	for i := range b.Inputs {
		in := &b.Inputs[i]
		v, ok := a.Fields[in.Name]
		if !ok {
			continue
		}
		var widths []int
		for _, name := range in.Columns {
			if t == nil || t.Column(name) == nil {
				break
			}
			widths = append(widths, t.Column(name).Width())
		}
		for _, x := range b.indices[in.Name] {
			if err := checkIndex(in, v, x, first, widths); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkIndex(in *InputBinding, v kernels.View, x train.Index, first int, widths []int) error {
	if len(v.Shape) == 0 || v.Shape[0] == 0 || v.Data == nil {
		return nil
	}
	t := graph.Tensor{DType: v.DType, Shape: v.Shape, Data: v.Data}
	width := int64(t.Len()) / v.Shape[0]
	for e := x.From; e < min(x.To, width); e++ {
		bad, low, high := int64(-1), math.Inf(1), math.Inf(-1)
		for row := range v.Shape[0] {
			y := t.Float(int(row*width + e))
			low, high = min(low, y), max(high, y)
			if bad < 0 && !(y == math.Trunc(y) && y >= 0 && y < float64(x.Rows)) {
				bad = row
			}
		}
		if bad < 0 {
			continue
		}
		row, y := int64(first)+bad+1, t.Float(int(bad*width+e))
		name := columnAt(in, e, widths)
		if y != math.Trunc(y) {
			return diag.Errorf("index_value", "column %q is %v in row %d, and the layer %q takes whole numbers there: they choose rows of its table", name, y, row, x.Layer).Cell(name, row).
				Hint("Correct the value, or number the column's values with the transform ordinal.")
		}
		return diag.Errorf("index_range", "column %q is %v in row %d, and the table of the layer %q has the rows 0 to %d", name, y, row, x.Layer, x.Rows-1).Cell(name, row).
			Hint("The column's values go from %v to %v. Give the layer a larger table (input_dim = %v), or number the values with the transform ordinal, whose unknown_value gives those that training did not see a number of their own.",
				low, high, max(high+1, 1))
	}
	return nil
}

// columnAt names the column that an element of an input comes from.
func columnAt(in *InputBinding, e int64, widths []int) string {
	for i, w := range widths {
		if e -= int64(w); e < 0 {
			return in.Columns[i]
		}
	}
	if len(in.Columns) == 1 {
		return in.Columns[0]
	}
	return in.Name
}
