package cpu

import (
	"os"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/vec"
	"github.com/hone-ml/hone/kernels/kerneltest"
)

func TestSuite(t *testing.T) {
	threads := func(t testing.TB, n int) kernels.Backend {
		b, err := New(Config{Threads: n, shareAll: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		if os.Getenv("HONE_EMULATOR") == "bochs" {
			t.Log("f16 is rounded by plain Go: Bochs 2.7 does not round the middle between two to even")
			k := *b.vec
			k.ToF16 = vec.For(isa.Portable).ToF16
			b.vec = &k
		}
		return b
	}
	o := kerneltest.Options{WithThreads: threads}
	if !kerneltest.Long() {
		o.Graphs = 30
	}
	kerneltest.Run(t, func(t testing.TB) kernels.Backend { return threads(t, 2) }, o)
}
