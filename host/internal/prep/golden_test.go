package prep_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
)

// The files of plugins/preprocess/testdata hold what scikit-learn computes, in
// float64; tools/goldens/README.md describes them.

type goldenFile struct {
	Format   string
	Datasets map[string]struct {
		Columns []string
		Data    goldenTensor
	}
	Cases []goldenCase
}

type goldenTensor struct {
	Shape []int
	DType string
	Data  []any
}

type goldenCase struct {
	Name, Type, Dataset string
	Config              map[string]any
	Columns             []string
	FitRows             []int `json:"fit_rows"`
	Learned             map[string]any
	Input, Output, Kept *goldenTensor
	OutputColumns       []string `json:"output_columns"`
}

func goldens(t *testing.T, family string) goldenFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "plugins", "preprocess", "testdata", family+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var f goldenFile
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if f.Format != "hone-goldens" || len(f.Cases) == 0 {
		t.Fatalf("%s is no file of goldens", family)
	}
	return f
}

func number(v any) float64 {
	switch x := v.(type) {
	case float64:
		return x
	case string:
		return map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[x]
	}
	return math.NaN()
}

// columns makes a table of a tensor [rows, columns].
func (g goldenTensor) columns(t *testing.T, names []string) *data.Table {
	t.Helper()
	rows, width := g.Shape[0], 1
	if len(g.Shape) > 1 {
		width = g.Shape[1]
	}
	var out []*data.Column
	for j, name := range names {
		switch g.DType {
		case "str":
			values, gone := make([]string, rows), map[int]bool{}
			for i := range rows {
				if s, ok := g.Data[i*width+j].(string); ok {
					values[i] = s
				} else {
					gone[i] = true
				}
			}
			c := data.StringsOf(name, values)
			for i := range gone {
				c.SetMissing(i)
			}
			out = append(out, c)
		case "i64":
			values := make([]int64, rows)
			for i := range rows {
				values[i] = int64(number(g.Data[i*width+j]))
			}
			out = append(out, data.NewColumn(name, nil, values))
		default:
			values := make([]float64, rows)
			for i := range rows {
				values[i] = number(g.Data[i*width+j])
			}
			out = append(out, data.NewColumn(name, nil, values))
		}
	}
	return table(t, out...)
}

// transforms makes the case's transform: one, or where categories are given by
// column, one for each.
func (c goldenCase) transforms() []spec.Transform {
	lists, ok := c.Config["categories"].([]any)
	if !ok {
		return []spec.Transform{c.transform(c.Columns, nil)}
	}
	var out []spec.Transform
	for i, name := range c.Columns {
		tr := c.transform([]string{name}, lists[i])
		tr.Name = fmt.Sprint(c.Type, i)
		out = append(out, tr)
	}
	return out
}

func (c goldenCase) transform(columns []string, categories any) spec.Transform {
	tr := transform(c.Type, columns)
	for name, v := range c.Config {
		if name == "categories" {
			v = categories
		}
		if list, ok := v.([]any); ok {
			if _, text := list[0].(string); text {
				words := make([]string, len(list))
				for i, w := range list {
					words[i] = w.(string)
				}
				v = words
			} else {
				numbers := make([]float64, len(list))
				for i, x := range list {
					numbers[i] = number(x)
				}
				v = numbers
			}
		}
		tr.Args = append(tr.Args, spec.Arg(name, v))
	}
	return tr
}

// flat gives a table's cells row by row: numbers, NaN where missing, and words.
func flat(t *data.Table) (out []any, names []string) {
	for _, c := range t.Columns {
		for e := range c.Width() {
			name := c.Name
			if c.Width() > 1 {
				name = fmt.Sprint(c.Name, "[", e, "]")
			}
			names = append(names, name)
		}
	}
	for i := range t.Rows() {
		for _, c := range t.Columns {
			for e := range c.Width() {
				if c.Type == data.String {
					out = append(out, c.StringAt(i))
				} else {
					out = append(out, c.Float64At(i, e))
				}
			}
		}
	}
	return out, names
}

// close compares with 1e-6 relative to the larger magnitude, or to the scale of what
// was computed from, below which a difference of rounded numbers means nothing.
func near(got, want, scale float64) bool {
	if math.IsNaN(want) || math.IsNaN(got) {
		return math.IsNaN(want) && math.IsNaN(got)
	}
	return got == want || math.Abs(got-want) <= 1e-6*max(math.Abs(want), 1e-6*scale)
}

func TestScikitLearn(t *testing.T) {
	done := map[string]int{}
	for _, family := range []string{"scale", "impute", "encode", "bucketize", "reduce"} {
		f := goldens(t, family)
		for _, c := range f.Cases {
			t.Run(c.Name, func(t *testing.T) {
				var all *data.Table
				if c.Input != nil {
					c.Columns = []string{"y"}
					all = c.Input.columns(t, c.Columns)
					c.FitRows = []int{0, all.Rows(), 1}
				} else {
					d := f.Datasets[c.Dataset]
					var err error
					if all, err = d.Data.columns(t, d.Columns).Select(c.Columns...); err != nil {
						t.Fatal(err)
					}
				}
				var train []int64
				for i := c.FitRows[0]; i < c.FitRows[1]; i += c.FitRows[2] {
					train = append(train, int64(i))
				}
				done[c.Type]++
				p, ds := tryFit(t, all.Gather(train), prep.Options{Float64: true}, c.transforms()...)
				if c.Name == "drop_missing/columns_0.0" {
					// Nothing is left, which is an error here and an empty table there.
					if ds.Err() == nil || !strings.Contains(ds.Error(), "drops every column") {
						t.Fatalf("every column is dropped, and Fit says %v", ds)
					}
					return
				}
				if err := ds.Err(); err != nil {
					t.Fatal(err)
				}
				for _, p := range []*prep.Pipeline{p, reload(t, p)} {
					c.check(t, p, all)
				}
				c.checkLearned(t, p)
			})
		}
	}
	for _, typ := range []string{"standardize", "min_max", "max_abs", "robust", "log1p", "clip_outliers", "impute", "drop_missing",
		"one_hot", "ordinal", "label", "bucketize", "pca", "variance_threshold"} {
		if done[typ] == 0 {
			t.Errorf("no golden of %s was checked", typ)
		}
	}
}

func (c goldenCase) check(t *testing.T, p *prep.Pipeline, all *data.Table) {
	t.Helper()
	out, rows, err := p.Apply(t.Context(), prep.Evaluate, all)
	if err != nil {
		t.Fatal(err)
	}
	if c.Kept != nil {
		var want []int64
		for _, v := range c.Kept.Data {
			want = append(want, int64(number(v)))
		}
		if c.Config["axis"] == "columns" {
			rows = nil
			for _, col := range out.Columns {
				rows = append(rows, int64(all.Schema().Index(col.Name)))
			}
		}
		if fmt.Sprint(rows) != fmt.Sprint(want) {
			t.Errorf("kept %v, wanted %v", rows, want)
		}
		return
	}
	got, names := flat(out)
	if c.Type == "pca" && len(got) > len(c.Output.Data) {
		// Components without variance are left out of the file.
		got, names = firstOf(got, out.Columns[0].Width(), c.Output.Shape[1]), names[:c.Output.Shape[1]]
	}
	if len(got) != len(c.Output.Data) {
		t.Fatalf("%d values in columns %v, wanted %v", len(got), names, c.Output.Shape)
	}
	scale := 0.0
	for _, v := range c.Output.Data {
		if x := number(v); !math.IsNaN(x) {
			scale = max(scale, math.Abs(x))
		}
	}
	for i, want := range c.Output.Data {
		if w, ok := want.(string); ok && c.Output.DType == "str" {
			if got[i] != w {
				t.Fatalf("row %d, %s: %q, wanted %q", i/len(names), names[i%len(names)], got[i], w)
			}
		} else if !near(got[i].(float64), number(want), scale) {
			t.Fatalf("row %d, %s: %v, wanted %v", i/len(names), names[i%len(names)], got[i], number(want))
		}
	}
	if c.OutputColumns == nil {
		return
	}
	var features []string
	for _, col := range out.Columns {
		if f := p.Features(col.Name); f != nil {
			features = append(features, f...)
		} else {
			features = append(features, col.Name)
		}
	}
	for i, want := range c.OutputColumns {
		want = strings.ReplaceAll(strings.ReplaceAll(want, "_infrequent_sklearn", "_infrequent"), "_None", "_missing")
		if c.Dataset == "digits_of" {
			want = strings.TrimSuffix(want, ".0")
		}
		if features[i] != want {
			t.Errorf("feature %d is called %q, wanted %q", i, features[i], want)
		}
	}
}

func firstOf(v []any, width, keep int) []any {
	var out []any
	for i, x := range v {
		if i%width < keep {
			out = append(out, x)
		}
	}
	return out
}

// checkLearned compares what was learned, under scikit-learn's names.
func (c goldenCase) checkLearned(t *testing.T, p *prep.Pipeline) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var saved struct {
		Transforms []struct{ Learned map[string]any }
	}
	if err := json.Unmarshal(text, &saved); err != nil {
		t.Fatal(err)
	}
	if len(saved.Transforms) > 1 || c.Type == "drop_missing" && c.Config["axis"] == "rows" || c.Type == "impute" && c.Config["strategy"] == "constant" {
		return
	}
	learned := saved.Transforms[0].Learned
	for name, want := range c.Learned {
		got, ok := learned[name]
		if !ok {
			t.Errorf("%s was not learned; known are %v", name, learned)
			continue
		}
		a, b := leaves(got), leaves(want)
		if name == "categories" || name == "infrequent_categories" {
			if c.Type == "ordinal" { // a missing value has a number of its own, and is no category
				b = slices.DeleteFunc(b, func(v any) bool { return v == nil })
			}
			for i := range b {
				if b[i] == nil {
					b[i] = "missing"
				}
			}
			if name == "infrequent_categories" {
				a, b = leaves(onlyLists(got)), leaves(onlyLists(want))
			}
		}
		if len(a) != len(b) {
			t.Errorf("%s is %v, wanted %v", name, got, want)
			continue
		}
		scale := 0.0
		for _, v := range b {
			if x := number(v); !math.IsNaN(x) && !math.IsInf(x, 0) {
				scale = max(scale, math.Abs(x))
			}
		}
		for i := range b {
			x, isNumber := b[i].(float64)
			switch {
			case !isNumber:
				if fmt.Sprint(a[i]) != fmt.Sprint(b[i]) {
					t.Errorf("%s[%d] is %v, wanted %v", name, i, a[i], b[i])
				}
			case name == "var" && c.Dataset == "wine" && math.Abs(x) < 1e-20: // rounding noise of a constant column
			case c.Type == "pca" && c.Dataset == "collinear" && math.Abs(x) < 1e-20:
			case isWords(a[i]):
				if fmt.Sprint(a[i]) != fmt.Sprint(x) {
					t.Errorf("%s[%d] is %v, wanted %v", name, i, a[i], x)
				}
			case !near(number(a[i]), x, scale):
				t.Errorf("%s[%d] is %v, wanted %v", name, i, a[i], x)
			}
		}
	}
}

func isWords(v any) bool { _, ok := v.(string); return ok }

func onlyLists(v any) any {
	list, _ := v.([]any)
	var out []any
	for _, e := range list {
		if e != nil {
			out = append(out, e)
		}
	}
	return out
}

// leaves lists the scalars of nested lists and tensors in order.
func leaves(v any) []any {
	switch x := v.(type) {
	case []any:
		var out []any
		for _, e := range x {
			out = append(out, leaves(e)...)
		}
		return out
	case map[string]any:
		return leaves(x["data"])
	}
	return []any{v}
}
