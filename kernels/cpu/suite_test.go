package cpu

import (
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/kerneltest"
)

func TestSuite(t *testing.T) {
	threads := func(t testing.TB, n int) kernels.Backend {
		b, err := New(Config{Threads: n, shareAll: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	o := kerneltest.Options{WithThreads: threads}
	if !kerneltest.Long() {
		o.Graphs = 30
	}
	kerneltest.Run(t, func(t testing.TB) kernels.Backend { return threads(t, 2) }, o)
}
