package optimizers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// base is what optimizers share. Decay is decoupled from the gradient: the
// parameter shrinks by learning_rate * weight_decay before the update.
type base struct {
	WeightDecay *float64 `hone:"weight_decay,optional,runtime,min=0" doc:"Share of a parameter that is taken away in each update, times the learning rate; none where absent."`
}

// decay shrinks the parameter.
func (o *base) decay(b *sdk.OptimizerBuilder, param, rate graph.Value) graph.Value {
	if o.WeightDecay == nil {
		return param
	}
	return shrink(b, param, rate, *o.WeightDecay)
}

func shrink(b *sdk.OptimizerBuilder, param, rate graph.Value, decay float64) graph.Value {
	return param.Sub(param.Mul(b.HyperLike("weight_decay", decay)).Mul(rate))
}

// mix moves an average towards x: average + (x - average) * share.
func mix(average, x graph.Value, share float64) graph.Value {
	return average.Add(x.Sub(average).Times(share))
}

// power returns c to the power of t.
func power(b *sdk.OptimizerBuilder, c float64, t graph.Value) graph.Value {
	return b.Scalar(t.DType(), c).Pow(t)
}

// SGD is gradient descent, with momentum if asked.
type SGD struct {
	LearningRate float64  `hone:"learning_rate,default=0.01,runtime,min=0" doc:"Size of the steps."`
	Momentum     *float64 `hone:"momentum,optional,runtime,min=0,max=1" doc:"Share of the last step that is repeated; none where absent."`
	Nesterov     bool     `hone:"nesterov,default=false" doc:"Look ahead along the momentum (Nesterov, 1983)."`
	base
}

// Doc describes the optimizer.
func (*SGD) Doc() string { return "Gradient descent, with momentum if asked." }

// Update writes the optimizer.
func (o *SGD) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	step := grad.Mul(rate)
	if o.Momentum == nil {
		return param.Sub(step)
	}
	momentum := b.HyperLike("momentum", *o.Momentum)
	m := b.Slot("momentum", 0).Mul(momentum).Sub(step)
	b.SetSlot("momentum", m)
	if o.Nesterov {
		return param.Add(momentum.Mul(m).Sub(step))
	}
	return param.Add(m)
}

// RMSprop divides the gradient by a moving average of its magnitude (Hinton, 2012).
type RMSprop struct {
	LearningRate float64  `hone:"learning_rate,default=0.001,runtime,min=0" doc:"Size of the steps."`
	Rho          float64  `hone:"rho,default=0.9,min=0,max=1" doc:"Share of the moving average of squares that a step keeps."`
	Momentum     *float64 `hone:"momentum,optional,runtime,min=0,max=1" doc:"Share of the last step that is repeated; none where absent."`
	Epsilon      float64  `hone:"epsilon,default=1e-7,min=0" doc:"Added to the average before its root is taken."`
	Centered     bool     `hone:"centered,default=false" doc:"Divide by the variance instead of the mean square."`
	base
}

// Doc describes the optimizer.
func (*RMSprop) Doc() string {
	return "Divides the gradient by the root of a moving average of its square."
}

// Update writes the optimizer.
func (o *RMSprop) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	v := b.Slot("velocity", 0).Times(o.Rho).Add(grad.Square().Times(1 - o.Rho))
	b.SetSlot("velocity", v)
	if o.Centered {
		g := b.Slot("average_gradient", 0).Times(o.Rho).Add(grad.Times(1 - o.Rho))
		b.SetSlot("average_gradient", g)
		v = v.Sub(g.Square())
	}
	step := rate.Mul(grad).Div(v.Plus(o.Epsilon).Sqrt())
	if o.Momentum == nil {
		return param.Sub(step)
	}
	m := b.Slot("momentum", 0).Mul(b.HyperLike("momentum", *o.Momentum)).Add(step)
	b.SetSlot("momentum", m)
	return param.Sub(m)
}

// moments is what the family of Adam shares.
type moments struct {
	LearningRate float64 `hone:"learning_rate,default=0.001,runtime,min=0" doc:"Size of the steps."`
	Beta1        float64 `hone:"beta_1,default=0.9,min=0,below=1" doc:"Share of the gradient's moving average that a step keeps."`
	Beta2        float64 `hone:"beta_2,default=0.999,min=0,below=1" doc:"Share of the squared gradient's moving average that a step keeps."`
	Epsilon      float64 `hone:"epsilon,default=1e-7,min=0" doc:"Added to the divisor."`
}

// adam is the update of Kingma and Ba, "Adam" (2015), in the form at the end of
// its section 2, with the variant of Reddi and others (2018) if asked.
func (o *moments) adam(b *sdk.OptimizerBuilder, param, grad, rate graph.Value, amsgrad bool) graph.Value {
	t := b.Steps()
	one := b.Scalar(t.DType(), 1)
	alpha := rate.Mul(one.Sub(power(b, o.Beta2, t)).Sqrt()).Div(one.Sub(power(b, o.Beta1, t)))
	m := mix(b.Slot("momentum", 0), grad, 1-o.Beta1)
	v := mix(b.Slot("velocity", 0), grad.Square(), 1-o.Beta2)
	b.SetSlot("momentum", m)
	b.SetSlot("velocity", v)
	if amsgrad {
		v = b.Slot("velocity_hat", 0).Max(v)
		b.SetSlot("velocity_hat", v)
	}
	return param.Sub(m.Mul(alpha).Div(v.Sqrt().Plus(o.Epsilon)))
}

// Adam adapts the step to each parameter's moments.
type Adam struct {
	moments
	AMSGrad bool `hone:"amsgrad,default=false" doc:"Never let the divisor shrink (Reddi and others, 2018)."`
	base
}

// Doc describes the optimizer.
func (*Adam) Doc() string {
	return "Adapts the step to moving averages of the gradient and of its square (Kingma and Ba, 2015)."
}

// Update writes the optimizer.
func (o *Adam) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	return o.adam(b, o.decay(b, param, rate), grad, rate, o.AMSGrad)
}

// AdamW is Adam with weight decay by default (Loshchilov and Hutter, 2019).
type AdamW struct {
	moments
	WeightDecay float64 `hone:"weight_decay,default=0.004,runtime,min=0" doc:"Share of a parameter that is taken away in each update, times the learning rate."`
	AMSGrad     bool    `hone:"amsgrad,default=false" doc:"Never let the divisor shrink (Reddi and others, 2018)."`
}

// Doc describes the optimizer.
func (*AdamW) Doc() string {
	return "Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."
}

// Update writes the optimizer.
func (o *AdamW) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	return o.adam(b, shrink(b, param, rate, o.WeightDecay), grad, rate, o.AMSGrad)
}

// Adamax is Adam with the largest magnitude in place of the root mean square.
type Adamax struct {
	moments
	base
}

// Doc describes the optimizer.
func (*Adamax) Doc() string {
	return "Adam with the gradient's largest magnitude in place of its root mean square."
}

// Update writes the optimizer.
func (o *Adamax) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	m := mix(b.Slot("momentum", 0), grad, 1-o.Beta1)
	u := b.Slot("norm", 0).Times(o.Beta2).Max(grad.Abs())
	b.SetSlot("momentum", m)
	b.SetSlot("norm", u)
	bias := b.Scalar(param.DType(), 1).Sub(power(b, o.Beta1, b.Steps()))
	return param.Sub(rate.Mul(m).Div(bias.Mul(u.Plus(o.Epsilon))))
}

// Lamb is Adam with the step of each layer in proportion to its weights (You and
// others, 2020).
type Lamb struct {
	moments
	base
}

// Doc describes the optimizer.
func (*Lamb) Doc() string {
	return "Adam with steps in proportion to the norm of each layer's weights, for large batches (You and others, 2020)."
}

// Update writes the optimizer.
func (o *Lamb) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	t := b.Steps()
	one := b.Scalar(t.DType(), 1)
	m := mix(b.Slot("momentum", 0), grad, 1-o.Beta1)
	v := mix(b.Slot("velocity", 0), grad.Square(), 1-o.Beta2)
	b.SetSlot("momentum", m)
	b.SetSlot("velocity", v)
	root := v.Div(one.Sub(power(b, o.Beta2, t))).Sqrt()
	step := m.Div(one.Sub(power(b, o.Beta1, t))).Div(root.Plus(o.Epsilon))
	weights, size := param.Square().Sum().Sqrt(), step.Square().Sum().Sqrt()
	zero := b.Scalar(t.DType(), 0)
	ratio := weights.Gt(zero).And(size.Gt(zero)).Select(weights.Div(size), one)
	return param.Sub(step.Mul(ratio.Mul(rate)))
}

// Nadam is Adam with Nesterov's look ahead (Dozat, 2016).
type Nadam struct {
	moments
	base
}

// Doc describes the optimizer.
func (*Nadam) Doc() string { return "Adam with Nesterov momentum (Dozat, 2016)." }

// Update writes the optimizer.
func (o *Nadam) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	const decay = 0.96
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	t := b.Steps()
	one := b.Scalar(t.DType(), 1)
	warm := func(t graph.Value) graph.Value { // momentum of update t
		return one.Sub(power(b, decay, t).Times(0.5)).Times(o.Beta1)
	}
	now, next := warm(t), warm(t.Plus(1))
	product := b.SlotScalar("u_product", 1).Mul(now)
	b.SetSlot("u_product", product)
	m := mix(b.Slot("momentum", 0), grad, 1-o.Beta1)
	v := mix(b.Slot("velocity", 0), grad.Square(), 1-o.Beta2)
	b.SetSlot("momentum", m)
	b.SetSlot("velocity", v)
	ahead := next.Mul(m).Div(one.Sub(product.Mul(next))).Add(one.Sub(now).Mul(grad).Div(one.Sub(product)))
	scale := v.Div(one.Sub(power(b, o.Beta2, t)))
	return param.Sub(ahead.Mul(rate).Div(scale.Sqrt().Plus(o.Epsilon)))
}

// Adagrad divides by the root of the sum of squared gradients (Duchi and others, 2011).
type Adagrad struct {
	LearningRate float64 `hone:"learning_rate,default=0.001,runtime,min=0" doc:"Size of the steps."`
	First        float64 `hone:"initial_accumulator_value,default=0.1,min=0" doc:"What the sum of squares starts with."`
	Epsilon      float64 `hone:"epsilon,default=1e-7,min=0" doc:"Added to the sum before its root is taken."`
	base
}

// Doc describes the optimizer.
func (*Adagrad) Doc() string {
	return "Divides the gradient by the root of the sum of its squares so far."
}

// Update writes the optimizer.
func (o *Adagrad) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	sum := b.Slot("accumulator", o.First).Add(grad.Square())
	b.SetSlot("accumulator", sum)
	return param.Sub(rate.Mul(grad).Div(sum.Plus(o.Epsilon).Sqrt()))
}

// Adadelta scales by the ratio of past steps to past gradients (Zeiler, 2012).
type Adadelta struct {
	LearningRate float64 `hone:"learning_rate,default=0.001,runtime,min=0" doc:"Size of the steps."`
	Rho          float64 `hone:"rho,default=0.95,min=0,max=1" doc:"Share of the moving averages that a step keeps."`
	Epsilon      float64 `hone:"epsilon,default=1e-7,min=0" doc:"Added before roots are taken."`
	base
}

// Doc describes the optimizer.
func (*Adadelta) Doc() string {
	return "Scales the gradient by the ratio of past steps to past gradients."
}

// Update writes the optimizer.
func (o *Adadelta) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	average := func(a, x graph.Value) graph.Value { return a.Times(o.Rho).Add(x.Square().Times(1 - o.Rho)) }
	g := average(b.Slot("accumulated_grad", 0), grad)
	past := b.Slot("accumulated_delta_var", 0)
	step := past.Plus(o.Epsilon).Sqrt().Mul(grad).Div(g.Plus(o.Epsilon).Sqrt()).Neg()
	b.SetSlot("accumulated_grad", g)
	b.SetSlot("accumulated_delta_var", average(past, step))
	return param.Add(rate.Mul(step))
}

// Lion steps by the sign of a moving average (Chen and others, 2023).
type Lion struct {
	LearningRate float64 `hone:"learning_rate,default=0.001,runtime,min=0" doc:"Size of the steps."`
	Beta1        float64 `hone:"beta_1,default=0.9,min=0,below=1" doc:"Share of the past in the step's direction."`
	Beta2        float64 `hone:"beta_2,default=0.99,min=0,below=1" doc:"Share of the moving average that a step keeps."`
	base
}

// Doc describes the optimizer.
func (*Lion) Doc() string { return "Steps by the sign of a moving average of the gradient." }

// Update writes the optimizer.
func (o *Lion) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	rate := b.HyperLike("learning_rate", o.LearningRate)
	param = o.decay(b, param, rate)
	m := b.Slot("momentum", 0)
	b.SetSlot("momentum", m.Times(o.Beta2).Add(grad.Times(1-o.Beta2)))
	direction := m.Times(o.Beta1).Add(grad.Times(1 - o.Beta1)).Sign()
	return param.Sub(rate.Mul(direction))
}
