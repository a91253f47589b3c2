package graph

import "strconv"

// Batch normalization, after Ioffe and Szegedy (2015), is made of sums over all
// axes but that of the channels. The sums are composites of their own, so that
// a backend may take each in one pass over memory.

// Moments returns the mean and the variance, divided by their number, of the
// elements at each index of axis.
func (v Value) Moments(axis int) (mean, variance Value) {
	a, ok := v.channelAxis(axis)
	if !ok {
		return v, v
	}
	out := v.b.Composite("hone/moments@1", axisAttr(a), []Value{v}, func(_ *Builder, x []Value) []Value {
		others := x[0].axesBut(int(a))
		mean := x[0].Mean(others...)
		return []Value{mean, x[0].Sub(mean.alongAxis(x[0], int(a))).Square().Mean(others...)}
	})
	return pair(out)
}

// GradientMoments returns, for each index of axis, the sum of d and the sum of
// d*(x-mean), what the gradient of a batch normalization of x takes of the
// gradient d of its result.
func (v Value) GradientMoments(x, mean Value, axis int) (sum, products Value) {
	a, ok := v.channelAxis(axis)
	if !ok || !v.b.owns(x, mean) {
		return v, v
	}
	out := v.b.Composite("hone/gradient_moments@1", axisAttr(a), []Value{v, x, mean}, func(_ *Builder, x []Value) []Value {
		others := x[0].axesBut(int(a))
		return []Value{x[0].Sum(others...), x[0].Mul(x[1].Sub(x[2].alongAxis(x[1], int(a)))).Sum(others...)}
	})
	return pair(out)
}

// BatchNorm normalizes the elements at each index of axis by their Moments:
//
//	(v - mean) / sqrt(variance + epsilon) * gamma + beta
//
// gamma and beta have the extent of axis.
func (v Value) BatchNorm(gamma, beta Value, axis int, epsilon float64) (y, mean, variance Value) {
	a, ok := v.channelAxis(axis)
	if !ok || !v.b.owns(gamma, beta) {
		return v, v, v
	}
	attrs := append(axisAttr(a), NamedAttr{"epsilon", strconv.FormatFloat(epsilon, 'g', -1, 64)})
	out := v.b.Composite("hone/batch_norm@1", attrs, []Value{v, gamma, beta}, func(_ *Builder, x []Value) []Value {
		mean, variance := x[0].Moments(int(a))
		factor := variance.Plus(epsilon).Rsqrt().Mul(x[1])
		y := x[0].Sub(mean.alongAxis(x[0], int(a))).Mul(factor.alongAxis(x[0], int(a)))
		return []Value{y.Add(x[2].alongAxis(x[0], int(a))), mean, variance}
	})
	if len(out) != 3 {
		return v, v, v
	}
	return out[0], out[1], out[2]
}

// channelAxis is axis for an operation over all other axes, of which there must
// be one.
func (v Value) channelAxis(axis int) (int64, bool) {
	a, ok := v.axis(axis)
	if ok && v.Rank() < 2 {
		v.b.Failf("%v has no axis beside %d to normalize over", v.Type(), axis)
		return 0, false
	}
	return a, ok
}

func pair(v []Value) (Value, Value) {
	if len(v) != 2 {
		return v[0], v[0]
	}
	return v[0], v[1]
}

// axesBut lists the other axes.
func (v Value) axesBut(axis int) []int {
	var out []int
	for i := range v.Rank() {
		if i != axis {
			out = append(out, i)
		}
	}
	return out
}

// alongAxis stretches a vector along an axis of like to its shape.
func (v Value) alongAxis(like Value, axis int) Value {
	return v.BroadcastAlong([]int64{int64(axis)}, like.Dims()...)
}

// gradMoments spreads the gradients of mean and variance:
//
//	dmean/n + (x-mean) * 2*dvariance/n
func gradMoments(_ *Builder, c *Composite, x, y, dy []Value) []Value {
	a := c.axis()
	n := x[0].count(x[0].axesBut(a))
	slope := dy[1].Times(2).Div(n)
	return []Value{x[0].Sub(y[0].alongAxis(x[0], a)).Mul(slope.alongAxis(x[0], a)).Add(dy[0].Div(n).alongAxis(x[0], a))}
}

// gradBatchNorm takes the sums of GradientMoments. With s = 1/sqrt(variance+
// epsilon), h = (x-mean)*s and means over the n elements of a channel:
//
//	dbeta = sum dy, dgamma = sum dy*h
//	dx = gamma*s * (dy - dbeta/n - h*dgamma/n), and what dmean and dvariance add
func gradBatchNorm(_ *Builder, c *Composite, ins, outs, dy []Value) []Value {
	a := c.axis()
	epsilon, _ := strconv.ParseFloat(c.Attr("epsilon"), 64)
	x, gamma, mean, variance := ins[0], ins[1], outs[1], outs[2]
	n := x.count(x.axesBut(a))
	sum, products := dy[0].GradientMoments(x, mean, a)
	s := variance.Plus(epsilon).Rsqrt()
	dgamma := products.Mul(s)
	k := s.Mul(gamma)
	slope := dy[2].Times(2).Sub(k.Mul(s).Mul(dgamma)).Div(n)
	offset := dy[1].Sub(k.Mul(sum)).Div(n)
	along := func(v Value) Value { return v.alongAxis(x, a) }
	dx := dy[0].Mul(along(k)).Add(x.Sub(along(mean)).Mul(along(slope))).Add(along(offset))
	return []Value{dx, dgamma, sum}
}
