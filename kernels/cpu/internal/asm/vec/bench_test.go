package vec

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/stopwatch"
)

// BenchmarkMaps reports nanoseconds an element of the fastest run over 4096
// elements, which the first-level cache nearly holds.
func BenchmarkMaps(b *testing.B) {
	const n = 4096
	rng := rand.New(rand.NewPCG(1, 2))
	x, y, z, dst := numbers(rng, n, false), numbers(rng, n, false), numbers(rng, n, false), make([]float32, n)
	for _, level := range isa.Supported() {
		k := For(level)
		for _, m := range maps() {
			b.Run(level.String()+"/"+m.name, func(b *testing.B) {
				perElement(b, n, func() { m.run(k, dst, x, y, z) })
			})
		}
		b.Run(level.String()+"/Sum", func(b *testing.B) { perElement(b, n, func() { k.Sum(x) }) })
		b.Run(level.String()+"/RowSums10", func(b *testing.B) { perElement(b, n/10*10, func() { k.RowSums(dst, x, n/10, 10) }) })
		b.Run(level.String()+"/MaxOf", func(b *testing.B) { perElement(b, n, func() { k.MaxOf(x) }) })
		most, sums := make([]float32, 512), make([]float32, 512)
		for _, cols := range []int{8, 10, 128, 1000} {
			rows := n / cols
			b.Run(level.String()+"/Softmax"+strconv.Itoa(cols), func(b *testing.B) {
				perElement(b, rows*cols, func() { k.Softmax(dst, cols, x, cols, rows, cols, most, sums) })
			})
		}
		b.Run(level.String()+"/Transpose64", func(b *testing.B) { perElement(b, n, func() { k.Transpose(dst, 64, x, 64, 64, 64) }) })
		b.Run(level.String()+"/ColSums128", func(b *testing.B) { perElement(b, n, func() { k.ColSums(dst[:128], x, 128, 32, false) }) })
		h := make([]uint16, n)
		b.Run(level.String()+"/ToBF16", func(b *testing.B) { perElement(b, n, func() { k.ToBF16(h, x) }) })
		b.Run(level.String()+"/FromF16", func(b *testing.B) { perElement(b, n, func() { k.FromF16(dst, h) }) })
		big := make([]float32, 1024*1024)
		turned := make([]float32, 1024*1024)
		b.Run(level.String()+"/Transpose1024", func(b *testing.B) {
			perElement(b, len(big), func() { k.Transpose(turned, 1024, big, 1024, 1024, 1024) })
		})
	}
}

func perElement(b *testing.B, n int, f func()) {
	best := stopwatch.Fastest(b.Loop, f)
	b.ReportMetric(float64(best.Nanoseconds())/float64(n), "ns/element")
}
