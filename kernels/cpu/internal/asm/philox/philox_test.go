package philox

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

func forEachLevel(t *testing.T, f func(t *testing.T, k *Kernels)) {
	for level := isa.Portable; level <= isa.AVX512; level++ {
		t.Run(level.String(), func(t *testing.T) {
			if level > isa.Detect() {
				t.Skipf("this processor or build runs at most %v", isa.Detect())
			}
			f(t, For(level))
		})
	}
}

// known are the answers published with the paper's code (philox4x32, 10
// rounds).
var known = []struct {
	c    Counter
	key  Key
	want [4]uint32
}{
	{Counter{}, Key{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
	{Counter{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, Key{0xffffffff, 0xffffffff}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
	{Counter{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, Key{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
}

func TestKnownAnswers(t *testing.T) {
	for _, tt := range known {
		if got := Block(tt.key, tt.c); got != tt.want {
			t.Errorf("Block(%x, %x) = %x, want %x", tt.key, tt.c, got, tt.want)
		}
		forEachLevel(t, func(t *testing.T, k *Kernels) {
			got := make([]uint32, 400)
			k.Fill(got, tt.key, tt.c)
			if [4]uint32(got[:4]) != tt.want {
				t.Errorf("Fill(%x, %x) begins with %x, want %x", tt.key, tt.c, got[:4], tt.want)
			}
		})
	}
}

// TestRanges compares ranges of many lengths, some across the end of the
// first word, with the function.
func TestRanges(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{0, 1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 127, 128, 500, 40001} {
			key := Key{rng.Uint32(), rng.Uint32()}
			c := Counter{-uint32(rng.IntN(20)), rng.Uint32(), rng.Uint32(), rng.Uint32()}
			words, uniform := make([]uint32, n+1), make([]float32, n+1)
			words[n], uniform[n] = 99, 99
			k.Fill(words[:n], key, c)
			k.Uniform(uniform[:n], key, c)
			if words[n] != 99 || uniform[n] != 99 {
				t.Fatalf("a range of %d writes beyond its end", n)
			}
			var block [4]uint32
			for i := range n {
				if i%4 == 0 {
					block = Block(key, Counter{c[0] + uint32(i/4), c[1], c[2], c[3]})
				}
				u := block[i%4]
				if words[i] != u || uniform[i] != float32(u>>8)/(1<<24) {
					t.Fatalf("element %d of %d is %#x, %v, want %#x", i, n, words[i], uniform[i], u)
				}
			}
		}
	})
}

func TestUniform(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		const n, keep = 200000, 0.8
		uniform := make([]float32, n)
		k.Uniform(uniform, Key{1, 2}, Counter{})
		kept := 0.0
		for _, v := range uniform {
			if v < keep {
				kept++
			}
		}
		if sigma := math.Sqrt(n * keep * (1 - keep)); math.Abs(kept-n*keep) > 4*sigma {
			t.Errorf("%v of %v elements below %v", kept, n, keep)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		uniform := make([]float32, 1001)
		if n := testing.AllocsPerRun(10, func() { k.Uniform(uniform, Key{}, Counter{}) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func BenchmarkFill(b *testing.B) {
	for _, level := range isa.Supported() {
		b.Run(level.String(), func(b *testing.B) {
			k, dst := For(level), make([]uint32, 1<<12)
			b.SetBytes(4 << 12)
			for b.Loop() {
				k.Fill(dst, Key{1, 2}, Counter{})
			}
		})
	}
}
