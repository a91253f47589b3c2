package data

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Arrow is a file of Apache Arrow's inter-process format, as a file (also known as Feather, version 2)
// or as a stream. Types are kept as by Parquet; lists of fixed size are tensors,
// dictionaries of strings are strings. The reader is our own, since what Go programs use for it allocates
// whatever a damaged file asks for, which ends the process.
type Arrow struct {
	in     Input
	fields []arrowField
	schema Schema
	kept   []int // positions of the schema's columns among fields
	rows   int
	digest string
}

const (
	arrowMagic       = "ARROW1"
	arrowMaxMetadata = 64 << 20
	arrowMaxBody     = 2 << 30
)

// OpenArrow reads a file once, to count its rows and to find every error in it; then
// it is read in chunks.
func OpenArrow(ctx context.Context, path string, opt ColumnarOptions) (*Arrow, error) {
	return StreamArrow(ctx, File(path), opt)
}

// StreamArrow is OpenArrow for any input.
func StreamArrow(ctx context.Context, in Input, opt ColumnarOptions) (_ *Arrow, err error) {
	a := &Arrow{in: in}
	f, err := openRandom(in)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if a.digest, err = f.digest(); err != nil {
		return nil, fileError(in.label(), err)
	}
	defer a.guard(&err)
	b, err := a.open(f)
	if err != nil {
		return nil, err
	}
	if err := a.setSchema(opt); err != nil {
		return nil, err
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		t, err := a.next(b)
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, err
		}
		if a.rows > math.MaxInt-t.rows {
			return nil, a.damaged(errors.New("it has too many rows"))
		}
		a.rows += t.rows
	}
}

// guard turns reading outside of a message, which damaged files cause, into an error.
func (a *Arrow) guard(err *error) {
	if r := recover(); r != nil {
		*err = a.damaged(errFlat)
	}
}

func (a *Arrow) damaged(err error) error {
	return diag.Errorf("bad_arrow", "%s cannot be read as Arrow: %w", a.in.label(), err).
		At(diag.Range{File: a.in.label()}).Hint("The file is damaged or not Arrow at all; fetch or write it again.")
}

// arrowBatches is a pass over the messages of a file or a stream.
type arrowBatches struct {
	file  *randomFile
	place []int64 // of the messages of a file: dictionaries, then record batches
	at    int64   // of the next message of a stream
	dicts map[int64]*Column
	count int // record batches so far
}

// open reads the schema. The first time it becomes the source's.
func (a *Arrow) open(f *randomFile) (*arrowBatches, error) {
	b := &arrowBatches{file: f, dicts: map[int64]*Column{}}
	var magic [8]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil {
		return nil, a.damaged(errors.New("it is too short"))
	}
	var schema flatTable
	if string(magic[:6]) == arrowMagic {
		footer, err := a.footer(f)
		if err != nil {
			return nil, err
		}
		var ok bool
		if schema, ok = footer.table(1); !ok {
			return nil, a.damaged(errFlat)
		}
		for _, slot := range []int{2, 3} {
			at, n := footer.vector(slot, 24)
			for i := range n {
				b.place = append(b.place, flatI64(footer.buf, at+24*i))
			}
		}
		b.at = -1
	} else {
		header, _, err := a.message(b, 0)
		if err != nil {
			return nil, err
		}
		if header.kind != 1 {
			return nil, a.damaged(errors.New("it does not begin with a schema"))
		}
		schema = header.table
	}
	if a.fields == nil {
		fields, err := readArrowFields(schema)
		if err != nil {
			return nil, a.damaged(err)
		}
		a.fields = fields
	}
	return b, nil
}

// footer reads the table at the end of a file.
func (a *Arrow) footer(f *randomFile) (flatTable, error) {
	var tail [10]byte
	if f.size < 18 {
		return flatTable{}, a.damaged(errors.New("it is too short"))
	}
	if _, err := f.ReadAt(tail[:], f.size-10); err != nil {
		return flatTable{}, fileError(f.in.label(), err)
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if string(tail[4:]) != arrowMagic || n > f.size-18 || n > arrowMaxMetadata {
		return flatTable{}, a.damaged(errors.New("it does not end as such a file does"))
	}
	buf := make([]byte, n)
	if _, err := f.ReadAt(buf, f.size-10-n); err != nil {
		return flatTable{}, fileError(f.in.label(), err)
	}
	return flatRoot(buf), nil
}

// arrowHeader is what a message is about.
type arrowHeader struct {
	kind  int // 1 schema, 2 dictionary, 3 record batch
	table flatTable
	body  int64 // where its buffers begin
	size  int64 // of them all
}

// message reads the message at a place, and returns that of the next one; io.EOF
// at the end of a stream.
func (a *Arrow) message(b *arrowBatches, at int64) (arrowHeader, int64, error) {
	f := b.file
	bad := func(err error) (arrowHeader, int64, error) { return arrowHeader{}, 0, a.damaged(err) }
	if at < 0 || at > f.size {
		return bad(errFlat)
	}
	if f.size-at < 4 {
		return arrowHeader{}, 0, io.EOF
	}
	var prefix [8]byte
	if _, err := f.ReadAt(prefix[:min(8, f.size-at)], at); err != nil {
		return arrowHeader{}, 0, fileError(f.in.label(), err)
	}
	n, head := int64(binary.LittleEndian.Uint32(prefix[:])), int64(4)
	if n == math.MaxUint32 { // since version 0.15
		n, head = int64(binary.LittleEndian.Uint32(prefix[4:])), 8
	}
	if n == 0 {
		return arrowHeader{}, 0, io.EOF
	}
	if n > arrowMaxMetadata || n > f.size-at-head {
		return bad(errors.New("a message goes beyond the file's end"))
	}
	buf := make([]byte, n)
	if _, err := f.ReadAt(buf, at+head); err != nil {
		return arrowHeader{}, 0, fileError(f.in.label(), err)
	}
	t := flatRoot(buf)
	h := arrowHeader{kind: t.u8(1, 0), body: at + head + n, size: t.i64(3)}
	var ok bool
	if h.table, ok = t.table(2); !ok {
		return bad(errFlat)
	}
	if h.size < 0 || h.size > f.size-h.body {
		return bad(errors.New("a message's values go beyond the file's end"))
	}
	return h, h.body + h.size, nil
}

// next returns the next record batch as a table, or io.EOF.
func (a *Arrow) next(b *arrowBatches) (*Table, error) {
	for {
		at := b.at
		if at < 0 {
			if len(b.place) == 0 {
				return nil, io.EOF
			}
			at = b.place[0]
			b.place = b.place[1:]
		}
		h, after, err := a.message(b, at)
		if err != nil {
			if errors.Is(err, io.EOF) && b.at < 0 {
				err = a.damaged(errFlat)
			}
			return nil, err
		}
		if b.at >= 0 {
			b.at = after
		}
		switch h.kind {
		case 2:
			if err := a.dictionary(b, h); err != nil {
				return nil, err
			}
		case 3:
			b.count++
			return a.batch(b, h)
		}
	}
}

// setSchema chooses the columns to read.
func (a *Arrow) setSchema(opt ColumnarOptions) error {
	at := diag.Range{File: a.in.label()}
	var all Schema
	seen := map[string]bool{}
	for _, f := range a.fields {
		if seen[f.name] {
			return a.damaged(fmt.Errorf("two columns are called %q", f.name))
		}
		seen[f.name] = true
		all = append(all, Field{Name: f.name})
	}
	for _, name := range opt.Keep {
		if !seen[name] {
			return MissingColumn(a.in.label(), name, all).At(at)
		}
	}
	for i := range a.fields {
		f := &a.fields[i]
		if opt.Keep != nil && !slices.Contains(opt.Keep, f.name) {
			continue
		}
		t, shape := f.element()
		if t == Invalid {
			return diag.Errorf("column_type", "column %q of %s holds values of the kind %s", f.name, a.in.label(), f).At(at).In(f.name).
				Hint("Such columns are not read. Leave it out by naming those to keep, or write it in another type.")
		}
		a.kept = append(a.kept, i)
		a.schema = append(a.schema, Field{Name: f.name, Type: t, Shape: shape})
	}
	return nil
}

// Schema returns the kept columns.
func (a *Arrow) Schema() Schema { return a.schema }

// Rows returns the number of rows.
func (a *Arrow) Rows() int { return a.rows }

// Digest returns that of the file's bytes.
func (a *Arrow) Digest() string { return a.digest }

// Open begins a pass.
func (a *Arrow) Open(ctx context.Context) (_ Reader, err error) {
	f, err := openRandom(a.in)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	defer a.guard(&err)
	b, err := a.open(f)
	if err != nil {
		return nil, err
	}
	return &arrowReader{ctx: ctx, source: a, batches: b, rechunker: rechunker{schema: a.schema}}, nil
}

type arrowReader struct {
	ctx     context.Context
	source  *Arrow
	batches *arrowBatches
	rechunker
	done bool
}

func (r *arrowReader) Next() (_ *Table, err error) {
	defer r.source.guard(&err)
	for !r.done && r.pending < ChunkRows {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		t, err := r.source.next(r.batches)
		if errors.Is(err, io.EOF) {
			r.done = true
			break
		}
		if err != nil {
			return nil, err
		}
		r.add(t)
	}
	return r.take(r.done)
}

func (r *arrowReader) Close() error { return r.batches.file.Close() }
