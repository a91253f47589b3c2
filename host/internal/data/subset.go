package data

import (
	"context"
	"fmt"
	"io"
)

// SubsetOf returns the given rows of a dataset in the given order: a copy of
// those of a table, a view of others.
func SubsetOf(d Dataset, rows []int64) Dataset {
	if t, ok := d.(*Table); ok {
		return t.Gather(rows)
	}
	return &subset{d, rows}
}

// subset is a dataset's rows by number.
type subset struct {
	Dataset
	rows []int64
}

func (s *subset) Rows() int { return len(s.rows) }

func (s *subset) Take(ctx context.Context, rows []int64) (*Table, error) {
	of := make([]int64, len(rows))
	for i, r := range rows {
		if r < 0 || r >= int64(len(s.rows)) {
			return nil, fmt.Errorf("row %d of %d", r, len(s.rows))
		}
		of[i] = s.rows[r]
	}
	return s.Dataset.Take(ctx, of)
}

func (s *subset) Open(ctx context.Context) (Reader, error) { return &subsetReader{ctx, s, 0}, nil }

type subsetReader struct {
	ctx context.Context
	s   *subset
	at  int
}

func (r *subsetReader) Next() (*Table, error) {
	lo := r.at
	if lo >= len(r.s.rows) {
		return nil, io.EOF
	}
	r.at = min(lo+ChunkRows, len(r.s.rows))
	return r.s.Dataset.Take(r.ctx, r.s.rows[lo:r.at])
}

func (r *subsetReader) Close() error { return nil }

// ColumnOf returns one column of a dataset, in memory; nil where there is none of the name.
func ColumnOf(ctx context.Context, d Dataset, name string) (*Column, error) {
	if t, ok := d.(*Table); ok {
		return t.Column(name), nil
	}
	i := d.Schema().Index(name)
	if i < 0 {
		return nil, nil
	}
	var parts []*Column
	if err := Each(ctx, d, func(t *Table, _ int64) error { parts = append(parts, t.Columns[i]); return nil }); err != nil {
		return nil, err
	}
	return concatColumn(d.Schema()[i], parts, d.Rows()), nil
}

// Bytes returns what the values of n rows take in memory, dictionaries apart.
func (s Schema) Bytes(n int) int64 {
	row := int64(0)
	for _, f := range s {
		row += int64(product(f.Shape)) * int64(f.Type.Size())
	}
	return row * int64(n)
}
