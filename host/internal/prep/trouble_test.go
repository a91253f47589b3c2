package prep_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// says checks that an error is a diagnostic of that code whose text holds every word,
// and which ends with a remedy.
func says(t *testing.T, err error, code string, words ...string) {
	t.Helper()
	ds := diag.From(err)
	if !ds.HasErrors() {
		t.Fatalf("no error, wanted %s", code)
	}
	d := ds[0]
	if d.Code != code {
		t.Errorf("the code is %q, wanted %q: %v", d.Code, code, err)
	}
	for _, w := range words {
		if !strings.Contains(d.Error(), w) {
			t.Errorf("nothing about %q: %v", w, d.Error())
		}
	}
	if d.Detail == "" && code != "component" {
		t.Errorf("no remedy: %v", d.Error())
	}
}

func TestFitTroubles(t *testing.T) {
	numbers := func(name string, v ...float64) *data.Column { return data.NewColumn(name, nil, v) }
	nan := math.NaN()
	in := table(t, numbers("x", 1, 2, 3), numbers("y", 5, nan, 7), numbers("empty", nan, nan, nan), data.StringsOf("word", []string{"a", "b", "a"}),
		data.NewColumn("image", []int{1, 2}, []uint8{1, 2, 3, 4, 5, 6}), data.StringsOf("target", []string{"no", "no", "no"}))
	tests := []struct {
		about string
		with  spec.Transform
		code  string
		words []string
	}{
		{"an unknown transform", transform("standardise", nil), "unknown_transform", []string{`"standardize"`}},
		{"an unknown argument", transform("min_max", []string{"x"}, "clipp", true), "unknown_argument", []string{"clipp", `"clip"`}},
		{"a wrong argument", transform("min_max", []string{"x"}, "feature_range", []float64{1, 0}), "component", []string{"feature_range"}},
		{"an unknown column", transform("log1p", []string{"yy"}), "missing_column", []string{`"yy"`, `"y"`, "columns"}},
		{"a pattern without a column", transform("log1p", []string{"z*"}), "no_column", []string{`"z*"`, "word"}},
		{"a pattern does not choose targets", transform("one_hot", []string{"tar*"}), "no_column", []string{`"tar*"`}},
		{"text where numbers are wanted", transform("standardize", []string{"word"}), "component", []string{`"word"`, "text", "one_hot"}},
		{"text in Apply alone", transform("log1p", []string{"word"}), "component", []string{`"word"`, "text"}},
		{"an all-missing column", transform("standardize", []string{"empty"}), "all_missing", []string{`"empty"`, "select"}},
		{"an all-missing column's quantiles", transform("robust", []string{"x", "empty"}), "all_missing", []string{`"empty"`}},
		{"an all-missing column's values", transform("impute", []string{"empty"}, "strategy", "most_frequent"), "all_missing", []string{`"empty"`}},
		{"one class only", transform("label", nil), "component", []string{`"target"`, `"no"`, "stratify"}},
		{"missing values in principal components", transform("pca", []string{"x", "y"}), "component", []string{`"y"`, "1 training rows", "impute"}},
		{"too many components", transform("pca", []string{"x"}, "n_components", 2), "component", []string{"n_components", "allow 1"}},
		{"several numbers a row", transform("one_hot", []string{"image"}), "component", []string{`"image"`, "2 values a row"}},
		{"a range without width", transform("robust", []string{"x"}, "quantile_range", []float64{50, 50}), "component", []string{"quantile_range"}},
		{"a number to fill in that is none", transform("impute", []string{"x"}, "strategy", "constant", "fill_value", "abc"), "component", []string{"fill_value", "abc"}},
		{"nothing left", transform("variance_threshold", []string{"x"}, "threshold", 9), "component", []string{"variance"}},
		{"a name taken", transform("pca", []string{"x"}, "output", "y"), "same_column", []string{`"y"`}},
		{"no column named", transform("select", nil), "component", []string{"named"}},
		{"images that are none", transform("random_flip", []string{"x"}), "component", []string{`"x"`, "height"}},
		{"a block for a value", spec.Transform{Type: spec.Type("log1p"), Name: "log1p", Args: spec.Args{spec.Arg("x", spec.Component{})}}, "wrong_value", []string{"block"}},
		{"a column of its own type", transform("label", []string{"missing"}), "missing_column", []string{`"missing"`}},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			test.with.Node = spec.Node{Range: diag.Range{File: "my.hone.hcl", Start: diag.Pos{Line: 7, Column: 3}}}
			p, ds := tryFit(t, in, prep.Options{Targets: []string{"target"}}, test.with)
			if p != nil {
				t.Fatal("there is a pipeline")
			}
			says(t, ds, test.code, test.words...)
			if d := ds[0]; d.Subject == nil || d.Subject.File != "my.hone.hcl" || !strings.HasPrefix(d.Path, "transform."+test.with.Name) {
				t.Errorf("it points at %v, path %q", d.Subject, d.Path)
			}
		})
	}
	_, ds := tryFit(t, in, prep.Options{Targets: []string{"targets"}})
	says(t, ds, "missing_column", `"targets"`, `"target"`)
	_, ds = tryFit(t, in.Slice(0, 0), prep.Options{}, transform("standardize", []string{"x"}))
	says(t, ds, "no_rows", "split")
	_, ds = tryFit(t, table(t, numbers("x", 1, math.Inf(1))), prep.Options{}, transform("standardize", nil))
	says(t, ds, "infinite_value", `"x"`, "row 2")
	_, ds = tryFit(t, table(t, numbers("x", 1, -3, 5)), prep.Options{}, transform("log1p", nil))
	says(t, ds, "not_finite", `"x"`, "row 2", "log1p")
	_, ds = tryFit(t, in, prep.Options{}, transform("log1p", []string{"x"}), transform("log1p", []string{"y"}))
	says(t, ds, "same_name", "log1p")
	p, ds := tryFit(t, in, prep.Options{}, transform("hash", []string{"word"}, "num_bins", 3), transform("one_hot", nil, "handle_unknown", "error"))
	if p == nil || ds.Err() != nil {
		t.Fatal(ds)
	}
	// The target is no target here, and is what one_hot chose.
	if p, ds = tryFit(t, table(t, numbers("x", 1, 2)), prep.Options{}, transform("one_hot", nil)); p == nil || len(ds) != 1 || ds[0].Severity != diag.Warning || !strings.Contains(ds[0].Summary, "one_hot") {
		t.Errorf("a transform without columns: %v", ds)
	}
}

func TestApplyTroubles(t *testing.T) {
	train := table(t, data.NewColumn("x", nil, []float64{1, 2, 3}), data.NewColumn("n", nil, []int64{1, 2, 3}),
		data.StringsOf("word", []string{"a", "b", "a"}), data.StringsOf("y", []string{"no", "yes", "no"}))
	p := fit(t, train, prep.Options{Targets: []string{"y"}}, transform("standardize", []string{"x", "n"}),
		transform("one_hot", []string{"word"}, "handle_unknown", "error"), transform("label", nil))
	replaced := func(name string, c *data.Column) *data.Table {
		var columns []*data.Column
		for _, o := range train.Columns {
			if o.Name == name {
				o = c
			}
			if o != nil {
				columns = append(columns, o)
			}
		}
		return table(t, columns...)
	}
	gone := data.StringsOf("word", []string{"a", "b", "a"})
	gone.SetMissing(1)
	tests := []struct {
		about string
		part  prep.Part
		in    *data.Table
		code  string
		words []string
	}{
		{"a column missing at predict", prep.Predict, replaced("x", nil), "missing_column", []string{`"x"`, "to predict", "f64"}},
		{"a target missing at evaluation", prep.Evaluate, replaced("y", nil), "missing_column", []string{`"y"`, "evaluate"}},
		{"an unseen category where that is an error", prep.Predict, replaced("word", data.StringsOf("word", []string{"a", "zebra", "b"})), "unknown_category", []string{`"word"`, `"zebra"`, "row 2", "handle_unknown"}},
		{"a missing one", prep.Predict, replaced("word", gone), "missing_value", []string{`"word"`, "row 2", "impute"}},
		{"an unseen class", prep.Evaluate, replaced("y", data.StringsOf("y", []string{"no", "no", "maybe"})), "unknown_category", []string{`"y"`, `"maybe"`, "row 3"}},
		{"an infinite value", prep.Predict, replaced("x", data.NewColumn("x", nil, []float64{1, 2, math.Inf(-1)})), "infinite_value", []string{`"x"`, "row 3"}},
		{"words for numbers", prep.Predict, replaced("x", data.StringsOf("x", []string{"1", "2", "three"})), "column_type", []string{`"x"`, `"three"`, "row 3", "f64"}},
		{"fractions for whole numbers", prep.Predict, replaced("n", data.NewColumn("n", nil, []float64{1, 2, 2.5})), "column_type", []string{`"n"`, "2.5", "row 3", "whole"}},
		{"another shape", prep.Predict, replaced("x", data.NewColumn("x", []int{2}, []float64{1, 2, 3, 4, 5, 6})), "column_shape", []string{`"x"`}},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			_, _, err := p.Apply(t.Context(), test.part, test.in)
			says(t, err, test.code, test.words...)
		})
	}
	// What can be converted without loss is.
	same := replaced("n", data.NewColumn("n", nil, []float64{1, 2, 3}))
	equalTables(t, "floats for whole numbers", apply(t, p, prep.Train, same), apply(t, p, prep.Train, train))
	same = replaced("x", data.StringsOf("x", []string{" 1", "2.0", "3e0"}))
	equalTables(t, "words that are numbers", apply(t, p, prep.Train, same), apply(t, p, prep.Train, train))

	zip := fit(t, table(t, data.StringsOf("zip", []string{"123", "true", "123"})), prep.Options{}, transform("ordinal", nil))
	got := apply(t, zip, prep.Predict, table(t, data.NewColumn("zip", nil, []int64{123, 7})))
	if v := data.Values[int32](got.Columns[0]); v[0] != 0 || v[1] != -1 {
		t.Errorf("numbers where the training rows had words: %v", v)
	}
	got = apply(t, zip, prep.Predict, table(t, data.NewColumn("zip", nil, []bool{true})))
	if v := data.Values[int32](got.Columns[0]); v[0] != 1 {
		t.Errorf("a truth value where the training rows had words: %v", v)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := p.Apply(ctx, prep.Train, train); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context gives %v", err)
	}
}

func TestOddPlugins(t *testing.T) {
	h := host(t, odd)
	in := table(t, data.NewColumn("x", nil, []float64{1, 2, 3, 4}), data.NewColumn("taken", nil, []float64{1, 2, 3, 5}))
	try := func(tr spec.Transform) (*prep.Pipeline, diag.Diagnostics) {
		return prep.Fit(t.Context(), h, []spec.Transform{tr}, in, prep.Options{Backend: reference.New()})
	}
	_, ds := try(transform("leaky", []string{"x"}))
	says(t, ds, "rows_depend", "leaky")
	_, ds = try(transform("endless", []string{"x"}))
	says(t, ds, "plugin_transform", "64 times")
	_, ds = try(transform("panicky", []string{"x"}))
	says(t, ds, "component", "panicked", "main_test.go")
	_, ds = try(transform("collisions", []string{"x"}))
	says(t, ds, "same_column", `"taken"`)
	_, ds = try(transform("noise", []string{"x"}))
	says(t, ds, "component", `"x"`, "augmentation")
	_, ds = try(transform("first_only", nil))
	says(t, ds, "component", "columns", "2")
	p, ds := try(transform("impatient", []string{"x"}))
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	if x := apply(t, p, prep.Train, in).Columns[0].Float64At(3, 0); x != 1.5 {
		t.Errorf("4 less the mean is %v", x)
	}
}

// liar answers with what it is told to, as a broken plugin might.
type liar struct {
	resp *pluginpb.FitResponse
	m    *graph.Module
}

func (l *liar) FitTransform(context.Context, plugin.Ref, plugin.Config, *pluginpb.FitRequest) (*pluginpb.FitResponse, *graph.Module, error) {
	return l.resp, l.m, nil
}

func TestHostileAnswers(t *testing.T) {
	in := table(t, data.NewColumn("x", nil, []float64{1, 2, 3, 4}), data.StringsOf("w", []string{"a", "b", "c", "d"}))
	module := func(build func(b *graph.Builder, x graph.Value)) *graph.Module {
		m := graph.NewModule()
		b := graph.NewBuilder(m, "apply", graph.Any)
		build(b, b.Input("x0", graph.Type{DType: graph.F64, Shape: graph.Shape{graph.Batch}}))
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		return m
	}
	same := module(func(b *graph.Builder, x graph.Value) { b.Output("y0", x) })
	entry := &pluginpb.Entry{How: &pluginpb.Entry_Elements{Elements: &pluginpb.Elements{}}}
	out := func(name string, n uint32) *pluginpb.FittedColumn {
		return &pluginpb.FittedColumn{Name: name, From: &pluginpb.FittedColumn_Output{Output: n}}
	}
	ask := func(a *pluginpb.Ask) *pluginpb.FitResponse { return &pluginpb.FitResponse{Asks: []*pluginpb.Ask{a}} }
	fitted := func(entries []*pluginpb.Entry, columns ...*pluginpb.FittedColumn) *pluginpb.FitResponse {
		return &pluginpb.FitResponse{Fitted: &pluginpb.Fitted{Entries: entries, Columns: columns}}
	}
	one := []*pluginpb.Entry{entry}
	tests := []struct {
		about string
		resp  *pluginpb.FitResponse
		m     *graph.Module
	}{
		{"nothing", &pluginpb.FitResponse{}, same},
		{"no function", fitted(one, out("x", 0)), graph.NewModule()},
		{"too few entries", fitted(nil, out("x", 0)), same},
		{"too many entries", fitted(append(one, entry), out("x", 0)), same},
		{"an entry of no column", fitted([]*pluginpb.Entry{{Column: 9, How: entry.How}}, out("x", 0)), same},
		{"an entry of text", fitted([]*pluginpb.Entry{{Column: 1, How: entry.How}}, out("x", 0)), same},
		{"an entry of no kind", fitted([]*pluginpb.Entry{{}}, out("x", 0)), same},
		{"an output that is not there", fitted(one, out("x", 7)), same},
		{"a column without a name", fitted(one, out("", 0)), same},
		{"two columns of a name", fitted(one, out("x", 0), out("x", 0)), same},
		{"a column from nowhere", fitted(one, &pluginpb.FittedColumn{Name: "x"}), same},
		{"a pass from nowhere", fitted(one, &pluginpb.FittedColumn{Name: "x", From: &pluginpb.FittedColumn_Pass{Pass: 1 << 31}}), same},
		{"words of floats", fitted(one, &pluginpb.FittedColumn{Name: "x", From: &pluginpb.FittedColumn_Output{}, Words: []string{"a"}}), same},
		{"a mask of floats", fitted(one, &pluginpb.FittedColumn{Name: "x", From: &pluginpb.FittedColumn_Output{}, MissingOutput: 1}), same},
		{"a scalar", fitted(one, out("x", 0)), module(func(b *graph.Builder, x graph.Value) { b.Output("y0", x.Sum()) })},
		{"a column of another batch", fitted(one, out("x", 0)), module(func(b *graph.Builder, x graph.Value) { b.Output("y0", b.Concat(0, x, x)) })},
		{"a filter without a mask", &pluginpb.FitResponse{Fitted: &pluginpb.Fitted{Entries: one, Filter: true, Columns: []*pluginpb.FittedColumn{out("x", 0)}}}, same},
		{"a sample of no group", &pluginpb.FitResponse{Fitted: &pluginpb.Fitted{Entries: one, Sample: &pluginpb.Sample{}, Columns: []*pluginpb.FittedColumn{out("x", 0)}}}, same},
		{"a vocabulary with a word twice", fitted([]*pluginpb.Entry{{Column: 1, How: &pluginpb.Entry_Vocabulary{Vocabulary: &pluginpb.Vocabulary{Words: []string{"a", "a"}}}}}, out("x", 0)), func() *graph.Module {
			m := graph.NewModule()
			b := graph.NewBuilder(m, "apply", graph.Any)
			b.Output("y0", b.Input("x0", graph.Type{DType: graph.I32, Shape: graph.Shape{graph.Batch}}))
			if _, err := b.Finish(); err != nil {
				t.Fatal(err)
			}
			return m
		}()},
		{"what was learned is no JSON", &pluginpb.FitResponse{Fitted: &pluginpb.Fitted{Entries: one, Learned: "{", Columns: []*pluginpb.FittedColumn{out("x", 0)}}}, same},
		{"a question about nothing", ask(&pluginpb.Ask{}), same},
		{"a question about no column", ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Moments{Moments: &pluginpb.AskMoments{Column: 4}}}), same},
		{"numbers of text", ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Quantiles{Quantiles: &pluginpb.AskQuantiles{Column: 1}}}), same},
		{"an accumulation without functions", ask(&pluginpb.Ask{Ask: &pluginpb.Ask_Sums{Sums: &pluginpb.AskSums{Function: "f"}}}), same},
	}
	for _, test := range tests {
		t.Run(test.about, func(t *testing.T) {
			p, ds := prep.Fit(t.Context(), &liar{test.resp, test.m}, []spec.Transform{transform("liar", nil)}, in, prep.Options{Backend: reference.New()})
			if p != nil || !ds.HasErrors() {
				t.Fatalf("it is taken: %v", ds)
			}
			says(t, ds, "plugin_transform", "liar")
		})
	}
}

func TestLoadTroubles(t *testing.T) {
	p := fit(t, people(t, 200), peopleOptions, peopleTransforms()...)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	load := func(s string) error {
		_, err := prep.Load([]byte(s), p.Module(), prep.Options{Backend: reference.New()})
		return err
	}
	if err := load(string(text)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"version":0`, `"version":1`}, {`elements@1`, `elements@2`}, {`"column":0`, `"column":-1`}, {`"type":"i64"`, `"type":"i65"`},
		{`"output":1`, `"output":99`}, {`transform.log1p/apply`, `transform.log2p/apply`}, {`"given":["gain"]`, `"given":["pain"]`},
		{`"seed":7`, `"seed":7,"more":1`}, {`"transforms":[`, `"transforms":[null,`}, {`"columns":[{"name":"age"`, `"columns":[{"name":"job"`},
	} {
		s := strings.Replace(string(text), change[0], change[1], 1)
		if s == string(text) {
			t.Fatalf("%q is not in the text", change[0])
		}
		says(t, load(s), "bad_transforms")
	}
	for n := 0; n < len(text); n += len(text)/50 + 1 {
		if load(string(text[:n])) == nil {
			t.Errorf("the first %d of %d bytes load", n, len(text))
		}
	}
}

func FuzzLoad(f *testing.F) {
	in, err := data.NewTable(data.NewColumn("x", nil, []float64{1, 2, 3, 4}), data.StringsOf("w", []string{"a", "b", "a", "c"}))
	if err != nil {
		f.Fatal(err)
	}
	h, err := plugin.New(plugin.Options{Builtin: bundleInProcess()})
	if err != nil {
		f.Fatal(err)
	}
	defer h.Close()
	p, ds := prep.Fit(context.Background(), h, []spec.Transform{transform("impute", nil, "strategy", "most_frequent"), transform("one_hot", nil), transform("standardize", []string{"x"})},
		in, prep.Options{Backend: reference.New()})
	if err := ds.Err(); err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		q, err := prep.Load(text, p.Module(), prep.Options{Backend: reference.New()})
		if err != nil {
			return
		}
		for _, part := range []prep.Part{prep.Train, prep.Evaluate, prep.Predict} {
			_, _, _ = q.Apply(context.Background(), part, in)
		}
	})
}
