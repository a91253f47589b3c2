package modelfmt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

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

// BaseFolder returns a resolver for ReaderOptions.Base that looks for the digest
// asked for among the checkpoints, *.hone, of a folder. It reads the footers of
// the others, and no more of them.
func BaseFolder(dir string) func(Digest, ReaderOptions) (*Reader, error) {
	return func(want Digest, opts ReaderOptions) (*Reader, error) {
		list, err := os.ReadDir(dir)
		if err != nil {
			return nil, &BaseError{Want: want, Err: err}
		}
		for _, d := range list {
			path := filepath.Join(dir, d.Name())
			if filepath.Ext(path) != ".hone" || !hasRoot(path, want) {
				continue
			}
			return OpenWith(path, opts)
		}
		return nil, &BaseError{Want: want, Err: fmt.Errorf("no checkpoint in %s is it; put it there, or name it", dir)}
	}
}

// hasRoot reports whether a file ends as the checkpoint of that digest does.
func hasRoot(path string, want Digest) bool {
	// What is no regular file, a pipe for one, might never open.
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() < headerSize+footerSize {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var foot [footerSize]byte
	if _, err := f.ReadAt(foot[:], st.Size()-footerSize); err != nil {
		return false
	}
	x, err := parseFooter(foot[:], st.Size(), Limits{}.withDefaults())
	return err == nil && x.root == want
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
