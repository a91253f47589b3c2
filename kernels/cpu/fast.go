package cpu

import (
	"unsafe"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/vec"
	"github.com/hone-ml/hone/sdk/graph"
)

// f32s views n elements of memory; the kernels of package vec take slices.
func f32s(p unsafe.Pointer, n int) []float32 { return unsafe.Slice((*float32)(p), n) }

func vec1(f vec.Unary) loopFunc {
	if f == nil {
		return nil
	}
	return func(dst, a, _, _ unsafe.Pointer, n int) { f(f32s(dst, n), f32s(a, n)) }
}

func vec2(f vec.Binary) loopFunc {
	return func(dst, a, b, _ unsafe.Pointer, n int) { f(f32s(dst, n), f32s(a, n), f32s(b, n)) }
}

// right and left take the scalar operand from the first element of b, or of a.
func right(f vec.Scalar) loopFunc {
	return func(dst, a, b, _ unsafe.Pointer, n int) { f(f32s(dst, n), f32s(a, n), *(*float32)(b)) }
}

func left(f vec.Scalar) loopFunc {
	return func(dst, a, b, _ unsafe.Pointer, n int) { f(f32s(dst, n), f32s(b, n), *(*float32)(a)) }
}

func compareVec(f vec.Compare, swap bool) loopFunc {
	return func(dst, a, b, _ unsafe.Pointer, n int) {
		if swap {
			a, b = b, a
		}
		f(unsafe.Slice((*uint8)(dst), n), f32s(a, n), f32s(b, n))
	}
}

// fastFunc returns the kernel set's own function for an elementwise node, nil
// where it has none. scalar says which operands hold one element throughout.
func fastFunc(k *vec.Kernels, n *graph.Node, in, out graph.DType, scalar [3]bool) loopFunc {
	switch n.Op {
	case graph.OpConvert:
		return fastConvert(k, in, out)
	case graph.OpSelect:
		if out == graph.F32 {
			return func(dst, p, a, b unsafe.Pointer, n int) {
				k.Select(f32s(dst, n), unsafe.Slice((*uint8)(p), n), f32s(a, n), f32s(b, n))
			}
		}
		return nil
	}
	if in != graph.F32 {
		return nil
	}
	switch n.Op {
	case graph.OpCompare:
		switch n.Attrs.(*graph.CompareAttrs).Direction {
		case graph.Eq:
			return compareVec(k.Equal, false)
		case graph.Ne:
			return compareVec(k.NotEqual, false)
		case graph.Lt:
			return compareVec(k.Less, false)
		case graph.Le:
			return compareVec(k.LessEqual, false)
		case graph.Gt:
			return compareVec(k.Less, true)
		}
		return compareVec(k.LessEqual, true)
	case graph.OpNeg:
		return vec1(k.Neg)
	case graph.OpAbs:
		return vec1(k.Abs)
	case graph.OpExp:
		return vec1(k.Exp)
	case graph.OpExpm1:
		return vec1(k.Expm1)
	case graph.OpLog:
		return vec1(k.Log)
	case graph.OpLog1p:
		return vec1(k.Log1p)
	case graph.OpSqrt:
		return vec1(k.Sqrt)
	case graph.OpRsqrt:
		return vec1(k.Rsqrt)
	case graph.OpTanh:
		return vec1(k.Tanh)
	case graph.OpSigmoid:
		return vec1(k.Sigmoid)
	case graph.OpErf:
		return vec1(k.Erf)
	}
	forms := map[graph.Op]struct {
		both        vec.Binary
		right, left vec.Scalar
	}{
		graph.OpAdd: {k.Add, k.AddScalar, k.AddScalar},
		graph.OpSub: {k.Sub, k.SubScalar, k.ScalarSub},
		graph.OpMul: {k.Mul, k.MulScalar, k.MulScalar},
		graph.OpDiv: {k.Div, k.DivScalar, k.ScalarDiv},
		graph.OpMax: {k.Max, k.MaxScalar, k.MaxScalar},
		graph.OpMin: {k.Min, k.MinScalar, k.MinScalar},
	}
	f, ok := forms[n.Op]
	switch {
	case !ok:
		return nil
	case scalar[1]:
		return right(f.right)
	case scalar[0]:
		return left(f.left)
	}
	return vec2(f.both)
}

// takesScalar reports whether the fast form of a node reads one element of its
// operands that hold one throughout.
func takesScalar(n *graph.Node, in graph.DType) bool {
	switch n.Op {
	case graph.OpAdd, graph.OpSub, graph.OpMul, graph.OpDiv, graph.OpMax, graph.OpMin:
		return in == graph.F32
	}
	return false
}

func fastConvert(k *vec.Kernels, in, out graph.DType) loopFunc {
	type pair struct{ in, out graph.DType }
	switch (pair{in, out}) {
	case pair{graph.F32, graph.BF16}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.ToBF16(unsafe.Slice((*uint16)(d), n), f32s(a, n)) }
	case pair{graph.F32, graph.F16}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.ToF16(unsafe.Slice((*uint16)(d), n), f32s(a, n)) }
	case pair{graph.BF16, graph.F32}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.FromBF16(f32s(d, n), unsafe.Slice((*uint16)(a), n)) }
	case pair{graph.F16, graph.F32}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.FromF16(f32s(d, n), unsafe.Slice((*uint16)(a), n)) }
	case pair{graph.F32, graph.F64}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.ToF64(unsafe.Slice((*float64)(d), n), f32s(a, n)) }
	case pair{graph.F64, graph.F32}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.FromF64(f32s(d, n), unsafe.Slice((*float64)(a), n)) }
	case pair{graph.F32, graph.I8}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.ToI8(unsafe.Slice((*int8)(d), n), f32s(a, n)) }
	case pair{graph.F32, graph.U8}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.ToU8(unsafe.Slice((*uint8)(d), n), f32s(a, n)) }
	case pair{graph.F32, graph.I32}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.ToI32(unsafe.Slice((*int32)(d), n), f32s(a, n)) }
	case pair{graph.U8, graph.F32}, pair{graph.Bool, graph.F32}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.FromU8(f32s(d, n), unsafe.Slice((*uint8)(a), n)) }
	case pair{graph.I8, graph.F32}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.FromI8(f32s(d, n), unsafe.Slice((*int8)(a), n)) }
	case pair{graph.I32, graph.F32}:
		return func(d, a, _, _ unsafe.Pointer, n int) { k.FromI32(f32s(d, n), unsafe.Slice((*int32)(a), n)) }
	}
	return nil
}
