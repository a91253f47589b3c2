package autodiff

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// finish ends a function that a test cannot go on without.
func finish(t *testing.T, b *graph.Builder) *graph.Func {
	t.Helper()
	f, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func f64s(shape []int64, v ...float64) *graph.Tensor { return graph.Float64s(v, shape...) }

// cell is a recurrent cell with an integer carry beside: h' = tanh(h*u + x*w + b),
// and an output of another shape.
func cell(t *testing.T, m *graph.Module) *graph.Func {
	t.Helper()
	b := graph.NewBuilder(m, "cell", graph.Any)
	row := graph.Type{DType: graph.F64, Shape: graph.Shape{graph.Batch, graph.N(2)}}
	h, k := b.Input("h", row), b.Input("count", graph.Scalar(graph.I32))
	u, w := b.Input("u", graph.T(graph.F64, 2, 2)), b.Input("w", graph.T(graph.F64, 2, 2))
	x := b.Input("x", row)
	next := h.MatMul(u).Add(x.MatMul(w)).Tanh()
	b.Output("h", next)
	b.Output("count", k.Plus(1))
	b.Output("y", next.Mul(next).Sum(1).Add(k.Convert(graph.F64)))
	return finish(t, b)
}

func TestScanIsDifferentiatedByAScanBackwards(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		m := graph.NewModule()
		cell(t, m)
		b := graph.NewBuilder(m, "f", graph.Any)
		row := graph.Type{DType: graph.F64, Shape: graph.Shape{graph.Batch, graph.N(2)}}
		h := b.Input("h", row)
		u, w := b.Input("u", graph.T(graph.F64, 2, 2)), b.Input("w", graph.T(graph.F64, 2, 2))
		xs := b.Input("xs", graph.Type{DType: graph.F64, Shape: graph.Shape{graph.N(4), graph.Batch, graph.N(2)}})
		out := b.Scan("cell", reverse, 0, []graph.Value{h, b.Scalar(graph.I32, 0)}, []graph.Value{u, w.Exp()}, []graph.Value{xs})
		b.Output("loss", weigh(out[0], 1).Add(weigh(out[2], 2)))
		f := finish(t, b)
		g, err := Gradient(m, f, []int{0, 1, 2, 3}, 0)
		if err != nil {
			t.Fatal(err)
		}
		args := []*graph.Tensor{
			f64s([]int64{3, 2}, .1, -.4, .3, .9, -.7, .2), f64s([]int64{2, 2}, .5, -.3, .2, .8), f64s([]int64{2, 2}, .4, -.9, .1, -.6), graph.NewTensor(graph.F64, 4, 3, 2),
		}
		for i := range args[3].Len() {
			args[3].SetFloat(i, math.Sin(float64(3*i)))
		}
		compare(t, "first", m, f, 0, g, args)

		// And again: the backward scan is a scan like any.
		b = graph.NewBuilder(m, "weighted", graph.Any)
		var x []graph.Value
		for _, p := range f.Params {
			x = append(x, b.Input(p.Name, p.Type))
		}
		total := b.Scalar(graph.F64, 0)
		for i, d := range b.Apply(graph.OpCall, &graph.CallAttrs{Callee: g.Name}, x...)[1:] {
			total = total.Add(weigh(d, uint64(100+i)))
		}
		b.Output("total", total)
		second := finish(t, b)
		h2, err := Gradient(m, second, []int{0, 1, 2, 3}, 0)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, "second", m, second, 0, h2, args)
	}
}

func TestScanOfPartsThatNeedNoGradient(t *testing.T) {
	m := graph.NewModule()
	cell(t, m)
	b := graph.NewBuilder(m, "f", graph.Any)
	row := graph.Type{DType: graph.F64, Shape: graph.Shape{graph.Batch, graph.N(2)}}
	h := b.Input("h", row)
	w := b.Input("w", graph.T(graph.F64, 2, 2))
	xs := b.Input("xs", graph.Type{DType: graph.F64, Shape: graph.Shape{graph.N(4), graph.Batch, graph.N(2)}})
	out := b.Scan("cell", false, 0, []graph.Value{h, b.Scalar(graph.I32, 0)}, []graph.Value{b.Const(f64s([]int64{2, 2}, .5, -.3, .2, .8)), w}, []graph.Value{xs})
	b.Output("loss", weigh(out[2], 2)) // the last carry is not used
	f := finish(t, b)
	g, err := Gradient(m, f, []int{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	args := []*graph.Tensor{graph.NewTensor(graph.F64, 1, 2), f64s([]int64{2, 2}, .4, -.9, .1, -.6), graph.NewTensor(graph.F64, 4, 1, 2)}
	for i := range args[2].Len() {
		args[2].SetFloat(i, math.Cos(float64(3*i)))
	}
	want := eval(t, m, g, args)[1]
	const step = 1e-5
	for j := range 4 {
		at := func(d float64) float64 {
			a := append([]*graph.Tensor(nil), args...)
			a[1] = f64s([]int64{2, 2}, .4, -.9, .1, -.6)
			a[1].SetFloat(j, a[1].Float(j)+d)
			return eval(t, m, f, a)[0].Float(0)
		}
		if d := (at(step) - at(-step)) / (2 * step); math.Abs(d-want.Float(j)) > 1e-6 {
			t.Errorf("element %d: %v, central differences give %v", j, want.Float(j), d)
		}
	}
	// Only the constant is carried backwards, and no sequence comes out.
	for _, node := range g.Nodes {
		if a, ok := node.Attrs.(*graph.ScanAttrs); ok && a.Reverse && node.NumOut != 2 {
			t.Errorf("the backward scan gives %d results, wanted the carry's and the constant's gradients", node.NumOut)
		}
	}
}

func TestTiesAndKinks(t *testing.T) {
	for _, c := range []struct {
		name string
		x    []float64
		want []float64
		f    func(x graph.Value) graph.Value
	}{
		{"max gives a tie to the second operand", []float64{1, 2, 3}, []float64{0, 0, 1}, func(x graph.Value) graph.Value { return x.Max(x.Builder().Const(f64s([]int64{3}, 1, 5, 2))) }},
		{"min gives a tie to the second operand", []float64{1, 2, 3}, []float64{0, 1, 0}, func(x graph.Value) graph.Value { return x.Min(x.Builder().Const(f64s([]int64{3}, 1, 5, 2))) }},
		{"relu is 0 at 0", []float64{-1, 0, 2}, []float64{0, 0, 1}, graph.Value.Relu},
		{"abs is 0 at 0", []float64{-1, 0, 2}, []float64{-1, 0, 1}, graph.Value.Abs},
		{"reduce max shares a tie", []float64{2, 1, 2}, []float64{.5, 0, .5}, func(x graph.Value) graph.Value { return x.Reduce(graph.Max) }},
		{"reduce min shares a tie", []float64{1, 1, 1, 2}, []float64{1. / 3, 1. / 3, 1. / 3, 0}, func(x graph.Value) graph.Value { return x.Reduce(graph.Min) }},
		{"a product with one zero", []float64{2, 0, 3}, []float64{0, 6, 0}, func(x graph.Value) graph.Value { return x.Reduce(graph.Prod) }},
		{"a product with two zeros", []float64{0, 0, 3}, []float64{0, 0, 0}, func(x graph.Value) graph.Value { return x.Reduce(graph.Prod) }},
		{"pow to the zeroth", []float64{0, 2}, []float64{0, 0}, func(x graph.Value) graph.Value { return x.Pow(zerosLike(x)) }},
		{"a power of zero", []float64{0, 1}, []float64{0, 0}, func(x graph.Value) graph.Value { return zerosLike(x).Pow(x.Plus(2)) }},
		{"the square of zero", []float64{0}, []float64{0}, func(x graph.Value) graph.Value { return x.Pow(fullLike(x, 2)) }},
		{"a window gives a tie to its first", []float64{3, 3, 1, 3}, []float64{1, 1, 0, 1}, func(x graph.Value) graph.Value {
			return x.ReduceWindow(graph.WindowAttrs{Kind: graph.Max, Window: []int64{2}, Strides: []int64{1}, PadLow: []int64{0}, PadHigh: []int64{0}, Dilation: []int64{1}})
		}},
		{"stop_gradient", []float64{3}, []float64{3}, func(x graph.Value) graph.Value { return x.Mul(x.StopGradient()) }},
		{"integers", []float64{3}, []float64{0}, func(x graph.Value) graph.Value { return x.Convert(graph.I32).Convert(graph.F64) }},
		{"used for its shape", []float64{3, 1}, []float64{0, 0}, func(x graph.Value) graph.Value { return x.Size(0).Convert(graph.F64).BroadcastTo(x.Dim(0)) }},
		{"used nowhere", []float64{3, 1}, []float64{0, 0}, func(x graph.Value) graph.Value { return x.Builder().Scalar(graph.F64, 2) }},
	} {
		m := graph.NewModule()
		b := graph.NewBuilder(m, "f", graph.Any)
		x := b.Input("x", graph.T(graph.F64, int64(len(c.x))))
		b.Output("y", c.f(x).Sum())
		g, err := Gradient(m, finish(t, b), []int{0}, 0)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := eval(t, m, g, []*graph.Tensor{f64s([]int64{int64(len(c.x))}, c.x...)})[1]
		for i, w := range c.want {
			if got.Float(i) != w {
				t.Errorf("%s: element %d has the gradient %v, wanted %v", c.name, i, got.Float(i), w)
			}
		}
	}
}

// A tie of a window seen by the second derivative: the weight of the output
// must come from its first best element alone.
func TestSecondDerivativeOfATiedWindow(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.T(graph.F64, 3))
	scale := b.Input("scale", graph.T(graph.F64, 2))
	dx := b.Apply(graph.OpReduceWindowGrad, &graph.WindowAttrs{Kind: graph.Max, Window: []int64{2}, Strides: []int64{1}, PadLow: []int64{0}, PadHigh: []int64{0}, Dilation: []int64{1}}, x, scale)[0]
	b.Output("y", dx.Mul(b.Const(f64s([]int64{3}, 10, 20, 30))).Sum())
	g, err := Gradient(m, finish(t, b), []int{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := eval(t, m, g, []*graph.Tensor{f64s([]int64{3}, 7, 7, 7), f64s([]int64{2}, 1, 1)})[1]
	if got.Float(0) != 10 || got.Float(1) != 20 {
		t.Errorf("%v %v, wanted 10 and 20", got.Float(0), got.Float(1))
	}
}

func TestAGradientHoldsForOtherBatchSizes(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.Type{DType: graph.F64, Shape: graph.Shape{graph.Batch, graph.N(2)}})
	w := b.Input("w", graph.T(graph.F64, 2, 3))
	b.Output("loss", x.MatMul(w).LogSoftmax(-1).Neg().Mean())
	f := finish(t, b)
	g, err := Gradient(m, f, []int{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{1, 2, 5} {
		args := []*graph.Tensor{graph.NewTensor(graph.F64, size, 2), f64s([]int64{2, 3}, .1, .2, -.3, .4, -.5, .6)}
		for i := range args[0].Len() {
			args[0].SetFloat(i, math.Sin(float64(i+1)))
		}
		got := eval(t, m, g, args)[1]
		const h = 1e-5
		for j := range 6 {
			at := func(d float64) float64 {
				a := []*graph.Tensor{args[0], f64s([]int64{2, 3}, .1, .2, -.3, .4, -.5, .6)}
				a[1].SetFloat(j, a[1].Float(j)+d)
				return eval(t, m, f, a)[0].Float(0)
			}
			if want := (at(h) - at(-h)) / (2 * h); math.Abs(want-got.Float(j)) > 1e-7 {
				t.Errorf("batch %d, element %d: %v, want %v", size, j, got.Float(j), want)
			}
		}
	}
}

func TestBuiltInCompositeGradientsEqualTheirBodies(t *testing.T) {
	for _, c := range cases {
		m := graph.NewModule()
		f := c.trace(t, m)
		uses := false
		for _, g := range m.Funcs {
			uses = uses || g.Composite != nil
		}
		if !uses {
			continue
		}
		wrt := make([]int, len(c.args))
		args := make([]*graph.Tensor, len(c.args))
		for i, v := range c.args {
			wrt[i] = i
			shape := append([]int64(nil), v.shape...)
			for j := range shape {
				if shape[j] == 0 {
					shape[j] = n
				}
			}
			args[i] = graph.NewTensor(graph.F64, shape...)
			for j := range args[i].Len() {
				args[i].SetFloat(j, 1.5*math.Sin(float64(7*j+i)+.1))
			}
		}
		own, err := Gradient(m, f, wrt, 0)
		if err != nil {
			t.Fatal(err)
		}
		bare := m.Clone()
		for _, g := range bare.Funcs {
			if g.Composite != nil && g.Composite.Name != "hone/stop_gradient@1" {
				g.Composite = nil
			}
		}
		body, err := Gradient(bare, bare.Func("f", graph.Any), wrt, 0)
		if err != nil {
			t.Fatal(err)
		}
		a, b := eval(t, m, own, args), eval(t, bare, body, args)
		for i := range a {
			for j := range a[i].Len() {
				if x, y := a[i].Float(j), b[i].Float(j); math.Abs(x-y) > 1e-12*math.Max(1, math.Abs(x)) {
					t.Errorf("%s, result %d, element %d: %v by its own gradient, %v through the body", c.name, i, j, x, y)
				}
			}
		}
	}
}

func TestAPluginsCompositeUsesItsOwnGradient(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.T(graph.F64, 2))
	// A gradient that no body has: the straight-through estimator.
	y := b.CompositeWithGradient("acme/straight_through@1", nil, []graph.Value{x, b.Scalar(graph.I32, 1)},
		func(_ *graph.Builder, x []graph.Value) []graph.Value { return []graph.Value{x[0].Round(), x[1]} },
		func(_ *graph.Builder, _, _, dy []graph.Value) []graph.Value { return []graph.Value{dy[0].Times(10)} })
	b.Output("y", y[0].Mul(b.Const(f64s([]int64{2}, 2, 3))).Sum())
	g, err := Gradient(m, finish(t, b), []int{0}, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := eval(t, m, g, []*graph.Tensor{f64s([]int64{2}, .2, .7)})
	if got[0].Float(0) != 3 || got[1].Float(0) != 20 || got[1].Float(1) != 30 {
		t.Errorf("%v %v %v", got[0].Float(0), got[1].Float(0), got[1].Float(1))
	}
	if err := graph.Verify(m, graph.Limits{}); err != nil {
		t.Error(err)
	}
}

func TestCallsAreDifferentiatedThroughTheirBodies(t *testing.T) {
	m := graph.NewModule()
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		b := graph.NewBuilder(m, "layer", mode)
		x, w := b.Input("x", graph.T(graph.F64, 2)), b.Param("w", graph.T(graph.F64, 2), graph.Decl{})
		y := x.Mul(w)
		if mode == graph.Infer {
			y = y.Times(100)
		}
		b.Output("y", y)
		finish(t, b)
	}
	b := graph.NewBuilder(m, "f", graph.Train)
	h := b.Call("layer", "a", b.Input("x", graph.T(graph.F64, 2)))
	h = b.Call("layer", "b", h...)
	h = b.Call("layer", "a", h...) // shares a.w
	b.Output("y", h[0].Sum())
	f := finish(t, b)
	g, err := Gradient(m, f, []int{f.Param(graph.ParamRole, "a.w"), f.Param(graph.ParamRole, "b.w")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := GradientName(f.Params[f.Param(graph.ParamRole, "a.w")]); g.Results[1].Name != want {
		t.Errorf("%q, want %q", g.Results[1].Name, want)
	}
	args := make([]*graph.Tensor, 3)
	args[f.Param(graph.Input, "x")] = f64s([]int64{2}, 2, 3)
	args[f.Param(graph.ParamRole, "a.w")] = f64s([]int64{2}, 5, 7)
	args[f.Param(graph.ParamRole, "b.w")] = f64s([]int64{2}, 11, 13)
	got := eval(t, m, g, args)
	// y = x a^2 b: dy/da = 2 x a b, dy/db = x a^2.
	if a, b := got[1], got[2]; a.Float(0) != 2*2*5*11 || a.Float(1) != 2*3*7*13 || b.Float(0) != 2*25 || b.Float(1) != 3*49 {
		t.Errorf("%v %v", a, b)
	}
}

func TestVJPTakesTheGradientsOfItsResults(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.T(graph.F64, 2))
	b.Output("a", x.Mul(x))
	b.Output("n", x.Convert(graph.I32))
	b.Output("b", x.Sum())
	g, err := VJP(m, finish(t, b), []int{0}, []int{0, 2})
	if err != nil {
		t.Fatal(err)
	}
	got := eval(t, m, g, []*graph.Tensor{f64s([]int64{2}, 2, 3), f64s([]int64{2}, 10, 100), f64s(nil, 7)})
	if d := got[3]; d.Float(0) != 2*2*10+7 || d.Float(1) != 2*3*100+7 {
		t.Errorf("%v %v", d.Float(0), d.Float(1))
	}
}

func TestAllReduceJoinsTheGradientsOfTheReplicas(t *testing.T) {
	for kind, want := range map[graph.ReduceKind][2]float64{graph.Sum: {30, 30}, graph.Max: {0, 30}, graph.Min: {30, 0}} {
		m := graph.NewModule()
		b := graph.NewBuilder(m, "f", graph.Any)
		x, k := b.Input("x", graph.Scalar(graph.F64)), b.Input("k", graph.Scalar(graph.F64))
		y := b.Apply(graph.OpAllReduce, &graph.AllReduceAttrs{Kind: kind, Shards: 2, Order: "tree"}, x)[0]
		b.Output("y", y.Mul(k))
		g, err := Gradient(m, finish(t, b), []int{0}, 0)
		if err != nil {
			t.Fatal(err)
		}
		// The replicas weigh the joined value by 10 and 20.
		out, err := reference.Lockstep(t.Context(), m, g.Name, kernels.Options{},
			[]*graph.Tensor{f64s(nil, 1), f64s(nil, 10)}, []*graph.Tensor{f64s(nil, 2), f64s(nil, 20)})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := out[0][1].Float(0), out[1][1].Float(0); a != want[0] || b != want[1] {
			t.Errorf("%s: %v and %v, wanted %v", kind, a, b, want)
		}
	}
}

type caller func(a *graph.OpaqueAttrs, in, out []kernels.View) error

func (c caller) Call(_ context.Context, a *graph.OpaqueAttrs, in, out []kernels.View) error {
	return c(a, in, out)
}

func TestAnOpaqueComponentNamesItsGradient(t *testing.T) {
	build := func(gradient string) (*graph.Module, *graph.Func, error) {
		m := graph.NewModule()
		b := graph.NewBuilder(m, "f", graph.Any)
		x := b.Input("x", graph.T(graph.F64, 1))
		y := b.Apply(graph.OpOpaque, &graph.OpaqueAttrs{Component: "acme.square", Config: "{}", Types: []graph.Type{x.Type()}, Gradient: gradient}, x)[0]
		b.Output("y", y.Times(3).Sum())
		g, err := Gradient(m, finish(t, b), []int{0}, 0)
		return m, g, err
	}
	if _, _, err := build(""); err == nil || !strings.Contains(err.Error(), `the opaque component "acme.square" has no gradient`) {
		t.Errorf("%v", err)
	}
	m, g, err := build("acme.square_gradient")
	if err != nil {
		t.Fatal(err)
	}
	scalar := func(v kernels.View) *graph.Tensor { return &graph.Tensor{DType: v.DType, Shape: v.Shape, Data: v.Data} }
	out, err := reference.Eval(t.Context(), m, g.Name, kernels.Options{Opaque: caller(func(a *graph.OpaqueAttrs, in, out []kernels.View) error {
		x := scalar(in[0]).Float(0)
		if a.Component == "acme.square" {
			scalar(out[0]).SetFloat(0, x*x)
		} else {
			scalar(out[0]).SetFloat(0, 2*x*scalar(in[2]).Float(0)+0*scalar(in[1]).Float(0))
		}
		return nil
	})}, f64s([]int64{1}, 5))
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Float(0) != 75 || out[1].Float(0) != 30 {
		t.Errorf("%v %v", out[0].Float(0), out[1].Float(0))
	}
}

func TestGradientRefusesWhatHasNone(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x, i := b.Input("x", graph.T(graph.F64, 2)), b.Input("i", graph.Scalar(graph.I32))
	b.Output("y", x)
	b.Output("n", i)
	f := finish(t, b)
	for want, c := range map[string]struct{ wrt, result int }{
		`its result "y" is f64[2]; a gradient is taken of a scalar`: {0, 0},
		`its result "n" is i32[] and must be floating-point`:        {0, 1},
		`its input "i" is i32[] and must be floating-point`:         {1, 0},
		"it has no result 7":    {0, 7},
		"it has no parameter 7": {7, 0},
	} {
		if _, err := Gradient(m, f, []int{c.wrt}, c.result); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestGradientsAreWrittenAlikeEachTime(t *testing.T) {
	sums := map[[32]byte]bool{}
	for range 5 {
		m := graph.NewModule()
		c := cases[len(cases)-2]
		f := c.trace(t, m)
		if _, err := Gradient(m, f, []int{0, 1, 2}, 0); err != nil {
			t.Fatal(err)
		}
		sums[graph.Digest(m)] = true
	}
	if len(sums) != 1 {
		t.Errorf("%d different functions", len(sums))
	}
}

func TestMixedPrecisionKeepsTheOperandsTypes(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x, w := b.Input("x", graph.T(graph.BF16, 2, 3)), b.Input("w", graph.T(graph.BF16, 3, 4))
	img, k := b.Input("img", graph.T(graph.F16, 1, 4, 2)), b.Input("k", graph.T(graph.F16, 2, 2, 3))
	y := x.Dot(w, graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{0}, Accum: graph.F32, Out: graph.F32})
	a := conv(1, 1)
	a.Accum, a.Out = graph.F32, graph.F32
	b.Output("loss", y.Sum().Add(img.Conv(k, a).Sum()))
	f := finish(t, b)
	g, err := Gradient(m, f, []int{0, 1, 2, 3}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range f.Params {
		if got := g.Types[g.Results[1+i].Value]; !got.Equal(p.Type) {
			t.Errorf("the gradient of %v is %v", p.Type, got)
		}
	}
	args := []*graph.Tensor{graph.NewTensor(graph.BF16, 2, 3), graph.NewTensor(graph.BF16, 3, 4), graph.NewTensor(graph.F16, 1, 4, 2), graph.NewTensor(graph.F16, 2, 2, 3)}
	for _, v := range args {
		for i := range v.Len() {
			v.SetFloat(i, float64(i%5)-1)
		}
	}
	out := eval(t, m, g, args)
	for i := range 3 { // rows of w added up
		want := 0.0
		for j := range 4 {
			want += args[1].Float(4*i + j)
		}
		if got := out[1].Float(i); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}
