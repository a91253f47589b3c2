package data

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Spilled is a table on disk: random access for what does not fit into memory. Rows lie one after
// another as records of fixed length, so that a shuffled batch takes one read
// a row; of the values only the dictionaries of strings are in memory.
type Spilled struct {
	schema Schema
	rows   int
	digest string
	dicts  [][]string
	file   *os.File
	layout spillLayout

	unnamed bool // the file is gone from its folder already
}

// spillLayout says where a column's elements lie in a record: one after another, little-endian,
// behind them all one bit a column for missing values.
type spillLayout struct {
	offsets []int
	bits    int
	length  int
}

func newSpillLayout(schema Schema) spillLayout {
	var l spillLayout
	for _, f := range schema {
		l.offsets = append(l.offsets, l.length)
		l.length += product(f.Shape) * f.Type.Size()
	}
	l.bits = l.length
	l.length += (len(schema) + 7) / 8
	return l
}

// Spill copies a source to a temporary file in dir ("" for the system's folder),
// which Close removes. Strings are numbered over the whole source.
func Spill(ctx context.Context, src Source, dir string) (_ *Spilled, err error) {
	f, err := os.CreateTemp(dir, "hone-rows-*")
	if err != nil {
		return nil, spillError(dir, err)
	}
	s := &Spilled{schema: src.Schema(), digest: src.Digest(), file: f, layout: newSpillLayout(src.Schema())}
	// Where the system lets go of the name at once, nothing stays behind whatever happens.
	s.unnamed = os.Remove(f.Name()) == nil
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	s.dicts = make([][]string, len(s.schema))
	numbers := make([]map[string]int32, len(s.schema))
	var buf []byte
	err = Each(ctx, src, func(t *Table, _ int64) error {
		n := t.rows * s.layout.length
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		clear(buf)
		for i, c := range t.Columns {
			if c.Type == String {
				if numbers[i] == nil {
					numbers[i] = map[string]int32{}
				}
				c = renumber(c, numbers[i], &s.dicts[i])
			}
			s.layout.pack(buf, i, c)
		}
		if _, err := f.Write(buf); err != nil {
			return spillError(f.Name(), err)
		}
		s.rows += t.rows
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func spillError(where string, err error) error {
	return diag.Errorf("spill_failed", "rows that do not fit into memory cannot be written to disk: %w", err).
		At(diag.Range{File: where}).Hint("Make room there, or name another folder by the environment variable TMPDIR.")
}

// renumber gives a chunk's strings the numbers of the whole source, in order of
// first appearance, as a table in memory has them. Words that no row has get none.
func renumber(c *Column, numbers map[string]int32, dict *[]string) *Column {
	to := make([]int32, len(c.dict))
	for i := range to {
		to[i] = -1
	}
	codes := make([]int32, c.rows)
	for i, code := range c.Codes() {
		codes[i] = -1
		if code < 0 {
			continue
		}
		if to[code] < 0 {
			w := c.dict[code]
			n, known := numbers[w]
			if !known {
				n = int32(len(*dict))
				numbers[w] = n
				*dict = append(*dict, w)
			}
			to[code] = n
		}
		codes[i] = to[code]
	}
	return &Column{Name: c.Name, Type: String, Missing: c.Missing, rows: c.rows, values: codes}
}

// pack writes a column into the records of buf.
func (l spillLayout) pack(buf []byte, column int, c *Column) {
	w := c.Width()
	le := binary.LittleEndian
	put := func(element func(b []byte, i int), size int) {
		for r := range c.rows {
			at := r*l.length + l.offsets[column]
			for i := range w {
				element(buf[at+i*size:], r*w+i)
			}
		}
	}
	switch v := c.values.(type) {
	case []float64:
		put(func(b []byte, i int) { le.PutUint64(b, math.Float64bits(v[i])) }, 8)
	case []float32:
		put(func(b []byte, i int) { le.PutUint32(b, math.Float32bits(v[i])) }, 4)
	case []int64:
		put(func(b []byte, i int) { le.PutUint64(b, uint64(v[i])) }, 8)
	case []int32:
		put(func(b []byte, i int) { le.PutUint32(b, uint32(v[i])) }, 4)
	case []int8:
		put(func(b []byte, i int) { b[0] = byte(v[i]) }, 1)
	case []uint8:
		for r := range c.rows {
			copy(buf[r*l.length+l.offsets[column]:], v[r*w:(r+1)*w])
		}
	case []bool:
		put(func(b []byte, i int) {
			if v[i] {
				b[0] = 1
			}
		}, 1)
	}
	for r := range c.rows {
		if c.Missing.Get(r) {
			buf[r*l.length+l.bits+column/8] |= 1 << (column % 8)
		}
	}
}

// unpack reads a column of n records.
func (l spillLayout) unpack(buf []byte, column int, f Field, dict []string, n int) *Column {
	c := newEmpty(f, n)
	c.dict = dict
	w := c.Width()
	le := binary.LittleEndian
	get := func(element func(b []byte, i int), size int) {
		for r := range n {
			at := r*l.length + l.offsets[column]
			for i := range w {
				element(buf[at+i*size:], r*w+i)
			}
		}
	}
	switch v := c.values.(type) {
	case []float64:
		get(func(b []byte, i int) { v[i] = math.Float64frombits(le.Uint64(b)) }, 8)
	case []float32:
		get(func(b []byte, i int) { v[i] = math.Float32frombits(le.Uint32(b)) }, 4)
	case []int64:
		get(func(b []byte, i int) { v[i] = int64(le.Uint64(b)) }, 8)
	case []int32:
		get(func(b []byte, i int) { v[i] = int32(le.Uint32(b)) }, 4)
	case []int8:
		get(func(b []byte, i int) { v[i] = int8(b[0]) }, 1)
	case []uint8:
		for r := range n {
			copy(v[r*w:(r+1)*w], buf[r*l.length+l.offsets[column]:])
		}
	case []bool:
		get(func(b []byte, i int) { v[i] = b[0] != 0 }, 1)
	}
	for r := range n {
		if buf[r*l.length+l.bits+column/8]>>(column%8)&1 != 0 {
			if c.Missing == nil {
				c.Missing = NewBitmap(n)
			}
			c.Missing.Set(r)
		}
	}
	return c
}

// Schema returns the columns.
func (s *Spilled) Schema() Schema { return s.schema }

// Rows returns the number of rows.
func (s *Spilled) Rows() int { return s.rows }

// Digest returns that of the source.
func (s *Spilled) Digest() string { return s.digest }

// Take reads rows by number, in the given order. It may be called from many goroutines.
func (s *Spilled) Take(ctx context.Context, rows []int64) (*Table, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	buf, err := s.records(rows)
	if err != nil {
		return nil, err
	}
	t := &Table{Columns: make([]*Column, len(s.schema)), rows: len(rows), digest: s.digest}
	for i, f := range s.schema {
		t.Columns[i] = s.layout.unpack(buf, i, f, s.dicts[i], len(rows))
	}
	return t, nil
}

// readOver is the most bytes between two wanted records that are read rather
// than passed over.
const readOver = 8 << 10

// records reads the records of rows one behind the other. Rows that follow each
// other closely, as those of a part do, are read at once.
func (s *Spilled) records(rows []int64) ([]byte, error) {
	length := int64(s.layout.length)
	out := make([]byte, int64(len(rows))*length)
	var span []byte
	for i := 0; i < len(rows); {
		n := 1
		for i+n < len(rows) && rows[i+n] > rows[i+n-1] && (rows[i+n]-rows[i+n-1]-1)*length <= readOver {
			n++
		}
		lo, hi := rows[i], rows[i+n-1]+1
		if lo < 0 || hi > int64(s.rows) {
			return nil, fmt.Errorf("rows %d to %d of a table with %d rows", lo, hi-1, s.rows)
		}
		to := out[int64(i)*length : int64(i+n)*length]
		if hi-lo > int64(n) {
			span = slices.Grow(span[:0], int((hi-lo)*length))[:(hi-lo)*length]
			to = span
		}
		if _, err := s.file.ReadAt(to, lo*length); err != nil {
			return nil, fileError(s.file.Name(), err)
		}
		for j := i; hi-lo > int64(n) && j < i+n; j++ {
			copy(out[int64(j)*length:int64(j+1)*length], span[(rows[j]-lo)*length:])
		}
		i += n
	}
	return out, nil
}

// Open begins a pass.
func (s *Spilled) Open(ctx context.Context) (Reader, error) {
	return &spillReader{ctx: ctx, spilled: s}, nil
}

type spillReader struct {
	ctx     context.Context
	spilled *Spilled
	at      int
}

func (r *spillReader) Next() (*Table, error) {
	if r.at >= r.spilled.rows {
		return nil, io.EOF
	}
	n := min(ChunkRows, r.spilled.rows-r.at)
	rows := allRows(n)
	for i := range rows {
		rows[i] += int64(r.at)
	}
	r.at += n
	return r.spilled.Take(r.ctx, rows)
}

func (r *spillReader) Close() error { return nil }

// Close removes the file.
func (s *Spilled) Close() error {
	if s.unnamed {
		return s.file.Close()
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
