package passes

import (
	"context"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// DeadCode drops the nodes that no result depends on. Opaque calls stay.
type DeadCode struct{}

// Name returns dead code.
func (DeadCode) Name() string { return "dead code" }

// Run drops what is dead.
func (DeadCode) Run(_ context.Context, g *Graph) ([]kernels.Count, error) {
	live := make([]bool, len(g.Types))
	for _, r := range g.Results {
		live[r.Value] = true
	}
	keep := make([]bool, len(g.Nodes))
	dropped := int64(0)
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := &g.Nodes[i]
		keep[i] = n.Op == graph.OpOpaque
		for k := range n.NumOut {
			keep[i] = keep[i] || live[n.Out+graph.ValueID(k)]
		}
		if !keep[i] {
			dropped++
			continue
		}
		for _, a := range n.Args {
			live[a] = true
		}
	}
	if dropped == 0 {
		return nil, nil
	}
	i := -1
	err := Rewrite(g, func(_ *Writer, n *graph.Node, _ []graph.ValueID, _ []graph.Type) ([]graph.ValueID, error) {
		if i++; keep[i] {
			return nil, nil
		}
		return make([]graph.ValueID, n.NumOut), nil // nobody reads them
	})
	return []kernels.Count{{What: "nodes dropped", N: dropped}}, err
}
