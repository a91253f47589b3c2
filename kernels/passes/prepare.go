package passes

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// Prepare takes out of g what depends on fixed parameters alone: folded weights,
// transposed or converted ones. It returns the function that computes it, whose
// results are called prepared:0, prepared:1, ... and are further parameters of g
// from then on, of the role param; nil where there is nothing to take out. A
// caller runs the returned function once and g as often as it likes.
//
// Parameters of g that nothing reads any more are gone from its signature, as are
// the results that drop names.
func Prepare(g *Graph, fixed func(graph.Param) bool, drop func(graph.Result) bool) *Graph {
	known := fixedValues(g, fixed)
	def := g.Definers()
	// Constants alone are not worth a parameter.
	varies := make([]bool, len(g.Types))
	for i := range g.Params {
		varies[i] = true
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for _, a := range data(n) {
			for k := range n.NumOut {
				varies[n.Out+graph.ValueID(k)] = varies[n.Out+graph.ValueID(k)] || varies[a]
			}
		}
	}
	var results []graph.Result
	for _, r := range g.Results {
		if !drop(r) {
			results = append(results, r)
		}
	}
	// taken are the values handed over, in order.
	var taken []graph.ValueID
	place := map[graph.ValueID]int{}
	seen := map[graph.ValueID]bool{}
	var need func(v graph.ValueID)
	need = func(v graph.ValueID) {
		if seen[v] {
			return
		}
		seen[v] = true
		d := def[v]
		if d < 0 {
			return
		}
		n := &g.Nodes[d]
		_, concrete := g.Types[v].Shape.Const()
		if known[v] && varies[v] && concrete && !transparent(n.Op) {
			place[v] = len(taken)
			taken = append(taken, v)
			return
		}
		for _, a := range n.Args {
			need(a)
		}
	}
	for _, r := range results {
		need(r.Value)
	}
	for i := range g.Nodes {
		if g.Nodes[i].Op == graph.OpOpaque {
			for _, a := range g.Nodes[i].Args {
				need(a)
			}
		}
	}
	if len(taken) == 0 && len(results) == len(g.Results) {
		return nil
	}
	var once *Graph
	if len(taken) > 0 {
		var out []graph.Result
		for k, v := range taken {
			out = append(out, graph.Result{Name: fmt.Sprintf("prepared:%d", k), Role: graph.Output, Value: v})
		}
		once = g.part(false, nil, nil, out)
	}
	main := g.part(true, taken, place, results)
	g.Func, g.Bodies, g.After, g.Late = main.Func, main.Bodies, nil, nil
	return once
}

// part copies what the results depend on, with the values in given as further
// parameters. The main part keeps all inputs and opaque calls.
func (g *Graph) part(main bool, given []graph.ValueID, place map[graph.ValueID]int, results []graph.Result) *Graph {
	live := make([]bool, len(g.Types))
	for _, r := range results {
		live[r.Value] = true
	}
	keep := make([]bool, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := &g.Nodes[i]
		keep[i] = main && n.Op == graph.OpOpaque
		for k := range n.NumOut {
			v := n.Out + graph.ValueID(k)
			_, is := place[v]
			keep[i] = keep[i] || live[v] && !is
		}
		if keep[i] {
			for _, a := range n.Args {
				live[a] = true
			}
		}
	}
	f := &graph.Func{Name: g.Name, Mode: g.Mode}
	to := make([]graph.ValueID, len(g.Types))
	param := func(v graph.ValueID, p graph.Param) {
		to[v] = graph.ValueID(len(f.Params))
		f.Params = append(f.Params, p)
		f.Types = append(f.Types, p.Type)
	}
	for i, p := range g.Params {
		if live[i] || main && p.Role == graph.Input {
			param(graph.ValueID(i), p)
		}
	}
	for k, v := range given {
		param(v, graph.Param{Name: fmt.Sprintf("prepared:%d", k), Role: graph.ParamRole, Type: g.Types[v]})
	}
	bodies := map[int]*inline.Flat{}
	for i := range g.Nodes {
		if !keep[i] {
			continue
		}
		n := g.Nodes[i]
		args := make([]graph.ValueID, len(n.Args))
		for k, a := range n.Args {
			args[k] = to[a]
		}
		n.Args = args
		if b := g.Bodies[i]; b != nil {
			bodies[len(f.Nodes)] = b
		}
		if n.NumOut > 0 {
			first := graph.ValueID(len(f.Types))
			for k := range n.NumOut {
				if v := n.Out + graph.ValueID(k); place == nil || !has(place, v) {
					to[v] = first + graph.ValueID(k)
				}
			}
			f.Types = append(f.Types, g.Types[n.Out:int(n.Out)+int(n.NumOut)]...)
			n.Out = first
		}
		f.Nodes = append(f.Nodes, n)
		f.Scopes = append(f.Scopes, g.Scopes[i])
	}
	for _, r := range results {
		r.Value = to[r.Value]
		f.Results = append(f.Results, r)
	}
	return &Graph{Func: f, Bodies: bodies, Module: g.Module}
}

func has(m map[graph.ValueID]int, v graph.ValueID) bool {
	_, ok := m[v]
	return ok
}
