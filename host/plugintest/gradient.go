package plugintest

import (
	"fmt"
	"math"

	"github.com/hone-ml/hone/host/internal/autodiff"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// OwnGradient compares the gradient that a composite brings along (written with
// [graph.Builder.CompositeWithGradient]) with that of its body.
type OwnGradient struct {
	Composite string // its instance, such as acme/log_cosh@1#0
	// Input is the operand where the two are furthest apart, Element the place in
	// it, Own and Body what they say there.
	Input, Element int
	Own, Body      float64
	// Apart is the largest difference, relative to the body's gradient or 1.
	Apart float64
}

// String says how far apart they are.
func (g OwnGradient) String() string {
	return fmt.Sprintf("the gradient of %s for operand %d is %g at element %d, its body's is %g", g.Composite, g.Input, g.Own, g.Element, g.Body)
}

// OwnGradients compares every composite of a traced module that has a gradient of
// its own with its body, at operands that look random, in their own type: trace
// for f64 to tell a wrong gradient from a rounded one. The host takes such a
// gradient on trust, since one that differs may be meant (a straight-through
// estimator); this is how an author checks it.
func (k *Kit) OwnGradients(m *graph.Module) []OwnGradient {
	k.t.Helper()
	var out []OwnGradient
	for _, f := range m.Funcs {
		if f.Composite != nil && f.Composite.Gradient != "" {
			out = append(out, k.ownGradient(m, f))
		}
	}
	return out
}

func (k *Kit) ownGradient(m *graph.Module, f *graph.Func) OwnGradient {
	k.t.Helper()
	const batch = 3
	symbols := map[string]int64{graph.BatchSymbol: batch}
	m = m.Clone()
	b := graph.NewBuilder(m, "plugintest.call", graph.Any)
	args := make([]graph.Value, len(f.Params))
	for i, p := range f.Params {
		args[i] = b.Argument(p)
	}
	for i, v := range b.Apply(graph.OpCall, &graph.CallAttrs{Callee: f.Name}, args...) {
		b.Output(f.Results[i].Name, v)
	}
	call, err := b.Finish()
	if err != nil {
		k.t.Fatal(err)
	}
	var wrt, results []int
	for i, p := range f.Params {
		if p.Type.DType.IsFloat() {
			wrt = append(wrt, i)
		}
	}
	values := someValues(f, batch)
	in := make([]*graph.Tensor, len(f.Params))
	for i, p := range f.Params {
		in[i] = values[p.Name]
	}
	for i, r := range f.Results {
		t := f.TypeOf(r.Value)
		if !t.DType.IsFloat() {
			continue
		}
		shape, err := t.Shape.Eval(symbols)
		if err != nil {
			k.t.Fatal(err)
		}
		results = append(results, i)
		in = append(in, someTensor(t.DType, shape, uint64(100+i)))
	}
	// A call is differentiated by the composite's own gradient, a body by its ops.
	var grads [2][]*graph.Tensor
	for i, g := range []*graph.Func{call, f} {
		d, err := autodiff.VJP(m, g, wrt, results)
		if err != nil {
			k.t.Fatal(err)
		}
		all, err := reference.Eval(k.t.Context(), m, d.Name, kernels.Options{Mode: d.Mode, Symbols: symbols}, in...)
		if err != nil {
			k.t.Fatal(err)
		}
		grads[i] = all[len(f.Results):]
	}
	out := OwnGradient{Composite: f.Name}
	for i, own := range grads[0] {
		body := grads[1][i]
		for j := range own.Len() {
			x, y := own.Float(j), body.Float(j)
			apart := math.Abs(x-y) / math.Max(1, math.Abs(y))
			if apart > out.Apart || math.IsNaN(apart) && !math.IsNaN(out.Apart) {
				out.Input, out.Element, out.Own, out.Body, out.Apart = wrt[i], j, x, y, apart
			}
		}
	}
	return out
}
