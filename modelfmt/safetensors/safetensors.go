// Package safetensors reads and writes files of the safetensors format, single or
// sharded by an index: https://huggingface.co/docs/safetensors.
//
// It is strict, as a reader of strangers' files must be: a header of at most 100
// MB, unique names, tensors that tile the data without holes, sizes multiplied
// with care before memory is taken, and shards that are plain file names in the
// folder of their index. Start at [Open] and [Write].
package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
)

const (
	maxHeader = 100_000_000
	maxRank   = 32
)

// types maps the format's names, in the order of its own enumeration, which
// decides the order of tensors in a file.
var types = []struct {
	name  string
	dtype modelfmt.DType
}{
	{"BOOL", modelfmt.Bool}, {"U8", modelfmt.U8}, {"I8", modelfmt.I8}, {"F16", modelfmt.F16}, {"BF16", modelfmt.BF16},
	{"I32", modelfmt.I32}, {"U32", modelfmt.U32}, {"F32", modelfmt.F32}, {"F64", modelfmt.F64}, {"I64", modelfmt.I64}, {"U64", modelfmt.U64},
}

func typeByName(name string) (modelfmt.DType, bool) {
	for _, t := range types {
		if t.name == name {
			return t.dtype, true
		}
	}
	return 0, false
}

func typeRank(d modelfmt.DType) int {
	for i, t := range types {
		if t.dtype == d {
			return i
		}
	}
	return -1
}

// File is one open safetensors file.
type File struct {
	src      io.ReaderAt
	closer   io.Closer
	base     int64 // where data begins
	tensors  []entry
	byName   map[string]int
	metadata map[string]string
}

type entry struct {
	info       modelfmt.TensorInfo
	begin, end int64
}

// OpenFile opens a single file.
func OpenFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open safetensors: %w", err)
	}
	st, err := f.Stat()
	var s *File
	if err == nil {
		s, err = NewFile(f, st.Size())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open safetensors %s: %w", path, err)
	}
	s.closer = f
	return s, nil
}

// NewFile reads the header of a file of size bytes in src.
func NewFile(src io.ReaderAt, size int64) (*File, error) {
	var head [8]byte
	if size < 8 {
		return nil, fmt.Errorf("%d bytes are too short for a header; the file was cut or is another format", size)
	}
	if _, err := src.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("read header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > maxHeader {
		return nil, &modelfmt.LimitError{What: "bytes of a safetensors header", Value: n, Limit: maxHeader, Remedy: "the file is damaged or of another format"}
	}
	if n > uint64(size-8) {
		return nil, fmt.Errorf("its header of %d bytes ends after the file of %d; the file was cut", n, size)
	}
	text := make([]byte, n)
	if _, err := src.ReadAt(text, 8); err != nil && n > 0 {
		return nil, fmt.Errorf("read header: %w", err)
	}
	f := &File{src: src, base: 8 + int64(n), byName: map[string]int{}}
	if err := f.parse(text, size-f.base); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return f, nil
}

// parse reads the header, whose tensors must tile dataLen bytes.
func (f *File) parse(text []byte, dataLen int64) error {
	if len(text) == 0 || text[0] != '{' {
		return errors.New("it does not begin with {")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.Token()
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return fmt.Errorf("key %v is not a string", t)
		}
		if name == "__metadata__" {
			if f.metadata != nil {
				return errors.New("__metadata__ appears twice")
			}
			f.metadata = map[string]string{}
			if err := d.Decode(&f.metadata); err != nil {
				return fmt.Errorf("__metadata__: %w", err)
			}
			if f.metadata == nil {
				return errors.New("__metadata__ is null")
			}
			continue
		}
		if _, twice := f.byName[name]; twice {
			return fmt.Errorf("tensor %q appears twice", name)
		}
		e, err := parseEntry(d, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.byName[name] = -1
		f.tensors = append(f.tensors, e)
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if rest := bytes.TrimRight(text[d.InputOffset():], " "); len(rest) != 0 {
		return errors.New("something but spaces follows the object")
	}
	slices.SortStableFunc(f.tensors, func(a, b entry) int {
		if a.begin != b.begin {
			return compare(a.begin, b.begin)
		}
		return compare(a.end, b.end)
	})
	at := int64(0)
	for i, e := range f.tensors {
		if e.begin != at {
			return fmt.Errorf("tensor %q begins at byte %d, and the one before ends at %d", e.info.Name, e.begin, at)
		}
		at = e.end
		f.byName[e.info.Name] = i
	}
	if at != dataLen {
		return fmt.Errorf("its tensors end at byte %d of %d; the file was cut or has bytes of nobody", at, dataLen)
	}
	return nil
}

func compare(a, b int64) int {
	if a < b {
		return -1
	} else if a > b {
		return 1
	}
	return 0
}

func parseEntry(d *json.Decoder, name string) (entry, error) {
	var raw struct {
		DType   *string  `json:"dtype"`
		Shape   *[]int64 `json:"shape"`
		Offsets *[]int64 `json:"data_offsets"`
	}
	if err := d.Decode(&raw); err != nil {
		return entry{}, err
	}
	if raw.DType == nil || raw.Shape == nil || raw.Offsets == nil || len(*raw.Offsets) != 2 {
		return entry{}, errors.New("it needs dtype, shape and two data_offsets")
	}
	e := entry{info: modelfmt.TensorInfo{Name: name}, begin: (*raw.Offsets)[0], end: (*raw.Offsets)[1]}
	var ok bool
	if e.info.DType, ok = typeByName(*raw.DType); !ok {
		return e, &modelfmt.UnsupportedError{What: fmt.Sprintf("element type %s", *raw.DType)}
	}
	if len(*raw.Shape) > maxRank {
		return e, fmt.Errorf("rank %d is above %d", len(*raw.Shape), maxRank)
	}
	n := int64(e.info.DType.Size())
	e.info.Shape = make([]int, len(*raw.Shape))
	for i, dim := range *raw.Shape {
		if dim < 0 || uint64(dim) > math.MaxInt || dim > 0 && n > math.MaxInt64/dim {
			return e, fmt.Errorf("shape %v cannot be", *raw.Shape)
		}
		n *= dim
		e.info.Shape[i] = int(dim)
	}
	if e.begin < 0 || e.end < e.begin || e.end-e.begin != n {
		return e, fmt.Errorf("data_offsets %v do not fit %s %v, which has %d bytes", *raw.Offsets, *raw.DType, *raw.Shape, n)
	}
	return e, nil
}

// Tensors lists the tensors in the order of their data.
func (f *File) Tensors() []modelfmt.TensorInfo {
	out := make([]modelfmt.TensorInfo, len(f.tensors))
	for i, e := range f.tensors {
		out[i] = e.info
		out[i].Shape = slices.Clone(e.info.Shape)
	}
	return out
}

// Metadata returns the file's free text, by key.
func (f *File) Metadata() map[string]string { return f.metadata }

// TensorReader gives the bytes of a tensor.
func (f *File) TensorReader(name string) (io.Reader, error) {
	i, ok := f.byName[name]
	if !ok {
		return nil, &modelfmt.NotFoundError{Kind: "tensor", Name: name}
	}
	e := f.tensors[i]
	return io.NewSectionReader(f.src, f.base+e.begin, e.end-e.begin), nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Tensor is one tensor to be written.
type Tensor struct {
	Info modelfmt.TensorInfo
	// Open gives exactly Info.Bytes() bytes; it is called once, in the order of
	// the file.
	Open func() (io.Reader, error)
}

// Write writes a file, with tensors in the order of the format's own library:
// types by falling alignment, then names. metadata may be nil.
func Write(w io.Writer, metadata map[string]string, tensors []Tensor) error {
	sorted := slices.Clone(tensors)
	slices.SortStableFunc(sorted, func(a, b Tensor) int {
		if ra, rb := typeRank(a.Info.DType), typeRank(b.Info.DType); ra != rb {
			return rb - ra
		}
		return strings.Compare(a.Info.Name, b.Info.Name)
	})
	header, err := appendHeader(nil, metadata, sorted)
	if err != nil {
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	for _, t := range sorted {
		r, err := t.Open()
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Info.Name, err)
		}
		n, err := io.Copy(w, io.LimitReader(r, t.Info.Bytes()+1))
		if err == nil && n != t.Info.Bytes() {
			err = fmt.Errorf("%d bytes or more were given, and it has %d", n, t.Info.Bytes())
		}
		if err != nil {
			return fmt.Errorf("tensor %q: %w", t.Info.Name, err)
		}
	}
	return nil
}

func appendHeader(dst []byte, metadata map[string]string, tensors []Tensor) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	put := func(v any) error {
		if err := enc.Encode(v); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // the encoder's new line
		return nil
	}
	b.WriteByte('{')
	if len(metadata) > 0 {
		b.WriteString(`"__metadata__":`)
		if err := put(metadata); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	at := int64(0)
	for _, t := range tensors {
		name := t.Info.Name
		if seen[name] || name == "__metadata__" {
			return nil, &modelfmt.InputError{What: fmt.Sprintf("tensor %q", name), Detail: "the name is taken; safetensors names are unique"}
		}
		seen[name] = true
		if typeRank(t.Info.DType) < 0 {
			return nil, &modelfmt.InputError{What: fmt.Sprintf("tensor %q", name), Detail: fmt.Sprintf("safetensors has no element type %s", t.Info.DType)}
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		if err := put(name); err != nil {
			return nil, err
		}
		shape := t.Info.Shape
		if shape == nil {
			shape = []int{}
		}
		b.WriteByte(':')
		err := put(struct {
			DType   string   `json:"dtype"`
			Shape   []int    `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{types[typeRank(t.Info.DType)].name, shape, [2]int64{at, at + t.Info.Bytes()}})
		if err != nil {
			return nil, err
		}
		at += t.Info.Bytes()
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > maxHeader {
		return nil, &modelfmt.LimitError{What: "bytes of a safetensors header", Value: uint64(b.Len()), Limit: maxHeader, Remedy: "write fewer tensors to one file"}
	}
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Len()))
	return append(dst, b.Bytes()...), nil
}
