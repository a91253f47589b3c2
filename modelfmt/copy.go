package modelfmt

import (
	"context"
	"fmt"
	"io"
)

// CopyFile writes the checkpoint at from to path as it is stored, as durably as
// [Create]; a delta stays one. Every stored byte is checked before. Of opts only
// Lock and FS are used.
func CopyFile(ctx context.Context, from, path string, opts WriterOptions) error {
	r, err := Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := r.Verify(ctx, nil); err != nil {
		return fmt.Errorf("copy checkpoint %s: %w", from, err)
	}
	_, _, err = copyFile(from, path, opts)
	return err
}

// copyFile copies a checkpoint's bytes. Its parts are checked when it is opened,
// its chunks are not.
func copyFile(from, path string, opts WriterOptions) (Digest, int64, error) {
	fail := func(err error) (Digest, int64, error) {
		return Digest{}, 0, fmt.Errorf("copy checkpoint %s to %s: %w", from, path, err)
	}
	r, err := Open(from)
	if err != nil {
		return Digest{}, 0, err
	}
	defer r.Close()
	lock, err := claim(path, opts.Lock)
	if err != nil {
		return Digest{}, 0, err
	}
	defer lock.release()
	t, err := openTemp(opts.fs(), lock.path)
	if err != nil {
		return fail(err)
	}
	defer t.discard()
	n, err := io.Copy(t.file, io.NewSectionReader(r.src, 0, r.size))
	if err == nil && n != r.size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = t.commit()
	}
	if err != nil {
		return fail(err)
	}
	return r.Root(), n, nil
}
