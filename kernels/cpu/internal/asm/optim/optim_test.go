package optim

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

const (
	rate, eps, w1, w2 = 0.01, 1e-7, 0.1, 0.001
)

// steps run each optimizer once, and once in float64 for one element.
var steps = []struct {
	name string
	run  func(k *Kernels, w, m, v, g []float32)
	want func(w, m, v, g float64) (float64, float64, float64)
}{
	{"RMSprop", func(k *Kernels, w, m, v, g []float32) { k.RMSprop(w, v, g, rate, 1-w1, w1, eps) },
		func(w, m, v, g float64) (float64, float64, float64) {
			v = 0.9*v + w1*g*g
			return w - rate*g/math.Sqrt(v+eps), m, v
		}},
	{"Adam", func(k *Kernels, w, m, v, g []float32) { k.Adam(w, m, v, g, rate, w1, w2, eps) },
		func(w, m, v, g float64) (float64, float64, float64) {
			m, v = 0.9*m+w1*g, 0.999*v+w2*g*g
			return w - rate*m/(math.Sqrt(v)+eps), m, v
		}},
}

func TestSteps(t *testing.T) {
	const border = 20
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		for _, s := range steps {
			rng := rand.New(rand.NewPCG(1, 2))
			for _, n := range []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 20003} {
				var arrays, before [4][]float32 // w, m, v, g
				for a := range arrays {
					arrays[a] = make([]float32, n+2*border)
					for i := range arrays[a] {
						x := float32(rng.NormFloat64())
						if a == 2 {
							x *= x
						}
						arrays[a][i] = x
					}
					before[a] = append([]float32(nil), arrays[a]...)
				}
				part := func(a int) []float32 { return arrays[a][border : border+n] }
				s.run(k, part(0), part(1), part(2), part(3))
				for i := range n + 2*border {
					old := [3]float64{float64(before[0][i]), float64(before[1][i]), float64(before[2][i])}
					want := old
					if i >= border && i < border+n {
						want[0], want[1], want[2] = s.want(old[0], old[1], old[2], float64(before[3][i]))
					}
					for a := range want {
						got := float64(arrays[a][i])
						if math.Abs(got-want[a]) > 4e-7*(math.Abs(want[a])+math.Abs(old[a])+0.1) {
							t.Fatalf("%s: array %d, element %d of %d is %v, want %v", s.name, a, i-border, n, got, want[a])
						}
						if (i < border || i >= border+n) && arrays[a][i] != before[a][i] {
							t.Fatalf("%s wrote outside of its range", s.name)
						}
					}
				}
			}
		}
	})
}

// TestRootsAreExact holds the roots that come from an estimate to those of the
// divider: every significand, and what has no remainder or needs none. RMSprop with
// v kept as it is gives g/sqrt(v); g is just below 2*sqrt(v), so that no two roots
// give the same quotient.
func TestRootsAreExact(t *testing.T) {
	if isa.Detect() < isa.AVX512 {
		t.Skip("this processor or build has one kind of root")
	}
	one, two := For(isa.AVX2), For(isa.AVX512)
	const n = 1 << 13
	w, v, g := make([]float32, n), make([]float32, n), make([]float32, n)
	compare := func() {
		t.Helper()
		for i := range g {
			g[i] = math.Nextafter32(2*float32(math.Sqrt(float64(v[i]))), 0)
		}
		var got [2][]float32
		for i, k := range []*Kernels{one, two} {
			clear(w)
			k.RMSprop(w, v, g, 1, 1, 0, 0)
			got[i] = append(got[i], w...)
		}
		for i, want := range got[0] {
			if x := got[1][i]; math.Float32bits(x) != math.Float32bits(want) && (x == x || want == want) {
				t.Fatalf("%v over the root of %v is %v, not %v", g[i], v[i], x, want)
			}
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	short := testing.Short()
	for first := 0; first < 1<<24; first += n {
		scale := float32(math.Ldexp(1, 2*(rng.IntN(100)-50)))
		for i := range v {
			v[i] = math.Float32frombits(uint32(127<<23+first+i)) * scale
		}
		if compare(); short && first > 1<<20 {
			break
		}
	}
	for i := range v { // every exponent, and rare neighbours
		v[i] = math.Float32frombits(uint32(rng.Uint32()) >> 1)
	}
	copy(v[5:], []float32{0, math.SmallestNonzeroFloat32, 1e-39, 0x1p-126, 0x1p-101, 0x1p-100, math.MaxFloat32, float32(math.Inf(1)), float32(math.NaN()), 0, 0, 1})
	copy(v[101:], make([]float32, 100))
	compare()
}

func TestShortArgumentsPanic(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		long, short := make([]float32, 9), make([]float32, 8)
		k.Adam(long, long, long, short, 1, 1, 1, 1)
	})
}

func BenchmarkSteps(b *testing.B) {
	const n = 4096
	for _, level := range isa.Supported() {
		k := For(level)
		for _, s := range steps {
			b.Run(level.String()+"/"+s.name, func(b *testing.B) {
				var a [4][]float32
				for i := range a {
					a[i] = make([]float32, n)
					for j := range a[i] {
						a[i][j] = 1 / float32(j+1)
					}
				}
				for b.Loop() {
					s.run(k, a[0], a[1], a[2], a[3])
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
			})
		}
	}
}
