package train

import (
	"reflect"
	"testing"

	"github.com/hone-ml/hone/sdk/graph"
)

// Indices are followed through calls, conversions, reshapes and slices of columns,
// and no further than a computation.
func TestIndicesAreFollowedToTheirTables(t *testing.T) {
	m := graph.NewModule()
	look := graph.NewBuilder(m, "look", graph.Any)
	x := look.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(2)}})
	table := look.Const(graph.NewTensor(graph.F32, 7, 3))
	look.Output("y", table.Gather(0, 0, x.Reshape(graph.E(2), x.Dim(0)).Convert(graph.I32)))
	if _, err := look.Finish(); err != nil {
		t.Fatal(err)
	}
	b := graph.NewBuilder(m, "model", graph.Any)
	in := b.Input("in", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(5)}})
	pair := b.Call("look", "emb", in.SliceAxis(1, graph.E(1), graph.E(3)))
	b.Output("pair", pair[0])
	other := b.Const(graph.NewTensor(graph.F32, 4, 1))
	b.Output("one", other.Gather(0, 0, in.SliceAxis(1, graph.E(4), graph.E(5)).Convert(graph.I32)))
	b.Output("computed", other.Gather(0, 0, in.SliceAxis(1, graph.E(0), graph.E(1)).Abs().Convert(graph.I32)))
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	got := (&Program{Module: m, Model: "model"}).Indices()
	want := map[string][]Index{"in": {{1, 3, 7, "emb"}, {4, 5, 4, ""}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, wanted %v", got, want)
	}
}
