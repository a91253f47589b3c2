package modelfmt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sample is a checkpoint's content in memory, to be written and compared.
type sample struct {
	tensors  []TensorInfo
	data     map[string][]byte
	blobs    map[string][]byte
	blobList []string
	manifest map[string]string
}

func (s *sample) tensor(name string, d DType, shape []int, role string, b []byte) {
	s.tensors = append(s.tensors, TensorInfo{Name: name, DType: d, Shape: shape, Role: role})
	s.data[name] = b
}

func (s *sample) blob(name string, b []byte) {
	s.blobList = append(s.blobList, name)
	s.blobs[name] = b
}

func newSample() *sample {
	return &sample{data: map[string][]byte{}, blobs: map[string][]byte{}, manifest: map[string]string{}}
}

func gaussF32(rng *rand.Rand, n int, sigma float64) []byte {
	b := make([]byte, 0, 4*n)
	for range n {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(rng.NormFloat64()*sigma)))
	}
	return b
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// smallSample touches every type and the sizes that hurt, in little space.
func smallSample(chunk int) *sample {
	rng := rand.New(rand.NewPCG(1, 2))
	s := newSample()
	s.manifest["train"] = `{"step":12,"seed":"18446744073709551615"}`
	s.manifest["signature"] = `{"inputs":[{"name":"x","shape":[28,28]}],"note":"a<b & ü"}`
	s.blob("module", []byte("graph bytes"))
	for _, d := range DTypes() {
		s.tensor("all/"+d.String(), d, []int{3, 5}, "param", randomBytes(rng, 15*d.Size()))
	}
	s.tensor("scalar", F64, nil, "state", randomBytes(rng, 8))
	s.tensor("empty", F32, []int{0, 7}, "slot", []byte{})
	s.tensor("ones", F32, []int{chunk / 2}, "mask", bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, chunk/2))
	s.tensor("gauss", F32, []int{chunk/4 + 3, 2}, "param", gaussF32(rng, 2*(chunk/4+3), 0.05))
	sparse := make([]byte, 4*chunk/4)
	for i := 0; i < len(sparse); i += 4 {
		if rng.IntN(10) == 0 {
			copy(sparse[i:], gaussF32(rng, 1, 1))
		}
	}
	s.tensor("sparse", F32, []int{chunk / 4}, "param", sparse)
	s.blob("spec", []byte(strings.Repeat("layer \"dense\" \"a\" { units = 10 }\n", 200)))
	return s
}

func (s *sample) writeTo(t testing.TB, w *Writer) {
	t.Helper()
	for k, v := range s.manifest {
		if err := w.SetManifest(k, json.RawMessage(v)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range s.blobList {
		if err := w.AddBlob(name, s.blobs[name]); err != nil {
			t.Fatal(err)
		}
	}
	for _, info := range s.tensors {
		if err := w.AddTensor(info, s.data[info.Name]); err != nil {
			t.Fatal(err)
		}
	}
}

// encode returns the file's bytes.
func (s *sample) encode(t testing.TB, opts WriterOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, opts)
	if err != nil {
		t.Fatal(err)
	}
	s.writeTo(t, w)
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(b.Len()) {
		t.Fatalf("Size says %d, written %d", w.Size(), b.Len())
	}
	return b.Bytes()
}

// equal compares everything in r with the sample.
func (s *sample) equal(r *Reader) error {
	if got, want := fmt.Sprint(r.Tensors()), fmt.Sprint(s.tensors); got != want {
		return fmt.Errorf("tensors\n%s\nwant\n%s", got, want)
	}
	for _, info := range s.tensors {
		b, err := r.ReadTensor(info.Name, nil)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, s.data[info.Name]) {
			return fmt.Errorf("tensor %s differs", info.Name)
		}
	}
	if got, want := fmt.Sprint(r.Blobs()), fmt.Sprint(s.blobList); got != want {
		return fmt.Errorf("blobs %s, want %s", got, want)
	}
	for name, want := range s.blobs {
		b, err := r.Blob(name)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, want) {
			return fmt.Errorf("blob %s differs", name)
		}
	}
	m := r.Manifest()
	if len(m) != len(s.manifest) {
		return fmt.Errorf("manifest has %d sections, want %d", len(m), len(s.manifest))
	}
	for k, v := range s.manifest {
		if string(m[k]) != v {
			return fmt.Errorf("manifest section %s is %s", k, m[k])
		}
	}
	return nil
}

func openBytes(b []byte, opts ReaderOptions) (*Reader, error) {
	return NewReader(bytes.NewReader(b), int64(len(b)), opts)
}

func mustOpen(t testing.TB, b []byte, opts ReaderOptions) *Reader {
	t.Helper()
	r, err := openBytes(b, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	for _, chunk := range []int{4 << 10, 1 << 16, 1 << 20} {
		s := smallSample(8 << 10)
		b := s.encode(t, WriterOptions{ChunkSize: chunk})
		r := mustOpen(t, b, ReaderOptions{})
		if err := s.equal(r); err != nil {
			t.Errorf("chunk %d: %v", chunk, err)
		}
		if err := r.Verify(context.Background(), nil); err != nil {
			t.Error(err)
		}
		if err := r.VerifyDeep(context.Background(), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestBytesDoNotDependOnWorkers(t *testing.T) {
	s := smallSample(64 << 10)
	want := s.encode(t, WriterOptions{ChunkSize: 4 << 10, Workers: 1})
	for _, workers := range []int{2, 3, 8} {
		if !bytes.Equal(want, s.encode(t, WriterOptions{ChunkSize: 4 << 10, Workers: workers})) {
			t.Errorf("%d workers give other bytes than one", workers)
		}
	}
}

func TestEmptyCheckpoint(t *testing.T) {
	s := newSample()
	r := mustOpen(t, s.encode(t, WriterOptions{}), ReaderOptions{})
	if err := s.equal(r); err != nil {
		t.Error(err)
	}
	if err := r.VerifyDeep(context.Background(), nil); err != nil {
		t.Error(err)
	}
}

func TestReadRows(t *testing.T) {
	s := smallSample(8 << 10)
	r := mustOpen(t, s.encode(t, WriterOptions{ChunkSize: 4 << 10}), ReaderOptions{})
	for _, info := range s.tensors {
		if len(info.Shape) == 0 {
			if _, err := r.ReadRows(info.Name, 0, 0, nil); err == nil {
				t.Error("rows of a scalar are read")
			}
			continue
		}
		rows := info.Shape[0]
		row := 0
		if rows > 0 {
			row = len(s.data[info.Name]) / rows
		}
		for _, span := range [][2]int{{0, rows}, {0, 0}, {rows / 2, rows}, {rows / 3, rows/3 + min(1, rows-rows/3)}} {
			got, err := r.ReadRows(info.Name, span[0], span[1], nil)
			if err != nil {
				t.Fatal(err)
			}
			if want := s.data[info.Name][span[0]*row : span[1]*row]; !bytes.Equal(got, want) {
				t.Errorf("%s rows %v differ", info.Name, span)
			}
		}
		if _, err := r.ReadRows(info.Name, 0, rows+1, nil); err == nil {
			t.Errorf("%s: a row past the end is read", info.Name)
		}
	}
}

func TestStreamingWrite(t *testing.T) {
	s := smallSample(16 << 10)
	whole := s.encode(t, WriterOptions{ChunkSize: 4 << 10})
	var b bytes.Buffer
	w, err := NewWriter(&b, WriterOptions{ChunkSize: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range s.manifest {
		w.SetManifest(k, json.RawMessage(v))
	}
	for _, name := range s.blobList {
		w.AddBlob(name, s.blobs[name])
	}
	for _, info := range s.tensors {
		if err := w.AddTensorFrom(info, bytes.NewReader(s.data[info.Name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), whole) {
		t.Error("a streamed write gives other bytes")
	}
}

// TestEveryFlipAndCut is the promise that no damage passes: each bit of a small
// file, and each length below its own.
func TestEveryFlipAndCut(t *testing.T) {
	s := newSample()
	rng := rand.New(rand.NewPCG(3, 4))
	s.manifest["a"] = `{"b":[1,2]}`
	s.blob("module", bytes.Repeat([]byte("module "), 40))
	s.tensor("w", F32, []int{1100}, "param", gaussF32(rng, 1100, 0.1))
	s.tensor("h", BF16, []int{30}, "slot", randomBytes(rng, 60))
	b := s.encode(t, WriterOptions{ChunkSize: 4 << 10})
	damaged := func(c []byte) bool {
		r, err := openBytes(c, ReaderOptions{Workers: 1})
		if err != nil {
			return true
		}
		return r.Verify(context.Background(), nil) != nil
	}
	if damaged(b) {
		t.Fatal("the whole file is called damaged")
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if !damaged(b) {
				t.Fatalf("bit %d of byte %d of %d flips unseen", bit, i, len(b))
			}
			b[i] ^= 1 << bit
		}
	}
	for n := range b {
		if !damaged(b[:n]) {
			t.Fatalf("a cut to %d of %d bytes is unseen", n, len(b))
		}
	}
	if !damaged(append(bytes.Clone(b), 0)) {
		t.Error("a byte more is unseen")
	}
}

func TestWriterRefuses(t *testing.T) {
	open := func() *Writer {
		w, err := NewWriter(&bytes.Buffer{}, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	cases := map[string]func(w *Writer) error{
		"no name":   func(w *Writer) error { return w.AddBlob("", nil) },
		"control":   func(w *Writer) error { return w.AddBlob("a\x00", nil) },
		"not utf8":  func(w *Writer) error { return w.AddBlob("\xff", nil) },
		"long name": func(w *Writer) error { return w.AddBlob(strings.Repeat("a", 1025), nil) },
		"twice":     func(w *Writer) error { w.AddBlob("a", nil); return w.AddBlob("a", nil) },
		"bytes short": func(w *Writer) error {
			return w.AddTensor(TensorInfo{Name: "a", DType: F32, Shape: []int{2}}, make([]byte, 7))
		},
		"bytes nil": func(w *Writer) error { return w.AddTensor(TensorInfo{Name: "a", DType: F32, Shape: []int{2}}, nil) },
		"stream long": func(w *Writer) error {
			return w.AddTensorFrom(TensorInfo{Name: "a", DType: U8, Shape: []int{2}}, strings.NewReader("abc"))
		},
		"stream short": func(w *Writer) error {
			return w.AddTensorFrom(TensorInfo{Name: "a", DType: U8, Shape: []int{2}}, strings.NewReader("a"))
		},
		"dtype":    func(w *Writer) error { return w.AddTensor(TensorInfo{Name: "a", DType: 99}, []byte{1}) },
		"negative": func(w *Writer) error { return w.AddTensor(TensorInfo{Name: "a", DType: U8, Shape: []int{-1}}, nil) },
		"overflow": func(w *Writer) error {
			return w.AddTensor(TensorInfo{Name: "a", DType: U8, Shape: []int{1 << 31, 1 << 31, 1 << 31}}, nil)
		},
		"zero overflow": func(w *Writer) error {
			return w.AddTensor(TensorInfo{Name: "a", DType: U8, Shape: []int{0, 1 << 31, 1 << 31, 1 << 31}}, []byte{})
		},
		"rank": func(w *Writer) error {
			return w.AddTensor(TensorInfo{Name: "a", DType: U8, Shape: make([]int, 33)}, []byte{})
		},
		"role": func(w *Writer) error {
			return w.AddTensor(TensorInfo{Name: "a", DType: U8, Role: strings.Repeat("r", 65)}, []byte{0})
		},
		"not json":        func(w *Writer) error { return w.SetManifest("a", json.RawMessage("{")) },
		"section unnamed": func(w *Writer) error { return w.SetManifest("", json.RawMessage("1")) },
	}
	for name, f := range cases {
		w := open()
		if err := f(w); err == nil {
			t.Errorf("%s: accepted", name)
		}
		w.Abort()
	}
	w := open()
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	if w.AddBlob("a", nil) == nil || w.Commit() == nil {
		t.Error("a committed writer goes on")
	}
	if _, err := NewWriter(&bytes.Buffer{}, WriterOptions{ChunkSize: 5000}); err == nil {
		t.Error("a chunk of 5000 bytes is accepted")
	}
}

func TestCreateReplacesAtCommitOnly(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.hone")
	save := func(v string) {
		w, err := Create(path, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		if err := w.AddBlob("v", []byte(v)); err != nil {
			t.Fatal(err)
		}
		if v == "aborted" {
			return
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	want := func(v string) {
		t.Helper()
		r, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if b, _ := r.Blob("v"); string(b) != v {
			t.Errorf("the file holds %q, want %q", b, v)
		}
		list, _ := os.ReadDir(dir)
		if len(list) != 1 {
			t.Errorf("stray files: %v", list)
		}
	}
	save("1")
	want("1")
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	save("aborted")
	want("1")
	os.WriteFile(filepath.Join(dir, ".m.hone.tmp-0011"), []byte("left by a killed process"), 0o600)
	save("2")
	want("2")
	if st, _ := os.Stat(path); st.Mode().Perm() != 0o600 {
		t.Errorf("mode became %v", st.Mode())
	}
}

func TestLockRefusesSecondWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.hone")
	w, err := Create(path, WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Create(path, WriterOptions{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second writer: %v", err)
	}
	w.Abort()
	l, err := LockPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if _, err := LockPath(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	for range 2 {
		w, err := Create(path, WriterOptions{Lock: l})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Create(path+"x", WriterOptions{Lock: l}); err == nil {
		t.Error("a lock of another path is accepted")
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "a.bin")
	os.WriteFile(other, bytes.Repeat([]byte("other file "), 40), 0o600)
	_, err := Open(other)
	if !errors.Is(err, ErrNotCheckpoint) || !strings.Contains(err.Error(), other) {
		t.Errorf("another file: %v", err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("a folder is opened")
	}
	if _, err := Create(dir, WriterOptions{}); err == nil {
		t.Error("a folder is replaced")
	}
	if _, err := Create(filepath.Join(dir, "no", "m.hone"), WriterOptions{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make it") {
		t.Errorf("an absent folder: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none.hone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	s := smallSample(8 << 10)
	r := mustOpen(t, s.encode(t, WriterOptions{}), ReaderOptions{})
	var missing *NotFoundError
	if _, err := r.ReadTensor("gaus", nil); !errors.As(err, &missing) || missing.Near != "gauss" {
		t.Errorf("missing tensor: %v", err)
	}
	if _, err := r.Blob("nothing like it"); !errors.As(err, &missing) || missing.Near != "" {
		t.Errorf("missing blob: %v", err)
	}
}
