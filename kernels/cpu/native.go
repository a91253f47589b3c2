package cpu

import (
	"context"
	"fmt"
	"strconv"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// Composites that have a kernel of their own: calls of them are kept where all
// others become their bodies.

// native is the kernel of a composite. It works along the last axis.
type native struct {
	name   string // of its instructions
	axis   bool   // the composite has an attribute axis
	labels int    // operand of integers, -1 for none; all others are f32
	rows   bool   // each row of the result depends on the same row of all operands alone
	build  func(c *nodeContext)
}

const gradientMoments = "gradient_moments" // dy, x, mean[, y] -> sum, products; with y, dy counts where y > 0

// nativeOf returns the kernel of a composite, nil where it has none.
func nativeOf(composite string) *native {
	n, ok := map[string]native{
		"hone/moments@1":                        {"moments", true, -1, false, buildMoments},
		"hone/gradient_moments@1":               {gradientMoments, true, -1, false, buildGradientMoments},
		"hone/softmax@1":                        {"softmax", true, -1, true, buildSoftmax},
		"hone/log_softmax@1":                    {"log_softmax", true, -1, true, buildLogSoftmax},
		"hone/softmax_cross_entropy@1":          {"softmax_cross_entropy", false, 1, true, buildCrossEntropy},
		"hone/gradient_softmax_cross_entropy@1": {"gradient_softmax_cross_entropy", false, 1, true, buildCrossEntropyGrad},
	}[composite]
	if !ok {
		return nil
	}
	return &n
}

// maxColumns bounds the rows of a native by rows: a kernel cannot be
// interrupted within one.
const maxColumns = 1 << 16

// takes reports whether the kernel computes a function with the composite's
// operands.
func (k *native) takes(f *graph.Func) bool {
	for i, p := range f.Params {
		d := p.Type.DType
		if i == k.labels && d != graph.I32 && d != graph.I64 || i != k.labels && d != graph.F32 {
			return false
		}
	}
	x := f.Params[0].Type
	last := x.Rank() - 1
	if k.axis && f.Composite.Attr("axis") != strconv.Itoa(last) {
		return false
	}
	if k.rows {
		n, ok := x.Shape[last].Const()
		return ok && n <= maxColumns
	}
	return true
}

// nativeAttrs marks a call that a kernel computes.
type nativeAttrs struct {
	graph.CallAttrs
	composite string
}

// nativeNode returns the kernel of a node, nil for one that is no such call.
func nativeNode(n *graph.Node) *native {
	if a, ok := n.Attrs.(*nativeAttrs); ok {
		return nativeOf(a.composite)
	}
	return nil
}

// keepNative returns which composites are not expanded: those with a kernel,
// for the types that it takes.
func keepNative(m *graph.Module) inline.Keep {
	known := map[*graph.Func]bool{}
	return func(f *graph.Func) bool {
		if f.Composite == nil {
			return false
		}
		keep, ok := known[f]
		if !ok {
			k := nativeOf(f.Composite.Name)
			keep = k != nil && k.takes(f) && graph.TrustedComposite(m, f)
			known[f] = keep
		}
		return keep
	}
}

// natives is the pass that marks the calls that were kept.
type natives struct{ module *graph.Module }

func (natives) Name() string { return "native composites" }

func (p natives) Run(_ context.Context, g *passes.Graph) ([]kernels.Count, error) {
	kept := int64(0)
	err := passes.Rewrite(g, func(w *passes.Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		call, ok := n.Attrs.(*graph.CallAttrs)
		if !ok {
			return nil, nil
		}
		f := p.module.Resolve(call.Callee, graph.Any)
		if f == nil || f.Composite == nil {
			return nil, fmt.Errorf("a call of %q was not expanded", call.Callee)
		}
		kept++
		return w.Typed(graph.OpCall, &nativeAttrs{composite: f.Composite.Name}, args, types), nil
	})
	return []kernels.Count{{What: "calls kept", N: kept}}, err
}

func buildNative(c *nodeContext, _ int) error {
	k := nativeNode(c.n)
	if k == nil {
		return fmt.Errorf("a call has no kernel")
	}
	k.build(c)
	return nil
}

// rowsAndColumns views a value as a matrix whose columns are its last axis.
func rowsAndColumns(t tensorAt) (rows, columns int) {
	rows = 1
	for _, e := range t.shape[:len(t.shape)-1] {
		rows *= e
	}
	return rows, t.shape[len(t.shape)-1]
}
