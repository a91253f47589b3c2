package data

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/hone-ml/hone/host/internal/diag"
)

// arrowBody walks over the arrays of a record batch, whose lengths and buffers come in the order
// of the schema, outer before inner.
type arrowBody struct {
	table   flatTable
	header  arrowHeader
	file    *randomFile
	nodes   int // place of the next node, and how many are left
	nodesN  int
	buffers int
	buffsN  int
	views   int // numbers of buffers of the views
	viewsN  int
	codec   int // -1 none, 0 LZ4 frames, 1 zstd
	left    int64
	dicts   map[int64]*Column
}

func newArrowBody(b *arrowBatches, h arrowHeader, batch flatTable) (*arrowBody, error) {
	body := &arrowBody{table: batch, header: h, file: b.file, codec: -1, left: arrowMaxBody, dicts: b.dicts}
	body.nodes, body.nodesN = batch.vector(1, 16)
	body.buffers, body.buffsN = batch.vector(2, 16)
	body.views, body.viewsN = batch.vector(4, 8)
	if c, ok := batch.table(3); ok {
		body.codec = c.u8(0, 0)
		if body.codec > 1 || c.u8(1, 0) != 0 {
			return nil, errors.New("it is compressed in a way that is not known")
		}
	}
	return body, nil
}

// node returns the length of the next array.
func (b *arrowBody) node() int {
	if b.nodesN == 0 {
		panic(errFlat)
	}
	n := flatI64(b.table.buf, b.nodes)
	b.nodes += 16
	b.nodesN--
	if n < 0 || n > math.MaxInt32 {
		panic(errFlat)
	}
	return int(n)
}

// buffer returns the contents of the next buffer, or, if it is not wanted, passes it over.
func (b *arrowBody) buffer(wanted bool) ([]byte, error) {
	if b.buffsN == 0 {
		panic(errFlat)
	}
	offset, size := flatI64(b.table.buf, b.buffers), flatI64(b.table.buf, b.buffers+8)
	b.buffers += 16
	b.buffsN--
	if !wanted || size == 0 {
		return nil, nil
	}
	if offset < 0 || size < 0 || offset > b.header.size || size > b.header.size-offset {
		return nil, errors.New("a buffer lies outside of its message")
	}
	if b.left -= size; b.left < 0 {
		return nil, fmt.Errorf("a record batch takes more than %d MiB", arrowMaxBody>>20)
	}
	raw := make([]byte, size)
	if _, err := b.file.ReadAt(raw, b.header.body+offset); err != nil {
		return nil, err
	}
	if b.codec < 0 {
		return raw, nil
	}
	return b.decompress(raw)
}

// decompress undoes a buffer's compression; its length is said before it.
func (b *arrowBody) decompress(raw []byte) ([]byte, error) {
	n := flatI64(raw, 0)
	raw = raw[8:]
	if n == -1 {
		return raw, nil
	}
	// Neither method shrinks anything further than this.
	const most = 1 << 17
	if b.left -= n; n < 0 || b.left < 0 || n/most > int64(len(raw)) {
		return nil, fmt.Errorf("a buffer of %d bytes is beyond the limit", n)
	}
	out := make([]byte, n)
	var r io.Reader
	if b.codec == 0 {
		r = lz4.NewReader(bytes.NewReader(raw))
	} else {
		z, err := zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		r = z
	}
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, fmt.Errorf("a compressed buffer is damaged: %w", err)
	}
	return out, nil
}

// arrowArray is one array of a batch.
type arrowArray struct {
	field    *arrowField
	n        int
	validity []byte
	data     []byte
	offsets  []byte
	views    [][]byte
	child    *arrowArray
}

func (a *arrowArray) valid(i int) bool {
	return a.field.kind != arrowNull && (len(a.validity) == 0 || a.validity[i>>3]>>(i&7)&1 != 0)
}

// array reads the next array, or passes it and its children over.
func (b *arrowBody) array(f *arrowField, wanted bool) (*arrowArray, error) {
	a := &arrowArray{field: f, n: b.node()}
	if f.dict != nil {
		a.field = f.index
	}
	f = a.field
	var into []*[]byte // the buffers of the kind
	variadic := false
	var unused []byte
	switch f.kind {
	case arrowNull, arrowRunEnd:
	case arrowStruct, arrowFixedList:
		into = []*[]byte{&a.validity}
	case arrowUTF8, arrowLargeUTF8, arrowBinary, arrowLargeBinary:
		into = []*[]byte{&a.validity, &a.offsets, &a.data}
	case arrowListView, arrowLargeListView:
		into = []*[]byte{&a.validity, &a.offsets, &unused}
	case arrowUTF8View, arrowBinaryView:
		into = []*[]byte{&a.validity, &a.data}
		variadic = true
	case arrowUnion:
		into = []*[]byte{&unused}
		if f.dense {
			into = append(into, &a.offsets)
		}
	default:
		into = []*[]byte{&a.validity, &a.data}
	}
	var err error
	for _, p := range into {
		if *p, err = b.buffer(wanted); err != nil {
			return nil, err
		}
	}
	if variadic {
		if b.viewsN == 0 {
			panic(errFlat)
		}
		count := flatI64(b.table.buf, b.views)
		b.views += 8
		b.viewsN--
		for ; count > 0; count-- {
			v, err := b.buffer(wanted)
			if err != nil {
				return nil, err
			}
			a.views = append(a.views, v)
		}
	}
	for i := range f.children {
		child, err := b.array(&f.children[i], wanted)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			a.child = child
		}
	}
	return a, nil
}

// batch reads the kept columns of a record batch.
func (a *Arrow) batch(b *arrowBatches, h arrowHeader) (*Table, error) {
	body, err := newArrowBody(b, h, h.table)
	if err != nil {
		return nil, a.damaged(err)
	}
	rows := h.table.i64(0)
	if rows < 0 || rows > math.MaxInt32 {
		return nil, a.damaged(fmt.Errorf("%d rows in a batch", rows))
	}
	t := &Table{Columns: make([]*Column, len(a.schema)), rows: int(rows), digest: a.digest}
	next := 0
	for i := range a.fields {
		wanted := next < len(a.kept) && a.kept[next] == i
		values, err := body.array(&a.fields[i], wanted)
		if err != nil {
			return nil, a.damaged(err)
		}
		if !wanted {
			continue
		}
		if t.Columns[next], err = body.column(a.schema[next], &a.fields[i], values, t.rows); err != nil {
			return nil, diag.Errorf("bad_value", "column %q of %s, batch %d: %w", a.fields[i].name, a.in.label(), b.count, err).
				At(diag.Range{File: a.in.label()}).In(a.fields[i].name).Hint("Mend the value, or write the column in another type.")
		}
		next++
	}
	return t, nil
}

// dictionary reads the words of a dictionary, or more of them.
func (a *Arrow) dictionary(b *arrowBatches, h arrowHeader) error {
	id := h.table.i64(0)
	batch, ok := h.table.table(1)
	f := findDictionary(a.fields, id)
	if !ok || f == nil {
		return a.damaged(errors.New("a dictionary belongs to no column"))
	}
	body, err := newArrowBody(b, h, batch)
	if err != nil {
		return a.damaged(err)
	}
	words := *f
	words.dict, words.index = nil, nil
	values, err := body.array(&words, true)
	if err != nil {
		return a.damaged(err)
	}
	t, _ := words.element()
	if t != String {
		return nil // of a column that is not read
	}
	c, err := body.column(Field{Name: f.name, Type: String}, &words, values, values.n)
	if err != nil {
		return a.damaged(err)
	}
	if old := b.dicts[id]; old != nil && h.table.u8(2, 0) != 0 {
		c = concatColumn(c.Field(), []*Column{old, c}, old.rows+c.rows)
	}
	b.dicts[id] = c
	return nil
}

func findDictionary(fields []arrowField, id int64) *arrowField {
	for i := range fields {
		if f := &fields[i]; f.dict != nil && *f.dict == id {
			return f
		}
		if f := findDictionary(fields[i].children, id); f != nil {
			return f
		}
	}
	return nil
}

// column makes a column of an array.
func (b *arrowBody) column(field Field, f *arrowField, a *arrowArray, rows int) (*Column, error) {
	width := product(field.Shape)
	if a.n != rows {
		return nil, fmt.Errorf("%d values in a batch of %d rows", a.n, rows)
	}
	// An array without a buffer is all that could claim more than the file holds.
	if a.field.kind != arrowNull && rows > 0 && len(a.data) == 0 && len(a.offsets) == 0 && a.child == nil {
		return nil, errFlat
	}
	if len(a.validity) > 0 && len(a.validity) < (rows+7)/8 {
		return nil, errFlat
	}
	elements := a
	for count := rows; elements.field.kind == arrowFixedList; elements = elements.child {
		if elements.child == nil || elements.child.n < count*elements.field.size {
			return nil, errFlat
		}
		count *= elements.field.size
	}
	if size := elements.field.bits / 8 * rows * width; elements.field.kind != arrowNull && len(elements.data) < size {
		return nil, errFlat
	}
	if b.left -= int64(rows) * int64(width) * int64(field.Type.Size()); b.left < 0 {
		return nil, fmt.Errorf("a record batch takes more than %d MiB", arrowMaxBody>>20)
	}
	c := newEmpty(field, rows)
	for r := range rows {
		if !a.valid(r) {
			c.SetMissing(r)
		}
	}
	if field.Type == String {
		return c, b.strings(c, f, a)
	}
	if elements != a {
		for i := range rows * width {
			if !elements.valid(i) && !c.Missing.Get(i/width) {
				return nil, errors.New("an element of a list is missing")
			}
		}
	}
	return c, elements.numbers(c)
}

// numbers stores an array's elements where they have a value.
func (a *arrowArray) numbers(c *Column) error {
	f, le, w := a.field, binary.LittleEndian, c.Width()
	size := f.bits / 8
	each := func(store func(i int, b []byte)) {
		for i := range c.rows * w {
			if !c.Missing.Get(i / w) {
				store(i, a.data[i*size:])
			}
		}
	}
	switch out := c.values.(type) {
	case []bool:
		for i := range out {
			out[i] = a.data[i>>3]>>(i&7)&1 != 0 && !c.Missing.Get(i)
		}
	case []int8:
		each(func(i int, b []byte) { out[i] = int8(b[0]) })
	case []uint8:
		each(func(i int, b []byte) { out[i] = b[0] })
	case []int32:
		switch {
		case size == 4:
			each(func(i int, b []byte) { out[i] = int32(le.Uint32(b)) })
		case f.signed:
			each(func(i int, b []byte) { out[i] = int32(int16(le.Uint16(b))) })
		default:
			each(func(i int, b []byte) { out[i] = int32(le.Uint16(b)) })
		}
	case []int64:
		if size == 4 {
			each(func(i int, b []byte) { out[i] = int64(le.Uint32(b)) })
			return nil
		}
		beyond := false
		each(func(i int, b []byte) {
			out[i] = int64(le.Uint64(b))
			beyond = beyond || out[i] < 0
		})
		if beyond && f.kind == arrowInt && !f.signed {
			return errors.New("a value is above what a 64-bit signed integer holds")
		}
	case []float32:
		if size == 2 {
			each(func(i int, b []byte) { out[i] = float16(le.Uint16(b)) })
			return nil
		}
		each(func(i int, b []byte) { out[i] = math.Float32frombits(le.Uint32(b)) })
	case []float64:
		switch f.kind {
		case arrowFloat:
			each(func(i int, b []byte) { out[i] = math.Float64frombits(le.Uint64(b)) })
		case arrowDecimal:
			each(func(i int, b []byte) { out[i] = littleDecimal(b[:size], f.scale) })
		}
	}
	return nil
}

// littleDecimal reads a little-endian two's complement number divided by a power of ten.
func littleDecimal(b []byte, scale int) float64 {
	x := float64(int8(b[len(b)-1]))
	for i := len(b) - 2; i >= 0; i-- {
		x = x*256 + float64(b[i])
	}
	return x / math.Pow10(scale)
}

// strings numbers an array's strings.
func (b *arrowBody) strings(c *Column, f *arrowField, a *arrowArray) error {
	codes := c.values.([]int32)
	var at func(i int) []byte
	switch {
	case f.dict != nil:
		dict := b.dicts[*f.dict]
		if dict == nil {
			return errors.New("its dictionary is absent")
		}
		at = func(i int) []byte {
			code := a.index(i)
			if dict.Missing.Get(code) {
				c.SetMissing(i)
				return nil
			}
			return []byte(dict.StringAt(code))
		}
	case f.kind == arrowUTF8:
		at = func(i int) []byte { return a.data[flatU32(a.offsets, 4*i):flatU32(a.offsets, 4*i+4)] }
	case f.kind == arrowLargeUTF8:
		at = func(i int) []byte { return a.data[flatI64(a.offsets, 8*i):flatI64(a.offsets, 8*i+8)] }
	default:
		at = a.view
	}
	var w words
	for i := range codes {
		if c.Missing.Get(i) {
			continue
		}
		s := at(i)
		if len(s) > defaultMaxField {
			return fmt.Errorf("the string in row %d is longer than %d bytes", i+1, defaultMaxField)
		}
		if !utf8.Valid(s) {
			return fmt.Errorf("the string in row %d is not UTF-8", i+1)
		}
		if !c.Missing.Get(i) {
			codes[i] = w.code(s)
		}
	}
	c.dict = w.list
	return nil
}

// index returns element i of an array of whole numbers.
func (a *arrowArray) index(i int) int {
	le := binary.LittleEndian
	switch a.field.bits {
	case 8:
		return int(a.data[i])
	case 16:
		return int(le.Uint16(a.data[2*i:]))
	case 32:
		return int(le.Uint32(a.data[4*i:]))
	}
	return int(le.Uint64(a.data[8*i:]))
}

// view returns a string of up to 12 bytes from beside its length, a longer one
// from another buffer.
func (a *arrowArray) view(i int) []byte {
	v := a.data[16*i : 16*i+16]
	n := flatU32(v, 0)
	if n <= 12 {
		return v[4 : 4+n]
	}
	from := flatU32(v, 12)
	return a.views[flatU32(v, 8)][from : from+n]
}
