package modelfmt

import (
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
)

// liveHeap returns the bytes that collections leave. What earlier tests left in
// a sync.Pool or to a finalizer is gone only after the second.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// watchedReader repeats b up to n bytes, and looks at the heap on the way.
type watchedReader struct {
	b        []byte
	at, n    int64
	interval int64
	most     int64
}

func (r *watchedReader) Read(p []byte) (int, error) {
	if r.at == r.n {
		return 0, io.EOF
	}
	if r.at/r.interval != (r.at+int64(len(p)))/r.interval {
		r.most = max(r.most, liveHeap())
	}
	n := copy(p[:min(int64(len(p)), r.n-r.at)], r.b[r.at%int64(len(r.b)):])
	r.at += int64(n)
	return n, nil
}

// TestMemoryBound writes and reads a tensor far larger than what the options'
// documentation says a writer and a reader take.
func TestMemoryBound(t *testing.T) {
	const total, workers, chunk = 48 << 20, 3, 1 << 20
	rng := rand.New(rand.NewPCG(4, 4))
	path := filepath.Join(t.TempDir(), "m.hone")
	src := &watchedReader{b: gaussF32(rng, 1<<18, 0.1), n: total, interval: 4 << 20}
	before := liveHeap()
	w, err := Create(path, WriterOptions{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	info := TensorInfo{Name: "w", DType: F32, Shape: []int{total / 4}}
	if err := w.AddTensorFrom(info, src); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); err != nil {
		t.Fatal(err)
	}
	writing := float64(src.most-before) / chunk
	t.Logf("writing takes %.1f chunks for %d workers", writing, workers)
	if writing > 10*workers {
		t.Errorf("writing takes %.1f chunks, more than ten a worker", writing)
	}

	r, err := OpenWith(path, ReaderOptions{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dst := make([]byte, total)
	before = liveHeap()
	if _, err := r.ReadTensor("w", dst); err != nil {
		t.Fatal(err)
	}
	reading := float64(liveHeap()-before) / chunk
	t.Logf("reading leaves %.1f chunks for %d workers", reading, workers)
	if reading > 4*workers {
		t.Errorf("reading takes %.1f chunks, more than four a worker", reading)
	}
	runtime.KeepAlive(dst)
}
