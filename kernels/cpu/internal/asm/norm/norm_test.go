package norm

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

// layer is a batch of rows with the moments of its columns, and of a gradient
// that a relu masks, in float64.
type layer struct {
	x, y, dy       Matrix
	mean, variance []float64
	sum, products  []float64 // of dy, and of dy*(x-mean), where y > 0 if there is a relu
}

func newLayer(rng *rand.Rand, rows, cols int, relu bool) *layer {
	l := &layer{}
	matrix := func(offset float64) Matrix {
		ld := cols + rng.IntN(3)
		m := Matrix{make([]float32, rows*ld), ld}
		for i := range m.Data {
			m.Data[i] = float32(rng.NormFloat64() + offset)
		}
		return m
	}
	l.x, l.y, l.dy = matrix(100), matrix(0), matrix(0.2) // a mean far from zero
	l.mean, l.variance = make([]float64, cols), make([]float64, cols)
	l.sum, l.products = make([]float64, cols), make([]float64, cols)
	n := float64(rows)
	for j := range cols {
		for i := range rows {
			l.mean[j] += float64(l.x.at(i, j)) / n
		}
		for i := range rows {
			d := float64(l.x.at(i, j)) - l.mean[j]
			l.variance[j] += d * d / n
			if dy := float64(l.dy.at(i, j)); !relu || l.y.at(i, j) > 0 {
				l.sum[j] += dy
				l.products[j] += dy * d
			}
		}
	}
	return l
}

func TestMoments(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		var ws Workspace
		for range rounds(30) {
			rows, cols := 2+rng.IntN(400), 1+rng.IntN(150)
			relu := rng.IntN(2) == 0
			l := newLayer(rng, rows, cols, relu)
			pivot := append([]float32(nil), l.x.Data[:cols]...)
			sum, squares := make([]float64, cols), make([]float64, cols)
			// In two ranges of columns, and of rows.
			half, top := cols/2, min(rows, ChunkRows)
			for _, c := range [][2]int{{0, half}, {half, cols}} {
				part := Matrix{l.x.Data[c[0]:], l.x.LD}
				k.Moments(sum[c[0]:c[1]], squares[c[0]:c[1]], part, top, pivot[c[0]:c[1]], &ws)
				if rows > top {
					k.Moments(sum[c[0]:c[1]], squares[c[0]:c[1]], part.from(top), rows-top, pivot[c[0]:c[1]], &ws)
				}
			}
			whole, wholeSquares := make([]float64, cols), make([]float64, cols)
			k.Moments(whole, wholeSquares, l.x, rows, pivot, &ws)
			for j := range cols {
				if whole[j] != sum[j] || wholeSquares[j] != squares[j] {
					t.Fatalf("column %d: moments %v, %v in ranges, %v, %v whole", j, sum[j], squares[j], whole[j], wholeSquares[j])
				}
			}
			mean, variance := make([]float32, cols), make([]float32, cols)
			Statistics(mean, variance, sum, squares, pivot, rows)
			var mask *Matrix
			if relu {
				mask = &l.y
			}
			gsum, products := make([]float64, cols), make([]float64, cols)
			k.GradMoments(gsum, products, l.dy, l.x, mask, rows, mean, &ws)
			for j := range cols {
				near(t, "mean", j, float64(mean[j]), l.mean[j], 1e-5)
				near(t, "variance", j, float64(variance[j]), l.variance[j], 2e-5)
				near(t, "sum of dy", j, gsum[j], l.sum[j], 1e-4)
				// The mean is rounded to float32: at 100, by 4e-6 at most.
				near(t, "sum of dy*(x-mean)", j, products[j], l.products[j], 1e-3)
			}
			if t.Failed() {
				t.Fatalf("%dx%d, relu %v", rows, cols, relu)
			}
		}
	})
}

func near(t *testing.T, what string, i int, got, want, bound float64) {
	t.Helper()
	if !(math.Abs(got-want) <= bound*(1+math.Abs(want))) {
		t.Fatalf("%s[%d] = %v, want %v", what, i, got, want)
	}
}

func TestShortArgumentsPanic(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		k.Moments(make([]float64, 5), make([]float64, 5), Matrix{make([]float32, 19), 5}, 4, make([]float32, 5), &Workspace{})
	})
}

func TestNoAllocations(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		var ws Workspace
		x, v := Matrix{make([]float32, 64*300), 64}, make([]float32, 64)
		s := make([]float64, 64)
		n := testing.AllocsPerRun(5, func() {
			k.Moments(s, s, x, 300, v, &ws)
			k.GradMoments(s, s, x, x, &x, 300, v, &ws)
		})
		if n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func BenchmarkNorm(b *testing.B) {
	const rows, cols = 784, 64
	x, y, v := Matrix{make([]float32, rows*cols), cols}, Matrix{make([]float32, rows*cols), cols}, make([]float32, cols)
	s := make([]float64, cols)
	var ws Workspace
	for _, level := range isa.Supported() {
		k := For(level)
		for name, f := range map[string]func(){
			"Moments":         func() { k.Moments(s, s, x, rows, v, &ws) },
			"GradMomentsReLU": func() { k.GradMoments(s, s, x, y, &y, rows, v, &ws) },
		} {
			b.Run(level.String()+"/"+name, func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(rows*cols), "ns/element")
			})
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
