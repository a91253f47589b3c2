package reference

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/hone-ml/hone/sdk/graph"
)

// number is what ops compute in: floats of every type are widened to float64,
// integers and bools to int64, u64 keeping its bits.
type number interface{ float64 | int64 }

// load widens the elements of t.
func load[T number](t *graph.Tensor) []T {
	var zero T
	if _, ok := any(zero).(float64); ok {
		return any(floats(t)).([]T)
	}
	return any(ints(t)).([]T)
}

// store narrows v to the element type: floats are rounded once, to nearest
// even; integers keep their low bits.
func store[T number](t graph.Type, v []T) *graph.Tensor {
	switch v := any(v).(type) {
	case []float64:
		return fromFloats(t, v)
	case []int64:
		return fromInts(t, v)
	}
	return nil
}

func floats(t *graph.Tensor) []float64 {
	out := make([]float64, t.Len())
	switch t.DType {
	case graph.F64:
		for i := range out {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:]))
		}
	case graph.F32:
		for i := range out {
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:])))
		}
	default:
		for i := range out {
			out[i] = t.Float(i)
		}
	}
	return out
}

func ints(t *graph.Tensor) []int64 {
	out := make([]int64, t.Len())
	for i := range out {
		out[i] = t.Int(i)
	}
	return out
}

func bools(t *graph.Tensor) []bool {
	out := make([]bool, len(t.Data))
	for i, b := range t.Data {
		out[i] = b != 0
	}
	return out
}

func fromFloats(t graph.Type, v []float64) *graph.Tensor {
	out := empty(t)
	switch t.DType {
	case graph.F64:
		for i, x := range v {
			binary.LittleEndian.PutUint64(out.Data[8*i:], math.Float64bits(x))
		}
	case graph.F32:
		for i, x := range v {
			binary.LittleEndian.PutUint32(out.Data[4*i:], math.Float32bits(float32(x)))
		}
	case graph.BF16:
		for i, x := range v {
			binary.LittleEndian.PutUint16(out.Data[2*i:], graph.Float32ToBF16(oddFloat32(x)))
		}
	case graph.F16:
		for i, x := range v {
			binary.LittleEndian.PutUint16(out.Data[2*i:], graph.Float32ToHalf(oddFloat32(x)))
		}
	}
	return out
}

func fromInts(t graph.Type, v []int64) *graph.Tensor {
	out := empty(t)
	switch t.DType.Size() {
	case 8:
		for i, x := range v {
			binary.LittleEndian.PutUint64(out.Data[8*i:], uint64(x))
		}
	case 4:
		for i, x := range v {
			binary.LittleEndian.PutUint32(out.Data[4*i:], uint32(x))
		}
	case 1:
		for i, x := range v {
			out.Data[i] = byte(x)
		}
	}
	return out
}

func fromBools(t graph.Type, v []bool) *graph.Tensor {
	out := empty(t)
	for i, b := range v {
		if b {
			out.Data[i] = 1
		}
	}
	return out
}

// oddFloat32 rounds to odd: an inexact result takes the neighbour whose last
// bit is 1, so that rounding it further to a narrower float is as if x had been
// rounded once (Boldo and Melquiond, 2008).
func oddFloat32(x float64) float32 {
	f := float32(x)
	if float64(f) == x || x != x {
		return f
	}
	b := math.Float32bits(f)
	if math.Abs(float64(f)) > math.Abs(x) {
		b-- // towards zero; infinity becomes the largest finite number
	}
	return math.Float32frombits(b | 1)
}

// oddFloat64 converts an integer, rounding to odd where 53 bits do not hold it.
func oddFloat64(v int64, unsigned bool) float64 {
	u, negative := uint64(v), false
	if !unsigned && v < 0 {
		u, negative = -u, true
	}
	if shift := bits.Len64(u) - 53; shift > 0 {
		rest := u & (1<<shift - 1)
		u >>= shift
		if rest != 0 {
			u |= 1
		}
		u <<= shift
	}
	if negative {
		return -float64(u)
	}
	return float64(u)
}

// saturate truncates x towards zero and clamps it to the type's range; NaN
// becomes 0. u64 values come back as their bits.
func saturate(d graph.DType, x float64) int64 {
	if x != x {
		return 0
	}
	width := d.Size() * 8
	if d.IsUnsigned() {
		switch limit := math.Ldexp(1, width); {
		case x <= 0:
			return 0
		case x >= limit:
			return int64(uint64(math.MaxUint64) >> (64 - width))
		}
		return int64(uint64(x))
	}
	limit := math.Ldexp(1, width-1)
	switch {
	case x <= -limit:
		return math.MinInt64 >> (64 - width)
	case x >= limit:
		return math.MaxInt64 >> (64 - width)
	}
	return int64(x)
}

// wrap keeps the low bits of v that the type holds.
func wrap(d graph.DType, v int64) int64 {
	switch d {
	case graph.I32:
		return int64(int32(v))
	case graph.I8:
		return int64(int8(v))
	case graph.U32:
		return int64(uint32(v))
	case graph.U8:
		return int64(uint8(v))
	case graph.Bool:
		return v & 1
	}
	return v
}

// lowest and highest are the identities of max and min.
func lowest[T number](d graph.DType) T { return extreme[T](d, -1) }

func highest[T number](d graph.DType) T { return extreme[T](d, 1) }

func extreme[T number](d graph.DType, sign int) T {
	var out T
	switch p := any(&out).(type) {
	case *float64:
		*p = math.Inf(sign)
	case *int64:
		*p = saturate(d, math.Inf(sign))
	}
	return out
}

// less orders the elements of a type. NaN is less than nothing and nothing is
// less than NaN.
func less[T number](d graph.DType) func(a, b T) bool {
	if d == graph.U64 {
		return func(a, b T) bool { return uint64(a) < uint64(b) }
	}
	return func(a, b T) bool { return a < b }
}

// better returns whether b beats a under max or min; NaN beats all but NaN.
func better[T number](kind graph.ReduceKind, d graph.DType) func(a, b T) bool {
	lt := less[T](d)
	if kind == graph.Max {
		return func(a, b T) bool { return lt(a, b) || b != b && a == a }
	}
	return func(a, b T) bool { return lt(b, a) || b != b && a == a }
}

// empty returns a zeroed tensor of a concrete type.
func empty(t graph.Type) *graph.Tensor {
	shape, _ := t.Shape.Const()
	return graph.NewTensor(t.DType, shape...)
}

// extents returns the extents of a concrete type as ints.
func extents(s []int64) []int {
	out := make([]int, len(s))
	for i, n := range s {
		out[i] = int(n)
	}
	return out
}

func shapeOf(t graph.Type) []int {
	s, _ := t.Shape.Const()
	return extents(s)
}

func volume(shape []int) int {
	n := 1
	for _, e := range shape {
		n *= e
	}
	return n
}

// stridesOf returns the row-major strides of a shape, in elements.
func stridesOf(shape []int) []int {
	s := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

// offsets lists base + the dot product of every index of shape, in row-major
// order, with strides.
func offsets(shape, strides []int, base int) []int {
	out := make([]int, 0, volume(shape))
	if volume(shape) == 0 {
		return out
	}
	out = append(out, base)
	for axis, n := range shape {
		next := make([]int, 0, len(out)*n)
		for _, o := range out {
			for i := range n {
				next = append(next, o+i*strides[axis])
			}
		}
		out = next
	}
	return out
}
