package passes

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Shapes settles what depends on sizes, which are known once a batch size is:
// size becomes a constant, the operands of which an op reads only the extents
// are dropped, and expressions over extents become numbers.
type Shapes struct{}

// Name returns shapes.
func (Shapes) Name() string { return "shapes" }

// Run settles the sizes.
func (Shapes) Run(_ context.Context, g *Graph) ([]kernels.Count, error) {
	sizes, references := int64(0), int64(0)
	from := g.Types
	err := Rewrite(g, func(w *Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		shaped := n.Op.Def().Shaped
		switch {
		case n.Op == graph.OpSize:
			sizes++
			e, ok := from[n.Args[0]].Shape[n.Attrs.(*graph.SizeAttrs).Axis].Const()
			if !ok {
				return nil, fmt.Errorf("the extent of %v is not concrete", from[n.Args[0]])
			}
			t := graph.NewTensor(graph.I64)
			t.SetInt(0, e)
			return []graph.ValueID{w.Constant(t)}, nil
		case n.Op == graph.OpConstant:
			c := n.Attrs.(*graph.ConstantAttrs)
			if c.Ref == "" {
				return nil, nil
			}
			t := w.Module.Consts[c.Ref]
			if t == nil {
				return nil, fmt.Errorf("the module lacks the constant %q", c.Ref)
			}
			return []graph.ValueID{w.Constant(t)}, nil
		case shaped < 0:
			return nil, nil
		}
		a, err := settle(n, from)
		if err != nil {
			return nil, err
		}
		if len(args) > shaped {
			references += int64(len(args) - shaped)
			args = args[:shaped]
		}
		return w.Typed(n.Op, a, args, types), nil
	})
	return []kernels.Count{{What: "sizes known", N: sizes}, {What: "references dropped", N: references}}, err
}

// settle replaces expressions over operand dimensions by their values. What the
// types say of the result is left out of the attributes.
func settle(n *graph.Node, types []graph.Type) (graph.Attrs, error) {
	in := make([]graph.Type, len(n.Args))
	for i, v := range n.Args {
		in[i] = types[v]
	}
	eval := func(e []graph.DimExpr) ([]graph.DimExpr, error) {
		out := make([]graph.DimExpr, len(e))
		for i := range e {
			d, err := e[i].Eval(in)
			if err != nil {
				return nil, err
			}
			k, ok := d.Const()
			if !ok {
				return nil, fmt.Errorf("extent %v is not concrete", d)
			}
			out[i] = graph.ConstExpr(k)
		}
		return out, nil
	}
	var err error
	switch a := n.Attrs.(type) {
	case *graph.SliceAttrs:
		c := *a
		if c.Start, err = eval(a.Start); err == nil {
			c.Limit, err = eval(a.Limit)
		}
		return &c, err
	case *graph.PadAttrs:
		c := *a
		if c.Low, err = eval(a.Low); err == nil {
			c.High, err = eval(a.High)
		}
		return &c, err
	case *graph.BroadcastAttrs:
		return &graph.BroadcastAttrs{Dims: a.Dims}, nil
	case *graph.ReshapeAttrs:
		return &graph.ReshapeAttrs{}, nil
	case *graph.IotaAttrs:
		return &graph.IotaAttrs{To: a.To, Axis: a.Axis}, nil
	case *graph.RandomBitsAttrs:
		return &graph.RandomBitsAttrs{}, nil
	}
	return n.Attrs, nil
}
