package data

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Limits bounds what a reader may take.
type Limits struct {
	// Bytes is the most memory that the values of a table may take; 0 means 16 GiB.
	Bytes int64
}

const defaultMaxBytes = 16 << 30

func (l Limits) bytes() int64 {
	if l.Bytes <= 0 {
		return defaultMaxBytes
	}
	return l.Bytes
}

// tooLarge is the diagnostic for a table beyond the limit.
func tooLarge(file string, l Limits) diag.Diagnostic {
	most := fmt.Sprintf("%d MiB", l.bytes()>>20)
	if l.bytes() < 1<<20 {
		most = fmt.Sprintf("%d bytes", l.bytes())
	}
	return diag.Errorf("data_too_large", "the table would take more than %s of memory", most).
		At(diag.Range{File: file}).
		Hint("Keep fewer of its columns, write it as CSV or Parquet, of which rows that do not fit are kept on disk, or raise the limit (--data-memory).")
}

// Input is a file to read: File, or Bytes for one in memory.
type Input interface {
	// label is the name for messages.
	label() string
	open() (io.ReadCloser, error)
}

// File is an input with the given path.
type File string

func (f File) label() string { return string(f) }

func (f File) open() (io.ReadCloser, error) {
	r, err := os.Open(string(f))
	if err != nil {
		return nil, fileError(string(f), err)
	}
	if info, err := r.Stat(); err == nil && info.IsDir() {
		r.Close()
		return nil, diag.Errorf("not_a_file", "%s is a folder", f).At(diag.Range{File: string(f)}).Hint("Name one of the files in it.")
	}
	return r, nil
}

// Bytes is an input in memory. Name is used in messages.
type Bytes struct {
	Name string
	Data []byte
}

func (b Bytes) label() string { return b.Name }

func (b Bytes) open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Data)), nil }

// fileError says in the user's terms why a file could not be opened or read.
func fileError(path string, err error) error {
	at := diag.Range{File: path}
	var d diag.Diagnostic
	switch {
	case errors.As(err, &d), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrNotExist):
		d = diag.Errorf("no_such_file", "there is no file %s", path).At(at).
			Hint("Check the path. In a spec, a relative one begins at the folder of the spec.")
	case errors.Is(err, fs.ErrPermission):
		d = diag.Errorf("not_permitted", "the file %s may not be read", path).At(at).Hint("Change the file's permissions, or read a copy.")
	case isCorrupt(err):
		d = diag.Errorf("corrupt_compression", "the compressed file %s is damaged: %w", path, err).At(at).
			Hint("It was cut off or changed; fetch or compress it again.")
	default:
		d = diag.Errorf("read_failed", "reading %s: %w", path, err).At(at).Hint("Check the disk or the network the file is on, then try again.")
	}
	d.Cause = err
	return d
}

func isCorrupt(err error) bool {
	for _, e := range []error{gzip.ErrHeader, gzip.ErrChecksum, io.ErrUnexpectedEOF, zstd.ErrCRCMismatch, zstd.ErrMagicMismatch,
		zstd.ErrReservedBlockType, zstd.ErrBlockTooSmall, zstd.ErrCompressedSizeTooBig, zstd.ErrUnexpectedBlockSize,
		zstd.ErrWindowSizeExceeded, zstd.ErrWindowSizeTooSmall, zstd.ErrDecoderSizeExceeded, zstd.ErrFrameSizeMismatch, zstd.ErrUnknownDictionary} {
		if errors.Is(err, e) {
			return true
		}
	}
	var damaged corruptStream
	return errors.As(err, &damaged)
}

// corruptStream marks errors that a decompressor gave, not the file below it.
type corruptStream struct{ error }

func (e corruptStream) Unwrap() error { return e.error }

// maxZstdWindow is the largest window of a compressed file that is accepted:
// what "zstd --ultra" makes without --long. It is the memory a decoder takes.
const maxZstdWindow = 128 << 20

// stream is an input's contents, decompressed if it is compressed, with the
// digest of the bytes as they lie on disk.
type stream struct {
	name   string
	file   io.ReadCloser
	hash   hash.Hash
	raw    *countingReader
	source io.Reader // decompressed
	packed bool      // it was compressed
	close  func()
}

type countingReader struct {
	r   io.Reader
	err error // the file's own, to tell it from a damaged stream
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// openStream opens an input and finds out by its first bytes whether it is
// compressed by gzip or zstd.
func openStream(in Input) (*stream, error) {
	f, err := in.open()
	if err != nil {
		return nil, err
	}
	s := &stream{name: in.label(), file: f, hash: sha256.New(), close: func() {}}
	s.raw = &countingReader{r: f}
	b := bufio.NewReaderSize(io.TeeReader(s.raw, s.hash), 256<<10)
	magic, err := b.Peek(4)
	if err != nil && err != io.EOF {
		f.Close()
		return nil, fileError(s.name, err)
	}
	switch {
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(b)
		if err != nil {
			f.Close()
			return nil, fileError(s.name, corruptStream{err})
		}
		s.source, s.packed, s.close = z, true, func() { z.Close() }
	case len(magic) == 4 && string(magic) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			f.Close()
			return nil, fileError(s.name, corruptStream{err})
		}
		s.source, s.packed, s.close = z, true, z.Close
	default:
		s.source = b
		return s, nil
	}
	return s, nil
}

// Read gives decompressed bytes; its errors are diagnostics.
func (s *stream) Read(p []byte) (int, error) {
	n, err := s.source.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	if s.raw.err == nil {
		err = corruptStream{err}
	}
	return n, fileError(s.name, err)
}

// digest returns the digest of the whole file once it has been read to its end.
func (s *stream) digest() string { return "sha256:" + hex.EncodeToString(s.hash.Sum(nil)) }

func (s *stream) Close() error {
	s.close()
	return s.file.Close()
}

// hashOf is the digest of all that r gives.
func hashOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// digestOf returns that of the bytes of several files together: a file alone
// has "sha256:" and its hash; several have the hash over theirs, one a line.
func digestOf(digests ...string) string {
	if len(digests) == 1 {
		return digests[0]
	}
	h := sha256.New()
	for _, d := range digests {
		fmt.Fprintln(h, d)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// errShort is given by readGrowing, as it is, where the input ends too early. A
// damaged compressed stream is another error.
var errShort = errors.New("the input ends too early")

// readGrowing reads exactly n bytes, taking memory only as they arrive, so
// that a header cannot ask for more than the file holds. It returns what it
// got with errShort if there are fewer.
func readGrowing(ctx context.Context, r io.Reader, n int64) ([]byte, error) {
	const first = 4 << 20
	buf := make([]byte, 0, min(n, first))
	for int64(len(buf)) < n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(n, 2*int64(cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		at := len(buf)
		got, err := io.ReadFull(r, buf[at:cap(buf)])
		buf = buf[:at+got]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return buf, errShort
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}
