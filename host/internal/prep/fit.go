package prep

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Tracer fits transforms in their plugins; *plugin.Host is one.
type Tracer interface {
	FitTransform(ctx context.Context, ref plugin.Ref, c plugin.Config, req *pluginpb.FitRequest) (*pluginpb.FitResponse, *graph.Module, error)
}

// maxPasses bounds how often one transform may go over the training rows.
const maxPasses = 64

// Fit lets each transform in turn learn from the training rows, as the transforms
// before it leave them. Nothing but train is read. Diagnostics without an error are
// warnings; the pipeline is nil where there is one.
func Fit(ctx context.Context, tr Tracer, transforms []spec.Transform, train data.Source, o Options) (*Pipeline, diag.Diagnostics) {
	p := &Pipeline{o: o, module: graph.NewModule(), fitting: true}
	var ds diag.Diagnostics
	for _, f := range train.Schema() {
		if slices.Contains(o.Numbers, f.Name) {
			f.Type = data.F64
		}
		p.raw = append(p.raw, field{Field: f, target: slices.Contains(o.Targets, f.Name), aside: slices.Contains(o.Aside, f.Name)})
	}
	for i, names := range [][]string{o.Targets, o.Aside} {
		for _, name := range names {
			if name != "" && find(p.raw, name) < 0 {
				ds.Append(data.MissingColumn("the training data", name, train.Schema()).In([]string{"target", "weight"}[i]))
			}
		}
	}
	f := &fitting{p: p, tracer: tr, source: train}
	for i := range transforms {
		if ds.HasErrors() {
			return nil, ds
		}
		warnings, err := f.transform(ctx, &transforms[i])
		ds.Append(placeAll(warnings, &transforms[i])...)
		ds.Append(placeAll(diag.From(err), &transforms[i])...)
	}
	if ds.HasErrors() {
		return nil, ds
	}
	p.fitting = false
	return p, ds
}

// placeAll points diagnostics at the transform, or at the argument that they name.
func placeAll(ds diag.Diagnostics, t *spec.Transform) diag.Diagnostics {
	out := slices.Clone(ds)
	for i := range out {
		d := &out[i]
		path := "transform." + t.Name
		if d.Path != "" && !strings.HasPrefix(d.Path, "transform.") {
			path += "." + d.Path
		}
		if d.Subject == nil {
			argument, _, _ := strings.Cut(d.Path, "[")
			if r := t.At(argument); r.File != "" {
				d.Subject = &r
			}
			if r := t.Range; r.File != "" {
				d.Context = &r
			}
		}
		d.Path = path
	}
	return out
}

// fitting is a fit in progress.
type fitting struct {
	p      *Pipeline
	tracer Tracer
	source data.Source // the training rows after the first done steps
	done   int
	ready  bool // the source is as stream gives it
}

// transform fits one transform and adds it to the pipeline.
func (f *fitting) transform(ctx context.Context, t *spec.Transform) (diag.Diagnostics, error) {
	config, err := configOf(t)
	if err != nil {
		return nil, err
	}
	now := f.p.raw
	for _, s := range f.p.steps {
		now = s.out(now)
	}
	given, named, err := choose(t, now)
	if err != nil {
		return nil, err
	}
	req := &pluginpb.FitRequest{Named: named}
	for _, g := range given {
		req.Columns = append(req.Columns, tableColumn(g))
	}
	names := make([]string, len(given))
	for i, g := range given {
		names[i] = g.Name
	}
	ref := plugin.Ref{Plugin: t.Type.Local, Type: t.Type.Name}
	invalid := func(err error) error {
		if ds := diag.From(err); len(ds) > 0 && ds[0].Code != "error" {
			return err
		}
		return diag.Errorf("plugin_transform", "the plugin of the transform %q answered what hone cannot use: %w", t.Type, err).
			Hint("This is a mistake in the plugin: report it to its author, or pin another version.")
	}
	for range maxPasses {
		resp, m, err := f.tracer.FitTransform(ctx, ref, config, req)
		if err != nil {
			return nil, aboutText(err, given)
		}
		if len(resp.Asks) > 0 {
			src, err := f.rows(ctx, names)
			if err != nil {
				return nil, err
			}
			pass, err := f.p.measure(ctx, src, names, resp.Asks, m)
			if err != nil {
				return nil, invalid(err)
			}
			req.Passes = append(req.Passes, pass)
			continue
		}
		if resp.Fitted == nil {
			return nil, invalid(fmt.Errorf("neither questions nor a transform"))
		}
		s, err := f.add(ctx, t, names, now, resp.Fitted, m)
		if err != nil {
			return nil, invalid(err)
		}
		var warnings diag.Diagnostics
		for _, w := range resp.Fitted.Warnings {
			warnings.Append(diag.Warnf("transform_data", "%s", w))
		}
		return warnings, f.probe(ctx, s)
	}
	return nil, invalid(fmt.Errorf("it goes over the training rows more than %d times", maxPasses))
}

// aboutText names the column of text that a plugin's answer speaks of: a cell of it
// may be at fault, not the spec.
func aboutText(err error, given []field) error {
	ds := diag.From(err)
	for i := range ds {
		for _, g := range given {
			if g.Type == data.String && ds[i].Column == "" && strings.Contains(ds[i].Summary, strconv.Quote(g.Name)) {
				ds[i] = ds[i].Cell(g.Name, diag.SomeRow)
			}
		}
	}
	return ds
}

// add makes the fitted transform the pipeline's next step.
func (f *fitting) add(ctx context.Context, t *spec.Transform, given []string, now []field, fitted *pluginpb.Fitted, m *graph.Module) (*step, error) {
	s, err := stepOf(fitted)
	if err != nil {
		return nil, err
	}
	s.Name, s.Type, s.Given = t.Name, t.Type.String(), given
	if t.Range.File != "" {
		r := t.Range
		s.at = &r
	}
	prefix := "transform." + t.Name + "/"
	s.Function = prefix + "apply"
	if f.p.module.Func(s.Function, graph.Any) != nil {
		return nil, diag.Errorf("same_name", "two transforms are called %q", t.Name).Hint("Give one of them another label.")
	}
	if err := f.p.module.Merge(m, func(name string) string { return prefix + name }); err != nil {
		return nil, err
	}
	if err := s.check(now, f.p.module); err != nil {
		return nil, err
	}
	for _, e := range f.p.steps {
		if e.Augment && !s.Augment {
			return nil, diag.Errorf("after_augmentation", "the transform %q comes after the augmentation %q", t.Name, e.Name).
				Hint("Augmentations change training rows anew in each epoch, when all else is done: put them last.")
		}
	}
	f.p.prepare(s)
	f.p.steps = append(f.p.steps, s)
	return s, ctx.Err()
}

// untouched reports whether the steps leave the rows and the named columns alone.
func untouched(steps []*step, names []string) bool {
	return !slices.ContainsFunc(steps, func(s *step) bool {
		return s.Filter || s.Sample != nil || slices.ContainsFunc(names, func(n string) bool {
			return slices.Contains(s.Given, n) || s.makes(n) != nil
		})
	})
}

func (p *Pipeline) prepare(s *step) {
	s.run = &runner{backend: p.o.Backend, module: p.module, fn: s.fn, limits: p.o.Limits}
}

// rows returns the named columns of the training rows, perhaps among others, as all
// steps so far leave them. A table is transformed once and kept; other sources are
// read anew in every pass. Columns that no step has touched come as they are.
func (f *fitting) rows(ctx context.Context, names []string) (data.Source, error) {
	resident, ok := f.source.(*data.Table)
	if untouched(f.p.steps[f.done:], names) {
		plain := *f.p
		for _, s := range f.p.steps[:f.done] {
			plain.raw = s.out(plain.raw)
		}
		plain.raw = slices.DeleteFunc(slices.Clone(plain.raw), func(g field) bool { return !slices.Contains(names, g.Name) })
		return plain.stream(ctx, Train, nil, f.source)
	}
	if !ok {
		return f.p.stream(ctx, Train, f.p.steps, f.source)
	}
	if f.done < len(f.p.steps) || !f.ready {
		after := *f.p
		for _, s := range f.p.steps[:f.done] {
			after.raw = s.out(after.raw)
		}
		s, err := after.stream(ctx, Train, f.p.steps[f.done:], resident)
		if err != nil {
			return nil, err
		}
		t, err := data.ReadAll(ctx, s)
		if err != nil {
			return nil, err
		}
		f.source, f.done, f.ready = t, len(f.p.steps), true
		return t, nil
	}
	return resident, nil
}

// probeRows are the rows on which a new function is tried.
const probeRows = 64

// probe runs the new step on the first rows, whole and in halves: a function whose
// rows see each other would give other results in training than in prediction.
func (f *fitting) probe(ctx context.Context, s *step) error {
	if s.Augment || len(s.fn.Results) == 0 {
		return nil
	}
	earlier := f.p.steps[f.done : len(f.p.steps)-1]
	after := *f.p
	if _, ok := f.source.(*data.Table); ok {
		for _, e := range f.p.steps[:f.done] {
			after.raw = e.out(after.raw)
		}
	} else {
		earlier = f.p.steps[:len(f.p.steps)-1]
	}
	src := f.source
	if !slices.ContainsFunc(earlier, func(e *step) bool { return e.Filter || e.Sample != nil }) {
		src = &head{src}
	}
	st, err := after.stream(ctx, Train, earlier, src)
	if err != nil {
		return err
	}
	r, err := st.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	t, err := r.Next()
	if err != nil {
		return diag.Errorf("no_rows", "no training row is left for the transform %q", s.Name).Hint("Check the filters before it, and the split.")
	}
	n := min(t.Rows(), probeRows)
	whole, err := s.try(ctx, t, 0, n)
	if err != nil || n < 2 {
		return err
	}
	for _, part := range [][2]int{{0, n / 2}, {n / 2, n}} {
		half, err := s.try(ctx, t, part[0], part[1])
		if err != nil {
			return err
		}
		for i, v := range s.fn.Results {
			row := 1
			if v := s.fn.TypeOf(v.Value); len(v.Shape) > 0 {
				extents, _ := v.Shape[1:].Const()
				for _, d := range extents {
					row *= int(d)
				}
				row *= v.DType.Size()
			}
			if !bytes.Equal(whole[i][part[0]*row:part[1]*row], half[i][:(part[1]-part[0])*row]) {
				return diag.Errorf("rows_depend", "the transform %q makes a row's values from other rows", s.Name).
					Hint("It would give other values in prediction, where a row stands alone. What depends on other rows must be learned in Fit: tell the plugin's author.")
			}
		}
	}
	return nil
}

// try runs the step's function on some rows and returns its results.
func (s *step) try(ctx context.Context, t *data.Table, lo, hi int) ([][]byte, error) {
	c := piece{Table: t.Slice(lo, hi), first: int64(lo)}
	given, _ := s.from(c.Table)
	res, err := s.compute(ctx, given, c, nil)
	if err != nil {
		return nil, err
	}
	for i := range s.Columns {
		if m := &s.Columns[i]; m.Output > 0 {
			if _, err := s.column(m, given, clone(res), c); err != nil {
				return nil, err
			}
		}
	}
	out := make([][]byte, len(s.fn.Results))
	for i, v := range s.fn.Results {
		out[i] = res[v.Name]
	}
	return out, nil
}

// clone copies results, since columns made of them overwrite what is missing.
func clone(results map[string][]byte) map[string][]byte {
	out := make(map[string][]byte, len(results))
	for name, b := range results {
		out[name] = alignedBytes(len(b))
		copy(out[name], b)
	}
	return out
}

// head is the first rows of a source.
type head struct{ data.Source }

func (h *head) Open(ctx context.Context) (data.Reader, error) {
	r, err := h.Source.Open(ctx)
	return &headReader{r}, err
}

type headReader struct{ data.Reader }

func (r *headReader) Next() (*data.Table, error) {
	t, err := r.Reader.Next()
	if err != nil {
		return nil, err
	}
	return t.Slice(0, min(t.Rows(), probeRows)), nil
}

// choose returns the columns that a transform is given: those that the user named, in
// the table's order, or all.
func choose(t *spec.Transform, now []field) (given []field, named bool, err error) {
	if t.Columns == nil {
		return slices.DeleteFunc(slices.Clone(now), func(f field) bool { return f.aside }), false, nil
	}
	var schema data.Schema
	for _, f := range now {
		schema = append(schema, f.Field)
	}
	picked := make([]bool, len(now))
	for _, pattern := range t.Columns {
		if !strings.Contains(pattern, "*") {
			i := find(now, pattern)
			if i < 0 {
				return nil, true, data.MissingColumn("the table that the transform is given", pattern, schema).In("columns")
			}
			picked[i] = true
			continue
		}
		any := false
		for i, f := range now {
			if !f.target && !f.aside && matches(pattern, f.Name) {
				picked[i], any = true, true
			}
		}
		if !any {
			return nil, true, diag.Errorf("no_column", "no column fits the pattern %q", pattern).In("columns").
				Hint("The columns are: %s. Targets and weights are chosen by their full names alone.", strings.Join(schema.Names(), ", "))
		}
	}
	for i, f := range now {
		if picked[i] {
			given = append(given, f)
		}
	}
	return given, true, nil
}

func tableColumn(f field) *pluginpb.TableColumn {
	c := &pluginpb.TableColumn{Name: f.Name, Kind: pluginpb.ColumnKind(sdk.NumberColumn), Target: f.target, Features: f.features}
	switch f.Type {
	case data.String:
		c.Kind = pluginpb.ColumnKind(sdk.TextColumn)
		return c
	case data.Bool:
		c.Kind = pluginpb.ColumnKind(sdk.TruthColumn)
	}
	c.Type = sdk.TypeProto(f.graphType())
	return c
}

// configOf turns the arguments of a spec into those of a plugin, which checks them.
func configOf(t *spec.Transform) (plugin.Config, error) {
	c := plugin.Config{}
	for _, a := range t.Args {
		if len(a.Components) > 0 {
			return nil, diag.Errorf("wrong_value", "%s is a block, and a transform takes values alone", a.Name).In(a.Name).Hint("Write %s = VALUE.", a.Name)
		}
		v, err := plainValue(a.Value)
		if err != nil {
			return nil, diag.Errorf("wrong_value", "%s %w", a.Name, err).In(a.Name).Hint("Write a number, a string, true or false, or a list of such.")
		}
		c[a.Name] = v
	}
	return c, nil
}

func plainValue(v cty.Value) (any, error) {
	switch {
	case v == cty.NilVal || v.IsNull():
		return nil, nil
	case v.Type() == cty.Bool:
		return v.True(), nil
	case v.Type() == cty.String:
		return v.AsString(), nil
	case v.Type() == cty.Number:
		x, _ := v.AsBigFloat().Float64()
		return x, nil
	case v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType():
		var list []any
		for _, e := range v.AsValueSlice() {
			x, err := plainValue(e)
			if err != nil {
				return nil, err
			}
			list = append(list, x)
		}
		return list, nil
	}
	return nil, fmt.Errorf("is of a kind that no transform takes")
}

// parallel calls work for 0..n-1 on the processors there are.
func parallel(n int, work func(i int)) {
	if n == 1 || runtime.GOMAXPROCS(0) == 1 {
		for i := range n {
			work(i)
		}
		return
	}
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
