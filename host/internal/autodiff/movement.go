package autodiff

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// extents turns the expressions of a node's attributes into extents of the
// function under construction.
func extents(exprs []graph.DimExpr, operands []graph.Value) []graph.Extent {
	out := make([]graph.Extent, len(exprs))
	for i, e := range exprs {
		sum := graph.E(e.Add)
		for _, t := range e.Terms {
			p := graph.E(t.Mul)
			for _, r := range t.Factors {
				p = p.Times(operands[r.Operand].Dim(int(r.Axis)))
			}
			sum = sum.Plus(p.Over(t.Div))
		}
		out[i] = sum
	}
	return out
}

func minus(e graph.Extent) graph.Extent { return e.Times(graph.E(-1)) }

func transposeRule(s *step) error {
	perm := s.attrs.(*graph.TransposeAttrs).Perm
	back := make([]int, len(perm))
	for i, p := range perm {
		back[p] = i
	}
	s.dx[0] = s.dy[0].Transpose(back...)
	return nil
}

// broadcastRule adds up over the axes along which the operand was stretched.
func broadcastRule(s *step) error {
	a := s.attrs.(*graph.BroadcastAttrs)
	x, d := s.x[0], s.dy[0]
	from := make([]int, d.Rank()) // operand axis + 1; 0 for a new one
	for i, j := range a.Dims {
		from[j] = i + 1
	}
	var axes []int64
	stretched := false
	for j, i := range from {
		switch {
		case i == 0:
			axes = append(axes, int64(j))
		case x.Type().Shape[i-1] != d.Type().Shape[j]:
			axes = append(axes, int64(j))
			stretched = true
		}
	}
	g := reduceAlong(d, graph.Sum, axes)
	if stretched {
		g = g.Reshape(x.Dims()...)
	}
	s.dx[0] = g
	return nil
}

// sliceRule puts the gradient back where it came from, zeros around it.
func sliceRule(s *step) error {
	a := s.attrs.(*graph.SliceAttrs)
	x, d := s.x[0], s.dy[0]
	low := extents(a.Start, s.x)
	high := make([]graph.Extent, x.Rank())
	interior := make([]int64, x.Rank())
	for i := range high {
		// Below come the start and (n-1)*stride+1 elements.
		taken := d.Dim(i)
		if st := a.Stride[i]; st != 1 && !d.Type().Shape[i].Is(0) {
			taken = taken.Times(graph.E(st)).Plus(graph.E(1 - st))
			interior[i] = st - 1
		}
		high[i] = x.Dim(i).Plus(minus(low[i])).Plus(minus(taken))
	}
	s.dx[0] = d.Pad(0, low, high, interior)
	return nil
}

// dynamicSliceRule relies on both ops clamping their indices alike.
func dynamicSliceRule(s *step) error {
	if s.want[0] {
		s.dx[0] = zerosLike(s.x[0]).DynamicUpdateSlice(s.dy[0], s.x[1:]...)
	}
	return nil
}

func dynamicUpdateSliceRule(s *step) error {
	d, update, start := s.dy[0], s.x[1], s.x[2:]
	if s.want[0] {
		s.dx[0] = d.DynamicUpdateSlice(zerosLike(update), start...)
	}
	if s.want[1] {
		sizes := make([]graph.Extent, d.Rank())
		for i, n := range update.Type().Shape {
			e, err := sameExtent(n, d, i)
			if err != nil {
				return err
			}
			sizes[i] = e
		}
		s.dx[1] = d.DynamicSlice(start, sizes...)
	}
	return nil
}

// sameExtent writes the extent n with the dimensions of v, its own axis first.
func sameExtent(n graph.Dim, v graph.Value, axis int) (graph.Extent, error) {
	shape := v.Type().Shape
	if shape[axis] == n {
		return v.Dim(axis), nil
	}
	if c, ok := n.Const(); ok {
		return graph.E(c), nil
	}
	for i, d := range shape {
		if d.Symbol() == n.Symbol() && d.Coef() == n.Coef() {
			return v.Dim(i).Plus(graph.E(n.Offset() - d.Offset())), nil
		}
	}
	return graph.Extent{}, fmt.Errorf("the extent %v of the update is none of %v", n, v.Type())
}

func padRule(s *step) error {
	a := s.attrs.(*graph.PadAttrs)
	x, d := s.x[0], s.dy[0]
	low, high := extents(a.Low, s.x), extents(a.High, s.x)
	if s.want[0] {
		s.dx[0] = unpad(d, x, low, high, a.Interior)
	}
	if s.want[1] {
		// Ones where the padding is.
		mask := zerosLike(x).Pad(1, low, high, a.Interior)
		s.dx[1] = d.Mul(mask).Sum()
	}
	return nil
}

// unpad crops what was padded around x and takes every (interior+1)-th element.
func unpad(d, x graph.Value, low, high []graph.Extent, interior []int64) graph.Value {
	rank := x.Rank()
	cropLow, cropHigh := make([]graph.Extent, rank), make([]graph.Extent, rank)
	strided := false
	stride := make([]int64, rank)
	for i := range rank {
		cropLow[i], cropHigh[i] = minus(low[i]), minus(high[i])
		stride[i] = 1
		if n := interior[i]; n > 0 && !x.Type().Shape[i].Is(0) {
			// One gap more at the end makes the extent a multiple of the stride.
			stride[i], strided = n+1, true
			cropHigh[i] = cropHigh[i].Plus(graph.E(n))
		}
	}
	g := d.Pad(0, cropLow, cropHigh, make([]int64, rank))
	if strided {
		g = g.Slice(make([]graph.Extent, rank), g.Dims(), stride)
	}
	return g
}

func reverseRule(s *step) error {
	if axes := s.attrs.(*graph.ReverseAttrs).Axes; len(axes) > 0 {
		s.dx[0] = s.dy[0].Reverse(ints(axes)...)
	} else {
		s.dx[0] = s.dy[0]
	}
	return nil
}

func concatRule(s *step) error {
	axis := int(s.attrs.(*graph.ConcatAttrs).Axis)
	at := graph.E(0)
	for i, x := range s.x {
		end := at.Plus(x.Dim(axis))
		if s.want[i] {
			s.dx[i] = s.dy[0].SliceAxis(axis, at, end)
		}
		at = end
	}
	return nil
}

// gatherRule clamps the indices as gather does, since scatter_add drops those
// out of range.
func gatherRule(s *step) error {
	a := s.attrs.(*graph.GatherAttrs)
	if s.want[0] {
		x, idx := s.x[0], s.x[1]
		last := x.Size(int(a.Axis)).Plus(-1)
		// A narrow type may not hold the last index, so the comparison is wide.
		if idx.DType() == graph.U64 {
			idx = idx.Min(last.Convert(graph.U64))
		} else {
			idx = idx.Convert(graph.I64).Max(s.b.Scalar(graph.I64, 0)).Min(last)
		}
		s.dx[0] = zerosLike(x).ScatterAdd(int(a.Axis), int(a.BatchDims), idx, s.dy[0])
	}
	return nil
}

func scatterAddRule(s *step) error {
	a := s.attrs.(*graph.GatherAttrs)
	x, idx, update, d := s.x[0], s.x[1], s.x[2], s.dy[0]
	if s.want[0] {
		s.dx[0] = d
	}
	if s.want[2] && x.Type().Shape[a.Axis].Is(0) {
		s.dx[2] = zerosLike(update)
	} else if s.want[2] {
		wide := idx.Convert(graph.I64)
		inside := wide.Ge(s.b.Scalar(graph.I64, 0)).And(wide.Lt(x.Size(int(a.Axis))))
		dims := make([]int64, idx.Rank())
		for i := range dims {
			dims[i] = int64(i)
			if int64(i) >= a.BatchDims {
				dims[i] += a.Axis - a.BatchDims
			}
		}
		g := d.Gather(int(a.Axis), int(a.BatchDims), idx)
		s.dx[2] = choose(inside.BroadcastAlong(dims, update.Dims()...), g, none)
	}
	return nil
}
