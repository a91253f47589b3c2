package data

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/hone-ml/hone/host/internal/diag"
)

// ColumnarOptions says what to read of a file whose columns have types.
type ColumnarOptions struct {
	// Keep names the columns wanted; nil means all. A column whose type is not
	// read does no harm if it is not among them.
	Keep []string
}

// Parquet is a file in Apache Parquet's format. Numbers, truth values and strings
// keep their types (see Type for those that are widened), decimals become
// f64; dates and times are read as whole numbers, in the unit in which they are stored,
// since 1970. A list of numbers is a tensor and must be equally long in all rows.
type Parquet struct {
	in      Input
	schema  Schema
	columns []parquetColumn
	rows    int
	digest  string
}

// parquetColumn is a leaf of the file's schema and how it is read.
type parquetColumn struct {
	name  string
	index int  // among the file's leaves
	list  bool // one level of repetition
	field Field
	put   func(c *Column, at int, v parquet.Value) error
}

// OpenParquet reads a file's description; its rows are read in chunks.
func OpenParquet(ctx context.Context, path string, opt ColumnarOptions) (*Parquet, error) {
	return StreamParquet(ctx, File(path), opt)
}

// StreamParquet is OpenParquet for any input.
func StreamParquet(ctx context.Context, in Input, opt ColumnarOptions) (_ *Parquet, err error) {
	p := &Parquet{in: in}
	defer p.guard(&err)
	f, file, err := p.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if p.digest, err = f.digest(); err != nil {
		return nil, fileError(in.label(), err)
	}
	if file.NumRows() < 0 || file.NumRows() > math.MaxInt32*int64(ChunkRows) {
		return nil, p.damaged(fmt.Errorf("%d rows", file.NumRows()))
	}
	p.rows = int(file.NumRows())
	var all Schema
	for _, c := range file.Root().Columns() {
		all = append(all, Field{Name: c.Name()})
	}
	if len(all) > maxColumns {
		return nil, p.damaged(fmt.Errorf("%d columns", len(all)))
	}
	for _, name := range opt.Keep {
		if all.Index(name) < 0 {
			return nil, MissingColumn(in.label(), name, all).At(diag.Range{File: in.label()})
		}
	}
	for i, c := range file.Root().Columns() {
		if opt.Keep != nil && !slices.Contains(opt.Keep, c.Name()) {
			continue
		}
		if all.Index(c.Name()) != i {
			return nil, p.damaged(fmt.Errorf("two columns are called %q", c.Name()))
		}
		column, err := p.column(c)
		if err != nil {
			return nil, err
		}
		if column.list {
			if column.field.Shape, err = p.listShape(ctx, file, column); err != nil {
				return nil, err
			}
		}
		p.columns = append(p.columns, column)
		p.schema = append(p.schema, column.field)
	}
	return p, nil
}

// guard turns a panic of the library, which damaged files can cause, into an error.
func (p *Parquet) guard(err *error) {
	if r := recover(); r != nil {
		*err = p.damaged(fmt.Errorf("%v", r))
	}
}

func (p *Parquet) damaged(err error) error {
	return diag.Errorf("bad_parquet", "%s cannot be read as Parquet: %w", p.in.label(), err).
		At(diag.Range{File: p.in.label()}).Hint("The file is damaged or not Parquet at all; fetch or write it again.")
}

// open opens the file and reads its footer, the length of which is checked first.
func (p *Parquet) open() (*randomFile, *parquet.File, error) {
	f, err := openRandom(p.in)
	if err != nil {
		return nil, nil, err
	}
	var tail [8]byte
	if _, err := f.ReadAt(tail[:], max(f.size-8, 0)); err != nil {
		f.Close()
		return nil, nil, p.damaged(errors.New("it is too short"))
	}
	if n := int64(binary.LittleEndian.Uint32(tail[:])); string(tail[4:]) != "PAR1" || n > f.size-12 {
		f.Close()
		return nil, nil, p.damaged(errors.New("it does not end as such a file does"))
	}
	file, err := parquet.OpenFile(f, f.size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		f.Close()
		return nil, nil, p.damaged(err)
	}
	return f, file, nil
}

// column decides how a column of the file's root is read.
func (p *Parquet) column(c *parquet.Column) (parquetColumn, error) {
	leaf := c
	for !leaf.Leaf() && len(leaf.Columns()) == 1 && leaf.MaxRepetitionLevel() <= 1 {
		leaf = leaf.Columns()[0]
	}
	refuse := func(what string) (parquetColumn, error) {
		return parquetColumn{}, diag.Errorf("column_type", "column %q of %s holds %s", c.Name(), p.in.label(), what).
			At(diag.Range{File: p.in.label()}).In(c.Name()).
			Hint("Such columns are not read. Leave it out by naming those to keep, or write it in another type.")
	}
	if !leaf.Leaf() || leaf.MaxRepetitionLevel() > 1 || leaf != c && leaf.MaxRepetitionLevel() == 0 {
		return refuse("nested records")
	}
	t, put := parquetType(leaf.Type())
	if put == nil {
		return refuse("values of type " + leaf.Type().String())
	}
	column := parquetColumn{name: c.Name(), index: leaf.Index(), list: leaf.MaxRepetitionLevel() == 1, field: Field{Name: c.Name(), Type: t}, put: put}
	if column.list && !t.Numeric() {
		return refuse("lists of values that are no numbers")
	}
	return column, nil
}

// parquetType returns the type of a leaf's elements and what stores one of them.
func parquetType(t parquet.Type) (Type, func(c *Column, at int, v parquet.Value) error) {
	var logical any
	if l := t.LogicalType(); l != nil {
		logical = l.Value
	}
	if d, ok := logical.(*format.DecimalType); ok {
		return F64, func(c *Column, at int, v parquet.Value) error {
			c.values.([]float64)[at] = decimal(v, int(d.Scale))
			return nil
		}
	}
	switch t.Kind() {
	case parquet.Boolean:
		return Bool, func(c *Column, at int, v parquet.Value) error { c.values.([]bool)[at] = v.Boolean(); return nil }
	case parquet.Float:
		return F32, func(c *Column, at int, v parquet.Value) error { c.values.([]float32)[at] = v.Float(); return nil }
	case parquet.Double:
		return F64, func(c *Column, at int, v parquet.Value) error { c.values.([]float64)[at] = v.Double(); return nil }
	case parquet.Int32:
		return parquetInt32(logical)
	case parquet.Int64:
		unsigned := false
		if i, ok := logical.(*format.IntType); ok {
			unsigned = !i.IsSigned
		}
		return I64, func(c *Column, at int, v parquet.Value) error {
			x := v.Int64()
			if unsigned && x < 0 {
				return fmt.Errorf("%d is above what a 64-bit signed integer holds", uint64(x))
			}
			c.values.([]int64)[at] = x
			return nil
		}
	case parquet.FixedLenByteArray:
		if _, ok := logical.(*format.Float16Type); ok {
			return F32, func(c *Column, at int, v parquet.Value) error {
				c.values.([]float32)[at] = float16(binary.LittleEndian.Uint16(v.ByteArray()))
				return nil
			}
		}
		return Invalid, nil
	case parquet.ByteArray:
		switch logical.(type) {
		case nil, *format.StringType, *format.EnumType, *format.JsonType:
			// Strings are stored by the reader, which numbers them.
			return String, func(*Column, int, parquet.Value) error { return nil }
		}
	}
	return Invalid, nil
}

func parquetInt32(logical any) (Type, func(c *Column, at int, v parquet.Value) error) {
	if i, ok := logical.(*format.IntType); ok {
		switch {
		case i.BitWidth == 8 && i.IsSigned:
			return I8, func(c *Column, at int, v parquet.Value) error { c.values.([]int8)[at] = int8(v.Int32()); return nil }
		case i.BitWidth == 8:
			return U8, func(c *Column, at int, v parquet.Value) error { c.values.([]uint8)[at] = uint8(v.Int32()); return nil }
		case i.BitWidth == 32 && !i.IsSigned:
			return I64, func(c *Column, at int, v parquet.Value) error {
				c.values.([]int64)[at] = int64(uint32(v.Int32()))
				return nil
			}
		}
	}
	return I32, func(c *Column, at int, v parquet.Value) error { c.values.([]int32)[at] = v.Int32(); return nil }
}

// decimal reads a whole number divided by a power of ten.
func decimal(v parquet.Value, scale int) float64 {
	var x float64
	switch v.Kind() {
	case parquet.Int32:
		x = float64(v.Int32())
	case parquet.Int64:
		x = float64(v.Int64())
	default: // big-endian two's complement
		for i, b := range v.ByteArray() {
			if i == 0 {
				x = float64(int8(b))
			} else {
				x = x*256 + float64(b)
			}
		}
	}
	return x / math.Pow10(scale)
}

// Schema returns the kept columns.
func (p *Parquet) Schema() Schema { return p.schema }

// Rows returns the number of rows.
func (p *Parquet) Rows() int { return p.rows }

// Digest returns that of the file's bytes.
func (p *Parquet) Digest() string { return p.digest }

// Open begins a pass.
func (p *Parquet) Open(ctx context.Context) (_ Reader, err error) {
	defer p.guard(&err)
	f, file, err := p.open()
	if err != nil {
		return nil, err
	}
	if int(file.NumRows()) != p.rows {
		f.Close()
		return nil, p.damaged(errors.New("it has changed since its columns were looked at"))
	}
	r := &parquetReader{ctx: ctx, source: p, file: f}
	for _, c := range p.columns {
		r.cursors = append(r.cursors, &parquetCursor{groups: file.RowGroups(), index: c.index})
	}
	return r, nil
}

type parquetReader struct {
	ctx     context.Context
	source  *Parquet
	file    *randomFile
	cursors []*parquetCursor
	at      int
}

func (r *parquetReader) Next() (_ *Table, err error) {
	defer r.source.guard(&err)
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	if r.at >= r.source.rows {
		return nil, io.EOF
	}
	n := min(ChunkRows, r.source.rows-r.at)
	t := &Table{Columns: make([]*Column, len(r.cursors)), rows: n, digest: r.source.digest}
	for i, c := range r.source.columns {
		if t.Columns[i], err = r.source.read(r.cursors[i], c, n, r.at); err != nil {
			return nil, err
		}
	}
	r.at += n
	return t, nil
}

func (r *parquetReader) Close() error {
	for _, c := range r.cursors {
		c.close()
	}
	return r.file.Close()
}

// read reads n rows of a column, of which the first is row at of the file.
func (p *Parquet) read(cursor *parquetCursor, column parquetColumn, n, at int) (*Column, error) {
	c := newEmpty(column.field, n)
	width := c.Width()
	var w words
	bad := func(row int, err error) error {
		return diag.Errorf("bad_value", "column %q of %s, row %d: %w", column.name, p.in.label(), at+row+1, err).
			At(diag.Range{File: p.in.label()}).In(column.name).Hint("Mend the value, or write the column in another type.")
	}
	for row := range n {
		v, err := cursor.next()
		if err != nil {
			return nil, p.damaged(fmt.Errorf("column %q ends early: %w", column.name, err))
		}
		switch {
		case column.list:
			if err := p.readList(cursor, column, c, row, width, v); err != nil {
				return nil, bad(row, err)
			}
		case v.RepetitionLevel() != 0:
			return nil, p.damaged(fmt.Errorf("column %q repeats values", column.name))
		case v.IsNull():
			c.SetMissing(row)
		case c.Type == String:
			if len(v.ByteArray()) > defaultMaxField {
				return nil, bad(row, fmt.Errorf("the string is longer than %d bytes", defaultMaxField))
			}
			if !utf8.Valid(v.ByteArray()) {
				return nil, bad(row, errors.New("the string is not UTF-8"))
			}
			c.values.([]int32)[row] = w.code(v.ByteArray())
		default:
			if err := column.put(c, row, v); err != nil {
				return nil, bad(row, err)
			}
		}
	}
	c.dict = w.list
	return c, nil
}

// readList reads the elements of one row, the first of which is v.
func (p *Parquet) readList(cursor *parquetCursor, column parquetColumn, c *Column, row, width int, v parquet.Value) error {
	count := 0
	gone := v.IsNull()
	for first := true; ; first = false {
		if !first {
			more, err := cursor.peek()
			if err == io.EOF || err == nil && more.RepetitionLevel() == 0 {
				break
			}
			if err != nil {
				return err
			}
			if v, err = cursor.next(); err != nil {
				return err
			}
		}
		if v.IsNull() != gone || gone && !first {
			return errors.New("an element of the list is missing")
		}
		if !gone {
			if count == width {
				return fmt.Errorf("the list has more than the %d elements of others", width)
			}
			if err := column.put(c, row*width+count, v); err != nil {
				return err
			}
			count++
		}
	}
	if gone {
		c.SetMissing(row)
		return nil
	}
	if count != width {
		return fmt.Errorf("the list has %d elements, others have %d", count, width)
	}
	return nil
}

// listShape is the length of the first list that there is.
func (p *Parquet) listShape(ctx context.Context, file *parquet.File, column parquetColumn) ([]int, error) {
	cursor := &parquetCursor{groups: file.RowGroups(), index: column.index}
	defer cursor.close()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := cursor.next()
		if err == io.EOF {
			return []int{1}, nil // every list is missing
		}
		if err != nil {
			return nil, p.damaged(err)
		}
		if v.IsNull() {
			continue
		}
		n := 1
		for {
			more, err := cursor.peek()
			if err == io.EOF || err == nil && more.RepetitionLevel() == 0 {
				return []int{n}, nil
			}
			if err != nil {
				return nil, p.damaged(err)
			}
			if _, err := cursor.next(); err != nil {
				return nil, p.damaged(err)
			}
			n++
		}
	}
}

// parquetCursor gives a column's values one by one, over pages and row groups.
type parquetCursor struct {
	groups []parquet.RowGroup
	index  int
	pages  parquet.Pages
	page   parquet.Page
	values parquet.ValueReader
	buf    [256]parquet.Value
	rest   []parquet.Value
}

// next returns a value, valid until the next call; io.EOF at the end.
func (c *parquetCursor) next() (parquet.Value, error) {
	v, err := c.peek()
	if err == nil {
		c.rest = c.rest[1:]
	}
	return v, err
}

func (c *parquetCursor) peek() (parquet.Value, error) {
	for len(c.rest) == 0 {
		if err := c.fill(); err != nil {
			return parquet.Value{}, err
		}
	}
	return c.rest[0], nil
}

// fill reads more values, opening the next page or row group if need be.
func (c *parquetCursor) fill() error {
	if c.values != nil {
		n, err := c.values.ReadValues(c.buf[:])
		c.rest = c.buf[:n]
		if err == io.EOF {
			c.values = nil
			err = nil
		}
		return err
	}
	// The values of the last page have been used up.
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	if c.pages == nil {
		if len(c.groups) == 0 {
			return io.EOF
		}
		c.pages = c.groups[0].ColumnChunks()[c.index].Pages()
		c.groups = c.groups[1:]
	}
	page, err := c.pages.ReadPage()
	if err == io.EOF {
		err = c.pages.Close()
		c.pages = nil
		return err
	}
	if err != nil {
		return err
	}
	c.page, c.values = page, page.Values()
	return nil
}

func (c *parquetCursor) close() {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	if c.pages != nil {
		c.pages.Close()
		c.pages = nil
	}
}
