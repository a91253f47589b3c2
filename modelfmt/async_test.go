package modelfmt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSnapshotOfSeveralFiles writes one snapshot as a delta and as two whole
// files, of which the second is the first's bytes.
func TestSnapshotOfSeveralFiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	first := newSample()
	first.tensor("w", F32, []int{1 << 16}, "param", gaussF32(rng, 1<<16, 0.1))
	first.blob("module", bytes.Repeat([]byte("graph "), 100))
	next := newSample()
	next.tensor("w", F32, []int{1 << 16}, "param", step(rng, first.data["w"], 1e-5))
	next.blob("module", first.blobs["module"])

	a := NewAsyncWriter(nil)
	fill := func(of *sample) *Snapshot {
		s := a.Snapshot()
		for _, i := range of.tensors {
			s.ShareTensor(i, of.data[i.Name])
		}
		s.ShareBlob("module", of.blobs["module"])
		return s
	}
	fill(first).Save(at("base.hone"), WriterOptions{})
	var saved []Saved
	s := fill(next)
	s.Run(func() error {
		base, err := Open(at("base.hone"))
		if err != nil {
			return err
		}
		defer base.Close()
		saved = append(saved, s.Write(at("delta.hone"), WriterOptions{Base: base}), s.Write(at("a.hone"), WriterOptions{}), s.Write(at("b.hone"), WriterOptions{}))
		return nil
	})
	if err := a.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, f := range saved {
		if f.Err != nil || f.Root != saved[0].Root {
			t.Fatalf("%+v", f)
		}
		r, err := OpenWith(f.Path, ReaderOptions{Base: BaseFolder(dir)})
		if err != nil {
			t.Fatal(err)
		}
		if err := next.equal(r); err != nil {
			t.Error(f.Path, err)
		}
		if _, delta := r.Base(); delta != (f.Path == at("delta.hone")) || r.Size() != f.Size {
			t.Errorf("%s: delta %v, %d bytes, told %d", f.Path, delta, r.Size(), f.Size)
		}
		r.Close()
	}
	x, err := os.ReadFile(at("a.hone"))
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(at("b.hone"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Error("the copy has other bytes")
	}
	// The next snapshot must not take what was shared with this one, nor its file.
	s = a.Snapshot()
	s.SetManifest("empty", json.RawMessage("true"))
	s.Save(at("b.hone"), WriterOptions{})
	if err := a.Wait(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(at("b.hone"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.Tensors()) != 0 || r.Root() == saved[0].Root {
		t.Error("an empty snapshot holds the last one's tensors")
	}
}

// TestBaseFolder finds a base by its digest, says when it is not there, and is
// not held up by what else lies in the folder.
func TestBaseFolder(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	dir := t.TempDir()
	base, next := newSample(), newSample()
	base.tensor("w", F32, []int{4096}, "param", gaussF32(rng, 4096, 0.1))
	next.tensor("w", F32, []int{4096}, "param", step(rng, base.data["w"], 1e-6))
	b := base.encode(t, WriterOptions{})
	br := mustOpen(t, b, ReaderOptions{})
	for name, data := range map[string][]byte{
		"delta.hone": next.encode(t, WriterOptions{Base: br}),
		"text.hone":  []byte("no checkpoint, but long enough to hold a header and a footer: " + strings.Repeat("x", 200)),
		"short.hone": nil,
		"base.bin":   b, // not a checkpoint's name
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.hone"), 0o700); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		r, err := OpenWith(filepath.Join(dir, "delta.hone"), ReaderOptions{Base: BaseFolder(dir)})
		if err != nil {
			return err
		}
		defer r.Close()
		return next.equal(r)
	}
	var missing *BaseError
	if err := read(); !errors.As(err, &missing) || missing.Want != br.Root() || !strings.Contains(err.Error(), br.Root().String()) || !strings.Contains(err.Error(), dir) {
		t.Errorf("without the base: %v", err)
	}
	if err := os.Rename(filepath.Join(dir, "base.bin"), filepath.Join(dir, "any name.hone")); err != nil {
		t.Fatal(err)
	}
	if err := read(); err != nil {
		t.Error(err)
	}
}

// TestCopyFile copies under the caller's lock, and refuses what is damaged.
func TestCopyFile(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a.hone"), filepath.Join(dir, "b.hone")
	b := smallSample(64<<10).encode(t, WriterOptions{ChunkSize: 4096})
	if err := os.WriteFile(from, b, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := LockPath(to)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Unlock()
	ctx := context.Background()
	if err := CopyFile(ctx, from, to, WriterOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("copying over another writer's file: %v", err)
	}
	if err := CopyFile(ctx, from, to, WriterOptions{Lock: lock}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(to); !bytes.Equal(got, b) {
		t.Error("the copy has other bytes")
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(from, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if err := CopyFile(ctx, from, to, WriterOptions{Lock: lock}); !errors.As(err, &corrupt) {
		t.Errorf("copying a damaged file: %v", err)
	}
	if err := CopyFile(ctx, to, filepath.Join(dir, "c.hone"), WriterOptions{FS: &failingFS{limit: 100}}); !errors.Is(err, errDiskFull) {
		t.Errorf("a full disk gives %v", err)
	}
	list, _ := os.ReadDir(dir)
	for _, d := range list {
		if d.Name() != "a.hone" && d.Name() != "b.hone" && d.Name() != ".b.hone.lock" {
			t.Errorf("%s is left", d.Name())
		}
	}
}
