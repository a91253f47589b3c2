package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Every activation is a layer: it stands alone, or as another layer's activation.

// Activation applies the activation that it is given.
type Activation struct {
	Activation sdk.Component `hone:"activation,kind=layer,required" doc:"The activation applied."`
}

// Doc describes the layer.
func (*Activation) Doc() string { return "Applies an activation." }

// Build writes the layer.
func (a *Activation) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return b.Component("activation", a.Activation, x)
}

// Linear returns its input.
type Linear struct{}

// Doc describes the activation.
func (*Linear) Doc() string { return "Returns its input." }

// Build writes the activation.
func (*Linear) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x }

// Sigmoid is 1 / (1 + exp(-x)).
type Sigmoid struct{}

// Doc describes the activation.
func (*Sigmoid) Doc() string { return "1 / (1 + exp(-x))." }

// Build writes the activation.
func (*Sigmoid) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Sigmoid() }

// Tanh is the hyperbolic tangent.
type Tanh struct{}

// Doc describes the activation.
func (*Tanh) Doc() string { return "The hyperbolic tangent." }

// Build writes the activation.
func (*Tanh) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Tanh() }

// ReLU is max(x, 0), with a slope below the threshold and a largest value if asked.
type ReLU struct {
	NegativeSlope float64  `hone:"negative_slope,default=0,min=0" doc:"Slope below the threshold."`
	MaxValue      *float64 `hone:"max_value,optional,min=0" doc:"Largest value of the result."`
	Threshold     float64  `hone:"threshold,default=0" doc:"Value below which the result is damped."`
}

// Doc describes the activation.
func (*ReLU) Doc() string { return "max(x, 0)." }

// Build writes the activation.
func (r *ReLU) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	y := x
	switch {
	case r.Threshold != 0:
		y = x.Gt(b.Scalar(x.DType(), r.Threshold)).Select(x, b.Scalar(x.DType(), 0))
	default:
		y = x.Relu()
	}
	if r.MaxValue != nil {
		y = y.Min(b.Scalar(x.DType(), *r.MaxValue))
	}
	if r.NegativeSlope != 0 {
		below := b.Scalar(x.DType(), r.Threshold).Sub(x).Relu()
		y = y.Sub(below.Times(r.NegativeSlope))
	}
	return y
}

// ReLU6 is min(max(x, 0), 6).
type ReLU6 struct{}

// Doc describes the activation.
func (*ReLU6) Doc() string { return "min(max(x, 0), 6)." }

// Build writes the activation.
func (*ReLU6) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value { return relu6(x) }

func relu6(x graph.Value) graph.Value {
	if !x.Valid() {
		return x
	}
	return x.Relu().Min(x.Builder().Scalar(x.DType(), 6))
}

// positive chooses by the sign of x.
func positive(x, yes, no graph.Value) graph.Value {
	if !x.Valid() {
		return x
	}
	return x.Gt(x.Builder().Scalar(x.DType(), 0)).Select(yes, no)
}

// LeakyReLU is x where positive, else a fraction of it.
type LeakyReLU struct {
	NegativeSlope float64 `hone:"negative_slope,default=0.2,min=0" doc:"Slope for negative values."`
}

// Doc describes the activation.
func (*LeakyReLU) Doc() string { return "x where positive, negative_slope * x elsewhere." }

// Build writes the activation.
func (l *LeakyReLU) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return positive(x, x, x.Times(l.NegativeSlope))
}

// ELU is the exponential linear unit.
type ELU struct {
	Alpha float64 `hone:"alpha,default=1" doc:"Minus the limit for very negative values."`
}

// Doc describes the activation.
func (*ELU) Doc() string { return "x where positive, alpha * (exp(x) - 1) elsewhere." }

// Build writes the activation.
func (e *ELU) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return positive(x, x, expm1Below(x).Times(e.Alpha))
}

// expm1Below is exp(x) - 1 for what is negative, and finite elsewhere, so that
// its unused half does not poison a gradient.
func expm1Below(x graph.Value) graph.Value {
	if !x.Valid() {
		return x
	}
	return positive(x, x.Builder().Scalar(x.DType(), 0), x).Expm1()
}

// SELU is the scaled exponential linear unit.
type SELU struct{}

// Doc describes the activation.
func (*SELU) Doc() string {
	return "The exponential linear unit scaled so that activations keep mean 0 and variance 1."
}

// Build writes the activation. The constants are those of Klambauer and others,
// "Self-normalizing neural networks" (2017).
func (*SELU) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	const alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
	if !x.Valid() {
		return x
	}
	below := x.Lt(x.Builder().Scalar(x.DType(), 0))
	return below.Select(expm1Below(x).Times(scale*alpha), x.Times(scale))
}

// Softmax is exp(x) / sum(exp(x)) along an axis.
type Softmax struct {
	Axis int `hone:"axis,default=-1" doc:"Axis along which the results sum to 1."`
}

// Doc describes the activation.
func (*Softmax) Doc() string { return "exp(x) / sum(exp(x)) along an axis." }

// Build writes the activation.
func (s *Softmax) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Softmax(s.Axis) }

// LogSoftmax is the logarithm of Softmax.
type LogSoftmax struct {
	Axis int `hone:"axis,default=-1" doc:"Axis along which the exponentials sum to 1."`
}

// Doc describes the activation.
func (*LogSoftmax) Doc() string { return "The logarithm of softmax." }

// Build writes the activation.
func (s *LogSoftmax) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.LogSoftmax(s.Axis)
}

// GELU is the Gaussian error linear unit.
type GELU struct {
	Approximate bool `hone:"approximate,default=false" doc:"Take the form with tanh."`
}

// Doc describes the activation.
func (*GELU) Doc() string { return "x times the normal distribution function of x." }

// Build writes the activation.
func (g *GELU) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Gelu(g.Approximate) }

// SiLU is x * sigmoid(x).
type SiLU struct{}

// Doc describes the activation.
func (*SiLU) Doc() string { return "x * sigmoid(x)." }

// Build writes the activation.
func (*SiLU) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Silu() }

// Softplus is log(1 + exp(x)).
type Softplus struct{}

// Doc describes the activation.
func (*Softplus) Doc() string { return "log(1 + exp(x))." }

// Build writes the activation.
func (*Softplus) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Softplus() }

// Mish is x * tanh(softplus(x)).
type Mish struct{}

// Doc describes the activation.
func (*Mish) Doc() string { return "x * tanh(softplus(x))." }

// Build writes the activation.
func (*Mish) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Mul(x.Softplus().Tanh())
}

// HardSigmoid is relu6(x + 3) / 6.
type HardSigmoid struct{}

// Doc describes the activation.
func (*HardSigmoid) Doc() string { return "min(max(x + 3, 0), 6) / 6." }

// Build writes the activation.
func (*HardSigmoid) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return hardSigmoid(x) }

func hardSigmoid(x graph.Value) graph.Value { return relu6(x.Plus(3)).Times(1.0 / 6) }

// HardSiLU is x * HardSigmoid(x).
type HardSiLU struct{}

// Doc describes the activation.
func (*HardSiLU) Doc() string { return "x * hard_sigmoid(x)." }

// Build writes the activation.
func (*HardSiLU) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Mul(hardSigmoid(x)) }

// Exponential is exp(x).
type Exponential struct{}

// Doc describes the activation.
func (*Exponential) Doc() string { return "exp(x)." }

// Build writes the activation.
func (*Exponential) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Exp() }

// Softsign is x / (1 + |x|).
type Softsign struct{}

// Doc describes the activation.
func (*Softsign) Doc() string { return "x / (1 + |x|)." }

// Build writes the activation.
func (*Softsign) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Div(x.Abs().Plus(1))
}
