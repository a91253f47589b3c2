package graph

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Tensor is a constant: element type, concrete extents, and its elements in
// row-major order, little-endian, one byte a Bool.
type Tensor struct {
	DType DType
	Shape []int64
	Data  []byte
}

// NewTensor returns a zeroed tensor. It panics on a negative extent or an
// invalid type, which only a caller's own code can produce.
func NewTensor(d DType, shape ...int64) *Tensor {
	n, err := bytesOf(d, shape)
	if err != nil || n < 0 || !d.Valid() {
		panic(fmt.Sprintf("graph: NewTensor(%v, %v)", d, shape))
	}
	return &Tensor{DType: d, Shape: append([]int64(nil), shape...), Data: make([]byte, n)}
}

// Float32s returns an f32 tensor with a copy of the elements.
func Float32s(v []float32, shape ...int64) *Tensor {
	t := &Tensor{DType: F32, Shape: append([]int64(nil), shape...), Data: make([]byte, 4*len(v))}
	for i, x := range v {
		binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(x))
	}
	return t
}

// Float64s returns an f64 tensor with a copy of the elements.
func Float64s(v []float64, shape ...int64) *Tensor {
	t := &Tensor{DType: F64, Shape: append([]int64(nil), shape...), Data: make([]byte, 8*len(v))}
	for i, x := range v {
		binary.LittleEndian.PutUint64(t.Data[8*i:], math.Float64bits(x))
	}
	return t
}

// Int64s returns an i64 tensor with a copy of the elements.
func Int64s(v []int64, shape ...int64) *Tensor {
	t := &Tensor{DType: I64, Shape: append([]int64(nil), shape...), Data: make([]byte, 8*len(v))}
	for i, x := range v {
		binary.LittleEndian.PutUint64(t.Data[8*i:], uint64(x))
	}
	return t
}

// Int32s returns an i32 tensor with a copy of the elements.
func Int32s(v []int32, shape ...int64) *Tensor {
	t := &Tensor{DType: I32, Shape: append([]int64(nil), shape...), Data: make([]byte, 4*len(v))}
	for i, x := range v {
		binary.LittleEndian.PutUint32(t.Data[4*i:], uint32(x))
	}
	return t
}

// ScalarOf returns a scalar of type d nearest to v. Integers saturate.
func ScalarOf(d DType, v float64) *Tensor {
	t := NewTensor(d)
	t.SetFloat(0, v)
	return t
}

// Type returns the tensor's type.
func (t *Tensor) Type() Type { return Type{DType: t.DType, Shape: ShapeOf(t.Shape...)} }

func (t *Tensor) equal(u *Tensor) bool {
	return t.DType == u.DType && slices.Equal(t.Shape, u.Shape) && bytes.Equal(t.Data, u.Data)
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	if s := t.DType.Size(); s > 0 {
		return len(t.Data) / s
	}
	return 0
}

// Float returns element i, flattened, as a float64. 64-bit integers beyond 2^53
// are rounded; use Int for those.
func (t *Tensor) Float(i int) float64 {
	switch t.DType {
	case F64:
		return math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:]))
	case F32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:])))
	case BF16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(t.Data[2*i:])) << 16))
	case F16:
		return float64(HalfToFloat32(binary.LittleEndian.Uint16(t.Data[2*i:])))
	case U64:
		return float64(binary.LittleEndian.Uint64(t.Data[8*i:]))
	}
	return float64(t.Int(i))
}

// Int returns element i, flattened, as an int64; floats are truncated and
// saturate, u64 keeps its bits.
func (t *Tensor) Int(i int) int64 {
	switch t.DType {
	case I64, U64:
		return int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
	case I32:
		return int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
	case U32:
		return int64(binary.LittleEndian.Uint32(t.Data[4*i:]))
	case I8:
		return int64(int8(t.Data[i]))
	case U8, Bool:
		return int64(t.Data[i])
	}
	return saturate(t.Float(i), math.MinInt64, math.MaxInt64)
}

// SetFloat stores v in element i, rounded to nearest for narrower floats,
// truncated and saturated for integers, NaN to 0 for integers.
func (t *Tensor) SetFloat(i int, v float64) {
	switch t.DType {
	case F64:
		binary.LittleEndian.PutUint64(t.Data[8*i:], math.Float64bits(v))
	case F32:
		binary.LittleEndian.PutUint32(t.Data[4*i:], math.Float32bits(float32(v)))
	case BF16:
		binary.LittleEndian.PutUint16(t.Data[2*i:], Float32ToBF16(float32(v)))
	case F16:
		binary.LittleEndian.PutUint16(t.Data[2*i:], Float32ToHalf(float32(v)))
	case U64:
		u := uint64(0)
		switch {
		case v >= math.MaxUint64:
			u = math.MaxUint64
		case v > 0:
			u = uint64(v)
		}
		binary.LittleEndian.PutUint64(t.Data[8*i:], u)
	case Bool:
		t.Data[i] = 0
		if v != 0 {
			t.Data[i] = 1
		}
	default:
		t.SetInt(i, saturate(v, math.MinInt64, math.MaxInt64))
	}
}

// SetInt stores v in element i, saturated to the element type's range.
func (t *Tensor) SetInt(i int, v int64) {
	switch t.DType {
	case I64, U64:
		binary.LittleEndian.PutUint64(t.Data[8*i:], uint64(v))
	case I32:
		binary.LittleEndian.PutUint32(t.Data[4*i:], uint32(int32(min(max(v, math.MinInt32), math.MaxInt32))))
	case U32:
		binary.LittleEndian.PutUint32(t.Data[4*i:], uint32(min(max(v, 0), math.MaxUint32)))
	case I8:
		t.Data[i] = byte(int8(min(max(v, math.MinInt8), math.MaxInt8)))
	case U8:
		t.Data[i] = byte(min(max(v, 0), math.MaxUint8))
	case Bool:
		t.Data[i] = 0
		if v != 0 {
			t.Data[i] = 1
		}
	default:
		t.SetFloat(i, float64(v))
	}
}

func saturate(v float64, lo, hi int64) int64 {
	switch {
	case v != v:
		return 0
	case v <= float64(lo):
		return lo
	case v >= float64(hi):
		return hi
	}
	return int64(v)
}

// Float32ToBF16 rounds to nearest, ties to even; NaN stays a quiet NaN.
func Float32ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + (b>>16)&1) >> 16)
}

// Float32ToHalf rounds to IEEE binary16, nearest, ties to even.
func Float32ToHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	exp := int32(b>>23) & 0xff
	man := b & 0x7fffff
	switch {
	case exp == 0xff:
		if man != 0 {
			return sign | 0x7e00 | uint16(man>>13)
		}
		return sign | 0x7c00
	case exp-127 > 15:
		return sign | 0x7c00
	case exp-127 >= -14:
		h := uint32(exp-127+15)<<10 | man>>13
		rest := man & 0x1fff
		if rest > 0x1000 || rest == 0x1000 && h&1 == 1 {
			h++
		}
		return sign | uint16(h)
	case exp-127 >= -25:
		man |= 0x800000
		shift := uint32(-14 - (exp - 127) + 13)
		h := man >> shift
		rest := man & (1<<shift - 1)
		half := uint32(1) << (shift - 1)
		if rest > half || rest == half && h&1 == 1 {
			h++
		}
		return sign | uint16(h)
	}
	return sign
}

// HalfToFloat32 widens an IEEE binary16; exact.
func HalfToFloat32(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h>>10) & 0x1f
	man := uint32(h & 0x3ff)
	switch {
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
	}
	v := float32(man) * (1.0 / (1 << 24))
	if sign != 0 {
		v = -v
	}
	return v
}
