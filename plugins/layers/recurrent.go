package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// SimpleRNN reads a sequence [batch, time, features] step by step, keeping one
// hidden state: h = activation(x * kernel + h * recurrent_kernel + bias), from
// zeros (Elman, 1990).
type SimpleRNN struct {
	Units                int           `hone:"units,required,min=1" doc:"Length of the hidden state."`
	Activation           sdk.Component `hone:"activation,kind=layer,default=tanh" doc:"Applied to each new state; none is linear."`
	UseBias              bool          `hone:"use_bias,default=true" doc:"Whether a bias is added."`
	KernelInitializer    sdk.Component `hone:"kernel_initializer,kind=initializer,default=glorot_uniform" doc:"First value of the kernel for the inputs."`
	RecurrentInitializer sdk.Component `hone:"recurrent_initializer,kind=initializer,default=orthogonal" doc:"First value of the kernel for the state."`
	BiasInitializer      sdk.Component `hone:"bias_initializer,kind=initializer,default=zeros" doc:"First value of the bias."`
	KernelRegularizer    sdk.Component `hone:"kernel_regularizer,kind=regularizer" doc:"Penalty on the kernel for the inputs."`
	RecurrentRegularizer sdk.Component `hone:"recurrent_regularizer,kind=regularizer" doc:"Penalty on the kernel for the state."`
	BiasRegularizer      sdk.Component `hone:"bias_regularizer,kind=regularizer" doc:"Penalty on the bias."`
	KernelConstraint     sdk.Component `hone:"kernel_constraint,kind=constraint" doc:"What the kernel for the inputs must satisfy after each update."`
	RecurrentConstraint  sdk.Component `hone:"recurrent_constraint,kind=constraint" doc:"What the kernel for the state must satisfy after each update."`
	BiasConstraint       sdk.Component `hone:"bias_constraint,kind=constraint" doc:"What the bias must satisfy after each update."`
	ReturnSequences      bool          `hone:"return_sequences,default=false" doc:"Give the state after every step, [batch, time, units], instead of the last, [batch, units]."`
	ReturnState          bool          `hone:"return_state,default=false" doc:"Give the last state as a second output, state."`
	GoBackwards          bool          `hone:"go_backwards,default=false" doc:"Read the sequence from its end; the states come in that order."`
}

// Doc describes the layer.
func (*SimpleRNN) Doc() string {
	return "Reads a sequence [batch, time, features] step by step: each state is made of the input and the state before."
}

// Build writes the layer: one product of all inputs with their kernel, then a
// scan over time for what depends on the state.
func (r *SimpleRNN) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantFloat(b, x, 3) {
		return x
	}
	if x.Rank() != 3 {
		return b.Failf("the input %v is no batch of sequences [batch, time, features]; put a reshape layer before", x.Type())
	}
	n := int64(r.Units)
	kernel := b.Param("kernel", graph.T(x.DType(), x.ConstDim(2), n), sdk.Param{
		Axes: []string{"in", "out"}, Tag: "kernel", Initializer: r.KernelInitializer, Regularizer: r.KernelRegularizer, Constraint: r.KernelConstraint,
	})
	recurrent := b.Param("recurrent_kernel", graph.T(x.DType(), n, n), sdk.Param{
		Axes: []string{"in", "out"}, Tag: "recurrent_kernel", Initializer: r.RecurrentInitializer, Regularizer: r.RecurrentRegularizer, Constraint: r.RecurrentConstraint,
	})
	driven := x.Transpose(1, 0, 2).MatMul(kernel) // [time, batch, units]
	if r.UseBias {
		driven = driven.Add(b.Param("bias", graph.T(x.DType(), n), sdk.Param{
			Axes: []string{"out"}, Tag: "bias", Initializer: r.BiasInitializer, Regularizer: r.BiasRegularizer, Constraint: r.BiasConstraint,
		}))
	}
	start := b.Full(x.DType(), 0, x.Dim(0), kernel.Dim(1))
	last, states := b.ScanBody("time", graph.Loop{Reverse: r.GoBackwards},
		[]graph.Value{start}, []graph.Value{recurrent}, []graph.Value{driven},
		func(s *sdk.LayerBuilder, h, recurrent, driven []graph.Value) (next, out []graph.Value) {
			now := s.Component("activation", r.Activation, driven[0].Add(h[0].MatMul(recurrent[0])))
			next = []graph.Value{now}
			if r.ReturnSequences {
				out = next
			}
			return next, out
		})
	if r.ReturnState {
		b.Output("state", last[0])
	}
	if !r.ReturnSequences {
		return last[0]
	}
	y := states[0].Transpose(1, 0, 2)
	if r.GoBackwards {
		y = y.Reverse(1)
	}
	return y
}
