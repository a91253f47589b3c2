package layers

import (
	"slices"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// affine is what the normalizations share: a scale gamma and an offset beta.
type affine struct {
	Epsilon          float64       `hone:"epsilon,default=0.001,above=0" doc:"Added to the variance."`
	Center           bool          `hone:"center,default=true" doc:"Whether an offset beta is learned."`
	Scale            bool          `hone:"scale,default=true" doc:"Whether a factor gamma is learned."`
	BetaInitializer  sdk.Component `hone:"beta_initializer,kind=initializer,default=zeros" doc:"First value of beta."`
	GammaInitializer sdk.Component `hone:"gamma_initializer,kind=initializer,default=ones" doc:"First value of gamma."`
	BetaRegularizer  sdk.Component `hone:"beta_regularizer,kind=regularizer" doc:"Penalty on beta."`
	GammaRegularizer sdk.Component `hone:"gamma_regularizer,kind=regularizer" doc:"Penalty on gamma."`
	BetaConstraint   sdk.Component `hone:"beta_constraint,kind=constraint" doc:"What beta must satisfy after each update."`
	GammaConstraint  sdk.Component `hone:"gamma_constraint,kind=constraint" doc:"What gamma must satisfy after each update."`
}

// params declares gamma and beta, of which either may be the zero Value.
func (a *affine) params(b *sdk.LayerBuilder, t graph.Type) (gamma, beta graph.Value) {
	axes := make([]string, t.Rank())
	for i := range axes {
		axes[i] = "out"
	}
	if a.Scale {
		gamma = b.Param("gamma", t, sdk.Param{Axes: axes, Tag: "scale", Initializer: a.GammaInitializer, Regularizer: a.GammaRegularizer, Constraint: a.GammaConstraint})
	}
	if a.Center {
		beta = b.Param("beta", t, sdk.Param{Axes: axes, Tag: "offset", Initializer: a.BetaInitializer, Regularizer: a.BetaRegularizer, Constraint: a.BetaConstraint})
	}
	return gamma, beta
}

// BatchNorm brings each channel to mean 0 and variance 1: over the batch while
// training, by moving averages otherwise.
type BatchNorm struct {
	Axis     int     `hone:"axis,default=-1" doc:"Axis of the channels."`
	Momentum float64 `hone:"momentum,default=0.99,min=0,max=1" doc:"Share of the moving averages that a step keeps."`
	affine
	MovingMeanInitializer     sdk.Component `hone:"moving_mean_initializer,kind=initializer,default=zeros" doc:"First value of the moving mean."`
	MovingVarianceInitializer sdk.Component `hone:"moving_variance_initializer,kind=initializer,default=ones" doc:"First value of the moving variance."`
}

// Doc describes the layer.
func (*BatchNorm) Doc() string {
	return "Brings each channel to mean 0 and variance 1, over the batch in training and by moving averages otherwise, then scales and shifts it."
}

// Build writes the layer. The variance is that of the batch, divided by its
// size, in the moving average too, as in Keras.
func (n *BatchNorm) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantFloat(b, x, 2) {
		return x
	}
	axis := n.Axis
	if axis < 0 {
		axis += x.Rank()
	}
	if axis <= 0 || axis >= x.Rank() {
		return b.Failf("axis %d of %v is no axis of channels", n.Axis, x.Type())
	}
	t := graph.T(x.DType(), x.ConstDim(axis))
	gamma, beta := n.params(b, t)
	movingMean := b.State("moving_mean", t, n.MovingMeanInitializer)
	movingVariance := b.State("moving_variance", t, n.MovingVarianceInitializer)
	if b.Training() {
		if !n.Scale {
			gamma = b.Full(x.DType(), 1, x.Dim(axis))
		}
		if !n.Center {
			beta = b.Full(x.DType(), 0, x.Dim(axis))
		}
		y, mean, variance := x.BatchNorm(gamma, beta, axis, n.Epsilon)
		move := func(moving, now graph.Value) graph.Value {
			return moving.Times(n.Momentum).Add(now.StopGradient().Times(1 - n.Momentum))
		}
		b.SetState("moving_mean", move(movingMean, mean))
		b.SetState("moving_variance", move(movingVariance, variance))
		return y
	}
	along := func(v graph.Value) graph.Value { return v.BroadcastAlong([]int64{int64(axis)}, x.Dims()...) }
	factor := movingVariance.Plus(n.Epsilon).Rsqrt()
	if n.Scale {
		factor = factor.Mul(gamma)
	}
	y := x.Sub(along(movingMean)).Mul(along(factor))
	if n.Center {
		y = y.Add(along(beta))
	}
	return y
}

// LayerNorm brings each example to mean 0 and variance 1 over some axes.
type LayerNorm struct {
	Axis []int `hone:"axis,default=-1" doc:"Axes over which to normalize; one number or several."`
	affine
}

// Doc describes the layer.
func (*LayerNorm) Doc() string {
	return "Brings each example to mean 0 and variance 1 over some axes, then scales and shifts it."
}

// Build writes the layer.
func (n *LayerNorm) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantFloat(b, x, 2) {
		return x
	}
	var axes []int
	for _, a := range n.Axis {
		if a < 0 {
			a += x.Rank()
		}
		if a <= 0 || a >= x.Rank() || slices.Contains(axes, a) {
			return b.Failf("axis %v of %v: axes must lie within an example and differ", n.Axis, x.Type())
		}
		axes = append(axes, a)
	}
	slices.Sort(axes)
	t := graph.Type{DType: x.DType()}
	dims := make([]int64, len(axes))
	for i, a := range axes {
		t.Shape = append(t.Shape, graph.N(x.ConstDim(a)))
		dims[i] = int64(a)
	}
	gamma, beta := n.params(b, t)
	centered := x.Sub(x.Mean(axes...).Unreduce(x, axes...))
	variance := centered.Square().Mean(axes...).Unreduce(x, axes...)
	y := centered.Mul(variance.Plus(n.Epsilon).Rsqrt())
	if n.Scale {
		y = y.Mul(gamma.BroadcastAlong(dims, x.Dims()...))
	}
	if n.Center {
		y = y.Add(beta.BroadcastAlong(dims, x.Dims()...))
	}
	return y
}
