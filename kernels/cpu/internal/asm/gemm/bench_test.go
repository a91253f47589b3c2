package gemm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/stopwatch"
)

// peak measures the multiply-add peak of this core at a level, in GFLOP/s:
// the best of several short runs.
func peak(level isa.Level) float64 {
	flops := 0
	best := stopwatch.Fastest(stopwatch.Times(200), func() { flops = PeakFMA(level, 2000) })
	return float64(flops) / float64(best.Nanoseconds())
}

// BenchmarkRun reports the GFLOP/s of the fastest run, as other processes
// slow down most others, and the share of the peak calibrated just before.
func BenchmarkRun(b *testing.B) {
	shapes := []struct {
		layout  Layout
		m, n, k int
	}{
		{NN, 32, 128, 784}, {NN, 32, 512, 784}, {TN, 784, 128, 32}, {TN, 784, 512, 32}, {NT, 32, 784, 512},
		{NN, 1, 128, 784}, {NN, 3, 128, 784}, {NN, 3136, 64, 256}, {NN, 32, 10, 128},
		{NN, 64, 64, 64}, {NN, 128, 128, 128}, {NN, 256, 256, 256}, {NN, 512, 512, 512},
		{NN, 1024, 1024, 1024}, {TN, 1024, 1024, 1024}, {NT, 1024, 1024, 1024}, {NN, 2048, 2048, 2048},
		{NN, 1000, 1000, 1000},
	}
	names := [...]string{"NN", "TN", "NT"}
	for _, level := range isa.Supported() {
		k := For(level)
		for _, s := range shapes {
			b.Run(fmt.Sprintf("%v/%s/%dx%dx%d", level, names[s.layout], s.m, s.n, s.k), func(b *testing.B) {
				if level == isa.Portable && s.m*s.n*s.k > 1<<24 {
					b.Skip("too slow to be of interest")
				}
				p := newProblem(rand.New(rand.NewPCG(1, 1)), s.layout, s.m, s.n, s.k)
				p.tight()
				var ws Workspace
				k.Run(&p.Op, 0, s.m, 0, s.n, &ws)
				top := peak(level)
				b.ResetTimer()
				best := stopwatch.Fastest(b.Loop, func() { k.Run(&p.Op, 0, s.m, 0, s.n, &ws) })
				gflops := 2 * float64(s.m*s.n*s.k) / float64(best.Nanoseconds())
				b.ReportMetric(gflops, "GFLOP/s")
				if top > 0 {
					b.ReportMetric(100*gflops/top, "%peak")
				}
			})
		}
	}
}

// tight makes the rows of the matrices follow one another, as tensors do.
func (p *problem) tight() {
	p.LDA, p.LDB, p.LDC = p.K, p.N, p.N
	if p.Layout == TN {
		p.LDA = p.M
	}
	if p.Layout == NT {
		p.LDB = p.K
	}
}
