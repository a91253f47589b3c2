package prep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/hone-ml/hone/host/internal/data"
)

// Stream is the rows of a source, transformed as they are read. It is a
// data.Source itself, in chunks of data.ChunkRows rows.
type Stream struct {
	p      *Pipeline
	part   Part
	steps  []*step
	src    data.Source
	raw    []field         // of the columns taken from the source
	absent map[string]bool // columns of the training source that this one lacks
	draws  map[*step][]uint32
	empty  *data.Table
	rows   int
}

// Stream returns the source's rows, transformed for a part. Where a sample or
// filter decides how many rows there are, it goes over them first.
func (p *Pipeline) Stream(ctx context.Context, part Part, src data.Source) (*Stream, error) {
	s, err := p.Prepare(ctx, part, src)
	if err != nil {
		return nil, err
	}
	if s.alters() {
		s.rows = 0
		if err := data.Each(ctx, s, func(t *data.Table, _ int64) error { s.rows += t.Rows(); return nil }); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Prepare is Stream without going over the rows for their number: Rows is then a
// bound where filters leave rows out. It serves who reads to the end anyway.
func (p *Pipeline) Prepare(ctx context.Context, part Part, src data.Source) (*Stream, error) {
	s, err := p.stream(ctx, part, p.steps, src)
	if err != nil {
		return nil, err
	}
	s.rows = src.Rows()
	for _, st := range s.steps {
		if draws, ok := s.draws[st]; ok {
			s.rows = 0
			for _, n := range draws {
				s.rows += int(n)
			}
		}
	}
	return s, nil
}

// stream prepares the source for some of the steps, and draws samples.
func (p *Pipeline) stream(ctx context.Context, part Part, steps []*step, src data.Source) (*Stream, error) {
	s := &Stream{p: p, part: part, steps: steps, src: src, absent: map[string]bool{}, draws: map[*step][]uint32{}}
	if err := s.match(); err != nil {
		return nil, err
	}
	var none []*data.Column
	for _, f := range s.raw {
		if f.Type == data.String {
			none = append(none, data.NewStrings(f.Name, nil, nil))
		} else {
			none = append(none, columnOf(f.Field, 0, nil, nil))
		}
	}
	t, err := data.NewTable(none...)
	if err != nil {
		return nil, err
	}
	c, err := s.flow().push(ctx, piece{Table: t})
	if err != nil {
		return nil, err
	}
	if s.empty, err = s.last(c.Table); err != nil {
		return nil, err
	}
	if part == Train {
		for i, st := range steps {
			if st.Sample != nil {
				if err := s.sample(ctx, i); err != nil {
					return nil, err
				}
			}
		}
	}
	return s, nil
}

// match finds the columns of the training source in this one. Rows to predict have no
// targets: where they do they are not looked at.
func (s *Stream) match() error {
	have := s.src.Schema()
	for i, f := range s.p.raw {
		if have.Index(f.Name) >= 0 && !(f.target && s.part == Predict) {
			s.raw = append(s.raw, f)
			continue
		}
		s.absent[f.Name] = true
		if f.target && s.part == Predict || !s.p.reads(i) {
			continue
		}
		where := map[Part]string{Train: "the training data", Evaluate: "the data to evaluate on", Predict: "the data to predict"}[s.part]
		d := data.MissingColumn(where, f.Name, have)
		return d.Cell(f.Name, 0).Hint("%s A transform computes from it: the rows must have it as the training rows had, %v.", d.Detail, f.Field)
	}
	return nil
}

// alters reports whether the rows are others than those of the source.
func (s *Stream) alters() bool {
	return slices.ContainsFunc(s.steps, func(st *step) bool {
		return st.Filter && s.part != Predict || st.Sample != nil && s.part == Train
	})
}

func (s *Stream) flow() *flow {
	return &flow{p: s.p, part: s.part, steps: s.steps, draws: s.draws, absent: s.absent, seen: map[*step]int{}}
}

// Schema returns the fields of the transformed rows.
func (s *Stream) Schema() data.Schema { return s.empty.Schema() }

// Rows returns the number of transformed rows.
func (s *Stream) Rows() int { return s.rows }

// Digest returns that of the source.
func (s *Stream) Digest() string { return s.src.Digest() }

// Open begins a pass.
func (s *Stream) Open(ctx context.Context) (data.Reader, error) { return s.open(ctx) }

func (s *Stream) open(ctx context.Context) (*streamReader, error) {
	r, err := s.src.Open(ctx)
	if err != nil {
		return nil, err
	}
	sr := &streamReader{ctx: ctx, s: s, in: r, flow: s.flow(), alters: s.alters()}
	if sr.alters {
		sr.origins = []int64{}
	}
	return sr, nil
}

type streamReader struct {
	ctx     context.Context
	s       *Stream
	in      data.Reader
	flow    *flow
	alters  bool
	first   int64
	waiting []*data.Table // transformed rows that do not fill a chunk yet
	n       int
	end     bool
	origins []int64 // of all rows so far, where rows alter
}

// Next returns the next chunk. Where rows alter, chunks are put together anew, so
// that they are those of a table of the same rows.
func (r *streamReader) Next() (*data.Table, error) {
	for !r.end && r.n < data.ChunkRows {
		t, err := r.in.Next()
		if errors.Is(err, io.EOF) {
			r.end = true
			break
		}
		if err != nil {
			return nil, err
		}
		if t, err = r.transform(t); err != nil {
			return nil, err
		}
		if !r.alters {
			return t, nil
		}
		if t.Rows() > 0 {
			r.waiting = append(r.waiting, t)
			r.n += t.Rows()
		}
	}
	if r.n == 0 {
		return nil, io.EOF
	}
	all := r.waiting[0]
	if len(r.waiting) > 1 {
		var err error
		if all, err = data.ReadAll(r.ctx, &pieces{r.s, r.waiting}); err != nil {
			return nil, err
		}
	}
	if r.n <= data.ChunkRows {
		r.waiting, r.n = nil, 0
		return all, nil
	}
	r.waiting, r.n = []*data.Table{all.Slice(data.ChunkRows, r.n)}, r.n-data.ChunkRows
	return all.Slice(0, data.ChunkRows), nil
}

func (r *streamReader) transform(t *data.Table) (*data.Table, error) {
	first := r.first
	r.first += int64(t.Rows())
	columns := make([]*data.Column, len(r.s.raw))
	for i, f := range r.s.raw {
		c := t.Column(f.Name)
		if c == nil {
			return nil, fmt.Errorf("a chunk of the data lacks column %q", f.Name)
		}
		var err error
		if columns[i], err = conform(c, f.Field, first); err != nil {
			return nil, err
		}
	}
	t, err := data.NewTable(columns...)
	if err != nil {
		return nil, err
	}
	c, err := r.flow.push(r.ctx, piece{Table: t, first: first})
	if err != nil {
		return nil, err
	}
	if r.alters {
		for i := range c.Rows() {
			r.origins = append(r.origins, c.row(i))
		}
	}
	return r.s.last(c.Table)
}

func (r *streamReader) Close() error { return r.in.Close() }

// last rounds float64 columns to float32 after all steps, unless told otherwise.
// The steps of a fit in progress hand on what they have.
func (s *Stream) last(t *data.Table) (*data.Table, error) {
	if s.p.o.Float64 || s.p.fitting {
		return t, nil
	}
	columns := slices.Clone(t.Columns)
	for i, c := range columns {
		if c.Type == data.F64 {
			columns[i] = rounded(c)
		}
	}
	return data.NewTable(columns...)
}

func rounded(c *data.Column) *data.Column {
	v := data.Values[float64](c)
	w := make([]float32, len(v))
	for i, x := range v {
		w[i] = float32(x)
	}
	n := data.NewColumn(c.Name, c.Shape, w)
	n.Missing = c.Missing
	return n
}

// pieces is tables of one schema as a source, to be put together.
type pieces struct {
	*Stream
	tables []*data.Table
}

func (p *pieces) Open(context.Context) (data.Reader, error) { return &piecesReader{p.tables}, nil }

type piecesReader struct{ left []*data.Table }

func (r *piecesReader) Next() (*data.Table, error) {
	if len(r.left) == 0 {
		return nil, io.EOF
	}
	t := r.left[0]
	r.left = r.left[1:]
	return t, nil
}

func (r *piecesReader) Close() error { return nil }

// once is a stream that is read by a reader already opened, which then tells more
// than rows.
type once struct {
	*Stream
	r *streamReader
}

func (o *once) Open(context.Context) (data.Reader, error) { return o.r, nil }
