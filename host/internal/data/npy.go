package data

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hone-ml/hone/host/internal/diag"
)

// The NPY format is described in NumPy's documentation, numpy.lib.format: a magic word, a version, the
// length of a header, the header as a literal of a Python dictionary, the elements.
const (
	npyMagic     = "\x93NUMPY"
	npyMaxHeader = 64 << 10
	npyMaxDims   = 32
)

// npyHeader is what stands before the elements.
type npyHeader struct {
	kind    byte // b i u f U S
	size    int  // bytes of an element; characters for U
	order   binary.ByteOrder
	fortran bool
	shape   []int
}

// ReadNPY reads a NumPy array as one column: the first dimension counts the
// rows, the others are the shape of a row. Arrays of Python objects are refused.
func ReadNPY(ctx context.Context, path, name string, limits Limits) (*Table, error) {
	return DecodeNPY(ctx, File(path), name, limits)
}

// DecodeNPY is ReadNPY for any input.
func DecodeNPY(ctx context.Context, in Input, name string, limits Limits) (*Table, error) {
	s, err := openStream(in)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c, err := decodeNPY(ctx, s, s.name, name, limits)
	if err != nil {
		return nil, err
	}
	return &Table{Columns: []*Column{c}, rows: c.rows, digest: s.digest()}, nil
}

// decodeNPY reads an array to the end of r. label names it in messages.
func decodeNPY(ctx context.Context, r io.Reader, label, name string, limits Limits) (*Column, error) {
	at := diag.Range{File: label}
	h, err := readNPYHeader(ctx, r, label)
	if err != nil {
		return nil, err
	}
	if len(h.shape) == 0 {
		return nil, diag.Errorf("npy_shape", "the array %s is a single value", label).At(at).Hint("Its first dimension must count the examples.")
	}
	memory, stored, count := int64(h.column().Size()), h.bytes(), int64(1)
	for i, d := range h.shape {
		if d == 0 && i > 0 {
			return nil, diag.Errorf("npy_shape", "the array %s has the shape %v: its examples are empty", label, h.shape).At(at).Hint("Make the array again.")
		}
		if d > 0 && count > limits.bytes()/max(memory, stored, 1)/int64(d) {
			return nil, tooLarge(label, limits)
		}
		count *= int64(d)
	}
	if h.kind == 'U' || h.kind == 'S' {
		if len(h.shape) > 1 {
			return nil, diag.Errorf("npy_shape", "the array %s holds strings of shape %v", label, h.shape[1:]).At(at).Hint("Only one string an example is read.")
		}
	}
	raw, err := readGrowing(ctx, r, count*stored)
	if err == errShort {
		return nil, diag.Errorf("truncated_npy", "the array %s ends early: %d bytes of %d (its header says %v)", label, len(raw), count*stored, h.shape).At(at).
			Hint("The file was cut off; save or copy it again.")
	}
	if err != nil {
		return nil, err
	}
	var more [1]byte
	switch n, err := io.ReadFull(r, more[:]); {
	case n > 0:
		return nil, diag.Errorf("npy_too_long", "the array %s goes on after its elements (its header says %v)", label, h.shape).At(at).
			Hint("Save it again; a file holds one array.")
	case err != io.EOF:
		return nil, err
	}
	c := &Column{Name: name, Type: h.column(), rows: h.shape[0]}
	if len(h.shape) > 1 {
		c.Shape = h.shape[1:]
	}
	if err := h.decode(c, raw, label); err != nil {
		return nil, err
	}
	return c, nil
}

// bytes is the size of a stored element.
func (h *npyHeader) bytes() int64 {
	if h.kind == 'U' {
		return 4 * int64(h.size)
	}
	return int64(h.size)
}

// column is the type that holds the elements.
func (h *npyHeader) column() Type {
	switch h.kind {
	case 'b':
		return Bool
	case 'f':
		if h.size == 8 {
			return F64
		}
		return F32
	case 'i':
		return [...]Type{1: I8, 2: I32, 4: I32, 8: I64}[h.size]
	case 'u':
		return [...]Type{1: U8, 2: I32, 4: I64, 8: I64}[h.size]
	}
	return String
}

func (h *npyHeader) decode(c *Column, raw []byte, label string) error {
	if h.kind == 'U' || h.kind == 'S' {
		return h.decodeStrings(c, raw, label)
	}
	if h.fortran && len(h.shape) > 1 {
		raw = toRowMajor(raw, h.shape, h.size)
	}
	o := h.order
	switch h.kind {
	case 'b':
		c.values = decode(raw, 1, func(b []byte) bool { return b[0] != 0 })
	case 'f':
		switch h.size {
		case 2:
			c.values = decode(raw, 2, func(b []byte) float32 { return float16(o.Uint16(b)) })
		case 4:
			c.values = decode(raw, 4, func(b []byte) float32 { return math.Float32frombits(o.Uint32(b)) })
		case 8:
			c.values = decode(raw, 8, func(b []byte) float64 { return math.Float64frombits(o.Uint64(b)) })
		}
	case 'i':
		switch h.size {
		case 1:
			c.values = decode(raw, 1, func(b []byte) int8 { return int8(b[0]) })
		case 2:
			c.values = decode(raw, 2, func(b []byte) int32 { return int32(int16(o.Uint16(b))) })
		case 4:
			c.values = decode(raw, 4, func(b []byte) int32 { return int32(o.Uint32(b)) })
		case 8:
			c.values = decode(raw, 8, func(b []byte) int64 { return int64(o.Uint64(b)) })
		}
	case 'u':
		switch h.size {
		case 1:
			c.values = raw
		case 2:
			c.values = decode(raw, 2, func(b []byte) int32 { return int32(o.Uint16(b)) })
		case 4:
			c.values = decode(raw, 4, func(b []byte) int64 { return int64(o.Uint32(b)) })
		case 8:
			values := decode(raw, 8, func(b []byte) int64 { return int64(o.Uint64(b)) })
			for i, v := range values {
				if v < 0 {
					return diag.Errorf("npy_range", "element %d of the array %s is %d, above what a 64-bit signed integer holds", i, label, uint64(v)).
						At(diag.Range{File: label}).Hint("Save the array in another type.")
				}
			}
			c.values = values
		}
	}
	return nil
}

func (h *npyHeader) decodeStrings(c *Column, raw []byte, label string) error {
	var w words
	codes := make([]int32, c.rows)
	size := int(h.bytes())
	var text []byte
	for i := range codes {
		item := raw[i*size : (i+1)*size]
		text = text[:0]
		if h.kind == 'S' {
			text = append(text, bytes.TrimRight(item, "\x00")...)
		} else {
			for len(item) > 0 {
				text = utf8.AppendRune(text, rune(h.order.Uint32(item)))
				item = item[4:]
			}
			text = bytes.TrimRight(text, "\x00")
		}
		if !utf8.Valid(text) {
			return diag.Errorf("npy_encoding", "string %d of the array %s is not UTF-8", i, label).At(diag.Range{File: label}).
				Hint("Save it as an array of str, not of bytes.")
		}
		codes[i] = w.code(text)
	}
	c.values, c.dict = codes, w.list
	return nil
}

// toRowMajor turns an array whose first dimension is the fastest around.
func toRowMajor(raw []byte, shape []int, size int) []byte {
	out := make([]byte, len(raw))
	index := make([]int, len(shape))
	for at := 0; at < len(out); at += size {
		from, stride := 0, size
		for i, x := range index {
			from += x * stride
			stride *= shape[i]
		}
		copy(out[at:at+size], raw[from:])
		for i := len(index) - 1; i >= 0; i-- {
			if index[i]++; index[i] < shape[i] {
				break
			}
			index[i] = 0
		}
	}
	return out
}

// float16 widens an IEEE 754 half-precision number.
func float16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h>>10) & 0x1f
	mantissa := uint32(h) & 0x3ff
	switch exponent {
	case 0:
		f := float32(mantissa) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | mantissa<<13)
}

func readNPYHeader(ctx context.Context, r io.Reader, label string) (*npyHeader, error) {
	at := diag.Range{File: label}
	notNPY := func(why string, args ...any) error {
		return diag.Errorf("not_npy", "%s is not a NumPy array: %s", label, fmt.Sprintf(why, args...)).At(at).
			Hint("Write it by numpy.save or numpy.savez.")
	}
	head, err := readGrowing(ctx, r, 10)
	if err != nil && err != errShort {
		return nil, err
	}
	if len(head) < 10 || string(head[:6]) != npyMagic {
		return nil, notNPY("it begins with the bytes % x", head[:min(len(head), 6)])
	}
	length := int64(binary.LittleEndian.Uint16(head[8:]))
	switch head[6] {
	case 1:
	case 2, 3:
		rest, err := readGrowing(ctx, r, 2)
		if err != nil && err != errShort {
			return nil, err
		}
		if len(rest) < 2 {
			return nil, notNPY("it ends in its header")
		}
		length |= int64(binary.LittleEndian.Uint16(rest)) << 16
	default:
		return nil, notNPY("its version is %d.%d", head[6], head[7])
	}
	if length > npyMaxHeader {
		return nil, notNPY("its header takes %d bytes", length)
	}
	text, err := readGrowing(ctx, r, length)
	if err == errShort {
		return nil, notNPY("it ends in its header")
	}
	if err != nil {
		return nil, err
	}
	h := &npyHeader{}
	descr, err := h.parse(string(text))
	if err != nil {
		return nil, notNPY("its header is %s (%v)", cellText(text), err)
	}
	if err := h.setType(descr); err != nil {
		return nil, diag.Errorf("npy_type", "the array %s holds elements of type %s, %v", label, cellText([]byte(descr)), err).At(at).
			Hint("Save it as numbers, truth values or strings, for instance with astype(\"float32\").")
	}
	return h, nil
}

// setType understands a type string such as <f4.
func (h *npyHeader) setType(descr string) error {
	if strings.HasSuffix(descr, "O") {
		return errors.New("that is, objects of Python, which are not read: they can hold programs")
	}
	if len(descr) < 3 {
		return errors.New("which is not read")
	}
	h.order = binary.LittleEndian
	if descr[0] == '>' {
		h.order = binary.BigEndian
	}
	size, err := strconv.ParseUint(descr[2:], 10, 31)
	if err != nil || !strings.ContainsRune("<>|=", rune(descr[0])) {
		return errors.New("which is not read")
	}
	h.kind, h.size = descr[1], int(size)
	known := map[byte][]int{'b': {1}, 'i': {1, 2, 4, 8}, 'u': {1, 2, 4, 8}, 'f': {2, 4, 8}}
	switch {
	case h.kind == 'U' || h.kind == 'S':
		if h.size == 0 || h.size > defaultMaxField {
			return errors.New("strings of a length that is not read")
		}
	case !slices.Contains(known[h.kind], h.size):
		return errors.New("which is not read")
	}
	return nil
}

// parse reads the header's dictionary: the keys descr, fortran_order and shape,
// in any order.
func (h *npyHeader) parse(s string) (descr string, err error) {
	p := literal{rest: s}
	p.take("{")
	seen := map[string]bool{}
	for p.err == nil && !p.next("}") {
		key := p.quoted()
		p.take(":")
		if seen[key] {
			p.fail("twice " + strconv.Quote(key))
		}
		seen[key] = true
		switch key {
		case "descr":
			if p.next("[") {
				return "", errors.New("a structured type")
			}
			descr = p.quoted()
		case "fortran_order":
			h.fortran = p.next("True")
			if !h.fortran {
				p.take("False")
			}
		case "shape":
			h.shape = p.tuple()
		default:
			p.fail("the key " + strconv.Quote(key))
		}
		if !p.next(",") && p.err == nil {
			p.take("}")
			break
		}
	}
	if p.err == nil && len(seen) != 3 {
		p.fail("a key is absent")
	}
	if p.err == nil && strings.TrimSpace(p.rest) != "" {
		p.fail("text after the dictionary")
	}
	return descr, p.err
}

// literal reads the few Python literals of a header.
type literal struct {
	rest string
	err  error
}

func (p *literal) fail(what string) {
	if p.err == nil {
		p.err = errors.New(what)
	}
	p.rest = ""
}

func (p *literal) next(token string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t\n")
	rest, ok := strings.CutPrefix(p.rest, token)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *literal) take(token string) {
	if !p.next(token) {
		p.fail("no " + token)
	}
}

func (p *literal) quoted() string {
	for _, quote := range []string{"'", `"`} {
		if p.next(quote) {
			s, rest, ok := strings.Cut(p.rest, quote)
			if !ok {
				p.fail("an open string")
			}
			p.rest = rest
			return s
		}
	}
	p.fail("no string")
	return ""
}

func (p *literal) tuple() []int {
	shape := []int{}
	p.take("(")
	for p.err == nil && !p.next(")") {
		end := strings.IndexFunc(p.rest, func(r rune) bool { return r < '0' || r > '9' })
		if end < 0 {
			end = len(p.rest)
		}
		n, err := strconv.ParseInt(p.rest[:end], 10, 62)
		if err != nil || len(shape) == npyMaxDims {
			p.fail("a bad shape")
			return nil
		}
		shape = append(shape, int(n))
		p.rest = strings.TrimPrefix(p.rest[end:], "L") // of Python 2
		if !p.next(",") && p.err == nil {
			p.take(")")
			break
		}
	}
	return shape
}

// ReadNPZ reads arrays of a file made by numpy.savez, compressed or not, as columns. names
// chooses some of them, in that order; nil means all. They must be equally long.
func ReadNPZ(ctx context.Context, path string, names []string, limits Limits) (*Table, error) {
	return DecodeNPZ(ctx, File(path), names, limits)
}

// DecodeNPZ is ReadNPZ for any input.
func DecodeNPZ(ctx context.Context, in Input, names []string, limits Limits) (*Table, error) {
	f, err := openRandom(in)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	label := in.label()
	at := diag.Range{File: label}
	z, err := zip.NewReader(f, f.size)
	if err != nil {
		return nil, diag.Errorf("not_npz", "%s is not a file of NumPy arrays: %w", label, err).At(at).Hint("Write it by numpy.savez.")
	}
	entries := map[string]*zip.File{}
	var known Schema
	for _, e := range z.File {
		name, ok := strings.CutSuffix(e.Name, ".npy")
		if !ok {
			continue
		}
		if entries[name] != nil {
			return nil, diag.Errorf("not_npz", "%s holds two arrays called %q", label, name).At(at).Hint("Write it again by numpy.savez.")
		}
		entries[name] = e
		known = append(known, Field{Name: name})
	}
	if len(known) == 0 {
		return nil, diag.Errorf("not_npz", "%s holds no array", label).At(at).Hint("Write it by numpy.savez.")
	}
	if names == nil {
		names = known.Names()
	}
	t := &Table{}
	left := limits.bytes()
	for _, name := range names {
		e := entries[name]
		if e == nil {
			return nil, MissingColumn(label, name, known).At(at)
		}
		c, err := readNPZEntry(ctx, e, label, name, Limits{Bytes: left})
		if err != nil {
			return nil, err
		}
		if left -= int64(c.rows) * int64(c.Width()) * int64(c.Type.Size()); left <= 0 {
			return nil, tooLarge(label, limits)
		}
		if len(t.Columns) == 0 {
			t.rows = c.rows
		}
		if c.rows != t.rows {
			return nil, diag.Errorf("count_mismatch", "the array %q of %s has %d examples, %q has %d", names[0], label, t.rows, name, c.rows).At(at).
				Hint("Choose arrays of one length, such as arrays = [\"x_train\", \"y_train\"].")
		}
		t.Columns = append(t.Columns, c)
	}
	if t.digest, err = f.digest(); err != nil {
		return nil, fileError(label, err)
	}
	return t, nil
}

func readNPZEntry(ctx context.Context, e *zip.File, label, name string, limits Limits) (*Column, error) {
	r, err := e.Open()
	if err != nil {
		return nil, diag.Errorf("not_npz", "the array %q of %s cannot be read: %w", name, label, err).At(diag.Range{File: label}).
			Hint("Write the file by numpy.savez or numpy.savez_compressed.")
	}
	defer r.Close()
	c, err := decodeNPY(ctx, r, label+"/"+e.Name, name, limits)
	var d diag.Diagnostic
	if err != nil && !errors.As(err, &d) && ctx.Err() == nil {
		return nil, fileError(label, corruptStream{err})
	}
	return c, err
}

// randomFile is an input that is read at any place.
type randomFile struct {
	io.ReaderAt
	io.Closer
	in   Input
	size int64
}

func openRandom(in Input) (*randomFile, error) {
	if b, ok := in.(Bytes); ok {
		return &randomFile{bytes.NewReader(b.Data), io.NopCloser(nil), in, int64(len(b.Data))}, nil
	}
	r, err := in.open()
	if err != nil {
		return nil, err
	}
	f, ok := r.(*os.File)
	if !ok {
		r.Close()
		return nil, fmt.Errorf("%s cannot be read at any place", in.label())
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fileError(in.label(), err)
	}
	return &randomFile{f, f, in, info.Size()}, nil
}

// digest reads the whole file.
func (f *randomFile) digest() (string, error) { return hashOf(io.NewSectionReader(f, 0, f.size)) }
