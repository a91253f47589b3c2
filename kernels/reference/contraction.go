package reference

import (
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

func dot(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(dotElements[float64](c))
	}
	return one(dotElements[int64](c))
}

// pick returns the extents and strides of some axes.
func pick(shape []int, axes []int64) (e, s []int) {
	strides := stridesOf(shape)
	for _, a := range axes {
		e, s = append(e, shape[a]), append(s, strides[a])
	}
	return e, s
}

// free returns the axes that neither list holds.
func free(rank int, lists ...[]int64) []int64 {
	var out []int64
	for i := range int64(rank) {
		if !slices.ContainsFunc(lists, func(l []int64) bool { return slices.Contains(l, i) }) {
			out = append(out, i)
		}
	}
	return out
}

func dotElements[T number](c *invocation) (*graph.Tensor, error) {
	a := c.attrs.(*graph.DotAttrs)
	// Every element's position is the sum of one offset each for its batch,
	// free and contracted axes.
	side := func(x *graph.Tensor, batch, contract []int64) (b, f, k []int) {
		shape := extents(x.Shape)
		list := func(axes []int64) []int {
			e, s := pick(shape, axes)
			return offsets(e, s, 0)
		}
		return list(batch), list(free(len(shape), batch, contract)), list(contract)
	}
	lb, lf, lk := side(c.in[0], a.LeftBatch, a.LeftContract)
	rb, rf, rk := side(c.in[1], a.RightBatch, a.RightContract)
	left, right := load[T](c.in[0]), load[T](c.in[1])
	out := make([]T, 0, len(lb)*len(lf)*len(rf))
	row := make([]T, len(lk))
	columns := make([]T, len(rf)*len(rk))
	for b := range lb {
		for j, f := range rf {
			for k, o := range rk {
				columns[j*len(rk)+k] = right[rb[b]+f+o]
			}
		}
		for _, f := range lf {
			for k, o := range lk {
				row[k] = left[lb[b]+f+o]
			}
			for j := range rf {
				if err := c.spend(len(row) + 1); err != nil {
					return nil, err
				}
				out = append(out, inner(row, columns[j*len(row):]))
			}
		}
	}
	return store(c.out[0], narrow(c, a.Accum, out)), nil
}

// inner returns the sum of products, in four interleaved parts.
func inner[T number](a, b []T) T {
	b = b[:len(a)]
	var s [4]T
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s[0] += a[i] * b[i]
		s[1] += a[i+1] * b[i+1]
		s[2] += a[i+2] * b[i+2]
		s[3] += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s[0] += a[i] * b[i]
	}
	return s[0] + s[1] + s[2] + s[3]
}

// narrow wraps integer sums to the accumulator's type before they become the
// result's. Float sums keep their float64: the attribute is a lower bound.
func narrow[T number](c *invocation, accum graph.DType, v []T) []T {
	if n, ok := any(v).([]int64); ok {
		if accum == graph.Invalid {
			accum = c.out[0].DType
		}
		for i, x := range n {
			n[i] = wrap(accum, x)
		}
	}
	return v
}

func conv(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(convElements[float64](c))
	}
	return one(convElements[int64](c))
}

// convElements computes a convolution or one of its two gradients: all three
// sum the same products, into another of the three tensors.
func convElements[T number](c *invocation) (*graph.Tensor, error) {
	a := c.attrs.(*graph.ConvAttrs)
	var x, w, y []T
	var input, filter, output []int
	result := make([]T, volume(shapeOf(c.out[0])))
	switch c.op {
	case graph.OpConv:
		x, w, y = load[T](c.in[0]), load[T](c.in[1]), result
		input, filter, output = extents(c.in[0].Shape), extents(c.in[1].Shape), shapeOf(c.out[0])
	case graph.OpConvInputGrad:
		x, w, y = result, load[T](c.in[1]), load[T](c.in[0])
		input, filter, output = shapeOf(c.out[0]), extents(c.in[1].Shape), extents(c.in[0].Shape)
	default:
		x, w, y = load[T](c.in[0]), result, load[T](c.in[1])
		input, filter, output = extents(c.in[0].Shape), shapeOf(c.out[0]), extents(c.in[1].Shape)
	}
	last := len(input) - 1
	channels, per, filters := input[last], filter[last-1], output[last]
	group := filters / int(a.Groups)
	// taps[axis][o*filter+f] is the input position, or -1 in the padding or
	// between dilated elements.
	taps := make([][]int, last-1)
	for i := range taps {
		taps[i] = tapTable(input[i+1], output[i+1], filter[i], a.Strides[i], a.PadLow[i], a.InputDilation[i], a.FilterDilation[i])
	}
	err := eachTap(c, input[1:last], output[1:last], filter[:last-1], taps, func(in, out, f int) error {
		if err := c.spend(input[0] * filters * per); err != nil {
			return err
		}
		for n := range input[0] {
			xs := x[(n*volume(input[1:last])+in)*channels:][:channels]
			ys := y[(n*volume(output[1:last])+out)*filters:][:filters]
			for o := range ys {
				first := o / group * per
				for i := range per {
					k := (f*per+i)*filters + o
					switch c.op {
					case graph.OpConv:
						ys[o] += xs[first+i] * w[k]
					case graph.OpConvInputGrad:
						xs[first+i] += ys[o] * w[k]
					default:
						w[k] += xs[first+i] * ys[o]
					}
				}
			}
		}
		return nil
	})
	return store(c.out[0], narrow(c, a.Accum, result)), err
}

func tapTable(in, out, window int, stride, low, inner, dilation int64) []int {
	table := make([]int, out*window)
	for o := range out {
		for f := range window {
			p := o*int(stride) + f*int(dilation) - int(low)
			if p < 0 || p%int(inner) != 0 || p/int(inner) >= in {
				p = -1
			} else {
				p /= int(inner)
			}
			table[o*window+f] = p
		}
	}
	return table
}

// eachTap calls f for every output position and every window position that
// falls on an input element, in row-major order, with the three positions.
func eachTap(c *invocation, input, output, window []int, taps [][]int, f func(in, out, win int) error) error {
	rank := len(input)
	strides := stridesOf(input)
	at, tap := make([]int, rank), make([]int, rank)
	for o := range volume(output) {
		rest := o
		for i := rank - 1; i >= 0; i-- {
			at[i] = rest % output[i]
			rest /= output[i]
		}
		for w := range volume(window) {
			rest := w
			in := 0
			for i := rank - 1; i >= 0; i-- {
				tap[i] = rest % window[i]
				rest /= window[i]
				p := taps[i][at[i]*window[i]+tap[i]]
				if p < 0 || in < 0 {
					in = -1
					continue
				}
				in += p * strides[i]
			}
			if err := c.spend(1); err != nil {
				return err
			}
			if in < 0 {
				continue
			}
			if err := f(in, o, w); err != nil {
				return err
			}
		}
	}
	return nil
}
