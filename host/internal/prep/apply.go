package prep

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/sdk/graph"
)

// Apply transforms a table. It returns the new one and, for each of its rows, the
// row of t that it came from; nil says that they are the rows of t in order. Rows
// that a sample draws more than once stand one after another.
func (p *Pipeline) Apply(ctx context.Context, part Part, t *data.Table) (*data.Table, []int64, error) {
	s, err := p.stream(ctx, part, p.steps, t)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	out, err := data.ReadAll(ctx, &once{s, r})
	if err != nil {
		return nil, nil, err
	}
	return out.WithDigest(t.Digest()), r.origins, nil
}

// piece is a chunk on its way through the steps. rows are the numbers of its rows
// in the source; nil where they are first, first+1, ...
type piece struct {
	*data.Table
	first int64
	rows  []int64
}

func (p *piece) row(i int) int64 {
	if p.rows == nil {
		return p.first + int64(i)
	}
	return p.rows[i]
}

// flow moves the chunks of one pass through steps, in order.
type flow struct {
	p      *Pipeline
	part   Part
	steps  []*step
	draws  map[*step][]uint32 // how often samples drew each row, from an earlier pass
	groups *[]int32           // in that pass: the rows' groups
	absent map[string]bool    // columns that rows to predict lack
	seen   map[*step]int      // rows that have reached a sample
}

func (f *flow) push(ctx context.Context, c piece) (piece, error) {
	for _, s := range f.steps {
		var err error
		if c, err = f.step(ctx, s, c); err != nil {
			return piece{}, err
		}
	}
	return c, nil
}

// step applies one step to a chunk.
func (f *flow) step(ctx context.Context, s *step, c piece) (piece, error) {
	if s.Augment {
		return c, nil
	}
	given, lacking := s.from(c.Table)
	var results map[string][]byte
	var err error
	// A transform of nothing but absent targets has nothing to do.
	skip := lacking && !s.readsAny(given)
	if !skip {
		if results, err = s.compute(ctx, given, c, nil); err != nil {
			return piece{}, err
		}
	}
	columns := make(map[string]*data.Column, len(s.Columns))
	for i := range s.Columns {
		m := &s.Columns[i]
		switch {
		case m.Pass > 0:
			if g := given[m.Pass-1]; g != nil {
				columns[m.Name] = g.Renamed(m.Name)
			}
		case skip || f.absent[m.Name]:
		default:
			col, err := s.column(m, given, results, c)
			if err != nil {
				return piece{}, err
			}
			columns[m.Name] = col
		}
	}
	out, err := s.arrange(c.Table, columns, f.p.held)
	if err != nil {
		return piece{}, fmt.Errorf("transform %q: %w", s.Name, err)
	}
	n := piece{Table: out, first: c.first, rows: c.rows}
	if skip || f.part == Predict {
		return n, nil
	}
	if s.Filter {
		n = n.keep(results["keep"])
	}
	if s.Sample != nil && f.part == Train {
		n, err = f.draw(s, n, results["group"])
	}
	return n, err
}

// from returns the columns that the step is given, nil for those that the table
// lacks, and whether it lacks one.
func (s *step) from(t *data.Table) (given []*data.Column, lacking bool) {
	given = make([]*data.Column, len(s.Given))
	for i, name := range s.Given {
		given[i] = t.Column(name)
		lacking = lacking || given[i] == nil
	}
	return given, lacking
}

// readsAny reports whether an input of the function comes from a column that is there.
func (s *step) readsAny(given []*data.Column) bool {
	return slices.ContainsFunc(s.Entries, func(e entry) bool { return given[e.Column] != nil })
}

func (s *step) placed(p piece) *placed { return &placed{name: s.Name, at: s.at, row: p.row} }

// random is what an augmentation draws from.
type random struct {
	seed     uint64
	epoch    uint64
	examples []int64
}

// compute runs the step's function on a chunk and returns its results by name.
func (s *step) compute(ctx context.Context, given []*data.Column, c piece, r *random) (map[string][]byte, error) {
	out := map[string][]byte{}
	if len(s.fn.Results) == 0 || c.Rows() == 0 {
		return out, nil
	}
	in := make([][]byte, len(s.fn.Params))
	next, keys := 0, 0
	for i, p := range s.fn.Params {
		switch p.Role {
		case graph.KeyRole:
			in[i] = bytesOf([]uint64{graph.DeriveKey(r.seed, "transform."+s.Name, keys)})
			keys++
			continue
		case graph.StepRole:
			in[i] = bytesOf([]uint64{r.epochNumber()})
			continue
		case graph.IndexRole:
			in[i] = bytesOf(r.exampleNumbers(c))
			continue
		}
		e := &s.Entries[next]
		next++
		col := given[e.Column]
		if col == nil {
			// A target that rows to predict lack, beside other columns: missing in all rows.
			in[i] = absentBytes(e, p.Type, c.Rows())
			continue
		}
		b, err := e.enter(col, s.placed(c))
		if err != nil {
			return nil, err
		}
		in[i] = b
	}
	res, err := s.run.run(ctx, c.Rows(), in)
	if err != nil {
		return nil, fmt.Errorf("transform %q: %w", s.Name, err)
	}
	for i, v := range s.fn.Results {
		out[v.Name] = res[i]
	}
	return out, nil
}

func (r *random) epochNumber() uint64 {
	if r == nil {
		return 0
	}
	return r.epoch
}

func (r *random) exampleNumbers(c piece) []int64 {
	if r != nil {
		return r.examples
	}
	rows := make([]int64, c.Rows())
	for i := range rows {
		rows[i] = c.row(i)
	}
	return rows
}

// absentBytes is the input of a column without any value.
func absentBytes(e *entry, t graph.Type, rows int) []byte {
	n := rows
	extents, _ := t.Shape[1:].Const()
	for _, d := range extents {
		n *= int(d)
	}
	v := make([]float64, n)
	code := int32(-1)
	switch e.How {
	case missing:
		b := make([]byte, n)
		for i := range b {
			b[i] = 1
		}
		return b
	case vocabulary:
		code = e.codes.n + 1
	case hashBucket:
		code = int32(e.Buckets)
	}
	if code >= 0 {
		codes := make([]int32, n)
		for i := range codes {
			codes[i] = code
		}
		return bytesOf(codes)
	}
	if !t.DType.IsFloat() {
		return make([]byte, n*t.DType.Size())
	}
	for i := range v {
		v[i] = math.NaN()
	}
	if t.DType == graph.F64 {
		return bytesOf(v)
	}
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(v[i])
	}
	return bytesOf(w)
}

// column makes a column that leaves the step from the function's results.
func (s *step) column(m *made, given []*data.Column, results map[string][]byte, c piece) (*data.Column, error) {
	var mask data.Bitmap
	switch {
	case c.Rows() == 0:
	case m.MissingBy > 0:
		mask = maskOf(results[resultName(m.MissingBy)], c.Rows())
	case m.MissingAs > 0 && given[m.MissingAs-1] != nil:
		mask = given[m.MissingAs-1].Missing
	}
	b := results[resultName(m.Output)]
	if m.isText() {
		return s.words(m, given, seen[int32](b, c.Rows()), mask), nil
	}
	t := s.result(resultName(m.Output))
	extents, _ := t.Shape[1:].Const()
	f := data.Field{Name: m.Name, Type: typeOf(t.DType)}
	for _, d := range extents {
		f.Shape = append(f.Shape, int(d))
	}
	col := columnOf(f, c.Rows(), b, mask)
	return col, s.finite(col, c)
}

// finite reports an infinite number, or one that is none, in a column of one
// number a row; elements of larger ones may be NaN, as they may be when they enter.
func (s *step) finite(c *data.Column, p piece) error {
	if !c.Type.Float() {
		return nil
	}
	at := infinite(c, len(c.Shape) == 0)
	if at < 0 {
		return nil
	}
	row := at / c.Width()
	what := fmt.Sprint(c.Float64At(row, at%c.Width()))
	if math.IsNaN(c.Float64At(row, at%c.Width())) {
		what = "not a number"
	}
	return s.placed(p).trouble("not_finite", "the transform %q makes column %q %s in row %d", s.Name, c.Name, what, p.row(row)+1).Cell(c.Name, p.row(row)+1).
		Hint("The row's value lies where the transform is not defined, such as -1 and less for log1p. Correct it, or clip it before.")
}

// infinite returns the place of the first infinite element of a row that has a value, or,
// where nan is set, of the first NaN; -1 for none.
func infinite(c *data.Column, nan bool) int {
	w := c.Width()
	switch c.Type {
	case data.F64:
		for i, x := range data.Values[float64](c) {
			if x-x != 0 && (nan || x == x) && !c.IsMissing(i/w) {
				return i
			}
		}
	case data.F32:
		for i, x := range data.Values[float32](c) {
			if x-x != 0 && (nan || x == x) && !c.IsMissing(i/w) {
				return i
			}
		}
	}
	return -1
}

// words makes a column of text from codes: of the made column's own words, and
// beyond them of what another column holds.
func (s *step) words(m *made, given []*data.Column, codes []int32, mask data.Bitmap) *data.Column {
	dict := append([]string{}, m.Words...)
	var from *data.Column
	shift := make(map[int32]int32)
	if m.WordsFrom > 0 {
		from = given[m.WordsFrom-1]
	}
	own := make(map[string]int32, len(dict))
	for i, w := range dict {
		own[w] = int32(i)
	}
	out := make([]int32, len(codes))
	for i, code := range codes {
		switch {
		case mask.Get(i):
			out[i] = -1
		case code >= 0 && int(code) < len(m.Words):
			out[i] = code
		case from == nil || from.Codes()[i] < 0:
			out[i] = -1
		default:
			theirs := from.Codes()[i]
			to, ok := shift[theirs]
			if !ok {
				w := from.Dict()[theirs]
				if to, ok = own[w]; !ok {
					to = int32(len(dict))
					dict = append(dict, w)
				}
				shift[theirs] = to
			}
			out[i] = to
		}
	}
	return data.NewStrings(m.Name, out, dict)
}

// arrange puts the step's columns in the places that out says.
func (s *step) arrange(t *data.Table, columns map[string]*data.Column, held func(string) bool) (*data.Table, error) {
	given := make(map[string]bool, len(s.Given))
	for _, name := range s.Given {
		given[name] = true
	}
	last := -1
	for i, c := range t.Columns {
		if given[c.Name] {
			last = i
		}
	}
	var out []*data.Column
	put := func(name string) {
		if c := columns[name]; c != nil {
			out = append(out, c)
		}
	}
	for i, c := range t.Columns {
		switch {
		case given[c.Name]:
			put(c.Name)
		case !s.DropOthers || held(c.Name):
			out = append(out, c)
		}
		if i == last {
			for j := range s.Columns {
				if name := s.Columns[j].Name; !given[name] {
					put(name)
				}
			}
		}
	}
	n, err := data.NewTable(out...)
	if err == nil && len(out) == 0 {
		err = errors.New("no column is left")
	}
	return n, err
}

// held reports whether a column is a target or set aside, which no transform drops
// unasked.
func (p *Pipeline) held(name string) bool {
	i := find(p.raw, name)
	return i >= 0 && (p.raw[i].target || p.raw[i].aside)
}

// keep returns the rows whose bools hold.
func (p piece) keep(keep []byte) piece {
	var rows []int64
	for i := range p.Rows() {
		if keep[i] != 0 {
			rows = append(rows, int64(i))
		}
	}
	if len(rows) == p.Rows() {
		return p
	}
	return p.gather(rows)
}

func (p piece) gather(rows []int64) piece {
	origin := make([]int64, len(rows))
	for i, r := range rows {
		origin[i] = p.row(int(r))
	}
	return piece{Table: p.Table.Gather(rows), first: p.first, rows: origin}
}
