package cpu

import (
	"context"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// near is the pass that computes cheap elementwise values again where they are
// read far from where they were made, out of what is in memory there anyway:
// the gradient of a batch normalization takes x - mean from x, that of a relu
// its mask from what the relu gave. Kept, such a value would be written,
// occupy memory until then, and be read; made again, it costs an op in a loop
// that reads its operand in any case.
type near struct{}

func (near) Name() string { return "computed where read" }

// farAway is the distance, in nodes, from which a value is made again.
const farAway = 64

// cheapOps are as cheap as reading their result.
var cheapOps = map[graph.Op]bool{
	graph.OpAdd: true, graph.OpSub: true, graph.OpMul: true, graph.OpMax: true, graph.OpMin: true, graph.OpNeg: true, graph.OpAbs: true, graph.OpCompare: true,
}

func (near) Run(_ context.Context, g *passes.Graph) ([]kernels.Count, error) {
	late := map[int]bool{} // nodes of the result that must not join the loop of their operand
	def := g.Definers()
	elementwise := func(i int) bool { return g.Nodes[i].Op.Def().Class == graph.Elementwise }
	users := make([][]int, len(g.Types))
	stored := make([]bool, len(g.Types)) // in memory whatever happens here
	for v := range g.Types {
		stored[v] = def[v] < 0 || !elementwise(def[v])
	}
	for i := range g.Nodes {
		for _, a := range g.Nodes[i].Args {
			users[a] = append(users[a], i)
			stored[a] = stored[a] || !elementwise(i)
		}
	}
	for _, r := range g.Results {
		stored[r.Value] = true
	}
	// whole returns the one operand of a cheap node that is as large as its result.
	whole := func(i int) (graph.ValueID, bool) {
		n := &g.Nodes[i]
		if !cheapOps[n.Op] {
			return 0, false
		}
		found, ok := graph.ValueID(-1), true
		for _, a := range n.Args {
			if d := def[a]; d >= 0 && (g.Nodes[d].Op == graph.OpBroadcast || g.Nodes[d].Op == graph.OpConstant) {
				continue
			}
			ok = ok && (found < 0 || found == a)
			found = a
		}
		return found, ok && found >= 0
	}
	// again says of the nodes that they can be computed anywhere.
	again := make([]bool, len(g.Nodes))
	for i := range g.Nodes {
		if v, ok := whole(i); ok {
			again[i] = stored[v] || again[def[v]]
		}
	}
	wanted := func(d, user int) bool { return user-d > farAway }
	redo := make([]bool, len(g.Nodes))
	for i := range g.Nodes {
		if !again[i] || stored[g.Nodes[i].Out] {
			continue
		}
		for _, u := range users[g.Nodes[i].Out] {
			redo[i] = redo[i] || wanted(i, u)
		}
	}
	var count int64
	copies := map[int]graph.ValueID{} // the last copy of a node, and where it is
	at := map[int]int{}
	to := make([]graph.ValueID, len(g.Types))
	for i := range g.Params {
		to[i] = graph.ValueID(i)
	}
	var again1 func(w *passes.Writer, d, user int) graph.ValueID
	again1 = func(w *passes.Writer, d, user int) graph.ValueID {
		if c, ok := copies[d]; ok && user-at[d] <= farAway {
			return c
		}
		n := &g.Nodes[d]
		args := make([]graph.ValueID, len(n.Args))
		v, _ := whole(d)
		for k, a := range n.Args {
			args[k] = to[a]
			if a == v && !stored[v] && wanted(def[v], user) {
				args[k] = again1(w, def[v], user)
			}
		}
		if stored[v] {
			late[len(w.Func.Nodes)] = true
		}
		count++
		copies[d], at[d] = w.Typed(n.Op, n.Attrs, args, []graph.Type{g.Types[n.Out]})[0], user
		return copies[d]
	}
	i := -1
	err := passes.Rewrite(g, func(w *passes.Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		i++
		if elementwise(i) {
			for k, a := range n.Args {
				if d := def[a]; d >= 0 && redo[d] && wanted(d, i) {
					args[k] = again1(w, d, i)
				}
			}
		}
		if v, ok := whole(i); ok && stored[v] && def[v] >= 0 && wanted(def[v], i) {
			late[len(w.Func.Nodes)] = true
		}
		out := w.Typed(n.Op, n.Attrs, args, types)
		copy(to[n.Out:], out)
		return out, nil
	})
	g.Late = late
	return []kernels.Count{{What: "values", N: count}}, err
}
