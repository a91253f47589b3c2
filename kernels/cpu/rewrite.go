package cpu

import (
	"context"
	"unsafe"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// rewriter holds a flat function in the form that lowering takes: the shared
// passes have been applied, 16-bit floats are computed in f32, the operands of
// dot stand in an order that the matrix kernels read.
type rewriter struct {
	module *graph.Module
	out    *graph.Func
	body   map[int]*inline.Flat // of scans, by node
	after  map[int]int          // see passes.Graph
	def    []int                // node that makes each value, -1 for parameters
	late   map[int]bool         // nodes that must not join the loop of their operand
	scopes []string
	consts map[graph.ValueID]*graph.Tensor // values known at compile time

	reports []kernels.PassReport
	levels  int // of recomputation that there are, where one was asked for
}

// earlyBytes is how much the gradients must take for the updates to follow them at
// once: less stays in the cache until the end of the step, where all updates
// share few meetings of the threads.
const earlyBytes = 8 << 20

// rewrite applies the passes; early is how much gradients must take for their
// updates to be early, recompute the level of passes.Recompute.
func rewrite(ctx context.Context, m *graph.Module, from *inline.Flat, early int64, recompute int) (*rewriter, error) {
	g := passes.New(m, from)
	reports, err := passes.Run(ctx, g,
		passes.Shapes{}, passes.DeadCode{}, passes.Fold{Eval: evalElementwise}, passes.Algebra{}, passes.Common{},
		natives{m}, widen{}, layout{}, passes.Common{})
	if err != nil {
		return nil, err
	}
	r := newRewriter(g, nil)
	r.maskMoments()
	last, err := passes.Run(ctx, g, epilogues{}, maxima{}, passes.DeadCode{}, near{}, passes.EarlyUpdates{MinBytes: early})
	if err != nil {
		return nil, err
	}
	levels := 0
	if recompute > 0 {
		levels = passes.Recompute{}.Levels(g)
	}
	again, err := passes.Run(ctx, g, passes.Recompute{Level: recompute})
	if err != nil {
		return nil, err
	}
	r = newRewriter(g, passes.Merge(reports, append(last, again...)...))
	r.levels = levels
	return r, nil
}

func newRewriter(g *passes.Graph, reports []kernels.PassReport) *rewriter {
	return &rewriter{
		module: g.Module, out: g.Func, body: g.Bodies, after: g.After, late: g.Late, def: g.Definers(), scopes: g.Scopes, consts: g.Constants(),
		reports: reports,
	}
}

// evalElementwise computes an elementwise op on known operands with the kernels
// of the loops.
func evalElementwise(n *graph.Node, args []*graph.Tensor, out graph.Type) *graph.Tensor {
	size := numel(out)
	if n.Op.Def().Class != graph.Elementwise || size == 0 || isHalf(out.DType) {
		return nil
	}
	var in [3]unsafe.Pointer
	for i, t := range args {
		if isHalf(t.DType) || t.Len() != size {
			return nil
		}
		in[i] = unsafe.Pointer(&alignedCopy(t.Data)[0])
	}
	fn := elementwiseFunc(n, args[0].DType, out.DType)
	if fn == nil {
		return nil
	}
	data := alignedBytes(int64(max(size*out.DType.Size(), 8)))
	fn(unsafe.Pointer(&data[0]), in[0], in[1], in[2], size)
	t := &graph.Tensor{DType: out.DType, Data: data[:size*out.DType.Size()]}
	t.Shape, _ = out.Shape.Const()
	return t
}

func alignedCopy(b []byte) []byte {
	a := alignedBytes(int64(max(len(b), 8)))
	copy(a, b)
	return a
}

// elementwiseFunc returns the loop function of a node, nil where there is none.
func elementwiseFunc(n *graph.Node, in, out graph.DType) loopFunc {
	switch n.Op {
	case graph.OpCompare:
		return compareFor(in, n.Attrs.(*graph.CompareAttrs).Direction)
	case graph.OpSelect:
		return selectFor(out.Size())
	case graph.OpConvert:
		return convertFor(in, out)
	case graph.OpBitcast:
		return copyFor(out.Size())
	}
	return loopFuncs[n.Op].of(in)
}

// maker returns the node of an op that makes v, nil where another does.
func (r *rewriter) maker(v graph.ValueID, op graph.Op) *graph.Node {
	if d := r.def[v]; d >= 0 && r.out.Nodes[d].Op == op {
		return &r.out.Nodes[d]
	}
	return nil
}
