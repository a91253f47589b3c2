package fpenv

import (
	"math"
	"runtime"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// product keeps the compiler from computing beforehand.
//
//go:noinline
func product(x, y float32) float32 { return x * y }

func TestFlushAndRestore(t *testing.T) {
	if isa.Detect() == isa.Portable {
		t.Skip("this processor or build keeps its mode")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tiny := math.Float32frombits(1 << 10)
	if product(0x1p-100, 0x1p-40) == 0 || product(tiny, 2) == 0 {
		t.Fatal("denormals are zero before they should be")
	}
	s := FlushDenormals()
	result, argument := product(0x1p-100, 0x1p-40), product(tiny, 0x1p100)
	nested := FlushDenormals()
	Restore(nested)
	still := product(0x1p-100, 0x1p-40)
	Restore(s)
	if result != 0 || argument != 0 || still != 0 {
		t.Errorf("while flushing: denormal result %v, product of a denormal %v, after a nested pair %v", result, argument, still)
	}
	if product(0x1p-100, 0x1p-40) == 0 {
		t.Error("not restored")
	}
}
