package graph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A composite's body is its meaning; a backend may use a kernel of its own
// only where the body equals the one written here (TrustedComposite).

// Composite calls a function that is identified by name (namespace/name@version)
// and attrs and defined by body. The function is traced once per module,
// attribute list and operand types; attrs are sorted by name.
func (b *Builder) Composite(name string, attrs []NamedAttr, args []Value, body func(b *Builder, args []Value) []Value) []Value {
	return b.CompositeWithGradient(name, attrs, args, body, nil)
}

// CompositeWithGradient is Composite for a function that has a gradient of its
// own, used instead of differentiating the body. From the inputs, the outputs
// and the gradients of the floating-point outputs, gradient makes the
// gradients of the floating-point inputs, all in order.
func (b *Builder) CompositeWithGradient(name string, attrs []NamedAttr, args []Value, body func(b *Builder, args []Value) []Value,
	gradient func(b *Builder, ins, outs, douts []Value) []Value) []Value {
	fail := []Value{{b: b, id: -1}}
	if !b.owns(args...) {
		return fail
	}
	if err := checkCompositeName(name); err != nil {
		b.Failf("%v", err)
		return fail
	}
	attrs = slices.Clone(attrs)
	slices.SortFunc(attrs, func(x, y NamedAttr) int { return strings.Compare(x.Name, y.Name) })
	ins := make([]Type, len(args))
	for i, v := range args {
		ins[i] = v.Type()
	}
	f := b.module.instance(name, attrs, ins)
	if f == nil {
		var err error
		if f, err = traceComposite(b.module, name, attrs, ins, body, gradient); err != nil {
			b.Failf("%v", err)
			return fail
		}
	}
	return b.Apply(OpCall, &CallAttrs{Callee: f.Name}, args...)
}

// instance returns the function of that composite for those operand types.
func (m *Module) instance(name string, attrs []NamedAttr, ins []Type) *Func {
	i := slices.IndexFunc(m.Funcs, func(f *Func) bool {
		return f.Composite != nil && f.Composite.Name == name && slices.Equal(f.Composite.Attrs, attrs) &&
			slices.EqualFunc(f.Params, ins, func(p Param, t Type) bool { return p.Type.Equal(t) })
	})
	if i < 0 {
		return nil
	}
	return m.Funcs[i]
}

// freeInstance returns the first name#n that no function has.
func (m *Module) freeInstance(name string) string {
	n := 0
	for _, f := range m.Funcs {
		if rest, ok := strings.CutPrefix(f.Name, name+"#"); ok {
			if i, err := strconv.Atoi(rest); err == nil {
				n = max(n, i+1)
			}
		}
	}
	return fmt.Sprintf("%s#%d", name, n)
}

func traceComposite(m *Module, name string, attrs []NamedAttr, ins []Type, body func(*Builder, []Value) []Value,
	gradient func(b *Builder, ins, outs, douts []Value) []Value) (*Func, error) {
	s := NewBuilder(m, "", Any)
	s.fn.Composite = &Composite{Name: name, Attrs: attrs}
	in := make([]Value, len(ins))
	for i, t := range ins {
		in[i] = s.Input("x"+strconv.Itoa(i), t)
	}
	outs := body(s, in)
	for i, v := range outs {
		s.Output("y"+strconv.Itoa(i), v)
	}
	if gradient != nil && s.err == nil {
		g, err := traceGradient(m, name, attrs, ins, outs, gradient)
		if err != nil {
			return nil, err
		}
		s.fn.Composite.Gradient = g.Name
	}
	s.fn.Name = m.freeInstance(name)
	return s.Finish()
}

// traceGradient traces the gradient of a composite, which stands before it.
func traceGradient(m *Module, name string, attrs []NamedAttr, ins []Type, outs []Value,
	gradient func(b *Builder, ins, outs, douts []Value) []Value) (*Func, error) {
	base, version, _ := strings.Cut(name, "@")
	name = base + ".gradient@" + version
	s := NewBuilder(m, m.freeInstance(name), Any)
	s.fn.Composite = &Composite{Name: name, Attrs: attrs}
	var x, y, dy []Value
	for i, t := range ins {
		x = append(x, s.Input("x"+strconv.Itoa(i), t))
	}
	for i, v := range outs {
		y = append(y, s.Input("y"+strconv.Itoa(i), v.Type()))
	}
	for i, v := range outs {
		if v.DType().IsFloat() {
			dy = append(dy, s.Input("dy"+strconv.Itoa(i), v.Type()))
		}
	}
	dx := gradient(s, x, y, dy)
	k := 0
	for i, t := range ins {
		if !t.DType.IsFloat() {
			continue
		}
		if k < len(dx) && dx[k].ok() && !dx[k].Type().Equal(t) {
			s.Failf("the gradient of input %d of %s is %v and must be %v", i, name, dx[k].Type(), t)
		}
		if k < len(dx) {
			s.Output("dx"+strconv.Itoa(i), dx[k])
		}
		k++
	}
	if k != len(dx) {
		s.Failf("the gradient of %s gives %d values for %d floating-point inputs", name, len(dx), k)
	}
	return s.Finish()
}

// composite1 calls a composite of hone with one result.
func composite1(name string, attrs []NamedAttr, body func(b *Builder, x []Value) []Value, args ...Value) Value {
	if len(args) == 0 || args[0].b == nil {
		return Value{}
	}
	return args[0].b.Composite("hone/"+name+"@1", attrs, args, body)[0]
}

// Relu returns max(v, 0).
func (v Value) Relu() Value {
	return composite1("relu", nil, func(_ *Builder, x []Value) []Value {
		return []Value{x[0].Max(x[0].lit(0))}
	}, v)
}

// StopGradient returns v and has no gradient.
func (v Value) StopGradient() Value {
	return composite1("stop_gradient", nil, func(_ *Builder, x []Value) []Value { return x }, v)
}

// Softmax returns exp(v) / sum exp(v) along axis, shifted by the maximum.
func (v Value) Softmax(axis int) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	return composite1("softmax", axisAttr(a), func(_ *Builder, x []Value) []Value {
		e := x[0].Sub(x[0].Reduce(Max, int(a)).Unreduce(x[0], int(a)).StopGradient()).Exp()
		return []Value{e.Div(e.Sum(int(a)).Unreduce(e, int(a)))}
	}, v)
}

// LogSoftmax returns v - log sum exp(v) along axis, shifted by the maximum.
func (v Value) LogSoftmax(axis int) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	return composite1("log_softmax", axisAttr(a), func(_ *Builder, x []Value) []Value {
		s := x[0].Sub(x[0].Reduce(Max, int(a)).Unreduce(x[0], int(a)).StopGradient())
		return []Value{s.Sub(s.Exp().Sum(int(a)).Log().Unreduce(s, int(a)))}
	}, v)
}

// SoftmaxCrossEntropy returns -log softmax(v)[label] for logits v [n..., classes]
// and integer labels [n...]. A label out of range gives 0.
func (v Value) SoftmaxCrossEntropy(labels Value) Value {
	if v.b == nil || !v.b.owns(v, labels) {
		return v
	}
	return composite1("softmax_cross_entropy", nil, func(b *Builder, x []Value) []Value {
		lp := x[0].LogSoftmax(-1)
		hot := b.OneHot(x[1], x[0].Dims()...)
		zero := lp.lit(0)
		return []Value{hot.Select(lp, zero).Sum(-1).Neg()}
	}, v, labels)
}

// GradientSoftmaxCrossEntropy returns what SoftmaxCrossEntropy of the logits v
// gives them of the gradient d [n...] of its result:
//
//	d * (softmax(v) - onehot(labels))
//
// A label out of range has no loss and so gives 0.
func (v Value) GradientSoftmaxCrossEntropy(labels, d Value) Value {
	if v.b == nil || !v.b.owns(v, labels, d) {
		return v
	}
	return composite1("gradient_softmax_cross_entropy", nil, func(b *Builder, x []Value) []Value {
		p := x[0].Softmax(-1)
		hot := b.OneHot(x[1], x[0].Dims()...)
		scale := hot.Reduce(Some, -1).Select(x[2], x[2].lit(0)).Unreduce(p, -1)
		return []Value{p.Sub(hot.Convert(p.DType())).Mul(scale)}
	}, v, labels, d)
}

// OneHot returns the bools of the given extents that hold where the index on
// the last axis equals the label; labels have all axes but the last.
func (b *Builder) OneHot(labels Value, extents ...Extent) Value {
	n := len(extents)
	if !b.owns(labels) {
		return labels
	}
	if labels.Rank() != n-1 {
		return b.Failf("labels %v for %d axes", labels.Type(), n)
	}
	dims := make([]int64, n-1)
	for i := range dims {
		dims[i] = int64(i)
	}
	return labels.BroadcastAlong(dims, extents...).Eq(b.Iota(labels.DType(), n-1, extents...))
}

// Gelu returns v * Phi(v) with the normal distribution function Phi (Hendrycks
// and Gimpel, 2016); approximate takes the tanh form.
func (v Value) Gelu(approximate bool) Value {
	return composite1("gelu", []NamedAttr{{"approximate", strconv.FormatBool(approximate)}}, func(_ *Builder, x []Value) []Value {
		u := x[0]
		if approximate {
			t := u.Add(u.Mul(u).Mul(u).Times(0.044715)).Times(0.7978845608028654).Tanh()
			return []Value{u.Times(0.5).Mul(t.Plus(1))}
		}
		return []Value{u.Times(0.5).Mul(u.Times(0.7071067811865476).Erf().Plus(1))}
	}, v)
}

// Silu returns v * sigmoid(v).
func (v Value) Silu() Value {
	return composite1("silu", nil, func(_ *Builder, x []Value) []Value { return []Value{x[0].Mul(x[0].Sigmoid())} }, v)
}

// Softplus returns log(1 + e^v), computed without overflow.
func (v Value) Softplus() Value {
	return composite1("softplus", nil, func(_ *Builder, x []Value) []Value {
		return []Value{x[0].Max(x[0].lit(0)).Add(x[0].Abs().Neg().Exp().Log1p())}
	}, v)
}

func axisAttr(a int64) []NamedAttr { return []NamedAttr{{"axis", strconv.FormatInt(a, 10)}} }
