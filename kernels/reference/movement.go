package reference

import (
	"math"

	"github.com/hone-ml/hone/sdk/graph"
)

// Movement copies elements without looking into them: NaN payloads and the sign
// of zero stay.

func reshape(c *invocation) ([]*graph.Tensor, error) {
	shape, _ := c.out[0].Shape.Const()
	return one(&graph.Tensor{DType: c.in[0].DType, Shape: shape, Data: c.in[0].Data}, nil)
}

// view copies the elements of x that lie at base + index . strides.
func view(c *invocation, x *graph.Tensor, base int, strides []int) ([]*graph.Tensor, error) {
	out := empty(c.out[0])
	s := x.DType.Size()
	err := walk(c, shapeOf(c.out[0]), strides, func(i, o int) {
		copy(out.Data[i*s:][:s], x.Data[(base+o)*s:])
	})
	return one(out, err)
}

func transpose(c *invocation) ([]*graph.Tensor, error) {
	own := stridesOf(extents(c.in[0].Shape))
	strides := make([]int, len(own))
	for i, p := range c.attrs.(*graph.TransposeAttrs).Perm {
		strides[i] = own[p]
	}
	return view(c, c.in[0], 0, strides)
}

func broadcast(c *invocation) ([]*graph.Tensor, error) {
	own := stridesOf(extents(c.in[0].Shape))
	strides := make([]int, c.out[0].Rank())
	for i, d := range c.attrs.(*graph.BroadcastAttrs).Dims {
		if c.in[0].Shape[i] != 1 {
			strides[d] = own[i]
		}
	}
	return view(c, c.in[0], 0, strides)
}

// dims evaluates expressions over the operands.
func dims(c *invocation, exprs []graph.DimExpr) ([]int, error) {
	types := make([]graph.Type, len(c.in))
	for i, t := range c.in {
		types[i] = t.Type()
	}
	out := make([]int, len(exprs))
	for i, e := range exprs {
		d, err := e.Eval(types)
		if err != nil {
			return nil, err
		}
		out[i] = int(d.Offset())
	}
	return out, nil
}

func slice(c *invocation) ([]*graph.Tensor, error) {
	a := c.attrs.(*graph.SliceAttrs)
	start, err := dims(c, a.Start)
	if err != nil {
		return nil, err
	}
	strides := stridesOf(extents(c.in[0].Shape))
	base := 0
	for i := range strides {
		base += start[i] * strides[i]
		strides[i] *= int(a.Stride[i])
	}
	return view(c, c.in[0], base, strides)
}

func reverse(c *invocation) ([]*graph.Tensor, error) {
	shape := extents(c.in[0].Shape)
	strides := stridesOf(shape)
	base := 0
	for _, a := range c.attrs.(*graph.ReverseAttrs).Axes {
		base += (shape[a] - 1) * strides[a]
		strides[a] = -strides[a]
	}
	return view(c, c.in[0], base, strides)
}

// indexAt reads an index; u64 values beyond int64 stay large.
func indexAt(t *graph.Tensor, i int) int64 {
	v := t.Int(i)
	if t.DType == graph.U64 && v < 0 {
		return math.MaxInt64
	}
	return v
}

// blockStart returns the position of a block of the given extents in x, its
// run-time start clamped so that the block lies inside.
func blockStart(x *graph.Tensor, block []int, starts []*graph.Tensor) int {
	base := 0
	for i, stride := range stridesOf(extents(x.Shape)) {
		base += stride * int(min(max(indexAt(starts[i], 0), 0), x.Shape[i]-int64(block[i])))
	}
	return base
}

func dynamicSlice(c *invocation) ([]*graph.Tensor, error) {
	x := c.in[0]
	return view(c, x, blockStart(x, shapeOf(c.out[0]), c.in[1:]), stridesOf(extents(x.Shape)))
}

func dynamicUpdateSlice(c *invocation) ([]*graph.Tensor, error) {
	x, update := c.in[0], c.in[1]
	block := extents(update.Shape)
	out := &graph.Tensor{DType: x.DType, Shape: x.Shape, Data: append([]byte(nil), x.Data...)}
	base, s := blockStart(x, block, c.in[2:]), x.DType.Size()
	err := walk(c, block, stridesOf(extents(x.Shape)), func(i, o int) {
		copy(out.Data[(base+o)*s:], update.Data[i*s:][:s])
	})
	return one(out, err)
}

func pad(c *invocation) ([]*graph.Tensor, error) {
	a := c.attrs.(*graph.PadAttrs)
	low, err := dims(c, a.Low)
	if err != nil {
		return nil, err
	}
	x, out := c.in[0], empty(c.out[0])
	s := x.DType.Size()
	for i := 0; i < len(out.Data); i += s {
		copy(out.Data[i:], c.in[1].Data)
	}
	from, to := extents(x.Shape), extents(out.Shape)
	// at[axis][i] is where index i of the operand stands in the result, times
	// the stride, or -1 where a negative padding crops it away.
	at := make([][]int, len(from))
	for axis, stride := range stridesOf(to) {
		at[axis] = make([]int, from[axis])
		for i := range at[axis] {
			j := low[axis] + i*(int(a.Interior[axis])+1)
			if j < 0 || j >= to[axis] {
				at[axis][i] = -1
			} else {
				at[axis][i] = j * stride
			}
		}
	}
	own := stridesOf(from)
	err = walk(c, from, own, func(i, _ int) {
		o := 0
		for axis := range from {
			p := at[axis][i/own[axis]%from[axis]]
			if p < 0 {
				return
			}
			o += p
		}
		copy(out.Data[o*s:], x.Data[i*s:][:s])
	})
	return one(out, err)
}

func concat(c *invocation) ([]*graph.Tensor, error) {
	axis := c.attrs.(*graph.ConcatAttrs).Axis
	shape := shapeOf(c.out[0])
	out := empty(c.out[0])
	s := out.DType.Size()
	outer, whole := volume(shape[:axis]), volume(shape[axis:])*s
	at := 0
	for _, x := range c.in {
		n := volume(extents(x.Shape)[axis:]) * s
		if err := c.spend(len(x.Data)); err != nil {
			return nil, err
		}
		for i := range outer {
			copy(out.Data[i*whole+at:], x.Data[i*n:][:n])
		}
		at += n
	}
	return one(out, nil)
}

// rows calls f for every row, the elements behind the indexed axis, that gather
// and scatter_add touch: row is its number in x, the index clamped, update its
// number in the gathered shape, inside whether the index was in range.
func rows(c *invocation, x, index *graph.Tensor, f func(row, update int, inside bool)) error {
	a := c.attrs.(*graph.GatherAttrs)
	shape, at := extents(x.Shape), extents(index.Shape)
	n := shape[a.Axis]
	batch := volume(shape[:a.BatchDims])
	middle := volume(shape[a.BatchDims:a.Axis])
	each := volume(at[a.BatchDims:])
	inner := volume(shape[a.Axis+1:])
	for b := range batch {
		for m := range middle {
			for j := range each {
				if err := c.spend(1 + inner); err != nil {
					return err
				}
				i := indexAt(index, b*each+j)
				f((b*middle+m)*n+int(min(max(i, 0), int64(n)-1)), (b*middle+m)*each+j, i >= 0 && i < int64(n))
			}
		}
	}
	return nil
}

func gather(c *invocation) ([]*graph.Tensor, error) {
	x, out := c.in[0], empty(c.out[0])
	row := volume(extents(x.Shape)[c.attrs.(*graph.GatherAttrs).Axis+1:]) * x.DType.Size()
	err := rows(c, x, c.in[1], func(r, u int, _ bool) {
		copy(out.Data[u*row:][:row], x.Data[r*row:])
	})
	return one(out, err)
}

func scatterAdd(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(scatterElements[float64](c))
	}
	return one(scatterElements[int64](c))
}

func scatterElements[T number](c *invocation) (*graph.Tensor, error) {
	acc, updates := load[T](c.in[0]), load[T](c.in[2])
	n := volume(extents(c.in[0].Shape)[c.attrs.(*graph.GatherAttrs).Axis+1:])
	err := rows(c, c.in[0], c.in[1], func(r, u int, inside bool) {
		if !inside {
			return
		}
		for i := range n {
			acc[r*n+i] += updates[u*n+i]
		}
	})
	return store(c.out[0], acc), err
}
