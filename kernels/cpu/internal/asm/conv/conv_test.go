package conv

import (
	"math"
	"math/rand/v2"
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

func randomGeometry(rng *rand.Rand) Geometry {
	for {
		g := Geometry{
			N: 1 + rng.IntN(3), H: 1 + rng.IntN(12), W: 1 + rng.IntN(14),
			R: 1 + rng.IntN(4), S: 1 + rng.IntN(4),
			StrideH: 1 + rng.IntN(3), StrideW: 1 + rng.IntN(3),
			DilationH: 1, DilationW: 1, Groups: 1,
			PadTop: rng.IntN(3), PadBottom: rng.IntN(3), PadLeft: rng.IntN(3), PadRight: rng.IntN(3),
		}
		switch rng.IntN(4) {
		case 0:
			g.DilationH, g.DilationW = 1+rng.IntN(3), 1+rng.IntN(3)
		case 1:
			g.Groups = 1 + rng.IntN(3)
		case 2:
			g.StrideH, g.StrideW = 1, 1
		}
		g.C, g.K = g.Groups*(1+rng.IntN(20)), g.Groups*(1+rng.IntN(40))
		if g.Check() == nil {
			return g
		}
	}
}

func random(rng *rand.Rand, n int) []float32 {
	s := make([]float32, n)
	for i := range s {
		s[i] = rng.Float32()*2 - 1
	}
	return s
}

// each calls f for each product of the convolution: output, input and filter
// element.
func (g *Geometry) each(f func(y, x, w int)) {
	oh, ow, cg, kg := g.OutH(), g.OutW(), g.C/g.Groups, g.K/g.Groups
	for n := range g.N {
		for i := range oh {
			for j := range ow {
				for r := range g.R {
					for s := range g.S {
						h, w := i*g.StrideH+r*g.DilationH-g.PadTop, j*g.StrideW+s*g.DilationW-g.PadLeft
						if h < 0 || h >= g.H || w < 0 || w >= g.W {
							continue
						}
						for k := range g.K {
							for c := range cg {
								f(((n*oh+i)*ow+j)*g.K+k, ((n*g.H+h)*g.W+w)*g.C+k/kg*cg+c, ((r*g.S+s)*cg+c)*g.K+k)
							}
						}
					}
				}
			}
		}
	}
}

// padded returns x in a buffer with a border.
func padded(x View, top, bottom, left, right int) View {
	h, w := x.H+top+bottom, x.W+left+right
	data := make([]float32, x.N*h*w*x.C)
	for i := range data {
		data[i] = 1e9 // what Pad must overwrite
	}
	p := NHWC(data, x.N, h, w, x.C)
	half := x.N * x.H / 2
	Pad(p, x, top, bottom, left, right, half, x.N*x.H)
	Pad(p, x, top, bottom, left, right, 0, half)
	return p
}

func compare(t *testing.T, what string, got []float32, want, size []float64, terms int) {
	t.Helper()
	for i, v := range got {
		if bound := size[i] * float64(terms+2) * 0x1p-23; !(math.Abs(float64(v)-want[i]) <= bound) {
			t.Fatalf("%s[%d] = %v, want %v within %v", what, i, v, want[i], bound)
		}
	}
}

func sums(n int) (value, size []float64) { return make([]float64, n), make([]float64, n) }

func TestConvolutions(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(1, 2))
		var ws Workspace
		for range rounds(80) {
			g := randomGeometry(rng)
			check(t, k, g, rng, &ws)
			if t.Failed() {
				t.Fatalf("%+v", g)
			}
		}
	})
}

// TestDeepConvolutions has taps so long that they are cut, and many of them.
func TestDeepConvolutions(t *testing.T) {
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		rng := rand.New(rand.NewPCG(3, 4))
		var ws Workspace
		for _, g := range []Geometry{
			{N: 1, H: 5, W: 7, C: 350, K: 20, R: 3, S: 3, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1, PadTop: 1, PadBottom: 1, PadLeft: 1, PadRight: 1},
			{N: 2, H: 9, W: 9, C: 3, K: 17, R: 7, S: 7, StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 1, Groups: 1, PadTop: 3, PadBottom: 3, PadLeft: 3, PadRight: 3},
			{N: 2, H: 6, W: 6, C: 40, K: 350, R: 1, S: 1, StrideH: 2, StrideW: 2, DilationH: 1, DilationW: 1, Groups: 1},
			{N: 2, H: 6, W: 6, C: 40, K: 35, R: 1, S: 1, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 5},
			{N: 1, H: 4, W: 300, C: 5, K: 9, R: 3, S: 2, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1, PadTop: 1},
		} {
			check(t, k, g, rng, &ws)
			if t.Failed() {
				t.Fatalf("%+v", g)
			}
		}
	})
}

// check runs the three convolutions of a geometry whole, against float64, and
// in ranges, which must not change bits.
func check(t *testing.T, k *Kernels, g Geometry, rng *rand.Rand, ws *Workspace) {
	t.Helper()
	oh, ow, cg, kg := g.OutH(), g.OutW(), g.C/g.Groups, g.K/g.Groups
	x, w := random(rng, g.N*g.H*g.W*g.C), random(rng, g.R*g.S*cg*g.K)
	dy, bias := random(rng, g.N*oh*ow*g.K), random(rng, g.K)
	xPad := padded(NHWC(x, g.N, g.H, g.W, g.C), g.PadTop, g.PadBottom, g.PadLeft, g.PadRight)

	wantY, sizeY := sums(len(dy))
	wantDX, sizeDX := sums(len(x))
	wantDW, sizeDW := sums(len(w))
	g.each(func(yi, xi, wi int) {
		for _, v := range []struct {
			want, size []float64
			at         int
			a, b       float32
		}{{wantY, sizeY, yi, x[xi], w[wi]}, {wantDX, sizeDX, xi, dy[yi], w[wi]}, {wantDW, sizeDW, wi, x[xi], dy[yi]}} {
			p := float64(v.a) * float64(v.b)
			v.want[v.at] += p
			v.size[v.at] += math.Abs(p)
		}
	})
	relu := rng.IntN(2) == 0
	for i := range wantY {
		wantY[i] += float64(bias[i%g.K])
		sizeY[i] += math.Abs(float64(bias[i%g.K]))
		if relu {
			wantY[i] = max(wantY[i], 0)
		}
	}
	cut := func(n, unit int) int { return rng.IntN(n/unit+1) * unit }

	// Forward, into the middle of a larger buffer.
	packed := make([]float32, k.PackedLen(&g))
	kCut, rCut := cut(kg, k.ChannelUnit()), rng.IntN(g.N*oh+1)
	k.Pack(packed, w, &g, kCut, kg)
	k.Pack(packed, w, &g, 0, kCut)
	ep := Epilogue{Bias: bias, ReLU: relu}
	y := make([]float32, len(dy))
	k.Forward(&g, xPad, packed, NHWC(y, g.N, oh, ow, g.K), ep, 0, g.N*oh, 0, kg, ws)
	compare(t, "y", y, wantY, sizeY, g.R*g.S*cg)
	wide := NHWC(make([]float32, g.N*(oh+2)*(ow+3)*g.K), g.N, oh+2, ow+3, g.K)
	inner := wide.Inset(1, 2, oh, ow)
	for _, r := range [][4]int{{0, rCut, kCut, kg}, {rCut, g.N * oh, kCut, kg}, {0, g.N * oh, 0, kCut}} {
		k.Forward(&g, xPad, packed, inner, ep, r[0], r[1], r[2], r[3], ws)
	}
	for n := range g.N {
		for h := range oh + 2 {
			for v := range ow + 3 {
				for c := range g.K {
					got := wide.Data[n*wide.Image+h*wide.Row+v*wide.Pixel+c]
					want := float32(0)
					if h >= 1 && h <= oh && v >= 2 && v < 2+ow {
						want = y[((n*oh+h-1)*ow+v-2)*g.K+c]
					}
					if math.Float32bits(got) != math.Float32bits(want) {
						t.Fatalf("y[%d,%d,%d,%d] = %v in ranges, %v whole", n, h, v, c, got, want)
					}
				}
			}
		}
	}

	// Gradient of the image.
	top, bottom, left, right := g.GradPadding()
	dyPad := padded(NHWC(dy, g.N, oh, ow, g.K), top, bottom, left, right)
	packedData := make([]float32, k.PackedDataLen(&g))
	cCut, rCut := cut(cg, k.ChannelUnit()), rng.IntN(g.N*g.H+1)
	k.PackData(packedData, w, &g, 0, cCut)
	k.PackData(packedData, w, &g, cCut, cg)
	dx, parts := random(rng, len(x)), random(rng, len(x))
	k.BackwardData(&g, dyPad, packedData, NHWC(dx, g.N, g.H, g.W, g.C), 0, g.N*g.H, 0, cg, ws)
	compare(t, "dx", dx, wantDX, sizeDX, g.R*g.S*kg)
	for _, r := range [][4]int{{0, rCut, cCut, cg}, {rCut, g.N * g.H, cCut, cg}, {0, g.N * g.H, 0, cCut}} {
		k.BackwardData(&g, dyPad, packedData, NHWC(parts, g.N, g.H, g.W, g.C), r[0], r[1], r[2], r[3], ws)
	}
	same(t, "dx", parts, dx)

	// Gradient of the filter, and again on top of itself.
	dw, parts := random(rng, len(w)), random(rng, len(w))
	dyView := NHWC(dy, g.N, oh, ow, g.K)
	k.BackwardFilter(&g, xPad, dyView, dw, false, 0, g.R*g.S*cg, 0, kg, ws)
	compare(t, "dw", dw, wantDW, sizeDW, g.N*oh*ow)
	iCut, kCut := rng.IntN(g.R*g.S*cg+1), rng.IntN(kg+1)
	for _, r := range [][4]int{{0, iCut, 0, kg}, {iCut, g.R * g.S * cg, 0, kCut}, {iCut, g.R * g.S * cg, kCut, kg}} {
		k.BackwardFilter(&g, xPad, dyView, parts, false, r[0], r[1], r[2], r[3], ws)
	}
	same(t, "dw", parts, dw)
	k.BackwardFilter(&g, xPad, dyPad.Inset(top, left, oh, ow), dw, true, 0, g.R*g.S*cg, 0, kg, ws)
	for i := range wantDW {
		wantDW[i] *= 2
		sizeDW[i] *= 2
	}
	compare(t, "dw twice", dw, wantDW, sizeDW, 2*g.N*oh*ow)
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s[%d] = %v in ranges, %v whole", what, i, got[i], want[i])
		}
	}
}

func TestGeometryCheck(t *testing.T) {
	good := Geometry{N: 1, H: 4, W: 4, C: 4, K: 4, R: 3, S: 3, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 2}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Geometry){
		"no channels":  func(g *Geometry) { g.C = 0 },
		"stride":       func(g *Geometry) { g.StrideW = 0 },
		"padding":      func(g *Geometry) { g.PadLeft = -1 },
		"groups":       func(g *Geometry) { g.Groups = 3 },
		"large filter": func(g *Geometry) { g.DilationH = 2 },
	} {
		g := good
		spoil(&g)
		if g.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	g := Geometry{N: 2, H: 9, W: 9, C: 8, K: 24, R: 3, S: 3, StrideH: 2, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1, PadTop: 1, PadBottom: 1, PadLeft: 1, PadRight: 1}
	forEachLevel(t, func(t *testing.T, k *Kernels) {
		var ws Workspace
		top, bottom, left, right := g.GradPadding()
		x := padded(NHWC(make([]float32, 2*9*9*8), 2, 9, 9, 8), 1, 1, 1, 1)
		y := NHWC(make([]float32, 2*g.OutH()*g.OutW()*24), 2, g.OutH(), g.OutW(), 24)
		dy := padded(y, top, bottom, left, right)
		w := make([]float32, 9*8*24)
		packed, packedData := make([]float32, k.PackedLen(&g)), make([]float32, k.PackedDataLen(&g))
		n := testing.AllocsPerRun(5, func() {
			k.Pack(packed, w, &g, 0, 24)
			k.PackData(packedData, w, &g, 0, 8)
			k.Forward(&g, x, packed, y, Epilogue{}, 0, 2*g.OutH(), 0, 24, &ws)
			k.BackwardData(&g, dy, packedData, NHWC(w[:2*9*9*8], 2, 9, 9, 8), 0, 18, 0, 8, &ws)
			k.BackwardFilter(&g, x, y, w, false, 0, 72, 0, 24, &ws)
		})
		if n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// rounds is a number of random cases: a tenth of them in short mode, for
// processors that are emulated.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
