package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/stopwatch"
)

// thin makes zeros of all but a share of the left operand, in columns and rows
// of unlike shares, some of them minus zero.
func (p *problem) thin(rng *rand.Rand, share float64) {
	for i := range p.A {
		if rng.Float64() >= share*2*float64(i%7)/6 {
			p.A[i] = float32(math.Copysign(0, rng.Float64()-0.5))
		}
	}
}

// same fails unless C has the bits of want; any NaN is as good as another.
func (p *problem) same(t *testing.T, want []float32) {
	t.Helper()
	for i, v := range want {
		if g := p.C[i]; math.Float32bits(g) != math.Float32bits(v) && (g == g || v == v) {
			t.Fatalf("%v: C[%d, %d] = %v, with its zeros %v", p, i/p.LDC, i%p.LDC, g, v)
		}
	}
}

// Leaving zeros out changes no bit, whatever else is in the operands.
func TestZerosChangeNoBits(t *testing.T) {
	special := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, math.SmallestNonzeroFloat32, 0}
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(21, 22))
		var ws, plain Workspace
		for round := range rounds(300) {
			size := func(least, limit int) int { return least + rng.IntN(limit) }
			p := newProblem(rng, Layout(rng.IntN(2)), size(1, 70), size(sparseColumns, 200), size(1, 300))
			if round%20 == 0 {
				p = newProblem(rng, Layout(rng.IntN(2)), size(bitRows, bitRows), size(sparseColumns, 40), size(300, 600))
			}
			p.ReLU = rng.IntN(2) == 0
			if rng.IntN(2) == 0 {
				p.Bias = make([]float32, p.N)
				for i := range p.Bias {
					p.Bias[i] = rng.Float32() - 0.5
				}
			}
			p.thin(rng, rng.Float64())
			if rng.IntN(3) == 0 {
				for range 1 + rng.IntN(3) {
					p.A[rng.IntN(len(p.A))] = special[rng.IntN(len(special))]
				}
			}
			if rng.IntN(3) == 0 {
				p.B[rng.IntN(len(p.B))] = special[rng.IntN(len(special))]
			}
			m0, n0 := rng.IntN(p.M), rng.IntN(p.N-sparseColumns+1)
			m1, n1 := m0+rng.IntN(p.M-m0+1), n0+rng.IntN(p.N-n0+1)
			k.Run(&p.Op, m0, m1, n0, n1, &plain)
			want := append([]float32(nil), p.C...)
			p.reset()
			p.Zeros = &Zeros{}
			k.Run(&p.Op, m0, m1, n0, n1, &ws)
			p.same(t, want)
		}
	})
}

// Zeros are left out where there are many, and where there never are any they
// are hardly looked for.
func TestZerosAreSeen(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		if k.tiles == nil {
			t.Skip("plain Go multiplies all")
		}
		looks := 0
		ts := *k.tiles
		ts.zeros.nonzeros = func(dst, counts *uint32, src *float32, srcRow, rows, n int, table *[256][16]uint8) int {
			looks++
			return k.tiles.zeros.nonzeros(dst, counts, src, srcRow, rows, n, table)
		}
		kernels := *k
		kernels.tiles = &ts
		rng := rand.New(rand.NewPCG(23, 24))
		p := newProblem(rng, NN, 1, 1024, 1024)
		p.Zeros = &Zeros{}
		var ws Workspace
		for range 3 * denseRuns {
			kernels.Run(&p.Op, 0, 1, 0, 64, &ws)
		}
		// A look ends with the first blocks of k that are not mostly zeros.
		if looks < 2*denseLooks || looks > 4*8*denseLooks {
			t.Errorf("%d looks in %d runs of a product without zeros", looks, 3*denseRuns)
		}
		clear(p.A)
		p.A[17] = 1
		// Another sum than the product's, in the place of the kernel's: it is called.
		ts.zeros.sums = append([]sums(nil), k.tiles.zeros.sums...)
		calls := 0
		for i := range ts.zeros.sums {
			rows := ts.zeros.sums[i].rows
			ts.zeros.sums[i].rows = func(c *float32, cRow int, a *float32, aRow int, index, counts *uint32, n int, b *float32, bRow int, flags, last int) {
				if calls++; calls == 1 && (*counts != 1 || *index != 17) {
					t.Errorf("%d elements, the first at %d", *counts, *index)
				}
				rows(c, cRow, a, aRow, index, counts, n, b, bRow, flags, last)
			}
		}
		p.Zeros = &Zeros{}
		kernels.Run(&p.Op, 0, 1, 0, 64, &ws)
		if calls == 0 {
			t.Error("the zeros were multiplied")
		}
	})
}

func TestSparseNoAllocations(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(25, 26))
		var ws Workspace
		for _, layout := range []Layout{NN, TN} {
			p := newProblem(rng, layout, 40, 128, 200)
			p.thin(rng, 0.1)
			p.Zeros = &Zeros{}
			if n := testing.AllocsPerRun(3, func() { k.Run(&p.Op, 0, p.M, 0, p.N, &ws) }); n != 0 {
				t.Errorf("layout %d: %v allocations", layout, n)
			}
		}
	})
}

// BenchmarkZeros reports by the share of elements other than zero how much
// faster the product is that leaves zeros out.
func BenchmarkZeros(b *testing.B) {
	for _, level := range isa.Supported()[1:] {
		k := For(level)
		for _, s := range []struct {
			layout  Layout
			m, n, k int
		}{{NN, 32, 128, 196}, {TN, 48, 128, 32}, {NN, 32, 200, 196}, {TN, 24, 200, 32}} {
			for _, share := range []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.7} {
				b.Run(fmt.Sprintf("%v/%v/%dx%dx%d/%v", level, s.layout, s.m, s.n, s.k, share), func(b *testing.B) {
					rng := rand.New(rand.NewPCG(1, 1))
					p := newProblem(rng, s.layout, s.m, s.n, s.k)
					p.tight()
					for i := range p.A {
						if rng.Float64() >= share {
							p.A[i] = 0
						}
					}
					var ws Workspace
					dense := stopwatch.Fastest(stopwatch.Times(200), func() { k.Run(&p.Op, 0, s.m, 0, s.n, &ws) })
					var z Zeros
					p.Zeros = &z
					sparse := stopwatch.Fastest(b.Loop, func() { z = Zeros{}; k.Run(&p.Op, 0, s.m, 0, s.n, &ws) })
					b.ReportMetric(float64(dense)/float64(sparse), "x")
				})
			}
		}
	}
}

// rounds is a number of random cases: a tenth of them in short mode, for
// processors that are emulated.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
