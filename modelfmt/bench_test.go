package modelfmt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Run with -cpu 1 for figures of one core: go test -bench . -cpu 1 ./modelfmt

// benchTensors are 64 MiB of logical bytes a kind, in tensors of 4 MiB.
func benchTensors(kind string) (DType, [][]byte) {
	rng := rand.New(rand.NewPCG(7, 7))
	d := F32
	var out [][]byte
	for t := range 16 {
		sigma := 0.02 + 0.01*float64(t%5)
		b := make([]byte, 0, 4<<20)
		switch kind {
		case "f32":
			b = gaussF32(rng, 1<<20, sigma)
		case "bf16":
			d = BF16
			for range 2 << 20 {
				u := math.Float32bits(float32(rng.NormFloat64() * sigma))
				b = binary.LittleEndian.AppendUint16(b, uint16((u+0x7fff+(u>>16&1))>>16))
			}
		case "pruned90":
			b = b[:4<<20]
			for i := 0; i < len(b); i += 4 {
				if rng.IntN(10) == 0 {
					binary.LittleEndian.PutUint32(b[i:], math.Float32bits(float32(rng.NormFloat64()*sigma)))
				}
			}
		}
		out = append(out, b)
	}
	return d, out
}

func benchFile(b *testing.B, d DType, tensors [][]byte, out io.Writer) {
	w, err := NewWriter(out, WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for i, t := range tensors {
		if err := w.AddTensor(TensorInfo{Name: fmt.Sprint("t", i), DType: d, Shape: []int{len(t) / d.Size()}}, t); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		b.Fatal(err)
	}
}

func benchEach(b *testing.B, f func(b *testing.B, d DType, tensors [][]byte)) {
	for _, kind := range []string{"f32", "bf16", "pruned90"} {
		d, tensors := benchTensors(kind)
		b.Run(kind, func(b *testing.B) { f(b, d, tensors) })
	}
}

func totalBytes(tensors [][]byte) int64 { return int64(len(tensors) * len(tensors[0])) }

// BenchmarkSave encodes to memory, with checksums and digests.
func BenchmarkSave(b *testing.B) {
	benchEach(b, func(b *testing.B, d DType, tensors [][]byte) {
		buf := bytes.NewBuffer(make([]byte, 0, totalBytes(tensors)))
		perCore(b, totalBytes(tensors), func() {
			buf.Reset()
			benchFile(b, d, tensors, buf)
		})
		b.ReportMetric(100*float64(buf.Len())/float64(totalBytes(tensors)), "%size")
	})
}

// BenchmarkSaveFile is the same to a file, with fsync and rename.
func BenchmarkSaveFile(b *testing.B) {
	d, tensors := benchTensors("f32")
	path := filepath.Join(b.TempDir(), "m.hone")
	perCore(b, totalBytes(tensors), func() {
		w, err := Create(path, WriterOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for i, t := range tensors {
			w.AddTensor(TensorInfo{Name: fmt.Sprint("t", i), DType: d, Shape: []int{len(t) / 4}}, t)
		}
		if err := w.Commit(); err != nil {
			b.Fatal(err)
		}
	})
}

func benchOpen(b *testing.B, d DType, tensors [][]byte) *Reader {
	path := filepath.Join(b.TempDir(), "m.hone")
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	benchFile(b, d, tensors, f)
	f.Close()
	r, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	return r
}

// BenchmarkLoad reads every tensor from a file in the page cache.
func BenchmarkLoad(b *testing.B) {
	benchEach(b, func(b *testing.B, d DType, tensors [][]byte) {
		r := benchOpen(b, d, tensors)
		dst := make([]byte, len(tensors[0]))
		perCore(b, totalBytes(tensors), func() {
			for i := range tensors {
				if _, err := r.ReadTensor(fmt.Sprint("t", i), dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkVerify counts the stored bytes.
func BenchmarkVerify(b *testing.B) {
	d, tensors := benchTensors("f32")
	r := benchOpen(b, d, tensors)
	perCore(b, r.Size(), func() {
		if err := r.Verify(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkVerifyDeep counts the logical bytes.
func BenchmarkVerifyDeep(b *testing.B) {
	d, tensors := benchTensors("f32")
	r := benchOpen(b, d, tensors)
	perCore(b, totalBytes(tensors), func() {
		if err := r.VerifyDeep(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkOpenAndReadOne opens a checkpoint of 1 GB and reads one tensor of
// 1 MB.
func BenchmarkOpenAndReadOne(b *testing.B) {
	path := filepath.Join(b.TempDir(), "m.hone")
	_, tensors := benchTensors("f32")
	w, err := Create(path, WriterOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1250 {
		t := tensors[i%16][i%3<<20:][:1<<20]
		if err := w.AddTensor(TensorInfo{Name: fmt.Sprint("t", i), DType: F32, Shape: []int{1 << 18}}, t); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		r, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.ReadTensor("t777", nil); err != nil {
			b.Fatal(err)
		}
		r.Close()
	}
	b.ReportMetric(float64(w.Size())/1e9, "GB")
}
