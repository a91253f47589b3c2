package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

var allTypes = []graph.DType{graph.F32, graph.F64, graph.BF16, graph.F16, graph.I64, graph.I32, graph.I8, graph.U64, graph.U32, graph.U8, graph.Bool}

// dice makes data; the same seed makes the same.
type dice struct{ *rand.Rand }

func newDice(seed uint64) dice { return dice{rand.New(rand.NewPCG(seed, 0x686f6e65))} }

// uniform returns floats between lo and hi, or integers of the whole range
// where lo == hi, else between lo and hi.
func (r dice) uniform(d graph.DType, lo, hi float64, shape ...int64) *graph.Tensor {
	t := graph.NewTensor(d, shape...)
	for i := range t.Len() {
		switch {
		case d == graph.Bool:
			t.SetInt(i, int64(r.IntN(2)))
		case d.IsFloat():
			t.SetFloat(i, lo+(hi-lo)*r.Float64())
		case lo == hi:
			x := r.Uint64()
			for k := range d.Size() {
				t.Data[i*d.Size()+k] = byte(x >> (8 * k))
			}
		default:
			t.SetInt(i, int64(math.Floor(lo+(hi-lo)*r.Float64())))
		}
	}
	return t
}

// normal returns floats near 1 in size, or small integers.
func (r dice) normal(d graph.DType, shape ...int64) *graph.Tensor {
	t := graph.NewTensor(d, shape...)
	for i := range t.Len() {
		switch {
		case d.IsFloat():
			t.SetFloat(i, r.NormFloat64())
		case d == graph.Bool:
			t.SetInt(i, int64(r.IntN(2)))
		case d.IsUnsigned():
			t.SetInt(i, int64(r.IntN(20)))
		default:
			t.SetInt(i, int64(r.IntN(41)-20))
		}
	}
	return t
}

// indices returns integers in [lo, hi), of a type that holds them.
func (r dice) indices(d graph.DType, lo, hi int64, shape ...int64) *graph.Tensor {
	t := graph.NewTensor(d, shape...)
	for i := range t.Len() {
		t.SetInt(i, lo+r.Int64N(hi-lo))
	}
	return t
}

// shapes that hurt: no axes, extents of 0 and 1, odd primes, many axes.
var shapes = [][]int64{{}, {1}, {0}, {7}, {17}, {1, 1, 1}, {3, 0, 2}, {13, 19}, {2, 3, 5, 7}, {1031}, {1, 2, 1, 3, 1, 2, 1, 2}}

func someShapes(d graph.DType) [][]int64 {
	switch {
	case Long():
		return append(slices.Clone(shapes), []int64{100003}, []int64{257, 383})
	case d == graph.F32:
		return append(slices.Clone(shapes), []int64{5003})
	}
	return [][]int64{{}, {0}, {7}, {13, 19}, {2, 3, 5, 7}}
}

// domains are where the functions of one float are tried.
var domains = map[graph.Op][2]float64{
	graph.OpExp: {-20, 20}, graph.OpExpm1: {-5, 10}, graph.OpLog: {1e-3, 100}, graph.OpLog1p: {-0.99, 50},
	graph.OpSqrt: {0, 1000}, graph.OpRsqrt: {1e-4, 1000}, graph.OpTanh: {-6, 6}, graph.OpSigmoid: {-15, 15}, graph.OpErf: {-4, 4},
	graph.OpSin: {-100, 100}, graph.OpCos: {-100, 100},
}

// cases calls f with op cases: every op, element type and shape.
func cases(r dice, f func(name string, op graph.Op, attrs graph.Attrs, in ...*graph.Tensor)) {
	for _, op := range graph.Ops() {
		for _, d := range allTypes {
			emit := func(name string, attrs graph.Attrs, in ...*graph.Tensor) {
				types := make([]graph.Type, len(in))
				for i, t := range in {
					types[i] = t.Type()
				}
				if _, err := graph.InferTypes(nil, graph.Any, op, types, attrs); err != nil {
					return // the op does not take this type
				}
				f(fmt.Sprintf("%v %v %s", op, d, name), op, attrs, in...)
			}
			casesOf(r, op, d, emit)
		}
	}
}

func casesOf(r dice, op graph.Op, d graph.DType, emit func(name string, attrs graph.Attrs, in ...*graph.Tensor)) {
	def := op.Def()
	switch def.Class {
	case graph.Elementwise:
		elementwiseCases(r, op, d, emit)
		return
	case graph.Contraction, graph.Window:
		windowCases(r, op, d, emit)
		return
	}
	n := func(v ...int64) []graph.DimExpr { return graph.ConstExprs(v...) }
	scalar := func(v float64) *graph.Tensor { return graph.ScalarOf(d, v) }
	x := r.normal(d, 5, 7, 3)
	switch op {
	case graph.OpConstant:
		for _, s := range someShapes(d) {
			emit(fmt.Sprint(s), &graph.ConstantAttrs{Value: r.normal(d, s...)})
		}
	case graph.OpIota:
		for axis := range int64(3) {
			emit(fmt.Sprint("axis ", axis), &graph.IotaAttrs{To: d, Axis: axis, Shape: n(3, 300, 2)})
		}
		emit("by reference", &graph.IotaAttrs{To: d, Axis: 0, Shape: []graph.DimExpr{graph.RefExpr(0, 1)}}, x)
	case graph.OpSize:
		emit("", &graph.SizeAttrs{Axis: 1}, x)
		emit("empty", &graph.SizeAttrs{Axis: 1}, graph.NewTensor(d, 2, 0))
	case graph.OpRandomBits:
		if d != graph.F32 {
			return
		}
		for _, s := range [][]int64{{}, {1}, {3}, {4}, {5, 7}, {0}, {257}} {
			key, step := r.uniform(graph.U64, 0, 0), r.uniform(graph.U64, 0, 0)
			emit(fmt.Sprint(s), &graph.RandomBitsAttrs{Shape: n(s...)}, key, step, graph.Int64s([]int64{0, 1, 1 << 33, 5, math.MaxInt64}, 5))
			emit(fmt.Sprint("no examples ", s), &graph.RandomBitsAttrs{Shape: n(s...)}, key, step, graph.NewTensor(graph.I64, 0))
		}
	case graph.OpReduce:
		for _, kind := range []graph.ReduceKind{graph.Sum, graph.Prod, graph.Max, graph.Min, graph.All, graph.Some} {
			for _, axes := range [][]int64{{}, {0}, {1}, {2}, {0, 2}, {1, 2}, {0, 1}, {0, 1, 2}} {
				emit(fmt.Sprint(kind, axes), &graph.ReduceAttrs{Kind: kind, Axes: axes}, x)
			}
			emit(fmt.Sprint(kind, " of nothing"), &graph.ReduceAttrs{Kind: kind, Axes: []int64{1}}, graph.NewTensor(d, 3, 0, 2))
			emit(fmt.Sprint(kind, " to nothing"), &graph.ReduceAttrs{Kind: kind, Axes: []int64{1}}, graph.NewTensor(d, 3, 4, 0))
			emit(fmt.Sprint(kind, " rank 8"), &graph.ReduceAttrs{Kind: kind, Axes: []int64{1, 3, 6}}, r.normal(d, 2, 3, 1, 2, 2, 1, 3, 2))
			emit(fmt.Sprint(kind, " scalar"), &graph.ReduceAttrs{Kind: kind}, r.normal(d))
			if d == graph.F32 || Long() {
				emit(fmt.Sprint(kind, " long"), &graph.ReduceAttrs{Kind: kind, Axes: []int64{0}}, r.uniform(d, 0.99, 1.01, 40009))
				emit(fmt.Sprint(kind, " tall"), &graph.ReduceAttrs{Kind: kind, Axes: []int64{0}}, r.normal(d, 1009, 17))
				emit(fmt.Sprint(kind, " broad"), &graph.ReduceAttrs{Kind: kind, Axes: []int64{1}}, r.normal(d, 17, 1009))
			}
		}
	case graph.OpArgReduce:
		for _, kind := range []graph.ReduceKind{graph.Max, graph.Min} {
			for axis := range int64(3) {
				emit(fmt.Sprint(kind, axis), &graph.ArgAttrs{Kind: kind, Axis: axis}, r.uniform(d, -3, 4, 5, 40, 3))
			}
			emit(fmt.Sprint(kind, " equal"), &graph.ArgAttrs{Kind: kind}, r.uniform(d, 1, 1, 33))
			emit(fmt.Sprint(kind, " one"), &graph.ArgAttrs{Kind: kind, Axis: 1}, r.normal(d, 3, 1))
			emit(fmt.Sprint(kind, " to nothing"), &graph.ArgAttrs{Kind: kind, Axis: 1}, graph.NewTensor(d, 0, 4))
		}
	case graph.OpSort:
		for _, down := range []bool{false, true} {
			for axis := range int64(3) {
				keys := r.indices(graph.I32, 0, 5, 4, 11, 3) // many ties
				k := graph.NewTensor(d, 4, 11, 3)
				for i := range k.Len() {
					k.SetInt(i, keys.Int(i))
				}
				emit(fmt.Sprint(axis, down), &graph.SortAttrs{Axis: axis, Descending: down}, k, r.normal(graph.I32, 4, 11, 3), r.normal(graph.F64, 4, 11, 3))
			}
			emit(fmt.Sprint("random ", down), &graph.SortAttrs{Descending: down}, r.uniform(d, -9, 9, 301))
			emit(fmt.Sprint("nothing ", down), &graph.SortAttrs{Axis: 1, Descending: down}, graph.NewTensor(d, 3, 0))
		}
	case graph.OpTopK:
		for _, k := range []int64{0, 1, 3, 11} {
			emit(fmt.Sprint(k), &graph.TopKAttrs{K: k}, r.normal(d, 3, 11))
		}
	case graph.OpCumSum:
		for axis := range int64(3) {
			for m := range 4 {
				emit(fmt.Sprint(axis, m), &graph.CumSumAttrs{Axis: axis, Exclusive: m&1 == 1, Reverse: m&2 == 2}, x)
			}
		}
		emit("long", &graph.CumSumAttrs{}, r.normal(d, 5003))
		emit("nothing", &graph.CumSumAttrs{Axis: 1}, graph.NewTensor(d, 3, 0))
	case graph.OpReshape:
		emit("join", &graph.ReshapeAttrs{Shape: n(35, 3)}, x)
		emit("split", &graph.ReshapeAttrs{Shape: n(7, 1, 5, 3, 1)}, x)
		emit("by reference", &graph.ReshapeAttrs{Shape: []graph.DimExpr{graph.RefExpr(0, 2), {Terms: []graph.DimTerm{{Mul: 1, Div: 1, Factors: []graph.DimRef{{Operand: 0, Axis: 0}, {Operand: 0, Axis: 1}}}}}}}, x)
		emit("nothing", &graph.ReshapeAttrs{Shape: n(0, 9)}, graph.NewTensor(d, 3, 0))
		emit("scalar", &graph.ReshapeAttrs{Shape: n(1, 1)}, r.normal(d))
	case graph.OpTranspose:
		for _, p := range [][]int64{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			emit(fmt.Sprint(p), &graph.TransposeAttrs{Perm: p}, x)
		}
		emit("large", &graph.TransposeAttrs{Perm: []int64{1, 0}}, r.normal(d, 67, 131))
		emit("rank 8", &graph.TransposeAttrs{Perm: []int64{7, 2, 5, 0, 1, 6, 3, 4}}, r.normal(d, 2, 3, 1, 2, 2, 1, 3, 2))
		emit("nothing", &graph.TransposeAttrs{Perm: []int64{1, 0}}, graph.NewTensor(d, 0, 4))
	case graph.OpBroadcast:
		emit("leading", &graph.BroadcastAttrs{Dims: []int64{1, 2, 3}, Shape: n(4, 5, 7, 3)}, x)
		emit("trailing", &graph.BroadcastAttrs{Dims: []int64{0, 1, 2}, Shape: n(5, 7, 3, 4)}, x)
		emit("stretch", &graph.BroadcastAttrs{Dims: []int64{0, 1}, Shape: n(6, 9)}, r.normal(d, 6, 1))
		emit("scalar", &graph.BroadcastAttrs{Shape: n(3, 11)}, r.normal(d))
		emit("to nothing", &graph.BroadcastAttrs{Dims: []int64{1}, Shape: n(0, 3)}, r.normal(d, 3))
		emit("by reference", &graph.BroadcastAttrs{Dims: []int64{2}, Shape: []graph.DimExpr{graph.RefExpr(1, 0), graph.RefExpr(1, 1), graph.RefExpr(0, 0)}}, r.normal(d, 3), x)
	case graph.OpSlice:
		emit("", &graph.SliceAttrs{Start: n(1, 0, 0), Limit: n(4, 7, 2), Stride: []int64{1, 1, 1}}, x)
		emit("strided", &graph.SliceAttrs{Start: n(0, 1, 2), Limit: n(5, 7, 3), Stride: []int64{2, 3, 1}}, x)
		emit("nothing", &graph.SliceAttrs{Start: n(2, 0, 0), Limit: n(2, 7, 3), Stride: []int64{1, 1, 1}}, x)
	case graph.OpDynamicSlice:
		for _, s := range [][3]int64{{0, 0, 0}, {1, 2, 1}, {-9, 99, 3}, {math.MinInt32, math.MaxInt32, 1}} {
			starts := []*graph.Tensor{scalarInt(graph.I32, s[0]), scalarInt(graph.I64, s[1]), scalarInt(graph.I32, s[2])}
			emit(fmt.Sprint(s), &graph.DynamicSliceAttrs{Sizes: n(2, 3, 2)}, append([]*graph.Tensor{x}, starts...)...)
		}
		emit("u64", &graph.DynamicSliceAttrs{Sizes: n(2)}, r.normal(d, 9), scalarInt(graph.U64, -1))
	case graph.OpDynamicUpdateSlice:
		for _, s := range [][3]int64{{0, 0, 0}, {1, 2, 1}, {-9, 99, 3}} {
			emit(fmt.Sprint(s), nil, x, r.normal(d, 2, 3, 2), scalarInt(graph.I32, s[0]), scalarInt(graph.I64, s[1]), scalarInt(graph.I8, s[2]))
		}
	case graph.OpPad:
		emit("", &graph.PadAttrs{Low: n(1, 0, 2), High: n(0, 3, 1), Interior: []int64{0, 0, 0}}, x, scalar(3))
		emit("crop", &graph.PadAttrs{Low: n(-1, 2, 0), High: n(1, -4, -1), Interior: []int64{0, 0, 0}}, x, scalar(3))
		emit("interior", &graph.PadAttrs{Low: n(0, 1, -1), High: n(2, 0, 0), Interior: []int64{2, 1, 3}}, x, scalar(3))
		emit("of nothing", &graph.PadAttrs{Low: n(2), High: n(1), Interior: []int64{1}}, graph.NewTensor(d, 0), scalar(3))
	case graph.OpReverse:
		for _, a := range [][]int64{{}, {0}, {2}, {0, 1}, {0, 1, 2}} {
			emit(fmt.Sprint(a), &graph.ReverseAttrs{Axes: a}, x)
		}
	case graph.OpConcat:
		for axis := range int64(3) {
			s, z := []int64{5, 7, 3}, []int64{5, 7, 3}
			s[axis], z[axis] = 2, 0
			emit(fmt.Sprint(axis), &graph.ConcatAttrs{Axis: axis}, x, r.normal(d, s...), graph.NewTensor(d, z...), x)
		}
		emit("one", &graph.ConcatAttrs{}, x)
	case graph.OpGather:
		for axis := range int64(3) {
			for _, i := range []graph.DType{graph.I32, graph.I64, graph.I8, graph.U8} {
				emit(fmt.Sprint(axis, i), &graph.GatherAttrs{Axis: axis}, x, r.indices(i, 0, 5, 4, 2))
			}
			emit(fmt.Sprint(axis, " clamped"), &graph.GatherAttrs{Axis: axis}, x, r.indices(graph.I32, -9, 20, 6))
			emit(fmt.Sprint(axis, " scalar"), &graph.GatherAttrs{Axis: axis}, x, scalarInt(graph.I64, 2))
			emit(fmt.Sprint(axis, " none"), &graph.GatherAttrs{Axis: axis}, x, graph.NewTensor(graph.I32, 0))
		}
		emit("batched", &graph.GatherAttrs{Axis: 1, BatchDims: 1}, x, r.indices(graph.I32, 0, 7, 5, 2))
		emit("batched across", &graph.GatherAttrs{Axis: 2, BatchDims: 1}, x, r.indices(graph.I32, 0, 3, 5, 4))
		emit("batched twice", &graph.GatherAttrs{Axis: 2, BatchDims: 2}, x, r.indices(graph.I64, -1, 4, 5, 7))
		emit("u64", &graph.GatherAttrs{}, x, r.uniform(graph.U64, 0, 0, 3))
	case graph.OpScatterAdd:
		for axis := range int64(3) {
			s := []int64{5, 7, 3}
			s[axis] = 9
			emit(fmt.Sprint(axis), &graph.GatherAttrs{Axis: axis}, x, r.indices(graph.I32, -2, 8, 9), r.normal(d, s...))
			s[axis] = 0
			emit(fmt.Sprint(axis, " none"), &graph.GatherAttrs{Axis: axis}, x, graph.NewTensor(graph.I32, 0), graph.NewTensor(d, s...))
		}
		emit("batched", &graph.GatherAttrs{Axis: 1, BatchDims: 1}, x, r.indices(graph.I64, 0, 7, 5, 2), r.normal(d, 5, 2, 3))
		emit("one row", &graph.GatherAttrs{}, graph.NewTensor(d, 3, 2), r.indices(graph.I32, 1, 2, 301), r.normal(d, 301, 2))
	case graph.OpAllReduce:
		emit("of one", &graph.AllReduceAttrs{Kind: graph.Sum, Shards: 1, Order: "tree"}, x)
	}
}

func scalarInt(d graph.DType, v int64) *graph.Tensor {
	t := graph.NewTensor(d)
	t.SetInt(0, v)
	return t
}

func elementwiseCases(r dice, op graph.Op, d graph.DType, emit func(string, graph.Attrs, ...*graph.Tensor)) {
	lo, hi := -3.0, 3.0
	if dom, ok := domains[op]; ok {
		lo, hi = dom[0], dom[1]
		if d == graph.F16 && op == graph.OpExp {
			lo, hi = -9, 9
		}
	}
	data := func(s []int64) *graph.Tensor {
		if d.IsFloat() {
			return r.uniform(d, lo, hi, s...)
		}
		return r.uniform(d, 0, 0, s...)
	}
	for _, s := range someShapes(d) {
		name := fmt.Sprint(s)
		switch op {
		case graph.OpCompare:
			a, b := data(s), data(s)
			copy(b.Data[:len(b.Data)/2], a.Data) // some are equal
			for _, dir := range []graph.Direction{graph.Eq, graph.Ne, graph.Lt, graph.Le, graph.Gt, graph.Ge} {
				emit(name+" "+string(dir), &graph.CompareAttrs{Direction: dir}, a, b)
			}
		case graph.OpSelect:
			emit(name, nil, r.uniform(graph.Bool, 0, 0, s...), data(s), data(s))
		case graph.OpConvert, graph.OpBitcast:
			for _, to := range allTypes {
				emit(name+" to "+to.String(), &graph.ConvertAttrs{To: to}, data(s))
			}
		case graph.OpShl, graph.OpShr:
			amount := r.indices(d, -2, int64(d.Size()*8+2), s...)
			if d.IsUnsigned() {
				amount = r.indices(d, 0, int64(d.Size()*8+2), s...)
			}
			emit(name, nil, data(s), amount)
		case graph.OpPow:
			if d.IsFloat() {
				emit(name, nil, r.uniform(d, 0.1, 4, s...), data(s))
			} else {
				emit(name, nil, r.normal(d, s...), r.normal(d, s...))
			}
		case graph.OpDiv, graph.OpRem:
			b := data(s)
			if !d.IsFloat() && b.Len() > 2 {
				b.SetInt(0, 0)
				b.SetInt(1, -1)
			}
			emit(name, nil, data(s), b)
		default:
			if op.Def().MaxArgs == 1 {
				emit(name, nil, data(s))
			} else {
				emit(name, nil, data(s), data(s))
			}
		}
	}
}

func ones(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = 1
	}
	return out
}

func windowCases(r dice, op graph.Op, d graph.DType, emit func(string, graph.Attrs, ...*graph.Tensor)) {
	switch op {
	case graph.OpDot:
		dot := func(name string, a graph.DotAttrs, l, rt []int64) {
			emit(name, &a, r.normal(d, l...), r.normal(d, rt...))
		}
		nn := graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{0}}
		tn := graph.DotAttrs{LeftContract: []int64{0}, RightContract: []int64{0}}
		nt := graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{1}}
		sizes := [][3]int64{{1, 1, 1}, {3, 5, 7}, {0, 5, 7}, {3, 0, 7}, {3, 5, 0}, {17, 1, 33}, {1, 64, 1}, {37, 129, 65}}
		if d == graph.F32 {
			sizes = append(sizes, [][3]int64{{14, 300, 32}, {33, 784, 10}, {128, 31, 257}, {1, 1000, 3}}...)
		}
		for _, s := range sizes {
			m, k, n := s[0], s[1], s[2]
			dot(fmt.Sprint("nn ", s), nn, []int64{m, k}, []int64{k, n})
			dot(fmt.Sprint("tn ", s), tn, []int64{k, m}, []int64{k, n})
			dot(fmt.Sprint("nt ", s), nt, []int64{m, k}, []int64{n, k})
			tt := graph.DotAttrs{LeftContract: []int64{0}, RightContract: []int64{1}}
			dot(fmt.Sprint("tt ", s), tt, []int64{k, m}, []int64{n, k})
		}
		dot("batch", graph.DotAttrs{LeftBatch: []int64{0}, RightBatch: []int64{0}, LeftContract: []int64{2}, RightContract: []int64{1}}, []int64{3, 5, 7}, []int64{3, 7, 4})
		dot("batch inside", graph.DotAttrs{LeftBatch: []int64{1}, RightBatch: []int64{2}, LeftContract: []int64{2}, RightContract: []int64{1}}, []int64{5, 3, 7}, []int64{4, 7, 3})
		dot("two of each", graph.DotAttrs{LeftBatch: []int64{0, 2}, RightBatch: []int64{3, 1}, LeftContract: []int64{3, 4}, RightContract: []int64{4, 0}}, []int64{2, 3, 2, 4, 3}, []int64{3, 2, 3, 2, 4})
		dot("outer", graph.DotAttrs{}, []int64{5}, []int64{7})
		dot("vectors", graph.DotAttrs{LeftContract: []int64{0}, RightContract: []int64{0}}, []int64{101}, []int64{101})
		dot("scalars", graph.DotAttrs{}, nil, nil)
		dot("one free", graph.DotAttrs{LeftContract: []int64{2}, RightContract: []int64{0}}, []int64{2, 3, 5}, []int64{5})
		dot("highest", graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{0}, Precision: graph.Highest}, []int64{9, 40}, []int64{40, 8})
		dot("fast", graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{0}, Precision: graph.Fast}, []int64{9, 40}, []int64{40, 8})
		for _, out := range allTypes {
			dot("to "+out.String(), graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{0}, Accum: out, Out: out}, []int64{9, 40}, []int64{40, 8})
		}
	case graph.OpConv, graph.OpConvInputGrad, graph.OpConvFilterGrad:
		convCases(r, op, d, emit)
	case graph.OpReduceWindow, graph.OpReduceWindowGrad:
		pool := func(name string, shape, window, stride, low, high, dilation []int64) {
			for _, kind := range []graph.ReduceKind{graph.Sum, graph.Max, graph.Min} {
				a := &graph.WindowAttrs{Kind: kind, Window: window, Strides: stride, PadLow: low, PadHigh: high, Dilation: dilation}
				x := r.indices(graph.I32, 0, 4, shape...) // ties
				v := graph.NewTensor(d, shape...)
				for i := range v.Len() {
					v.SetInt(i, x.Int(i))
				}
				if op == graph.OpReduceWindow {
					emit(name+" "+string(kind), a, v)
					continue
				}
				out, err := graph.InferTypes(nil, graph.Any, graph.OpReduceWindow, []graph.Type{v.Type()}, a)
				if err != nil {
					continue
				}
				s, _ := out[0].Shape.Const()
				emit(name+" "+string(kind), a, v, r.normal(d, s...))
			}
		}
		zero := make([]int64, 8)
		pool("2x2", []int64{2, 6, 8, 3}, []int64{1, 2, 2, 1}, []int64{1, 2, 2, 1}, zero[:4], zero[:4], ones(4))
		pool("3x3 overlapping, padded", []int64{1, 7, 6, 5}, []int64{1, 3, 3, 1}, []int64{1, 2, 1, 1}, []int64{0, 1, 1, 0}, []int64{0, 1, 0, 0}, ones(4))
		pool("dilated", []int64{1, 8, 7, 1}, []int64{1, 2, 3, 1}, []int64{1, 1, 2, 1}, []int64{0, 0, 1, 0}, []int64{0, 1, 1, 0}, []int64{1, 3, 2, 1})
		pool("1d", []int64{17}, []int64{5}, []int64{3}, []int64{4}, []int64{4}, []int64{1})
		pool("whole", []int64{2, 4, 4, 3}, []int64{1, 4, 4, 1}, ones(4), zero[:4], zero[:4], ones(4))
		pool("batch and channels", []int64{3, 2, 2, 4}, []int64{2, 1, 2, 3}, ones(4), zero[:4], zero[:4], ones(4))
		pool("padding alone", []int64{2}, []int64{2}, []int64{1}, []int64{3}, []int64{0}, []int64{1})
		pool("3d", []int64{1, 4, 3, 5, 2}, []int64{1, 2, 2, 2, 1}, []int64{1, 2, 1, 1, 1}, zero[:5], []int64{0, 0, 1, 0, 0}, ones(5))
		pool("no examples", []int64{0, 4, 4, 3}, []int64{1, 2, 2, 1}, []int64{1, 2, 2, 1}, zero[:4], zero[:4], ones(4))
	}
}

func convCases(r dice, op graph.Op, d graph.DType, emit func(string, graph.Attrs, ...*graph.Tensor)) {
	conv := func(name string, x, w []int64, a graph.ConvAttrs) {
		n := len(x) - 2
		for _, l := range []*[]int64{&a.Strides, &a.InputDilation, &a.FilterDilation} {
			if *l == nil {
				*l = ones(n)
			}
		}
		for _, l := range []*[]int64{&a.PadLow, &a.PadHigh} {
			if *l == nil {
				*l = make([]int64, n)
			}
		}
		a.Groups = max(a.Groups, 1)
		out, err := graph.InferTypes(nil, graph.Any, graph.OpConv, []graph.Type{graph.T(d, x...), graph.T(d, w...)}, &a)
		if err != nil {
			return
		}
		y, _ := out[0].Shape.Const()
		switch op {
		case graph.OpConv:
			emit(name, &a, r.normal(d, x...), r.normal(d, w...))
		case graph.OpConvInputGrad:
			emit(name, &a, r.normal(d, y...), r.normal(d, w...), r.normal(d, x...))
		default:
			emit(name, &a, r.normal(d, x...), r.normal(d, y...), r.normal(d, w...))
		}
	}
	one := []int64{1, 1}
	conv("same", []int64{2, 7, 6, 3}, []int64{3, 3, 3, 5}, graph.ConvAttrs{PadLow: one, PadHigh: one})
	conv("valid", []int64{1, 8, 9, 4}, []int64{3, 2, 4, 7}, graph.ConvAttrs{})
	conv("strided", []int64{2, 9, 8, 3}, []int64{3, 3, 3, 4}, graph.ConvAttrs{Strides: []int64{2, 3}, PadLow: []int64{0, 1}, PadHigh: []int64{1, 1}})
	conv("pointwise", []int64{2, 5, 5, 17}, []int64{1, 1, 17, 33}, graph.ConvAttrs{})
	conv("pointwise strided", []int64{1, 7, 7, 8}, []int64{1, 1, 8, 9}, graph.ConvAttrs{Strides: []int64{2, 2}})
	conv("groups", []int64{1, 5, 6, 6}, []int64{2, 3, 2, 9}, graph.ConvAttrs{Groups: 3, PadLow: one, PadHigh: one})
	conv("depthwise", []int64{2, 7, 7, 11}, []int64{3, 3, 1, 11}, graph.ConvAttrs{Groups: 11, PadLow: one, PadHigh: one})
	conv("depthwise strided", []int64{1, 8, 8, 16}, []int64{3, 3, 1, 16}, graph.ConvAttrs{Groups: 16, Strides: []int64{2, 2}, PadLow: []int64{0, 0}, PadHigh: one})
	conv("depth multiplier", []int64{1, 5, 5, 3}, []int64{3, 3, 1, 6}, graph.ConvAttrs{Groups: 3, PadLow: one, PadHigh: one})
	conv("dilated", []int64{1, 9, 9, 2}, []int64{3, 2, 2, 3}, graph.ConvAttrs{FilterDilation: []int64{2, 3}, PadLow: one, PadHigh: one})
	conv("spread", []int64{1, 4, 3, 2}, []int64{3, 3, 2, 2}, graph.ConvAttrs{InputDilation: []int64{2, 3}, PadLow: []int64{2, 1}, PadHigh: []int64{1, 2}})
	conv("cropped", []int64{1, 6, 6, 2}, []int64{2, 2, 2, 3}, graph.ConvAttrs{PadLow: []int64{-1, 0}, PadHigh: []int64{0, -2}})
	conv("1d", []int64{2, 11, 3}, []int64{4, 3, 5}, graph.ConvAttrs{Strides: []int64{3}, PadLow: []int64{2}, PadHigh: []int64{1}})
	conv("3d", []int64{1, 4, 5, 3, 2}, []int64{2, 3, 2, 2, 3}, graph.ConvAttrs{Strides: []int64{2, 1, 1}, PadLow: []int64{0, 1, 1}, PadHigh: []int64{0, 1, 0}})
	conv("no examples", []int64{0, 5, 5, 3}, []int64{3, 3, 3, 4}, graph.ConvAttrs{})
	conv("one pixel", []int64{1, 1, 1, 1}, []int64{1, 1, 1, 1}, graph.ConvAttrs{})
	conv("fast", []int64{1, 5, 5, 3}, []int64{3, 3, 3, 4}, graph.ConvAttrs{Precision: graph.Fast})
	conv("wide", []int64{1, 5, 5, 3}, []int64{3, 3, 3, 4}, graph.ConvAttrs{Accum: graph.I32, Out: graph.I32})
	if d == graph.F32 {
		conv("stem", []int64{1, 31, 29, 3}, []int64{7, 7, 3, 16}, graph.ConvAttrs{Strides: []int64{2, 2}, PadLow: []int64{3, 3}, PadHigh: []int64{3, 3}})
		conv("deep", []int64{2, 7, 7, 64}, []int64{3, 3, 64, 48}, graph.ConvAttrs{PadLow: one, PadHigh: one})
	}
}
