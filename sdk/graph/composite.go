package graph

import "strconv"

// The composites of hone. A composite's body is its meaning; a backend may use
// a kernel of its own only where the body equals the one written here.

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
