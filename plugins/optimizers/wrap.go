package optimizers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// SAM is sharpness-aware minimization (Foret and others, 2021), with the
// scale-invariant neighbourhood of Kwon and others (2021) if asked: another
// optimizer takes its step with the gradient at the worst point nearby.
type SAM struct {
	Base     sdk.Component `hone:"base,kind=optimizer,default=sgd" doc:"The optimizer that takes the step; it has the learning rate."`
	Rho      float64       `hone:"rho,default=0.05,runtime,min=0" doc:"Size of the neighbourhood: the norm of the perturbation of all parameters together."`
	Adaptive bool          `hone:"adaptive,default=false" doc:"Measure the neighbourhood relative to each weight's magnitude (ASAM)."`
}

// Doc describes the optimizer.
func (*SAM) Doc() string {
	return "Sharpness-aware minimization around another optimizer: two gradients a step (Foret and others, 2021)."
}

// Partial is one parameter's share of the squared norm.
func (o *SAM) Partial(_ *sdk.OptimizerBuilder, param, grad graph.Value) []graph.Value {
	if d := grad.DType(); d == graph.BF16 || d == graph.F16 {
		param, grad = param.Convert(graph.F32), grad.Convert(graph.F32)
	}
	if o.Adaptive {
		grad = grad.Mul(param.Abs())
	}
	return []graph.Value{grad.Square().Sum().Convert(graph.F64)}
}

// Finish makes the norm. What is added keeps a gradient of zeros from dividing by zero.
func (o *SAM) Finish(b *sdk.OptimizerBuilder, totals []graph.Value) {
	b.SetGlobal("norm", totals[0].Sqrt().Plus(1e-12))
}

// Perturb goes to the worst point of the neighbourhood, to first order.
func (o *SAM) Perturb(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	scale := b.Hyper("rho", o.Rho).Convert(graph.F64).Div(b.Global("norm"))
	if o.Adaptive {
		grad = grad.Mul(param.Square())
	}
	return param.Add(grad.Mul(scale.Convert(param.DType())))
}

// Update leaves the step to the other optimizer.
func (o *SAM) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	return b.Optimizer("base", o.Base, param, grad)
}

// Lookahead lets another optimizer run ahead and follows it slowly (Zhang and
// others, 2019). Evaluation takes the slow parameters.
type Lookahead struct {
	Base   sdk.Component `hone:"base,kind=optimizer,default=adam" doc:"The optimizer that runs ahead; it has the learning rate."`
	Period int           `hone:"period,default=6,min=1" doc:"Updates between two steps of the slow parameters."`
	Alpha  float64       `hone:"alpha,default=0.5,runtime,min=0,max=1" doc:"Share of the way that the slow parameters go."`
}

// Doc describes the optimizer.
func (*Lookahead) Doc() string {
	return "Lets another optimizer run ahead and follows it slowly (Zhang and others, 2019)."
}

// Update lets the other optimizer take a step and, where a period ends, the slow
// parameters, to which the fast ones return.
func (o *Lookahead) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	fast := b.Optimizer("base", o.Base, param, grad)
	slow := b.SlotCopy("slow")
	there := slow.Add(fast.Sub(slow).Mul(b.HyperLike("alpha", o.Alpha)))
	period := b.Scalar(graph.U64, float64(o.Period))
	ends := b.Step().Plus(1).Rem(period).Eq(b.Scalar(graph.U64, 0))
	b.SetSlot("slow", ends.Select(there, slow))
	return ends.Select(there, fast)
}

// EvalParams are the slow parameters.
func (o *Lookahead) EvalParams(b *sdk.OptimizerBuilder, _ graph.Value) graph.Value {
	return b.SlotCopy("slow")
}
