package data

import (
	"fmt"
	"math"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// Type is the type of a column's elements.
type Type uint8

// The element types. Files with other ones are widened to the next that holds
// every value: i16 and u16 to I32, u32 to I64, f16 to F32.
const (
	Invalid Type = iota
	F64
	F32
	I64
	I32
	I8
	U8
	Bool
	String
)

var typeNames = [...]string{"invalid", "f64", "f32", "i64", "i32", "i8", "u8", "bool", "string"}
var typeSizes = [...]int{0, 8, 4, 8, 4, 1, 1, 1, 4}

// String returns f64, f32, i64, i32, i8, u8, bool or string.
func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Size returns the bytes one element takes in memory; for a string those of its code.
func (t Type) Size() int {
	if int(t) < len(typeSizes) {
		return typeSizes[t]
	}
	return 0
}

// Numeric reports whether the elements are numbers; a bool is none.
func (t Type) Numeric() bool { return t >= F64 && t <= U8 }

// Float reports whether the elements are floating-point numbers.
func (t Type) Float() bool { return t == F64 || t == F32 }

// Integer reports whether the elements are whole numbers.
func (t Type) Integer() bool { return t >= I64 && t <= U8 }

// DType returns the tensor type of the same elements, graph.Invalid for strings.
func (t Type) DType() graph.DType {
	switch t {
	case F64:
		return graph.F64
	case F32:
		return graph.F32
	case I64:
		return graph.I64
	case I32:
		return graph.I32
	case I8:
		return graph.I8
	case U8:
		return graph.U8
	case Bool:
		return graph.Bool
	}
	return graph.Invalid
}

// Element is what a column's values may be in Go. The codes of strings are int32.
type Element interface {
	float64 | float32 | int64 | int32 | int8 | uint8 | bool
}

func typeOf[T Element]() Type {
	var zero T
	switch any(zero).(type) {
	case float64:
		return F64
	case float32:
		return F32
	case int64:
		return I64
	case int32:
		return I32
	case int8:
		return I8
	case uint8:
		return U8
	}
	return Bool
}

// Column is one named column of a table. Its values are read with Values, or
// Codes and Dict for strings; it is not changed once it is in a table.
type Column struct {
	Name string
	Type Type
	// Shape is the shape of one example's tensor; empty for one value a row.
	Shape []int
	// Missing has a bit set for each row without a value. Nil says that none is missing.
	// Under the mark floats are NaN, other values zero, string codes -1.
	Missing Bitmap

	rows   int
	values any // []T of rows*Width() elements
	dict   []string
}

// NewColumn makes a column of values, of which there must be a whole number of examples of the
// shape. It keeps the slice. A wrong count is a mistake in the program and panics.
func NewColumn[T Element](name string, shape []int, values []T) *Column {
	width := product(shape)
	if width <= 0 || len(values)%width != 0 {
		panic(fmt.Sprintf("data: %d values do not make examples of shape %v", len(values), shape))
	}
	return &Column{Name: name, Type: typeOf[T](), Shape: slices.Clone(shape), rows: len(values) / width, values: values}
}

// NewStrings makes a column of strings from codes into dict; -1 is missing. It keeps both slices.
func NewStrings(name string, codes []int32, dict []string) *Column {
	c := &Column{Name: name, Type: String, rows: len(codes), values: codes, dict: dict}
	for i, code := range codes {
		if code < 0 {
			c.SetMissing(i)
		}
	}
	return c
}

// StringsOf makes a column of strings, with a dictionary in the order of first appearance.
func StringsOf(name string, values []string) *Column {
	codes := make([]int32, len(values))
	index := map[string]int32{}
	var dict []string
	for i, v := range values {
		code, ok := index[v]
		if !ok {
			code = int32(len(dict))
			index[v] = code
			dict = append(dict, v)
		}
		codes[i] = code
	}
	return &Column{Name: name, Type: String, rows: len(codes), values: codes, dict: dict}
}

// newEmpty makes a column of zeros, also for codes, to be filled.
func newEmpty(f Field, rows int) *Column {
	c := &Column{Name: f.Name, Type: f.Type, Shape: f.Shape, rows: rows}
	n := rows * product(f.Shape)
	switch f.Type {
	case F64:
		c.values = make([]float64, n)
	case F32:
		c.values = make([]float32, n)
	case I64:
		c.values = make([]int64, n)
	case I32, String:
		c.values = make([]int32, n)
	case I8:
		c.values = make([]int8, n)
	case U8:
		c.values = make([]uint8, n)
	case Bool:
		c.values = make([]bool, n)
	}
	return c
}

// Values returns the column's elements without copying. A T that is not the
// column's is a mistake in the program and panics.
func Values[T Element](c *Column) []T {
	if v, ok := c.values.([]T); ok && (c.Type != String) {
		return v
	}
	panic(fmt.Sprintf("data: column %q is %v, not %v", c.Name, c.Type, typeOf[T]()))
}

// Codes returns the strings' codes, -1 where missing, without copying; nil for other columns.
func (c *Column) Codes() []int32 {
	if c.Type != String {
		return nil
	}
	return c.values.([]int32)
}

// Dict returns the distinct strings of a string column by code, without copying.
func (c *Column) Dict() []string { return c.dict }

// Rows returns the number of examples.
func (c *Column) Rows() int { return c.rows }

// Width returns the elements of one example: 1 without a shape.
func (c *Column) Width() int { return product(c.Shape) }

// Field returns the column's name, type and shape.
func (c *Column) Field() Field { return Field{Name: c.Name, Type: c.Type, Shape: c.Shape} }

// IsMissing reports whether the row has no value.
func (c *Column) IsMissing(row int) bool { return c.Missing.Get(row) }

// SetMissing marks a row as without a value. It is for those who build columns.
func (c *Column) SetMissing(row int) {
	if c.Missing == nil {
		c.Missing = NewBitmap(c.rows)
	}
	c.Missing.Set(row)
	switch v := c.values.(type) {
	case []float64:
		for i := range c.Width() {
			v[row*c.Width()+i] = math.NaN()
		}
	case []float32:
		for i := range c.Width() {
			v[row*c.Width()+i] = float32(math.NaN())
		}
	case []int32:
		if c.Type == String {
			v[row] = -1
		}
	}
}

// StringAt returns the row's string, "" where it is missing.
func (c *Column) StringAt(row int) string {
	if code := c.values.([]int32)[row]; code >= 0 {
		return c.dict[code]
	}
	return ""
}

// Float64At returns element i of the row's example as a number; true is 1, a
// missing value NaN. Strings panic.
func (c *Column) Float64At(row, i int) float64 {
	if c.Missing.Get(row) {
		return math.NaN()
	}
	at := row*c.Width() + i
	switch v := c.values.(type) {
	case []float64:
		return v[at]
	case []float32:
		return float64(v[at])
	case []int64:
		return float64(v[at])
	case []int32:
		if c.Type == String {
			panic(fmt.Sprintf("data: column %q holds strings", c.Name))
		}
		return float64(v[at])
	case []int8:
		return float64(v[at])
	case []uint8:
		return float64(v[at])
	case []bool:
		if v[at] {
			return 1
		}
	}
	return 0
}

// Slice returns rows lo up to hi, sharing the values.
func (c *Column) Slice(lo, hi int) *Column {
	s := &Column{Name: c.Name, Type: c.Type, Shape: c.Shape, rows: hi - lo, dict: c.dict}
	s.Missing = c.Missing.slice(lo, hi)
	w := c.Width()
	lo, hi = lo*w, hi*w
	switch v := c.values.(type) {
	case []float64:
		s.values = v[lo:hi:hi]
	case []float32:
		s.values = v[lo:hi:hi]
	case []int64:
		s.values = v[lo:hi:hi]
	case []int32:
		s.values = v[lo:hi:hi]
	case []int8:
		s.values = v[lo:hi:hi]
	case []uint8:
		s.values = v[lo:hi:hi]
	case []bool:
		s.values = v[lo:hi:hi]
	}
	return s
}

// Renamed returns the column under another name, sharing the values.
func (c *Column) Renamed(name string) *Column {
	r := *c
	r.Name = name
	return &r
}

// Gather returns the given rows in the given order, as a copy.
func (c *Column) Gather(rows []int64) *Column {
	g := newEmpty(c.Field(), len(rows))
	g.dict = c.dict
	w := c.Width()
	switch v := c.values.(type) {
	case []float64:
		gather(g.values.([]float64), v, rows, w)
	case []float32:
		gather(g.values.([]float32), v, rows, w)
	case []int64:
		gather(g.values.([]int64), v, rows, w)
	case []int32:
		gather(g.values.([]int32), v, rows, w)
	case []int8:
		gather(g.values.([]int8), v, rows, w)
	case []uint8:
		gather(g.values.([]uint8), v, rows, w)
	case []bool:
		gather(g.values.([]bool), v, rows, w)
	}
	if c.Missing != nil {
		for i, r := range rows {
			if c.Missing.Get(int(r)) {
				if g.Missing == nil {
					g.Missing = NewBitmap(len(rows))
				}
				g.Missing.Set(i)
			}
		}
	}
	return g
}

func gather[T Element](dst, src []T, rows []int64, width int) {
	if width == 1 {
		for i, r := range rows {
			dst[i] = src[r]
		}
		return
	}
	for i, r := range rows {
		copy(dst[i*width:(i+1)*width], src[int(r)*width:])
	}
}

// GatherFloat32 appends the examples of the given rows to dst as numbers: true
// is 1, missing values are NaN, string codes stand for themselves.
func (c *Column) GatherFloat32(dst []float32, rows []int64) []float32 {
	w := c.Width()
	at := len(dst)
	dst = slices.Grow(dst, len(rows)*w)[:at+len(rows)*w]
	out := dst[at:]
	switch v := c.values.(type) {
	case []float64:
		convert(out, v, rows, w)
	case []float32:
		gather(out, v, rows, w)
	case []int64:
		convert(out, v, rows, w)
	case []int32:
		convert(out, v, rows, w)
	case []int8:
		convert(out, v, rows, w)
	case []uint8:
		convert(out, v, rows, w)
	case []bool:
		for i, r := range rows {
			for j := range w {
				out[i*w+j] = 0
				if v[int(r)*w+j] {
					out[i*w+j] = 1
				}
			}
		}
	}
	if c.Missing != nil {
		for i, r := range rows {
			if c.Missing.Get(int(r)) {
				for j := range w {
					out[i*w+j] = float32(math.NaN())
				}
			}
		}
	}
	return dst
}

func convert[T float64 | int64 | int32 | int8 | uint8](out []float32, v []T, rows []int64, w int) {
	for i, r := range rows {
		from := v[int(r)*w : int(r)*w+w]
		for j, x := range from {
			out[i*w+j] = float32(x)
		}
	}
}

// GatherInt64 appends the examples of the given rows to dst as whole numbers: true is 1,
// a float loses its fraction, a string is its code, a missing value is -1.
func (c *Column) GatherInt64(dst []int64, rows []int64) []int64 {
	w := c.Width()
	for _, r := range rows {
		for j := range w {
			at := int(r)*w + j
			var x int64
			switch v := c.values.(type) {
			case []float64:
				x = int64(v[at])
			case []float32:
				x = int64(v[at])
			case []int64:
				x = v[at]
			case []int32:
				x = int64(v[at])
			case []int8:
				x = int64(v[at])
			case []uint8:
				x = int64(v[at])
			case []bool:
				if v[at] {
					x = 1
				}
			}
			if c.Missing.Get(int(r)) {
				x = -1
			}
			dst = append(dst, x)
		}
	}
	return dst
}

// product returns the elements of a shape, 1 for none.
func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// Bitmap has one bit a row. Reading a nil Bitmap gives false.
type Bitmap []uint64

// NewBitmap returns n clear bits.
func NewBitmap(n int) Bitmap { return make(Bitmap, (n+63)/64) }

// Get returns bit i.
func (b Bitmap) Get(i int) bool { return b != nil && b[i>>6]>>(i&63)&1 != 0 }

// Set sets bit i.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (i & 63) }

// Count returns how many of the first n bits are set.
func (b Bitmap) Count(n int) int {
	count := 0
	for i := range n {
		if b.Get(i) {
			count++
		}
	}
	return count
}

// slice copies bits lo up to hi; nil if none of them is set.
func (b Bitmap) slice(lo, hi int) Bitmap {
	var out Bitmap
	for i := lo; i < hi && b != nil; i++ {
		if b.Get(i) {
			if out == nil {
				out = NewBitmap(hi - lo)
			}
			out.Set(i - lo)
		}
	}
	return out
}
