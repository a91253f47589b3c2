package reference

import "github.com/hone-ml/hone/sdk/graph"

func reduceWindow(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(windowElements[float64](c))
	}
	return one(windowElements[int64](c))
}

func windowTaps(a *graph.WindowAttrs, input, output []int) (window []int, taps [][]int) {
	window, taps = extents(a.Window), make([][]int, len(input))
	for i := range taps {
		taps[i] = tapTable(input[i], output[i], window[i], a.Strides[i], a.PadLow[i], 1, a.Dilation[i])
	}
	return window, taps
}

func windowElements[T number](c *invocation) (*graph.Tensor, error) {
	a := c.attrs.(*graph.WindowAttrs)
	input, output := extents(c.in[0].Shape), shapeOf(c.out[0])
	window, taps := windowTaps(a, input, output)
	x, acc := load[T](c.in[0]), make([]T, volume(output))
	start, combine := reduction[T](a.Kind, c.in[0].DType)
	for i := range acc {
		acc[i] = start
	}
	err := eachTap(c, input, output, window, taps, func(in, out, _ int) error {
		acc[out] = combine(acc[out], x[in])
		return nil
	})
	return store(c.out[0], acc), err
}

func reduceWindowGrad(c *invocation) ([]*graph.Tensor, error) {
	if c.in[0].DType.IsFloat() {
		return one(windowGradElements[float64](c))
	}
	return one(windowGradElements[int64](c))
}

// windowGradElements sends the gradient of a sum to every element of its window
// and that of a maximum or minimum to the first best one, in row-major order
// of the window; the first NaN is best. A window in the padding sends it nowhere.
func windowGradElements[T number](c *invocation) (*graph.Tensor, error) {
	a := c.attrs.(*graph.WindowAttrs)
	input, output := extents(c.in[0].Shape), extents(c.in[1].Shape)
	window, taps := windowTaps(a, input, output)
	x, dy, dx := load[T](c.in[0]), load[T](c.in[1]), make([]T, volume(input))
	wins := better[T](a.Kind, c.in[0].DType)
	best := make([]int, volume(output))
	for i := range best {
		best[i] = -1
	}
	err := eachTap(c, input, output, window, taps, func(in, out, _ int) error {
		switch {
		case a.Kind == graph.Sum:
			dx[in] += dy[out]
		case best[out] < 0 || wins(x[best[out]], x[in]):
			best[out] = in
		}
		return nil
	})
	for out, in := range best {
		if in >= 0 {
			dx[in] += dy[out]
		}
	}
	return store(c.out[0], dx), err
}
