package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// idx makes an IDX file.
func idx(kind byte, shape []uint32, values any) []byte {
	b := []byte{0, 0, kind, byte(len(shape))}
	for _, d := range shape {
		b = binary.BigEndian.AppendUint32(b, d)
	}
	b, err := binary.Append(b, binary.BigEndian, values)
	if err != nil {
		panic(err)
	}
	return b
}

func TestIDXTypes(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		file []byte
		want string
	}{
		{idx(idxU8, []uint32{2, 1, 2}, []uint8{1, 2, 3, 255}), "x: u8[1, 2] [1 2 3 255]"},
		{idx(idxI8, []uint32{2}, []int8{-1, 127}), "x: i8 [-1 127]"},
		{idx(idxI16, []uint32{2}, []int16{-300, 300}), "x: i32 [-300 300]"},
		{idx(idxI32, []uint32{1, 2}, []int32{-1 << 31, 1}), "x: i32[2] [-2147483648 1]"},
		{idx(idxF32, []uint32{2}, []float32{1.5, -0.25}), "x: f32 [1.5 -0.25]"},
		{idx(idxF64, []uint32{2}, []float64{1e300, nan}), "x: f64 [1e+300 NaN]"},
		{idx(idxU8, []uint32{0, 28, 28}, []uint8{}), "x: u8[28, 28] []"},
	} {
		for _, kind := range []string{"", "gzip", "zstd"} {
			tab, err := DecodeIDX(t.Context(), Bytes{"t.idx", compressed(t, kind, c.file)}, "x", Limits{})
			if err != nil {
				t.Fatal(err)
			}
			col := tab.Columns[0]
			if got := fmt.Sprint(col.Field(), " ", col.values); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		}
	}
}

func TestIDXErrors(t *testing.T) {
	good := idx(idxU8, []uint32{2, 2}, []uint8{1, 2, 3, 4})
	for _, c := range []struct {
		name, code, summary string
		file                []byte
	}{
		{"empty", "truncated_idx", "ends in its header: 0 bytes of 4", nil},
		{"a short header", "truncated_idx", "ends in its header: 10 bytes of 12", good[:10]},
		{"short values", "truncated_idx", "ends in its values (its header says [2 2]): 15 bytes of 16", good[:15]},
		{"a header only", "truncated_idx", "12 bytes of 16", good[:12]},
		{"text", "not_idx", "begins with the bytes 3c 68 74 6d", []byte("<html>")},
		{"an unknown type", "not_idx", "00 00 0a 01", []byte{0, 0, 0x0a, 1, 0, 0, 0, 0}},
		{"no dimensions", "not_idx", "00 00 08 00", []byte{0, 0, 8, 0}},
		{"many dimensions", "idx_dimensions", "9 dimensions", []byte{0, 0, 8, 9}},
		{"a dimension of zero", "idx_dimensions", "dimension 1 of t.idx is zero", idx(idxU8, []uint32{2, 0}, []uint8{})},
		{"too long", "idx_too_long", "goes on", append(bytes.Clone(good), 0)},
		{"a giant", "data_too_large", "16384 MiB", idx(idxF64, []uint32{1 << 31, 1 << 31, 1 << 31}, []float64{})},
		{"a giant that fits", "truncated_idx", "ends in its values", idx(idxU8, []uint32{1 << 31}, []uint8{1})},
		{"damaged gzip", "corrupt_compression", "damaged", compressed(t, "gzip", idx(idxI32, []uint32{4}, []int32{5, 1 << 20, 77, 1 << 30}))[:30]},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeIDX(t.Context(), Bytes{"t.idx", c.file}, "x", Limits{})
			checkDiag(t, err, c.code, 0, 0, c.summary)
		})
	}
}

func TestIDXPair(t *testing.T) {
	images := Bytes{"images", idx(idxU8, []uint32{2, 1, 2}, []uint8{1, 2, 3, 4})}
	labels := Bytes{"labels", idx(idxU8, []uint32{2}, []uint8{7, 9})}
	tab, err := DecodeIDXPair(t.Context(), images, labels, Limits{})
	if err != nil || tab.Rows() != 2 || fmt.Sprint(tab.Schema()) != "[image: u8[1, 2] label: u8]" {
		t.Fatalf("%v, %v", tab, err)
	}
	swapped, err := DecodeIDXPair(t.Context(), labels, images, Limits{})
	checkDiag(t, err, "not_labels", 0, 0, "label: u8[1, 2]")
	if swapped != nil {
		t.Error("a table came with the error")
	}
	_, err = DecodeIDXPair(t.Context(), images, Bytes{"labels", idx(idxU8, []uint32{1}, []uint8{7})}, Limits{})
	checkDiag(t, err, "count_mismatch", 0, 0, "images has 2 examples, labels has 1 labels")
}

func TestReadMNISTFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := ReadMNIST(t.Context(), filepath.Join(dir, "none"), Limits{})
	checkDiag(t, err, "no_such_file", 0, 0, "none")
	_, err = ReadMNIST(t.Context(), dir, Limits{})
	checkDiag(t, err, "missing_idx", 0, 0, "no file train*images*")

	images, labels := idx(idxU8, []uint32{1, 2, 2}, []uint8{1, 2, 3, 4}), idx(idxU8, []uint32{1}, []uint8{7})
	write("train-images-idx3-ubyte", images)
	_, err = ReadMNIST(t.Context(), dir, Limits{})
	checkDiag(t, err, "missing_idx", 0, 0, "no file train*labels*")
	write("train-labels-idx1-ubyte.gz", compressed(t, "gzip", labels))
	write("train-images-idx3-ubyte.gz", []byte("the plain file is read"))
	s, err := ReadMNIST(t.Context(), dir, Limits{})
	if err != nil || s.Train.Rows() != 1 || s.Test != nil {
		t.Fatalf("%v, %v", s, err)
	}
	write("t10k-images-idx3-ubyte", images)
	_, err = ReadMNIST(t.Context(), dir, Limits{})
	checkDiag(t, err, "missing_idx", 0, 0, "no file t10k*labels*")
	write("t10k-labels-idx1-ubyte", labels)
	if s, err = ReadMNIST(t.Context(), dir, Limits{}); err != nil || s.Test.Rows() != 1 {
		t.Fatalf("%v, %v", s, err)
	}
	write("train2-images", images)
	_, err = ReadMNIST(t.Context(), dir, Limits{})
	checkDiag(t, err, "ambiguous_idx", 0, 0, "several files of images")
}

// The counts of the official test set are those of its authors' page.
func TestReadMNISTReal(t *testing.T) {
	dir := filepath.FromSlash("../../../../shared/data/mnist")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the MNIST files are not here: %v", err)
	}
	s, err := ReadMNIST(t.Context(), dir, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Rows() != 10000 || s.Test.Rows() != 10000 || s.Test.Schema()[0].String() != "image: u8[28, 28]" {
		t.Errorf("%d and %d rows, %v", s.Train.Rows(), s.Test.Rows(), s.Test.Schema())
	}
	k, err := ClassesOf(s.Test.Column("label"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}; !slices.Equal(k.Counts(), want) {
		t.Errorf("classes %v, want %v", k.Counts(), want)
	}
}

func FuzzIDX(f *testing.F) {
	f.Add(idx(idxU8, []uint32{2, 2}, []uint8{1, 2, 3, 4}))
	f.Add(idx(idxF64, []uint32{1}, []float64{1}))
	f.Add(idx(idxI16, []uint32{1 << 20, 1 << 20}, []int16{}))
	f.Add(compressed(f, "gzip", idx(idxI32, []uint32{1}, []int32{1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		tab, err := DecodeIDX(t.Context(), Bytes{"f.idx", b}, "x", Limits{Bytes: 1 << 24})
		if err == nil && tab.Rows()*tab.Columns[0].Width()*tab.Columns[0].Type.Size() > 1<<24 {
			t.Fatal("the limit was passed")
		}
	})
}
