package autodiff

import (
	"context"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// Every node of a gradient says which layer it belongs to, through calls within
// calls and composites, so that a profile can tell the layers' costs apart.
func TestGradientsKeepTheScopesOfWhatTheyDifferentiate(t *testing.T) {
	m := &graph.Module{}
	layer := graph.NewBuilder(m, "dense", graph.Any)
	x := layer.Input("x", graph.T(graph.F32, 4, 3))
	w := layer.Param("kernel", graph.T(graph.F32, 3, 3), graph.Decl{})
	layer.Output("y", x.MatMul(w).Gelu(false))
	if _, err := layer.Finish(); err != nil {
		t.Fatal(err)
	}
	block := graph.NewBuilder(m, "block", graph.Any)
	y := block.Call("dense", "first", block.Input("x", graph.T(graph.F32, 4, 3)))[0]
	block.Output("y", block.Call("dense", "second", y)[0])
	if _, err := block.Finish(); err != nil {
		t.Fatal(err)
	}
	model := graph.NewBuilder(m, "model", graph.Any)
	y = model.Call("block", "net", model.Input("x", graph.T(graph.F32, 4, 3)))[0]
	model.SetScope("(loss)")
	model.Output("loss", y.Square().Sum())
	if _, err := model.Finish(); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []inline.Keep{nil, func(f *graph.Func) bool { return f.Composite != nil }} {
		m := m.Clone()
		flat, err := inline.Flatten(context.Background(), m, "model", kernels.Options{}, keep)
		if err != nil {
			t.Fatal(err)
		}
		f, err := AddFlat(m, flat, "flat")
		if err != nil {
			t.Fatal(err)
		}
		g, err := Gradient(m, f, []int{f.Param(graph.ParamRole, "net.first.kernel"), f.Param(graph.ParamRole, "net.second.kernel")}, 0)
		if err != nil {
			t.Fatal(err)
		}
		all, err := inline.Flatten(context.Background(), m, g.Name, kernels.Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for i := range all.Nodes {
			seen[all.Scopes[i]]++
		}
		for _, want := range []string{"net.first", "net.second", "(loss)", "gradient of net.first", "gradient of net.second", "gradient of (loss)"} {
			if seen[want] == 0 {
				t.Errorf("no node comes from %q; scopes are %v", want, seen)
			}
			delete(seen, want)
		}
		delete(seen, "") // the seed
		if len(seen) > 0 {
			t.Errorf("nodes come from %v", seen)
		}
		dots := map[string]int{}
		for i := range all.Nodes {
			if all.Nodes[i].Op == graph.OpDot {
				dots[all.Scopes[i]]++
			}
		}
		if dots["gradient of net.second"] != 2 || dots["gradient of net.first"] != 1 || dots["net.first"] != 1 {
			t.Errorf("products by scope: %v", dots)
		}
		if i := slices.Index(all.Scopes, "gradient of net.second"); i < slices.Index(all.Scopes, "net.second") {
			t.Error("a gradient stands before what it differentiates")
		}
	}
}
