package prep_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// people is a made-up table like the Census one: numbers with gaps, words with
// rare ones, a target of words, and weights.
func people(t *testing.T, rows int) *data.Table {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	age, gain := make([]int64, rows), make([]float64, rows)
	hours, weight := make([]float64, rows), make([]float64, rows)
	job, income := make([]string, rows), make([]string, rows)
	jobs := []string{"clerk", "farmer", "Ärztin", "sales", "tech"}
	for i := range rows {
		age[i] = 17 + r.Int64N(70)
		if r.IntN(10) == 0 {
			gain[i] = math.Floor(math.Exp(r.Float64() * 11))
		}
		hours[i] = math.Round(40 + 12*r.NormFloat64())
		weight[i] = 0.5 + r.Float64()
		job[i] = jobs[min(r.IntN(6), 4)]
		income[i] = "<=50K"
		if r.IntN(4) == 0 {
			income[i] = ">50K"
		}
	}
	jobColumn, hoursColumn := data.StringsOf("job", job), data.NewColumn("hours", nil, hours)
	for i := range rows {
		if r.IntN(12) == 0 {
			jobColumn.SetMissing(i)
		}
		if r.IntN(15) == 0 {
			hoursColumn.SetMissing(i)
		}
	}
	return table(t, data.NewColumn("age", nil, age), jobColumn, data.NewColumn("gain", nil, gain), hoursColumn,
		data.StringsOf("income", income), data.NewColumn("weight", nil, weight))
}

var peopleOptions = prep.Options{Targets: []string{"income"}, Aside: []string{"weight"}, Seed: 7}

// peopleTransforms touch every kind of statistic and every kind of transform.
func peopleTransforms() []spec.Transform {
	return []spec.Transform{
		transform("impute", []string{"hours"}, "strategy", "median", "add_indicator", true),
		transform("log1p", []string{"gain"}),
		transform("bucketize", []string{"age"}, "n_bins", 4),
		transform("one_hot", []string{"job"}, "min_frequency", 0.1),
		transform("standardize", []string{"gain", "hours"}),
		transform("pca", []string{"gain", "hours"}, "n_components", 1),
		transform("over_sample", nil, "ratio", 0.8),
		transform("label", nil),
	}
}

// equalTables compares names, types, values and masks to the bit.
func equalTables(t *testing.T, what string, a, b *data.Table) {
	t.Helper()
	if fmt.Sprint(a.Schema()) != fmt.Sprint(b.Schema()) || a.Rows() != b.Rows() {
		t.Fatalf("%s: %v with %d rows, and %v with %d", what, a.Schema(), a.Rows(), b.Schema(), b.Rows())
	}
	for i, c := range a.Columns {
		d := b.Columns[i]
		for row := range a.Rows() {
			if c.IsMissing(row) != d.IsMissing(row) {
				t.Fatalf("%s: column %s is missing in one, row %d", what, c.Name, row)
			}
			if c.Type == data.String {
				if c.StringAt(row) != d.StringAt(row) {
					t.Fatalf("%s: column %s, row %d: %q and %q", what, c.Name, row, c.StringAt(row), d.StringAt(row))
				}
				continue
			}
			for e := range c.Width() {
				x, y := c.Float64At(row, e), d.Float64At(row, e)
				if math.Float64bits(x) != math.Float64bits(y) {
					t.Fatalf("%s: column %s, row %d: %v and %v", what, c.Name, row, x, y)
				}
			}
		}
	}
}

// digest is all of a pipeline that a checkpoint would hold.
func digest(t *testing.T, p *prep.Pipeline) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	module, err := graph.Marshal(p.Module())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.Write(text)
	b.Write(module)
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range p.Module().Consts {
			if !yield(n) {
				return
			}
		}
	}) {
		b.WriteString(name)
		b.Write(p.Module().Consts[name].Data)
	}
	return b.String()
}

// source hides that a table is in memory: Fit reads it anew in every pass.
type source struct {
	*data.Table
	opened *int
}

func (s *source) Open(ctx context.Context) (data.Reader, error) {
	*s.opened++
	return s.Table.Open(ctx)
}

// chunksOnly makes a table a Source and no Table.
type chunksOnly struct{ data.Source }

func TestStreamEqualsResident(t *testing.T) {
	in := people(t, 2*data.ChunkRows+1234)
	resident := fit(t, in, peopleOptions, peopleTransforms()...)
	opened := 0
	streamed := fit(t, chunksOnly{&source{in, &opened}}, peopleOptions, peopleTransforms()...)
	if opened < 5 {
		t.Errorf("the source was read %d times; the test does not stream", opened)
	}
	if digest(t, resident) != digest(t, streamed) {
		t.Fatal("a fit from a stream is not that from a table")
	}
	for _, part := range []prep.Part{prep.Train, prep.Evaluate} {
		want, rows, err := resident.Apply(t.Context(), part, in)
		if err != nil {
			t.Fatal(err)
		}
		s, err := streamed.Stream(t.Context(), part, chunksOnly{in})
		if err != nil {
			t.Fatal(err)
		}
		if s.Rows() != want.Rows() || fmt.Sprint(s.Schema()) != fmt.Sprint(want.Schema()) {
			t.Fatalf("the stream has %d rows of %v, the table %d of %v", s.Rows(), s.Schema(), want.Rows(), want.Schema())
		}
		r, err := s.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for at < want.Rows() {
			c, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if c.Rows() != min(data.ChunkRows, want.Rows()-at) {
				t.Fatalf("a chunk of %d rows at row %d of %d", c.Rows(), at, want.Rows())
			}
			equalTables(t, "chunk", c, want.Slice(at, at+c.Rows()))
			at += c.Rows()
		}
		if part == prep.Train && (rows == nil || len(rows) != want.Rows() || !slices.IsSorted(rows)) {
			t.Errorf("a sample gives %d rows from %d numbers", want.Rows(), len(rows))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFitCannotPeek fits on the training part of a table whose other rows hold
// everything that would show: other words, extreme numbers, gaps, another class.
func TestFitCannotPeek(t *testing.T) {
	in := people(t, 1500)
	var train, validation []int64
	for i := range int64(1500) {
		if i%5 == 0 {
			validation = append(validation, i)
		} else {
			train = append(train, i)
		}
	}
	want := digest(t, fit(t, in.Gather(train), peopleOptions, peopleTransforms()...))

	spoiled := make([]*data.Column, len(in.Columns))
	for i, c := range in.Columns {
		switch c.Type {
		case data.String:
			words := make([]string, c.Rows())
			for r := range words {
				if words[r] = c.StringAt(r); r%5 == 0 {
					words[r] = fmt.Sprint("only in validation ", r)
				}
			}
			n := data.StringsOf(c.Name, words)
			for r := range words {
				if r%5 != 0 && c.IsMissing(r) {
					n.SetMissing(r)
				}
			}
			spoiled[i] = n
		case data.I64:
			v := slices.Clone(data.Values[int64](c))
			for _, r := range validation {
				v[r] = 1 << 40
			}
			spoiled[i] = data.NewColumn(c.Name, nil, v)
		default:
			v := slices.Clone(data.Values[float64](c))
			for _, r := range validation {
				v[r] = 1e300
			}
			n := data.NewColumn(c.Name, nil, v)
			for r := range v {
				if c.IsMissing(r) && r%5 != 0 || r%10 == 0 {
					n.SetMissing(r)
				}
			}
			spoiled[i] = n
		}
	}
	other := table(t, spoiled...)
	part := other.Gather(train)
	if len(part.Column("job").Dict()) < 100 {
		t.Fatal("the training part does not share the dictionary of the whole table; the test shows nothing")
	}
	if got := digest(t, fit(t, part, peopleOptions, peopleTransforms()...)); got != want {
		t.Error("the fit depends on rows outside the training part")
	}

	// Every fold has a pipeline of its own rows.
	folds, err := data.KFold(in.Rows(), 3, false, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range folds {
		p := fit(t, in.Gather(f.Train), peopleOptions, peopleTransforms()...)
		if digest(t, p) != digest(t, fit(t, other2(t, in, f.Validation).Gather(f.Train), peopleOptions, peopleTransforms()...)) {
			t.Errorf("fold %d depends on its validation rows", i)
		}
	}
}

// other2 returns the table with zero age in the given rows.
func other2(t *testing.T, in *data.Table, rows []int64) *data.Table {
	t.Helper()
	columns := slices.Clone(in.Columns)
	age := slices.Clone(data.Values[int64](in.Column("age")))
	for _, r := range rows {
		age[r] = 0
	}
	columns[0] = data.NewColumn("age", nil, age)
	return table(t, columns...)
}

func TestProcessesEqualInProcess(t *testing.T) {
	in := people(t, 500)
	want := digest(t, fit(t, in, peopleOptions, peopleTransforms()...))
	h, err := plugin.New(plugin.Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	o := peopleOptions
	o.Backend = reference.New()
	p, ds := prep.Fit(t.Context(), h, peopleTransforms(), in, o)
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if got := digest(t, p); got != want {
		t.Error("a plugin in a process of its own fits otherwise than one linked in")
	}
	apply(t, p, prep.Train, in) // with the process gone
}

func TestParts(t *testing.T) {
	in := people(t, 1000)
	p := fit(t, in, peopleOptions, append([]spec.Transform{transform("drop_missing", []string{"job", "hours"})}, peopleTransforms()...)...)
	val, kept, err := p.Apply(t.Context(), prep.Evaluate, in)
	if err != nil {
		t.Fatal(err)
	}
	if val.Rows() >= in.Rows() || len(kept) != val.Rows() {
		t.Errorf("evaluation keeps %d of %d rows, by %d numbers", val.Rows(), in.Rows(), len(kept))
	}
	for _, r := range kept {
		if in.Column("job").IsMissing(int(r)) || in.Column("hours").IsMissing(int(r)) {
			t.Fatalf("row %d lacks a value and is kept", r)
		}
	}
	train, drawn, err := p.Apply(t.Context(), prep.Train, in)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[int64]int{}
	for i, y := range data.Values[int64](train.Column("income")) {
		counts[y]++
		if want := in.Column("income").StringAt(int(drawn[i])); p.Labels("income")[y] != want {
			t.Fatalf("row %d is labelled %d, which is %q, and came from one of %q", i, y, p.Labels("income")[y], want)
		}
	}
	if counts[1] != int(0.8*float64(counts[0])) {
		t.Errorf("over-sampling by 0.8 gives %v", counts)
	}
	raw, err := in.Select("age", "job", "gain", "hours") // no target, no weight
	if err != nil {
		t.Fatal(err)
	}
	pred, rows, err := p.Apply(t.Context(), prep.Predict, raw)
	if err != nil {
		t.Fatal(err)
	}
	if rows != nil || pred.Rows() != in.Rows() || pred.Column("income") != nil || pred.Column("job") == nil {
		t.Errorf("prediction gives %d of %d rows, %v", pred.Rows(), in.Rows(), pred.Schema())
	}
	// Where a target is there, even one that cannot be, it is not looked at.
	odd := append(slices.Clone(raw.Columns), data.StringsOf("income", slices.Repeat([]string{"rich"}, in.Rows())))
	equalTables(t, "prediction", apply(t, p, prep.Predict, table(t, odd...)), pred)
	for _, name := range []string{"age", "job", "pca"} {
		for i, r := range kept {
			if a, b := val.Column(name).Float64At(i, 0), pred.Column(name).Float64At(int(r), 0); a != b {
				t.Fatalf("%s in row %d is %v in evaluation and %v in prediction", name, r, a, b)
			}
		}
	}
	if got := fmt.Sprint(p.Inputs().Names()); got != "[age job gain hours]" {
		t.Errorf("a prediction needs %v", got)
	}
	if got := p.Features("job"); strings.Join(got, " ") != "job_clerk job_farmer job_sales job_tech job_Ärztin" {
		t.Errorf("job's elements are %q", got)
	}
}

// TestUnseenAndMissing tells what rows to predict mean that are unlike the training rows.
func TestUnseenAndMissing(t *testing.T) {
	word := func(name string, values ...string) *data.Column {
		c := data.StringsOf(name, values)
		for i, v := range values {
			if v == "" {
				c.SetMissing(i)
			}
		}
		return c
	}
	train := table(t, word("c", "a", "a", "b", "b", "c"), word("g", "x", "", "y", "x", "x"), data.NewColumn("n", nil, []float64{1, 2, 3, 4, 5}))
	raw := table(t, word("c", "a", "zebra", ""), word("g", "x", "zebra", ""), data.NewColumn("n", nil, []float64{2, 9, math.NaN()}))
	tests := []struct {
		about string
		with  []spec.Transform
		col   string
		want  string // the three rows; _ is missing
	}{
		{"one_hot: zeros for both", []spec.Transform{transform("one_hot", []string{"c"})}, "c", "[1 0 0] [0 0 0] [0 0 0]"},
		{"one_hot: missing is a category where training rows lack values", []spec.Transform{transform("one_hot", []string{"g"})}, "g", "[1 0 0] [0 0 0] [0 0 1]"},
		{"one_hot: the group of rare ones", []spec.Transform{transform("one_hot", []string{"c"}, "min_frequency", 2, "handle_unknown", "infrequent_if_exist")}, "c", "[1 0 0] [0 0 1] [0 0 1]"},
		{"ordinal: -1, and missing stays", []spec.Transform{transform("ordinal", []string{"c"})}, "c", "[0] [-1] _"},
		{"ordinal: given numbers", []spec.Transform{transform("ordinal", []string{"c"}, "unknown_value", 7, "encoded_missing_value", 8)}, "c", "[0] [7] [8]"},
		{"hash: any value has a bucket", []spec.Transform{transform("hash", []string{"c"}, "num_bins", 1, "encode", "ordinal")}, "c", "[0] [0] _"},
		{"hash: none for a missing one", []spec.Transform{transform("hash", []string{"c"}, "num_bins", 1)}, "c", "[1] [1] [0]"},
		{"impute: an unseen word stays itself", []spec.Transform{transform("impute", []string{"g"}, "strategy", "most_frequent")}, "g", "x zebra x"},
		{"impute, then one_hot", []spec.Transform{transform("impute", []string{"g"}, "strategy", "most_frequent"), transform("one_hot", []string{"g"})}, "g", "[1 0] [0 0] [1 0]"},
		{"standardize: beyond the range, and missing stays", []spec.Transform{transform("min_max", []string{"n"})}, "n", "[0.25] [2] _"},
		{"impute the mean", []spec.Transform{transform("impute", []string{"n"})}, "n", "[2] [9] [3]"},
		{"bucketize: the outer buckets are open, a missing value is in none", []spec.Transform{transform("bucketize", []string{"n"}, "n_bins", 2)}, "n", "[1 0] [0 1] [0 0]"},
		{"drop_missing does not drop rows to predict", []spec.Transform{transform("drop_missing", nil)}, "g", "x zebra _"},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			p := fit(t, train, prep.Options{}, test.with...)
			for _, p := range []*prep.Pipeline{p, reload(t, p)} {
				c := apply(t, p, prep.Predict, raw).Column(test.col)
				var got []string
				for i := range 3 {
					switch {
					case c.IsMissing(i):
						got = append(got, "_")
					case c.Type == data.String:
						got = append(got, c.StringAt(i))
					default:
						var v []float64
						for e := range c.Width() {
							v = append(v, c.Float64At(i, e))
						}
						got = append(got, fmt.Sprint(v))
					}
				}
				if s := strings.Join(got, " "); s != test.want {
					t.Errorf("%s, wanted %s", s, test.want)
				}
			}
		})
	}
}

func TestAccumulation(t *testing.T) {
	h := host(t, odd)
	n := data.ChunkRows + 500
	v := make([]float64, n)
	want := make([]float64, 10)
	for i := range v {
		v[i] = float64(i * i % 1000)
		if i == 3 {
			v[i] = math.NaN()
			continue
		}
	}
	for i, x := range v {
		if i != 3 {
			want[min(int(x*(10.0/999)), 9)]++
		}
	}
	in := table(t, data.NewColumn("x", nil, v))
	p, ds := prep.Fit(t.Context(), h, []spec.Transform{transform("histogram", nil)}, in, prep.Options{Backend: reference.New(), Float64: true})
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	out := apply(t, p, prep.Evaluate, in)
	for i, x := range v {
		if i != 3 && out.Columns[0].Float64At(i, 0) != want[min(int(x*(10.0/999)), 9)] {
			t.Fatalf("row %d, %v: %v, wanted %v", i, x, out.Columns[0].Float64At(i, 0), want)
		}
	}
	if !out.Columns[0].IsMissing(3) {
		t.Error("a NaN is not missing")
	}
}
