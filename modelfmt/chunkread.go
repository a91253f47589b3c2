package modelfmt

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

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
			if b != r {
				b.Close()
			}
		default:
			r.base = b
		}
	})
	return r.base, r.baseErr
}
