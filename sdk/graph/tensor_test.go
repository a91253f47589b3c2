package graph

import (
	"math"
	"testing"
)

func TestHalvesRoundToNearestEven(t *testing.T) {
	for h := range 1 << 16 {
		f := HalfToFloat32(uint16(h))
		if f != f {
			continue
		}
		if got := Float32ToHalf(f); got != uint16(h) {
			t.Fatalf("%#x widened and narrowed is %#x", h, got)
		}
	}
	for h := range uint16(0x7bff) { // neighbours: the middle goes to the even one
		a, b := float64(HalfToFloat32(h)), float64(HalfToFloat32(h+1))
		mid := float32((a + b) / 2)
		if got, want := Float32ToHalf(mid), h+h&1; got != want {
			t.Fatalf("the middle of %#x and its successor is %#x, want %#x", h, got, want)
		}
		if got := Float32ToHalf(math.Nextafter32(mid, float32(b))); got != h+1 {
			t.Fatalf("beyond the middle of %#x: %#x", h, got)
		}
		if got := Float32ToHalf(math.Nextafter32(mid, float32(a))); got != h {
			t.Fatalf("before the middle of %#x: %#x", h, got)
		}
	}
	for in, want := range map[float32]uint16{65519: 0x7bff, 65520: 0x7c00, float32(math.Inf(-1)): 0xfc00, 1e-8: 0, -1e-30: 0x8000} {
		if got := Float32ToHalf(in); got != want {
			t.Errorf("%v is %#x, want %#x", in, got, want)
		}
	}
	for in, want := range map[uint32]uint16{0x3f808000: 0x3f80, 0x3f818000: 0x3f82, 0x3f808001: 0x3f81, 0x7f7fffff: 0x7f80, 0x7f800001: 0x7fc0} {
		if got := Float32ToBF16(math.Float32frombits(in)); got != want {
			t.Errorf("%#x is %#x, want %#x", in, got, want)
		}
	}
}

func TestTensorElementsSaturate(t *testing.T) {
	for _, c := range []struct {
		d        DType
		in, want float64
	}{
		{I8, 200, 127}, {I8, -200, -128}, {U8, -1, 0}, {U8, 300, 255}, {I32, 1e20, math.MaxInt32}, {U32, -3, 0}, {U32, 1e20, math.MaxUint32},
		{I64, 1e30, math.MaxInt64}, {U64, -1, 0}, {U64, 1e30, math.MaxUint64}, {I32, math.NaN(), 0}, {Bool, 0.5, 1}, {Bool, 0, 0}, {I8, -1.9, -1}, {F32, 0.1, float64(float32(0.1))},
	} {
		if got := ScalarOf(c.d, c.in).Float(0); got != c.want {
			t.Errorf("%v as %v is %v, want %v", c.in, c.d, got, c.want)
		}
	}
}
