package sdk

import "github.com/hone-ml/hone/sdk/graph"

// Loss compares the model's output with the target. It returns one value per
// example, [batch]; the host weights and averages them.
//
// The host receives the function "loss": inputs output and target, output loss.
type Loss interface {
	Loss(b *graph.Builder, output, target graph.Value) graph.Value
}

func (t *tracer) loss(l Loss, output, target graph.Type) error {
	b := graph.NewBuilder(t.m, string(LossKind), graph.Any)
	v := l.Loss(b, b.Input("output", output), b.Input("target", target))
	if v.Valid() && (v.Rank() != 1 || !v.DType().IsFloat() || len(output.Shape) > 0 && v.Type().Shape[0] != output.Shape[0]) {
		b.Failf("a loss returns one floating-point value per example, got %v for outputs %v", v.Type(), output)
	}
	b.Output("loss", v)
	_, err := b.Finish()
	return err
}

// PerExample averages v over all axes but the first: what most losses and
// metrics do with values per element.
func PerExample(v graph.Value) graph.Value {
	if v.Rank() < 2 {
		return v
	}
	axes := make([]int, 0, v.Rank()-1)
	for i := 1; i < v.Rank(); i++ {
		axes = append(axes, i)
	}
	return v.Mean(axes...)
}

// SameShape gives target the element type and shape of output, as Keras does
// before comparing them: a missing or extra last axis of 1 is put right.
func SameShape(output, target graph.Value) graph.Value {
	b := output.Builder()
	if b == nil || !output.Valid() || !target.Valid() {
		return target
	}
	target = target.Convert(output.DType())
	switch o, t := output.Type().Shape, target.Type().Shape; {
	case o.Equal(t):
		return target
	case len(t) == len(o)+1 && t[len(t)-1].Is(1), len(o) == len(t)+1 && o[len(o)-1].Is(1):
		return target.Reshape(output.Dims()...)
	}
	return b.Failf("the target %v does not fit the output %v", target.Type(), output.Type())
}
