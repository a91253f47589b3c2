package passes

import (
	"context"
	"math"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Algebra replaces nodes by what they equal, where they equal it to the bit for
// every operand: x*1, x-0, the reshape of a reshape. x+0 is not such a rule, as
// -0+0 is 0.
type Algebra struct{}

// Name returns algebra.
func (Algebra) Name() string { return "algebra" }

// Run simplifies.
func (Algebra) Run(_ context.Context, g *Graph) ([]kernels.Count, error) {
	simplified := int64(0)
	err := Rewrite(g, func(w *Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		if len(types) != 1 {
			return nil, nil
		}
		s := simplifier{w, n, args, types[0]}
		out, ok := s.simpler()
		if !ok {
			return nil, nil
		}
		simplified++
		return []graph.ValueID{out}, nil
	})
	return []kernels.Count{{What: "nodes simplified", N: simplified}}, err
}

type simplifier struct {
	*Writer
	n    *graph.Node
	args []graph.ValueID
	t    graph.Type
}

// is reports whether every element of operand i is the number x, with the sign
// of a zero.
func (s *simplifier) is(i int, x float64) bool {
	c, ok := s.Number(s.args[i])
	if !ok {
		return false
	}
	got := c.Float(0)
	return got == x && math.Signbit(got) == math.Signbit(x)
}

// simpler returns the value that the node's result equals.
func (s *simplifier) simpler() (graph.ValueID, bool) {
	none := graph.ValueID(0)
	arg := func(i int) graph.ValueID { return s.args[i] }
	float := s.t.DType.IsFloat()
	switch s.n.Op {
	case graph.OpMul:
		for i := range 2 {
			if s.is(i, 1) {
				return arg(1 - i), true
			}
		}
	case graph.OpDiv:
		if s.is(1, 1) {
			return arg(0), true
		}
		return s.reciprocal()
	case graph.OpSub:
		if s.is(1, 0) {
			return arg(0), true
		}
	case graph.OpAdd:
		for i := range 2 {
			if zero := math.Copysign(0, -1); float && s.is(i, zero) || !float && s.is(i, 0) {
				return arg(1 - i), true
			}
		}
	case graph.OpMax, graph.OpMin, graph.OpAnd, graph.OpOr:
		if arg(0) == arg(1) {
			return arg(0), true
		}
	case graph.OpSelect:
		if arg(1) == arg(2) {
			return arg(1), true
		}
		if c, ok := s.Number(arg(0)); ok && len(c.Shape) == 0 {
			if c.Int(0) != 0 {
				return arg(1), s.same(arg(1))
			}
			return arg(2), s.same(arg(2))
		}
	case graph.OpNeg, graph.OpNot:
		if in := s.MakerOf(arg(0), s.n.Op); in != nil {
			return in.Args[0], true
		}
	case graph.OpConvert, graph.OpBitcast, graph.OpSlice:
		return arg(0), s.same(arg(0))
	case graph.OpConcat:
		return arg(0), len(s.args) == 1
	case graph.OpAllReduce:
		return arg(0), s.n.Attrs.(*graph.AllReduceAttrs).Shards <= 1
	case graph.OpReduce:
		// Over axes of one element. A sum of -0 alone is 0, though.
		one := s.n.Attrs.(*graph.ReduceAttrs).Kind != graph.Sum && elements(s.Func.Types[arg(0)]) == elements(s.t)
		return s.reshaped(arg(0), s.t, one && elements(s.t) > 0)
	case graph.OpReshape:
		if s.same(arg(0)) {
			return arg(0), true
		}
		if in := s.MakerOf(arg(0), graph.OpReshape); in != nil {
			return s.reshaped(in.Args[0], s.t, true)
		}
	case graph.OpBroadcast:
		return s.broadcast()
	case graph.OpTranspose:
		return s.transpose()
	case graph.OpPad:
		if s.same(arg(0)) && unpadded(s.n.Attrs.(*graph.PadAttrs)) {
			return arg(0), true
		}
	}
	return none, false
}

// same reports whether v has the type of the node's result.
func (s *simplifier) same(v graph.ValueID) bool { return s.Func.Types[v].Equal(s.t) }

func unpadded(a *graph.PadAttrs) bool {
	for _, list := range [][]graph.DimExpr{a.Low, a.High} {
		for i := range list {
			if d, err := list[i].Eval(nil); err != nil || d != graph.N(0) {
				return false
			}
		}
	}
	return !slices.ContainsFunc(a.Interior, func(n int64) bool { return n != 0 })
}

func (s *simplifier) reshaped(v graph.ValueID, t graph.Type, ok bool) (graph.ValueID, bool) {
	if !ok {
		return 0, false
	}
	if s.Func.Types[v].Equal(t) {
		return v, true
	}
	return s.Typed(graph.OpReshape, &graph.ReshapeAttrs{}, []graph.ValueID{v}, []graph.Type{t})[0], true
}

// reciprocal turns a division by a power of two, whose inverse is exact, into a
// product.
func (s *simplifier) reciprocal() (graph.ValueID, bool) {
	c, ok := s.Number(s.args[1])
	if !ok || s.t.DType != graph.F32 && s.t.DType != graph.F64 {
		return 0, false
	}
	x := c.Float(0)
	fraction, exponent := math.Frexp(x)
	if math.Abs(fraction) != 0.5 || exponent > 60 || exponent < -60 {
		return 0, false
	}
	inverse := graph.NewTensor(s.t.DType)
	inverse.SetFloat(0, 1/x)
	v := s.Constant(inverse)
	if s.t.Rank() > 0 {
		v = s.Typed(graph.OpBroadcast, &graph.BroadcastAttrs{Dims: []int64{}}, []graph.ValueID{v}, []graph.Type{s.t})[0]
	}
	return s.Typed(graph.OpMul, nil, []graph.ValueID{s.args[0], v}, []graph.Type{s.t})[0], true
}

// broadcast drops one that changes nothing and joins two.
func (s *simplifier) broadcast() (graph.ValueID, bool) {
	dims := s.n.Attrs.(*graph.BroadcastAttrs).Dims
	if s.same(s.args[0]) && slices.IsSorted(dims) {
		return s.args[0], true
	}
	in := s.MakerOf(s.args[0], graph.OpBroadcast)
	if in == nil {
		return 0, false
	}
	inner := in.Attrs.(*graph.BroadcastAttrs).Dims
	joined := make([]int64, len(inner))
	for i, d := range inner {
		joined[i] = dims[d]
	}
	return s.Typed(graph.OpBroadcast, &graph.BroadcastAttrs{Dims: joined}, []graph.ValueID{in.Args[0]}, []graph.Type{s.t})[0], true
}

// transpose drops one that changes nothing and joins two.
func (s *simplifier) transpose() (graph.ValueID, bool) {
	perm, v, joined := s.n.Attrs.(*graph.TransposeAttrs).Perm, s.args[0], false
	if in := s.MakerOf(v, graph.OpTranspose); in != nil {
		first := in.Attrs.(*graph.TransposeAttrs).Perm
		both := make([]int64, len(perm))
		for i, p := range perm {
			both[i] = first[p]
		}
		perm, v, joined = both, in.Args[0], true
	}
	switch {
	case slices.IsSorted(perm):
		return v, true
	case joined:
		return s.Typed(graph.OpTranspose, &graph.TransposeAttrs{Perm: perm}, []graph.ValueID{v}, []graph.Type{s.t})[0], true
	}
	return 0, false
}
