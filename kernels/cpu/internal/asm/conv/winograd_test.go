package conv

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

func TestWinograd(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		var ws Workspace
		for i := range rounds(40) {
			g := Geometry{
				N: 1 + rng.IntN(3), H: 3 + rng.IntN(12), W: 3 + rng.IntN(14), C: 1 + rng.IntN(40), K: 1 + rng.IntN(50), R: 3, S: 3,
				StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1,
				PadTop: rng.IntN(4), PadBottom: rng.IntN(4), PadLeft: rng.IntN(4), PadRight: rng.IntN(4),
			}
			if i%10 == 0 && k.Level > isa.Portable {
				g.C, g.K = 350, 330 // longer than a block of the depth
				g.N = 1
			}
			checkWinograd(t, k, g, rng, &ws)
			if t.Failed() {
				t.Fatalf("%+v", g)
			}
		}
	})
}

// checkWinograd holds both convolutions to the direct ones, which other tests
// hold to float64, and ranges to the whole.
func checkWinograd(t *testing.T, k *Kernels, g Geometry, rng *rand.Rand, ws *Workspace) {
	t.Helper()
	if !g.Winograd() {
		t.Fatal("not a convolution for Winograd")
	}
	oh, ow := g.OutH(), g.OutW()
	x := padded(NHWC(random(rng, g.N*g.H*g.W*g.C), g.N, g.H, g.W, g.C), g.PadTop, g.PadBottom, g.PadLeft, g.PadRight)
	w, bias := random(rng, 9*g.C*g.K), random(rng, g.K)
	ep := Epilogue{Bias: bias, ReLU: rng.IntN(2) == 0}

	packed, direct := make([]float32, k.WinogradLen(&g)), make([]float32, k.PackedLen(&g))
	kCut := rng.IntN(g.K/k.ChannelUnit()+1) * k.ChannelUnit()
	k.WinogradPack(packed, w, &g, kCut, g.K, ws)
	k.WinogradPack(packed, w, &g, 0, kCut, ws)
	k.Pack(direct, w, &g, 0, g.K)
	y, want, parts := random(rng, g.N*oh*ow*g.K), make([]float32, g.N*oh*ow*g.K), random(rng, g.N*oh*ow*g.K)
	view := func(s []float32) View { return NHWC(s, g.N, oh, ow, g.K) }
	pairs := g.N * ((oh + 1) / 2)
	k.Forward(&g, x, direct, view(want), ep, 0, g.N*oh, 0, g.K, ws)
	k.WinogradForward(&g, x, packed, view(y), ep, 0, pairs, 0, g.K, ws)
	close(t, "y", y, want, 9*g.C)
	cut := rng.IntN(pairs + 1)
	for _, r := range [][4]int{{0, cut, kCut, g.K}, {cut, pairs, kCut, g.K}, {0, pairs, 0, kCut}} {
		k.WinogradForward(&g, x, packed, view(parts), ep, r[0], r[1], r[2], r[3], ws)
	}
	same(t, "y", parts, y)

	top, bottom, left, right := g.GradPadding()
	dy := padded(NHWC(random(rng, g.N*oh*ow*g.K), g.N, oh, ow, g.K), top, bottom, left, right)
	packed, direct = make([]float32, k.WinogradDataLen(&g)), make([]float32, k.PackedDataLen(&g))
	cCut := rng.IntN(g.C/k.ChannelUnit()+1) * k.ChannelUnit()
	k.WinogradPackData(packed, w, &g, cCut, g.C, ws)
	k.WinogradPackData(packed, w, &g, 0, cCut, ws)
	k.PackData(direct, w, &g, 0, g.C)
	dx, wantDX := random(rng, g.N*g.H*g.W*g.C), make([]float32, g.N*g.H*g.W*g.C)
	k.BackwardData(&g, dy, direct, NHWC(wantDX, g.N, g.H, g.W, g.C), 0, g.N*g.H, 0, g.C, ws)
	k.WinogradData(&g, dy, packed, NHWC(dx, g.N, g.H, g.W, g.C), 0, g.N*((g.H+1)/2), 0, g.C, ws)
	close(t, "dx", dx, wantDX, 9*g.K)

	dw, wantDW, partsDW := random(rng, 9*g.C*g.K), make([]float32, 9*g.C*g.K), random(rng, 9*g.C*g.K)
	up := NHWC(random(rng, g.N*oh*ow*g.K), g.N, oh, ow, g.K)
	sums := random(rng, k.WinogradFilterLen(&g))
	k.BackwardFilter(&g, x, up, wantDW, false, 0, 9*g.C, 0, g.K, ws)
	k.WinogradBackwardFilter(&g, x, up, dw, sums, 0, g.C, 0, g.K, ws)
	close(t, "dw", dw, wantDW, g.N*oh*ow)
	k.WinogradBackwardFilter(&g, x, up, partsDW, sums, 0, g.C, 0, kCut, ws)
	k.WinogradBackwardFilter(&g, x, up, partsDW, sums, 0, g.C, kCut, g.K, ws)
	same(t, "dw by output channels", partsDW, dw)
	half := rng.IntN(g.C + 1)
	k.WinogradBackwardFilter(&g, x, up, partsDW, sums, half, g.C, 0, g.K, ws)
	k.WinogradBackwardFilter(&g, x, up, partsDW, sums, 0, half, 0, g.K, ws)
	same(t, "dw by input channels", partsDW, dw)
}

// close bounds the difference for operands of magnitude 1: an error of 2 units
// for each root of the number of terms.
func close(t *testing.T, what string, got, want []float32, terms int) {
	t.Helper()
	for i := range got {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 20*math.Sqrt(float64(terms))*0x1p-24*math.Sqrt(float64(terms))) {
			t.Fatalf("%s[%d] = %v, direct %v", what, i, got[i], want[i])
		}
	}
}

// TestWinogradError compares the root mean square errors of both algorithms
// against float64 on a deep layer.
func TestWinogradError(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		g := Geometry{N: 1, H: 6, W: 6, C: 128, K: 32, R: 3, S: 3, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1, PadTop: 1, PadBottom: 1, PadLeft: 1, PadRight: 1}
		rng := rand.New(rand.NewPCG(3, 4))
		var ws Workspace
		x, w := random(rng, g.H*g.W*g.C), random(rng, 9*g.C*g.K)
		xPad := padded(NHWC(x, 1, g.H, g.W, g.C), 1, 1, 1, 1)
		want := make([]float64, g.H*g.W*g.K)
		g.each(func(yi, xi, wi int) { want[yi] += float64(x[xi]) * float64(w[wi]) })
		y, direct := make([]float32, len(want)), make([]float32, len(want))
		packed, packedDirect := make([]float32, k.WinogradLen(&g)), make([]float32, k.PackedLen(&g))
		k.WinogradPack(packed, w, &g, 0, g.K, &ws)
		k.Pack(packedDirect, w, &g, 0, g.K)
		k.WinogradForward(&g, xPad, packed, NHWC(y, 1, g.H, g.W, g.K), Epilogue{}, 0, 3, 0, g.K, &ws)
		k.Forward(&g, xPad, packedDirect, NHWC(direct, 1, g.H, g.W, g.K), Epilogue{}, 0, 6, 0, g.K, &ws)
		relative := func(got []float32, want []float64) float64 {
			var size, error float64
			for i, v := range want {
				size += v * v
				error += (float64(got[i]) - v) * (float64(got[i]) - v)
			}
			return math.Sqrt(error / size)
		}
		error := relative(y, want)
		t.Logf("relative error %.2g, of the direct sum %.2g", error, relative(direct, want))
		if error > 2e-6 {
			t.Errorf("relative error %.2g", error)
		}

		// The filter's gradient adds up pixels, here 1,600 of them.
		g.N, g.H, g.W, g.C = 4, 20, 20, 20
		x, dy := random(rng, g.N*g.H*g.W*g.C), random(rng, g.N*g.H*g.W*g.K)
		xPad = padded(NHWC(x, g.N, g.H, g.W, g.C), 1, 1, 1, 1)
		wantDW := make([]float64, 9*g.C*g.K)
		g.each(func(yi, xi, wi int) { wantDW[wi] += float64(x[xi]) * float64(dy[yi]) })
		dw, directDW := make([]float32, len(wantDW)), make([]float32, len(wantDW))
		up := NHWC(dy, g.N, g.H, g.W, g.K)
		k.WinogradBackwardFilter(&g, xPad, up, dw, make([]float32, k.WinogradFilterLen(&g)), 0, g.C, 0, g.K, &ws)
		k.BackwardFilter(&g, xPad, up, directDW, false, 0, 9*g.C, 0, g.K, &ws)
		error = relative(dw, wantDW)
		t.Logf("of the filter's gradient %.2g, of the direct sum %.2g", error, relative(directDW, wantDW))
		if error > 2e-6 {
			t.Errorf("relative error of the filter's gradient %.2g", error)
		}
	})
}
