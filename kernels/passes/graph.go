package passes

import (
	"slices"

	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// Graph is a flat function with concrete types under rewriting. Its values are
// numbered as those of any function, and a node reads only what stands before it.
type Graph struct {
	// Func is the function. Its Scopes are as long as its Nodes.
	*graph.Func
	// Bodies are the flat callees of scans and kept calls, by node.
	Bodies map[int]*inline.Flat
	// After says of a node that it may not run before another one, which stands
	// before it though it reads none of its results: what is computed again
	// must not be computed at once.
	After map[int]int
	// Late holds the nodes that must not be computed together with what they
	// read, which would make them wait in memory.
	Late map[int]bool
	// Module holds the constants that nodes refer to.
	Module *graph.Module
}

// New starts from a flattened function, which it does not change.
func New(m *graph.Module, f *inline.Flat) *Graph {
	g := &graph.Func{Name: f.Name, Mode: f.Mode, Params: f.Params, Nodes: slices.Clone(f.Nodes), Results: slices.Clone(f.Results), Types: f.Types, Scopes: f.Scopes}
	if len(g.Scopes) != len(g.Nodes) {
		g.Scopes = make([]string, len(g.Nodes))
	}
	return &Graph{Func: g, Bodies: f.Bodies, Module: m}
}

// Flat returns the graph as what flattening gives.
func (g *Graph) Flat() *inline.Flat { return &inline.Flat{Func: g.Func, Bodies: g.Bodies} }

// Definers returns, for every value, the node that makes it, -1 for parameters.
func (g *Graph) Definers() []int {
	def := make([]int, len(g.Types))
	for i := range g.Params {
		def[i] = -1
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for k := range n.NumOut {
			def[n.Out+graph.ValueID(k)] = i
		}
	}
	return def
}

// Constants returns the values that are known, by value.
func (g *Graph) Constants() map[graph.ValueID]*graph.Tensor {
	out := map[graph.ValueID]*graph.Tensor{}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.Op == graph.OpConstant {
			if t := n.Attrs.(*graph.ConstantAttrs).Value; t != nil {
				out[n.Out] = t
			}
		}
	}
	return out
}

// data returns the operands of which a node uses the elements.
func data(n *graph.Node) []graph.ValueID {
	if s := n.Op.Def().Shaped; s >= 0 && s < len(n.Args) {
		return n.Args[:s]
	}
	return n.Args
}

// pure reports whether running a node once is as good as running it twice. A
// scan is, but is too large to be run again or compared.
func pure(n *graph.Node) bool {
	return n.Op != graph.OpOpaque && n.Op != graph.OpScan && n.Op != graph.OpAllReduce
}

// elements returns the number of elements of a concrete type.
func elements(t graph.Type) int64 {
	n := int64(1)
	for _, d := range t.Shape {
		k, _ := d.Const()
		n *= k
	}
	return n
}

func bytesOf(t graph.Type) int64 { return elements(t) * int64(t.DType.Size()) }
