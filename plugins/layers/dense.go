package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// bias is what layers with a bias and an activation share.
type bias struct {
	Activation      sdk.Component `hone:"activation,kind=layer" doc:"Applied to the result; none is linear."`
	UseBias         bool          `hone:"use_bias,default=true" doc:"Whether a bias is added."`
	BiasInitializer sdk.Component `hone:"bias_initializer,kind=initializer,default=zeros" doc:"First value of the bias."`
	BiasRegularizer sdk.Component `hone:"bias_regularizer,kind=regularizer" doc:"Penalty on the bias."`
	BiasConstraint  sdk.Component `hone:"bias_constraint,kind=constraint" doc:"What the bias must satisfy after each update."`
}

// finish adds a bias of n elements along the last axis and applies the activation.
func (o *bias) finish(b *sdk.LayerBuilder, y graph.Value, n int64) graph.Value {
	if o.UseBias {
		y = y.Add(b.Param("bias", graph.T(y.DType(), n), sdk.Param{
			Axes: []string{"out"}, Tag: "bias",
			Initializer: o.BiasInitializer, Regularizer: o.BiasRegularizer, Constraint: o.BiasConstraint,
		}))
	}
	return b.Component("activation", o.Activation, y)
}

// kernel is what layers with one kernel share.
type kernel struct {
	KernelInitializer sdk.Component `hone:"kernel_initializer,kind=initializer,default=glorot_uniform" doc:"First value of the kernel."`
	KernelRegularizer sdk.Component `hone:"kernel_regularizer,kind=regularizer" doc:"Penalty on the kernel."`
	KernelConstraint  sdk.Component `hone:"kernel_constraint,kind=constraint" doc:"What the kernel must satisfy after each update."`
}

func (o *kernel) param(axes ...string) sdk.Param {
	return sdk.Param{Axes: axes, Tag: "kernel", Initializer: o.KernelInitializer, Regularizer: o.KernelRegularizer, Constraint: o.KernelConstraint}
}

// Dense is activation(x * kernel + bias) over the last axis.
type Dense struct {
	Units int `hone:"units,required,min=1" doc:"Number of outputs."`
	bias
	kernel
}

// Doc describes the layer.
func (*Dense) Doc() string {
	return "Connects every input with every output: activation(x * kernel + bias) over the last axis."
}

// Build writes the layer.
func (d *Dense) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantFloat(b, x, 2) {
		return x
	}
	n := int64(d.Units)
	w := b.Param("kernel", graph.T(x.DType(), x.ConstDim(-1), n), d.param("in", "out"))
	return d.finish(b, x.MatMul(w), n)
}

// wantFloat refuses inputs that are no floats or have fewer axes than rank.
func wantFloat(b *sdk.LayerBuilder, x graph.Value, rank int) bool {
	switch {
	case !x.Valid():
		return false
	case !x.DType().IsFloat():
		b.Failf("the input is %v, and numbers with a fraction are needed; convert it first, for example with a rescale transform", x.Type())
		return false
	case x.Rank() < rank:
		b.Failf("the input %v has %d axes, at least %d are needed", x.Type(), x.Rank(), rank)
		return false
	}
	return true
}

// Flatten joins all axes but the batch's into one.
type Flatten struct{}

// Doc describes the layer.
func (*Flatten) Doc() string { return "Joins all axes but that of the batch into one." }

// Build writes the layer.
func (*Flatten) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	if x.Rank() == 1 {
		return x.Reshape(x.Dim(0), graph.E(1))
	}
	return x.Flatten(1)
}

// Reshape gives each example another shape.
type Reshape struct {
	TargetShape []int `hone:"target_shape,required,min=-1" doc:"Shape of an example; one extent may be -1, which takes what is left."`
}

// Doc describes the layer.
func (*Reshape) Doc() string { return "Gives each example another shape, in row-major order." }

// Validate checks the shape.
func (r *Reshape) Validate() error {
	free := 0
	for _, n := range r.TargetShape {
		if n == -1 {
			free++
		}
	}
	if free > 1 {
		return sdk.Invalid("target_shape", "%d extents are -1, one at most may be", free)
	}
	return nil
}

// Build writes the layer.
func (r *Reshape) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	known := int64(1)
	for _, n := range r.TargetShape {
		if n >= 0 {
			known *= int64(n)
		}
	}
	all, total := graph.E(1), int64(1)
	for i := 1; i < x.Rank(); i++ {
		all = all.Times(x.Dim(i))
		total *= x.ConstDim(i)
	}
	shape := []graph.Extent{x.Dim(0)}
	free := false
	for _, n := range r.TargetShape {
		if n >= 0 {
			shape = append(shape, graph.E(int64(n)))
			continue
		}
		free = true
		if known == 0 || total%known != 0 {
			return b.Failf("target_shape %v does not divide the %d elements of %v", r.TargetShape, total, x.Type())
		}
		shape = append(shape, all.Over(known))
	}
	if !free && known != total {
		return b.Failf("target_shape %v has %d elements, an example of %v has %d", r.TargetShape, known, x.Type(), total)
	}
	return x.Reshape(shape...)
}

// Embedding replaces each integer by a row of a table.
type Embedding struct {
	InputDim    int           `hone:"input_dim,required,min=1" doc:"Number of rows: one more than the largest integer."`
	OutputDim   int           `hone:"output_dim,required,min=1" doc:"Length of a row."`
	Initializer sdk.Component `hone:"embeddings_initializer,kind=initializer,default=random_uniform" doc:"First value of the table."`
	Regularizer sdk.Component `hone:"embeddings_regularizer,kind=regularizer" doc:"Penalty on the table."`
	Constraint  sdk.Component `hone:"embeddings_constraint,kind=constraint" doc:"What the table must satisfy after each update."`
}

// Doc describes the layer.
func (*Embedding) Doc() string { return "Replaces each integer by a row of a learned table." }

// Build writes the layer.
func (e *Embedding) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if x.Valid() && !x.DType().IsInt() {
		x = x.Convert(graph.I32)
	}
	table := b.Param("embeddings", graph.T(graph.F32, int64(e.InputDim), int64(e.OutputDim)), sdk.Param{
		Axes: []string{"in", "out"}, Tag: "embedding",
		Initializer: e.Initializer, Regularizer: e.Regularizer, Constraint: e.Constraint,
	})
	return table.Gather(0, 0, x)
}

// Dropout sets a share of the inputs to zero while training, and enlarges the
// others by as much, so that the sum stays the same on average.
type Dropout struct {
	Rate float64 `hone:"rate,required,min=0,max=1,runtime" doc:"Share of the inputs that are set to zero."`
}

// Doc describes the layer.
func (*Dropout) Doc() string {
	return "While training, sets a random share of the inputs to zero and divides the others by one minus the share."
}

// Build writes the layer.
func (d *Dropout) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !b.Training() || !wantFloat(b, x, 1) {
		return x
	}
	rate := b.Hyper("rate", d.Rate)
	one := b.Scalar(graph.F32, 1)
	// Where all is dropped the factor would be infinite and its gradient NaN.
	scale := rate.Lt(one).Select(one.Div(one.Sub(rate.Min(b.Scalar(graph.F32, 1-1e-7)))), one)
	keep := b.Uniform(x.Dims()[1:]...).Ge(rate)
	return x.Mul(keep.Select(scale, b.Scalar(graph.F32, 0)).Convert(x.DType()))
}
