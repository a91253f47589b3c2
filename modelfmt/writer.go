package modelfmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// WriterOptions says how to write. The zero value is right for most.
type WriterOptions struct {
	// Workers is the number of goroutines that compress; default GOMAXPROCS.
	// The bytes written do not depend on it. Each worker takes about eight
	// chunks of memory.
	Workers int
	// ChunkSize is the logical bytes of a chunk, a power of two from 4 KiB to
	// 16 MiB; default that of Base, or 1 MiB. It is the grain of lazy reading.
	// Chunks are compared with Base's only when the sizes are equal.
	ChunkSize int
	// Base makes a delta checkpoint: tensors that Base holds under the same
	// name, type and shape are stored as differences where that is smaller.
	// Readers of the file will need Base. The caller keeps it open until
	// Commit.
	Base *Reader
	// Lock is a lock of the path that the caller holds, and keeps. Without it
	// Create takes the lock until Commit or Abort.
	Lock *Lock
	// FS is the file layer; default the operating system's.
	FS FileSystem
}

// Writer writes one checkpoint. Its methods must be called from one goroutine at
// a time; compression runs on others. After an error every later call returns
// it, and [Writer.Abort] cleans up.
type Writer struct {
	pipe     *pipeline
	index    index
	manifest map[string]json.RawMessage
	seen     [2]map[string]bool
	base     *Reader
	err      error
	done     bool
	root     Digest
	size     int64

	// What a Writer on a path has, and one on an io.Writer lacks.
	path string
	temp *tempFile
	lock claimed
}

func (o WriterOptions) fs() FileSystem {
	if o.FS == nil {
		return osFS{}
	}
	return o.FS
}

// NewWriter writes a checkpoint to out. Commit ends it; out is neither synced nor
// closed.
func NewWriter(out io.Writer, opts WriterOptions) (*Writer, error) {
	log2 := uint8(defaultChunk)
	if opts.Base != nil && opts.ChunkSize == 0 {
		log2 = opts.Base.index.chunkLog2
	}
	if n := opts.ChunkSize; n != 0 {
		for log2 = minChunkLog2; log2 <= maxChunkLog2 && n != 1<<log2; log2++ {
		}
		if log2 > maxChunkLog2 {
			return nil, &InputError{"chunk size", fmt.Sprintf("%d is not a power of two from %d to %d", n, 1<<minChunkLog2, 1<<maxChunkLog2)}
		}
	}
	workers := opts.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	w := &Writer{
		manifest: map[string]json.RawMessage{},
		seen:     [2]map[string]bool{{}, {}},
		base:     opts.Base,
		index:    index{chunkLog2: log2},
	}
	if w.base != nil {
		w.index.hasBase, w.index.base = true, w.base.Root()
	}
	var err error
	if w.pipe, err = newPipeline(out, w.index.chunkSize(), workers); err != nil {
		return nil, err
	}
	w.pipe.put(appendHeader(nil))
	return w, nil
}

// Create starts a checkpoint that will replace path. Until [Writer.Commit]
// returns nil, whatever is at path stays as it is. The new file gets the mode of
// the old one, or 0644 less the umask.
//
// The bytes go to a file ".NAME.tmp-RANDOM" in the same folder. One that a killed
// process left there is removed by the next Create of the same path, which the
// path's lock makes safe. A path that another writer holds gives [ErrLocked].
func Create(path string, opts WriterOptions) (*Writer, error) {
	lock, err := claim(path, opts.Lock)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Writer, error) {
		lock.release()
		return nil, fmt.Errorf("create checkpoint %s: %w", path, err)
	}
	fsys := opts.fs()
	if st, err := fsys.Stat(lock.path); err == nil && opts.Base != nil && opts.Base.isFile(st) {
		return fail(&InputError{"base", "it lies at this very path, and its delta would replace it; write the delta elsewhere"})
	}
	temp, err := openTemp(fsys, lock.path)
	if err != nil {
		return fail(err)
	}
	w, err := NewWriter(temp.file, opts)
	if err != nil {
		temp.discard()
		return fail(err)
	}
	w.path, w.temp, w.lock = lock.path, temp, lock
	return w, nil
}

// check is the gate of every method that adds.
func (w *Writer) check() error {
	if w.err == nil && w.done {
		w.err = errors.New("checkpoint writer is already committed or aborted")
	}
	if w.err == nil {
		w.err = w.pipe.failed()
	}
	return w.err
}

// SetManifest sets one section of the manifest, replacing an earlier one of that
// name. section is 1 to 256 bytes of UTF-8 without control characters, and value
// any JSON.
func (w *Writer) SetManifest(section string, value json.RawMessage) error {
	if err := w.check(); err != nil {
		return err
	}
	if err := checkName(section, maxSectionBytes); err != nil {
		return &InputError{fmt.Sprintf("manifest section %q", section), err.Error()}
	}
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return &InputError{fmt.Sprintf("manifest section %q", section), "not JSON: " + err.Error()}
	}
	w.manifest[section] = b.Bytes()
	return nil
}

// AddBlob adds named bytes: a graph, a text, a signature.
func (w *Writer) AddBlob(name string, data []byte) error {
	return w.add(kindBlob, TensorInfo{Name: name, DType: U8, Shape: []int{len(data)}}, bytes.NewReader(data), data)
}

// AddTensor adds a tensor from its dense bytes: little endian, row-major, exactly
// info.Bytes() of them. data may be changed as soon as AddTensor returns.
func (w *Writer) AddTensor(info TensorInfo, data []byte) error {
	return w.add(kindTensor, info, bytes.NewReader(data), data)
}

// AddTensorFrom adds a tensor whose dense bytes are read from r, which must give
// exactly info.Bytes() of them. No more than a few chunks are held in memory.
func (w *Writer) AddTensorFrom(info TensorInfo, r io.Reader) error {
	return w.add(kindTensor, info, r, nil)
}

// add registers an entry and sends its chunks on their way. whole has all the
// bytes when the caller has them in memory; otherwise r is read.
func (w *Writer) add(kind uint8, info TensorInfo, r io.Reader, whole []byte) error {
	if err := w.check(); err != nil {
		return err
	}
	e := &entry{kind: kind, info: info}
	e.info.Shape = slices.Clone(info.Shape)
	if err := w.admit(e); err != nil {
		return err
	}
	if whole != nil && int64(len(whole)) != e.bytes {
		return &InputError{e.section(), fmt.Sprintf("%d bytes were given, and %s of shape %v needs %d", len(whole), info.DType, info.Shape, e.bytes)}
	}
	chunkSize := w.index.chunkSize()
	e.chunks = make([]chunkRef, chunkCount(e.bytes, chunkSize))
	w.seen[kind][info.Name] = true
	w.index.entries = append(w.index.entries, e)
	baseEntry := w.baseEntry(e)

	var waiting []*job
	for i := range e.chunks {
		n := e.chunkLen(i, chunkSize)
		j := &job{dtype: info.DType, ref: &e.chunks[i]}
		if whole != nil && len(e.chunks) > 1 {
			j.data = whole[int64(i)*chunkSize:][:n]
			waiting = append(waiting, j)
		} else {
			// A copy lets the caller go on with small tensors at once.
			j.data, j.pooled = w.pipe.buffer()[:n], true
			if _, err := io.ReadFull(r, j.data); err != nil {
				w.err = fmt.Errorf("read %s at byte %d of %d: %w", e.section(), int64(i)*chunkSize, e.bytes, err)
				return w.err
			}
		}
		if baseEntry != nil {
			j.xor = func(dst []byte) error { return w.base.readChunk(baseEntry, i, dst) }
		}
		w.pipe.submit(j)
	}
	for _, j := range waiting {
		<-j.ready
	}
	if whole == nil && w.err == nil {
		if n, _ := io.ReadFull(r, make([]byte, 1)); n != 0 {
			w.err = &InputError{e.section(), fmt.Sprintf("the reader gives more than the %d bytes of %s %v", e.bytes, info.DType, info.Shape)}
		}
	}
	return w.check()
}

// admit refuses what a reader would refuse.
func (w *Writer) admit(e *entry) error {
	what := e.section()
	if err := checkName(e.info.Name, maxNameBytes); err != nil {
		return &InputError{fmt.Sprintf("name %q", e.info.Name), err.Error()}
	}
	if w.seen[e.kind][e.info.Name] {
		return &InputError{what, "it was added before; names are unique in a checkpoint"}
	}
	if err := checkText(e.info.Role, maxRoleBytes); err != nil {
		return &InputError{what, "role: " + err.Error()}
	}
	if err := checkText(e.info.Encoding, maxEncodingLen); err != nil {
		return &InputError{what, "encoding: " + err.Error()}
	}
	var err error
	if e.bytes, err = sizeOf(e.info.Shape, e.info.DType, Limits{}.withDefaults().EntryBytes); err != nil {
		return &InputError{what, err.Error()}
	}
	return nil
}

// baseEntry finds what e may be stored against.
func (w *Writer) baseEntry(e *entry) *entry {
	if w.base == nil || w.base.index.chunkLog2 != w.index.chunkLog2 {
		return nil
	}
	b := w.base.entries[e.kind][e.info.Name]
	if b == nil || b.info.DType != e.info.DType || !slices.Equal(b.info.Shape, e.info.Shape) {
		return nil
	}
	return b
}

// Commit writes the rest and makes the checkpoint durable under its path. On an
// error nothing has changed at the path, and no file is left; only when the very
// last act fails, the sync of the folder, the new checkpoint is in place already.
func (w *Writer) Commit() error {
	if err := w.check(); err != nil {
		w.Abort()
		return err
	}
	if err := w.commit(); err != nil {
		w.err = err
		w.Abort()
		if w.path != "" {
			return fmt.Errorf("write checkpoint %s: %w", w.path, err)
		}
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

func (w *Writer) commit() error {
	w.done = true
	if err := w.pipe.finish(); err != nil {
		return err
	}
	if err := w.tail(); err != nil {
		return err
	}
	if w.temp == nil {
		return nil
	}
	if err := w.temp.commit(); err != nil {
		return err
	}
	return w.lock.release()
}

// tail writes manifest, index and footer.
func (w *Writer) tail() error {
	p := w.pipe
	var manifestJSON bytes.Buffer
	enc := json.NewEncoder(&manifestJSON) // sorts the keys
	enc.SetEscapeHTML(false)
	if err := enc.Encode(w.manifest); err != nil {
		return err
	}
	manifest := manifestJSON.Bytes()
	logical := w.index.appendLogical(nil)
	w.root = rootDigest(manifest, logical)
	raw := w.index.appendPhysical(logical)
	stored, err := compressIndex(raw)
	if err != nil {
		return err
	}
	f := footer{
		manifestOffset: uint64(p.offset), manifestLength: uint64(len(manifest)), manifestCRC: checksum(manifest),
		indexOffset: uint64(p.offset) + uint64(len(manifest)), indexStored: uint64(len(stored)),
		indexRaw: uint64(len(raw)), indexCRC: checksum(stored), root: w.root,
	}
	if w.index.hasBase {
		f.required |= FeatureDelta
	}
	f.fileLength = f.indexOffset + f.indexStored + footerSize
	p.put(manifest)
	p.put(stored)
	p.put(f.append(nil))
	if err := p.failed(); err != nil {
		return err
	}
	w.size = p.offset
	return p.out.Flush()
}

// compressIndex returns the zstd form of the index, or itself when that is not
// smaller.
func compressIndex(raw []byte) ([]byte, error) {
	z, err := newZstdEncoder(zstd.SpeedDefault)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	if out := z.EncodeAll(raw, nil); len(out) < len(raw) {
		return out, nil
	}
	return raw, nil
}

// Abort gives the checkpoint up and removes its temporary file. After Commit it
// does nothing, so it may be deferred.
func (w *Writer) Abort() {
	if !w.done {
		w.done = true
		w.pipe.fail(errors.New("checkpoint writer was aborted"))
		w.pipe.finish()
	}
	if w.temp != nil {
		w.temp.discard()
	}
	w.lock.release()
}

// Root returns the digest that identifies the checkpoint, once Commit succeeded.
func (w *Writer) Root() Digest { return w.root }

// Size returns the bytes of the file, once Commit succeeded.
func (w *Writer) Size() int64 { return w.size }
