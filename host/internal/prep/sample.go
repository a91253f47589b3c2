package prep

import (
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/sdk/graph"
)

// sample goes over the rows up to step i, which is a sample, and draws.
func (s *Stream) sample(ctx context.Context, i int) error {
	f := s.flow()
	f.steps = s.steps[:i+1]
	f.groups = &[]int32{}
	err := data.Each(ctx, s.src, func(t *data.Table, first int64) error {
		r := &streamReader{ctx: ctx, s: s, flow: f, first: first}
		_, err := r.transform(t)
		return err
	})
	if err != nil {
		return err
	}
	st := s.steps[i]
	s.draws[st] = drawCopies(*f.groups, st.Sample, graph.DeriveKey(s.p.o.Seed, "transform."+st.Name, 0))
	return nil
}

// draw repeats the rows of a chunk as often as they were drawn, or, in the pass before
// that, takes down their groups.
func (f *flow) draw(s *step, p piece, groups []byte) (piece, error) {
	copies, ok := f.draws[s]
	if !ok {
		if f.groups != nil {
			*f.groups = append(*f.groups, seen[int32](groups, p.Rows())...)
		}
		return p, nil
	}
	var rows []int64
	at := f.seen[s]
	for i := range p.Rows() {
		for range copies[at+i] {
			rows = append(rows, int64(i))
		}
	}
	f.seen[s] = at + p.Rows()
	return p.gather(rows), nil
}

// drawCopies says how often each row stays: every group has counts[g] rows in the
// end, drawn without replacement where it has more, and where it has fewer all of
// them and the others with replacement. Rows of other groups stay once. The draws
// are Philox words below the key and a counter of group and draw.
func drawCopies(groups []int32, counts []int64, key uint64) []uint32 {
	copies := make([]uint32, len(groups))
	members := make([][]int32, len(counts))
	for row, g := range groups {
		if g < 0 || int(g) >= len(counts) {
			copies[row] = 1
			continue
		}
		members[g] = append(members[g], int32(row))
	}
	for g, rows := range members {
		n, want := len(rows), int(counts[g])
		if n == 0 {
			continue
		}
		if want < n {
			for i := range want {
				j := i + int(below(key, g, i, uint64(n-i)))
				rows[i], rows[j] = rows[j], rows[i]
				copies[rows[i]]++
			}
			continue
		}
		for _, row := range rows {
			copies[row] = 1
		}
		for i := range want - n {
			copies[rows[below(key, g, i, uint64(n))]]++
		}
	}
	return copies
}

// below draws a number uniform in 0..m-1: the upper half of the product of a 64-bit
// draw and m, drawn again where the lower half would favour small numbers.
func below(key uint64, group, draw int, m uint64) uint64 {
	for attempt := uint32(0); ; attempt++ {
		w := graph.Philox4x32([4]uint32{uint32(draw), uint32(uint64(draw) >> 32), uint32(group), attempt}, graph.SplitKey(key))
		hi, lo := bits.Mul64(uint64(w[0])|uint64(w[1])<<32, m)
		if lo >= m || lo >= -m%m {
			return hi
		}
	}
}

// Augment applies the augmentations to a batch of rows that Apply gave for
// training. examples are the rows' numbers in the training table and decide, with
// the seed and the epoch, what is drawn: the batch, its size and the number of
// threads do not.
func (p *Pipeline) Augment(ctx context.Context, t *data.Table, examples []int64, epoch uint64) (*data.Table, error) {
	if len(examples) != t.Rows() {
		return nil, fmt.Errorf("augmenting %d rows with the numbers of %d", t.Rows(), len(examples))
	}
	for _, s := range p.steps {
		if !s.Augment {
			continue
		}
		for first := 0; first < t.Rows(); first += data.ChunkRows {
			n := min(data.ChunkRows, t.Rows()-first)
			c := piece{Table: t.Slice(first, first+n), first: int64(first)}
			out, err := p.augment(ctx, s, c, &random{seed: p.o.Seed, epoch: epoch, examples: examples[first : first+n]})
			if err != nil {
				return nil, err
			}
			if n == t.Rows() {
				t = out
				break
			}
			if t, err = overwrite(t, out, first); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func (p *Pipeline) augment(ctx context.Context, s *step, c piece, r *random) (*data.Table, error) {
	given, lacking := s.from(c.Table)
	if lacking {
		return nil, fmt.Errorf("the batch lacks a column of the augmentation %q, which has %v", s.Name, s.Given)
	}
	wide := make([]*data.Column, len(given))
	for i, g := range given {
		f := g.Field()
		if f.Type == data.F32 && slices.ContainsFunc(p.atStep(s), func(o field) bool { return o.Name == f.Name && o.Type == data.F64 }) {
			f.Type = data.F64 // rounded at the end of the pipeline
		}
		var err error
		if wide[i], err = conform(g, f, c.first); err != nil {
			return nil, err
		}
	}
	results, err := s.compute(ctx, wide, c, r)
	if err != nil {
		return nil, err
	}
	columns := map[string]*data.Column{}
	for i := range s.Columns {
		m := &s.Columns[i]
		if m.Pass > 0 {
			columns[m.Name] = given[m.Pass-1]
			continue
		}
		col, err := s.column(m, wide, results, c)
		if err != nil {
			return nil, err
		}
		if col.Type == data.F64 && c.Column(m.Name).Type == data.F32 {
			col = rounded(col)
		}
		columns[m.Name] = col
	}
	return s.arrange(c.Table, columns, p.held)
}

// atStep returns the fields that reach a step.
func (p *Pipeline) atStep(s *step) []field {
	fs := p.raw
	for _, e := range p.steps {
		if e == s {
			break
		}
		fs = e.out(fs)
	}
	return fs
}

// overwrite returns t with the rows of part from first on, whose columns it copies
// where they differ.
func overwrite(t, part *data.Table, first int) (*data.Table, error) {
	columns := make([]*data.Column, len(t.Columns))
	for i, c := range t.Columns {
		n := part.Columns[i]
		if c.Type == data.String || n == c {
			columns[i] = c
			continue
		}
		all := alignedBytes(c.Rows() * c.Width() * c.Type.Size())
		copy(all, columnBytes(c))
		copy(all[first*c.Width()*c.Type.Size():], columnBytes(n))
		columns[i] = columnOf(c.Field(), c.Rows(), all, c.Missing)
	}
	return data.NewTable(columns...)
}
