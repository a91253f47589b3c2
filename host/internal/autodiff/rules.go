package autodiff

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// rules holds the derivative of every op that has one.
var rules = map[graph.Op]rule{
	graph.OpNeg:     unary(func(x, y, d graph.Value) graph.Value { return d.Neg() }),
	graph.OpAbs:     unary(func(x, y, d graph.Value) graph.Value { return d.Mul(x.Sign()) }),
	graph.OpExp:     unary(func(x, y, d graph.Value) graph.Value { return d.Mul(y) }),
	graph.OpExpm1:   unary(func(x, y, d graph.Value) graph.Value { return d.Mul(y.Plus(1)) }),
	graph.OpLog:     unary(func(x, y, d graph.Value) graph.Value { return d.Div(x) }),
	graph.OpLog1p:   unary(func(x, y, d graph.Value) graph.Value { return d.Div(x.Plus(1)) }),
	graph.OpSqrt:    unary(func(x, y, d graph.Value) graph.Value { return d.Div(y.Times(2)) }),
	graph.OpRsqrt:   unary(func(x, y, d graph.Value) graph.Value { return d.Times(-0.5).Mul(y.Mul(y).Mul(y)) }),
	graph.OpTanh:    unary(func(x, y, d graph.Value) graph.Value { return d.Mul(oneMinus(y.Mul(y))) }),
	graph.OpSigmoid: unary(func(x, y, d graph.Value) graph.Value { return d.Mul(y).Mul(oneMinus(y)) }),
	graph.OpErf: unary(func(x, y, d graph.Value) graph.Value {
		const twoOverRootPi = 1.1283791670955126
		return d.Times(twoOverRootPi).Mul(x.Mul(x).Neg().Exp())
	}),
	graph.OpSin: unary(func(x, y, d graph.Value) graph.Value { return d.Mul(x.Cos()) }),
	graph.OpCos: unary(func(x, y, d graph.Value) graph.Value { return d.Mul(x.Sin()).Neg() }),

	graph.OpAdd: binary(
		func(a, b, y, d graph.Value) graph.Value { return d },
		func(a, b, y, d graph.Value) graph.Value { return d }),
	graph.OpSub: binary(
		func(a, b, y, d graph.Value) graph.Value { return d },
		func(a, b, y, d graph.Value) graph.Value { return d.Neg() }),
	graph.OpMul: binary(
		func(a, b, y, d graph.Value) graph.Value { return d.Mul(b) },
		func(a, b, y, d graph.Value) graph.Value { return d.Mul(a) }),
	graph.OpDiv: binary(
		func(a, b, y, d graph.Value) graph.Value { return d.Div(b) },
		func(a, b, y, d graph.Value) graph.Value { return d.Mul(y).Div(b).Neg() }),
	// a = b*trunc(a/b) + y, with trunc constant.
	graph.OpRem: binary(
		func(a, b, y, d graph.Value) graph.Value { return d },
		func(a, b, y, d graph.Value) graph.Value { return d.Mul(a.Sub(y).Div(b).Round()).Neg() }),
	graph.OpPow: binary(powBase, powExponent),
	// A tie gives the gradient to the second operand, so that max(x, 0) has
	// the gradient 0 at 0.
	graph.OpMax: binary(
		func(a, b, y, d graph.Value) graph.Value { return choose(a.Gt(b), d, none) },
		func(a, b, y, d graph.Value) graph.Value { return choose(a.Gt(b), none, d) }),
	graph.OpMin: binary(
		func(a, b, y, d graph.Value) graph.Value { return choose(a.Lt(b), d, none) },
		func(a, b, y, d graph.Value) graph.Value { return choose(a.Lt(b), none, d) }),
	graph.OpSelect:  selectRule,
	graph.OpConvert: unary(func(x, y, d graph.Value) graph.Value { return d.Convert(x.DType()) }),

	graph.OpReduce: reduceRule,
	graph.OpSort:   sortRule,
	graph.OpTopK:   topKRule,
	graph.OpCumSum: cumSumRule,

	graph.OpReshape:            unary(func(x, y, d graph.Value) graph.Value { return d.Reshape(x.Dims()...) }),
	graph.OpTranspose:          transposeRule,
	graph.OpBroadcast:          broadcastRule,
	graph.OpSlice:              sliceRule,
	graph.OpDynamicSlice:       dynamicSliceRule,
	graph.OpDynamicUpdateSlice: dynamicUpdateSliceRule,
	graph.OpPad:                padRule,
	graph.OpReverse:            reverseRule,
	graph.OpConcat:             concatRule,
	graph.OpGather:             gatherRule,
	graph.OpScatterAdd:         scatterAddRule,

	graph.OpDot:              dotRule,
	graph.OpConv:             convRule,
	graph.OpConvInputGrad:    convInputGradRule,
	graph.OpConvFilterGrad:   convFilterGradRule,
	graph.OpReduceWindow:     reduceWindowRule,
	graph.OpReduceWindowGrad: reduceWindowGradRule,

	graph.OpAllReduce: allReduceRule,
	graph.OpOpaque:    opaqueRule,
}

// constant lists the ops through which nothing flows back, with the reason.
var constant = map[graph.Op]string{
	graph.OpSign: "piecewise constant", graph.OpFloor: "piecewise constant", graph.OpCeil: "piecewise constant", graph.OpRound: "piecewise constant",
	graph.OpBitcast:  "reinterprets bits",
	graph.OpIsFinite: "gives bools", graph.OpCompare: "gives bools", graph.OpArgReduce: "gives indices",
	graph.OpNot: "integers", graph.OpAnd: "integers", graph.OpOr: "integers", graph.OpXor: "integers", graph.OpShl: "integers", graph.OpShr: "integers",
	graph.OpConstant: "no operands", graph.OpIota: "shapes alone", graph.OpSize: "shapes alone", graph.OpRandomBits: "integers",
}

// structural lists the ops that the tape itself differentiates.
var structural = map[graph.Op]bool{graph.OpCall: true, graph.OpScan: true}

// unary makes a rule of the derivative of an op with one data operand.
func unary(f func(x, y, d graph.Value) graph.Value) rule {
	return func(s *step) error {
		s.dx[0] = f(s.x[0], s.y[0], s.dy[0])
		return nil
	}
}

// binary makes a rule of the derivatives with respect to two operands.
func binary(da, db func(a, b, y, d graph.Value) graph.Value) rule {
	return func(s *step) error {
		if s.want[0] {
			s.dx[0] = da(s.x[0], s.x[1], s.y[0], s.dy[0])
		}
		if s.want[1] {
			s.dx[1] = db(s.x[0], s.x[1], s.y[0], s.dy[0])
		}
		return nil
	}
}

func oneMinus(v graph.Value) graph.Value { return v.Neg().Plus(1) }

// none stands for a gradient of zeros.
var none graph.Value

// choose selects between two gradients, of which one may be none.
func choose(where, yes, no graph.Value) graph.Value {
	switch {
	case yes == none:
		yes = no.Builder().Scalar(no.DType(), 0)
	case no == none:
		no = yes.Builder().Scalar(yes.DType(), 0)
	}
	return where.Select(yes, no)
}

// powBase is 0 where the exponent is 0, though 0^-1 is infinite.
func powBase(a, b, _, d graph.Value) graph.Value {
	zero := b.Builder().Scalar(b.DType(), 0)
	return b.Eq(zero).Select(zero, d.Mul(b).Mul(a.Pow(b.Plus(-1))))
}

// powExponent is 0 where the base is not above 0, as a^b is then constant in b
// where it is real at all.
func powExponent(a, _, y, d graph.Value) graph.Value {
	zero := a.Builder().Scalar(a.DType(), 0)
	one := a.Builder().Scalar(a.DType(), 1)
	positive := a.Gt(zero)
	return positive.Select(d.Mul(y).Mul(positive.Select(a, one).Log()), zero)
}

func selectRule(s *step) error {
	if s.want[1] {
		s.dx[1] = choose(s.x[0], s.dy[0], none)
	}
	if s.want[2] {
		s.dx[2] = choose(s.x[0], none, s.dy[0])
	}
	return nil
}

// spreadAlong stretches the result of a reduction of like over axes back to
// the shape of like.
func spreadAlong(v, like graph.Value, axes []int64) graph.Value {
	reduced := make([]bool, like.Rank())
	for _, a := range axes {
		reduced[a] = true
	}
	kept := []int64{}
	for i, r := range reduced {
		if !r {
			kept = append(kept, int64(i))
		}
	}
	return v.BroadcastAlong(kept, like.Dims()...)
}

func ints(v []int64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// reduceAlong is Value.Reduce that takes no axes to mean none.
func reduceAlong(v graph.Value, kind graph.ReduceKind, axes []int64) graph.Value {
	if len(axes) == 0 {
		return v
	}
	return v.Reduce(kind, ints(axes)...)
}

func reduceRule(s *step) error {
	a := s.attrs.(*graph.ReduceAttrs)
	x, y, d := s.x[0], s.y[0], s.dy[0]
	back := func(v graph.Value) graph.Value { return spreadAlong(v, x, a.Axes) }
	switch a.Kind {
	case graph.Sum:
		s.dx[0] = back(d)
	case graph.Max, graph.Min:
		// Elements that tie share the gradient, as in TensorFlow.
		best := x.Eq(back(y)).Convert(x.DType())
		s.dx[0] = best.Mul(back(d.Div(reduceAlong(best, graph.Sum, a.Axes))))
	case graph.Prod:
		// The product of the others: y/x without zeros; with one zero it is
		// that of the rest, at the zero; with more it is 0.
		zero := s.b.Scalar(x.DType(), 0)
		isZero := x.Eq(zero)
		filled := isZero.Select(s.b.Scalar(x.DType(), 1), x)
		rest := back(reduceAlong(filled, graph.Prod, a.Axes)).Div(filled)
		zeros := isZero.Convert(x.DType())
		others := back(reduceAlong(zeros, graph.Sum, a.Axes)).Sub(zeros) // zeros among the others
		s.dx[0] = choose(others.Eq(zero), rest, none).Mul(back(d))
	default:
		return fmt.Errorf("a reduction of kind %s has no gradient", a.Kind)
	}
	return nil
}

// sortRule sorts the gradients by where each element came from.
func sortRule(s *step) error {
	a := s.attrs.(*graph.SortAttrs)
	axis := int(a.Axis)
	from := s.x[0].Sort(axis, a.Descending, s.b.Iota(graph.I32, axis, s.x[0].Dims()...))[1]
	var back []graph.Value
	var at []int
	for i, d := range s.dy {
		if d.Valid() && s.want[i] {
			back, at = append(back, d), append(at, i)
		}
	}
	sorted := from.Sort(axis, false, back...)[1:]
	for k, i := range at {
		s.dx[i] = sorted[k]
	}
	return nil
}

func topKRule(s *step) error {
	if s.dy[0].Valid() {
		last := s.x[0].Rank() - 1
		s.dx[0] = zerosLike(s.x[0]).ScatterAdd(last, last, s.y[1], s.dy[0])
	}
	return nil
}

func cumSumRule(s *step) error {
	a := s.attrs.(*graph.CumSumAttrs)
	s.dx[0] = s.dy[0].CumSum(int(a.Axis), a.Exclusive, !a.Reverse)
	return nil
}
