package conv

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestDepthwise(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		var ws Workspace
		for range rounds(60) {
			g := randomGeometry(rng)
			g.C = 1 + rng.IntN(40)
			g.K, g.Groups = g.C, g.C
			if rng.IntN(3) == 0 {
				g.R, g.S = 5, 4
				g.H, g.W = g.H+15, g.W+12
			}
			checkDepthwise(t, k, g, rng, &ws)
			if t.Failed() {
				t.Fatalf("%+v", g)
			}
		}
	})
}

func checkDepthwise(t *testing.T, k *Kernels, g Geometry, rng *rand.Rand, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	x, w := random(rng, g.N*g.H*g.W*g.C), random(rng, g.R*g.S*g.C)
	dy, bias := random(rng, g.N*oh*ow*g.C), random(rng, g.C)
	xPad := padded(NHWC(x, g.N, g.H, g.W, g.C), g.PadTop, g.PadBottom, g.PadLeft, g.PadRight)
	wantY, sizeY := sums(len(dy))
	wantDX, sizeDX := sums(len(x))
	wantDW, sizeDW := sums(len(w))
	g.each(func(yi, xi, wi int) {
		add := func(want, size []float64, at int, a, b float32) {
			want[at] += float64(a) * float64(b)
			size[at] += math.Abs(float64(a) * float64(b))
		}
		add(wantY, sizeY, yi, x[xi], w[wi])
		add(wantDX, sizeDX, xi, dy[yi], w[wi])
		add(wantDW, sizeDW, wi, x[xi], dy[yi])
	})
	relu := rng.IntN(2) == 0
	for i := range wantY {
		wantY[i] += float64(bias[i%g.C])
		sizeY[i] += math.Abs(float64(bias[i%g.C]))
		if relu {
			wantY[i] = max(0, wantY[i])
		}
	}
	cCut, rCut, hCut := rng.IntN(g.C+1), rng.IntN(g.N*oh+1), rng.IntN(g.N*g.H+1)
	ep := Epilogue{Bias: bias, ReLU: relu}
	ranges := func(cut, rows int) [][4]int {
		return [][4]int{{0, cut, 0, cCut}, {cut, rows, 0, cCut}, {0, rows, cCut, g.C}}
	}

	y, parts := random(rng, len(dy)), random(rng, len(dy))
	k.Depthwise(&g, xPad, w, NHWC(y, g.N, oh, ow, g.C), ep, 0, g.N*oh, 0, g.C, ws)
	compare(t, "y", y, wantY, sizeY, g.R*g.S)
	for _, r := range ranges(rCut, g.N*oh) {
		k.Depthwise(&g, xPad, w, NHWC(parts, g.N, oh, ow, g.C), ep, r[0], r[1], r[2], r[3], ws)
	}
	same(t, "y", parts, y)

	top, bottom, left, right := g.GradPadding()
	dyPad := padded(NHWC(dy, g.N, oh, ow, g.C), top, bottom, left, right)
	dx, parts := random(rng, len(x)), random(rng, len(x))
	k.DepthwiseData(&g, dyPad, w, NHWC(dx, g.N, g.H, g.W, g.C), 0, g.N*g.H, 0, g.C, ws)
	compare(t, "dx", dx, wantDX, sizeDX, g.R*g.S)
	for _, r := range ranges(hCut, g.N*g.H) {
		k.DepthwiseData(&g, dyPad, w, NHWC(parts, g.N, g.H, g.W, g.C), r[0], r[1], r[2], r[3], ws)
	}
	same(t, "dx", parts, dx)

	dw, parts := random(rng, len(w)), random(rng, len(w))
	dyView := dyPad.Inset(top, left, oh, ow)
	k.DepthwiseFilter(&g, xPad, dyView, dw, false, 0, g.C, ws)
	compare(t, "dw", dw, wantDW, sizeDW, g.N*oh*ow)
	k.DepthwiseFilter(&g, xPad, dyView, parts, false, 0, cCut, ws)
	k.DepthwiseFilter(&g, xPad, dyView, parts, false, cCut, g.C, ws)
	same(t, "dw", parts, dw)
	k.DepthwiseFilter(&g, xPad, dyView, dw, true, 0, g.C, ws)
	for i := range wantDW {
		wantDW[i] *= 2
		sizeDW[i] *= 2
	}
	compare(t, "dw twice", dw, wantDW, sizeDW, 2*g.N*oh*ow)
}

func TestPooling(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(3, 4))
		var ws Workspace
		for range rounds(60) {
			g := randomGeometry(rng)
			g.C, g.Groups = 1+rng.IntN(40), 1
			g.K = g.C
			if rng.IntN(3) == 0 { // windows side by side
				g.R, g.S = 1+rng.IntN(min(3, g.H)), 1+rng.IntN(min(3, g.W))
				g.StrideH, g.StrideW, g.DilationH, g.DilationW, g.PadTop, g.PadLeft = g.R, g.S, 1, 1, 0, 0
			}
			checkPooling(t, k, g, rng, &ws)
			if t.Failed() {
				t.Fatalf("%+v", g)
			}
		}
	})
}

func checkPooling(t *testing.T, k *Kernels, g Geometry, rng *rand.Rand, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	x, dy := random(rng, g.N*g.H*g.W*g.C), random(rng, g.N*oh*ow*g.C)
	for i := range x {
		x[i] = float32(rng.IntN(6)) // ties
	}
	y, dx := random(rng, len(dy)), random(rng, len(x))
	img := func(s []float32) View { return NHWC(s, g.N, g.H, g.W, g.C) }
	out := func(s []float32) View { return NHWC(s, g.N, oh, ow, g.C) }
	cut, nCut, cCut := rng.IntN(g.N*oh+1), rng.IntN(g.N+1), rng.IntN(g.C+1)
	for _, r := range [][2]int{{0, cut}, {cut, g.N * oh}} {
		k.MaxPool(&g, img(x), out(y), r[0], r[1], ws)
	}
	for _, r := range [][4]int{{0, nCut, 0, g.C}, {nCut, g.N, 0, cCut}, {nCut, g.N, cCut, g.C}} {
		k.MaxPoolGrad(&g, img(x), out(y), out(dy), img(dx), r[0], r[1], r[2], r[3], ws)
	}

	wantDX := make([]float64, len(x))
	for i := range y {
		c, pixel := i%g.C, i/g.C
		n, h, w := pixel/ow/oh, pixel/ow%oh, pixel%ow
		var seen []int
		for r := range g.R {
			for s := range g.S {
				hi, wi := h*g.StrideH+r*g.DilationH-g.PadTop, w*g.StrideW+s*g.DilationW-g.PadLeft
				if hi >= 0 && hi < g.H && wi >= 0 && wi < g.W {
					seen = append(seen, ((n*g.H+hi)*g.W+wi)*g.C+c)
				}
			}
		}
		if len(seen) == 0 {
			if !math.IsInf(float64(y[i]), -1) {
				t.Fatalf("an empty window is %v", y[i])
			}
			continue
		}
		best := seen[0]
		for _, at := range seen {
			if x[at] > x[best] {
				best = at
			}
		}
		wantDX[best] += float64(dy[i])
		if y[i] != x[best] {
			t.Fatalf("window %d is %v, want %v", i, y[i], x[best])
		}
	}
	for i := range x {
		if math.Abs(float64(dx[i])-wantDX[i]) > 1e-5 {
			t.Fatalf("gradient[%d] is %v, want %v", i, dx[i], wantDX[i])
		}
	}
}

func TestMaxPoolKeepsNaN(t *testing.T) {
	g := Geometry{N: 1, H: 1, W: 4, C: 1, K: 1, R: 1, S: 2, StrideH: 1, StrideW: 2, DilationH: 1, DilationW: 1, Groups: 1}
	nan := float32(math.NaN())
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		var ws Workspace
		y := make([]float32, 2)
		k.MaxPool(&g, NHWC([]float32{nan, 1, 1, nan}, 1, 1, 4, 1), NHWC(y, 1, 1, 2, 1), 0, 1, &ws)
		if y[0] == y[0] || y[1] == y[1] {
			t.Errorf("maxima with NaN are %v", y)
		}
	})
}
