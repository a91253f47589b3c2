package graph

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// builtin calls one composite of hone on operands of any type and returns its
// first result. A mistake shows in the builder.
type builtin struct {
	operands int
	results  int
	call     func(c *Composite, x []Value) Value
	// gradient is CompositeGradient's function for it.
	gradient func(b *Builder, c *Composite, ins, outs, douts []Value) []Value
}

// builtins lists the composites that belong to this package.
var builtins = map[string]builtin{
	"hone/relu@1":          {1, 1, unary(Value.Relu), gradRelu},
	"hone/stop_gradient@1": {1, 1, unary(Value.StopGradient), gradNone},
	"hone/silu@1":          {1, 1, unary(Value.Silu), gradSilu},
	"hone/softplus@1":      {1, 1, unary(Value.Softplus), gradSoftplus},
	"hone/gelu@1": {1, 1, func(c *Composite, x []Value) Value {
		return x[0].Gelu(c.Attr("approximate") == "true")
	}, gradGelu},
	"hone/softmax@1": {1, 1, func(c *Composite, x []Value) Value {
		return x[0].Softmax(c.axis())
	}, gradSoftmax},
	"hone/log_softmax@1": {1, 1, func(c *Composite, x []Value) Value {
		return x[0].LogSoftmax(c.axis())
	}, gradLogSoftmax},
	"hone/softmax_cross_entropy@1": {2, 1, func(_ *Composite, x []Value) Value {
		return x[0].SoftmaxCrossEntropy(x[1])
	}, gradSoftmaxCrossEntropy},
	"hone/gradient_softmax_cross_entropy@1": {3, 1, func(_ *Composite, x []Value) Value {
		return x[0].GradientSoftmaxCrossEntropy(x[1], x[2])
	}, nil},
	"hone/moments@1": {1, 2, func(c *Composite, x []Value) Value {
		mean, _ := x[0].Moments(c.axis())
		return mean
	}, gradMoments},
	"hone/gradient_moments@1": {3, 2, func(c *Composite, x []Value) Value {
		sum, _ := x[0].GradientMoments(x[1], x[2], c.axis())
		return sum
	}, nil},
	"hone/batch_norm@1": {3, 3, func(c *Composite, x []Value) Value {
		epsilon, err := strconv.ParseFloat(c.Attr("epsilon"), 64)
		if err != nil {
			return x[0].b.Failf("epsilon %q is no number", c.Attr("epsilon"))
		}
		y, _, _ := x[0].BatchNorm(x[1], x[2], c.axis(), epsilon)
		return y
	}, gradBatchNorm},
}

func unary(f func(Value) Value) func(*Composite, []Value) Value {
	return func(_ *Composite, x []Value) Value { return f(x[0]) }
}

// BuiltinComposites lists the composites of this package, sorted.
func BuiltinComposites() []string {
	return slices.Sorted(maps.Keys(builtins))
}

// axis returns the attribute axis; one that no value has where it is missing.
func (c *Composite) axis() int {
	a, err := strconv.Atoi(c.Attr("axis"))
	if err != nil || a < 0 {
		return MaxRank + 1
	}
	return a
}

// TrustedComposite reports whether f is what it says: a composite of hone whose
// body equals the one that this package builds for that identity and those
// operand types. Only then may a kernel stand in for the body. m is a verified
// module that holds f.
func TrustedComposite(m *Module, f *Func) bool {
	c := f.Composite
	if c == nil || c.Gradient != "" {
		return false
	}
	def, ok := builtins[c.Name]
	if !ok || len(f.Params) != def.operands || len(f.Results) != def.results {
		return false
	}
	own := NewModule()
	b := NewBuilder(own, "operands", Any)
	x := make([]Value, len(f.Params))
	ins := make([]Type, len(f.Params))
	for i, p := range f.Params {
		x[i], ins[i] = b.Input("x"+strconv.Itoa(i), p.Type), p.Type
	}
	def.call(c, x)
	if b.Err() != nil {
		return false
	}
	g := own.instance(c.Name, c.Attrs, ins)
	return g != nil && BodyEqual(m, f, own, g)
}

// Demote takes the identity from every composite that uses hone's name for
// something else, or for a version that this package lacks, so that it is an
// ordinary function defined by its body. It returns how many there were.
func Demote(m *Module) int {
	n := 0
	for i, f := range m.Funcs {
		if f.Composite != nil && strings.HasPrefix(f.Composite.Name, "hone/") && !TrustedComposite(m, f) {
			g := f.Clone()
			g.Composite = nil
			m.Funcs[i] = g
			n++
		}
	}
	return n
}

// CompositeGradient returns the function that writes the gradient of one of
// hone's composites: from its inputs, outputs and the gradients of the outputs,
// the gradients of its floating-point inputs, the zero Value standing for
// none. It returns nil for other names.
func CompositeGradient(name string) func(b *Builder, c *Composite, ins, outs, douts []Value) []Value {
	return builtins[name].gradient
}

func gradNone(*Builder, *Composite, []Value, []Value, []Value) []Value { return []Value{{}} }

// gradRelu is 0 at 0, as the derivative that Keras takes.
func gradRelu(_ *Builder, _ *Composite, _, y, dy []Value) []Value {
	zero := y[0].lit(0)
	return []Value{y[0].Gt(zero).Select(dy[0], zero)}
}

func gradSilu(_ *Builder, _ *Composite, x, _, dy []Value) []Value {
	s := x[0].Sigmoid()
	return []Value{dy[0].Mul(s).Mul(x[0].Mul(s.Neg().Plus(1)).Plus(1))}
}

func gradSoftplus(_ *Builder, _ *Composite, x, _, dy []Value) []Value {
	return []Value{dy[0].Mul(x[0].Sigmoid())}
}

func gradGelu(_ *Builder, c *Composite, ins, _, dy []Value) []Value {
	x := ins[0]
	if c.Attr("approximate") == "true" {
		const k, a = 0.7978845608028654, 0.044715
		t := x.Add(x.Mul(x).Mul(x).Times(a)).Times(k).Tanh()
		du := x.Mul(x).Times(3 * a).Plus(1).Times(k)
		dt := t.Mul(t).Neg().Plus(1).Mul(du)
		return []Value{dy[0].Mul(t.Plus(1).Add(x.Mul(dt)).Times(0.5))}
	}
	cdf := x.Times(0.7071067811865476).Erf().Plus(1).Times(0.5)
	pdf := x.Mul(x).Times(-0.5).Exp().Times(0.3989422804014327)
	return []Value{dy[0].Mul(cdf.Add(x.Mul(pdf)))}
}

func gradSoftmax(_ *Builder, c *Composite, _, y, dy []Value) []Value {
	a := c.axis()
	p := y[0].Mul(dy[0])
	return []Value{p.Sub(y[0].Mul(p.Sum(a).Unreduce(p, a)))}
}

func gradLogSoftmax(_ *Builder, c *Composite, _, y, dy []Value) []Value {
	a := c.axis()
	return []Value{dy[0].Sub(y[0].Exp().Mul(dy[0].Sum(a).Unreduce(dy[0], a)))}
}

func gradSoftmaxCrossEntropy(_ *Builder, _ *Composite, x, _, dy []Value) []Value {
	return []Value{x[0].GradientSoftmaxCrossEntropy(x[1], dy[0])}
}
