package npz

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/modelfmt"
)

type expected map[string]struct {
	DType modelfmt.DType
	Shape []int
	Hex   string
}

func loadExpected(t *testing.T) expected {
	t.Helper()
	text, err := os.ReadFile("testdata/arrays.json")
	if err != nil {
		t.Fatal(err)
	}
	var e expected
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func read(t *testing.T, f *File, name string) []byte {
	t.Helper()
	r, err := f.TensorReader(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReadsNumPysFiles has every type, a scalar, an empty, a column-major and a
// big-endian array, stored and deflated.
func TestReadsNumPysFiles(t *testing.T) {
	e := loadExpected(t)
	for _, path := range []string{"testdata/stored.npz", "testdata/deflated.npz"} {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Tensors()) != len(e) {
			t.Errorf("%d arrays, want %d", len(f.Tensors()), len(e))
		}
		for _, info := range f.Tensors() {
			want := e[info.Name]
			if info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
				t.Errorf("%s: %s %v, want %s %v", info.Name, info.DType, info.Shape, want.DType, want.Shape)
			}
			if hex.EncodeToString(read(t, f, info.Name)) != want.Hex {
				t.Errorf("%s: bytes differ", info.Name)
			}
		}
		f.Close()
	}
	f, err := Open("testdata/one.npy")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if hex.EncodeToString(read(t, f, "array")) != e["fortran"].Hex {
		t.Error("one.npy differs")
	}
}

// TestWritesNumPysBytes expects the arrays of NumPy's archive byte for byte.
func TestWritesNumPysBytes(t *testing.T) {
	z, err := zip.OpenReader("testdata/stored.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	f, err := Open("testdata/stored.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var buf bytes.Buffer
	w := NewWriter(&buf)
	for _, info := range f.Tensors() {
		r, _ := f.TensorReader(info.Name)
		if err := w.Add(info, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ours, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range ours.File {
		if name := e.Name; name != z.File[i].Name || name == "fortran.npy" || name == "big.npy" {
			continue // those two are written in the usual order
		}
		a, b := content(t, e), content(t, z.File[i])
		if !bytes.Equal(a, b) {
			t.Errorf("%s:\n%q\n%q", e.Name, a, b)
		}
	}
}

func content(t *testing.T, e *zip.File) []byte {
	t.Helper()
	r, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func npy(header string, body int) []byte {
	b := append([]byte(nil), magic...)
	b = append(b, 1, 0, byte(len(header)), byte(len(header)>>8))
	return append(append(b, header...), make([]byte, body)...)
}

func TestRefuses(t *testing.T) {
	good := npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", 8)
	if _, err := New(bytes.NewReader(good), int64(len(good))); err != nil {
		t.Fatalf("a good array: %v", err)
	}
	for _, header := range []string{
		"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
		"{'descr': '<i2', 'fortran_order': False, 'shape': (4,), }",
		"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2), }",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2, }",
		"{'descr': '<f4', 'fortran_order': False}",
		"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
		"{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
		"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} 1",
		"{'descr': '<f4",
		"",
		"(" + strings.Repeat("(", 40000),
	} {
		b := npy(header, 8)
		if _, err := New(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%.80q is accepted", header)
		}
	}
	for _, n := range []int{0, 3, 9, len(good) - 1} {
		if _, err := New(bytes.NewReader(good[:n]), int64(n)); err == nil {
			t.Errorf("a cut to %d bytes is accepted", n)
		}
	}
	w := NewWriter(io.Discard)
	for _, name := range []string{"../a", "/a", `a\b`, "a/../b", "c:x", ""} {
		if err := w.Add(modelfmt.TensorInfo{Name: name, DType: modelfmt.U8}, strings.NewReader("a")); err == nil {
			t.Errorf("name %q is written", name)
		}
	}
	if err := w.Add(modelfmt.TensorInfo{Name: "b", DType: modelfmt.BF16}, strings.NewReader("ab")); err == nil {
		t.Error("bf16 is written")
	}
}

// TestChecksum flips each byte of the stored elements.
func TestChecksum(t *testing.T) {
	var buf bytes.Buffer
	w := NewWriter(&buf)
	w.Add(modelfmt.TensorInfo{Name: "a", DType: modelfmt.U8, Shape: []int{50}}, bytes.NewReader(bytes.Repeat([]byte{0x5a}, 50)))
	w.Close()
	b := buf.Bytes()
	at := bytes.Index(b, bytes.Repeat([]byte{0x5a}, 50))
	for i := range 50 {
		b[at+i] ^= 4
		f, err := New(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		r, _ := f.TensorReader("a")
		out := make([]byte, 50)
		if _, err := io.ReadFull(r, out); err == nil {
			t.Fatalf("byte %d flips unseen", i)
		}
		b[at+i] ^= 4
	}
}

func FuzzNumPy(f *testing.F) {
	for _, path := range []string{"testdata/stored.npz", "testdata/deflated.npz", "testdata/one.npy"} {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(npy("{'descr': '>f8', 'fortran_order': True, 'shape': (2, 1, 3), }\n", 48))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := New(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		for _, info := range n.Tensors() {
			r, err := n.TensorReader(info.Name)
			if err != nil {
				continue
			}
			// A deflated array may be a thousand times its file.
			got, err := io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			if err == nil && got != min(info.Bytes(), 1<<20) {
				t.Fatalf("%s: %d bytes of %d", info.Name, got, info.Bytes())
			}
		}
	})
}
