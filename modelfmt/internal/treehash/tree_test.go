package treehash

import (
	"encoding/hex"
	"math/rand/v2"
	"testing"

	"lukechampine.com/blake3"
)

// TestKnownAnswers has values of the official BLAKE3 test vectors, whose input is
// 0, 1, ..., 250, 0, 1, ...
func TestKnownAnswers(t *testing.T) {
	for n, want := range map[int]string{
		0:      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		1:      "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
		102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
	} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i % 251)
		}
		got := new(Hasher).Sum(b)
		if hex.EncodeToString(got[:]) != want {
			t.Errorf("%d bytes: %x, want %s", n, got, want)
		}
	}
}

func TestEqualsLibrary(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, 1<<20+17)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	h := new(Hasher)
	sizes := []int{0, 1, 64, 1023, 1024, 1025, 8191, 8192, 8193, 9216, 16384, 16385, 17 * 1024, 24*1024 + 5, 33 * 1024, 65537, 1 << 20, len(b)}
	for range 60 {
		sizes = append(sizes, rng.IntN(len(b)))
	}
	for _, n := range sizes {
		if got, want := h.Sum(b[:n]), blake3.Sum256(b[:n]); got != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

func BenchmarkSum(b *testing.B) {
	h, buf := new(Hasher), make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		h.Sum(buf)
	}
}
