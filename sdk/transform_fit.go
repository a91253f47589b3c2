package sdk

import (
	"errors"
	"fmt"
	"math"

	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Fitter is the optional power of transforms that learn. Fit asks for statistics
// of the training rows, as earlier transforms leave them, and keeps what it makes of them
// in the transform's own fields, for Apply to use as constants:
//
//	func (s *Standardize) Fit(f *sdk.Fit) error {
//		for _, c := range f.Columns() {
//			s.moments = append(s.moments, f.Moments(c))
//		}
//		f.Pass()
//		return nil
//	}
//
// What is asked for is there once Pass has returned true. Where it returns false
// the host has still to go over the rows: Fit returns, and is called on a new
// transform when the statistics are there. After a Pass more may be asked for, which
// depends on the first, and so on: every Pass is one over the rows. The host may
// repeat a call at any time, so Fit must be a pure function of what it is told.
type Fitter interface {
	Fit(f *Fit) error
}

// Fit asks for statistics. Rows without a value do not count in a column's
// statistics, nor do elements that are NaN.
type Fit struct {
	columns []Column
	t       *tracer
	known   []*pluginpb.Pass
	pass    int
	asks    []*pluginpb.Ask
	fill    []func(*pluginpb.Answer) error
	waiting bool
	learned map[string]any
	err     error
}

// Columns returns the columns that the transform is applied to.
func (f *Fit) Columns() []Column { return f.columns }

// Learned adds to what is shown to people of the fitted transform: numbers,
// strings, and lists and maps of such.
func (f *Fit) Learned(name string, value any) { f.learned[name] = value }

// Pass reports whether what has been asked for since the last Pass is there.
func (f *Fit) Pass() bool {
	if f.waiting || f.err != nil {
		return false
	}
	if f.pass >= len(f.known) {
		f.waiting = len(f.asks) > 0
		return !f.waiting
	}
	answers := f.known[f.pass].GetAnswers()
	if len(answers) != len(f.fill) {
		f.err = fmt.Errorf("the host answered %d questions of pass %d, which asks %d", len(answers), f.pass+1, len(f.fill))
		return false
	}
	for i, fill := range f.fill {
		if f.err = fill(answers[i]); f.err != nil {
			return false
		}
	}
	f.pass++
	f.asks, f.fill = nil, nil
	return true
}

func (f *Fit) ask(a *pluginpb.Ask, fill func(*pluginpb.Answer) error) {
	f.asks, f.fill = append(f.asks, a), append(f.fill, fill)
}

// Count is how many rows there are, and how many have no value.
type Count struct{ Rows, Missing int64 }

// Missing counts the rows without a value in a column of any kind.
func (f *Fit) Missing(c Column) *Count {
	n := &Count{}
	f.ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Missing{Missing: &pluginpb.AskMissing{Column: uint32(c.index)}}}, func(a *pluginpb.Answer) error {
		*n = Count{a.Rows, a.Missing}
		return nil
	})
	return n
}

// Moments are statistics of every element of a column; Variance is that of the
// population. Where Count is 0 the others are NaN.
type Moments struct {
	Rows                     int64
	Count                    []int64
	Mean, Variance, Min, Max []float64
}

// Moments asks for the moments of a column of numbers or truth values.
func (f *Fit) Moments(c Column) *Moments {
	m := &Moments{}
	if !f.numbers(c) {
		return m
	}
	f.ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Moments{Moments: &pluginpb.AskMoments{Column: uint32(c.index)}}}, func(a *pluginpb.Answer) error {
		*m = Moments{a.Rows, a.Count, a.Mean, a.Variance, a.Min, a.Max}
		for _, v := range [][]float64{a.Mean, a.Variance, a.Min, a.Max} {
			if len(v) != c.Elements() || len(a.Count) != len(v) {
				return fmt.Errorf("the host sent the moments of %d elements of column %q, which has %d", len(v), c.Name, c.Elements())
			}
		}
		return nil
	})
	return m
}

// QuantileMethod says how quantiles between two values are found.
type QuantileMethod uint8

// The methods, named as in NumPy.
const (
	Linear QuantileMethod = iota
	AveragedInvertedCDF
)

// Quantiles are those of every element of a column, at one probability after
// another; NaN for an element without any value.
type Quantiles struct {
	elements int
	values   []float64
}

// At returns the quantile of an element at the p-th probability.
func (q *Quantiles) At(p, element int) float64 { return q.values[p*q.elements+element] }

// Quantiles asks for exact quantiles of a column of numbers.
func (f *Fit) Quantiles(c Column, method QuantileMethod, probabilities ...float64) *Quantiles {
	q := &Quantiles{elements: c.Elements()}
	if !f.numbers(c) {
		return q
	}
	f.ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Quantiles{Quantiles: &pluginpb.AskQuantiles{
		Column: uint32(c.index), Probabilities: probabilities, Method: pluginpb.QuantileMethod(method),
	}}}, func(a *pluginpb.Answer) error {
		if q.values = a.Quantiles; len(q.values) != q.elements*len(probabilities) {
			return fmt.Errorf("the host sent %d quantiles of column %q, wanted %d", len(q.values), c.Name, q.elements*len(probabilities))
		}
		return nil
	})
	return q
}

// Distinct is the distinct values of a column with their counts: words by code
// point, or numbers ascending.
type Distinct struct {
	Count
	Words   []string
	Numbers []float64
	Counts  []int64
}

// Vocabulary returns the one of all values.
func (d *Distinct) Vocabulary() Vocabulary { return Vocabulary{Words: d.Words, Numbers: d.Numbers} }

// Len returns the number of distinct values.
func (d *Distinct) Len() int { return len(d.Counts) }

// Text returns the i-th value as text.
func (d *Distinct) Text(i int) string {
	if len(d.Words) > 0 {
		return d.Words[i]
	}
	return numberText(d.Numbers[i])
}

// Distinct asks for the distinct values of a column of any kind with one element a
// row. More than limit of them is an error that the user sees; 0 is a limit of 100,000.
func (f *Fit) Distinct(c Column, limit int) *Distinct {
	d := &Distinct{}
	if c.Elements() != 1 || len(c.Type.Shape) > 1 {
		f.fail(fmt.Errorf("column %q has %d values a row, and one is wanted; name other columns", c.Name, c.Elements()))
		return d
	}
	if limit <= 0 {
		limit = 100_000
	}
	f.ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Distinct{Distinct: &pluginpb.AskDistinct{Column: uint32(c.index), Limit: uint32(limit)}}}, func(a *pluginpb.Answer) error {
		*d = Distinct{Count{a.Rows, a.Missing}, a.Words, a.Numbers, a.Counts}
		if n := len(d.Counts); n != len(d.Words)+len(d.Numbers) || n > 0 && (c.Kind == TextColumn) != (len(d.Words) > 0) {
			return fmt.Errorf("the host sent %d counts for the values of column %q", n, c.Name)
		}
		return nil
	})
	return d
}

// Sums is what an accumulation ended with.
type Sums struct {
	Rows   int64
	values map[string]*graph.Tensor
}

// Values returns the elements of an accumulator, flattened.
func (s *Sums) Values(name string) []float64 {
	t := s.values[name]
	if t == nil {
		return nil
	}
	out := make([]float64, t.Len())
	for i := range out {
		out[i] = t.Float(i)
	}
	return out
}

// Accumulator writes the function that a pass runs over the rows, chunk by chunk:
// it reads columns as a [TransformBuilder] does and adds to accumulators as a
// [MetricBuilder] does.
type Accumulator struct {
	*MetricBuilder
	feed
}

// Accumulate asks for sums (or maxima, minima, histograms) of whatever build
// computes from the rows, in float64.
func (f *Fit) Accumulate(build func(a *Accumulator)) *Sums {
	s := &Sums{values: map[string]*graph.Tensor{}}
	name := fmt.Sprintf("sums%d", len(f.asks))
	ask := &pluginpb.AskSums{Function: name}
	if f.pass == len(f.known) && f.err == nil {
		var acc []accumulator
		b := graph.NewBuilder(f.t.m, name+"/update", graph.Any)
		a := &Accumulator{MetricBuilder: &MetricBuilder{Builder: b, acc: &acc}, feed: newFeed(b)}
		build(a)
		if len(acc) == 0 {
			b.Failf("nothing is accumulated")
		}
		if _, err := b.Finish(); err != nil {
			f.fail(err)
			return s
		}
		if err := startOf(f.t.m, name+"/init", acc); err != nil {
			f.fail(err)
			return s
		}
		ask.Entries = a.entries
	}
	f.ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Sums{Sums: ask}}, func(a *pluginpb.Answer) error {
		s.Rows = a.Rows
		for _, data := range a.Sums {
			name, t, err := graph.UnmarshalConst(data, graph.Limits{})
			if err != nil {
				return err
			}
			s.values[name] = t
		}
		return nil
	})
	return s
}

// startOf traces the function that gives accumulators their first values.
func startOf(m *graph.Module, name string, acc []accumulator) error {
	b := graph.NewBuilder(m, name, graph.Any)
	for _, a := range acc {
		start := 0.0
		switch a.kind {
		case graph.Max:
			start = math.Inf(-1)
		case graph.Min:
			start = math.Inf(1)
		}
		extents, _ := a.typ.Shape.Const()
		b.Output(a.name, b.Full(a.typ.DType, start, graph.Es(extents...)...))
	}
	_, err := b.Finish()
	return err
}

func (f *Fit) numbers(c Column) bool {
	if c.Kind == TextColumn {
		f.fail(fmt.Errorf("column %q holds text, and numbers are wanted; turn it into numbers first, with one_hot, ordinal or hash, or name other columns", c.Name))
		return false
	}
	return true
}

func (f *Fit) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

var errAsksWithoutPass = errors.New("Fit asks for statistics and does not wait for them: Pass must follow")
