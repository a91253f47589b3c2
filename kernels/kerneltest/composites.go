package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

func one(f func(x, labels graph.Value) graph.Value) func(x, labels graph.Value) []graph.Value {
	return func(x, labels graph.Value) []graph.Value { return []graph.Value{f(x, labels)} }
}

// needsRows lists the composites of values of two axes and more.
var needsRows = map[string]bool{"hone/softmax_cross_entropy@1": true, "hone/gradient_softmax_cross_entropy@1": true, "hone/moments@1": true, "hone/gradient_moments@1": true, "hone/batch_norm@1": true}

// composites calls each composite of hone on values; labels holds one integer
// for every row of x.
var composites = map[string]func(x, labels graph.Value) []graph.Value{
	"hone/relu@1":                  one(func(x, _ graph.Value) graph.Value { return x.Relu() }),
	"hone/stop_gradient@1":         one(func(x, _ graph.Value) graph.Value { return x.StopGradient() }),
	"hone/silu@1":                  one(func(x, _ graph.Value) graph.Value { return x.Silu() }),
	"hone/softplus@1":              one(func(x, _ graph.Value) graph.Value { return x.Softplus() }),
	"hone/gelu@1":                  one(func(x, _ graph.Value) graph.Value { return x.Gelu(false) }),
	"hone/gelu@1 approximate":      one(func(x, _ graph.Value) graph.Value { return x.Gelu(true) }),
	"hone/softmax@1":               one(func(x, _ graph.Value) graph.Value { return x.Softmax(-1) }),
	"hone/softmax@1 leading":       one(func(x, _ graph.Value) graph.Value { return x.Softmax(0) }),
	"hone/log_softmax@1":           one(func(x, _ graph.Value) graph.Value { return x.LogSoftmax(-1) }),
	"hone/softmax_cross_entropy@1": one(func(x, labels graph.Value) graph.Value { return x.SoftmaxCrossEntropy(labels) }),
	"hone/gradient_softmax_cross_entropy@1": one(func(x, labels graph.Value) graph.Value {
		return x.GradientSoftmaxCrossEntropy(labels, x.Reduce(graph.Max, -1))
	}),
	"hone/moments@1": func(x, _ graph.Value) []graph.Value {
		mean, variance := x.Moments(-1)
		return []graph.Value{mean, variance}
	},
	"hone/gradient_moments@1": func(x, _ graph.Value) []graph.Value {
		mean, _ := x.Moments(-1)
		sum, products := x.Mul(x).GradientMoments(x, mean, -1)
		return []graph.Value{sum, products}
	},
	"hone/batch_norm@1": func(x, _ graph.Value) []graph.Value {
		gamma, beta := x.Reduce(graph.Max, 0), x.Reduce(graph.Min, 0)
		for gamma.Rank() > 1 {
			gamma, beta = gamma.Reduce(graph.Max, 0), beta.Reduce(graph.Min, 0)
		}
		y, mean, variance := x.BatchNorm(gamma, beta, -1, 1e-3)
		return []graph.Value{y, mean, variance}
	},
}

// testComposites runs each composite as a call and as its body, both against
// the body in the reference.
func testComposites(t *testing.T, h *harness) {
	r := newDice(h.options.Seed + 2)
	for _, name := range graph.BuiltinComposites() {
		if composites[name] == nil {
			t.Errorf("the suite has no case for the composite %s", name)
		}
	}
	for name, call := range composites {
		for _, d := range []graph.DType{graph.F32, graph.F64, graph.BF16, graph.F16} {
			for _, shape := range [][]int64{{1}, {10}, {32, 10}, {7, 1}, {3, 257}, {0, 5}, {2, 3, 17}, {16, 1000}} {
				if len(shape) == 1 && needsRows[name] || shape[0] == 16 && d != graph.F32 {
					continue
				}
				for _, scale := range []float64{1, 40} {
					if scale != 1 && (d == graph.F64 || d == graph.F16) {
						continue
					}
					x := r.normal(d, shape...)
					for i := range x.Len() {
						x.SetFloat(i, scale*x.Float(i))
					}
					labels := r.indices(graph.I32, -1, shape[len(shape)-1]+1, shape[:len(shape)-1]...)
					what := fmt.Sprintf("%s on %v scaled by %g", name, x.Type(), scale)
					checkComposite(t, h, r, what, call, x, labels)
				}
			}
		}
	}
	h.listRefused(t)
}

func checkComposite(t *testing.T, h *harness, r dice, what string, call func(x, labels graph.Value) []graph.Value, x, labels *graph.Tensor) {
	t.Helper()
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	v, l := b.Input("x", x.Type()), b.Input("labels", labels.Type())
	for i, y := range call(v, l) {
		b.Output(fmt.Sprintf("y%d", i), y)
	}
	if _, err := b.Finish(); err != nil {
		t.Fatalf("%s: the case is ill-typed: %v", what, err)
	}
	want, tol, err := noisy(t.Context(), r, m, "f", kernels.Options{}, []*graph.Tensor{x, labels})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	body := m.Clone()
	for _, f := range body.Funcs {
		f.Composite = nil // only a body from here on
	}
	for kind, m := range map[string]*graph.Module{"as a composite": m, "as its body": body} {
		got, err := h.run(t.Context(), m, "f", kernels.Options{}, x, labels)
		if err != nil {
			if !h.refusal(err) {
				t.Errorf("%s, %s: %v", what, kind, err)
			}
			continue
		}
		if err := checkNoisy(got, want, tol); err != nil {
			t.Errorf("%s, %s: %v", what, kind, err)
		}
	}
}

// testStructure runs what is no op of values: calls in modes and frozen scopes,
// scans, named constants, opaque calls.
func testStructure(t *testing.T, h *harness) {
	t.Run("Frozen", func(t *testing.T) {
		m := graph.NewModule()
		for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
			b := graph.NewBuilder(m, "norm", mode)
			x, mean := b.Input("x", graph.T(graph.F32, 3)), b.State("mean", graph.T(graph.F32, 3), graph.Decl{})
			if mode == graph.Train {
				b.SetState("mean", mean.Plus(1))
			}
			b.Output("y", x.Sub(mean))
			must(t, b)
			c := graph.NewBuilder(m, "f", mode)
			v := c.Input("x", graph.T(graph.F32, 3))
			c.Output("y", c.Call("norm", "b", c.Call("norm", "a", v)[0])[0])
			must(t, c)
		}
		args := []*graph.Tensor{graph.Float32s([]float32{1, 2, 3}, 3), graph.Float32s([]float32{5, 5, 5}, 3), graph.Float32s([]float32{7, 7, 7}, 3)}
		for _, o := range []kernels.Options{{Mode: graph.Train}, {Mode: graph.Infer}, {Mode: graph.Train, Frozen: []string{"a"}}, {Mode: graph.Train, Frozen: []string{""}}} {
			f := m.Resolve("f", o.Mode)
			given := make([]*graph.Tensor, len(f.Params))
			for i, p := range f.Params {
				given[i] = map[string]*graph.Tensor{"x": args[0], "a.mean": args[1], "b.mean": args[2]}[p.Name]
			}
			compareEval(t, h, m, "f", o, given...)
		}
	})
	t.Run("Scan", func(t *testing.T) {
		for _, reverse := range []bool{false, true} {
			for _, n := range []int64{0, 1, 9} {
				m := graph.NewModule()
				b := graph.NewBuilder(m, "cell", graph.Any)
				s, k, x := b.Input("s", graph.T(graph.I32, 2)), b.Input("k", graph.T(graph.I32, 2)), b.Input("x", graph.T(graph.I32, 2))
				s = s.Mul(k).Add(x)
				b.Output("s", s)
				b.Output("y", s.Neg())
				must(t, b)
				c := graph.NewBuilder(m, "f", graph.Any)
				out := c.Scan("cell", reverse, 0, []graph.Value{c.Input("s", graph.T(graph.I32, 2))}, []graph.Value{c.Input("k", graph.T(graph.I32, 2))},
					[]graph.Value{c.Input("xs", graph.T(graph.I32, n, 2))})
				c.Output("s", out[0])
				c.Output("ys", out[1])
				must(t, c)
				r := newDice(7)
				compareEval(t, h, m, "f", kernels.Options{}, r.normal(graph.I32, 2), r.normal(graph.I32, 2), r.normal(graph.I32, n, 2))
			}
		}
	})
	t.Run("NamedConstants", func(t *testing.T) {
		m := graph.NewModule()
		m.Consts["table"] = newDice(8).normal(graph.F32, 300, 7)
		b := graph.NewBuilder(m, "f", graph.Any)
		table := b.Apply(graph.OpConstant, &graph.ConstantAttrs{Ref: "table", To: graph.F32, Dims: []int64{300, 7}})[0]
		b.Output("row", table.Gather(0, 0, b.Input("i", graph.T(graph.I32, 2))))
		b.Output("all", table)
		must(t, b)
		compareEval(t, h, m, "f", kernels.Options{}, graph.Int32s([]int32{299, 4}, 2))
		delete(m.Consts, "table")
		if _, err := h.backend.Compile(t.Context(), m, "f", kernels.Options{}); err == nil {
			t.Error("a constant that the module lacks compiles")
		}
	})
	t.Run("Opaque", func(t *testing.T) {
		m := graph.NewModule()
		b := graph.NewBuilder(m, "f", graph.Any)
		x := b.Input("x", graph.T(graph.F32, 5))
		a := &graph.OpaqueAttrs{Component: "test/sums@1", Config: "c", Types: []graph.Type{graph.T(graph.F32, 5), graph.Scalar(graph.F64)}}
		out := b.Apply(graph.OpOpaque, a, x.Neg())
		b.Output("y", out[0].Abs())
		b.Output("sum", out[1])
		must(t, b)
		if _, err := h.backend.Compile(t.Context(), m, "f", kernels.Options{}); err == nil || !h.refusal(err) {
			t.Errorf("an opaque call without a caller gives %v, want an *kernels.UnsupportedError", err)
		}
		in := graph.Float32s([]float32{1, 2, 3, 4, 5}, 5)
		got, err := h.run(t.Context(), m, "f", kernels.Options{Opaque: sums{}}, in)
		if err != nil {
			if !h.refusal(err) {
				t.Error(err)
			}
			return
		}
		if got[0].Float(4) != 10 || got[1].Float(0) != -15 {
			t.Errorf("got %v and %v, want 10 and -15", got[0].Float(4), got[1].Float(0))
		}
		if _, err := h.run(t.Context(), m, "f", kernels.Options{Opaque: sums{fail: true}}, in); err == nil {
			t.Error("the error of an opaque component is lost")
		}
	})
	h.listRefused(t)
}

// sums is an opaque component: twice the operand, and its sum.
type sums struct{ fail bool }

func (s sums) Call(_ context.Context, a *graph.OpaqueAttrs, in, out []kernels.View) error {
	if s.fail {
		return errors.New("the component failed")
	}
	if a.Component != "test/sums@1" || a.Config != "c" || len(in) != 1 || len(out) != 2 {
		return fmt.Errorf("called with %+v, %d and %d views", a, len(in), len(out))
	}
	x := &graph.Tensor{DType: in[0].DType, Shape: in[0].Shape, Data: in[0].Data}
	y := &graph.Tensor{DType: out[0].DType, Shape: out[0].Shape, Data: out[0].Data}
	total := &graph.Tensor{DType: out[1].DType, Shape: out[1].Shape, Data: out[1].Data}
	s0 := 0.0
	for i := range x.Len() {
		y.SetFloat(i, 2*x.Float(i))
		s0 += x.Float(i)
	}
	total.SetFloat(0, s0)
	return nil
}

func must(t testing.TB, b *graph.Builder) *graph.Func {
	t.Helper()
	f, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustEval(t testing.TB, op graph.Op, a graph.Attrs, in ...*graph.Tensor) *graph.Tensor {
	t.Helper()
	out, err := reference.EvalOp(context.Background(), op, a, in...)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

// compareEval runs a function whose results are exact on the backend and in the
// reference.
func compareEval(t *testing.T, h *harness, m *graph.Module, entry string, o kernels.Options, args ...*graph.Tensor) {
	t.Helper()
	want, err := reference.Eval(t.Context(), m, entry, o, args...)
	if err != nil {
		t.Fatal(err)
	}
	if o.Symbols == nil {
		o.Symbols = map[string]int64{}
	}
	got, err := h.run(t.Context(), m, entry, o, args...)
	if err != nil {
		if !h.refusal(err) {
			t.Error(err)
		}
		return
	}
	for k := range want {
		if err := within(got[k], want[k], nil, false); err != nil {
			t.Errorf("mode %v, frozen %q, result %d: %v", o.Mode, o.Frozen, k, err)
		}
	}
}
