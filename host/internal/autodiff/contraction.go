package autodiff

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// dotRule contracts the gradient with the other operand over that one's free
// axes, each operand standing on its own side, so that the gradients of a
// matrix product are matrix products without a transposition.
func dotRule(s *step) error {
	a := s.attrs.(*graph.DotAttrs)
	l, r := s.x[0], s.x[1]
	lfree := freeAxes(l.Rank(), a.LeftBatch, a.LeftContract)
	rfree := freeAxes(r.Rank(), a.RightBatch, a.RightContract)
	// The axes of the gradient: batch, free of the left, free of the right.
	batch := count(0, len(a.LeftBatch))
	dl := count(len(batch), len(lfree))
	dr := count(len(batch)+len(lfree), len(rfree))
	// The gradient of a result wider than its operands meets them in their type.
	d := s.dy[0].Convert(l.DType())
	b := graph.DotAttrs{Precision: a.Precision, Accum: a.Accum}
	if s.want[0] {
		b.LeftBatch, b.LeftContract, b.RightBatch, b.RightContract = batch, dr, a.RightBatch, rfree
		// The right's contracted axes come in its order.
		s.dx[0] = arrange(d.Dot(r, b), a.LeftBatch, lfree, byOther(a.LeftContract, a.RightContract))
	}
	if s.want[1] {
		b.LeftBatch, b.LeftContract, b.RightBatch, b.RightContract = a.LeftBatch, lfree, batch, dl
		s.dx[1] = arrange(l.Dot(d, b), a.RightBatch, byOther(a.RightContract, a.LeftContract), rfree)
	}
	return nil
}

// freeAxes lists the axes in neither list, ascending.
func freeAxes(rank int, lists ...[]int64) []int64 {
	out := []int64{}
	for i := range int64(rank) {
		if !slices.ContainsFunc(lists, func(l []int64) bool { return slices.Contains(l, i) }) {
			out = append(out, i)
		}
	}
	return out
}

func count(from, n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(from + i)
	}
	return out
}

// byOther lists mine in the order in which the axes paired with them ascend.
func byOther(mine, other []int64) []int64 {
	order := count(0, len(mine))
	slices.SortFunc(order, func(i, j int64) int { return int(other[i] - other[j]) })
	out := make([]int64, len(mine))
	for i, k := range order {
		out[i] = mine[k]
	}
	return out
}

// arrange puts in order the axes of a value, which are now, one after another,
// the listed axes of the wanted one.
func arrange(v graph.Value, lists ...[]int64) graph.Value {
	perm := make([]int, v.Rank())
	at, sorted := 0, true
	for _, l := range lists {
		for _, axis := range l {
			sorted = sorted && int(axis) == at
			perm[axis] = at
			at++
		}
	}
	if sorted {
		return v
	}
	return v.Transpose(perm...)
}

// convAttrs returns the attributes for a product of gradients in type d.
func convAttrs(a *graph.ConvAttrs, d graph.DType) *graph.ConvAttrs {
	c := *a
	c.Out = graph.Invalid
	if c.Accum == d {
		c.Accum = graph.Invalid
	}
	return &c
}

func convRule(s *step) error {
	x, w := s.x[0], s.x[1]
	a := convAttrs(s.attrs.(*graph.ConvAttrs), x.DType())
	d := s.dy[0].Convert(x.DType())
	if s.want[0] {
		s.dx[0] = s.b.Apply(graph.OpConvInputGrad, a, d, w, x)[0]
	}
	if s.want[1] {
		s.dx[1] = s.b.Apply(graph.OpConvFilterGrad, a, x, d, w)[0]
	}
	return nil
}

// convInputGradRule: the op is linear in the gradient that it takes and in the
// filter; its own transpose is the convolution.
func convInputGradRule(s *step) error {
	g, w := s.x[0], s.x[1]
	a := convAttrs(s.attrs.(*graph.ConvAttrs), g.DType())
	d := s.dy[0].Convert(g.DType())
	if s.want[0] {
		s.dx[0] = s.b.Apply(graph.OpConv, a, d, w)[0]
	}
	if s.want[1] {
		s.dx[1] = s.b.Apply(graph.OpConvFilterGrad, a, d, g, w)[0]
	}
	return nil
}

func convFilterGradRule(s *step) error {
	x, g := s.x[0], s.x[1]
	a := convAttrs(s.attrs.(*graph.ConvAttrs), x.DType())
	d := s.dy[0].Convert(x.DType())
	if s.want[0] {
		s.dx[0] = s.b.Apply(graph.OpConvInputGrad, a, g, d, x)[0]
	}
	if s.want[1] {
		s.dx[1] = s.b.Apply(graph.OpConv, a, x, d)[0]
	}
	return nil
}

func reduceWindowRule(s *step) error {
	s.dx[0] = s.b.Apply(graph.OpReduceWindowGrad, s.attrs, s.x[0], s.dy[0])[0]
	return nil
}

// maxTaps bounds the elements of a window that reduceWindowGradRule unrolls.
const maxTaps = 1024

// reduceWindowGradRule: the op is linear in the gradient that it takes, and
// piecewise constant in the operand whose windows are searched.
func reduceWindowGradRule(s *step) error {
	if !s.want[1] {
		return nil
	}
	a := s.attrs.(*graph.WindowAttrs)
	x, d := s.x[0], s.dy[0]
	if a.Kind == graph.Sum {
		s.dx[1] = d.ReduceWindow(*a)
		return nil
	}
	// The gradient of each output is d at the first best element of its window:
	// try the elements in order.
	taps := int64(1)
	for _, n := range a.Window {
		if taps *= n; taps > maxTaps {
			return fmt.Errorf("the second derivative of a %s over windows %v is not unrolled beyond %d elements", a.Kind, a.Window, maxTaps)
		}
	}
	best := x.ReduceWindow(*a)
	low, high := make([]graph.Extent, x.Rank()), make([]graph.Extent, x.Rank())
	gaps := make([]int64, x.Rank())
	for i := range low {
		low[i], high[i] = graph.E(a.PadLow[i]), graph.E(a.PadHigh[i])
	}
	padded := d.Pad(0, low, high, gaps)
	values := x.Pad(0, low, high, gaps)
	real := fullLike(x, 1).Pad(0, low, high, gaps)
	zero := s.b.Scalar(x.DType(), 0)
	sum := zerosLike(s.x[1])
	open := sum.Eq(zero) // outputs that have not found their element
	for k := range taps {
		start, limit := make([]graph.Extent, x.Rank()), make([]graph.Extent, x.Rank())
		rest := k
		for i := x.Rank() - 1; i >= 0; i-- {
			offset := rest % a.Window[i] * a.Dilation[i]
			rest /= a.Window[i]
			start[i] = graph.E(offset)
			// Every stride-th element from the offset, one for each output.
			limit[i] = best.Dim(i).Plus(graph.E(-1)).Times(graph.E(a.Strides[i])).Plus(graph.E(offset + 1))
		}
		tap := func(v graph.Value) graph.Value { return v.Slice(start, limit, a.Strides) }
		v := tap(values)
		isNaN := v.Eq(v).Not()
		here := open.And(tap(real).Gt(zero)).And(v.Eq(best).Or(isNaN))
		sum = sum.Add(choose(here, tap(padded), none))
		open = open.And(here.Not())
	}
	s.dx[1] = sum
	return nil
}

// allReduceRule differentiates the sum of what all replicas derive from their
// results: the gradients of the replicas are added, and an extremum gives them
// to the replicas that hold it, shared among ties.
func allReduceRule(s *step) error {
	a := *s.attrs.(*graph.AllReduceAttrs)
	kind := a.Kind
	a.Kind = graph.Sum
	join := func(v graph.Value) graph.Value { return s.b.Apply(graph.OpAllReduce, &a, v)[0] }
	d := join(s.dy[0])
	if kind == graph.Sum {
		s.dx[0] = d
		return nil
	}
	x := s.x[0]
	best := x.Eq(s.y[0]).Convert(x.DType())
	s.dx[0] = best.Mul(d.Div(join(best)))
	return nil
}

// opaqueRule calls the component that the attributes name for the gradient: it
// takes operands, results and the gradients of the floating-point results, and
// gives the gradients of the floating-point operands.
func opaqueRule(s *step) error {
	a := s.attrs.(*graph.OpaqueAttrs)
	if a.Gradient == "" {
		return fmt.Errorf("the opaque component %q has no gradient; freeze what comes before it, or use a component that has one", a.Component)
	}
	g := &graph.OpaqueAttrs{Component: a.Gradient, Config: a.Config}
	for _, v := range s.x {
		if v.DType().IsFloat() {
			g.Types = append(g.Types, v.Type())
		}
	}
	args := append(append(append([]graph.Value(nil), s.x...), s.y...), s.floatGrads()...)
	return s.spread(s.b.Apply(graph.OpOpaque, g, args...))
}
