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

const epsilon = 1e-3

// layer is a batch normalization with a relu, in float64, column by column.
type layer struct {
	rows, cols     int
	x, z, dy       Matrix
	gamma, beta    []float32
	y, dx          []float64
	mean, variance []float64
	dgamma, dbeta  []float64
}

func newLayer(rng *rand.Rand, rows, cols int, residual, relu bool) *layer {
	l := &layer{rows: rows, cols: cols}
	matrix := func(offset float64) Matrix {
		ld := cols + rng.IntN(3)
		m := Matrix{make([]float32, rows*ld), ld}
		for i := range m.Data {
			m.Data[i] = float32(rng.NormFloat64() + offset)
		}
		return m
	}
	l.x, l.z, l.dy = matrix(100), matrix(0), matrix(0.2) // a mean far from zero
	l.gamma, l.beta = make([]float32, cols), make([]float32, cols)
	l.y, l.dx = make([]float64, rows*cols), make([]float64, rows*cols)
	l.mean, l.variance = make([]float64, cols), make([]float64, cols)
	l.dgamma, l.dbeta = make([]float64, cols), make([]float64, cols)
	n := float64(rows)
	for j := range cols {
		l.gamma[j], l.beta[j] = float32(0.5+rng.Float64()), float32(rng.NormFloat64())
		for i := range rows {
			l.mean[j] += float64(l.x.at(i, j)) / n
		}
		for i := range rows {
			d := float64(l.x.at(i, j)) - l.mean[j]
			l.variance[j] += d * d / n
		}
		s := 1 / math.Sqrt(l.variance[j]+epsilon)
		hat := func(i int) float64 { return (float64(l.x.at(i, j)) - l.mean[j]) * s }
		masked := make([]float64, rows)
		for i := range rows {
			y := hat(i)*float64(l.gamma[j]) + float64(l.beta[j])
			if residual {
				y += float64(l.z.at(i, j))
			}
			masked[i] = float64(l.dy.at(i, j))
			if relu && y <= 0 {
				y, masked[i] = 0, 0
			}
			l.y[i*cols+j] = y
			l.dbeta[j] += masked[i]
			l.dgamma[j] += masked[i] * hat(i)
		}
		for i := range rows {
			l.dx[i*cols+j] = float64(l.gamma[j]) * s * (masked[i] - l.dbeta[j]/n - hat(i)*l.dgamma[j]/n)
		}
	}
	return l
}

func TestBatchNormalization(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		var ws Workspace
		for range rounds(30) {
			rows, cols := 2+rng.IntN(400), 1+rng.IntN(150)
			residual, relu := rng.IntN(2) == 0, rng.IntN(2) == 0
			l := newLayer(rng, rows, cols, residual, relu)
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
			a, b, c := make([]float32, cols), make([]float32, cols), make([]float32, cols)
			Scales(a, b, l.gamma, l.beta, mean, variance, epsilon)
			for j := range cols {
				near(t, "mean", j, mean[j], l.mean[j], 1e-5)
				near(t, "variance", j, variance[j], l.variance[j], 2e-5)
			}
			y := Matrix{make([]float32, rows*cols), cols}
			var z *Matrix
			if residual {
				z = &l.z
			}
			k.Apply(y, l.x, z, rows, a, b, relu)
			for i, v := range y.Data {
				near(t, "y", i, v, l.y[i], 1e-4) // a*x + b cancels: the mean is 100
			}

			var mask *Matrix
			if relu {
				// Where the reference is positive, whatever the rounding.
				for i := range y.Data {
					y.Data[i] = float32(l.y[i])
				}
				mask = &y
			}
			gsum, products := make([]float64, cols), make([]float64, cols)
			k.GradMoments(gsum, products, l.dy, l.x, mask, rows, mean, &ws)
			dgamma, dbeta := make([]float32, cols), make([]float32, cols)
			GradScales(a, b, c, dgamma, dbeta, l.gamma, mean, variance, epsilon, gsum, products, rows)
			for j := range cols {
				near(t, "dgamma", j, dgamma[j], l.dgamma[j], 1e-3)
				near(t, "dbeta", j, dbeta[j], l.dbeta[j], 1e-3)
			}
			dx := Matrix{make([]float32, rows*(cols+1)), cols + 1}
			k.Grad(dx, l.dy, l.x, mask, rows, a, b, c)
			for i := range rows {
				for j := range cols {
					near(t, "dx", i*cols+j, dx.at(i, j), l.dx[i*cols+j], 1e-4)
				}
				if dx.at(i, cols) != 0 {
					t.Fatal("what is between rows was written")
				}
			}
			if t.Failed() {
				t.Fatalf("%dx%d, residual %v, relu %v", rows, cols, residual, relu)
			}
		}
	})
}

func near(t *testing.T, what string, i int, got float32, want, bound float64) {
	t.Helper()
	if !(math.Abs(float64(got)-want) <= bound*(1+math.Abs(want))) {
		t.Fatalf("%s[%d] = %v, want %v", what, i, got, want)
	}
}

func TestAddBias(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		for cols := 1; cols < 40; cols++ {
			rows := 1000/cols + 1
			x, b := Matrix{make([]float32, rows*cols), cols}, make([]float32, cols)
			for i := range x.Data {
				x.Data[i] = float32(i)
			}
			for j := range b {
				b[j] = float32(j) / 2
			}
			k.AddBias(x, x, rows, b)
			for i, v := range x.Data {
				if want := float32(i) + float32(i%cols)/2; v != want {
					t.Fatalf("element %d of rows of %d is %v, want %v", i, cols, v, want)
				}
			}
		}
	})
}

func TestShortArgumentsPanic(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		long, short := Matrix{make([]float32, 20), 5}, Matrix{make([]float32, 19), 5}
		k.Apply(long, short, nil, 4, make([]float32, 5), make([]float32, 5), false)
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
			k.Apply(x, x, &x, 300, v, v, true)
			k.Grad(x, x, x, &x, 300, v, v, v)
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
			"ApplyReLU":       func() { k.Apply(y, x, nil, rows, v, v, true) },
			"GradReLU":        func() { k.Grad(y, x, y, &y, rows, v, v, v) },
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
