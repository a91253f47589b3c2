package modelfmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// BaseFiles returns a resolver for ReaderOptions.Base that offers the given
// checkpoints, and takes the one whose root is the digest asked for.
func BaseFiles(paths ...string) func(Digest, ReaderOptions) (*Reader, error) {
	return func(want Digest, opts ReaderOptions) (*Reader, error) {
		var got Digest
		for _, path := range paths {
			r, err := OpenWith(path, opts)
			if err != nil {
				return nil, err
			}
			if r.Root() == want {
				return r, nil
			}
			got = r.Root()
			r.Close()
		}
		return nil, &BaseError{Want: want, Got: got}
	}
}

func (r *Reader) open() error {
	if r.size < headerSize+footerSize {
		head := make([]byte, min(max(r.size, 0), int64(len(headerMagic))))
		if _, err := r.src.ReadAt(head, 0); err == nil && bytes.HasPrefix(headerMagic[:], head) {
			return &CorruptError{Section: "file", Detail: fmt.Sprintf("%d bytes are too short for a checkpoint, so it was cut", r.size)}
		}
		return fmt.Errorf("%w: %d bytes are too short; give a file written by hone", ErrNotCheckpoint, r.size)
	}
	var head [headerSize]byte
	if err := r.readAt(head[:], 0, "header"); err != nil {
		return err
	}
	if err := parseHeader(head[:]); err != nil {
		return err
	}
	var foot [footerSize]byte
	if err := r.readAt(foot[:], r.size-footerSize, "footer"); err != nil {
		return err
	}
	var err error
	if r.foot, err = parseFooter(foot[:], r.size, r.opts.Limits); err != nil {
		return err
	}
	r.ignored = describeBits(r.foot.optional&^knownOptional, optionalNames)
	if err := r.openManifest(); err != nil {
		return err
	}
	if err := r.openIndex(); err != nil {
		return err
	}
	return r.openExtensions()
}

// readAt fills b. A file shorter than it was when it was opened is damage.
func (r *Reader) readAt(b []byte, at int64, section string) error {
	n, err := r.src.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return &CorruptError{Section: section, Offset: at, Detail: fmt.Sprintf("the file was cut: %d of %d bytes are there", n, len(b))}
	}
	return fmt.Errorf("read %s at byte %d: %w", section, at, err)
}

func (r *Reader) openManifest() error {
	at := int64(r.foot.manifestOffset)
	r.manifest = make([]byte, r.foot.manifestLength)
	if err := r.readAt(r.manifest, at, "manifest"); err != nil {
		return err
	}
	if checksum(r.manifest) != r.foot.manifestCRC {
		return &CorruptError{Section: "manifest", Offset: at, Detail: "checksum does not match"}
	}
	var err error
	if r.sections, err = parseManifest(r.manifest); err != nil {
		return &CorruptError{Section: "manifest", Offset: at, Detail: "not a JSON object of unique keys", Err: err}
	}
	return nil
}

// parseManifest reads a JSON object, refusing a key given twice, which readers
// of other make would resolve differently.
func parseManifest(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("it does not begin with {")
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("key %v is not a string", t)
		}
		if err := checkName(key, maxSectionBytes); err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("key %q appears twice", key)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		out[key] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the object")
	}
	return out, nil
}

func (r *Reader) openIndex() error {
	at := int64(r.foot.indexOffset)
	bad := func(detail string, err error) error {
		return &CorruptError{Section: "index", Offset: at, Detail: detail, Err: err}
	}
	stored := make([]byte, r.foot.indexStored)
	if err := r.readAt(stored, at, "index"); err != nil {
		return err
	}
	if checksum(stored) != r.foot.indexCRC {
		return bad("checksum does not match", nil)
	}
	raw := stored
	if r.foot.indexStored < r.foot.indexRaw {
		z, err := newZstdDecoder()
		if err != nil {
			return err
		}
		defer z.Close()
		// The buffer grows with what is really there, so that a small file
		// cannot claim a large index.
		raw, err = decodeBounded(z, stored, int(r.foot.indexRaw))
		if err != nil {
			return bad("it does not decompress", err)
		}
	}
	x, logical, err := parseIndex(raw, int64(r.foot.manifestOffset), r.opts.Limits)
	if err != nil {
		var limit *LimitError
		if errors.As(err, &limit) {
			return limit
		}
		return bad("it cannot be read", err)
	}
	if err := x.inflated(r.size, r.opts.Limits); err != nil {
		return err
	}
	if rootDigest(r.manifest, raw[:logical]) != r.foot.root {
		return bad("the root digest does not match", nil)
	}
	if x.hasBase != (r.foot.required&FeatureDelta != 0) {
		return bad("the footer and the index disagree on whether there is a base", nil)
	}
	if x.hasBase && x.base == r.foot.root {
		return bad("it names itself as its base", nil)
	}
	r.index = x
	r.entries = [2]map[string]*entry{{}, {}}
	for _, e := range x.entries {
		r.entries[e.kind][e.info.Name] = e
	}
	return nil
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

func sized(dst []byte, n int64) []byte {
	if int64(cap(dst)) >= n {
		return dst[:n]
	}
	return make([]byte, n)
}

// readRange fills dst with the logical bytes of e from off on, on several
// goroutines when there are several chunks.
func (r *Reader) readRange(e *entry, off int64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	size := r.index.chunkSize()
	first, last := off/size, (off+int64(len(dst))-1)/size
	one := func(i int64) error {
		start := i * size
		n := e.chunkLen(int(i), size)
		lo, hi := max(off, start), min(off+int64(len(dst)), start+int64(n))
		part := dst[lo-off : hi-off]
		if len(part) == n {
			return r.readChunk(e, int(i), part)
		}
		buf := r.buffer(n)
		defer r.recycle(buf)
		if err := r.readChunk(e, int(i), *buf); err != nil {
			return err
		}
		copy(part, (*buf)[lo-start:hi-start])
		return nil
	}
	return forEach(first, last+1, r.opts.Workers, one)
}

// forEach calls f for every i in [from, to) on up to workers goroutines. Of
// several errors it returns the one of the lowest i.
func forEach(from, to int64, workers int, f func(i int64) error) error {
	if n := to - from; int64(workers) > n {
		workers = int(n)
	}
	if workers <= 1 {
		for i := from; i < to; i++ {
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	}
	var next atomic.Int64
	next.Store(from)
	var mu sync.Mutex
	var firstErr error
	firstAt := to
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < to; i = next.Add(1) - 1 {
				if err := f(i); err != nil {
					mu.Lock()
					if i < firstAt {
						firstAt, firstErr = i, err
					}
					mu.Unlock()
					next.Store(to)
				}
			}
		})
	}
	wg.Wait()
	return firstErr
}

func (r *Reader) buffer(n int) *[]byte {
	b, ok := r.buffers.Get().(*[]byte)
	if !ok || cap(*b) < n {
		c := make([]byte, n)
		return &c
	}
	*b = (*b)[:n]
	return b
}

func (r *Reader) recycle(b *[]byte) { r.buffers.Put(b) }

// readChunk fills dst with the logical bytes of chunk i.
func (r *Reader) readChunk(e *entry, i int, dst []byte) error {
	record, err := r.readRecord(e, i)
	if err != nil {
		return err
	}
	defer r.recycle(record)
	d, err := r.decoder()
	if err != nil {
		return err
	}
	defer r.decoders.Put(d)
	xor, err := d.decode(dst, *record, e.info.DType)
	if err != nil {
		return r.corrupt(e, i, "chunk does not decode", err)
	}
	if xor {
		return r.xorBase(e, i, dst)
	}
	return nil
}

func (r *Reader) decoder() (*chunkDecoder, error) {
	if d, ok := r.decoders.Get().(*chunkDecoder); ok {
		return d, nil
	}
	return newChunkDecoder()
}

// readRecord returns the stored bytes of a chunk, checked.
func (r *Reader) readRecord(e *entry, i int) (*[]byte, error) {
	c := &e.chunks[i]
	b := r.buffer(int(c.stored))
	if err := r.readAt(*b, c.offset, e.section()); err != nil {
		r.recycle(b)
		return nil, err
	}
	if checksum(*b) != c.crc {
		r.recycle(b)
		return nil, r.corrupt(e, i, "checksum of a chunk does not match", nil)
	}
	return b, nil
}

func (r *Reader) corrupt(e *entry, i int, detail string, err error) error {
	return &CorruptError{Section: e.section(), Offset: e.chunks[i].offset, Detail: detail, Err: err}
}

// xorBase turns the difference in dst into the chunk.
func (r *Reader) xorBase(e *entry, i int, dst []byte) error {
	if !r.index.hasBase {
		return r.corrupt(e, i, "a chunk is a difference, and the file names no base", nil)
	}
	base, err := r.openBase()
	if err != nil {
		return err
	}
	b := base.entries[e.kind][e.info.Name]
	if b == nil || b.info.DType != e.info.DType || !slices.Equal(b.info.Shape, e.info.Shape) || base.index.chunkLog2 != r.index.chunkLog2 {
		return r.corrupt(e, i, "a chunk is a difference, and the base has no such tensor", nil)
	}
	buf := r.buffer(len(dst))
	defer r.recycle(buf)
	if err := base.readChunk(b, i, *buf); err != nil {
		return fmt.Errorf("base %s: %w", r.index.base, err)
	}
	xorBytes(dst, dst, *buf)
	return nil
}

func (r *Reader) openBase() (*Reader, error) {
	r.baseOnce.Do(func() {
		want := r.index.base
		if r.opts.Base == nil {
			r.baseErr = &BaseError{Want: want}
			return
		}
		opts := r.opts
		if opts.depth++; opts.depth > maxBaseDepth {
			r.baseErr = &LimitError{"bases below bases", uint64(opts.depth), maxBaseDepth, "flatten one of the checkpoints in between"}
			return
		}
		b, err := r.opts.Base(want, opts)
		var known *BaseError
		switch {
		case errors.As(err, &known):
			r.baseErr = err
		case err != nil:
			r.baseErr = &BaseError{Want: want, Err: err}
		case b == r || b.Root() != want:
			r.baseErr = &BaseError{Want: want, Got: b.Root()}
		default:
			r.base = b
		}
	})
	return r.base, r.baseErr
}
