package passes

import (
	"context"
	"hash/maphash"
	"reflect"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Common computes once what several nodes compute: equal ops with equal
// attributes on the same operands. It stays with the layer that came first.
type Common struct{}

// Name returns common subexpressions.
func (Common) Name() string { return "common subexpressions" }

// Run shares equal nodes.
func (Common) Run(_ context.Context, g *Graph) ([]kernels.Count, error) {
	shared := int64(0)
	seed := maphash.MakeSeed()
	seen := map[uint64][]int{} // nodes of the new graph
	scratch := make([]byte, 0, 256)
	err := Rewrite(g, func(w *Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		if !pure(n) || len(types) == 0 {
			return nil, nil
		}
		var value *graph.Tensor
		if c, ok := n.Attrs.(*graph.ConstantAttrs); ok {
			value = c.Value
		}
		b := append(scratch[:0], byte(n.Op), byte(n.Op>>8))
		for _, a := range args {
			b = append(b, byte(a), byte(a>>8), byte(a>>16), byte(a>>24))
		}
		h := maphash.Bytes(seed, b)
		if value != nil {
			h ^= maphash.Bytes(seed, value.Data)
		}
		for _, i := range seen[h] {
			if m := &w.Func.Nodes[i]; m.Op == n.Op && slices.Equal(m.Args, args) && w.sameTypes(m, types) && w.sameAttrs(i, n) {
				shared++
				out := make([]graph.ValueID, len(types))
				for k := range out {
					out[k] = m.Out + graph.ValueID(k)
				}
				return out, nil
			}
		}
		seen[h] = append(seen[h], len(w.Func.Nodes))
		return nil, nil
	})
	return []kernels.Count{{What: "nodes shared", N: shared}}, err
}

func (w *Writer) sameTypes(n *graph.Node, types []graph.Type) bool {
	if int(n.NumOut) != len(types) {
		return false
	}
	for i, t := range types {
		if !w.Func.Types[int(n.Out)+i].Equal(t) {
			return false
		}
	}
	return true
}

// sameAttrs compares the attributes of the new node i and the old one at hand.
func (w *Writer) sameAttrs(i int, n *graph.Node) bool {
	m := &w.Func.Nodes[i]
	switch a := n.Attrs.(type) {
	case nil:
		return m.Attrs == nil
	case *graph.ConstantAttrs:
		b := m.Attrs.(*graph.ConstantAttrs)
		if a.Value == nil || b.Value == nil {
			return a.Value == b.Value && a.Ref == b.Ref
		}
		return string(a.Value.Data) == string(b.Value.Data)
	case *graph.CallAttrs:
		b, ok := m.Attrs.(*graph.CallAttrs)
		return ok && a.Callee == b.Callee && w.bodies[i] == w.body
	}
	return reflect.DeepEqual(m.Attrs, n.Attrs) && w.bodies[i] == w.body
}
