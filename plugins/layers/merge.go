package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// severalInputs is what layers that join their inputs share.
type severalInputs struct{}

// Inputs says that there may be any number of at least two.
func (severalInputs) Inputs() (min, max int) { return 2, 0 }

func fold(b *sdk.LayerBuilder, join func(x, y graph.Value) graph.Value) graph.Value {
	y := b.Inputs()[0]
	for _, x := range b.Inputs()[1:] {
		y = join(y, x)
	}
	return y
}

// Add adds its inputs.
type Add struct{ severalInputs }

// Doc describes the layer.
func (*Add) Doc() string { return "Adds its inputs element by element; axes of 1 stretch." }

// Build writes the layer.
func (*Add) Build(b *sdk.LayerBuilder, _ graph.Value) graph.Value { return fold(b, graph.Value.Add) }

// Multiply multiplies its inputs.
type Multiply struct{ severalInputs }

// Doc describes the layer.
func (*Multiply) Doc() string { return "Multiplies its inputs element by element; axes of 1 stretch." }

// Build writes the layer.
func (*Multiply) Build(b *sdk.LayerBuilder, _ graph.Value) graph.Value {
	return fold(b, graph.Value.Mul)
}

// Average averages its inputs.
type Average struct{ severalInputs }

// Doc describes the layer.
func (*Average) Doc() string { return "Averages its inputs element by element; axes of 1 stretch." }

// Build writes the layer.
func (*Average) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return fold(b, graph.Value.Add).Div(b.Scalar(x.DType(), float64(len(b.Inputs()))))
}

// Maximum takes the largest of its inputs.
type Maximum struct{ severalInputs }

// Doc describes the layer.
func (*Maximum) Doc() string {
	return "Takes the largest of its inputs element by element; axes of 1 stretch."
}

// Build writes the layer.
func (*Maximum) Build(b *sdk.LayerBuilder, _ graph.Value) graph.Value {
	return fold(b, graph.Value.Max)
}

// Concat joins its inputs along an axis.
type Concat struct {
	Axis int `hone:"axis,default=-1" doc:"Axis along which to join; negative ones count from the last, 0 is the batch."`
	severalInputs
}

// Doc describes the layer.
func (*Concat) Doc() string { return "Joins its inputs along an axis." }

// Validate keeps the batch out.
func (c *Concat) Validate() error {
	if c.Axis == 0 {
		return sdk.Invalid("axis", "0 is the axis of the batch, along which nothing can be joined")
	}
	return nil
}

// Build writes the layer.
func (c *Concat) Build(b *sdk.LayerBuilder, _ graph.Value) graph.Value {
	return b.Concat(c.Axis, b.Inputs()...)
}
