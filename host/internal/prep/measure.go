package prep

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// A gauge gathers one statistic, chunk by chunk in the order of rows. Memory does
// not grow with the rows but for quantiles, up to Options.ExactValues, and distinct
// values, up to the limit asked for.
type gauge interface {
	add(ctx context.Context, given []*data.Column, c piece) error
	answer(rows int64) (*pluginpb.Answer, error)
}

// measure goes over a source once and answers the asks.
func (p *Pipeline) measure(ctx context.Context, src data.Source, names []string, asks []*pluginpb.Ask, m *graph.Module) (*pluginpb.Pass, error) {
	given := make([]field, len(names))
	schema := src.Schema()
	for i, name := range names {
		given[i] = field{Field: schema[schema.Index(name)]}
	}
	gauges := make([]gauge, len(asks))
	for i, a := range asks {
		var err error
		if gauges[i], err = p.gauge(ctx, a, given, m); err != nil {
			return nil, err
		}
	}
	defer func() {
		for _, g := range gauges {
			if s, ok := g.(*sums); ok {
				s.run.close()
			}
		}
	}()
	rows := int64(0)
	err := data.Each(ctx, src, func(t *data.Table, first int64) error {
		columns := make([]*data.Column, len(names))
		for i, name := range names {
			columns[i] = t.Column(name)
		}
		rows += int64(t.Rows())
		errs := make([]error, len(gauges))
		parallel(len(gauges), func(i int) { errs[i] = gauges[i].add(ctx, columns, piece{Table: t, first: first}) })
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rows == 0 {
		return nil, diag.Errorf("no_rows", "no training row is left to learn from").
			Hint("Check the filters before this transform, and the split.")
	}
	out := &pluginpb.Pass{}
	for _, g := range gauges {
		a, err := g.answer(rows)
		if err != nil {
			return nil, err
		}
		a.Rows = rows
		out.Answers = append(out.Answers, a)
	}
	return out, nil
}

func (p *Pipeline) gauge(ctx context.Context, a *pluginpb.Ask, given []field, m *graph.Module) (gauge, error) {
	at := func(column uint32, numbers bool) (field, error) {
		if int64(column) >= int64(len(given)) {
			return field{}, fmt.Errorf("it asks about column %d of %d", column, len(given))
		}
		f := given[column]
		if numbers && f.Type == data.String {
			return f, fmt.Errorf("it asks for numbers of column %q, which holds text", f.Name)
		}
		return f, nil
	}
	switch a := a.Ask.(type) {
	case *pluginpb.Ask_Missing:
		_, err := at(a.Missing.Column, false)
		return &lacks{column: int(a.Missing.Column)}, err
	case *pluginpb.Ask_Moments:
		f, err := at(a.Moments.Column, true)
		return &spread{f: f, column: int(a.Moments.Column), moments: make([]data.Moments, width(f))}, err
	case *pluginpb.Ask_Quantiles:
		f, err := at(a.Quantiles.Column, true)
		if err != nil {
			return nil, err
		}
		exact := p.o.ExactValues
		if exact == 0 {
			exact = 16 << 20
		}
		q := &ranks{f: f, column: int(a.Quantiles.Column), probabilities: a.Quantiles.Probabilities, method: a.Quantiles.Method}
		if q.method != pluginpb.QuantileMethod_QUANTILE_METHOD_LINEAR && q.method != pluginpb.QuantileMethod_QUANTILE_METHOD_AVERAGED_INVERTED_CDF {
			return nil, fmt.Errorf("it asks for quantiles by the method %v, which this version of hone does not know", q.method)
		}
		for range width(f) {
			q.values = append(q.values, data.NewQuantiles(max(exact/width(f), 1<<14)))
		}
		return q, nil
	case *pluginpb.Ask_Distinct:
		f, err := at(a.Distinct.Column, false)
		if err == nil && len(f.Shape) > 0 {
			err = fmt.Errorf("it asks for the distinct values of column %q, which has several a row", f.Name)
		}
		return &distinct{f: f, column: int(a.Distinct.Column), limit: int(a.Distinct.Limit), words: map[string]int64{}, numbers: map[float64]int64{}}, err
	case *pluginpb.Ask_Sums:
		return p.newSums(ctx, a.Sums, given, m)
	}
	return nil, fmt.Errorf("it asks for a statistic that this version of hone does not know")
}

func width(f field) int {
	n := 1
	for _, d := range f.Shape {
		n *= d
	}
	return n
}

// lacks counts rows without a value.
type lacks struct {
	column  int
	missing int64
}

func (g *lacks) add(_ context.Context, given []*data.Column, _ piece) error {
	if c := given[g.column]; c.Missing != nil {
		g.missing += int64(c.Missing.Count(c.Rows()))
	}
	return nil
}

func (g *lacks) answer(int64) (*pluginpb.Answer, error) {
	return &pluginpb.Answer{Missing: g.missing}, nil
}

// eachElement calls f with the numbers of each element of a row in turn, NaN where missing.
func eachElement(c *data.Column, buf []float64, f func(element int, values []float64)) []float64 {
	w := c.Width()
	if c.Type == data.F64 && w == 1 && c.Missing == nil {
		f(0, data.Values[float64](c))
		return buf
	}
	buf = slices.Grow(buf[:0], c.Rows())[:c.Rows()]
	for e := range w {
		switch c.Type {
		case data.F64:
			gather(buf, data.Values[float64](c), w, e)
		case data.F32:
			gather(buf, data.Values[float32](c), w, e)
		case data.I64:
			gather(buf, data.Values[int64](c), w, e)
		case data.I32:
			gather(buf, data.Values[int32](c), w, e)
		case data.I8:
			gather(buf, data.Values[int8](c), w, e)
		case data.U8:
			gather(buf, data.Values[uint8](c), w, e)
		default:
			for i := range buf {
				buf[i] = c.Float64At(i, e)
			}
		}
		if c.Missing != nil {
			for i := range buf {
				if c.IsMissing(i) {
					buf[i] = math.NaN()
				}
			}
		}
		f(e, buf)
	}
	return buf
}

func gather[T float64 | float32 | int64 | int32 | int8 | uint8](dst []float64, v []T, w, e int) {
	for i := range dst {
		dst[i] = float64(v[i*w+e])
	}
}

// spread gathers moments.
type spread struct {
	f       field
	column  int
	moments []data.Moments
	buf     []float64
}

func (g *spread) add(_ context.Context, given []*data.Column, _ piece) error {
	g.buf = eachElement(given[g.column], g.buf, func(e int, values []float64) { g.moments[e].Add(values) })
	return nil
}

func (g *spread) answer(int64) (*pluginpb.Answer, error) {
	a := &pluginpb.Answer{}
	for e := range g.moments {
		m := &g.moments[e]
		if m.N == 0 {
			return nil, noValue(g.f)
		}
		a.Count = append(a.Count, m.N)
		a.Mean = append(a.Mean, m.Mean)
		a.Variance = append(a.Variance, m.Variance(false))
		a.Min = append(a.Min, m.Min)
		a.Max = append(a.Max, m.Max)
	}
	return a, nil
}

// noValue reports a column in which nothing can be learned.
func noValue(f field) error {
	return diag.Errorf("all_missing", "column %q has no value in any training row", f.Name).Cell(f.Name, 0).
		Hint("Remove the column (select, or drop_missing with axis = \"columns\"), check what stands for a missing value, or impute a constant before.")
}

// ranks gathers quantiles.
type ranks struct {
	f             field
	column        int
	probabilities []float64
	method        pluginpb.QuantileMethod
	values        []*data.Quantiles
	buf           []float64
}

func (g *ranks) add(_ context.Context, given []*data.Column, _ piece) error {
	g.buf = eachElement(given[g.column], g.buf, func(e int, values []float64) { g.values[e].Add(values) })
	return nil
}

func (g *ranks) answer(int64) (*pluginpb.Answer, error) {
	a := &pluginpb.Answer{Quantiles: make([]float64, len(g.values)*len(g.probabilities))}
	for e, q := range g.values {
		if q.Len() == 0 {
			return nil, noValue(g.f)
		}
		at := q.At
		if g.method == pluginpb.QuantileMethod_QUANTILE_METHOD_AVERAGED_INVERTED_CDF {
			at = q.AveragedInvertedCDF
		}
		for i, x := range at(g.probabilities...) {
			a.Quantiles[i*len(g.values)+e] = x
		}
	}
	return a, nil
}

// distinct counts distinct values. Dictionaries may hold words that no row has:
// only codes that occur count.
type distinct struct {
	f       field
	column  int
	limit   int
	missing int64
	words   map[string]int64
	numbers map[float64]int64
	byCode  []int64
}

func (g *distinct) add(_ context.Context, given []*data.Column, _ piece) error {
	c := given[g.column]
	if c.Type == data.String {
		g.byCode = slices.Grow(g.byCode[:0], len(c.Dict()))[:len(c.Dict())]
		clear(g.byCode)
		for _, code := range c.Codes() {
			if code < 0 {
				g.missing++
			} else {
				g.byCode[code]++
			}
		}
		for code, n := range g.byCode {
			if n > 0 {
				g.words[c.Dict()[code]] += n
			}
		}
	} else {
		for i := range c.Rows() {
			x := c.Float64At(i, 0)
			switch {
			case x != x:
				g.missing++
				continue
			case x == 0:
				x = 0 // -0 is 0
			}
			g.numbers[x]++
		}
	}
	if n := len(g.words) + len(g.numbers); n > g.limit {
		return diag.Errorf("too_many_categories", "column %q has more than %d distinct values", g.f.Name, g.limit).
			Hint("Each would become a category. Use hash, or bucketize for numbers, or leave the column out with select.")
	}
	return nil
}

func (g *distinct) answer(int64) (*pluginpb.Answer, error) {
	a := &pluginpb.Answer{Missing: g.missing, Words: slices.Sorted(maps.Keys(g.words)), Numbers: slices.SortedFunc(maps.Keys(g.numbers), cmp.Compare[float64])}
	if len(a.Words)+len(a.Numbers) == 0 {
		return nil, noValue(g.f)
	}
	for _, w := range a.Words {
		if !utf8.ValidString(w) {
			return nil, diag.Errorf("not_utf8", "column %q has the value %q, which is no UTF-8", g.f.Name, w).
				Hint("Save the file as UTF-8.")
		}
		a.Counts = append(a.Counts, g.words[w])
	}
	for _, x := range a.Numbers {
		a.Counts = append(a.Counts, g.numbers[x])
	}
	return a, nil
}

// sums runs traced accumulations: states that a function replaces, chunk by chunk.
type sums struct {
	s      step // its entries and function
	run    *runner
	params []string // the state that each parameter is, "" for an entry
	states map[string][]byte
	types  map[string]graph.Type
}

func (p *Pipeline) newSums(ctx context.Context, a *pluginpb.AskSums, given []field, m *graph.Module) (gauge, error) {
	st, err := stepOf(&pluginpb.Fitted{Entries: a.Entries})
	if err != nil {
		return nil, err
	}
	g := &sums{s: *st, states: map[string][]byte{}, types: map[string]graph.Type{}}
	start, update := m.Func(a.Function+"/init", graph.Any), m.Func(a.Function+"/update", graph.Any)
	if start == nil || update == nil {
		return nil, fmt.Errorf("there are no functions %q to accumulate with", a.Function)
	}
	g.s.fn = update
	next := 0
	for _, q := range update.Params {
		switch q.Role {
		case graph.Input:
			if next >= len(g.s.Entries) {
				return nil, fmt.Errorf("the accumulation takes more inputs than it describes")
			}
			t, err := g.s.Entries[next].typ(given)
			if err == nil && !t.Equal(q.Type) {
				err = fmt.Errorf("the accumulation takes %v and would be given %v", q.Type, t)
			}
			if err != nil {
				return nil, err
			}
			next++
			g.params = append(g.params, "")
		case graph.StateRole:
			g.params = append(g.params, q.Name)
			g.types[q.Name] = q.Type
		default:
			return nil, fmt.Errorf("the accumulation takes a %v", q.Role)
		}
	}
	for f, role := range map[*graph.Func]graph.Role{start: graph.Output, update: graph.StateRole} {
		n := 0
		for _, r := range f.Results {
			if t, ok := g.types[r.Name]; r.Role != role || !ok || !t.Equal(f.TypeOf(r.Value)) {
				return nil, fmt.Errorf("the accumulation returns %q, which is no state of it", r.Name)
			}
			n++
		}
		if n != len(g.types) || next != len(g.s.Entries) || f == start && len(f.Params) > 0 {
			return nil, fmt.Errorf("the accumulation's functions do not fit each other")
		}
	}
	for i := range g.s.Entries {
		if e := &g.s.Entries[i]; e.How == vocabulary {
			if e.codes, err = newCoder(e); err != nil {
				return nil, err
			}
		}
	}
	// First values are always computed by one portable path.
	res, err := reference.Eval(ctx, m, start.Name, kernels.Options{Mode: graph.Infer, Limits: p.o.Limits})
	if err != nil {
		return nil, err
	}
	for i, r := range start.Results {
		g.states[r.Name] = res[i].Data
	}
	g.run = &runner{backend: p.o.Backend, module: m, fn: update, limits: p.o.Limits, exact: true}
	return g, nil
}

func (g *sums) add(ctx context.Context, given []*data.Column, c piece) error {
	if c.Rows() == 0 {
		return nil
	}
	in := make([][]byte, len(g.params))
	next := 0
	for i, state := range g.params {
		if state != "" {
			in[i] = g.states[state]
			continue
		}
		e := &g.s.Entries[next]
		next++
		b, err := e.enter(given[e.Column], g.s.placed(c))
		if err != nil {
			return err
		}
		in[i] = b
	}
	res, err := g.run.run(ctx, c.Rows(), in)
	if err != nil {
		return err
	}
	for i, r := range g.s.fn.Results {
		g.states[r.Name] = res[i]
	}
	return nil
}

func (g *sums) answer(int64) (*pluginpb.Answer, error) {
	a := &pluginpb.Answer{}
	for _, name := range slices.Sorted(maps.Keys(g.states)) {
		shape, _ := g.types[name].Shape.Const()
		k, err := graph.MarshalConst(name, &graph.Tensor{DType: g.types[name].DType, Shape: shape, Data: g.states[name]})
		if err != nil {
			return nil, err
		}
		a.Sums = append(a.Sums, k)
	}
	return a, nil
}
