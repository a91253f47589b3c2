package conv

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/stopwatch"
)

// BenchmarkConv reports the share of the calibrated peak of the fastest run of
// the three convolutions of some layers of VGG16, ResNet50 and a small
// network, of one image or a few.
func BenchmarkConv(b *testing.B) {
	layer := func(n, h, c, k, r, stride int) Geometry {
		pad := (r - 1) / 2
		return Geometry{N: n, H: h, W: h, C: c, K: k, R: r, S: r, StrideH: stride, StrideW: stride, DilationH: 1, DilationW: 1, Groups: 1, PadTop: pad, PadBottom: pad, PadLeft: pad, PadRight: pad}
	}
	for _, level := range isa.Supported() {
		if level == isa.Portable {
			continue
		}
		k := For(level)
		for _, g := range []Geometry{
			layer(1, 224, 3, 64, 3, 1), layer(1, 224, 64, 64, 3, 1), layer(1, 56, 256, 256, 3, 1), layer(2, 28, 512, 512, 3, 1), layer(2, 14, 512, 512, 3, 1),
			layer(1, 224, 3, 64, 7, 2), layer(2, 56, 64, 64, 3, 1), layer(2, 56, 64, 256, 1, 1), layer(2, 56, 256, 512, 1, 2), layer(2, 14, 256, 256, 3, 1), layer(4, 7, 512, 512, 3, 1), layer(4, 7, 512, 2048, 1, 1),
			layer(32, 13, 32, 64, 3, 1), layer(32, 28, 1, 32, 3, 1),
		} {
			rng := rand.New(rand.NewPCG(1, 2))
			oh, ow := g.OutH(), g.OutW()
			var ws Workspace
			x := padded(NHWC(random(rng, g.N*g.H*g.W*g.C), g.N, g.H, g.W, g.C), g.PadTop, g.PadBottom, g.PadLeft, g.PadRight)
			dy := NHWC(random(rng, g.N*oh*ow*g.K), g.N, oh, ow, g.K)
			top, bottom, left, right := g.GradPadding()
			dyPad := padded(dy, top, bottom, left, right)
			dx := NHWC(make([]float32, g.N*g.H*g.W*g.C), g.N, g.H, g.W, g.C)
			w := random(rng, g.R*g.S*g.C*g.K)
			packed, packedData := make([]float32, k.PackedLen(&g)), make([]float32, k.PackedDataLen(&g))
			k.Pack(packed, w, &g, 0, g.K)
			k.PackData(packedData, w, &g, 0, g.C)
			flops := 2 * float64(g.N*oh*ow*g.K) * float64(g.R*g.S*g.C)
			name := fmt.Sprintf("%v/%dx%d,%d-%d,%dx%d/%d", level, g.H, g.W, g.C, g.K, g.R, g.S, g.StrideH)
			run := func(what string, f func()) {
				b.Run(name+"/"+what, func(b *testing.B) {
					top := 0
					peak := stopwatch.Fastest(stopwatch.Times(200), func() { top = gemm.PeakFMA(level, 2000) })
					best := stopwatch.Fastest(b.Loop, f)
					b.ReportMetric(float64(best.Nanoseconds())/1e3, "µs/run")
					b.ReportMetric(100*flops/float64(top)*float64(peak)/float64(best), "%peak")
				})
			}
			run("forward", func() { k.Forward(&g, x, packed, dy, Epilogue{}, 0, g.N*oh, 0, g.K, &ws) })
			run("data", func() { k.BackwardData(&g, dyPad, packedData, dx, 0, g.N*g.H, 0, g.C, &ws) })
			if g.Winograd() && g.C >= 32 {
				packed, packedData := make([]float32, k.WinogradLen(&g)), make([]float32, k.WinogradDataLen(&g))
				k.WinogradPack(packed, w, &g, 0, g.K, &ws)
				k.WinogradPackData(packedData, w, &g, 0, g.C, &ws)
				pairs := g.N * ((oh + 1) / 2) // as many of dx: the same padding
				run("winograd", func() { k.WinogradForward(&g, x, packed, dy, Epilogue{}, 0, pairs, 0, g.K, &ws) })
				run("winograd-data", func() { k.WinogradData(&g, dyPad, packedData, dx, 0, pairs, 0, g.C, &ws) })
				run("winograd-pack", func() { k.WinogradPack(packed, w, &g, 0, g.K, &ws) })
			}
			if g.Winograd() && g.C >= 32 {
				sums := make([]float32, k.WinogradFilterLen(&g))
				run("winograd-filter", func() { k.WinogradBackwardFilter(&g, x, dy, w, sums, 0, g.C, 0, g.K, &ws) })
			}
			run("filter", func() { k.BackwardFilter(&g, x, dy, w, false, 0, g.R*g.S*g.C, 0, g.K, &ws) })
		}
	}
}
