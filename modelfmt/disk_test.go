package modelfmt

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

var errDiskFull = errors.New("no space left on device")

// failingFS is the real file system until a count of operations, or of written
// bytes, is reached.
type failingFS struct {
	osFS
	limit   int64 // bytes that can be written
	failOps int   // number of the operation that fails, from 1
	ops     int
}

func (f *failingFS) op() error {
	f.ops++
	if f.ops == f.failOps {
		return errDiskFull
	}
	return nil
}

func (f *failingFS) CreateNew(name string, mode fs.FileMode) (File, error) {
	if err := f.op(); err != nil {
		return nil, err
	}
	file, err := f.osFS.CreateNew(name, mode)
	return &failingFile{file, f}, err
}

func (f *failingFS) Rename(a, b string) error {
	if err := f.op(); err != nil {
		return err
	}
	return f.osFS.Rename(a, b)
}

type failingFile struct {
	File
	fs *failingFS
}

func (f *failingFile) Write(p []byte) (int, error) {
	if f.fs.failOps == 0 {
		if int64(len(p)) > f.fs.limit {
			n, _ := f.File.Write(p[:f.fs.limit])
			f.fs.limit = 0
			return n, errDiskFull
		}
		f.fs.limit -= int64(len(p))
	} else if err := f.fs.op(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *failingFile) Sync() error {
	if err := f.fs.op(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *failingFile) Close() error {
	err := f.File.Close()
	if e := f.fs.op(); e != nil {
		return e
	}
	return err
}

// TestFullDisk fills the disk after every count of bytes that matters, and fails
// every operation in turn. The former checkpoint must stay, and nothing else.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.hone")
	rng := rand.New(rand.NewPCG(1, 9))
	old, next := newSample(), newSample()
	old.blob("v", []byte("old"))
	next.tensor("w", F32, []int{200_000}, "param", gaussF32(rng, 200_000, 1))
	next.blob("v", []byte("new"))
	write := func(s *sample, fsys FileSystem) error {
		w, err := Create(path, WriterOptions{FS: fsys})
		if err != nil {
			return err
		}
		defer w.Abort()
		for _, info := range s.tensors {
			if err := w.AddTensor(info, s.data[info.Name]); err != nil {
				return err
			}
		}
		if err := w.AddBlob("v", s.blobs["v"]); err != nil {
			return err
		}
		return w.Commit()
	}
	check := func(what string, s *sample) {
		t.Helper()
		r, err := Open(path)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer r.Close()
		if err := s.equal(r); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if list, _ := os.ReadDir(dir); len(list) != 1 {
			t.Errorf("%s: stray files %v", what, list)
		}
	}
	if err := write(old, nil); err != nil {
		t.Fatal(err)
	}
	size := int64(len(next.encode(t, WriterOptions{})))
	for limit := int64(0); limit < size; limit += size/40 + 1 {
		if err := write(next, &failingFS{limit: limit}); !errors.Is(err, errDiskFull) {
			t.Fatalf("disk of %d bytes: %v", limit, err)
		}
		check("full disk", old)
	}
	for op := 1; ; op++ {
		fsys := &failingFS{failOps: op}
		err := write(next, fsys)
		if fsys.ops < op {
			if err != nil {
				t.Fatal(err)
			}
			if op < 6 {
				t.Errorf("only %d operations were tried", op)
			}
			break
		}
		if !errors.Is(err, errDiskFull) {
			t.Fatalf("operation %d: %v", op, err)
		}
		check("failed operation", old)
	}
	check("in the end", next)
}
