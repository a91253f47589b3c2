package modelfmt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// ReaderOptions says how to read. The zero value is right for most.
type ReaderOptions struct {
	// Limits bounds what is accepted before memory is taken.
	Limits Limits
	// Workers is the number of goroutines that decode one large read; default
	// GOMAXPROCS. Each holds about two chunks of memory.
	Workers int
	// Base finds the base of a delta checkpoint when a chunk first needs it; see
	// [BaseFiles]. No path or name in a file is ever followed. It passes opts
	// on to the Reader that it makes, which is closed with the one that asked.
	// Without it such chunks give a [BaseError].
	Base func(want Digest, opts ReaderOptions) (*Reader, error)

	depth int // of bases below bases
}

// Reader reads one checkpoint. Opening reads the footer, the manifest and the
// index; tensors are read when asked for. Its methods may be called from several
// goroutines.
type Reader struct {
	src      io.ReaderAt
	closer   io.Closer
	size     int64
	opts     ReaderOptions
	foot     footer
	index    *index
	entries  [2]map[string]*entry
	manifest []byte
	sections map[string]json.RawMessage
	ignored  []string

	decoders sync.Pool // *chunkDecoder
	buffers  sync.Pool // *[]byte

	baseOnce sync.Once
	base     *Reader
	baseErr  error
}

// Open opens a checkpoint with default options.
func Open(path string) (*Reader, error) { return OpenWith(path, ReaderOptions{}) }

// OpenWith opens a checkpoint. The file is read with positioned reads and never
// mapped, so that one which is cut underneath gives an error and no fault.
func OpenWith(path string, opts ReaderOptions) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint: %w", err)
	}
	st, err := f.Stat()
	if err == nil && st.IsDir() {
		err = errors.New("it is a folder; name the .hone file in it")
	}
	var r *Reader
	if err == nil {
		r, err = NewReader(f, st.Size(), opts)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open checkpoint %s: %w", path, err)
	}
	r.closer = f
	return r, nil
}

// NewReader opens a checkpoint of size bytes in src.
func NewReader(src io.ReaderAt, size int64, opts ReaderOptions) (*Reader, error) {
	opts.Limits = opts.Limits.withDefaults()
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	r := &Reader{src: src, size: size, opts: opts}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// Close releases the file, and the base if one was opened.
func (r *Reader) Close() error {
	var err error
	r.baseOnce.Do(func() { r.baseErr = os.ErrClosed })
	if r.base != nil {
		err = r.base.Close()
	}
	if r.closer != nil {
		err = errors.Join(r.closer.Close(), err)
		r.closer = nil
	}
	return err
}

// isFile reports whether the checkpoint is read from the file that st describes.
func (r *Reader) isFile(st os.FileInfo) bool {
	f, ok := r.src.(*os.File)
	if !ok {
		return false
	}
	own, err := f.Stat()
	return err == nil && os.SameFile(own, st)
}

// Root returns the digest that identifies what the checkpoint holds: manifest,
// names, types, shapes and every logical byte, however they are compressed.
func (r *Reader) Root() Digest { return r.foot.root }

// Size returns the bytes of the file.
func (r *Reader) Size() int64 { return r.size }

// Base returns the digest of the base that a delta checkpoint was written
// against, and whether there is one.
func (r *Reader) Base() (Digest, bool) { return r.index.base, r.index.hasBase }

// Ignored lists features and extensions of the file that this reader does not
// know and that the format allows it to pass over.
func (r *Reader) Ignored() []string { return slices.Clone(r.ignored) }

// Manifest returns the sections of the manifest. The map is the caller's.
func (r *Reader) Manifest() map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(r.sections))
	for k, v := range r.sections {
		out[k] = slices.Clone(v)
	}
	return out
}

// Section decodes one section of the manifest into v; it reports whether the
// section is there.
func (r *Reader) Section(name string, v any) (bool, error) {
	raw, ok := r.sections[name]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return true, fmt.Errorf("manifest section %q: %w", name, err)
	}
	return true, nil
}

// Tensors lists the tensors in the order in which they were written.
func (r *Reader) Tensors() []TensorInfo {
	var out []TensorInfo
	for _, e := range r.index.entries {
		if e.kind == kindTensor {
			out = append(out, e.copyInfo())
		}
	}
	return out
}

func (e *entry) copyInfo() TensorInfo {
	info := e.info
	info.Shape = slices.Clone(info.Shape)
	return info
}

// Tensor returns the description of one tensor, and whether it is there.
func (r *Reader) Tensor(name string) (TensorInfo, bool) {
	e, ok := r.entries[kindTensor][name]
	if !ok {
		return TensorInfo{}, false
	}
	return e.copyInfo(), true
}

// Blobs lists the names of the blobs in the order in which they were written.
func (r *Reader) Blobs() []string {
	var out []string
	for _, e := range r.index.entries {
		if e.kind == kindBlob {
			out = append(out, e.info.Name)
		}
	}
	return out
}

// Blob returns the bytes of a blob.
func (r *Reader) Blob(name string) ([]byte, error) {
	e, err := r.find(kindBlob, name)
	if err != nil {
		return nil, err
	}
	if uint64(e.bytes) > r.opts.Limits.BlobBytes {
		return nil, &LimitError{"bytes of " + e.section(), uint64(e.bytes), r.opts.Limits.BlobBytes, raiseLimits}
	}
	out := make([]byte, e.bytes)
	return out, r.readRange(e, 0, out)
}

func (r *Reader) find(kind uint8, name string) (*entry, error) {
	if e, ok := r.entries[kind][name]; ok {
		return e, nil
	}
	err := &NotFoundError{Kind: "tensor", Name: name}
	if kind == kindBlob {
		err.Kind = "blob"
	}
	err.Near = nearest(name, r.entries[kind])
	return nil, err
}

// nearest returns the key that shares most with name: equal but for case, or
// the longest common head and tail, when that is at least half of it.
func nearest(name string, in map[string]*entry) string {
	best, bestScore := "", len(name)/2
	for k := range in {
		if strings.EqualFold(k, name) {
			return k
		}
		n := min(len(k), len(name))
		head := 0
		for head < n && k[head] == name[head] {
			head++
		}
		tail := 0
		for tail < n-head && k[len(k)-1-tail] == name[len(name)-1-tail] {
			tail++
		}
		if s := head + tail; s > bestScore || s == bestScore && best != "" && k < best {
			best, bestScore = k, s
		}
	}
	return best
}

// ReadTensor returns the dense bytes of a tensor: little endian, row-major. They
// lie in dst when its capacity suffices, and in new memory otherwise. The stored
// bytes are checked against their checksums.
func (r *Reader) ReadTensor(name string, dst []byte) ([]byte, error) {
	e, err := r.find(kindTensor, name)
	if err != nil {
		return nil, err
	}
	dst = sized(dst, e.bytes)
	return dst, r.readRange(e, 0, dst)
}

// ReadRows returns the dense bytes of rows [from, to) of a tensor, a row being an
// index of its first axis. Only the chunks that hold them are read.
func (r *Reader) ReadRows(name string, from, to int, dst []byte) ([]byte, error) {
	e, err := r.find(kindTensor, name)
	if err != nil {
		return nil, err
	}
	if len(e.info.Shape) == 0 {
		return nil, &InputError{e.section(), "a scalar has no rows; use ReadTensor"}
	}
	rows := e.info.Shape[0]
	if from < 0 || to < from || to > rows {
		return nil, &InputError{e.section(), fmt.Sprintf("rows %d to %d are outside its %d rows", from, to, rows)}
	}
	var row int64
	if rows > 0 {
		row = e.bytes / int64(rows)
	}
	dst = sized(dst, row*int64(to-from))
	return dst, r.readRange(e, row*int64(from), dst)
}

// TensorReader gives the dense bytes of a tensor piece by piece. Reads of whole
// chunks, see [Reader.ChunkSize], are the cheapest.
func (r *Reader) TensorReader(name string) (*io.SectionReader, error) {
	e, err := r.find(kindTensor, name)
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(entryAt{r, e}, 0, e.bytes), nil
}

type entryAt struct {
	r *Reader
	e *entry
}

func (a entryAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > a.e.bytes {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), a.e.bytes-off))
	if err := a.r.readRange(a.e, off, p[:n]); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// ChunkSize returns the logical bytes of a chunk.
func (r *Reader) ChunkSize() int { return int(r.index.chunkSize()) }
