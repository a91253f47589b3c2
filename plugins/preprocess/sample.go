package preprocess

import (
	"math"
	"slices"

	"github.com/hone-ml/hone/sdk"
)

// sampler is what over- and under-sampling share.
type sampler struct {
	Ratio float64 `hone:"ratio,default=1,above=0,max=1" doc:"Rows of a smaller class for each row of the largest, or, for under_sample, of the smallest for each row of a larger; 1 makes them equal."`

	vocabulary sdk.Vocabulary
	counts     []int64
}

// Takes chooses the targets.
func (*sampler) Takes(c sdk.Column) bool { return c.Target }

// fit finds the classes and how many rows each is to have.
func (s *sampler) fit(f *sdk.Fit, want func(counts []int64) []int64) error {
	if n := len(f.Columns()); n != 1 {
		return sdk.Invalid("columns", "the classes are in one column, and there are %d to choose from; name it", n)
	}
	d := f.Distinct(f.Columns()[0], 0)
	if !f.Pass() {
		return nil
	}
	s.vocabulary, s.counts = d.Vocabulary(), want(d.Counts)
	var names []string
	for i := range d.Len() {
		names = append(names, d.Text(i))
	}
	f.Learned("classes", names)
	f.Learned("before", d.Counts)
	f.Learned("after", s.counts)
	return nil
}

// Apply samples by class. Rows without a class stay.
func (s *sampler) Apply(b *sdk.TransformBuilder) {
	c := b.Columns()[0]
	b.Pass(c)
	b.Sample(b.Codes(c, s.vocabulary), s.counts)
}

// OverSample draws rows of the smaller classes again.
type OverSample struct{ sampler }

// Doc describes the transform.
func (*OverSample) Doc() string {
	return "Draws training rows of the smaller classes again, until each has ratio times the rows of the largest."
}

// Fit counts the classes.
func (s *OverSample) Fit(f *sdk.Fit) error {
	return s.fit(f, func(counts []int64) []int64 {
		target := int64(s.Ratio * float64(slices.Max(counts)))
		out := slices.Clone(counts)
		for i := range out {
			out[i] = max(out[i], target)
		}
		return out
	})
}

// UnderSample drops rows of the larger classes.
type UnderSample struct{ sampler }

// Doc describes the transform.
func (*UnderSample) Doc() string {
	return "Draws fewer training rows of the larger classes, until none has more than those of the smallest divided by ratio."
}

// Fit counts the classes.
func (s *UnderSample) Fit(f *sdk.Fit) error {
	return s.fit(f, func(counts []int64) []int64 {
		target := int64(min(float64(slices.Min(counts))/s.Ratio, math.MaxInt32))
		out := slices.Clone(counts)
		for i := range out {
			out[i] = min(out[i], target)
		}
		return out
	})
}
