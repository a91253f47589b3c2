package preprocess

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// maxComponents bounds the width of what PCA is applied to: its covariance has the
// square of that many numbers.
const maxComponents = 4096

// PCA turns columns into their principal components.
type PCA struct {
	NComponents *float64 `hone:"n_components,optional,above=0" doc:"Number of components; below 1 the share of the variance that they explain at least. Without it all."`
	Whiten      bool     `hone:"whiten,default=false" doc:"Give each component variance 1."`
	Output      string   `hone:"output,default=pca" doc:"Name of the column of components."`

	mean       []float64
	components [][]float64 // [component][feature], divided by their deviations for whitening
}

// Doc describes the transform.
func (*PCA) Doc() string {
	return "Turns columns into one column of their principal components, those of largest variance first."
}

// Validate checks the number of components.
func (s *PCA) Validate() error {
	if n := s.NComponents; n != nil && *n >= 1 && *n != math.Trunc(*n) {
		return sdk.Invalid("n_components", "is %v; give a whole number of components, or a share below 1", *n)
	}
	if s.Output == "" {
		return sdk.Invalid("output", "is empty")
	}
	return nil
}

// Fit learns the means in one pass and the covariances in a second; their
// eigenvectors are the components.
func (s *PCA) Fit(f *sdk.Fit) error {
	all, ok := moments(f)
	if !ok {
		return nil
	}
	rows := int64(0)
	for j, c := range f.Columns() {
		m := all[j]
		rows = m.Rows
		for i := range m.Count {
			if m.Count[i] != m.Rows {
				return fmt.Errorf("%q has no value in %d training rows, and principal components need all of them; put impute before", c.Feature(i), m.Rows-m.Count[i])
			}
		}
		s.mean = append(s.mean, m.Mean...)
	}
	d := len(s.mean)
	if d == 0 || d > maxComponents {
		return sdk.Invalid("columns", "have %d numbers a row together; 1 to %d are possible", d, maxComponents)
	}
	if rows < 2 {
		return fmt.Errorf("there are %d training rows, and principal components need 2 at least", rows)
	}
	products := f.Accumulate(func(a *sdk.Accumulator) {
		x := joined(a.Builder, f.Columns(), a.Number)
		x = x.Sub(constant(a.Builder, x, s.mean))
		a.Add("covariance", x.Transpose(1, 0).MatMul(x))
	})
	if !f.Pass() {
		return nil
	}
	return s.decompose(f, d, rows, products.Values("covariance"))
}

// joined puts the numbers of all columns side by side: f64[batch, features].
func joined(b *graph.Builder, columns []sdk.Column, number func(sdk.Column) graph.Value) graph.Value {
	var parts []graph.Value
	for _, c := range columns {
		x := number(c).Convert(graph.F64)
		parts = append(parts, x.Reshape(x.Dim(0), graph.E(int64(c.Elements()))))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return b.Concat(1, parts...)
}

// decompose finds the components. Each is turned so that its entry of largest
// magnitude is positive.
func (s *PCA) decompose(f *sdk.Fit, d int, rows int64, products []float64) error {
	cov := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			cov.SetSym(i, j, products[i*d+j]/float64(rows-1))
		}
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(cov, true) {
		return fmt.Errorf("the covariance of the columns has no eigenvectors that can be found; standardize the columns before")
	}
	values := eigen.Values(nil) // ascending
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	most := min(d, int(min(rows, int64(d))))
	variance := each(most, func(k int) float64 { return max(values[d-1-k], 0) })
	total := 0.0
	for _, v := range values {
		total += max(v, 0)
	}
	ratio := each(most, func(k int) float64 { return variance[k] / max(total, math.SmallestNonzeroFloat64) })
	n, err := s.count(ratio, most)
	if err != nil {
		return err
	}
	plain := make([][]float64, n)
	for k := range n {
		v := each(d, func(i int) float64 { return vectors.At(i, d-1-k) })
		largest := 0
		for i, x := range v {
			if math.Abs(x) > math.Abs(v[largest]) {
				largest = i
			}
		}
		sign := math.Copysign(1, v[largest])
		scale := 1.0
		if s.Whiten {
			scale = max(math.Sqrt(variance[k]), epsilon)
		}
		plain[k] = each(d, func(i int) float64 { return sign * v[i] })
		s.components = append(s.components, each(d, func(i int) float64 { return plain[k][i] / scale }))
	}
	learn(f, "mean")(s.mean)
	f.Learned("components", plain)
	f.Learned("explained_variance", variance[:n])
	f.Learned("explained_variance_ratio", ratio[:n])
	f.Learned("n_components", n)
	return nil
}

// count returns how many components to keep.
func (s *PCA) count(ratio []float64, most int) (int, error) {
	switch {
	case s.NComponents == nil:
		return most, nil
	case *s.NComponents >= 1:
		if n := int(*s.NComponents); n <= most {
			return n, nil
		}
		return 0, sdk.Invalid("n_components", "is %v, and the training rows and columns allow %d", *s.NComponents, most)
	}
	sum, n := 0.0, 0
	for n < most {
		sum += ratio[n]
		n++
		if sum > *s.NComponents {
			break
		}
	}
	return n, nil
}

// Apply projects the columns.
func (s *PCA) Apply(b *sdk.TransformBuilder) {
	x := joined(b.Builder, b.Columns(), b.Number)
	x = x.Sub(constant(b.Builder, x, s.mean))
	d, n := len(s.mean), len(s.components)
	w := graph.NewTensor(graph.F64, int64(d), int64(n))
	var names []string
	for k, c := range s.components {
		for i, v := range c {
			w.SetFloat(i*n+k, v)
		}
		names = append(names, fmt.Sprintf("%s%d", s.Output, k))
	}
	gone := b.Missing(b.Columns()[0])
	for _, c := range b.Columns()[1:] {
		gone = gone.Or(b.Missing(c))
	}
	b.Output(sdk.Output{Name: s.Output, Value: x.MatMul(b.Const(w)), Missing: gone, Features: names})
}

// VarianceThreshold drops what hardly varies.
type VarianceThreshold struct {
	Threshold float64 `hone:"threshold,default=0,min=0" doc:"Variance that the training rows must exceed. At 0 what is constant is dropped."`

	keep [][]int64 // elements, by column
}

// Doc describes the transform.
func (*VarianceThreshold) Doc() string {
	return "Drops columns, and elements of columns, whose variance does not exceed the threshold."
}

// Fit learns what to keep. At threshold 0 the variance is limited by the range,
// which is exactly 0 for a constant whose variance rounding makes positive.
func (s *VarianceThreshold) Fit(f *sdk.Fit) error {
	all, ok := moments(f)
	if !ok {
		return nil
	}
	learned := learn(f, "variances")
	for _, m := range all {
		var keep []int64
		v := each(len(m.Variance), func(i int) float64 {
			if s.Threshold == 0 {
				return min(m.Variance[i], m.Max[i]-m.Min[i])
			}
			return m.Variance[i]
		})
		for i, x := range v {
			if x > s.Threshold {
				keep = append(keep, int64(i))
			}
		}
		s.keep = append(s.keep, keep)
		learned(v)
	}
	return nil
}

// Apply drops.
func (s *VarianceThreshold) Apply(b *sdk.TransformBuilder) {
	any := false
	for j, c := range b.Columns() {
		keep := s.keep[j]
		switch n := len(keep); {
		case n == 0:
			continue
		case n == c.Elements():
			b.Pass(c)
		default:
			var names []string
			for _, i := range keep {
				names = append(names, c.Feature(int(i)))
			}
			v := b.Elements(c).Flatten(1).Gather(1, 0, b.Const(graph.Int64s(keep, int64(n))))
			b.Output(sdk.Output{Name: c.Name, Value: v, Missing: b.Missing(c), Features: names})
		}
		any = true
	}
	if !any && len(b.Columns()) > 0 {
		b.Failf("no column's variance exceeds %v", s.Threshold)
	}
}

// Select keeps the columns that it is given, or drops them.
type Select struct {
	Mode string `hone:"mode,default=keep,enum=keep|drop" doc:"Keep the named columns and drop the others, or drop the named ones. Targets and weights stay."`
}

// Doc describes the transform.
func (*Select) Doc() string { return "Keeps the named columns alone, or drops them." }

// Takes chooses nothing: the columns must be named.
func (*Select) Takes(sdk.Column) bool { return false }

// Apply keeps or drops.
func (s *Select) Apply(b *sdk.TransformBuilder) {
	if len(b.Columns()) == 0 {
		b.Failf("columns must be named")
	}
	if s.Mode == "drop" {
		return
	}
	for _, c := range b.Columns() {
		b.Pass(c)
	}
	b.DropOthers()
}

// Copy doubles columns, for transforms that would take the place of the only one.
type Copy struct {
	Suffix string `hone:"suffix,default=_copy" doc:"Added to a column's name to make its copy's."`
}

// Doc describes the transform.
func (*Copy) Doc() string {
	return "Adds a copy of each column, so that one can be turned into buckets, say, and the other be scaled."
}

// Takes chooses nothing: the columns must be named.
func (*Copy) Takes(sdk.Column) bool { return false }

// Validate checks the suffix.
func (s *Copy) Validate() error {
	if s.Suffix == "" {
		return sdk.Invalid("suffix", "is empty, and a copy needs a name of its own")
	}
	return nil
}

// Apply copies.
func (s *Copy) Apply(b *sdk.TransformBuilder) {
	if len(b.Columns()) == 0 {
		b.Failf("columns must be named")
	}
	for _, c := range b.Columns() {
		b.Pass(c)
		b.PassAs(c, c.Name+s.Suffix)
	}
}
