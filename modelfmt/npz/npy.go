// Package npz reads and writes NumPy's .npy arrays and .npz archives of them:
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
//
// Objects (pickles), structured types and strings are refused. Big-endian and
// column-major arrays are turned to what the rest of the module uses, little
// endian and row-major. Start at [Open], [ReadHeader] and [Writer].
package npz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
)

const (
	maxHeader = 1 << 20
	maxRank   = 32
)

var magic = []byte("\x93NUMPY")

// Header describes one array.
type Header struct {
	DType modelfmt.DType
	Shape []int
	// Fortran is column-major order of the bytes that follow, Big their byte
	// order. [ReadArray] undoes both.
	Fortran, Big bool
}

// Bytes returns the size of the array.
func (h Header) Bytes() int64 {
	return modelfmt.TensorInfo{DType: h.DType, Shape: h.Shape}.Bytes()
}

var descrs = map[string]modelfmt.DType{
	"f8": modelfmt.F64, "f4": modelfmt.F32, "f2": modelfmt.F16, "i8": modelfmt.I64, "i4": modelfmt.I32,
	"i1": modelfmt.I8, "u8": modelfmt.U64, "u4": modelfmt.U32, "u1": modelfmt.U8, "b1": modelfmt.Bool,
}

// ReadHeader reads the head of a .npy stream, up to its first element.
func ReadHeader(r io.Reader) (Header, error) {
	var h Header
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return h, fmt.Errorf("read .npy header: %w", noEOF(err))
	}
	if !bytes.Equal(head[:6], magic) {
		return h, errors.New("not a .npy array: it does not begin with \\x93NUMPY")
	}
	var n uint32
	switch head[6] {
	case 1:
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return h, fmt.Errorf("read .npy header: %w", noEOF(err))
		}
		n = uint32(binary.LittleEndian.Uint16(b[:]))
	case 2, 3:
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return h, fmt.Errorf("read .npy header: %w", noEOF(err))
		}
		n = binary.LittleEndian.Uint32(b[:])
	default:
		return h, &modelfmt.UnsupportedError{What: fmt.Sprintf(".npy version %d", head[6])}
	}
	if n > maxHeader {
		return h, &modelfmt.LimitError{What: "bytes of a .npy header", Value: uint64(n), Limit: maxHeader, Remedy: "the file is damaged"}
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return h, fmt.Errorf("read .npy header: %w", noEOF(err))
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return h, fmt.Errorf(".npy header %q: %w", strings.TrimSpace(string(text)), err)
	}
	return h, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// literal walks the Python literal of a header, of which only a dict of strings,
// booleans and a tuple of integers can occur.
type literal struct {
	s  string
	at int
}

func (l *literal) space() {
	for l.at < len(l.s) && strings.IndexByte(" \t\r\n", l.s[l.at]) >= 0 {
		l.at++
	}
}

func (l *literal) take(c byte) bool {
	l.space()
	if l.at < len(l.s) && l.s[l.at] == c {
		l.at++
		return true
	}
	return false
}

func (l *literal) str() (string, error) {
	l.space()
	if l.at == len(l.s) || l.s[l.at] != '\'' && l.s[l.at] != '"' {
		return "", fmt.Errorf("a string is expected at character %d", l.at)
	}
	end := strings.IndexByte(l.s[l.at+1:], l.s[l.at])
	if end < 0 {
		return "", errors.New("a string does not end")
	}
	v := l.s[l.at+1 : l.at+1+end]
	if strings.IndexByte(v, '\\') >= 0 {
		return "", errors.New("a string has an escape")
	}
	l.at += end + 2
	return v, nil
}

func (l *literal) word() string {
	l.space()
	from := l.at
	for l.at < len(l.s) && (l.s[l.at] >= '0' && l.s[l.at] <= '9' || l.s[l.at] >= 'A' && l.s[l.at] <= 'Z' || l.s[l.at] >= 'a' && l.s[l.at] <= 'z') {
		l.at++
	}
	return l.s[from:l.at]
}

func (l *literal) tuple() ([]int, error) {
	if !l.take('(') {
		return nil, errors.New("shape is not a tuple")
	}
	shape := []int{}
	for !l.take(')') {
		w := strings.TrimSuffix(l.word(), "L") // old NumPy under Python 2
		v, err := strconv.ParseUint(w, 10, 62)
		if err != nil || v > math.MaxInt {
			return nil, fmt.Errorf("dimension %q is not a number", w)
		}
		if shape = append(shape, int(v)); len(shape) > maxRank {
			return nil, fmt.Errorf("more than %d dimensions", maxRank)
		}
		if !l.take(',') && !l.take(')') {
			return nil, errors.New("shape does not end")
		} else if l.s[l.at-1] == ')' {
			break
		}
	}
	return shape, nil
}

func parseHeader(s string) (Header, error) {
	var h Header
	l := &literal{s: s}
	if !l.take('{') {
		return h, errors.New("it is not a dict")
	}
	seen := map[string]bool{}
	for !l.take('}') {
		key, err := l.str()
		if err != nil {
			return h, err
		}
		if seen[key] {
			return h, fmt.Errorf("%s appears twice", key)
		}
		seen[key] = true
		if !l.take(':') {
			return h, errors.New("a colon is missing")
		}
		switch key {
		case "descr":
			err = l.descr(&h)
		case "fortran_order":
			switch w := l.word(); w {
			case "True":
				h.Fortran = true
			case "False":
			default:
				err = fmt.Errorf("fortran_order is %q", w)
			}
		case "shape":
			h.Shape, err = l.tuple()
		default:
			err = fmt.Errorf("key %q is unknown", key)
		}
		if err != nil {
			return h, err
		}
		if !l.take(',') {
			if l.take('}') {
				break
			}
			return h, errors.New("a comma is missing")
		}
	}
	l.space()
	if l.at != len(s) || len(seen) != 3 {
		return h, errors.New("it needs descr, fortran_order and shape, and nothing else")
	}
	n := int64(h.DType.Size())
	for _, d := range h.Shape {
		if d > 0 && n > math.MaxInt64/2/int64(d) {
			return h, fmt.Errorf("shape %v is too large", h.Shape)
		}
		n *= max(int64(d), 1)
	}
	return h, nil
}

func (l *literal) descr(h *Header) error {
	l.space()
	if l.at < len(l.s) && l.s[l.at] == '[' {
		return &modelfmt.UnsupportedError{What: "structured NumPy types"}
	}
	v, err := l.str()
	if err != nil {
		return err
	}
	kind := v
	if v != "" && strings.IndexByte("<>|=", v[0]) >= 0 {
		h.Big, kind = v[0] == '>', v[1:]
	}
	var ok bool
	if h.DType, ok = descrs[kind]; !ok {
		return &modelfmt.UnsupportedError{What: fmt.Sprintf("NumPy type %q", v)}
	}
	return nil
}

// ReadArray reads the elements that follow a header: little endian, row-major.
// Memory is taken as they arrive, so a header alone cannot claim it. It does not
// look past the last element.
func ReadArray(r io.Reader, h Header) ([]byte, error) {
	n := h.Bytes()
	var b bytes.Buffer
	b.Grow(int(min(n, 1<<20)))
	got, err := io.Copy(&b, io.LimitReader(r, n))
	if err != nil {
		return nil, fmt.Errorf("read array: %w", err)
	}
	if got != n {
		return nil, fmt.Errorf("read array: %d of %d bytes are there; the file was cut", got, n)
	}
	out := b.Bytes()
	width := h.DType.Size()
	if h.Big {
		for at := 0; at < len(out); at += width {
			for i, j := at, at+width-1; i < j; i, j = i+1, j-1 {
				out[i], out[j] = out[j], out[i]
			}
		}
	}
	if h.Fortran && len(h.Shape) > 1 {
		out = rowMajor(out, h.Shape, width)
	}
	return out, nil
}

// rowMajor reorders elements whose first axis varies fastest.
func rowMajor(src []byte, shape []int, width int) []byte {
	dst := make([]byte, len(src))
	if len(src) == 0 {
		return dst
	}
	stride := make([]int, len(shape))
	for i, s := 0, width; i < len(shape); i++ {
		stride[i] = s
		s *= shape[i]
	}
	at := make([]int, len(shape))
	from := 0
	for to := 0; to < len(dst); to += width {
		copy(dst[to:to+width], src[from:])
		for i := len(shape) - 1; i >= 0; i-- {
			at[i]++
			from += stride[i]
			if at[i] < shape[i] {
				break
			}
			from -= stride[i] * shape[i]
			at[i] = 0
		}
	}
	return dst
}

// AppendHeader appends the head of a .npy file for a tensor, as NumPy writes it:
// padded so that the elements begin at a multiple of 64.
func AppendHeader(dst []byte, d modelfmt.DType, shape []int) ([]byte, error) {
	name := ""
	for k, v := range descrs {
		if v == d {
			name = k
		}
	}
	if name == "" {
		return nil, &modelfmt.InputError{What: "NumPy array", Detail: fmt.Sprintf("NumPy has no element type %s; convert to safetensors instead", d)}
	}
	order := "<"
	if d.Size() == 1 {
		order = "|"
	}
	var dims strings.Builder
	for i, n := range shape {
		if i > 0 {
			dims.WriteString(", ")
		}
		fmt.Fprint(&dims, n)
	}
	if len(shape) == 1 {
		dims.WriteByte(',')
	}
	text := fmt.Sprintf("{'descr': '%s%s', 'fortran_order': False, 'shape': (%s), }", order, name, dims.String())
	pad := 63 - (len(magic)+4+len(text))%64
	text += strings.Repeat(" ", pad) + "\n"
	dst = append(dst, magic...)
	dst = append(dst, 1, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(text)))
	return append(dst, text...), nil
}
