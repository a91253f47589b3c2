package kerneltest

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

func testOps(t *testing.T, h *harness) {
	ran, tried := map[graph.Op]int{}, map[graph.Op]int{}
	cases(newDice(h.options.Seed), func(name string, op graph.Op, attrs graph.Attrs, in ...*graph.Tensor) {
		tried[op]++
		if h.backend.Support(op, "") == kernels.Refused {
			h.refusal(&kernels.UnsupportedError{Op: op.String(), Reason: "Support says so"})
			return
		}
		if h.checkOp(t, name, op, attrs, in...) {
			ran[op]++
		}
	})
	for _, op := range graph.Ops() {
		switch op {
		case graph.OpCall, graph.OpScan, graph.OpOpaque:
			continue // testStructure
		}
		if tried[op] == 0 {
			t.Errorf("the suite has no case for %v", op)
		}
		if h.backend.Support(op, "") != kernels.Refused && ran[op] == 0 {
			t.Errorf("Support says that %v is %v, and every case of it was refused", op, h.backend.Support(op, ""))
		}
	}
	h.listRefused(t)
}

// testSpecialValues crosses NaN, infinities, zeros of both signs, denormals and
// the ends of the range with each other, through every elementwise op.
func testSpecialValues(t *testing.T, h *harness) {
	for d, f := range formats {
		large := math.Ldexp(2-math.Ldexp(1, 1-f.bits), f.high)
		v := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1, -1, 0.5, -2.5, 1.5, 2, large, -large,
			f.smallest(), -f.smallest(), f.smallest() * math.Ldexp(1, 2-f.bits), -f.smallest() / 2, 3.25, 88.5, -104, 1e4}
		n := int64(len(v) * len(v))
		a, b := graph.NewTensor(d, n), graph.NewTensor(d, n)
		for i := range int(n) {
			a.SetFloat(i, v[i/len(v)])
			b.SetFloat(i, v[i%len(v)])
		}
		for _, op := range graph.Ops() {
			def := op.Def()
			if def.Class != graph.Elementwise || h.backend.Support(op, "") == kernels.Refused {
				continue
			}
			name := fmt.Sprintf("%v %v of special values", op, d)
			switch op {
			case graph.OpCompare:
				for _, dir := range []graph.Direction{graph.Eq, graph.Ne, graph.Lt, graph.Le, graph.Gt, graph.Ge} {
					h.checkOp(t, name, op, &graph.CompareAttrs{Direction: dir}, a, b)
				}
			case graph.OpConvert:
				for _, to := range allTypes {
					h.checkOp(t, name+" to "+to.String(), op, &graph.ConvertAttrs{To: to}, a)
				}
			case graph.OpSelect:
				h.checkOp(t, name, op, nil, newDice(1).uniform(graph.Bool, 0, 0, n), a, b)
			case graph.OpBitcast, graph.OpNot, graph.OpAnd, graph.OpOr, graph.OpXor, graph.OpShl, graph.OpShr:
			case graph.OpPow:
				// Powers of denormals and of the range's ends are not pinned down.
				p, q := specialPairs(d, []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, 1, -1, 2, -2.5, 0.5, 3})
				h.checkOp(t, name, op, nil, p, q)
			default:
				if def.MaxArgs == 1 {
					h.checkOp(t, name, op, nil, a)
				} else {
					h.checkOp(t, name, op, nil, a, b)
				}
			}
		}
		// Where NaN stands in what orders and reduces.
		x := newDice(2).normal(d, 7, 9)
		for i := range 9 {
			if i%3 != 0 {
				x.SetFloat(i*7%63, math.NaN())
			}
		}
		for axis := range int64(2) {
			for _, kind := range []graph.ReduceKind{graph.Sum, graph.Prod, graph.Max, graph.Min} {
				h.checkOp(t, fmt.Sprintf("reduce %v %s with NaN", d, kind), graph.OpReduce, &graph.ReduceAttrs{Kind: kind, Axes: []int64{axis}}, x)
				if kind == graph.Max || kind == graph.Min {
					h.checkOp(t, fmt.Sprintf("arg_reduce %v %s with NaN", d, kind), graph.OpArgReduce, &graph.ArgAttrs{Kind: kind, Axis: axis}, x)
					w := &graph.WindowAttrs{Kind: kind, Window: []int64{2, 3}, Strides: []int64{1, 2}, PadLow: []int64{1, 0}, PadHigh: []int64{0, 0}, Dilation: ones(2)}
					h.checkOp(t, fmt.Sprintf("reduce_window %v %s with NaN", d, kind), graph.OpReduceWindow, w, x)
					h.checkOp(t, fmt.Sprintf("reduce_window_grad %v %s with NaN", d, kind), graph.OpReduceWindowGrad, w, x, newDice(3).normal(d, 7, 4))
				}
			}
			for _, down := range []bool{false, true} {
				h.checkOp(t, fmt.Sprintf("sort %v with NaN", d), graph.OpSort, &graph.SortAttrs{Axis: axis, Descending: down}, x, newDice(4).normal(graph.I32, 7, 9))
			}
		}
		h.checkOp(t, fmt.Sprintf("top_k %v with NaN", d), graph.OpTopK, &graph.TopKAttrs{K: 8}, x)
		// Infinite weights over padding.
		w := graph.NewTensor(d, 3, 1, 1)
		for i := range 3 {
			w.SetFloat(i, []float64{math.Inf(1), 1, 1}[i])
		}
		h.checkOp(t, fmt.Sprintf("conv %v with infinite weights over padding", d), graph.OpConv,
			&graph.ConvAttrs{Strides: ones(1), PadLow: ones(1), PadHigh: ones(1), InputDilation: ones(1), FilterDilation: ones(1), Groups: 1}, newDice(5).uniform(d, 1, 2, 1, 1, 1), w)
	}
	h.listRefused(t)
}

func specialPairs(d graph.DType, v []float64) (a, b *graph.Tensor) {
	n := len(v)
	a, b = graph.NewTensor(d, int64(n*n)), graph.NewTensor(d, int64(n*n))
	for i := range n * n {
		a.SetFloat(i, v[i/n])
		b.SetFloat(i, v[i%n])
	}
	return a, b
}

// testLayouts runs ops on operands that stand transposed, reversed, sliced or
// stretched in memory, as a backend that keeps views may hold them.
func testLayouts(t *testing.T, h *harness) {
	r := newDice(h.options.Seed + 1)
	views := map[string]func(b *graph.Builder, name string, want *graph.Tensor) (graph.Value, *graph.Tensor){
		"transposed": func(b *graph.Builder, name string, want *graph.Tensor) (graph.Value, *graph.Tensor) {
			perm, back := []int{}, []int64{}
			for i := range len(want.Shape) {
				perm, back = append(perm, len(want.Shape)-1-i), append(back, int64(len(want.Shape)-1-i))
			}
			stored := mustEval(t, graph.OpTranspose, &graph.TransposeAttrs{Perm: back}, want)
			return b.Input(name, stored.Type()).Transpose(perm...), stored
		},
		"reversed": func(b *graph.Builder, name string, want *graph.Tensor) (graph.Value, *graph.Tensor) {
			axes, all := []int{}, []int64{}
			for i := range len(want.Shape) {
				axes, all = append(axes, i), append(all, int64(i))
			}
			stored := mustEval(t, graph.OpReverse, &graph.ReverseAttrs{Axes: all}, want)
			return b.Input(name, stored.Type()).Reverse(axes...), stored
		},
		"sliced": func(b *graph.Builder, name string, want *graph.Tensor) (graph.Value, *graph.Tensor) {
			if len(want.Shape) == 0 {
				return b.Input(name, want.Type()), want
			}
			two := mustEval(t, graph.OpConcat, &graph.ConcatAttrs{Axis: int64(len(want.Shape) - 1)}, want, want)
			last := want.Shape[len(want.Shape)-1]
			return b.Input(name, two.Type()).SliceAxis(-1, graph.E(last), graph.E(2*last)), two
		},
		"stretched": func(b *graph.Builder, name string, want *graph.Tensor) (graph.Value, *graph.Tensor) {
			// Both leading rows are alike, so that a stretched view can give them.
			if len(want.Shape) == 0 || want.Shape[0] < 1 {
				return b.Input(name, want.Type()), want
			}
			n := len(want.Data) / int(want.Shape[0])
			for i := range want.Shape[0] {
				copy(want.Data[int(i)*n:], want.Data[:n])
			}
			first := &graph.Tensor{DType: want.DType, Shape: append([]int64{1}, want.Shape[1:]...), Data: want.Data[:n]}
			return b.Input(name, first.Type()).BroadcastTo(graph.Es(want.Shape...)...), first
		},
	}
	for kind, view := range views {
		seen := map[graph.Op]int{}
		cases(r, func(name string, op graph.Op, attrs graph.Attrs, in ...*graph.Tensor) {
			if in == nil || in[0].DType != graph.F32 && in[0].DType != graph.I8 || in[0].Len() == 0 || in[0].Len() > 5000 || h.backend.Support(op, "") == kernels.Refused {
				return
			}
			if seen[op]++; seen[op] > 12 && !Long() {
				return
			}
			if kind == "stretched" && slices.ContainsFunc(in, func(t *graph.Tensor) bool { return len(t.Shape) > 0 && t.Shape[0] > 30 }) {
				return // many equal terms round alike, beyond the bound of sums
			}
			m := graph.NewModule()
			b := graph.NewBuilder(m, "f", graph.Any)
			args, given, stored := make([]graph.Value, len(in)), make([]*graph.Tensor, len(in)), make([]*graph.Tensor, len(in))
			for i := range in {
				given[i] = &graph.Tensor{DType: in[i].DType, Shape: in[i].Shape, Data: slices.Clone(in[i].Data)}
				args[i], stored[i] = view(b, fmt.Sprint("x", i), given[i])
			}
			for i, v := range b.Apply(op, attrs, args...) {
				b.Output(fmt.Sprint("y", i), v)
			}
			if _, err := b.Finish(); err != nil {
				t.Fatalf("%s %s: the case is ill-typed: %v", kind, name, err)
			}
			got, err := h.run(t.Context(), m, "f", kernels.Options{}, stored...)
			if err != nil {
				if !h.refusal(err) {
					t.Errorf("%s, operands %s: %v", name, kind, err)
				}
				return
			}
			if err := CheckOp(t.Context(), op, attrs, given, got); err != nil {
				t.Errorf("%s, operands %s: %v", name, kind, err)
			}
		})
	}
	h.listRefused(t)
}
