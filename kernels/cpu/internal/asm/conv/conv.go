package conv

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// Kernels convolve on one instruction set.
type Kernels struct {
	Level   isa.Level
	gemm    *gemm.Kernels
	windows *windows
}

// For returns the kernels of a level, or the best ones below it that the
// build has.
func For(level isa.Level) *Kernels {
	return &Kernels{Level: level, gemm: gemm.For(level), windows: windowsFor(level)}
}

// ChannelUnit is the unit of ranges of output channels: each begins, within
// its group, at a multiple of it.
func (k *Kernels) ChannelUnit() int { return k.gemm.PanelWidth() }

// Workspace holds what one thread needs. Its buffers grow with the first
// calls and are then kept. The zero value is ready to use.
type Workspace struct {
	gemm       gemm.Workspace
	op         gemm.Op
	strip      gemm.Strip
	pass       pass
	taps       []int
	offsets    []int
	segA, segC []int
	a, b       []float32
	panels     []float32 // of the gradient that is summed over, in b or where it stands
	runs       []filterRun
	win        window
	filter     taps
	tab        []int
	tile       winoTile
	v, m       []float32
}

// Epilogue is what is done to each output before it leaves the registers.
type Epilogue struct {
	Bias []float32 // of K elements, or nil
	ReLU bool
}

// FilterLen is the length of a filter, packed or not, of the input gradient's
// as well as the forward one's. It is the same in all orders but for the
// rounding of channels to ChannelUnit.
func (k *Kernels) filterLen(depth, cols, groups int) int {
	return groups * k.gemm.PackedLen(depth, cols)
}

// PackedLen is the length of the packed filter of Forward.
func (k *Kernels) PackedLen(g *Geometry) int {
	return k.filterLen(g.R*g.S*g.C/g.Groups, g.K/g.Groups, g.Groups)
}

// Pack packs the filter w for Forward, output channels k0 to k1 of each group
// (multiples of ChannelUnit, or its end).
func (k *Kernels) Pack(dst, w []float32, g *Geometry, k0, k1 int) {
	depth, cols := g.R*g.S*g.C/g.Groups, g.K/g.Groups
	size := k.gemm.PackedLen(depth, cols)
	for group := range g.Groups {
		k.gemm.PackB(dst[group*size:], w[group*cols:], g.K, false, depth, cols, k0, k1)
	}
}

// Forward computes rows r0 to r1 (row n*OutH+h) and output channels k0 to k1
// of each group of y, from x with its padding and the packed filter.
func (k *Kernels) Forward(g *Geometry, x View, packed []float32, y View, ep Epilogue, r0, r1, k0, k1 int, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	x.check("padded image", g.N, g.H+g.PadTop+g.PadBottom, g.W+g.PadLeft+g.PadRight, g.C)
	y.check("output", g.N, oh, ow, g.K)
	cg, kg := g.C/g.Groups, g.K/g.Groups
	depth := g.R * g.S * cg
	if r0 < 0 || r1 > g.N*oh || k0 < 0 || k1 > kg || k0%k.ChannelUnit() != 0 || len(packed) < k.PackedLen(g) || ep.Bias != nil && len(ep.Bias) < g.K {
		panic(fmt.Sprintf("conv: rows [%d:%d], channels [%d:%d], packed filter of %d and bias of %d elements for %+v", r0, r1, k0, k1, len(packed), len(ep.Bias), *g))
	}
	if r0 >= r1 || k0 >= k1 {
		return
	}
	size := k.gemm.PackedLen(depth, kg)
	if g.R == 1 && g.S == 1 && g.StrideH == 1 && g.StrideW == 1 && x.dense() && y.dense() {
		// A product of matrices: pixels by channels.
		rows, at := (r1-r0)*ow, r0*ow
		for group := range g.Groups {
			ws.op = gemm.Op{
				M: rows, N: kg, K: cg,
				A: x.Data[at*x.Pixel+group*cg:], LDA: x.Pixel,
				BPacked: packed[group*size:],
				C:       y.Data[at*y.Pixel+group*kg:], LDC: y.Pixel,
				ReLU: ep.ReLU,
			}
			if ep.Bias != nil {
				ws.op.Bias = ep.Bias[group*kg:]
			}
			k.gemm.Run(&ws.op, 0, rows, k0, k1, &ws.gemm)
		}
		ws.op = gemm.Op{}
		return
	}

	ws.segA, ws.segC = ws.segA[:0], ws.segC[:0]
	for row := r0; row < r1; row++ {
		n, h := row/oh, row%oh
		ws.segA = append(ws.segA, n*x.Image+h*g.StrideH*x.Row)
		ws.segC = append(ws.segC, n*y.Image+h*y.Row)
	}
	ws.taps = ws.taps[:0]
	run := cg
	if merged := g.Groups == 1 && g.DilationW == 1 && x.Pixel == g.C; merged {
		run = g.S * g.C
		for r := range g.R {
			ws.taps = append(ws.taps, r*g.DilationH*x.Row)
		}
	} else {
		for r := range g.R {
			for s := range g.S {
				ws.taps = append(ws.taps, r*g.DilationH*x.Row+s*g.DilationW*x.Pixel)
			}
		}
	}
	for group := range g.Groups {
		p := &ws.pass
		*p = pass{
			a: x.Data[group*cg:], c: y.Data[group*kg:],
			pixels: ow, aRow: g.StrideW * x.Pixel, cRow: y.Pixel,
			run: run, b: packed[group*size:], depth: depth, n0: k0, n1: k1,
			relu: ep.ReLU,
		}
		if ep.Bias != nil {
			p.bias = ep.Bias[group*kg:]
		}
		k.strips(p, ws)
	}
	ws.pass = pass{}
}

// pass is a convolution reduced to segments: runs of output pixels a fixed
// distance apart, whose inputs are a fixed distance apart too.
type pass struct {
	a, c       []float32
	pixels     int // of a segment
	aRow, cRow int // elements from a pixel to the next
	run        int // elements of a at each tap
	b          []float32
	depth      int // taps * run
	n0, n1     int // columns of b
	bias       []float32
	relu       bool
}

// depthBlock bounds the steps of k between two visits of an output: a panel
// of the filter this deep, 20 KiB in AVX2 and 40 in AVX-512, stays in the
// first-level cache, or mostly: see the blocks of package gemm.
const depthBlock = 320

// strips convolves ws.segA into ws.segC with ws.taps.
func (k *Kernels) strips(p *pass, ws *Workspace) {
	width := k.ChannelUnit()
	// Segments whose inputs and outputs stay in the second-level cache.
	group := max(1, 80<<10/(p.pixels*(min(p.aRow, depthBlock)+p.n1-p.n0)))
	s := &ws.strip
	for g0 := 0; g0 < len(ws.segA); g0 += group {
		g1 := min(g0+group, len(ws.segA))
		for d := 0; d < p.depth; {
			var depth int
			depth, s.K = p.block(d, ws)
			s.Offsets = ws.offsets
			s.AK, s.ARow, s.CRow, s.Rows = 1, p.aRow, p.cRow, p.pixels
			s.Accumulate = d > 0
			last := d+depth == p.depth
			s.ReLU = last && p.relu
			for j := p.n0; j < p.n1; j += width {
				s.B = p.b[j*p.depth+d*width:]
				s.Cols = min(width, p.n1-j)
				s.Bias = nil
				if last && p.bias != nil {
					s.Bias = p.bias[j:]
				}
				for seg := g0; seg < g1; seg++ {
					s.A = p.a[ws.segA[seg]:]
					s.C = p.c[ws.segC[seg]+j:]
					k.gemm.RunStrip(s, &ws.gemm)
				}
			}
			d += depth
		}
	}
	*s = gemm.Strip{}
}

// block makes ws.offsets those of the block of the depth that begins at d: as
// many whole taps as fit, or an even piece of a long one. It returns the depth
// of the block and the steps of k of each of its offsets.
func (p *pass) block(d int, ws *Workspace) (depth, k int) {
	ws.offsets = ws.offsets[:0]
	tap, at := d/p.run, d%p.run
	if p.run > depthBlock {
		pieces := (p.run + depthBlock - 1) / depthBlock
		k = min((p.run+pieces-1)/pieces, p.run-at)
		ws.offsets = append(ws.offsets, 4*(ws.taps[tap]+at))
		return k, k
	}
	for _, t := range ws.taps[tap:min(tap+depthBlock/p.run, len(ws.taps))] {
		ws.offsets = append(ws.offsets, 4*t)
	}
	return len(ws.offsets) * p.run, p.run
}
