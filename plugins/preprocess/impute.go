package preprocess

import (
	"math"
	"strconv"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Impute fills in missing values.
type Impute struct {
	Strategy     string  `hone:"strategy,default=mean,enum=mean|median|most_frequent|constant" doc:"What to fill in; the most frequent value is the least of those that are equally frequent."`
	FillValue    *string `hone:"fill_value,optional" doc:"What the strategy constant fills in: a number or a text. Without it 0, or missing_value for text."`
	AddIndicator bool    `hone:"add_indicator,default=false" doc:"Add a column missingindicator_NAME, 1 where a value was missing, for each column that lacks some in the training rows."`

	numbers  [][]float64 // by column; nil for text
	words    []string
	indicate []bool
}

// Doc describes the transform.
func (*Impute) Doc() string {
	return "Fills in missing values: with the mean or median of the training rows, the most frequent value, or a constant."
}

// Takes chooses numbers, and for values that any column may have all but targets.
func (s *Impute) Takes(c sdk.Column) bool {
	if c.Target {
		return false
	}
	switch s.Strategy {
	case "mean", "median":
		return c.Kind == sdk.NumberColumn
	case "constant":
		// A number fits no column of text, and the other way round.
		_, err := strconv.ParseFloat(s.fill("0"), 64)
		return s.FillValue == nil || (err == nil) == (c.Kind == sdk.NumberColumn)
	}
	return true
}

func (s *Impute) fill(otherwise string) string {
	if s.FillValue != nil {
		return *s.FillValue
	}
	return otherwise
}

// Fit learns what to fill in.
func (s *Impute) Fit(f *sdk.Fit) error {
	columns := f.Columns()
	s.numbers, s.words, s.indicate = make([][]float64, len(columns)), make([]string, len(columns)), make([]bool, len(columns))
	counts := make([]*sdk.Count, len(columns))
	results := make([]func() error, len(columns))
	for j, c := range columns {
		counts[j] = f.Missing(c)
		switch s.Strategy {
		case "mean":
			m := f.Moments(c)
			results[j] = func() error { s.numbers[j] = m.Mean; return nil }
		case "median":
			q := f.Quantiles(c, sdk.Linear, 0.5)
			results[j] = func() error {
				s.numbers[j] = each(c.Elements(), func(i int) float64 { return q.At(0, i) })
				return nil
			}
		case "most_frequent":
			d := f.Distinct(c, 1<<24)
			results[j] = func() error {
				best := 0
				for i, n := range d.Counts {
					if n > d.Counts[best] {
						best = i
					}
				}
				if c.Kind == sdk.TextColumn {
					s.words[j] = d.Words[best]
				} else {
					s.numbers[j] = []float64{d.Numbers[best]}
				}
				return nil
			}
		default:
			results[j] = func() error {
				if c.Kind == sdk.TextColumn {
					s.words[j] = s.fill("missing_value")
					return nil
				}
				x, err := strconv.ParseFloat(s.fill("0"), 64)
				if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
					return sdk.Invalid("fill_value", "%q is no number to fill into column %q", s.fill("0"), c.Name)
				}
				s.numbers[j] = each(c.Elements(), func(int) float64 { return x })
				return nil
			}
		}
	}
	if !f.Pass() {
		return nil
	}
	var statistics []any
	var names []string
	for j, c := range columns {
		if err := results[j](); err != nil {
			return err
		}
		s.indicate[j] = s.AddIndicator && counts[j].Missing > 0
		names = append(names, c.Name)
		switch {
		case c.Kind == sdk.TextColumn:
			statistics = append(statistics, s.words[j])
		case len(s.numbers[j]) == 1:
			statistics = append(statistics, s.numbers[j][0])
		default:
			statistics = append(statistics, s.numbers[j])
		}
	}
	f.Learned("columns", names)
	f.Learned("statistics", statistics)
	return nil
}

// Apply fills in every column.
func (s *Impute) Apply(b *sdk.TransformBuilder) {
	for j, c := range b.Columns() {
		if c.Kind == sdk.TextColumn {
			code := b.Codes(c, sdk.Vocabulary{Words: []string{s.words[j]}})
			// 0 is the word itself, 1 any other, 2 a missing one.
			code = b.Missing(c).Select(b.Scalar(graph.I32, 0), code)
			b.Output(sdk.Output{Name: c.Name, Value: code, Words: []string{s.words[j]}, WordsFrom: &c})
			continue
		}
		x := b.Elements(c)
		if !x.DType().IsFloat() && !fits(x.DType(), s.numbers[j]) {
			x = b.Number(c)
		}
		gone := b.Missing(c)
		if x.Rank() > 1 {
			gone = gone.BroadcastAlong([]int64{0}, x.Dims()...)
			if x.DType().IsFloat() {
				gone = gone.Or(x.Eq(x).Not())
			}
		}
		b.Output(sdk.Output{Name: c.Name, Value: gone.Select(constant(b.Builder, x, s.numbers[j]), x), Features: c.Features})
	}
	for j, c := range b.Columns() {
		if s.indicate[j] {
			b.Output(sdk.Output{Name: "missingindicator_" + c.Name, Value: b.Missing(c).Convert(graph.F32)})
		}
	}
}

// fits reports whether the element type holds the numbers exactly.
func fits(d graph.DType, v []float64) bool {
	for _, x := range v {
		if graph.ScalarOf(d, x).Float(0) != x {
			return false
		}
	}
	return true
}

// DropMissing drops rows or columns that lack values.
type DropMissing struct {
	Axis      string  `hone:"axis,default=rows,enum=rows|columns" doc:"What to drop. Rows to predict are never dropped."`
	Threshold float64 `hone:"threshold,default=0,min=0,max=1" doc:"Share of missing values that is borne."`

	keep []bool
}

// Doc describes the transform.
func (*DropMissing) Doc() string {
	return "Drops rows, or columns, of which more than the threshold is missing."
}

// Takes chooses all columns; targets only where rows are dropped.
func (s *DropMissing) Takes(c sdk.Column) bool { return s.Axis == "rows" || !c.Target }

// Fit learns which columns stay.
func (s *DropMissing) Fit(f *sdk.Fit) error {
	columns := f.Columns()
	if s.Axis == "rows" {
		return nil
	}
	counts := make([]*sdk.Count, len(columns))
	for j, c := range columns {
		counts[j] = f.Missing(c)
	}
	if !f.Pass() {
		return nil
	}
	names := make([]string, len(columns))
	share := each(len(columns), func(j int) float64 { return float64(counts[j].Missing) / float64(counts[j].Rows) })
	for j, c := range columns {
		names[j] = c.Name
		s.keep = append(s.keep, share[j] <= s.Threshold)
	}
	f.Learned("columns", names)
	f.Learned("missing_share", share)
	return nil
}

// Apply drops.
func (s *DropMissing) Apply(b *sdk.TransformBuilder) {
	var count graph.Value
	for j, c := range b.Columns() {
		if s.Axis == "columns" {
			if s.keep[j] {
				b.Pass(c)
			}
			continue
		}
		b.Pass(c)
		n := b.Missing(c).Convert(graph.F64)
		if j > 0 {
			n = count.Add(n)
		}
		count = n
	}
	if n := len(b.Columns()); s.Axis == "rows" && n > 0 {
		b.Keep(count.Le(b.Scalar(graph.F64, s.Threshold*float64(n))))
	}
}
