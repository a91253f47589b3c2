package autodiff

import (
	"fmt"
	"testing"

	"github.com/hone-ml/hone/sdk/graph"
)

func BenchmarkGradientOf200Layers(b *testing.B) {
	trace := func() (*graph.Module, *graph.Func, []int) {
		m := graph.NewModule()
		g := graph.NewBuilder(m, "f", graph.Any)
		h := g.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(64)}})
		for i := range 200 {
			w := g.Param(fmt.Sprintf("layers[%d].w", i), graph.T(graph.F32, 64, 64), graph.Decl{})
			h = h.MatMul(w).Relu().Add(h)
		}
		g.Output("loss", h.Sum())
		f, err := g.Finish()
		if err != nil {
			b.Fatal(err)
		}
		var wrt []int
		for i, p := range f.Params {
			if p.Role == graph.ParamRole {
				wrt = append(wrt, i)
			}
		}
		return m, f, wrt
	}
	for b.Loop() {
		m, f, wrt := trace()
		if _, err := Gradient(m, f, wrt, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAMatrixProductHasNoTransposedGradients(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}})
	w := b.Input("w", graph.T(graph.F32, 4, 3))
	b.Output("loss", x.MatMul(w).Sum())
	f := finish(t, b)
	g, err := Gradient(m, f, []int{0, 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	dots := 0
	for _, n := range g.Nodes {
		switch n.Op {
		case graph.OpTranspose:
			t.Errorf("a transposition\n%v", g)
		case graph.OpDot:
			dots++
		}
	}
	if dots != 3 {
		t.Errorf("%d products", dots)
	}
	// What is not asked for is not computed.
	if g, err = Gradient(m, f, []int{1}, 0); err != nil {
		t.Fatal(err)
	}
	dots = 0
	for _, n := range g.Nodes {
		if n.Op == graph.OpDot {
			dots++
		}
	}
	if dots != 2 {
		t.Errorf("%d products for one gradient", dots)
	}
}
