package data

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/hone-ml/hone/host/internal/diag"
)

// JSONOptions says how JSON lines are to be read. The zero value infers everything.
type JSONOptions struct {
	// Types declares columns' types. A string under a type of numbers or truth values is read as a CSV
	// cell is; a number under String is kept as it is written.
	Types map[string]Type
	// Missing are strings that stand for a missing value, besides null and an absent name.
	Missing []string
	// Keep names the columns wanted; nil means all.
	Keep []string
	// MaxLine bounds the bytes of one line; 0 means 16 MiB.
	MaxLine int
	Limits  Limits
}

// JSONLines is a file with a JSON object on each line, which are the rows. Columns are the names in
// the order of their first appearance; a value is null, a truth value, a number, a string,
// or an array of numbers (or of arrays) of the same shape in every row.
type JSONLines struct {
	in     Input
	opt    JSONOptions
	schema Schema
	rows   int
	digest string
}

// OpenJSONLines reads a file once, without keeping it, to learn its columns and
// to find every error in it; then it can be read in chunks.
func OpenJSONLines(ctx context.Context, path string, opt JSONOptions) (*JSONLines, error) {
	j := &JSONLines{in: File(path), opt: opt}
	_, err := j.scan(ctx, false)
	return j, err
}

// ReadJSONLines reads a whole file into memory, compressed or not.
func ReadJSONLines(ctx context.Context, path string, opt JSONOptions) (*Table, error) {
	return DecodeJSONLines(ctx, File(path), opt)
}

// DecodeJSONLines is ReadJSONLines for any input.
func DecodeJSONLines(ctx context.Context, in Input, opt JSONOptions) (*Table, error) {
	j := &JSONLines{in: in, opt: opt}
	parts, err := j.scan(ctx, true)
	if err != nil {
		return nil, err
	}
	tables := make([]*Table, len(parts))
	for i, p := range parts {
		tables[i] = p.table(j.schema)
	}
	t, err := concat(j.schema, tables)
	if err != nil {
		return nil, err
	}
	t.digest = j.digest
	return t, nil
}

// Schema returns the columns.
func (j *JSONLines) Schema() Schema { return j.schema }

// Rows returns the number of objects.
func (j *JSONLines) Rows() int { return j.rows }

// Digest returns that of the file's bytes.
func (j *JSONLines) Digest() string { return j.digest }

// scan reads the file from front to back and sets schema, rows and digest.
func (j *JSONLines) scan(ctx context.Context, keep bool) ([]*jsonPart, error) {
	r, err := newJSONReader(ctx, j, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var parts []*jsonPart
	var bytes int64
	for {
		p, err := r.part()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		j.rows += p.rows
		if keep {
			for i := range p.columns {
				bytes += p.columns[i].bytes()
			}
			if bytes > j.opt.Limits.bytes() {
				return nil, tooLarge(j.in.label(), j.opt.Limits)
			}
			parts = append(parts, p)
		}
	}
	j.digest = r.stream.digest()
	for _, c := range r.columns {
		t := c.declared
		if t == Invalid {
			t = c.kind.element()
		}
		j.schema = append(j.schema, Field{Name: c.name, Type: t, Shape: c.shape})
	}
	for _, wanted := range [][]string{j.opt.Keep, slices.Sorted(mapsKeys(j.opt.Types))} {
		for _, name := range wanted {
			if _, ok := r.index[name]; !ok && j.rows > 0 {
				return nil, MissingColumn(j.in.label(), name, j.schema).At(diag.Range{File: j.in.label()})
			}
		}
	}
	return parts, nil
}

func mapsKeys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Open begins a pass.
func (j *JSONLines) Open(ctx context.Context) (Reader, error) {
	return newJSONReader(ctx, j, j.schema)
}

// jsonPart is the values of up to ChunkRows lines.
type jsonPart struct {
	columns []jsonBuilder
	rows    int
}

// table makes a table of the part, to which the whole file's columns may have
// been added and widened.
func (p *jsonPart) table(schema Schema) *Table {
	t := &Table{Columns: make([]*Column, len(schema)), rows: p.rows}
	for i, f := range schema {
		if i < len(p.columns) {
			t.Columns[i] = p.columns[i].column(f, p.rows)
			continue
		}
		var absent jsonBuilder
		t.Columns[i] = absent.column(f, p.rows)
	}
	return t
}

// jsonBuilder collects one column of a part.
type jsonBuilder struct {
	builder
	tensors []float64
}

func (b *jsonBuilder) bytes() int64 { return b.builder.bytes() + 8*int64(len(b.tensors)) }

func (b *jsonBuilder) column(f Field, rows int) *Column {
	for b.rows < rows {
		b.addMissing()
	}
	if len(f.Shape) == 0 {
		return b.builder.column(f.Name, f.Type)
	}
	c := newEmpty(f, rows)
	if b.missing != nil {
		c.Missing = NewBitmap(rows)
		copy(c.Missing, b.missing)
	}
	w := c.Width()
	at := 0
	for r := range rows {
		for i := r * w; i < (r+1)*w; i++ {
			x := math.NaN()
			if !c.Missing.Get(r) {
				x = b.tensors[at]
				at++
			}
			switch v := c.values.(type) {
			case []float64:
				v[i] = x
			case []float32:
				v[i] = float32(x)
			case []int64:
				v[i] = int64(x)
			case []int32:
				v[i] = int32(x)
			case []int8:
				v[i] = int8(x)
			case []uint8:
				v[i] = uint8(x)
			}
			if x != x && !f.Type.Float() {
				clearAt(c, i)
			}
		}
	}
	return c
}

// clearAt puts zero where converting NaN gave who knows what.
func clearAt(c *Column, i int) {
	switch v := c.values.(type) {
	case []int64:
		v[i] = 0
	case []int32:
		v[i] = 0
	case []int8:
		v[i] = 0
	case []uint8:
		v[i] = 0
	}
}

// jsonColumn is what is known of a column over all parts.
type jsonColumn struct {
	name     string
	kind     kind
	declared Type
	shape    []int
	scalar   bool // has had single values
	skip     bool // not among those to keep
	at       int  // position among those that are
	line     int  // of the last line that gave it a value
}

// jsonReader reads parts of a file.
type jsonReader struct {
	ctx     context.Context
	source  *JSONLines
	stream  *stream
	in      *bufio.Reader
	schema  Schema // if it is known
	index   map[string]int
	all     []*jsonColumn // by index
	columns []*jsonColumn // those kept
	missing missingSet
	parser  jsonParser
	line    int
	offset  int64 // of the line's first byte
	buf     []byte
	rows    int
	done    bool
	current *jsonPart
	failure error
}

func newJSONReader(ctx context.Context, j *JSONLines, schema Schema) (*jsonReader, error) {
	s, err := openStream(j.in)
	if err != nil {
		return nil, err
	}
	return &jsonReader{ctx: ctx, source: j, stream: s, in: bufio.NewReaderSize(s, 256<<10), schema: schema, index: map[string]int{}, missing: newMissingSet(j.opt.Missing)}, nil
}

func (r *jsonReader) Close() error { return r.stream.Close() }

func (r *jsonReader) Next() (*Table, error) {
	p, err := r.part()
	if errors.Is(err, io.EOF) {
		if r.rows != r.source.rows || r.stream.digest() != r.source.digest {
			return nil, r.changed()
		}
	}
	if err != nil {
		return nil, err
	}
	if len(r.columns) > len(r.schema) {
		return nil, r.changed()
	}
	for i, c := range r.columns {
		f := r.schema[i]
		if c.name != f.Name || !slices.Equal(c.shape, f.Shape) && c.kind != kindNull || c.declared == Invalid && c.kind.join(kindOf(f.Type)) != kindOf(f.Type) {
			return nil, r.changed()
		}
	}
	return p.table(r.schema), nil
}

func (r *jsonReader) changed() error {
	name := r.source.in.label()
	return diag.Errorf("file_changed", "%s has changed since its columns were looked at", name).
		At(diag.Range{File: name}).Hint("Leave the file alone while it is in use, and begin again.")
}

// part reads up to ChunkRows rows, io.EOF if there are none left.
func (r *jsonReader) part() (*jsonPart, error) {
	p := &jsonPart{columns: make([]jsonBuilder, len(r.columns))}
	for i, c := range r.columns {
		p.columns[i].reset(c.kind, ChunkRows)
	}
	r.current = p
	for !r.done && p.rows < ChunkRows {
		if err := r.ctx.Err(); err != nil {
			return nil, err
		}
		line, err := r.readLine()
		if err == io.EOF {
			r.done = true
			break
		}
		if err != nil {
			return nil, err
		}
		if line == nil {
			continue
		}
		if bad := r.parser.object(line, r.field); bad != nil {
			return nil, r.errorf(line, bad.at, bad.code, "%s", bad.summary).Hint("%s", bad.remedy)
		}
		if r.failure != nil {
			return nil, r.failure
		}
		p.rows++
		for i := range p.columns {
			if p.columns[i].rows < p.rows {
				p.columns[i].addMissing()
			}
		}
	}
	if p.rows == 0 {
		return nil, io.EOF
	}
	r.rows += p.rows
	return p, nil
}

// readLine returns the next line, nil for a blank one.
func (r *jsonReader) readLine() ([]byte, error) {
	most := r.source.opt.MaxLine
	if most <= 0 {
		most = defaultMaxRecord
	}
	r.offset += int64(len(r.buf))
	r.buf = r.buf[:0]
	r.line++
	for {
		piece, err := r.in.ReadSlice('\n')
		r.buf = append(r.buf, piece...)
		if len(r.buf) > most {
			return nil, r.errorf(r.buf, 0, "json_line_too_long", "the line is longer than %d bytes", most).
				Hint("Each object must be on a line of its own. Otherwise raise the limit max_line.")
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == io.EOF && len(r.buf) > 0 {
			err = nil
		}
		if err != nil {
			return nil, err
		}
		break
	}
	line := r.buf
	if r.line == 1 && len(line) >= 3 && string(line[:3]) == "\xef\xbb\xbf" {
		line = line[3:]
		r.offset += 3
	}
	if !utf8.Valid(line) {
		at := 0
		for at < len(line) {
			c, size := utf8.DecodeRune(line[at:])
			if c == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		return nil, r.errorf(line, at, "json_encoding", "the byte %02x is not UTF-8", line[at]).
			Hint("The file is in another encoding. Convert it, for instance: iconv -f ISO-8859-1 -t UTF-8")
	}
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return line, nil
		}
	}
	return nil, nil
}

func (r *jsonReader) errorf(line []byte, at int, code, format string, args ...any) diag.Diagnostic {
	pos := diag.Pos{Line: r.line, Column: utf8.RuneCount(line[:at]) + 1, Byte: int(r.offset) + at}
	return diag.Errorf(code, format, args...).At(diag.Range{File: r.source.in.label(), Start: pos, End: pos})
}

// field takes in one member of the current line's object.
func (r *jsonReader) field(key []byte, v *jsonValue) bool {
	at, known := r.index[string(key)]
	if !known {
		if len(r.all) >= maxColumns {
			return r.refuse(v, "json_columns", "there are more than %d different names", "Rows must have the same names. Are the names values, perhaps?", maxColumns)
		}
		at = len(r.all)
		r.addColumn(string(key))
	}
	c := r.all[at]
	if c.line == r.line {
		return r.refuse(v, "json_twice", "the name %q stands twice in this object", "Leave one of them out.", c.name)
	}
	c.line = r.line
	if c.skip || v.kind == jsonNull {
		return true
	}
	b := &r.current.columns[c.at]
	if v.kind == jsonArray {
		return r.tensor(c, b, v)
	}
	return r.single(c, b, v)
}

func (r *jsonReader) addColumn(name string) {
	opt := r.source.opt
	c := &jsonColumn{name: name, declared: opt.Types[name], skip: opt.Keep != nil && !slices.Contains(opt.Keep, name)}
	r.index[name] = len(r.all)
	r.all = append(r.all, c)
	if c.skip {
		return
	}
	if c.declared != Invalid {
		c.kind = kindOf(c.declared)
	}
	c.at = len(r.columns)
	r.columns = append(r.columns, c)
	var b jsonBuilder
	b.reset(c.kind, ChunkRows)
	for range r.current.rows {
		b.addMissing()
	}
	r.current.columns = append(r.current.columns, b)
}

func (r *jsonReader) refuse(v *jsonValue, code, summary, remedy string, args ...any) bool {
	r.failure = r.errorf(r.parser.line, v.from, code, summary, args...).Hint("%s", remedy)
	return false
}

// single takes in a value that is no array.
func (r *jsonReader) single(c *jsonColumn, b *jsonBuilder, v *jsonValue) bool {
	if c.shape != nil {
		return r.refuse(v, "json_ragged", "column %q has arrays in other rows, here it has none", "All rows of a column must have one shape; null stands for a missing one.", c.name)
	}
	var text []byte
	var k kind
	switch v.kind {
	case jsonBool:
		text, k = []byte(fmt.Sprint(v.truth)), kindBool
	case jsonString:
		if r.missing.set != nil && len(v.text) > 0 && r.missing.has(v.text) {
			return true
		}
		text, k = v.text, kindText
	default:
		text, k = v.text, kindInt
		if _, ok := parseInt(text); !ok || v.kind == jsonFloat {
			k = kindFloat
		}
	}
	if c.declared == Invalid {
		joined := c.kind.join(k)
		if joined == kindText && c.kind != kindText && c.kind != kindNull || joined == kindText && k != kindText {
			return r.refuse(v, "json_types", "column %q has values of different types: %s here, %s before", "Make them alike, or declare the column's type.", c.name, kindWord(k), kindWord(c.kind))
		}
		c.kind = joined
	}
	c.scalar = true
	b.widen(c.kind)
	switch b.add(text) {
	case misfit:
		return r.refuse(v, "json_cell", "%s in column %q is not a value of the declared type %v", "Mend the value, write null for a missing one, or declare another type.", cellText(text), c.name, c.declared)
	case endless:
		return r.refuse(v, "json_infinite", "%s in column %q is an infinite number", "No model can be trained on it. Mend it, or write null for a missing value.", cellText(text), c.name)
	}
	return r.inRange(c, v, text, lastOf(&b.builder))
}

// lastOf is the number added last, 0 if it was none.
func lastOf(b *builder) float64 {
	switch b.kind {
	case kindInt:
		return float64(b.ints[len(b.ints)-1])
	case kindFloat:
		return b.floats[len(b.floats)-1]
	}
	return 0
}

// inRange refuses numbers that the declared type cannot hold.
func (r *jsonReader) inRange(c *jsonColumn, v *jsonValue, text []byte, x float64) bool {
	lo, hi := c.declared.bounds()
	if x < lo || x > hi {
		return r.refuse(v, "json_cell", "%s in column %q is outside of %v", "Mend the value, or declare a wider type.", cellText(text), c.name, c.declared)
	}
	return true
}

// bounds are the least and greatest numbers of a type; infinite where it holds all
// that a number in a text can be.
func (t Type) bounds() (lo, hi float64) {
	switch t {
	case F32:
		return -math.MaxFloat32, math.MaxFloat32
	case I32:
		return math.MinInt32, math.MaxInt32
	case I8:
		return math.MinInt8, math.MaxInt8
	case U8:
		return 0, math.MaxUint8
	}
	return math.Inf(-1), math.Inf(1)
}

// tensor takes in an array.
func (r *jsonReader) tensor(c *jsonColumn, b *jsonBuilder, v *jsonValue) bool {
	switch {
	case c.declared != Invalid && !c.declared.Numeric():
		return r.refuse(v, "json_cell", "column %q is declared as %v, but this is an array", "Mend the value, or declare another type.", c.name, c.declared)
	case c.scalar:
		return r.refuse(v, "json_ragged", "column %q has single values in other rows, here it has an array", "All rows of a column must have one shape; null stands for a missing one.", c.name)
	case c.shape != nil && !slices.Equal(c.shape, v.shape):
		return r.refuse(v, "json_ragged", "column %q has arrays of shape %v in other rows, here of %v", "All rows of a column must have one shape; null stands for a missing one.", c.name, c.shape, v.shape)
	}
	lo, hi := c.declared.bounds()
	for _, x := range v.numbers {
		if x < lo || x > hi || c.declared.Integer() && x != math.Trunc(x) {
			return r.refuse(v, "json_cell", "%v in an array of column %q is not a value of the declared type %v", "Mend the value, or declare another type.", x, c.name, c.declared)
		}
	}
	if c.shape == nil {
		c.shape = slices.Clone(v.shape)
		if c.declared == Invalid {
			c.kind = kindFloat
		}
	}
	if b.kind != kindNull {
		b.kind = kindNull // the values go into tensors
		b.ints, b.floats = nil, nil
	}
	b.tensors = append(b.tensors, v.numbers...)
	b.valued = true
	b.rows++
	return true
}

// widen makes a builder one of a wider kind: of numbers with fractions rather than whole ones,
// or of anything where nothing but missing values has been seen.
func (b *builder) widen(k kind) {
	if b.kind == k {
		return
	}
	ints, rows, missing := b.ints, b.rows, b.missing
	valued := b.valued
	b.reset(k, b.expect)
	for i := range rows {
		switch {
		case missing != nil && i>>6 < len(missing) && missing[i>>6]>>(i&63)&1 != 0:
			b.addMissing()
		case ints != nil:
			b.floats = append(b.floats, float64(ints[i]))
			b.rows++
		}
	}
	b.valued = valued
}

func kindWord(k kind) string {
	return [...]string{"nothing", "a truth value", "a number", "a number", "a string"}[k]
}
