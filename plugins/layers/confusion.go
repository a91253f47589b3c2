package layers

import (
	"math"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// counted gives outputs, targets and weights of yes-or-no answers one shape, in f64.
func counted(output, target, weight graph.Value) (o, t, w graph.Value) {
	t = sdk.SameShape(output, target).Convert(graph.F64)
	return output, t, sdk.WeightLike(weight.Convert(graph.F64), t)
}

// threshold is what precision and recall share.
type threshold struct {
	Thresholds float64 `hone:"thresholds,default=0.5" doc:"Score above which the answer is yes."`
}

func (c *threshold) update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	o, t, w := counted(output, target, weight)
	yes := o.Gt(b.Scalar(o.DType(), c.Thresholds)).Convert(graph.F64).Mul(w)
	b.Add("true_positives", yes.Mul(t).Sum())
	b.Add("predicted_positives", yes.Sum())
	b.Add("positives", t.Mul(w).Sum())
}

// Precision is the share of right answers among those that say yes.
type Precision struct{ threshold }

// Doc describes the metric.
func (*Precision) Doc() string { return "Share of right answers among those that say yes." }

// Update writes the metric.
func (p *Precision) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	p.update(b, output, target, weight)
}

// Result is 0 where no answer says yes.
func (*Precision) Result(b *sdk.MetricBuilder) graph.Value {
	return sdk.Ratio(b.Total("true_positives"), b.Total("predicted_positives"))
}

// Recall is the share of what is yes that is answered so.
type Recall struct{ threshold }

// Doc describes the metric.
func (*Recall) Doc() string { return "Share of what is yes that is answered so." }

// Update writes the metric.
func (r *Recall) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	r.update(b, output, target, weight)
}

// Result is 0 where nothing is yes.
func (*Recall) Result(b *sdk.MetricBuilder) graph.Value {
	return sdk.Ratio(b.Total("true_positives"), b.Total("positives"))
}

// F1Score is the harmonic mean of precision and recall, per class.
type F1Score struct {
	Average   string   `hone:"average,default=macro,enum=micro|macro|weighted" doc:"How classes are joined: micro counts all answers together, macro averages classes, weighted by their frequency."`
	Threshold *float64 `hone:"threshold,optional" doc:"Score above which a class is chosen; where absent the class with the largest score is. A single score for yes needs one."`
}

// Doc describes the metric.
func (*F1Score) Doc() string { return "The harmonic mean of precision and recall." }

// Update writes the metric. Targets are one-hot, or class numbers, or for a single
// score 1 for yes and 0 for no.
func (f *F1Score) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	if output.Valid() && output.Rank() != 2 {
		b.Failf("the output %v is no batch of scores for classes", output.Type())
		return
	}
	single := output.Valid() && output.Type().Shape[1].Is(1)
	if single && f.Threshold == nil {
		// The largest of one score is always that one.
		b.Failf("the output %v is a single score, which needs a threshold: 0.5 for a probability, 0 for a logit", output.Type())
		return
	}
	if single {
		target = sdk.SameShape(output, target)
	} else if target.Valid() && output.Valid() && target.Rank() < 2 {
		labels, ok := classNumbers(b.Builder, output, target)
		if !ok {
			return
		}
		target = b.OneHot(labels, output.Dims()...)
	}
	t := target.Convert(graph.F64)
	w := sdk.WeightLike(weight.Convert(graph.F64), t)
	var chosen graph.Value
	if f.Threshold != nil {
		chosen = output.Gt(b.Scalar(output.DType(), *f.Threshold))
	} else {
		chosen = b.OneHot(output.ArgMax(-1), output.Dims()...)
	}
	yes := chosen.Convert(graph.F64)
	b.Add("true_positives", yes.Mul(t).Mul(w).Sum(0))
	b.Add("predicted_positives", yes.Mul(w).Sum(0))
	b.Add("positives", t.Mul(w).Sum(0))
}

// Result joins the classes.
func (f *F1Score) Result(b *sdk.MetricBuilder) graph.Value {
	tp, predicted, actual := b.Total("true_positives"), b.Total("predicted_positives"), b.Total("positives")
	if f.Average == "micro" {
		tp, predicted, actual = tp.Sum(), predicted.Sum(), actual.Sum()
	}
	f1 := sdk.Ratio(tp.Times(2), predicted.Add(actual))
	switch f.Average {
	case "macro":
		return f1.Mean()
	case "weighted":
		return sdk.Ratio(f1.Mul(actual).Sum(), actual.Sum())
	}
	return f1
}

// AUC is the area under a curve over all thresholds. Of the whole set at once it
// is exact; accumulated, scores are counted in bins of a relative width below
// 1%, of the log-odds where they are probabilities, so that those near 0 and 1
// are told apart as well as those between.
type AUC struct {
	Curve string `hone:"curve,default=ROC,enum=ROC|PR" doc:"ROC: true against false positives. PR: precision against recall, as average precision."`
	logits
}

// Doc describes the metric.
func (*AUC) Doc() string {
	return "Area under the ROC or precision-recall curve: exact where the evaluation set fits in memory."
}

const aucBins = 1 << 16

// Update counts positives and negatives by bins, the largest score first.
func (a *AUC) Update(b *sdk.MetricBuilder, output, target, weight graph.Value) {
	o, t, w := counted(output, target, weight)
	if !o.Valid() || !t.Valid() {
		b.Failf("the targets %v do not fit the outputs %v", target.Type(), output.Type())
		return
	}
	s := o.Convert(graph.F32)
	if !a.FromLogits {
		s = s.Log().Sub(s.Neg().Log1p())
	}
	// The bits of a float, seen as an integer, are in order for positive ones
	// and in reverse for negative ones: the upper 16 make the bin.
	bits := s.Bitcast(graph.U32).Shr(b.Scalar(graph.U32, 16))
	sign := b.Scalar(graph.U32, 0x8000)
	bin := bits.And(sign).Eq(sign).Select(bits, b.Scalar(graph.U32, 0x7fff).Sub(bits.And(b.Scalar(graph.U32, 0x7fff))))
	flat := func(v graph.Value) graph.Value { return v.Flatten(0) }
	index := flat(bin.Convert(graph.I32))
	b.Scatter("positives", aucBins, index, flat(t.Mul(w)))
	b.Scatter("negatives", aucBins, index, flat(b.Scalar(graph.F64, 1).Sub(t).Mul(w)))
}

// Result computes the area from the bins.
func (a *AUC) Result(b *sdk.MetricBuilder) graph.Value {
	return a.area(b.Builder, b.Total("positives"), b.Total("negatives"))
}

// Exact sorts all scores and joins equal ones into groups.
func (a *AUC) Exact(b *graph.Builder, output, target, weight graph.Value) graph.Value {
	o, t, w := counted(output, target, weight)
	if !o.Valid() || !t.Valid() {
		return b.Failf("the targets %v do not fit the outputs %v", target.Type(), output.Type())
	}
	sorted := o.Flatten(0).Sort(0, true, t.Flatten(0), w.Flatten(0))
	s, t, w := sorted[0], sorted[1], sorted[2]
	n := s.Dim(0)
	// A group begins where a score differs from the one before it.
	first := b.Iota(graph.I32, 0, n).Eq(b.Scalar(graph.I32, 0))
	before := s.Gather(0, 0, b.Iota(graph.I32, 0, n).Plus(-1))
	group := first.Or(s.Eq(before).Not()).Convert(graph.I32).CumSum(0, false, false).Plus(-1)
	none := b.Full(graph.F64, 0, n)
	positives := none.ScatterAdd(0, 0, group, t.Mul(w))
	negatives := none.ScatterAdd(0, 0, group, b.Scalar(graph.F64, 1).Sub(t).Mul(w))
	return a.area(b, positives, negatives)
}

// area takes the counts of groups of equal scores, the largest score first.
func (a *AUC) area(b *graph.Builder, positives, negatives graph.Value) graph.Value {
	before := positives.CumSum(0, true, false)
	var sum, whole graph.Value
	if a.Curve == "PR" {
		through := before.Add(positives)
		precision := sdk.Ratio(through, through.Add(negatives.CumSum(0, false, false)))
		sum, whole = positives.Mul(precision).Sum(), positives.Sum()
	} else {
		sum = negatives.Mul(before.Add(positives.Times(0.5))).Sum()
		whole = positives.Sum().Mul(negatives.Sum())
	}
	// Without both classes there is no curve.
	nan := b.Scalar(graph.F64, math.NaN())
	none := whole.Eq(b.Scalar(graph.F64, 0))
	return none.Select(nan, sum.Div(none.Select(b.Scalar(graph.F64, 1), whole)))
}
