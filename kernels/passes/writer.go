package passes

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// Writer writes the graph that a pass leaves behind.
type Writer struct {
	// Func is what has been written so far.
	Func *graph.Func
	// Module holds the constants that nodes refer to.
	Module *graph.Module

	bodies map[int]*inline.Flat
	def    []int
	consts map[graph.ValueID]*graph.Tensor
	scope  string
	body   *inline.Flat // of the node at hand
	to     []graph.ValueID
}

// Visit says what stands for an old node, whose operands are args in the new
// graph and whose results have types: it adds nodes and returns the values that
// replace the results. Without values the node is copied.
type Visit func(w *Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error)

// Rewrite writes g anew, node by node.
func Rewrite(g *Graph, visit Visit) error {
	w := &Writer{
		Func: &graph.Func{
			Name: g.Name, Mode: g.Mode, Params: g.Params, Types: make([]graph.Type, len(g.Params), len(g.Types)),
			Nodes: make([]graph.Node, 0, len(g.Nodes)), Scopes: make([]string, 0, len(g.Nodes)),
		},
		Module: g.Module, bodies: map[int]*inline.Flat{}, consts: map[graph.ValueID]*graph.Tensor{},
		def: make([]int, len(g.Params), len(g.Types)), to: make([]graph.ValueID, len(g.Types)),
	}
	to := w.to
	node := make([]int, len(g.Nodes)) // where each old node is now, -1 where it is gone
	for i, p := range g.Params {
		w.Func.Types[i], w.def[i], to[i] = p.Type, -1, graph.ValueID(i)
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		args := make([]graph.ValueID, len(n.Args))
		for j, a := range n.Args {
			args[j] = to[a]
		}
		w.scope, w.body = g.Scopes[i], g.Bodies[i]
		before := len(w.Func.Nodes)
		types := g.Types[n.Out : int(n.Out)+int(n.NumOut)]
		out, err := visit(w, n, args, types)
		if err != nil {
			return fmt.Errorf("node %d (%v): %w", i, n.Op, err)
		}
		if out == nil {
			out = w.Typed(n.Op, n.Attrs, args, types)
		}
		copy(to[n.Out:int(n.Out)+int(n.NumOut)], out)
		if node[i] = len(w.Func.Nodes) - 1; node[i] < before {
			node[i] = -1
		}
	}
	for _, r := range g.Results {
		r.Value = to[r.Value]
		w.Func.Results = append(w.Func.Results, r)
	}
	after := map[int]int{}
	for i, j := range g.After {
		if a, b := node[i], node[j]; a >= 0 && b >= 0 {
			after[a] = b
		}
	}
	late := map[int]bool{}
	for i := range g.Late {
		if a := node[i]; a >= 0 {
			late[a] = true
		}
	}
	g.Func, g.Bodies, g.After, g.Late = w.Func, w.bodies, after, late
	return nil
}

// Add adds a node whose types its op's rule gives.
func (w *Writer) Add(op graph.Op, a graph.Attrs, args ...graph.ValueID) ([]graph.ValueID, error) {
	in := make([]graph.Type, len(args))
	for i, v := range args {
		in[i] = w.Func.Types[v]
	}
	types, err := graph.InferTypes(w.Module, graph.Any, op, in, a)
	if err != nil {
		return nil, err
	}
	return w.Typed(op, a, args, types), nil
}

// Typed adds a node with the types of its results. A scan or a kept call keeps
// the body of the old node at hand.
func (w *Writer) Typed(op graph.Op, a graph.Attrs, args []graph.ValueID, types []graph.Type) []graph.ValueID {
	f, node := w.Func, len(w.Func.Nodes)
	n := graph.Node{Op: op, Args: args, Attrs: a, NumOut: int32(len(types))}
	if len(types) > 0 {
		n.Out = graph.ValueID(len(f.Types))
	}
	f.Nodes = append(f.Nodes, n)
	f.Scopes = append(f.Scopes, w.scope)
	if w.body != nil && (op == graph.OpScan || op == graph.OpCall) {
		w.bodies[node] = w.body
	}
	out := make([]graph.ValueID, len(types))
	for i, t := range types {
		out[i] = graph.ValueID(len(f.Types))
		f.Types = append(f.Types, t)
		w.def = append(w.def, node)
	}
	if op == graph.OpConstant {
		if c, ok := a.(*graph.ConstantAttrs); ok && c.Value != nil {
			w.consts[out[0]] = c.Value
		}
	}
	return out
}

// New returns what stands for a value of the old graph.
func (w *Writer) New(v graph.ValueID) graph.ValueID { return w.to[v] }

// Constant adds a known value.
func (w *Writer) Constant(t *graph.Tensor) graph.ValueID {
	return w.Typed(graph.OpConstant, &graph.ConstantAttrs{Value: t}, nil, []graph.Type{t.Type()})[0]
}

// Known returns the value where it is a constant, nil elsewhere.
func (w *Writer) Known(v graph.ValueID) *graph.Tensor { return w.consts[v] }

// Number returns the one number that every element of v is, where that is known.
func (w *Writer) Number(v graph.ValueID) (x *graph.Tensor, ok bool) {
	for {
		n := w.Maker(v)
		switch {
		case n == nil:
			return nil, false
		case n.Op == graph.OpBroadcast || n.Op == graph.OpReshape:
			v = n.Args[0]
			continue
		}
		c := w.consts[v]
		return c, c != nil && c.Len() == 1
	}
}

// Maker returns the node that makes v, nil for a parameter.
func (w *Writer) Maker(v graph.ValueID) *graph.Node {
	if d := w.def[v]; d >= 0 {
		return &w.Func.Nodes[d]
	}
	return nil
}

// MakerOf returns the node that makes v where it is of that op, else nil.
func (w *Writer) MakerOf(v graph.ValueID, op graph.Op) *graph.Node {
	if n := w.Maker(v); n != nil && n.Op == op {
		return n
	}
	return nil
}
