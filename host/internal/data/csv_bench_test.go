package data

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// adultColumns are the names of the Census Income file's columns.
var adultColumns = strings.Fields("age workclass fnlwgt education education-num marital-status occupation relationship race sex " +
	"capital-gain capital-loss hours-per-week native-country income")

// adultFile returns a path outside of the repository, or skips.
func adultFile(t testing.TB) string {
	path := filepath.FromSlash("../../../../shared/data/adult/adult.data.gz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the Census Income file is not here: %v", err)
	}
	return path
}

// BenchmarkReadCSV reads the Census Income file repeated 20 times, compressed
// again and plain.
func BenchmarkReadCSV(b *testing.B) {
	in, err := openStream(File(adultFile(b)))
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		b.Fatal(err)
	}
	text = bytes.Repeat(text, 20)
	opt := CSVOptions{Columns: adultColumns, SkipInitialSpace: true, Missing: []string{"?"}}
	for _, kind := range []string{"gzip", "zstd", "plain"} {
		file := compressed(b, kind, text)
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				t, err := DecodeCSV(b.Context(), Bytes{"adult.data", file}, opt)
				if err != nil {
					b.Fatal(err)
				}
				if t.Rows() != 20*32561 {
					b.Fatalf("%d rows", t.Rows())
				}
			}
		})
	}
}
