package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// average is what metrics share that are the weighted mean of a value per
// example. Sums are taken in f64.
type average struct{}

func (average) add(b *sdk.MetricBuilder, each, weight graph.Value) {
	w := weight.Convert(graph.F64)
	b.Add("total", each.Convert(graph.F64).Mul(w).Sum())
	b.Add("count", w.Sum())
}

// Result is total / count, 0 where nothing was counted.
func (average) Result(b *sdk.MetricBuilder) graph.Value {
	return sdk.Ratio(b.Total("total"), b.Total("count"))
}

// hits turns bools into the share that holds, per example.
func hits(v graph.Value) graph.Value { return sdk.PerExample(v.Convert(graph.F32)) }

func sparseHits(b *graph.Builder, output, target graph.Value) graph.Value {
	labels, ok := classNumbers(b, output, target)
	if !ok {
		return output
	}
	return hits(output.ArgMax(-1).Convert(labels.DType()).Eq(labels))
}

func categoricalHits(b *graph.Builder, output, target graph.Value) graph.Value {
	if output.Valid() && (output.Rank() < 2 || !target.Type().Shape.Equal(output.Type().Shape)) {
		return b.Failf("the output %v needs targets of its own shape, got %v", output.Type(), target.Type())
	}
	return hits(output.ArgMax(-1).Eq(target.ArgMax(-1)))
}

func binaryHits(b *graph.Builder, output, target graph.Value, threshold float64) graph.Value {
	target = sdk.SameShape(output, target)
	return hits(output.Gt(b.Scalar(output.DType(), threshold)).Convert(output.DType()).Eq(target))
}

// Accuracy chooses among the three accuracies by the shapes.
type Accuracy struct {
	Threshold float64 `hone:"threshold,default=0.5" doc:"Of a single score for yes: the value above which it means yes. Logits need 0."`
	average
}

// Doc describes the metric.
func (*Accuracy) Doc() string {
	return "Share of right answers: by threshold for a single score, by largest score for classes, against class numbers or one-hot targets."
}

// Update writes the metric, choosing as Keras does.
func (a *Accuracy) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	o, t := output.Type().Shape, target.Type().Shape
	switch {
	case len(o) < 2 || o[len(o)-1].Is(1):
		a.add(b, binaryHits(b.Builder, output, target, a.Threshold), weight)
	case len(t) < len(o) || len(t) > 0 && t[len(t)-1].Is(1):
		a.add(b, sparseHits(b.Builder, output, target), weight)
	default:
		a.add(b, categoricalHits(b.Builder, output, target), weight)
	}
}

// BinaryAccuracy is the share of scores on the right side of a threshold.
type BinaryAccuracy struct {
	Threshold float64 `hone:"threshold,default=0.5" doc:"Score above which the answer is yes."`
	average
}

// Doc describes the metric.
func (*BinaryAccuracy) Doc() string { return "Share of scores on the right side of the threshold." }

// Update writes the metric.
func (a *BinaryAccuracy) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	a.add(b, binaryHits(b.Builder, output, target, a.Threshold), weight)
}

// CategoricalAccuracy compares the largest score with one-hot targets.
type CategoricalAccuracy struct{ average }

// Doc describes the metric.
func (*CategoricalAccuracy) Doc() string {
	return "Share of examples whose largest score is at the target's largest."
}

// Update writes the metric.
func (a *CategoricalAccuracy) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	a.add(b, categoricalHits(b.Builder, output, target), weight)
}

// SparseCategoricalAccuracy compares the largest score with class numbers.
type SparseCategoricalAccuracy struct{ average }

// Doc describes the metric.
func (*SparseCategoricalAccuracy) Doc() string {
	return "Share of examples whose largest score is that of the target's class."
}

// Update writes the metric.
func (a *SparseCategoricalAccuracy) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	a.add(b, sparseHits(b.Builder, output, target), weight)
}

// topK is what the two top-k accuracies share.
type topK struct {
	K int `hone:"k,default=5,min=1" doc:"How many of the largest scores count as right."`
	average
}

// among reports where fewer than k scores are larger than that of the class: ties
// count as right, as in Keras.
func (t *topK) among(b *sdk.MetricBuilder, output, labels, weight graph.Value) {
	if !output.Valid() || !labels.Valid() {
		b.Failf("the labels do not fit the output %v", output.Type())
		return
	}
	own := b.OneHot(labels, output.Dims()...).Select(output, b.Scalar(output.DType(), 0)).Sum(-1)
	larger := output.Gt(own.Unreduce(output, -1)).Convert(graph.I32).Sum(-1)
	t.add(b, hits(larger.Lt(b.Scalar(graph.I32, float64(t.K)))), weight)
}

// TopKCategoricalAccuracy is for one-hot targets.
type TopKCategoricalAccuracy struct{ topK }

// Doc describes the metric.
func (*TopKCategoricalAccuracy) Doc() string {
	return "Share of examples whose target is among the k largest scores."
}

// Update writes the metric.
func (t *TopKCategoricalAccuracy) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	t.among(b, output, target.ArgMax(-1), weight)
}

// SparseTopKCategoricalAccuracy is for class numbers.
type SparseTopKCategoricalAccuracy struct{ topK }

// Doc describes the metric.
func (*SparseTopKCategoricalAccuracy) Doc() string {
	return "Share of examples whose class is among the k largest scores."
}

// Update writes the metric.
func (t *SparseTopKCategoricalAccuracy) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	labels, ok := classNumbers(b.Builder, output, target)
	if ok {
		t.among(b, output, labels, weight)
	}
}

// lossMetric reports a loss under its own name.
type lossMetric struct{ average }

// LowerIsBetter says so.
func (lossMetric) LowerIsBetter() bool { return true }

func (m lossMetric) update(b *sdk.MetricBuilder, l sdk.Loss, output, target, weight graph.Value) {
	m.add(b, l.Loss(b.Builder, output, target), weight)
}

// MeanSquaredErrorMetric is the loss of that name as a metric.
type MeanSquaredErrorMetric struct{ lossMetric }

// Doc describes the metric.
func (*MeanSquaredErrorMetric) Doc() string { return "The mean of the squared differences." }

// Update writes the metric.
func (m *MeanSquaredErrorMetric) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	m.update(b, &MeanSquaredError{}, output, target, weight)
}

// MeanAbsoluteErrorMetric is the loss of that name as a metric.
type MeanAbsoluteErrorMetric struct{ lossMetric }

// Doc describes the metric.
func (*MeanAbsoluteErrorMetric) Doc() string { return "The mean of the differences' magnitudes." }

// Update writes the metric.
func (m *MeanAbsoluteErrorMetric) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	m.update(b, &MeanAbsoluteError{}, output, target, weight)
}

// RootMeanSquaredError is the root of the mean squared difference.
type RootMeanSquaredError struct{ lossMetric }

// Doc describes the metric.
func (*RootMeanSquaredError) Doc() string { return "The root of the mean of the squared differences." }

// Update writes the metric.
func (m *RootMeanSquaredError) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	m.update(b, &MeanSquaredError{}, output, target, weight)
}

// Result takes the root.
func (m *RootMeanSquaredError) Result(b *sdk.MetricBuilder) graph.Value {
	return m.average.Result(b).Sqrt()
}

// BinaryCrossentropyMetric is the loss of that name as a metric.
type BinaryCrossentropyMetric struct {
	logits
	smoothing
	lossMetric
}

// Doc describes the metric.
func (*BinaryCrossentropyMetric) Doc() string { return (*BinaryCrossentropy)(nil).Doc() }

// Update writes the metric.
func (m *BinaryCrossentropyMetric) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	m.update(b, &BinaryCrossentropy{m.logits, m.smoothing}, output, target, weight)
}

// CategoricalCrossentropyMetric is the loss of that name as a metric.
type CategoricalCrossentropyMetric struct {
	logits
	smoothing
	lossMetric
}

// Doc describes the metric.
func (*CategoricalCrossentropyMetric) Doc() string { return (*CategoricalCrossentropy)(nil).Doc() }

// Update writes the metric.
func (m *CategoricalCrossentropyMetric) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	m.update(b, &CategoricalCrossentropy{m.logits, m.smoothing}, output, target, weight)
}

// SparseCategoricalCrossentropyMetric is the loss of that name as a metric.
type SparseCategoricalCrossentropyMetric struct {
	logits
	lossMetric
}

// Doc describes the metric.
func (*SparseCategoricalCrossentropyMetric) Doc() string {
	return (*SparseCategoricalCrossentropy)(nil).Doc()
}

// Update writes the metric.
func (m *SparseCategoricalCrossentropyMetric) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	m.update(b, &SparseCategoricalCrossentropy{logits: m.logits}, output, target, weight)
}
