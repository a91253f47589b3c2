package reference

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// invocation is one application of an op: what its kernel may look at.
type invocation struct {
	ctx    context.Context
	op     graph.Op
	attrs  graph.Attrs
	in     []*graph.Tensor
	out    []graph.Type // concrete
	consts map[string]*graph.Tensor
	opaque kernels.OpaqueCaller

	work int
}

// chunk is how many elementary operations run between two looks at the context.
const chunk = 1 << 18

// spend counts n elementary operations and reports a cancelled context.
func (c *invocation) spend(n int) error {
	if c.work += n; c.work >= chunk {
		c.work = 0
		return c.ctx.Err()
	}
	return nil
}

// one wraps the single result of a kernel.
func one(t *graph.Tensor, err error) ([]*graph.Tensor, error) {
	if err != nil {
		return nil, err
	}
	return []*graph.Tensor{t}, nil
}

type kernel func(c *invocation) ([]*graph.Tensor, error)

// table holds the code of every op that computes values from values. Those of
// structure, which run other functions, are in structure.go.
var table = map[graph.Op]kernel{
	graph.OpNeg: unary, graph.OpAbs: unary, graph.OpSign: unary,
	graph.OpExp: unary, graph.OpExpm1: unary, graph.OpLog: unary, graph.OpLog1p: unary,
	graph.OpSqrt: unary, graph.OpRsqrt: unary, graph.OpTanh: unary, graph.OpSigmoid: unary, graph.OpErf: unary,
	graph.OpSin: unary, graph.OpCos: unary, graph.OpFloor: unary, graph.OpCeil: unary, graph.OpRound: unary,
	graph.OpIsFinite: isFinite, graph.OpNot: unary,

	graph.OpAdd: pairwise, graph.OpSub: pairwise, graph.OpMul: pairwise, graph.OpDiv: pairwise, graph.OpRem: pairwise,
	graph.OpPow: pairwise, graph.OpMax: pairwise, graph.OpMin: pairwise,
	graph.OpAnd: pairwise, graph.OpOr: pairwise, graph.OpXor: pairwise, graph.OpShl: pairwise, graph.OpShr: pairwise,
	graph.OpCompare: compare, graph.OpSelect: selectOp, graph.OpConvert: convert, graph.OpBitcast: bitcast,

	graph.OpConstant: constant, graph.OpIota: iota_, graph.OpSize: size, graph.OpRandomBits: randomBits,

	graph.OpReduce: reduce, graph.OpArgReduce: argReduce, graph.OpSort: sortOp, graph.OpTopK: topK, graph.OpCumSum: cumSum,

	graph.OpReshape: reshape, graph.OpTranspose: transpose, graph.OpBroadcast: broadcast, graph.OpSlice: slice,
	graph.OpDynamicSlice: dynamicSlice, graph.OpDynamicUpdateSlice: dynamicUpdateSlice, graph.OpPad: pad,
	graph.OpReverse: reverse, graph.OpConcat: concat, graph.OpGather: gather, graph.OpScatterAdd: scatterAdd,

	graph.OpDot: dot, graph.OpConv: conv, graph.OpConvInputGrad: conv, graph.OpConvFilterGrad: conv,
	graph.OpReduceWindow: reduceWindow, graph.OpReduceWindowGrad: reduceWindowGrad,

	graph.OpOpaque: opaque,
}

// EvalOp applies one op to concrete operands and returns its results. Ops of
// structure (call, scan) need a module; use Eval. An all_reduce is that of one
// replica, the identity.
func EvalOp(ctx context.Context, op graph.Op, attrs graph.Attrs, in ...*graph.Tensor) ([]*graph.Tensor, error) {
	types := make([]graph.Type, len(in))
	for i, t := range in {
		types[i] = t.Type()
	}
	out, err := graph.InferTypes(nil, graph.Any, op, types, attrs)
	if err != nil {
		return nil, err
	}
	if op == graph.OpAllReduce {
		return in, nil
	}
	return apply(&invocation{ctx: ctx, op: op, attrs: attrs, in: in, out: out})
}

func apply(c *invocation) ([]*graph.Tensor, error) {
	k, ok := table[c.op]
	if !ok {
		return nil, fmt.Errorf("%v needs the module it stands in", c.op)
	}
	return k(c)
}
