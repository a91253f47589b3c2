package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// forEachLevel runs f once a variant, and says which ones cannot run here.
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

const guard = float32(-12345.5)

// problem is a product with random operands in guarded memory.
type problem struct {
	Op
	c0 []float32 // C before
}

func newProblem(rng *rand.Rand, layout Layout, m, n, k int) *problem {
	p := &problem{Op: Op{Layout: layout, M: m, N: n, K: k}}
	matrix := func(rows, cols int) ([]float32, int) {
		ld := cols + rng.IntN(9)
		s := make([]float32, max(0, (rows-1)*ld+cols))
		for i := range s {
			s[i] = rng.Float32()*2 - 1
		}
		return s, ld
	}
	if layout == TN {
		p.A, p.LDA = matrix(k, m)
	} else {
		p.A, p.LDA = matrix(m, k)
	}
	if layout == NT {
		p.B, p.LDB = matrix(n, k)
	} else {
		p.B, p.LDB = matrix(k, n)
	}
	p.C, p.LDC = matrix(m, n)
	for i := range m - 1 {
		for j := n; j < p.LDC; j++ {
			p.C[i*p.LDC+j] = guard
		}
	}
	p.c0 = append([]float32(nil), p.C...)
	return p
}

func (p *problem) reset() { copy(p.C, p.c0) }

// want is element (i, j) in float64, and the bound on the error: a chain of
// K+2 roundings of partial sums of at most sum.
func (p *problem) want(i, j int) (v, bound float64) {
	sum := 0.0
	if p.Accumulate {
		v = float64(p.c0[i*p.LDC+j])
		sum = math.Abs(v)
	}
	for k := range p.K {
		b := 0.0
		if p.Layout == NT {
			b = float64(p.B[j*p.LDB+k])
		} else {
			b = float64(p.B[k*p.LDB+j])
		}
		x := float64(p.a(i, k)) * b
		v += x
		sum += math.Abs(x)
	}
	if p.Bias != nil {
		v += float64(p.Bias[j])
		sum += math.Abs(float64(p.Bias[j]))
	}
	if p.ReLU {
		v = max(v, 0)
	}
	return v, sum * float64(2*p.K+2) * 0x1p-24
}

// check compares C with want on the given range and with what it was
// elsewhere.
func (p *problem) check(t *testing.T, m0, m1, n0, n1 int) {
	t.Helper()
	for at, got := range p.C {
		i, j := at/p.LDC, at%p.LDC
		if i < m0 || i >= m1 || j < n0 || j >= n1 {
			if got != p.c0[at] {
				t.Fatalf("C[%d,%d] outside of the range was written", i, j)
			}
			continue
		}
		if want, bound := p.want(i, j); !(math.Abs(float64(got)-want) <= bound) {
			t.Fatalf("C[%d,%d] = %v, want %v within %v", i, j, got, want, bound)
		}
	}
}

func (p *problem) String() string {
	return fmt.Sprintf("layout %d, %dx%dx%d, ld %d %d %d, accumulate %v, bias %v, relu %v", p.Layout, p.M, p.N, p.K, p.LDA, p.LDB, p.LDC, p.Accumulate, p.Bias != nil, p.ReLU)
}

func randomProblem(rng *rand.Rand, size func(limit int) int) *problem {
	p := newProblem(rng, Layout(rng.IntN(3)), size(90), size(90), size(90))
	p.Accumulate = rng.IntN(2) == 0
	p.ReLU = rng.IntN(2) == 0
	if rng.IntN(2) == 0 {
		p.Bias = make([]float32, p.N)
		for i := range p.Bias {
			p.Bias[i] = rng.Float32() - 0.5
		}
	}
	return p
}

func TestRun(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		var ws Workspace
		size := func(limit int) int { return 1 + rng.IntN(limit) }
		for range 400 {
			p := randomProblem(rng, size)
			m0, n0 := rng.IntN(p.M), rng.IntN(p.N)
			m1, n1 := m0+rng.IntN(p.M-m0+1), n0+rng.IntN(p.N-n0+1)
			k.Run(&p.Op, m0, m1, n0, n1, &ws)
			p.check(t, m0, m1, n0, n1)
			if t.Failed() {
				t.Fatalf("%v [%d:%d, %d:%d]", p, m0, m1, n0, n1)
			}
		}
	})
}

// TestEveryTile meets each height of tile with each number of columns.
func TestEveryTile(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(3, 4))
		var ws Workspace
		for m := 1; m <= 15; m++ {
			for n := 1; n <= 66; n++ {
				p := newProblem(rng, NN, m, n, 5)
				p.Accumulate = n%2 == 0
				k.Run(&p.Op, 0, m, 0, n, &ws)
				p.check(t, 0, m, 0, n)
			}
		}
	})
}

// TestLarge crosses the borders of blocks and packs both operands.
func TestLarge(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		if k.tiles == nil {
			t.Skip("the portable variant has no blocks")
		}
		rng := rand.New(rand.NewPCG(5, 6))
		small := *k
		small.blockK, small.blockM, small.blockN = 24, 30, 2*k.tiles.cols
		var ws Workspace
		for range 40 {
			p := randomProblem(rng, func(limit int) int { return 1 + rng.IntN(3*limit) })
			small.Run(&p.Op, 0, p.M, 0, p.N, &ws)
			p.check(t, 0, p.M, 0, p.N)
			if t.Failed() {
				t.Fatal(p)
			}
		}
	})
}

// TestBits holds the promise that neither blocks, nor packing, nor ranges
// change a bit.
func TestBits(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(7, 8))
		var ws Workspace
		for range 60 {
			p := randomProblem(rng, func(limit int) int { return 1 + rng.IntN(2*limit) })
			k.Run(&p.Op, 0, p.M, 0, p.N, &ws)
			want := append([]float32(nil), p.C...)
			same := func(what string) {
				t.Helper()
				for i, v := range p.C {
					if math.Float32bits(v) != math.Float32bits(want[i]) {
						t.Fatalf("%s: element %d is %v, was %v: %v", what, i, v, want[i], p)
					}
				}
			}

			p.reset()
			ms, ns := rng.IntN(p.M+1), rng.IntN(p.N+1)
			for _, r := range [][4]int{{0, ms, 0, ns}, {ms, p.M, 0, ns}, {0, ms, ns, p.N}, {ms, p.M, ns, p.N}} {
				k.Run(&p.Op, r[0], r[1], r[2], r[3], &ws)
			}
			same("in four ranges")

			p.reset()
			p.BPacked = make([]float32, k.PackedLen(p.K, p.N))
			half := p.N / 2 / k.PanelWidth() * k.PanelWidth()
			k.PackB(p.BPacked, p.B, p.LDB, p.Layout == NT, p.K, p.N, half, p.N)
			k.PackB(p.BPacked, p.B, p.LDB, p.Layout == NT, p.K, p.N, 0, half)
			k.Run(&p.Op, 0, p.M, half, p.N, &ws)
			k.Run(&p.Op, 0, p.M, 0, half, &ws)
			same("packed before")
			p.BPacked = nil

			p.reset()
			blocks := *k
			blocks.blockK, blocks.blockM, blocks.blockN = 16, 12, 64
			blocks.Run(&p.Op, 0, p.M, 0, p.N, &ws)
			same("in small blocks")
		}

		if k.tiles == nil {
			return
		}
		p := newProblem(rng, NN, 530, 257, 500) // so large that A is packed
		k.Run(&p.Op, 0, p.M, 0, p.N, &ws)
		want := append([]float32(nil), p.C...)
		p.reset()
		for m := 0; m < p.M; m += 40 {
			k.Run(&p.Op, m, min(m+40, p.M), 0, p.N, &ws)
		}
		if !slices.Equal(p.C, want) {
			t.Fatal("packing A changes bits")
		}
	})
}

func TestEmpty(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		var ws Workspace
		op := &Op{M: 2, N: 3, C: []float32{1, 2, 3, 4, 5, 6}, LDC: 3, LDB: 3, Bias: []float32{-1, 0, 1}, ReLU: true}
		k.Run(op, 0, 2, 0, 3, &ws)
		if got := fmt.Sprint(op.C); got != "[0 0 1 0 0 1]" {
			t.Errorf("a sum of nothing plus bias is %v", got)
		}
		k.Run(&Op{}, 0, 0, 0, 0, &ws)
	})
}

func TestReLUKeepsNaN(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		var ws Workspace
		nan := float32(math.NaN())
		op := &Op{M: 1, N: 2, K: 1, A: []float32{1}, LDA: 1, B: []float32{nan, -1}, LDB: 2, C: make([]float32, 2), LDC: 2, ReLU: true}
		k.Run(op, 0, 1, 0, 2, &ws)
		if op.C[0] == op.C[0] || op.C[1] != 0 {
			t.Errorf("relu of NaN, -1 is %v", op.C)
		}
	})
}

func TestBadSizesPanic(t *testing.T) {
	good := func() *Op {
		return &Op{M: 2, N: 2, K: 2, A: make([]float32, 4), LDA: 2, B: make([]float32, 4), LDB: 2, C: make([]float32, 4), LDC: 2}
	}
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		for name, spoil := range map[string]func(*Op){
			"short A":      func(o *Op) { o.A = o.A[:3] },
			"short B":      func(o *Op) { o.B = o.B[:3] },
			"short C":      func(o *Op) { o.C = o.C[:3] },
			"rows overlap": func(o *Op) { o.LDC = 1 },
			"short bias":   func(o *Op) { o.Bias = make([]float32, 1) },
			"short packed": func(o *Op) { o.BPacked = make([]float32, 3) },
			"range":        func(o *Op) { o.M = 1 },
		} {
			op := good()
			spoil(op)
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s: no panic", name)
					}
				}()
				var ws Workspace
				k.Run(op, 0, 2, 0, 2, &ws)
			}()
		}
	})
}

func TestNoAllocations(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		var ws Workspace
		for _, layout := range []Layout{NN, TN, NT} {
			p := newProblem(rng, layout, 100, 300, 300)
			if n := testing.AllocsPerRun(3, func() { k.Run(&p.Op, 0, p.M, 0, p.N, &ws) }); n != 0 {
				t.Errorf("layout %d: %v allocations", layout, n)
			}
		}
	})
}
