package passes

import (
	"context"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Fold computes now what depends on constants alone.
type Fold struct {
	// Eval computes a node on known operands, or returns nil where it leaves the
	// node to the program. A backend computes with its own kernels, so that the
	// result has the bits it would have at run time.
	Eval func(n *graph.Node, in []*graph.Tensor, out graph.Type) *graph.Tensor
}

// maxFolded bounds the elements of a result: larger ones are cheaper to compute
// than to carry.
const maxFolded = 1 << 14

// Name returns constant folding.
func (Fold) Name() string { return "constant folding" }

// Run folds.
func (p Fold) Run(_ context.Context, g *Graph) ([]kernels.Count, error) {
	folded := int64(0)
	err := Rewrite(g, func(w *Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		if !pure(n) || len(args) == 0 || len(types) != 1 || n.Op == graph.OpBroadcast || elements(types[0]) > maxFolded {
			return nil, nil
		}
		in := make([]*graph.Tensor, len(args))
		for i, a := range args {
			if in[i] = w.Known(a); in[i] == nil {
				return nil, nil
			}
		}
		t := p.Eval(n, in, types[0])
		if t == nil {
			return nil, nil
		}
		folded++
		return []graph.ValueID{w.Constant(t)}, nil
	})
	return []kernels.Count{{What: "nodes computed", N: folded}}, err
}
