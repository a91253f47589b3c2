package prep_test

import (
	"os"
	"testing"

	"github.com/hone-ml/hone/plugins/preprocess"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// bundle is served by this test's own binary where a test asks for processes.
var bundle sdk.Bundle

func TestMain(m *testing.M) {
	bundle = sdk.Main(preprocess.Plugin(), odd)
	os.Exit(m.Run())
}

// odd is a plugin of transforms that do what they should not, and of one that
// accumulates by itself.
var odd = sdk.Plugin{Name: "odd", Version: "0.0.1", Transforms: sdk.Transforms{
	"leaky":      func() sdk.Transform { return &leaky{} },
	"endless":    func() sdk.Transform { return &endless{} },
	"impatient":  func() sdk.Transform { return &impatient{} },
	"panicky":    func() sdk.Transform { return &panicky{} },
	"collisions": func() sdk.Transform { return &collisions{} },
	"histogram":  func() sdk.Transform { return &histogram{} },
	"noise":      func() sdk.Transform { return &noise{} },
	"first_only": func() sdk.Transform { return &firstOnly{} },
}}

// leaky subtracts the mean of the rows at hand, which it should have learned.
type leaky struct{}

func (*leaky) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		x := b.Number(c)
		b.Set(c, x.Sub(x.Mean()))
	}
}

// endless always wants one more pass.
type endless struct{}

func (*endless) Fit(f *sdk.Fit) error {
	for {
		f.Moments(f.Columns()[0])
		if !f.Pass() {
			return nil
		}
	}
}

func (*endless) Apply(*sdk.TransformBuilder) {}

// impatient uses statistics before they are there, and does not look at what Pass says.
type impatient struct{ mean float64 }

func (t *impatient) Fit(f *sdk.Fit) error {
	m := f.Moments(f.Columns()[0])
	f.Pass()
	t.mean = m.Mean[0]
	return nil
}

func (t *impatient) Apply(b *sdk.TransformBuilder) {
	c := b.Columns()[0]
	b.Set(c, b.Number(c).Plus(-t.mean))
}

type panicky struct{}

func (*panicky) Apply(b *sdk.TransformBuilder) { b.Set(b.Columns()[100], graph.Value{}) }

// collisions makes a column that exists.
type collisions struct{}

func (*collisions) Apply(b *sdk.TransformBuilder) {
	b.Output(sdk.Output{Name: "taken", Value: b.Number(b.Columns()[0])})
}

// histogram counts, in one pass that depends on another, how many values lie in each
// tenth of the range, and replaces each value by its tenth's count.
type histogram struct {
	lo, width float64
	counts    []float64
}

func (t *histogram) bin(x graph.Value) graph.Value {
	bin := x.Plus(-t.lo).Times(10 / t.width).Floor().Convert(graph.I32)
	return bin.Min(bin.Builder().Scalar(graph.I32, 9))
}

func (t *histogram) Fit(f *sdk.Fit) error {
	c := f.Columns()[0]
	m := f.Moments(c)
	if !f.Pass() {
		return nil
	}
	t.lo, t.width = m.Min[0], m.Max[0]-m.Min[0]
	s := f.Accumulate(func(a *sdk.Accumulator) {
		x := a.Number(c)
		here := a.Missing(c).Select(a.Full(graph.F64, 0, x.Dim(0)), a.Full(graph.F64, 1, x.Dim(0)))
		a.Scatter("counts", 10, t.bin(x), here)
	})
	if !f.Pass() {
		return nil
	}
	t.counts = s.Values("counts")
	f.Learned("counts", t.counts)
	return nil
}

func (t *histogram) Apply(b *sdk.TransformBuilder) {
	c := b.Columns()[0]
	b.Set(c, b.Const(graph.Float64s(t.counts, 10)).Gather(0, 0, t.bin(b.Number(c))))
}

// noise is an augmentation that changes its column's type.
type noise struct{}

func (*noise) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		x := b.Number(c)
		b.Set(c, x.Add(b.Uniform().Convert(x.DType())).Convert(graph.F16).Convert(graph.F32))
	}
}

// firstOnly refuses more than one column, as an error of an argument.
type firstOnly struct{}

func (*firstOnly) Fit(f *sdk.Fit) error {
	if len(f.Columns()) != 1 {
		return sdk.Invalid("columns", "are %d, and one is wanted", len(f.Columns()))
	}
	return nil
}

func (*firstOnly) Apply(b *sdk.TransformBuilder) { b.Pass(b.Columns()[0]) }

// bundleInProcess is the bundle served without processes.
func bundleInProcess() sdk.Bundle { return sdk.Bundle{Plugins: bundle.Plugins} }
