package preprocess

import (
	"math"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

const epsilon = 0x1p-52 // between 1 and the next float64

// constant returns numbers, one for each element of a row of x, as a constant of
// x's element type.
func constant(b *graph.Builder, x graph.Value, v []float64) graph.Value {
	if !x.Valid() {
		return x
	}
	shape, _ := x.Type().Shape[1:].Const()
	t := graph.NewTensor(x.DType(), shape...)
	if t.Len() != len(v) {
		return b.Failf("%d constants for the elements of %v", len(v), x.Type())
	}
	for i, e := range v {
		t.SetFloat(i, e)
	}
	return b.Const(t)
}

// each makes a list of one number for each element.
func each(n int, f func(i int) float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = f(i)
	}
	return v
}

// learn records, under each name, the numbers of all columns one after another.
func learn(f *sdk.Fit, names ...string) func(lists ...[]float64) {
	var features []string
	for _, c := range f.Columns() {
		for i := range c.Elements() {
			features = append(features, c.Feature(i))
		}
	}
	f.Learned("columns", features)
	all := make([][]float64, len(names))
	return func(lists ...[]float64) {
		for i, l := range lists {
			all[i] = append(all[i], l...)
			f.Learned(names[i], all[i])
		}
	}
}

// divisor replaces a spread of nothing, which would divide by zero, by 1.
func divisor(x float64) float64 {
	if x < 10*epsilon {
		return 1
	}
	return x
}

// moments asks for the moments of every column.
func moments(f *sdk.Fit) ([]*sdk.Moments, bool) {
	var all []*sdk.Moments
	for _, c := range f.Columns() {
		all = append(all, f.Moments(c))
	}
	return all, f.Pass()
}

// Standardize subtracts the mean and divides by the standard deviation.
type Standardize struct {
	WithMean bool `hone:"with_mean,default=true" doc:"Subtract the mean."`
	WithStd  bool `hone:"with_std,default=true" doc:"Divide by the standard deviation of the population."`

	mean, scale [][]float64
}

// Doc describes the transform.
func (*Standardize) Doc() string {
	return "Gives numbers mean 0 and standard deviation 1. A column without variance is only shifted."
}

// Fit learns mean and standard deviation. A variance that is within the rounding
// errors of its own computation counts as none, by scikit-learn's bound.
func (s *Standardize) Fit(f *sdk.Fit) error {
	all, ok := moments(f)
	if !ok {
		return nil
	}
	learned := learn(f, "mean", "var", "scale")
	for _, m := range all {
		scale := each(len(m.Mean), func(i int) float64 {
			n, v, mean := float64(m.Count[i]), m.Variance[i], m.Mean[i]
			if d := n * mean * epsilon; v <= n*epsilon*v+d*d {
				return 1
			}
			return math.Sqrt(v)
		})
		s.mean, s.scale = append(s.mean, m.Mean), append(s.scale, scale)
		learned(m.Mean, m.Variance, scale)
	}
	return nil
}

// Apply standardizes every column.
func (s *Standardize) Apply(b *sdk.TransformBuilder) {
	for i, c := range b.Columns() {
		x := b.Number(c)
		if s.WithMean {
			x = x.Sub(constant(b.Builder, x, s.mean[i]))
		}
		if s.WithStd {
			x = x.Div(constant(b.Builder, x, s.scale[i]))
		}
		b.Set(c, x)
	}
}

// MinMax maps the range of the training rows to another.
type MinMax struct {
	FeatureRange []float64 `hone:"feature_range,len=2,default=0|1" doc:"Where the least and the greatest number go."`
	Clip         bool      `hone:"clip,default=false" doc:"Keep numbers beyond those of the training rows within the range."`

	scale, min [][]float64
}

// Doc describes the transform.
func (*MinMax) Doc() string { return "Maps the range of the training rows to feature_range." }

// Validate checks the range.
func (s *MinMax) Validate() error {
	if s.FeatureRange[0] >= s.FeatureRange[1] {
		return sdk.Invalid("feature_range", "goes from %v to %v; the first must be less", s.FeatureRange[0], s.FeatureRange[1])
	}
	return nil
}

// Fit learns the least and the greatest number.
func (s *MinMax) Fit(f *sdk.Fit) error {
	all, ok := moments(f)
	if !ok {
		return nil
	}
	learned := learn(f, "data_min", "data_max", "scale", "min")
	lo, hi := s.FeatureRange[0], s.FeatureRange[1]
	for _, m := range all {
		scale := each(len(m.Min), func(i int) float64 { return (hi - lo) / divisor(m.Max[i]-m.Min[i]) })
		shift := each(len(m.Min), func(i int) float64 { return lo - m.Min[i]*scale[i] })
		s.scale, s.min = append(s.scale, scale), append(s.min, shift)
		learned(m.Min, m.Max, scale, shift)
	}
	return nil
}

// Apply maps every column.
func (s *MinMax) Apply(b *sdk.TransformBuilder) {
	for i, c := range b.Columns() {
		x := b.Number(c)
		x = x.Mul(constant(b.Builder, x, s.scale[i])).Add(constant(b.Builder, x, s.min[i]))
		if s.Clip {
			x = x.Max(b.Scalar(x.DType(), s.FeatureRange[0])).Min(b.Scalar(x.DType(), s.FeatureRange[1]))
		}
		b.Set(c, x)
	}
}

// MaxAbs divides by the greatest magnitude.
type MaxAbs struct{ scale [][]float64 }

// Doc describes the transform.
func (*MaxAbs) Doc() string { return "Divides numbers by the greatest magnitude; zeros stay zeros." }

// Fit learns the greatest magnitude.
func (s *MaxAbs) Fit(f *sdk.Fit) error {
	all, ok := moments(f)
	if !ok {
		return nil
	}
	learned := learn(f, "max_abs")
	for _, m := range all {
		most := each(len(m.Min), func(i int) float64 { return max(math.Abs(m.Min[i]), math.Abs(m.Max[i])) })
		s.scale = append(s.scale, each(len(most), func(i int) float64 { return divisor(most[i]) }))
		learned(most)
	}
	return nil
}

// Apply scales every column.
func (s *MaxAbs) Apply(b *sdk.TransformBuilder) {
	for i, c := range b.Columns() {
		x := b.Number(c)
		b.Set(c, x.Div(constant(b.Builder, x, s.scale[i])))
	}
}

// Robust subtracts the median and divides by a range of quantiles.
type Robust struct {
	WithCentering bool      `hone:"with_centering,default=true" doc:"Subtract the median."`
	WithScaling   bool      `hone:"with_scaling,default=true" doc:"Divide by the range of quantiles."`
	QuantileRange []float64 `hone:"quantile_range,len=2,default=25|75,min=0,max=100" doc:"The quantiles whose distance scales, in percent."`
	UnitVariance  bool      `hone:"unit_variance,default=false" doc:"Scale so that normally distributed numbers get variance 1."`

	center, scale [][]float64
}

// Doc describes the transform.
func (*Robust) Doc() string {
	return "Subtracts the median and divides by the interquartile range, which outliers do not move."
}

// Validate checks the quantiles.
func (s *Robust) Validate() error {
	if s.QuantileRange[0] >= s.QuantileRange[1] {
		return sdk.Invalid("quantile_range", "goes from %v to %v; the first must be less", s.QuantileRange[0], s.QuantileRange[1])
	}
	return nil
}

// Fit learns the quantiles.
func (s *Robust) Fit(f *sdk.Fit) error {
	lo, hi := s.QuantileRange[0]/100, s.QuantileRange[1]/100
	var all []*sdk.Quantiles
	for _, c := range f.Columns() {
		all = append(all, f.Quantiles(c, sdk.Linear, 0.5, lo, hi))
	}
	if !f.Pass() {
		return nil
	}
	learned := learn(f, "center", "scale")
	for j, c := range f.Columns() {
		q := all[j]
		center := each(c.Elements(), func(i int) float64 { return q.At(0, i) })
		scale := each(c.Elements(), func(i int) float64 {
			d := divisor(q.At(2, i) - q.At(1, i))
			if s.UnitVariance {
				d /= math.Sqrt2 * (math.Erfinv(2*hi-1) - math.Erfinv(2*lo-1))
			}
			return d
		})
		s.center, s.scale = append(s.center, center), append(s.scale, scale)
		learned(center, scale)
	}
	return nil
}

// Apply scales every column.
func (s *Robust) Apply(b *sdk.TransformBuilder) {
	for i, c := range b.Columns() {
		x := b.Number(c)
		if s.WithCentering {
			x = x.Sub(constant(b.Builder, x, s.center[i]))
		}
		if s.WithScaling {
			x = x.Div(constant(b.Builder, x, s.scale[i]))
		}
		b.Set(c, x)
	}
}

// Log1p takes log(1 + x).
type Log1p struct{}

// Doc describes the transform.
func (*Log1p) Doc() string {
	return "Takes the logarithm of 1 + x, which evens out amounts that span powers of ten. Numbers must be above -1."
}

// Apply transforms every column.
func (*Log1p) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		b.Set(c, b.Number(c).Log1p())
	}
}

// ClipOutliers limits numbers to what is usual among the training rows.
type ClipOutliers struct {
	Method    string  `hone:"method,default=iqr,enum=iqr|zscore" doc:"iqr: quartiles and their distance; zscore: mean and standard deviation."`
	Factor    float64 `hone:"factor,default=1.5,min=0" doc:"Interquartile ranges below the first and above the third quartile, for iqr."`
	Threshold float64 `hone:"threshold,default=3,min=0" doc:"Standard deviations from the mean, for zscore."`

	low, high [][]float64
}

// Doc describes the transform.
func (*ClipOutliers) Doc() string {
	return "Replaces numbers beyond a fence, found in the training rows, by the fence."
}

// Fit learns the fences.
func (s *ClipOutliers) Fit(f *sdk.Fit) error {
	bounds := make([]func(i int) (lo, hi float64), len(f.Columns()))
	for j, c := range f.Columns() {
		if s.Method == "zscore" {
			m := f.Moments(c)
			bounds[j] = func(i int) (lo, hi float64) {
				d := s.Threshold * math.Sqrt(m.Variance[i])
				return m.Mean[i] - d, m.Mean[i] + d
			}
			continue
		}
		q := f.Quantiles(c, sdk.Linear, 0.25, 0.75)
		bounds[j] = func(i int) (lo, hi float64) {
			d := s.Factor * (q.At(1, i) - q.At(0, i))
			return q.At(0, i) - d, q.At(1, i) + d
		}
	}
	if !f.Pass() {
		return nil
	}
	learned := learn(f, "low", "high")
	for j, c := range f.Columns() {
		low, high := make([]float64, c.Elements()), make([]float64, c.Elements())
		for i := range low {
			low[i], high[i] = bounds[j](i)
		}
		s.low, s.high = append(s.low, low), append(s.high, high)
		learned(low, high)
	}
	return nil
}

// Apply clips every column.
func (s *ClipOutliers) Apply(b *sdk.TransformBuilder) {
	for i, c := range b.Columns() {
		x := b.Number(c)
		b.Set(c, x.Max(constant(b.Builder, x, s.low[i])).Min(constant(b.Builder, x, s.high[i])))
	}
}
