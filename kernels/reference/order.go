package reference

import (
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

func reduce(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(reduceElements[float64](c))
	}
	return one(reduceElements[int64](c))
}

func reduceElements[T number](c *invocation) (*graph.Tensor, error) {
	a := c.attrs.(*graph.ReduceAttrs)
	d := c.in[0].DType
	shape := extents(c.in[0].Shape)
	// Strides of the result over the operand's axes: 0 where an axis is removed.
	strides := make([]int, len(shape))
	kept := stridesOf(shapeOf(c.out[0]))
	for i := range shape {
		if !slices.Contains(a.Axes, int64(i)) {
			strides[i], kept = kept[0], kept[1:]
		}
	}
	acc := make([]T, volume(shapeOf(c.out[0])))
	start, combine := reduction[T](a.Kind, d)
	for i := range acc {
		acc[i] = start
	}
	v := load[T](c.in[0])
	err := walk(c, shape, strides, func(i, o int) { acc[o] = combine(acc[o], v[i]) })
	return store(c.out[0], acc), err
}

// reduction returns the identity of a kind and its operation.
func reduction[T number](kind graph.ReduceKind, d graph.DType) (T, func(a, b T) T) {
	switch kind {
	case graph.Sum:
		return 0, func(a, b T) T { return a + b }
	case graph.Prod:
		return 1, func(a, b T) T { return a * b }
	case graph.All:
		return 1, func(a, b T) T { return min(a, b) }
	case graph.Some:
		return 0, func(a, b T) T { return max(a, b) }
	}
	start := lowest[T](d)
	if kind == graph.Min {
		start = highest[T](d)
	}
	wins := better[T](kind, d)
	return start, func(a, b T) T {
		if wins(a, b) {
			return b
		}
		return a
	}
}

// walk calls f for every index of shape in row-major order with its position
// and its dot product with strides.
func walk(c *invocation, shape, strides []int, f func(i, o int)) error {
	n := volume(shape)
	index := make([]int, len(shape))
	o := 0
	for i := range n {
		if err := c.spend(1); err != nil {
			return err
		}
		f(i, o)
		for axis := len(shape) - 1; axis >= 0; axis-- {
			index[axis]++
			o += strides[axis]
			if index[axis] < shape[axis] {
				break
			}
			o -= index[axis] * strides[axis]
			index[axis] = 0
		}
	}
	return nil
}

// lanes calls f once for every run of elements along axis: base is the position
// of its first element, k its number; elements lie stride apart.
func lanes(c *invocation, shape []int, axis int, f func(k, base, stride int)) error {
	stride := volume(shape[axis+1:])
	outer := volume(shape[:axis])
	for k := range outer {
		for s := range stride {
			if err := c.spend(shape[axis] + 1); err != nil {
				return err
			}
			f(k*stride+s, k*stride*shape[axis]+s, stride)
		}
	}
	return nil
}

func argReduce(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(argElements[float64](c))
	}
	return one(argElements[int64](c))
}

// argElements finds the first best element of every lane; the first NaN is best.
func argElements[T number](c *invocation) (*graph.Tensor, error) {
	a := c.attrs.(*graph.ArgAttrs)
	v := load[T](c.in[0])
	wins := better[T](a.Kind, c.in[0].DType)
	shape := extents(c.in[0].Shape)
	out := make([]int64, volume(shapeOf(c.out[0])))
	err := lanes(c, shape, int(a.Axis), func(k, base, stride int) {
		best := 0
		for i := 1; i < shape[a.Axis]; i++ {
			if wins(v[base+best*stride], v[base+i*stride]) {
				best = i
			}
		}
		out[k] = int64(best)
	})
	return fromInts(c.out[0], out), err
}

// order returns the positions of a lane's elements in sorted order: stable,
// NaN last in both directions.
func order[T number](v []T, base, stride, n int, d graph.DType, descending bool) []int {
	lt := less[T](d)
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(i, j int) int {
		a, b := v[base+i*stride], v[base+j*stride]
		switch {
		case a != a || b != b:
			return int(truth(a != a) - truth(b != b))
		case lt(a, b) != descending && a != b:
			return -1
		case a != b:
			return 1
		}
		return 0
	})
	return at
}

func sortOp(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return sortElements[float64](c)
	}
	return sortElements[int64](c)
}

func sortElements[T number](c *invocation) ([]*graph.Tensor, error) {
	a := c.attrs.(*graph.SortAttrs)
	v := load[T](c.in[0])
	shape := extents(c.in[0].Shape)
	n := shape[a.Axis]
	out := make([]*graph.Tensor, len(c.in))
	for i, t := range c.out {
		out[i] = empty(t)
	}
	err := lanes(c, shape, int(a.Axis), func(_, base, stride int) {
		for to, from := range order(v, base, stride, n, c.in[0].DType, a.Descending) {
			for i, x := range c.in {
				s := x.DType.Size()
				copy(out[i].Data[(base+to*stride)*s:][:s], x.Data[(base+from*stride)*s:])
			}
		}
	})
	return out, err
}

func topK(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return topElements[float64](c)
	}
	return topElements[int64](c)
}

// topElements takes the head of the stable descending order, NaN last.
func topElements[T number](c *invocation) ([]*graph.Tensor, error) {
	k := int(c.attrs.(*graph.TopKAttrs).K)
	v := load[T](c.in[0])
	shape := extents(c.in[0].Shape)
	last := len(shape) - 1
	values, where := make([]T, 0, volume(shape[:last])*k), make([]int64, 0, volume(shape[:last])*k)
	err := lanes(c, shape, last, func(_, base, stride int) {
		for _, i := range order(v, base, stride, shape[last], c.in[0].DType, true)[:k] {
			values, where = append(values, v[base+i]), append(where, int64(i))
		}
	})
	return []*graph.Tensor{store(c.out[0], values), fromInts(c.out[1], where)}, err
}

func cumSum(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(cumElements[float64](c))
	}
	return one(cumElements[int64](c))
}

func cumElements[T number](c *invocation) (*graph.Tensor, error) {
	a := c.attrs.(*graph.CumSumAttrs)
	v := load[T](c.in[0])
	shape := extents(c.in[0].Shape)
	n := shape[a.Axis]
	err := lanes(c, shape, int(a.Axis), func(_, base, stride int) {
		sum := T(0)
		for i := range n {
			if a.Reverse {
				i = n - 1 - i
			}
			x := v[base+i*stride]
			if a.Exclusive {
				v[base+i*stride] = sum
			}
			sum += x
			if !a.Exclusive {
				v[base+i*stride] = sum
			}
		}
	})
	return store(c.out[0], v), err
}
