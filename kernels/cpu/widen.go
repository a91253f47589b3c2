package cpu

import (
	"context"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// widen is the pass that computes 16-bit floats in f32: operands are converted,
// results rounded once.
type widen struct{}

func (widen) Name() string { return "half floats" }

func (widen) Run(_ context.Context, g *passes.Graph) ([]kernels.Count, error) {
	widened := int64(0)
	err := passes.Rewrite(g, func(w *passes.Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		half := slices.ContainsFunc(args, func(v graph.ValueID) bool { return isHalf(w.Func.Types[v].DType) })
		switch {
		case n.Op == graph.OpIota && isHalf(types[0].DType):
			widened++
			wide := w.Typed(n.Op, n.Attrs, args, []graph.Type{types[0].WithDType(graph.F32)})[0]
			return w.Add(graph.OpConvert, &graph.ConvertAttrs{To: types[0].DType}, wide)
		case !half || anyWidth(n.Op):
			return nil, nil
		}
		widened++
		return widenNode(w, n, args, types)
	})
	return []kernels.Count{{What: "nodes widened", N: widened}}, err
}

func isHalf(d graph.DType) bool { return d == graph.BF16 || d == graph.F16 }

// anyWidth lists the ops that only move elements, or convert them themselves.
func anyWidth(op graph.Op) bool {
	switch op {
	case graph.OpConvert, graph.OpBitcast, graph.OpSelect, graph.OpSort, graph.OpOpaque, graph.OpScan, graph.OpCall:
		return true
	}
	return op.Def().Class == graph.Movement && op != graph.OpScatterAdd
}

func widenNode(w *passes.Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
	in := slices.Clone(args)
	for i, v := range args {
		if isHalf(w.Func.Types[v].DType) {
			c, err := w.Add(graph.OpConvert, &graph.ConvertAttrs{To: graph.F32}, v)
			if err != nil {
				return nil, err
			}
			in[i] = c[0]
		}
	}
	wide := make([]graph.Type, len(types))
	for i, t := range types {
		if wide[i] = t; isHalf(t.DType) {
			wide[i] = t.WithDType(graph.F32)
		}
	}
	attrs := n.Attrs
	switch a := attrs.(type) {
	case *graph.ConvAttrs:
		k := *a
		k.Out, k.Accum = wide[0].DType, wide[0].DType
		attrs = &k
	case *graph.DotAttrs:
		k := *a
		k.Out, k.Accum = wide[0].DType, wide[0].DType
		attrs = &k
	}
	out := slices.Clone(w.Typed(n.Op, attrs, in, wide))
	for i, t := range types {
		if isHalf(t.DType) {
			c, err := w.Add(graph.OpConvert, &graph.ConvertAttrs{To: t.DType}, out[i])
			if err != nil {
				return nil, err
			}
			out[i] = c[0]
		}
	}
	return out, nil
}
