package prep

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
)

// conform returns the column as the training source had it. A file to predict from
// may read a column of numbers as whole ones, or a column of zip codes as
// numbers; what can be converted without loss is. A NaN is a missing value, and an
// infinite number an error, in columns of one number a row; where a row has several,
// each may be NaN. first is the number of the first row.
func conform(c *data.Column, f data.Field, first int64) (*data.Column, error) {
	if c.Type != f.Type || len(c.Shape) != len(f.Shape) {
		var err error
		if c, err = converted(c, f, first); err != nil {
			return nil, err
		}
	}
	for i, d := range c.Shape {
		if d != f.Shape[i] {
			return nil, wrongShape(c, f)
		}
	}
	if at := infinite(c, false); at >= 0 {
		return nil, diag.Errorf("infinite_value", "column %q is infinite in row %d", c.Name, first+int64(at/c.Width())+1).Cell(c.Name, first+int64(at/c.Width())+1).
			Hint("Correct the value, or leave the cell empty, which makes it missing.")
	}
	if len(c.Shape) > 0 || !c.Type.Float() {
		return c, nil
	}
	at := infinite(c, true)
	if at < 0 {
		return c, nil
	}
	n := c.Slice(0, c.Rows()) // the mark is copied: the column may be shared
	for i := at; i < c.Rows(); i++ {
		if x := c.Float64At(i, 0); x != x && !n.IsMissing(i) {
			if n.Missing == nil {
				n.Missing = data.NewBitmap(c.Rows())
			}
			n.Missing.Set(i)
		}
	}
	return n, nil
}

func wrongShape(c *data.Column, f data.Field) error {
	return diag.Errorf("column_shape", "column %q is %v, and the training rows had %v", c.Name, c.Field(), f).
		Hint("Bring the data into the shape of the training data.")
}

func converted(c *data.Column, f data.Field, first int64) (*data.Column, error) {
	if len(c.Shape) != len(f.Shape) {
		return nil, wrongShape(c, f)
	}
	bad := func(i int, why string) error {
		return diag.Errorf("column_type", "column %q holds %s in row %d, and the training rows had %v there: %s", c.Name, textOf(c, i/c.Width()), first+int64(i/c.Width())+1, f.Type, why).Cell(c.Name, first+int64(i/c.Width())+1).
			Hint("Correct the value, or say the column's type where the data is read.")
	}
	if f.Type == data.String {
		values := make([]string, c.Rows())
		for i := range values {
			if !c.IsMissing(i) {
				values[i] = numberText(c.Type, c.Float64At(i, 0))
			}
		}
		s := data.StringsOf(c.Name, values)
		codes := s.Codes()
		for i := range codes {
			if c.IsMissing(i) {
				codes[i] = -1
			}
		}
		return data.NewStrings(c.Name, codes, s.Dict()), nil
	}
	n := c.Rows() * c.Width()
	b := alignedBytes(n * f.Type.Size())
	put := store(f.Type, b, n)
	for i := range n {
		row := i / c.Width()
		if c.IsMissing(row) {
			continue
		}
		x, err := numberAt(c, i)
		if err != nil {
			return nil, bad(i, err.Error())
		}
		if err := put(i, x); err != nil {
			return nil, bad(i, err.Error())
		}
	}
	out := columnOf(f, c.Rows(), b, c.Missing)
	return out, nil
}

// numberAt returns an element as a number; text is parsed.
func numberAt(c *data.Column, i int) (float64, error) {
	if c.Type != data.String {
		return c.Float64At(i/c.Width(), i%c.Width()), nil
	}
	s := strings.TrimSpace(c.StringAt(i))
	switch s {
	case "true", "True", "TRUE":
		return 1, nil
	case "false", "False", "FALSE":
		return 0, nil
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("it is no number")
	}
	return x, nil
}

// store returns a function that puts a number into element i, or refuses one that
// the type does not hold.
func store(t data.Type, b []byte, n int) func(i int, x float64) error {
	whole := func(lo, hi float64, put func(i int, x float64)) func(int, float64) error {
		return func(i int, x float64) error {
			switch {
			case x != math.Trunc(x):
				return fmt.Errorf("it is no whole number")
			case x < lo || x > hi:
				return fmt.Errorf("it is too large")
			}
			put(i, x)
			return nil
		}
	}
	switch t {
	case data.F64:
		v := seen[float64](b, n)
		return func(i int, x float64) error { v[i] = x; return nil }
	case data.F32:
		v := seen[float32](b, n)
		return func(i int, x float64) error { v[i] = float32(x); return nil }
	case data.I64:
		v := seen[int64](b, n)
		return whole(-1<<53, 1<<53, func(i int, x float64) { v[i] = int64(x) })
	case data.I32:
		v := seen[int32](b, n)
		return whole(math.MinInt32, math.MaxInt32, func(i int, x float64) { v[i] = int32(x) })
	case data.I8:
		v := seen[int8](b, n)
		return whole(math.MinInt8, math.MaxInt8, func(i int, x float64) { v[i] = int8(x) })
	case data.U8:
		v := seen[uint8](b, n)
		return whole(0, math.MaxUint8, func(i int, x float64) { v[i] = uint8(x) })
	}
	v := seen[bool](b, n)
	return whole(0, 1, func(i int, x float64) { v[i] = x == 1 })
}
