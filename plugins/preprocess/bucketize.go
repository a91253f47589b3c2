package preprocess

import (
	"fmt"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Bucketize turns numbers into the intervals that they lie in.
type Bucketize struct {
	NBins          int    `hone:"n_bins,default=5,min=2,max=65536" doc:"Number of intervals; fewer remain where quantiles coincide."`
	Strategy       string `hone:"strategy,default=quantile,enum=uniform|quantile" doc:"Intervals of equal width, or of equally many training rows."`
	Encode         string `hone:"encode,default=onehot,enum=onehot|ordinal" doc:"A number for each interval, or the interval's number."`
	QuantileMethod string `hone:"quantile_method,default=averaged_inverted_cdf,enum=averaged_inverted_cdf|linear" doc:"How quantiles between two numbers are found."`

	edges [][]float64
}

// Doc describes the transform.
func (*Bucketize) Doc() string {
	return "Turns numbers into the intervals that they lie in; the outer ones are open. A missing value is in none with onehot, and stays missing with ordinal."
}

// Fit learns the intervals' edges. Edges closer than 1e-8 to the one before are dropped.
func (s *Bucketize) Fit(f *sdk.Fit) error {
	method := sdk.AveragedInvertedCDF
	if s.QuantileMethod == "linear" {
		method = sdk.Linear
	}
	step := 100 / float64(s.NBins)
	probabilities := each(s.NBins+1, func(i int) float64 { return float64(i) * step / 100 })
	probabilities[s.NBins] = 1
	edges := make([]func() []float64, len(f.Columns()))
	for j, c := range f.Columns() {
		if len(c.Type.Shape) > 1 {
			return fmt.Errorf("column %q has %d numbers a row, and one is wanted; name other columns", c.Name, c.Elements())
		}
		if s.Strategy == "uniform" {
			m := f.Moments(c)
			edges[j] = func() []float64 {
				width := (m.Max[0] - m.Min[0]) / float64(s.NBins)
				e := each(s.NBins+1, func(i int) float64 { return m.Min[0] + float64(i)*width })
				e[s.NBins] = m.Max[0]
				return e
			}
			continue
		}
		q := f.Quantiles(c, method, probabilities...)
		edges[j] = func() []float64 { return each(s.NBins+1, func(i int) float64 { return q.At(i, 0) }) }
	}
	if !f.Pass() {
		return nil
	}
	var names []string
	var bins []int
	for j, c := range f.Columns() {
		all := edges[j]()
		kept := all[:1]
		for i := 1; i < len(all); i++ {
			if all[i]-all[i-1] > 1e-8 {
				kept = append(kept, all[i])
			}
		}
		s.edges = append(s.edges, kept)
		names, bins = append(names, c.Name), append(bins, max(len(kept)-1, 1))
	}
	f.Learned("columns", names)
	f.Learned("bin_edges", s.edges)
	f.Learned("n_bins", bins)
	return nil
}

// Apply encodes every column.
func (s *Bucketize) Apply(b *sdk.TransformBuilder) {
	for j, c := range b.Columns() {
		x := b.Number(c)
		bins := max(len(s.edges[j])-1, 1)
		code := b.Full(graph.I32, 0, x.Dim(0))
		if bins > 1 {
			inner := s.edges[j][1:bins]
			edges := graph.NewTensor(x.DType(), int64(len(inner)))
			for i, e := range inner {
				edges.SetFloat(i, e)
			}
			code = x.Reshape(x.Dim(0), graph.E(1)).Ge(b.Const(edges)).Convert(graph.I32).Sum(1)
		}
		if s.Encode == "ordinal" {
			b.Set(c, code)
			continue
		}
		hot := b.OneHot(code, code.Dim(0), graph.E(int64(bins))).And(b.Missing(c).Not().Reshape(code.Dim(0), graph.E(1)))
		var names []string
		for i := range bins {
			names = append(names, fmt.Sprintf("%s_%d", c.Name, i))
		}
		b.Output(sdk.Output{Name: c.Name, Value: hot.Convert(graph.F32), Features: names})
	}
}
