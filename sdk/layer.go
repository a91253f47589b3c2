package sdk

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// Layer maps values to values, with parameters and state of its own. Build is
// called once for training and once for inference (b.Training tells which); both
// must declare the same parameters and states. The first axis of x is the batch.
//
// The host receives the functions "layer" for training and inference, or one for
// both where they are equal: inputs x, x1, ..., outputs y and those that Build
// names, and the params, states, hypers and keys that it declares.
type Layer interface {
	Build(b *LayerBuilder, x graph.Value) graph.Value
}

// MultiInput is the optional power of layers that take other than one input;
// Build finds them in [LayerBuilder.Inputs]. max 0 means any number.
type MultiInput interface {
	Inputs() (min, max int)
}

// Param says what the host must know of a parameter beside its path and type.
// Its zero value is a trainable parameter that starts as zeros.
type Param struct {
	// Axes tags each axis: in, out, group, spatial or "".
	Axes []string
	// Tag is the role tag: kernel, bias, scale, offset, embedding, statistic.
	Tag string
	// Initializer gives the first value; none means zeros.
	Initializer Component
	// Regularizer gives a penalty that is added to the loss.
	Regularizer Component
	// Constraint is applied after each update.
	Constraint Component
	// NonTrainable keeps the optimizer away.
	NonTrainable bool
	// NoDecay keeps decoupled weight decay away.
	NoDecay bool
	// Alias is the path, below this layer, of a parameter whose storage this one shares.
	Alias string
}

// LayerBuilder is a [graph.Builder] that also knows parameters with components,
// sub-layers and further outputs.
type LayerBuilder struct {
	*graph.Builder
	t      *tracer
	inputs []graph.Value
}

// Inputs returns all inputs; the first is Build's x.
func (b *LayerBuilder) Inputs() []graph.Value { return b.inputs }

// Output adds a further named output; the value that Build returns is called y.
func (b *LayerBuilder) Output(name string, v graph.Value) {
	if !isName(name) || name == "y" {
		b.Failf("an output is called %q; names are [a-z][a-z0-9_]*, and y is taken", name)
		return
	}
	b.Builder.Output(name, v)
}

// Param declares a parameter under its path (kernel, stage[2].scale).
func (b *LayerBuilder) Param(path string, t graph.Type, p Param) graph.Value {
	if len(p.Axes) > 0 && len(p.Axes) != t.Rank() {
		return b.Failf("parameter %q has %d axis tags for %v", path, len(p.Axes), t)
	}
	if p.Initializer.IsZero() {
		p.Initializer = Named("zeros")
	}
	return b.Builder.Param(path, t, graph.Decl{
		Axes: p.Axes, Tag: p.Tag, NonTrainable: p.NonTrainable, NoDecay: p.NoDecay, Alias: p.Alias,
		Initializer: b.t.attach(InitializerKind, p.Initializer, t, p.Axes),
		Regularizer: b.t.attach(RegularizerKind, p.Regularizer, t, p.Axes),
		Constraint:  b.t.attach(ConstraintKind, p.Constraint, t, p.Axes),
	})
}

// State declares a value that the layer reads and, with SetState, replaces. The
// zero Component starts it as zeros.
func (b *LayerBuilder) State(path string, t graph.Type, initializer Component) graph.Value {
	if initializer.IsZero() {
		initializer = Named("zeros")
	}
	return b.Builder.State(path, t, graph.Decl{
		Tag: "statistic", NonTrainable: true,
		Initializer: b.t.attach(InitializerKind, initializer, t, nil),
	})
}

// Layer applies a layer of the author's own under a scope: its parameters get
// the scope as their path's prefix. Layers with equal fields and inputs are
// traced once and called many times. Fields left at their zero value are not
// defaults; start from [Defaults] where they should be.
func (b *LayerBuilder) Layer(scope string, l Layer, inputs ...graph.Value) graph.Value {
	return b.LayerAll(scope, l, inputs...)[0]
}

// LayerAll is Layer for layers of several outputs.
func (b *LayerBuilder) LayerAll(scope string, l Layer, inputs ...graph.Value) []graph.Value {
	failed := []graph.Value{{}}
	if err := graph.CheckPath(scope); err != nil {
		b.Failf("scope %q: %v", scope, err)
		return failed
	}
	types, ok := typesOf(inputs)
	if !ok || b.Err() != nil {
		b.Failf("%q is applied to a failed value", scope)
		return failed
	}
	name, err := b.t.subLayer(l, types)
	if err != nil {
		b.Failf("%s: %v", scope, err)
		return failed
	}
	return b.Call(name, scope, inputs...)
}

// Component applies a component of kind layer, such as an activation, under a
// scope. The zero Component returns x.
func (b *LayerBuilder) Component(scope string, c Component, x graph.Value) graph.Value {
	if c.IsZero() {
		return x
	}
	if l, ok := c.own.(Layer); ok {
		return b.Layer(scope, l, x)
	}
	if c.own != nil {
		return b.Failf("%s: %T is no layer", scope, c.own)
	}
	if !x.Valid() {
		return b.Failf("%q is applied to a failed value", scope)
	}
	name, err := b.t.supply(LayerKind, c, []graph.Type{x.Type()})
	if err != nil {
		return b.Failf("%s: %v", scope, err)
	}
	return b.Call(name, scope, x)[0]
}

func typesOf(vs []graph.Value) ([]graph.Type, bool) {
	out := make([]graph.Type, len(vs))
	for i, v := range vs {
		if !v.Valid() {
			return nil, false
		}
		out[i] = v.Type()
	}
	return out, true
}

// layer traces l for both modes as the function called name.
func (t *tracer) layer(name string, l Layer, inputs []graph.Type) error {
	lo, hi := 1, 1
	if m, ok := l.(MultiInput); ok {
		lo, hi = m.Inputs()
	}
	if n := len(inputs); n < lo || hi > 0 && n > hi {
		want := fmt.Sprint(lo)
		if hi == 0 {
			want = fmt.Sprintf("at least %d", lo)
		} else if hi > lo {
			want = fmt.Sprintf("%d to %d", lo, hi)
		}
		return fmt.Errorf("takes %s inputs, got %d", want, n)
	}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		b := &LayerBuilder{Builder: graph.NewBuilder(t.m, name, mode), t: t}
		for i, in := range inputs {
			b.inputs = append(b.inputs, b.Input(InputName(i), in))
		}
		y := l.Build(b, b.inputs[0])
		if outs := b.Builder; y.Builder() == nil && b.Err() == nil {
			outs.Failf("Build returned the zero Value")
		}
		b.Builder.Output("y", y)
		f, err := b.Finish()
		if err != nil {
			return err
		}
		moveFirst(f, "y")
	}
	return joinModes(t.m, name)
}

// InputName is the name of a layer's i-th input: x, x1, x2, ...
func InputName(i int) string {
	if i == 0 {
		return "x"
	}
	return fmt.Sprintf("x%d", i)
}

// moveFirst makes the output of that name the function's first result.
func moveFirst(f *graph.Func, output string) {
	if i := f.Result(graph.Output, output); i > 0 {
		r := f.Results[i]
		copy(f.Results[1:i+1], f.Results[:i])
		f.Results[0] = r
	}
}

// ScanBody is [graph.Builder.ScanBody] for bodies that apply components, such as
// the activation of a recurrent layer.
func (b *LayerBuilder) ScanBody(name string, l graph.Loop, carries, consts, xs []graph.Value,
	body func(s *LayerBuilder, carries, consts, x []graph.Value) (next, out []graph.Value)) (last, outs []graph.Value) {
	return b.Builder.ScanBody(name, l, carries, consts, xs, func(s *graph.Builder, c, k, x []graph.Value) ([]graph.Value, []graph.Value) {
		return body(&LayerBuilder{Builder: s, t: b.t}, c, k, x)
	})
}
