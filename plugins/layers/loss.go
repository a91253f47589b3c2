package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// probabilityEpsilon keeps probabilities away from 0 and 1 before a logarithm,
// as Keras does.
const probabilityEpsilon = 1e-7

func clip(p graph.Value) graph.Value {
	if !p.Valid() {
		return p
	}
	b := p.Builder()
	return p.Max(b.Scalar(p.DType(), probabilityEpsilon)).Min(b.Scalar(p.DType(), 1-probabilityEpsilon))
}

// smooth moves targets towards the even distribution over n.
func smooth(target graph.Value, by, n float64) graph.Value {
	if by == 0 {
		return target
	}
	return target.Times(1 - by).Plus(by / n)
}

// logits says what the outputs are.
type logits struct {
	FromLogits bool `hone:"from_logits,default=false" doc:"The outputs are logits, not probabilities: the last layer has no softmax or sigmoid."`
}

// smoothing softens hard targets.
type smoothing struct {
	LabelSmoothing float64 `hone:"label_smoothing,default=0,min=0,max=1" doc:"How far targets are moved towards the even distribution."`
}

// SparseCategoricalCrossentropy compares class scores with the number of the class.
type SparseCategoricalCrossentropy struct {
	logits
	IgnoreClass *int `hone:"ignore_class,optional" doc:"Class whose examples add nothing to the loss; a mean over examples still counts them."`
}

// Doc describes the loss.
func (*SparseCategoricalCrossentropy) Doc() string {
	return "Cross-entropy between a score for each class and the number of the class."
}

// Loss writes the loss. Keras takes the logarithm of clipped probabilities for
// logits, which normalizes them once more; so does this.
func (l *SparseCategoricalCrossentropy) Loss(b *graph.Builder, output, target graph.Value) graph.Value {
	labels, ok := classNumbers(b, output, target)
	if !ok {
		return output
	}
	scores := output
	if !l.FromLogits {
		scores = clip(output).Log()
	}
	if l.IgnoreClass == nil {
		return sdk.PerExample(scores.SoftmaxCrossEntropy(labels))
	}
	ignored := labels.Eq(b.Scalar(labels.DType(), float64(*l.IgnoreClass)))
	zero := b.Scalar(labels.DType(), 0)
	each := scores.SoftmaxCrossEntropy(ignored.Select(zero, labels))
	return sdk.PerExample(ignored.Select(b.Scalar(output.DType(), 0), each))
}

// classNumbers gives labels the shape of the output without its last axis.
func classNumbers(b *graph.Builder, output, target graph.Value) (graph.Value, bool) {
	if !output.Valid() || !target.Valid() {
		return target, false
	}
	if output.Rank() < 2 || !output.DType().IsFloat() {
		b.Failf("the output %v has no axis of classes", output.Type())
		return target, false
	}
	if n := target.Rank(); n == output.Rank() && target.Type().Shape[n-1].Is(1) {
		target = target.Reshape(output.Dims()[:n-1]...)
	}
	want := output.Type().Shape[:output.Rank()-1]
	if !target.Valid() || !target.Type().Shape.Equal(want) {
		b.Failf("the output %v needs class numbers of shape %v, got %v; one-hot targets need categorical_crossentropy", output.Type(), want, target.Type())
		return target, false
	}
	if !target.DType().IsInt() {
		target = target.Convert(graph.I32)
	}
	return target, true
}

// CategoricalCrossentropy compares class scores with a distribution over classes.
type CategoricalCrossentropy struct {
	logits
	smoothing
}

// Doc describes the loss.
func (*CategoricalCrossentropy) Doc() string {
	return "Cross-entropy between a score for each class and a distribution over the classes, such as one-hot targets."
}

// Loss writes the loss.
func (l *CategoricalCrossentropy) Loss(b *graph.Builder, output, target graph.Value) graph.Value {
	if output.Valid() && (output.Rank() < 2 || !target.Type().Shape.Equal(output.Type().Shape)) {
		return b.Failf("the output %v needs targets of its own shape, got %v; class numbers need sparse_categorical_crossentropy", output.Type(), target.Type())
	}
	target = smooth(target.Convert(output.DType()), l.LabelSmoothing, float64(output.ConstDim(-1)))
	var log graph.Value
	if l.FromLogits {
		log = output.LogSoftmax(-1)
	} else {
		log = clip(output.Div(output.Sum(-1).Unreduce(output, -1))).Log()
	}
	return sdk.PerExample(target.Mul(log).Sum(-1).Neg())
}

// BinaryCrossentropy compares scores for yes with yes (1) or no (0).
type BinaryCrossentropy struct {
	logits
	smoothing
}

// Doc describes the loss.
func (*BinaryCrossentropy) Doc() string {
	return "Cross-entropy between scores for yes and targets of 1 for yes and 0 for no; several outputs are averaged."
}

// Loss writes the loss.
func (l *BinaryCrossentropy) Loss(b *graph.Builder, output, target graph.Value) graph.Value {
	target = smooth(sdk.SameShape(output, target), l.LabelSmoothing, 2)
	one := b.Scalar(output.DType(), 1)
	if l.FromLogits {
		// max(x, 0) - x*z + log(1 + exp(-|x|)) does not overflow.
		soft := output.Abs().Neg().Exp().Log1p()
		return sdk.PerExample(output.Relu().Sub(output.Mul(target)).Add(soft))
	}
	p := clip(output)
	yes, no := target.Mul(p.Log()), one.Sub(target).Mul(one.Sub(p).Log())
	return sdk.PerExample(yes.Add(no).Neg())
}

// MeanSquaredError averages the squares of the differences.
type MeanSquaredError struct{}

// Doc describes the loss.
func (*MeanSquaredError) Doc() string { return "The mean of the squared differences." }

// Loss writes the loss.
func (*MeanSquaredError) Loss(_ *graph.Builder, output, target graph.Value) graph.Value {
	return sdk.PerExample(output.Sub(sdk.SameShape(output, target)).Square())
}

// MeanAbsoluteError averages the magnitudes of the differences.
type MeanAbsoluteError struct{}

// Doc describes the loss.
func (*MeanAbsoluteError) Doc() string { return "The mean of the differences' magnitudes." }

// Loss writes the loss.
func (*MeanAbsoluteError) Loss(_ *graph.Builder, output, target graph.Value) graph.Value {
	return sdk.PerExample(output.Sub(sdk.SameShape(output, target)).Abs())
}

// Huber is quadratic for small differences and linear for large ones.
type Huber struct {
	Delta float64 `hone:"delta,default=1,above=0" doc:"Difference from which on the loss is linear."`
}

// Doc describes the loss.
func (*Huber) Doc() string {
	return "Half the squared difference up to delta, linear beyond; averaged."
}

// Loss writes the loss.
func (h *Huber) Loss(b *graph.Builder, output, target graph.Value) graph.Value {
	e := output.Sub(sdk.SameShape(output, target))
	d := b.Scalar(output.DType(), h.Delta)
	small := e.Square().Times(0.5)
	large := e.Abs().Times(h.Delta).Plus(-0.5 * h.Delta * h.Delta)
	return sdk.PerExample(e.Abs().Le(d).Select(small, large))
}
