package data

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Table is columns of the same number of rows, in memory. It does not change
// once made, and may be read by many goroutines.
type Table struct {
	Columns []*Column
	rows    int
	digest  string
}

// NewTable makes a table of columns, which must be equally long and have
// different names.
func NewTable(columns ...*Column) (*Table, error) {
	t := &Table{Columns: columns}
	seen := map[string]bool{}
	for i, c := range columns {
		if i == 0 {
			t.rows = c.rows
		}
		if c.rows != t.rows {
			return nil, fmt.Errorf("column %q has %d rows, column %q has %d", c.Name, c.rows, columns[0].Name, t.rows)
		}
		if seen[c.Name] {
			return nil, fmt.Errorf("two columns are called %q", c.Name)
		}
		seen[c.Name] = true
	}
	return t, nil
}

// Column returns the named column, or nil.
func (t *Table) Column(name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Rows returns the number of rows.
func (t *Table) Rows() int { return t.rows }

// Schema returns the columns' fields.
func (t *Table) Schema() Schema {
	s := make(Schema, len(t.Columns))
	for i, c := range t.Columns {
		s[i] = c.Field()
	}
	return s
}

// Digest returns that of the file which the table was read from, or "".
func (t *Table) Digest() string { return t.digest }

// WithDigest returns the table with another digest, sharing everything else.
func (t *Table) WithDigest(digest string) *Table {
	c := *t
	c.digest = digest
	return &c
}

// Slice returns rows lo up to hi, sharing the values.
func (t *Table) Slice(lo, hi int) *Table {
	s := &Table{Columns: make([]*Column, len(t.Columns)), rows: hi - lo, digest: t.digest}
	for i, c := range t.Columns {
		s.Columns[i] = c.Slice(lo, hi)
	}
	return s
}

// Gather returns the given rows in the given order, as a copy.
func (t *Table) Gather(rows []int64) *Table {
	g := &Table{Columns: make([]*Column, len(t.Columns)), rows: len(rows), digest: t.digest}
	for i, c := range t.Columns {
		g.Columns[i] = c.Gather(rows)
	}
	return g
}

// Select returns the named columns in the given order, sharing them. A name the
// table lacks is an error.
func (t *Table) Select(names ...string) (*Table, error) {
	s := &Table{Columns: make([]*Column, len(names)), rows: t.rows, digest: t.digest}
	for i, name := range names {
		if s.Columns[i] = t.Column(name); s.Columns[i] == nil {
			return nil, MissingColumn("the table", name, t.Schema())
		}
	}
	return s, nil
}

// Take is Gather as Dataset has it; a row out of range is an error.
func (t *Table) Take(_ context.Context, rows []int64) (*Table, error) {
	for _, r := range rows {
		if r < 0 || r >= int64(t.rows) {
			return nil, fmt.Errorf("row %d of a table with %d rows", r, t.rows)
		}
	}
	return t.Gather(rows), nil
}

// Open begins a pass in chunks of ChunkRows rows, which share the table's values.
func (t *Table) Open(ctx context.Context) (Reader, error) {
	return &tableReader{ctx: ctx, table: t}, nil
}

type tableReader struct {
	ctx   context.Context
	table *Table
	at    int
}

func (r *tableReader) Next() (*Table, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	if r.at >= r.table.rows {
		return nil, io.EOF
	}
	lo := r.at
	r.at = min(lo+ChunkRows, r.table.rows)
	return r.table.Slice(lo, r.at), nil
}

func (r *tableReader) Close() error { return nil }

// concat puts tables of one schema one after another. Dictionaries are merged
// in order of first appearance.
func concat(schema Schema, parts []*Table) (*Table, error) {
	rows := 0
	for _, p := range parts {
		if len(p.Columns) != len(schema) {
			return nil, fmt.Errorf("a part of the table has %d columns, not %d", len(p.Columns), len(schema))
		}
		rows += p.rows
	}
	out := &Table{Columns: make([]*Column, len(schema)), rows: rows}
	column := make([]*Column, len(parts))
	for i, f := range schema {
		for j, p := range parts {
			c := p.Columns[i]
			if c.Type != f.Type || !slices.Equal(c.Shape, f.Shape) {
				return nil, fmt.Errorf("column %v is %v in a part of the table", f, c.Field())
			}
			column[j] = c
		}
		out.Columns[i] = concatColumn(f, column, rows)
	}
	return out, nil
}

func concatColumn(f Field, parts []*Column, rows int) *Column {
	out := newEmpty(f, rows)
	if f.Type == String {
		concatStrings(out, parts)
	} else {
		at := 0
		for _, p := range parts {
			switch v := p.values.(type) {
			case []float64:
				copy(out.values.([]float64)[at:], v)
			case []float32:
				copy(out.values.([]float32)[at:], v)
			case []int64:
				copy(out.values.([]int64)[at:], v)
			case []int32:
				copy(out.values.([]int32)[at:], v)
			case []int8:
				copy(out.values.([]int8)[at:], v)
			case []uint8:
				copy(out.values.([]uint8)[at:], v)
			case []bool:
				copy(out.values.([]bool)[at:], v)
			}
			at += p.rows * p.Width()
		}
	}
	row := 0
	for _, p := range parts {
		if p.Missing != nil {
			if out.Missing == nil {
				out.Missing = NewBitmap(rows)
			}
			for i := range p.rows {
				if p.Missing.Get(i) {
					out.Missing.Set(row + i)
				}
			}
		}
		row += p.rows
	}
	return out
}

func concatStrings(out *Column, parts []*Column) {
	codes := out.values.([]int32)
	index := map[string]int32{}
	var renumber []int32
	at := 0
	for _, p := range parts {
		renumber = renumber[:0]
		for range p.dict {
			renumber = append(renumber, -1)
		}
		for i, code := range p.values.([]int32) {
			if code < 0 {
				codes[at+i] = -1
				continue
			}
			to := renumber[code]
			if to < 0 {
				s := p.dict[code]
				known, ok := index[s]
				if !ok {
					known = int32(len(out.dict))
					index[s] = known
					out.dict = append(out.dict, s)
				}
				to = known
				renumber[code] = to
			}
			codes[at+i] = to
		}
		at += p.rows
	}
}
