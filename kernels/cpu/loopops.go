package cpu

import (
	"math"
	"unsafe"

	"github.com/hone-ml/hone/sdk/graph"
)

type number interface {
	~float64 | ~float32 | ~int64 | ~int32 | ~int8 | ~uint64 | ~uint32 | ~uint8
}

type integer interface {
	~int64 | ~int32 | ~int8 | ~uint64 | ~uint32 | ~uint8
}

type float interface{ ~float64 | ~float32 }

func unary[T, R any](f func(T) R) loopFunc {
	return func(dst, a, _, _ unsafe.Pointer, n int) {
		d, x := unsafe.Slice((*R)(dst), n), unsafe.Slice((*T)(a), n)
		for i := range d {
			d[i] = f(x[i])
		}
	}
}

func zip[T, R any](f func(T, T) R) loopFunc {
	return func(dst, a, b, _ unsafe.Pointer, n int) {
		d, x, y := unsafe.Slice((*R)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
		for i := range d {
			d[i] = f(x[i], y[i])
		}
	}
}

func addT[T number](dst, a, b, _ unsafe.Pointer, n int) {
	d, x, y := unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		d[i] = x[i] + y[i]
	}
}

func subT[T number](dst, a, b, _ unsafe.Pointer, n int) {
	d, x, y := unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		d[i] = x[i] - y[i]
	}
}

func mulT[T number](dst, a, b, _ unsafe.Pointer, n int) {
	d, x, y := unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		d[i] = x[i] * y[i]
	}
}

func divFloatT[T float](dst, a, b, _ unsafe.Pointer, n int) {
	d, x, y := unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		d[i] = x[i] / y[i]
	}
}

func maxT[T number](dst, a, b, _ unsafe.Pointer, n int) {
	d, x, y := unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		d[i] = max(x[i], y[i])
	}
}

func minT[T number](dst, a, b, _ unsafe.Pointer, n int) {
	d, x, y := unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		d[i] = min(x[i], y[i])
	}
}

func selectT[T any](dst, p, a, b unsafe.Pointer, n int) {
	d, q := unsafe.Slice((*T)(dst), n), unsafe.Slice((*uint8)(p), n)
	x, y := unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		if q[i] != 0 {
			d[i] = x[i]
		} else {
			d[i] = y[i]
		}
	}
}

func copyT[T any](dst, a, _, _ unsafe.Pointer, n int) {
	copy(unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(a), n))
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func equalT[T number](dst, a, b, _ unsafe.Pointer, n int) {
	d, x, y := unsafe.Slice((*uint8)(dst), n), unsafe.Slice((*T)(a), n), unsafe.Slice((*T)(b), n)
	for i := range d {
		d[i] = b2u(x[i] == y[i])
	}
}

func compareFunc[T number](d graph.Direction) loopFunc {
	switch d {
	case graph.Eq:
		return equalT[T]
	case graph.Ne:
		return zip(func(x, y T) uint8 { return b2u(x != y) })
	case graph.Lt:
		return zip(func(x, y T) uint8 { return b2u(x < y) })
	case graph.Le:
		return zip(func(x, y T) uint8 { return b2u(x <= y) })
	case graph.Gt:
		return zip(func(x, y T) uint8 { return b2u(x > y) })
	}
	return zip(func(x, y T) uint8 { return b2u(x >= y) })
}

// byType returns the function for d out of one instantiation per type, nil
// where there is none.
type byType struct{ f64, f32, i64, i32, i8, u64, u32, u8, boolean loopFunc }

func (t byType) of(d graph.DType) loopFunc {
	switch d {
	case graph.F64:
		return t.f64
	case graph.F32:
		return t.f32
	case graph.I64:
		return t.i64
	case graph.I32:
		return t.i32
	case graph.I8:
		return t.i8
	case graph.U64:
		return t.u64
	case graph.U32:
		return t.u32
	case graph.U8:
		return t.u8
	case graph.Bool:
		return t.boolean
	}
	return nil
}

// float1 widens f32 to compute f in float64, so that one line defines both.
func float1(f func(float64) float64) byType {
	return byType{f64: unary(f), f32: unary(func(x float32) float32 { return float32(f(float64(x))) })}
}

func float2(f func(x, y float64) float64) (f64, f32 loopFunc) {
	return zip(f), zip(func(x, y float32) float32 { return float32(f(float64(x), float64(y))) })
}

func divInt[T integer](x, y T) T {
	if y == 0 {
		return 0
	}
	return x / y
}

func remInt[T integer](x, y T) T {
	if y == 0 {
		return 0
	}
	return x % y
}

// powInt raises by squaring and wraps; a negative exponent gives 1/x^-y
// truncated: 0, or what 1 and -1 give.
func powInt[T integer](x, y T) T {
	if y < 0 {
		switch {
		case x == 1:
			return 1
		case x+1 == 0 && y&1 != 0:
			return x
		case x+1 == 0:
			return 1
		}
		return 0
	}
	r := T(1)
	for ; y != 0; y >>= 1 {
		if y&1 != 0 {
			r *= x
		}
		x *= x
	}
	return r
}

func shlT[T integer](x, y T) T {
	w := T(unsafe.Sizeof(x) * 8)
	if y < 0 || y >= w {
		return 0
	}
	return x << y
}

func shrT[T integer](x, y T) T {
	w := T(unsafe.Sizeof(x) * 8)
	if y < 0 || y >= w {
		if x < 0 {
			var minusOne T
			return minusOne - 1
		}
		return 0
	}
	return x >> y
}

func sign[T number](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		var zero T
		return zero - 1
	}
	return x // zero keeps its sign, NaN stays
}

// sign32 and sign64 look at bits, for which denormal numbers are not zero.
func sign32(x float32) float32 {
	b := math.Float32bits(x)
	if b<<1 == 0 || b&^(1<<31) > 0x7f800000 {
		return x
	}
	return math.Float32frombits(b&(1<<31) | 0x3f800000)
}

func sign64(x float64) float64 {
	b := math.Float64bits(x)
	if b<<1 == 0 || b&^(1<<63) > 0x7ff0000000000000 {
		return x
	}
	return math.Float64frombits(b&(1<<63) | 0x3ff0000000000000)
}

func abs[T number](x T) T {
	if x < 0 {
		return -x
	}
	return x + 0
}

func ints(f64, f32 loopFunc, i64 func(x, y int64) int64, i32 func(x, y int32) int32, i8 func(x, y int8) int8,
	u64 func(x, y uint64) uint64, u32 func(x, y uint32) uint32, u8 func(x, y uint8) uint8) byType {
	return byType{f64: f64, f32: f32, i64: zip(i64), i32: zip(i32), i8: zip(i8), u64: zip(u64), u32: zip(u32), u8: zip(u8)}
}

func bits(i64 func(x, y int64) int64, i32 func(x, y int32) int32, i8 func(x, y int8) int8, u8 func(x, y uint8) uint8) byType {
	t := byType{i64: zip(i64), i32: zip(i32), i8: zip(i8), u8: zip(u8), boolean: zip(u8)}
	t.u64, t.u32 = t.i64, t.i32
	return t
}

// loopFuncs are the elementwise ops but compare, select and convert.
var loopFuncs = makeLoopFuncs()

func makeLoopFuncs() map[graph.Op]byType {
	remF64, remF32 := float2(math.Mod)
	powF64, powF32 := float2(math.Pow)
	erf := float1(math.Erf)
	return map[graph.Op]byType{
		graph.OpAdd: {addT[float64], addT[float32], addT[int64], addT[int32], addT[int8], addT[uint64], addT[uint32], addT[uint8], nil},
		graph.OpSub: {subT[float64], subT[float32], subT[int64], subT[int32], subT[int8], subT[uint64], subT[uint32], subT[uint8], nil},
		graph.OpMul: {mulT[float64], mulT[float32], mulT[int64], mulT[int32], mulT[int8], mulT[uint64], mulT[uint32], mulT[uint8], nil},
		graph.OpMax: {maxT[float64], maxT[float32], maxT[int64], maxT[int32], maxT[int8], maxT[uint64], maxT[uint32], maxT[uint8], nil},
		graph.OpMin: {minT[float64], minT[float32], minT[int64], minT[int32], minT[int8], minT[uint64], minT[uint32], minT[uint8], nil},
		graph.OpDiv: ints(divFloatT[float64], divFloatT[float32], divInt[int64], divInt[int32], divInt[int8], divInt[uint64], divInt[uint32], divInt[uint8]),
		graph.OpRem: ints(remF64, remF32, remInt[int64], remInt[int32], remInt[int8], remInt[uint64], remInt[uint32], remInt[uint8]),
		graph.OpPow: ints(powF64, powF32, powInt[int64], powInt[int32], powInt[int8], powInt[uint64], powInt[uint32], powInt[uint8]),
		graph.OpShl: ints(nil, nil, shlT[int64], shlT[int32], shlT[int8], shlT[uint64], shlT[uint32], shlT[uint8]),
		graph.OpShr: ints(nil, nil, shrT[int64], shrT[int32], shrT[int8], shrT[uint64], shrT[uint32], shrT[uint8]),
		graph.OpAnd: bits(func(x, y int64) int64 { return x & y }, func(x, y int32) int32 { return x & y }, func(x, y int8) int8 { return x & y }, func(x, y uint8) uint8 { return x & y }),
		graph.OpOr:  bits(func(x, y int64) int64 { return x | y }, func(x, y int32) int32 { return x | y }, func(x, y int8) int8 { return x | y }, func(x, y uint8) uint8 { return x | y }),
		graph.OpXor: bits(func(x, y int64) int64 { return x ^ y }, func(x, y int32) int32 { return x ^ y }, func(x, y int8) int8 { return x ^ y }, func(x, y uint8) uint8 { return x ^ y }),
		graph.OpNot: {
			i64: unary(func(x int64) int64 { return ^x }), u64: unary(func(x uint64) uint64 { return ^x }), i32: unary(func(x int32) int32 { return ^x }),
			u32: unary(func(x uint32) uint32 { return ^x }), i8: unary(func(x int8) int8 { return ^x }), u8: unary(func(x uint8) uint8 { return ^x }), boolean: unary(func(x uint8) uint8 { return x ^ 1 }),
		},
		graph.OpNeg: {
			unary(func(x float64) float64 { return -x }), unary(func(x float32) float32 { return -x }), unary(func(x int64) int64 { return -x }), unary(func(x int32) int32 { return -x }),
			unary(func(x int8) int8 { return -x }), unary(func(x uint64) uint64 { return -x }), unary(func(x uint32) uint32 { return -x }), unary(func(x uint8) uint8 { return -x }), nil,
		},
		graph.OpAbs: {
			unary(math.Abs), unary(func(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }), unary(abs[int64]), unary(abs[int32]),
			unary(abs[int8]), unary(abs[uint64]), unary(abs[uint32]), unary(abs[uint8]), nil,
		},
		graph.OpSign: {
			unary(sign64), unary(sign32), unary(sign[int64]), unary(sign[int32]), unary(sign[int8]), unary(sign[uint64]), unary(sign[uint32]), unary(sign[uint8]), nil,
		},
		graph.OpExp:     float1(math.Exp),
		graph.OpExpm1:   float1(math.Expm1),
		graph.OpLog:     float1(math.Log),
		graph.OpLog1p:   float1(math.Log1p),
		graph.OpSqrt:    float1(math.Sqrt),
		graph.OpRsqrt:   float1(func(x float64) float64 { return 1 / math.Sqrt(x) }),
		graph.OpTanh:    float1(math.Tanh),
		graph.OpSigmoid: float1(sigmoid),
		graph.OpErf:     erf,
		graph.OpSin:     float1(math.Sin),
		graph.OpCos:     float1(math.Cos),
		graph.OpFloor:   float1(math.Floor),
		graph.OpCeil:    float1(math.Ceil),
		graph.OpRound:   float1(math.RoundToEven),
		graph.OpIsFinite: {
			f64: unary(func(x float64) uint8 { return b2u(x-x == 0) }), f32: unary(func(x float32) uint8 { return b2u(x-x == 0) }),
		},
	}
}

// sigmoid avoids overflow on either side.
func sigmoid(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

func compareFor(d graph.DType, dir graph.Direction) loopFunc {
	switch d {
	case graph.F64:
		return compareFunc[float64](dir)
	case graph.F32:
		return compareFunc[float32](dir)
	case graph.I64:
		return compareFunc[int64](dir)
	case graph.I32:
		return compareFunc[int32](dir)
	case graph.I8:
		return compareFunc[int8](dir)
	case graph.U64:
		return compareFunc[uint64](dir)
	case graph.U32:
		return compareFunc[uint32](dir)
	case graph.U8, graph.Bool:
		return compareFunc[uint8](dir)
	}
	return nil
}

func selectFor(size int) loopFunc {
	switch size {
	case 1:
		return selectT[uint8]
	case 2:
		return selectT[uint16]
	case 4:
		return selectT[uint32]
	}
	return selectT[uint64]
}

func copyFor(size int) loopFunc {
	switch size {
	case 1:
		return copyT[uint8]
	case 2:
		return copyT[uint16]
	case 4:
		return copyT[uint32]
	}
	return copyT[uint64]
}
