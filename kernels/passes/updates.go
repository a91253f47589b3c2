package passes

import (
	"cmp"
	"context"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// EarlyUpdates moves what only replaces a parameter to where its operands are
// ready: the optimizer runs while the gradient that it takes is still in the
// cache, and no gradient waits in memory for the last one. A step that clips by
// the norm of all gradients needs them all first, and is left as it is.
type EarlyUpdates struct {
	// MinBytes is how much the gradients must take in all; 0 moves any.
	MinBytes int64
}

// Name returns early updates.
func (EarlyUpdates) Name() string { return "early updates" }

// Run reorders the nodes.
func (p EarlyUpdates) Run(_ context.Context, g *Graph) ([]kernels.Count, error) {
	def := g.Definers()
	// late says of an elementwise node that nothing but such nodes and results
	// read it: the way from a gradient to what it replaces.
	late := make([]bool, len(g.Nodes))
	for i := range late {
		late[i] = g.Nodes[i].Op.Def().Class == graph.Elementwise || transparent(g.Nodes[i].Op)
	}
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		if late[i] {
			continue
		}
		for _, a := range g.Nodes[i].Args {
			if d := def[a]; d >= 0 {
				late[d] = false
			}
		}
	}
	// A node that is not late comes where it stands; a late one behind the last of
	// its operands.
	ready := make([]int, len(g.Nodes))
	bytes := int64(0)
	order := make([]int, len(g.Nodes))
	for i := range g.Nodes {
		order[i], ready[i] = i, i
		if !late[i] {
			continue
		}
		ready[i] = -1
		for _, a := range g.Nodes[i].Args {
			if d := def[a]; d >= 0 {
				ready[i] = max(ready[i], ready[d])
			}
		}
		for _, a := range g.Nodes[i].Args {
			if d := def[a]; d >= 0 && !late[d] && d == ready[i] {
				bytes += bytesOf(g.Types[a])
				break
			}
		}
	}
	if bytes < p.MinBytes {
		return nil, nil
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(ready[a], ready[b]) })
	moved := int64(0)
	for to, from := range order {
		if to < from {
			moved++
		}
	}
	if moved == 0 {
		return nil, nil
	}
	g.reorder(order)
	return []kernels.Count{{What: "nodes moved", N: moved}}, nil
}

// reorder puts the nodes into another order, which must keep a node behind those
// that it reads.
func (g *Graph) reorder(order []int) {
	f := &graph.Func{Name: g.Name, Mode: g.Mode, Params: g.Params, Types: make([]graph.Type, len(g.Params), len(g.Types))}
	to := make([]graph.ValueID, len(g.Types))
	for i, p := range g.Params {
		f.Types[i], to[i] = p.Type, graph.ValueID(i)
	}
	at := make([]int, len(g.Nodes))
	bodies := map[int]*inline.Flat{}
	for place, i := range order {
		n := g.Nodes[i]
		at[i] = place
		args := make([]graph.ValueID, len(n.Args))
		for k, a := range n.Args {
			args[k] = to[a]
		}
		if b := g.Bodies[i]; b != nil {
			bodies[place] = b
		}
		types := g.Types[n.Out : int(n.Out)+int(n.NumOut)]
		n.Args = args
		if n.NumOut > 0 {
			for k := range types {
				to[int(n.Out)+k] = graph.ValueID(len(f.Types) + k)
			}
			n.Out = graph.ValueID(len(f.Types))
		}
		f.Types = append(f.Types, types...)
		f.Nodes = append(f.Nodes, n)
		f.Scopes = append(f.Scopes, g.Scopes[i])
	}
	for _, r := range g.Results {
		r.Value = to[r.Value]
		f.Results = append(f.Results, r)
	}
	after := map[int]int{}
	for i, j := range g.After {
		after[at[i]] = at[j]
	}
	late := map[int]bool{}
	for i := range g.Late {
		late[at[i]] = true
	}
	g.Func, g.Bodies, g.After, g.Late = f, bodies, after, late
}
