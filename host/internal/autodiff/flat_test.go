package autodiff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// A recurrent layer whose cell differs between training and inference, in two
// scopes of which one is frozen.
func TestAFlatFunctionKeepsTheModeOfEachScan(t *testing.T) {
	m := graph.NewModule()
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		b := graph.NewBuilder(m, "cell", mode)
		h, w, x := b.Input("h", graph.Scalar(graph.F64)), b.Input("w", graph.Scalar(graph.F64)), b.Input("x", graph.Scalar(graph.F64))
		next := h.Mul(w).Add(x)
		if mode == graph.Infer {
			next = next.Relu()
		}
		b.Output("h", next)
		finish(t, b)
	}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		b := graph.NewBuilder(m, "layer", mode)
		x, w := b.Input("x", graph.T(graph.F64, 3)), b.Param("w", graph.Scalar(graph.F64), graph.Decl{})
		b.Output("y", b.Scan("cell", false, 0, []graph.Value{b.Scalar(graph.F64, 0)}, []graph.Value{w}, []graph.Value{x})[0])
		finish(t, b)
	}
	b := graph.NewBuilder(m, "model", graph.Train)
	x := b.Input("x", graph.T(graph.F64, 3))
	b.Output("y", b.Call("layer", "a", x)[0].Mul(b.Call("layer", "b", x)[0]))
	finish(t, b)

	o := kernels.Options{Mode: graph.Train, Frozen: []string{"b"}}
	flat, err := inline.Flatten(t.Context(), m, "model", o, func(f *graph.Func) bool { return f.Composite != nil })
	if err != nil {
		t.Fatal(err)
	}
	f, err := AddFlat(m, flat, "flat")
	if err != nil {
		t.Fatal(err)
	}
	g, err := Gradient(m, f, []int{1, 2}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := graph.Verify(m, graph.Limits{}); err != nil {
		t.Fatal(err)
	}
	// x = (1, -9, 2), a = 1/2: h = 1, -8.5, -2.25 in training; b = 1: h = 1, 0, 2 in inference.
	got := eval(t, m, g, []*graph.Tensor{f64s([]int64{3}, 1, -9, 2), f64s(nil, .5), f64s(nil, 1)})
	if y := got[0].Float(0); y != -2.25*2 {
		t.Errorf("y = %v", y)
	}
	// d(-2.25)/da = d(a^2 - 9a + 2)/da = 2a - 9 = -8; the other is constant where relu holds it at 0.
	if da, db := got[1].Float(0), got[2].Float(0); da != -8*2 || db != 0 {
		t.Errorf("%v %v", da, db)
	}
}

func TestGradientsOfRandomGraphs(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		c := gradientCase{
			name: fmt.Sprintf("random %d", seed),
			args: []value{in(0, 3, 2), in(2, 3), in(3)},
			f: func(b *graph.Builder, x []graph.Value) []graph.Value {
				vs := append([]graph.Value(nil), x...)
				for range 8 {
					v, w := vs[r.IntN(len(vs))], vs[r.IntN(len(vs))]
					vs = append(vs, randomSmooth(r, b, v, w))
				}
				return vs[len(vs)-3:]
			},
			once: seed%5 != 0,
		}
		c.check(t)
	}
}

// randomSmooth applies some op that is smooth where it is used and keeps
// numbers near 1.
func randomSmooth(r *rand.Rand, b *graph.Builder, v, w graph.Value) graph.Value {
	last := v.Rank() - 1
	switch r.IntN(14) {
	case 0:
		return v.Tanh()
	case 1:
		return v.Sin().Mul(w.Mean())
	case 2:
		return v.Sigmoid().Sub(w.Sum().Tanh())
	case 3:
		return v.Div(w.Mul(w).Mean().Plus(1))
	case 4:
		if last >= 0 {
			return v.Softmax(last)
		}
	case 5:
		if last >= 0 {
			return v.Mean(last).Unreduce(v, last).Sub(v)
		}
	case 6:
		if last >= 1 {
			perm := r.Perm(v.Rank())
			return v.Transpose(perm...).Erf()
		}
	case 7:
		if last >= 0 && w.Rank() > 0 && v.Type().Shape[last] == w.Type().Shape[w.Rank()-1] {
			return v.Dot(w, graph.DotAttrs{LeftContract: []int64{int64(last)}, RightContract: []int64{int64(w.Rank() - 1)}}).Times(.3)
		}
	case 8:
		if last >= 0 {
			return b.Concat(last, v, v.Cos())
		}
	case 9:
		if last >= 0 {
			return v.CumSum(last, false, r.IntN(2) == 0).Tanh()
		}
	case 10:
		if last >= 0 {
			return v.Flatten(0).Silu()
		}
	case 11:
		if last >= 0 {
			return v.SliceAxis(last, graph.E(0), graph.E(1)).Softplus()
		}
	case 12:
		return v.Mul(v).Plus(.5).Sqrt()
	case 13:
		return v.Times(math.Exp(-1)).Exp()
	}
	return v.Gelu(false)
}
