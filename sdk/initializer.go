package sdk

import (
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// Initializer gives a parameter its first value, of type b.Type().
//
// The host receives the function "init": one key, output value.
type Initializer interface {
	Init(b *InitBuilder) graph.Value
}

// Regularizer returns the scalar penalty of a parameter's value.
//
// The host receives the function "penalty": input value, output penalty.
type Regularizer interface {
	Penalty(b *graph.Builder, value graph.Value) graph.Value
}

// Constraint returns what a parameter becomes after an update.
//
// The host receives the function "constrain": input and output value.
type Constraint interface {
	Constrain(b *graph.Builder, value graph.Value) graph.Value
}

// InitBuilder is a [graph.Builder] that knows the parameter to be initialized
// and draws random numbers for it.
type InitBuilder struct {
	*graph.Builder
	typ   graph.Type
	axes  []string
	key   graph.Value
	draws int
}

// Type returns the parameter's type.
func (b *InitBuilder) Type() graph.Type { return b.typ }

// Axes returns the parameter's axis tags; nil where it has none.
func (b *InitBuilder) Axes() []string { return b.axes }

// Extents returns the parameter's extents.
func (b *InitBuilder) Extents() []int64 {
	e, _ := b.typ.Shape.Const()
	return e
}

// Full returns the parameter's type filled with x.
func (b *InitBuilder) Full(x float64) graph.Value {
	return b.Builder.Full(b.typ.DType, x, graph.Es(b.Extents()...)...)
}

// Fans returns how many inputs feed one output and how many outputs one input
// feeds: products over the axes tagged in, out and spatial. Without tags for in
// and out the last axis is out, the one before it in, and others are spatial, as
// in Keras. A vector has its length for both, a scalar 1.
func (b *InitBuilder) Fans() (in, out int64) {
	ext := b.Extents()
	switch len(ext) {
	case 0:
		return 1, 1
	case 1:
		return ext[0], ext[0]
	}
	axes := b.axes
	if !slices.Contains(axes, "in") || !slices.Contains(axes, "out") {
		axes = make([]string, len(ext))
		for i := range axes {
			axes[i] = "spatial"
		}
		axes[len(ext)-2], axes[len(ext)-1] = "in", "out"
	}
	in, out = 1, 1
	for i, a := range axes {
		switch a {
		case "in":
			in *= ext[i]
		case "out":
			out *= ext[i]
		case "spatial":
			in *= ext[i]
			out *= ext[i]
		}
	}
	return in, out
}

// Bits draws u32 words of the parameter's shape; every call is a new draw.
func (b *InitBuilder) Bits() graph.Value {
	step := b.Scalar(graph.U64, float64(b.draws))
	b.draws++
	index := b.Const(graph.Int64s([]int64{0}, 1))
	words := b.RandomBitsAt(b.key, step, index, graph.Es(b.Extents()...)...)
	return words.Reshape(graph.Es(b.Extents()...)...)
}

// Uniform draws numbers in [lo, hi).
func (b *InitBuilder) Uniform(lo, hi float64) graph.Value {
	return b.cast(graph.ToUniform(b.Bits()).Times(hi - lo).Plus(lo))
}

// Normal draws from a normal distribution.
func (b *InitBuilder) Normal(mean, stddev float64) graph.Value {
	return b.cast(normalQuantile(b.open(), 1).Times(stddev).Plus(mean))
}

// TruncatedNormal draws from a normal distribution cut at two standard
// deviations on either side, as if what falls outside were drawn again. stddev is
// that of the whole distribution; the truncated one's is 0.8796 of it.
func (b *InitBuilder) TruncatedNormal(mean, stddev float64) graph.Value {
	// P(|z| < 2) = erf(sqrt(2))
	return b.cast(normalQuantile(b.open(), 0.9544997361036416).Times(stddev).Plus(mean))
}

func (b *InitBuilder) cast(v graph.Value) graph.Value { return v.Convert(b.typ.DType) }

// open draws f32 numbers in (-1, 1), the odd multiples of 2^-23: as many
// below zero as above, and never an end.
func (b *InitBuilder) open() graph.Value {
	odd := b.Bits().Shr(b.Scalar(graph.U32, 9)).Convert(graph.F32).Times(2).Plus(1) // 1, 3, ..., 2^24-1
	return odd.Times(1.0 / (1 << 23)).Plus(-1)
}

// normalQuantile returns sqrt(2) * erfinv(p*u) by the single-precision
// approximation of M. Giles, "Approximating the erfinv function" (GPU Computing
// Gems Jade, 2011): a polynomial in w = -log(1 - x^2), another in its tail.
func normalQuantile(u graph.Value, p float64) graph.Value {
	if !u.Valid() {
		return u
	}
	number := func(x float64) graph.Value { return u.Builder().Scalar(graph.F32, x) }
	horner := func(w graph.Value, c ...float64) graph.Value {
		y := w.Times(c[0]).Plus(c[1])
		for _, k := range c[2:] {
			y = y.Mul(w).Plus(k)
		}
		return y
	}
	x := u.Times(p)
	w := number(1).Sub(x).Mul(x.Plus(1)).Log().Neg()
	y := horner(w.Plus(-2.5), 2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06,
		0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
	if p == 1 { // below that, w never reaches the tail, which begins at 5
		tail := horner(w.Max(number(5)).Sqrt().Plus(-3), -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844,
			0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682)
		y = w.Lt(number(5)).Select(y, tail)
	}
	return y.Mul(x).Times(1.4142135623730951)
}

// parameterFunc traces an initializer, regularizer or constraint for a
// parameter of type typ as the function called name.
func (t *tracer) parameterFunc(kind Kind, name string, c any, typ graph.Type, axes []string) error {
	b := graph.NewBuilder(t.m, name, graph.Any)
	var v graph.Value
	out, want := "value", typ
	switch kind {
	case InitializerKind:
		i, ok := c.(Initializer)
		if !ok {
			b.Failf("%T is no initializer", c)
			break
		}
		if _, ok := typ.Shape.Const(); !ok {
			b.Failf("a parameter of type %v cannot be initialized", typ)
			break
		}
		v = i.Init(&InitBuilder{Builder: b, typ: typ, axes: axes, key: b.Key()})
	case RegularizerKind:
		r, ok := c.(Regularizer)
		if !ok {
			b.Failf("%T is no regularizer", c)
			break
		}
		out, want = "penalty", graph.Scalar(typ.DType)
		v = r.Penalty(b, b.Input("value", typ))
	case ConstraintKind:
		r, ok := c.(Constraint)
		if !ok {
			b.Failf("%T is no constraint", c)
			break
		}
		v = r.Constrain(b, b.Input("value", typ))
	}
	if v.Valid() && !v.Type().Equal(want) {
		b.Failf("the result must be %v, got %v", want, v.Type())
	}
	b.Output(out, v)
	_, err := b.Finish()
	return err
}
