package data

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestOpenFindsTheFormat(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	array := npyFile("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2), }", []byte{1, 2})
	folder := filepath.Join(dir, "set")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file("set/train-images", idx(idxU8, []uint32{1, 1}, []uint8{1}))
	file("set/train-labels", idx(idxU8, []uint32{1}, []uint8{1}))
	for _, c := range []struct{ path, schema string }{
		{file("a", []byte("p,q\n1,x\n")), "[p: i64 q: string]"},
		{file("a.gz", compressed(t, "gzip", []byte("p,q\n1,x\n"))), "[p: i64 q: string]"},
		{file("a.tsv", []byte("p\tq\n1\tx\n")), "[p: i64 q: string]"},
		{file("b", []byte(" {\"p\":1}\n")), "[p: i64]"},
		{file("b.zst", compressed(t, "zstd", []byte("{\"p\":1}\n"))), "[p: i64]"},
		{file("c", array), "[x: u8[2]]"},
		{file("c.gz", compressed(t, "gzip", array)), "[x: u8[2]]"},
		{file("d", idx(idxF32, []uint32{1, 3}, []float32{1, 2, 3})), "[x: f32[3]]"},
		{folder, "[image: u8[1] label: u8]"},
		{filepath.Join("testdata", "columns.parquet"), "[id: i64]"},
		{filepath.Join("testdata", "columns.arrow"), "[id: i64]"},
		{filepath.Join("testdata", "columns.arrows"), "[id: i64]"},
		{filepath.Join("testdata", "arrays.npz"), "[i4: i32]"},
	} {
		var opt OpenOptions
		if filepath.Dir(c.path) == "testdata" {
			opt.Keep = []string{"id"}
			if filepath.Ext(c.path) == ".npz" {
				opt.Keep = []string{"i4"}
			}
		}
		src, err := Open(t.Context(), c.path, opt)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		tab, err := Load(t.Context(), c.path, opt)
		if err != nil || fmt.Sprint(src.Schema()) != c.schema || fmt.Sprint(tab.Schema()) != c.schema || src.Rows() != tab.Rows() || src.Digest() != tab.Digest() {
			t.Errorf("%s: %v and %v, want %s (%v)", c.path, src.Schema(), tab, c.schema, err)
		}
	}
	parquet, err := os.ReadFile(filepath.Join("testdata", "columns.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), file("p.gz", compressed(t, "gzip", parquet)), OpenOptions{})
	checkDiag(t, err, "compressed", 0, 0, "a compressed parquet file")
	_, err = Open(t.Context(), file("e.json", []byte("[{\"a\":1}]")), OpenOptions{})
	checkDiag(t, err, "json_array", 0, 0, "one JSON array")
	_, err = Open(t.Context(), filepath.Join(dir, "none"), OpenOptions{})
	checkDiag(t, err, "no_such_file", 0, 0, "none")
	_, err = Load(t.Context(), filepath.Join("testdata", "columns.parquet"), OpenOptions{Limits: Limits{Bytes: 1000}})
	checkDiag(t, err, "data_too_large", 0, 0, "1000 bytes")
}
