package planes

import (
	"bytes"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func makePlanes(width, n int) [][]byte {
	p := make([][]byte, width)
	for i := range p {
		p[i] = make([]byte, n)
	}
	return p
}

// TestSplitAndJoin compares with the definition, element by element, at sizes
// around the groups of the assembly, and checks that nothing past the end is
// written.
func TestSplitAndJoin(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, width := range []int{1, 2, 4, 8} {
		for _, rotate := range []bool{false, true} {
			if width == 1 && rotate {
				continue
			}
			for _, n := range []int{0, 1, 7, 31, 32, 33, 64, 95, 128, 1000} {
				t.Run(fmt.Sprint(width, rotate, n), func(t *testing.T) {
					src := make([]byte, width*n)
					for i := range src {
						src[i] = byte(rng.Uint32())
					}
					got := makePlanes(width, n+1)
					short := make([][]byte, width)
					for k := range got {
						got[k][n] = 0xa5
						short[k] = got[k][:n:n]
					}
					Split(short, src, width, rotate)
					for i := range n {
						var u uint64
						for k := range width {
							u |= uint64(src[width*i+k]) << (8 * k)
						}
						if rotate {
							switch width {
							case 2:
								u = uint64(bits.RotateLeft16(uint16(u), 1))
							case 4:
								u = uint64(bits.RotateLeft32(uint32(u), 1))
							case 8:
								u = bits.RotateLeft64(u, 1)
							}
						}
						for k := range width {
							if got[k][i] != byte(u>>(8*k)) {
								t.Fatalf("element %d, plane %d: %#x, want %#x", i, k, got[k][i], byte(u>>(8*k)))
							}
						}
					}
					for k := range got {
						if got[k][n] != 0xa5 {
							t.Fatal("a byte past the plane is written")
						}
					}
					back := make([]byte, width*n+1)
					back[width*n] = 0xa5
					Join(back[:width*n:width*n], short, width, rotate)
					if !bytes.Equal(back[:width*n], src) || back[width*n] != 0xa5 {
						t.Fatal("joined bytes differ")
					}
				})
			}
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	src := make([]byte, 1<<20)
	for _, width := range []int{2, 4, 8} {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			p := makePlanes(width, len(src)/width)
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				Split(p, src, width, true)
			}
		})
	}
}

func BenchmarkJoin(b *testing.B) {
	dst := make([]byte, 1<<20)
	for _, width := range []int{2, 4, 8} {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			p := makePlanes(width, len(dst)/width)
			b.SetBytes(int64(len(dst)))
			for b.Loop() {
				Join(dst, p, width, true)
			}
		})
	}
}
