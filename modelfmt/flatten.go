package modelfmt

import (
	"context"
	"fmt"
	"io"
)

// Copy adds everything that src holds to w: manifest, blobs and tensors. A Writer
// with the chunk size of src and nothing else added gives the root of src.
func Copy(ctx context.Context, w *Writer, src *Reader, progress Progress) error {
	var total int64
	for _, e := range src.index.entries {
		total += e.bytes
	}
	tell := newMeter(progress, total)
	for name, v := range src.sections {
		if err := w.SetManifest(name, v); err != nil {
			return err
		}
	}
	for _, e := range src.index.entries {
		// Reading several chunks at once lets all cores decode.
		window := src.index.chunkSize() * int64(src.opts.Workers)
		from := &contextReader{ctx: ctx, r: io.NewSectionReader(entryAt{src, e}, 0, e.bytes), tell: tell, window: make([]byte, min(window, e.bytes))}
		if err := w.add(e.kind, e.info, from, nil); err != nil {
			return err
		}
	}
	return nil
}

// contextReader reads ahead in windows, reports progress, and ends when its
// context does.
type contextReader struct {
	ctx          context.Context
	r            io.Reader
	tell         *meter
	window, rest []byte
}

func (c *contextReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		if len(c.window) == 0 {
			return 0, io.EOF
		}
		n, err := io.ReadFull(c.r, c.window)
		if n == 0 {
			return 0, err
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return 0, err
		}
		c.rest = c.window[:n]
		c.tell.add(int64(n))
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Flatten writes a copy of src to path that needs no base. It has the root of src,
// since it holds the same; opts.Base must be nil and opts.ChunkSize 0.
func Flatten(ctx context.Context, src *Reader, path string, opts WriterOptions, progress Progress) error {
	if opts.Base != nil || opts.ChunkSize != 0 {
		return &InputError{"flatten", "WriterOptions.Base and ChunkSize are given; leave them empty"}
	}
	opts.ChunkSize = src.ChunkSize()
	w, err := Create(path, opts)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := Copy(ctx, w, src, progress); err != nil {
		return fmt.Errorf("flatten to %s: %w", path, err)
	}
	return w.Commit()
}
