package data

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
)

// The IDX format, of the MNIST database of Y. LeCun, C. Cortes and C. Burges: two
// zero bytes, the element type, the number of dimensions, each dimension as a
// big-endian 32-bit number, then the elements, big-endian, the last dimension fastest.
const (
	idxU8  = 0x08
	idxI8  = 0x09
	idxI16 = 0x0B
	idxI32 = 0x0C
	idxF32 = 0x0D
	idxF64 = 0x0E

	idxMaxDims = 8
)

var idxSizes = map[byte]int64{idxU8: 1, idxI8: 1, idxI16: 2, idxI32: 4, idxF32: 4, idxF64: 8}

// ReadIDX reads an IDX file, compressed or not, as one column: the first
// dimension counts the rows, the others are the shape of a row.
func ReadIDX(ctx context.Context, path, name string, limits Limits) (*Table, error) {
	return DecodeIDX(ctx, File(path), name, limits)
}

// DecodeIDX is ReadIDX for any input.
func DecodeIDX(ctx context.Context, in Input, name string, limits Limits) (*Table, error) {
	s, err := openStream(in)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c, err := decodeIDX(ctx, s, name, limits)
	if err != nil {
		return nil, err
	}
	return &Table{Columns: []*Column{c}, rows: c.rows, digest: s.digest()}, nil
}

func decodeIDX(ctx context.Context, s *stream, name string, limits Limits) (*Column, error) {
	at := func(offset int) diag.Range { return diag.Range{File: s.name, Start: diag.Pos{Byte: offset}} }
	truncated := func(what string, got, want int64) error {
		return diag.Errorf("truncated_idx", "%s ends in its %s: %d bytes of %d", s.name, what, got, want).
			At(at(int(got))).Hint("The file was cut off; fetch or copy it again.")
	}
	magic, err := readGrowing(ctx, s, 4)
	if err != nil && err != errShort {
		return nil, err
	}
	if len(magic) >= 2 && (magic[0] != 0 || magic[1] != 0) || len(magic) == 4 && (idxSizes[magic[2]] == 0 || magic[3] == 0) {
		return nil, diag.Errorf("not_idx", "%s is not an IDX file: it begins with the bytes % x", s.name, magic).At(at(0)).
			Hint("An IDX file begins with two zero bytes, an element type (08, 09, 0b to 0e) and the number of dimensions. Is it perhaps another format, or an error page saved under this name?")
	}
	if len(magic) < 4 {
		return nil, truncated("header", int64(len(magic)), 4)
	}
	kind, dims := magic[2], int(magic[3])
	if dims > idxMaxDims {
		return nil, diag.Errorf("idx_dimensions", "%s has %d dimensions", s.name, dims).At(at(3)).Hint("At most %d are read.", idxMaxDims)
	}
	header, err := readGrowing(ctx, s, int64(4*dims))
	if err == errShort {
		return nil, truncated("header", int64(4+len(header)), int64(4+4*dims))
	}
	if err != nil {
		return nil, err
	}
	count := int64(1)
	shape := make([]int, dims)
	for i := range shape {
		d := binary.BigEndian.Uint32(header[4*i:])
		if i > 0 && d == 0 {
			return nil, diag.Errorf("idx_dimensions", "dimension %d of %s is zero", i, s.name).At(at(4 + 4*i)).Hint("The file holds nothing; make it again.")
		}
		if d != 0 && count > limits.bytes()/int64(d) {
			return nil, tooLarge(s.name, limits)
		}
		shape[i] = int(d)
		count *= int64(d)
	}
	size := count * idxSizes[kind]
	if size > limits.bytes() {
		return nil, tooLarge(s.name, limits)
	}
	raw, err := readGrowing(ctx, s, size)
	if err == errShort {
		return nil, truncated(fmt.Sprintf("values (its header says %v)", shape), int64(4+4*dims+len(raw)), int64(4+4*dims)+size)
	}
	if err != nil {
		return nil, err
	}
	var more [1]byte
	switch n, err := io.ReadFull(s, more[:]); {
	case n > 0:
		return nil, diag.Errorf("idx_too_long", "%s goes on after its values (its header says %v)", s.name, shape).At(at(4 + 4*dims + int(size))).
			Hint("The header and the contents do not belong together; fetch the file again.")
	case err != io.EOF:
		return nil, err
	}
	return idxColumn(name, kind, shape, raw), nil
}

func idxColumn(name string, kind byte, shape []int, raw []byte) *Column {
	c := &Column{Name: name, rows: shape[0]}
	if len(shape) > 1 {
		c.Shape = shape[1:]
	}
	be := binary.BigEndian
	switch kind {
	case idxU8:
		c.Type, c.values = U8, raw
	case idxI8:
		c.Type, c.values = I8, decode(raw, 1, func(b []byte) int8 { return int8(b[0]) })
	case idxI16:
		c.Type, c.values = I32, decode(raw, 2, func(b []byte) int32 { return int32(int16(be.Uint16(b))) })
	case idxI32:
		c.Type, c.values = I32, decode(raw, 4, func(b []byte) int32 { return int32(be.Uint32(b)) })
	case idxF32:
		c.Type, c.values = F32, decode(raw, 4, func(b []byte) float32 { return math.Float32frombits(be.Uint32(b)) })
	case idxF64:
		c.Type, c.values = F64, decode(raw, 8, func(b []byte) float64 { return math.Float64frombits(be.Uint64(b)) })
	}
	return c
}

func decode[T Element](raw []byte, size int, element func([]byte) T) []T {
	out := make([]T, len(raw)/size)
	for i := range out {
		out[i] = element(raw[i*size : i*size+size])
	}
	return out
}

// ReadIDXPair reads a file of images (or any examples) and one of as many labels
// as a table with the columns image and label.
func ReadIDXPair(ctx context.Context, images, labels string, limits Limits) (*Table, error) {
	return DecodeIDXPair(ctx, File(images), File(labels), limits)
}

// DecodeIDXPair is ReadIDXPair for any inputs.
func DecodeIDXPair(ctx context.Context, images, labels Input, limits Limits) (*Table, error) {
	x, err := DecodeIDX(ctx, images, "image", limits)
	if err != nil {
		return nil, err
	}
	y, err := DecodeIDX(ctx, labels, "label", limits)
	if err != nil {
		return nil, err
	}
	label := y.Columns[0]
	if len(label.Shape) != 0 || !label.Type.Integer() {
		return nil, diag.Errorf("not_labels", "%s holds %v for each example, not a label", labels.label(), label.Field()).
			At(diag.Range{File: labels.label()}).Hint("A file of labels has one dimension of whole numbers. Are the two files swapped?")
	}
	if x.rows != y.rows {
		return nil, diag.Errorf("count_mismatch", "%s has %d examples, %s has %d labels", images.label(), x.rows, labels.label(), y.rows).
			At(diag.Range{File: labels.label()}).Hint("Both files must be of the same set, such as train-images with train-labels.")
	}
	return &Table{Columns: []*Column{x.Columns[0], label}, rows: x.rows, digest: digestOf(x.digest, y.digest)}, nil
}

func allRows(n int) []int64 {
	rows := make([]int64, n)
	for i := range rows {
		rows[i] = int64(i)
	}
	return rows
}

// Split is a data set as its authors divided it. Test is nil where they gave none.
type Split struct {
	Train, Test *Table
}

// ReadMNIST reads a folder with IDX files as MNIST and its descendants have them: names that begin
// with "train" or "t10k" (or "test") and contain "images" or "labels", compressed or
// not. The test files may be absent, both of them.
func ReadMNIST(ctx context.Context, dir string, limits Limits) (*Split, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fileError(dir, err)
	}
	find := func(kind string, prefixes ...string) (string, error) {
		var found []string
		for _, e := range entries {
			name := strings.ToLower(e.Name())
			for _, p := range prefixes {
				if strings.HasPrefix(name, p) && strings.Contains(name, kind) && !e.IsDir() {
					found = append(found, e.Name())
					break
				}
			}
		}
		// A file beside its own compressed form is the same file.
		if len(found) == 2 && found[1] == found[0]+".gz" {
			found = found[:1]
		}
		switch len(found) {
		case 0:
			return "", nil
		case 1:
			return filepath.Join(dir, found[0]), nil
		}
		return "", diag.Errorf("ambiguous_idx", "%s has several files of %s: %s", dir, kind, strings.Join(found, ", ")).
			At(diag.Range{File: dir}).Hint("Leave one of them in the folder, or name the files one by one.")
	}
	read := func(required bool, prefixes ...string) (*Table, error) {
		images, err := find("images", prefixes...)
		if err != nil {
			return nil, err
		}
		labels, err := find("labels", prefixes...)
		if err != nil {
			return nil, err
		}
		if images == "" && labels == "" && !required {
			return nil, nil
		}
		for _, f := range []struct{ path, kind, dims string }{{images, "images", "3"}, {labels, "labels", "1"}} {
			if f.path == "" {
				return nil, diag.Errorf("missing_idx", "%s has no file %s*%s*", dir, prefixes[0], f.kind).At(diag.Range{File: dir}).
					Hint("The folder must hold the IDX files of the set, such as %s-%s-idx%s-ubyte, compressed by gzip or not.", prefixes[0], f.kind, f.dims)
			}
		}
		return ReadIDXPair(ctx, images, labels, limits)
	}
	var s Split
	if s.Train, err = read(true, "train"); err != nil {
		return nil, err
	}
	if s.Test, err = read(false, "t10k", "test"); err != nil {
		return nil, err
	}
	return &s, nil
}
