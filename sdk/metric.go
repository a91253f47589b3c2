package sdk

import (
	"math"

	"github.com/hone-ml/hone/sdk/graph"
)

// Metric measures the model over many batches: Update adds a batch to
// accumulators, Result computes the figure from them. weight is [batch], f32. An
// epoch's figure is thus never an average of batches' averages, and parts
// measured apart can be merged.
//
// The host receives four functions over the accumulators (states): "init"
// has their first values as outputs of their names; "update" takes the inputs output, target, weight;
// "merge" takes those of another part as inputs of the same names; "result" has
// the output value, f64[].
type Metric interface {
	Update(b *MetricBuilder, output, target, weight graph.Value)
	Result(b *MetricBuilder) graph.Value
}

// ExactMetric is the optional power of metrics that accumulate an approximation
// and can do better with all examples at once. The host receives the function
// "exact" (inputs output, target, weight; output value), whose batch is the
// whole evaluation set, and uses it where the set's outputs fit in memory.
type ExactMetric interface {
	Exact(b *graph.Builder, output, target, weight graph.Value) graph.Value
}

// LowerIsBetter is the optional power of metrics of which smaller values are
// better; others are taken for better when larger.
type LowerIsBetter interface{ LowerIsBetter() bool }

// MetricBuilder is a [graph.Builder] with accumulators. They are f64, so that
// an epoch's sums lose nothing, whatever the batch size.
type MetricBuilder struct {
	*graph.Builder
	acc    *[]accumulator
	totals map[string]graph.Value // nil outside of Result
}

type accumulator struct {
	name string
	typ  graph.Type
	kind graph.ReduceKind
}

// Add adds v to the accumulator of that name, which starts at 0.
func (b *MetricBuilder) Add(name string, v graph.Value) { b.combine(name, graph.Sum, v) }

// Max keeps the larger of v and the accumulator, which starts at minus infinity.
func (b *MetricBuilder) Max(name string, v graph.Value) { b.combine(name, graph.Max, v) }

// Min keeps the smaller of v and the accumulator, which starts at infinity.
func (b *MetricBuilder) Min(name string, v graph.Value) { b.combine(name, graph.Min, v) }

func (b *MetricBuilder) combine(name string, kind graph.ReduceKind, v graph.Value) {
	if b.totals != nil {
		b.Failf("accumulators do not change in Result")
		return
	}
	if !v.Valid() {
		b.Failf("the accumulator %q is given a failed value", name)
		return
	}
	v = v.Convert(graph.F64)
	old := b.declare(accumulator{name, v.Type(), kind})
	b.SetState(name, reduceTwo(kind, old, v))
}

func (b *MetricBuilder) declare(a accumulator) graph.Value {
	for _, o := range *b.acc {
		if o.name == a.name {
			b.Failf("the accumulator %q is updated twice", a.name)
			return graph.Value{}
		}
	}
	*b.acc = append(*b.acc, a)
	return b.State(a.name, a.typ, graph.Decl{})
}

// Scatter adds v to the elements of the accumulator that index names along its
// only axis of n elements: a histogram. Indices out of range are dropped.
func (b *MetricBuilder) Scatter(name string, n int64, index, v graph.Value) {
	if b.totals != nil {
		b.Failf("accumulators do not change in Result")
		return
	}
	old := b.declare(accumulator{name, graph.T(graph.F64, n), graph.Sum})
	b.SetState(name, old.ScatterAdd(0, 0, index, v.Convert(graph.F64)))
}

// Total returns an accumulator's value; Result alone may ask for it.
func (b *MetricBuilder) Total(name string) graph.Value {
	if v, ok := b.totals[name]; ok {
		return v
	}
	return b.Failf("there is no accumulator %q to read here", name)
}

func reduceTwo(kind graph.ReduceKind, a, b graph.Value) graph.Value {
	switch kind {
	case graph.Max:
		return a.Max(b)
	case graph.Min:
		return a.Min(b)
	}
	return a.Add(b)
}

func (t *tracer) metric(m Metric, in []graph.Type) error {
	var acc []accumulator
	update := &MetricBuilder{Builder: graph.NewBuilder(t.m, "update", graph.Any), acc: &acc}
	m.Update(update, update.Input("output", in[0]), update.Input("target", in[1]), update.Input("weight", in[2]))
	if len(acc) == 0 {
		update.Failf("Update accumulates nothing")
	}
	if _, err := update.Finish(); err != nil {
		return err
	}

	first := graph.NewBuilder(t.m, "init", graph.Any)
	for _, a := range acc {
		start := 0.0
		switch a.kind {
		case graph.Max:
			start = math.Inf(-1)
		case graph.Min:
			start = math.Inf(1)
		}
		ext, _ := a.typ.Shape.Const()
		first.Output(a.name, first.Full(a.typ.DType, start, graph.Es(ext...)...))
	}
	if _, err := first.Finish(); err != nil {
		return err
	}

	merge := graph.NewBuilder(t.m, "merge", graph.Any)
	own := make([]graph.Value, len(acc))
	for i, a := range acc {
		own[i] = merge.State(a.name, a.typ, graph.Decl{})
	}
	for i, a := range acc {
		merge.SetState(a.name, reduceTwo(a.kind, own[i], merge.Input(a.name, a.typ)))
	}
	if _, err := merge.Finish(); err != nil {
		return err
	}

	result := &MetricBuilder{Builder: graph.NewBuilder(t.m, "result", graph.Any), acc: &acc, totals: map[string]graph.Value{}}
	for _, a := range acc {
		result.totals[a.name] = result.State(a.name, a.typ, graph.Decl{})
	}
	if err := t.figure(result.Builder, m.Result(result)); err != nil {
		return err
	}

	if e, ok := m.(ExactMetric); ok {
		b := graph.NewBuilder(t.m, "exact", graph.Any)
		return t.figure(b, e.Exact(b, b.Input("output", in[0]), b.Input("target", in[1]), b.Input("weight", in[2])))
	}
	return nil
}

// figure finishes a function whose output is a metric's figure.
func (t *tracer) figure(b *graph.Builder, v graph.Value) error {
	if v.Valid() && (v.Rank() != 0 || !v.DType().IsFloat()) {
		b.Failf("a metric is one floating-point number, got %v", v.Type())
	}
	b.Output("value", v.Convert(graph.F64))
	_, err := b.Finish()
	return err
}

// Ratio returns a / b, and 0 where b is 0.
func Ratio(a, b graph.Value) graph.Value {
	if !a.Valid() || !b.Valid() {
		return a
	}
	number := func(x float64) graph.Value { return b.Builder().Scalar(b.DType(), x) }
	none := b.Eq(number(0))
	return none.Select(number(0), a.Div(none.Select(number(1), b)))
}

// WeightLike gives weight [batch] the shape of v [batch, ...], repeating it.
func WeightLike(weight, v graph.Value) graph.Value {
	if !weight.Valid() || !v.Valid() {
		return weight
	}
	return weight.Convert(v.DType()).BroadcastAlong([]int64{0}, v.Dims()...)
}
