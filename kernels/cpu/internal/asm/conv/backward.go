package conv

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
)

// PackedDataLen is the length of the packed filter of BackwardData.
func (k *Kernels) PackedDataLen(g *Geometry) int {
	return k.filterLen(g.R*g.S*g.K/g.Groups, g.C/g.Groups, g.Groups)
}

// PackData packs the filter w for BackwardData, input channels c0 to c1 of
// each group (multiples of ChannelUnit, or its end): for each phase of the
// stride its taps, from the last to the first, transposed.
func (k *Kernels) PackData(dst, w []float32, g *Geometry, c0, c1 int) {
	cg, kg := g.C/g.Groups, g.K/g.Groups
	for group := range g.Groups {
		out := dst[group*k.gemm.PackedLen(g.R*g.S*kg, cg):]
		for h := range min(g.StrideH, g.H) {
			for v := range min(g.StrideW, g.W) {
				ph := g.phase(h, v)
				depth := ph.rows.count * ph.cols.count * kg
				at := 0
				for i := range ph.rows.count {
					for j := range ph.cols.count {
						r, s := ph.rows.filter(i), ph.cols.filter(j)
						k.gemm.PackRows(out, w[(r*g.S+s)*cg*g.K+group*kg:], g.K, true, depth, at, kg, c0, c1)
						at += kg
					}
				}
				out = out[k.gemm.PackedLen(depth, cg):]
			}
		}
	}
}

// phase is the part of the inputs that are the same distance from a multiple
// of the stride. Its gradient is a dense convolution.
type phase struct {
	h, w       int // first row and column of the image
	rows, cols axisPhase
}

// axisPhase are the filter positions that meet a phase along an axis, in the
// order of increasing output position: the i-th meets output first+i*step of
// the phase's first input.
type axisPhase struct {
	count, first, step int
	top, dilation      int // the largest filter position and the distance between them
}

func (a *axisPhase) filter(i int) int { return a.top - i*a.dilation }

func newAxisPhase(at, filter, stride, dilation, pad int) axisPhase {
	var a axisPhase
	prev := 0
	for r := filter - 1; r >= 0; r-- {
		pos := at + pad - r*dilation
		if pos%stride != 0 {
			continue
		}
		switch a.count {
		case 0:
			a.first, a.top = pos/stride, r
		case 1:
			a.step, a.dilation = pos/stride-a.first, prev-r
		}
		prev = r
		a.count++
	}
	return a
}

func (g *Geometry) phase(h, w int) phase {
	return phase{
		h: h, w: w,
		rows: newAxisPhase(h, g.R, g.StrideH, g.DilationH, g.PadTop),
		cols: newAxisPhase(w, g.S, g.StrideW, g.DilationW, g.PadLeft),
	}
}

// BackwardData computes rows r0 to r1 (row n*H+h) and input channels c0 to c1
// of each group of dx, the gradient of the image without padding, from dy with
// the border GradPadding and the filter of PackData.
func (k *Kernels) BackwardData(g *Geometry, dy View, packed []float32, dx View, r0, r1, c0, c1 int, ws *Workspace) {
	top, bottom, left, right := g.GradPadding()
	dy.check("padded gradient", g.N, g.OutH()+top+bottom, g.OutW()+left+right, g.K)
	dx.check("gradient of the image", g.N, g.H, g.W, g.C)
	cg, kg := g.C/g.Groups, g.K/g.Groups
	if r0 < 0 || r1 > g.N*g.H || c0 < 0 || c1 > cg || c0%k.ChannelUnit() != 0 || len(packed) < k.PackedDataLen(g) {
		panic(fmt.Sprintf("conv: rows [%d:%d], channels [%d:%d], packed filter of %d elements for %+v", r0, r1, c0, c1, len(packed), *g))
	}
	if r0 >= r1 || c0 >= c1 {
		return
	}
	size := k.gemm.PackedLen(g.R*g.S*kg, cg)
	if g.R == 1 && g.S == 1 && g.StrideH == 1 && g.StrideW == 1 && dy.dense() && dx.dense() && dy.H == g.H && dy.W == g.W {
		rows, at := (r1-r0)*g.W, r0*g.W
		for group := range g.Groups {
			ws.op = gemm.Op{
				M: rows, N: cg, K: kg,
				A: dy.Data[at*dy.Pixel+group*kg:], LDA: dy.Pixel,
				BPacked: packed[group*size:],
				C:       dx.Data[at*dx.Pixel+group*cg:], LDC: dx.Pixel,
			}
			k.gemm.Run(&ws.op, 0, rows, c0, c1, &ws.gemm)
		}
		ws.op = gemm.Op{}
		return
	}

	done := 0 // elements of a group's packed filter before the phase
	for h := range min(g.StrideH, g.H) {
		for w := range min(g.StrideW, g.W) {
			ph := g.phase(h, w)
			depth := ph.rows.count * ph.cols.count * kg
			k.dataPhase(g, &ph, dy, top, left, packed[done:], size, depth, dx, r0, r1, c0, c1, ws)
			done += k.gemm.PackedLen(depth, cg)
		}
	}
}

// dataPhase is BackwardData for one phase.
func (k *Kernels) dataPhase(g *Geometry, ph *phase, dy View, top, left int, packed []float32, size, depth int, dx View, r0, r1, c0, c1 int, ws *Workspace) {
	cg, kg := g.C/g.Groups, g.K/g.Groups
	pixels := (g.W - ph.w + g.StrideW - 1) / g.StrideW
	ws.segA, ws.segC = ws.segA[:0], ws.segC[:0]
	for row := r0; row < r1; row++ {
		n, h := row/g.H, row%g.H
		if h%g.StrideH != ph.h {
			continue
		}
		ws.segA = append(ws.segA, n*dy.Image+(h/g.StrideH+top+ph.rows.first)*dy.Row+(left+ph.cols.first)*dy.Pixel)
		ws.segC = append(ws.segC, n*dx.Image+h*dx.Row+ph.w*dx.Pixel)
	}
	if depth == 0 { // no output saw these inputs
		for _, at := range ws.segC {
			for w := range pixels {
				for group := range g.Groups {
					clear(dx.Data[at+w*g.StrideW*dx.Pixel+group*cg+c0:][:c1-c0])
				}
			}
		}
		return
	}
	ws.taps = ws.taps[:0]
	run := kg
	merged := g.Groups == 1 && dy.Pixel == g.K && (ph.cols.count == 1 || ph.cols.step == 1)
	for i := range ph.rows.count {
		if merged {
			ws.taps = append(ws.taps, i*ph.rows.step*dy.Row)
			run = ph.cols.count * g.K
			continue
		}
		for j := range ph.cols.count {
			ws.taps = append(ws.taps, i*ph.rows.step*dy.Row+j*ph.cols.step*dy.Pixel)
		}
	}
	for group := range g.Groups {
		p := &ws.pass
		*p = pass{
			a: dy.Data[group*kg:], c: dx.Data[group*cg:],
			pixels: pixels, aRow: dy.Pixel, cRow: g.StrideW * dx.Pixel,
			run: run, b: packed[group*size:], depth: depth, n0: c0, n1: c1,
		}
		k.strips(p, ws)
	}
	ws.pass = pass{}
}

// BackwardFilter computes the filter's gradient dw, R x S x C/Groups x K, from
// x with its padding and dy (without), for rows i0 to i1 of dw (row
// (r*S+s)*C/Groups + c) and output channels k0 to k1 of each group. With
// accumulate the gradient is added to dw.
func (k *Kernels) BackwardFilter(g *Geometry, x, dy View, dw []float32, accumulate bool, i0, i1, k0, k1 int, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	x.check("padded image", g.N, g.H+g.PadTop+g.PadBottom, g.W+g.PadLeft+g.PadRight, g.C)
	dy.check("gradient", g.N, oh, ow, g.K)
	cg, kg := g.C/g.Groups, g.K/g.Groups
	if i0 < 0 || i1 > g.R*g.S*cg || k0 < 0 || k1 > kg || len(dw) < g.R*g.S*cg*g.K {
		panic(fmt.Sprintf("conv: rows [%d:%d], channels [%d:%d] of a filter gradient of %d elements for %+v", i0, i1, k0, k1, len(dw), *g))
	}
	if i0 >= i1 || k0 >= k1 {
		return
	}
	// Rows of dw whose inputs follow one another: all of a filter row where
	// the channels of its pixels do, else those of one position.
	run := cg
	if g.Groups == 1 && g.DilationW == 1 && x.Pixel == g.C {
		run = g.S * g.C
	}
	// Image rows at a time, so that a panel of dy and the part of x that meets
	// it stay in the first-level cache, and rows of dw so that x stays in the
	// second-level one.
	const pixelBlock, filterBlock = 192, 96
	rows := min(max(1, pixelBlock/ow), g.N*oh)
	for group := range g.Groups {
		for row0 := 0; row0 < g.N*oh; row0 += rows {
			row1 := min(row0+rows, g.N*oh)
			pixels := (row1 - row0) * ow
			if dy.Pixel == k.ChannelUnit() && dy.dense() && k1-k0 == dy.Pixel { // is packed as it stands
				ws.panels = dy.Data[row0*dy.Row : row1*dy.Row]
			} else {
				ws.b = grow(ws.b, k.gemm.PackedLen(pixels, k1-k0))
				for row := row0; row < row1; row++ {
					k.gemm.PackRows(ws.b, dy.Data[row/oh*dy.Image+row%oh*dy.Row+group*kg+k0:], dy.Pixel, false, pixels, (row-row0)*ow, ow, 0, k1-k0)
				}
				ws.panels = ws.b
			}
			for i := i0; i < i1; i += filterBlock {
				ws.runs = ws.runs[:0]
				end := min(i+filterBlock, i1)
				for j := i; j < end; {
					piece, at := j/run, j%run
					// Where the piece's inputs begin.
					r, s := piece, 0
					if run == cg {
						r, s = piece/g.S, piece%g.S
					}
					n := min(run-at, end-j)
					ws.runs = append(ws.runs, filterRun{r*g.DilationH*x.Row + s*g.DilationW*x.Pixel + group*cg + at, n})
					j += n
				}
				k.filterRows(g, &x, dw[i*g.K+group*kg:], row0, row1, end-i, k0, k1, accumulate || row0 > 0, ws)
			}
		}
	}
	ws.strip, ws.panels = gemm.Strip{}, nil
}

// filterRun is n rows of dw whose inputs lie beside one another, the first
// pixel's from x.Data[first] on.
type filterRun struct{ first, n int }

// nearPixels is the distance of pixels, in elements, up to which the inputs of a
// row of them lie on few lines.
const nearPixels = 16

// filterRows adds up n rows of dw, those of ws.runs, over image rows row0 to
// row1, whose gradients are in ws.panels. Inputs that lie near one another are
// read where they are. Others are gathered into a dense matrix, pixels by rows, as
// pixels can be so far apart that few of them fit into the cache.
func (k *Kernels) filterRows(g *Geometry, x *View, dw []float32, row0, row1, n, k0, k1 int, accumulate bool, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	s := &ws.strip
	s.CRow, s.Accumulate, s.Bias, s.ReLU = g.K, accumulate, nil, false
	s.ARow, s.AK = 1, g.StrideW*x.Pixel
	ws.offsets = ws.offsets[:0]
	if s.AK <= nearPixels {
		for row := row0; row < row1; row++ {
			ws.offsets = append(ws.offsets, 4*(row/oh*x.Image+row%oh*g.StrideH*x.Row))
		}
		s.Offsets, s.K = ws.offsets, ow
		for _, r := range ws.runs {
			s.A, s.Rows = x.Data[r.first:], r.n
			k.filterPanels(dw, (row1-row0)*ow, k0, k1, ws)
			dw = dw[min(r.n*g.K, len(dw)):]
		}
		return
	}
	pixels := (row1 - row0) * ow
	ws.a = grow(ws.a, pixels*n)
	out := ws.a
	for row := row0; row < row1; row++ {
		at, to := row/oh*x.Image+row%oh*g.StrideH*x.Row, 0
		for _, r := range ws.runs {
			k.gemm.CopyRows(out[to:], n, x.Data[r.first+at:], s.AK, ow, r.n)
			to += r.n
		}
		out = out[ow*n:]
	}
	ws.offsets = append(ws.offsets, 0)
	s.Offsets, s.K = ws.offsets, pixels
	s.A, s.AK, s.Rows = ws.a, n, n
	k.filterPanels(dw, pixels, k0, k1, ws)
}

// filterPanels multiplies the strip with each panel of gradients.
func (k *Kernels) filterPanels(dw []float32, pixels, k0, k1 int, ws *Workspace) {
	s, width := &ws.strip, k.ChannelUnit()
	for j := k0; j < k1; j += width {
		s.B = ws.panels[(j-k0)*pixels:]
		s.C = dw[j:]
		s.Cols = min(width, k1-j)
		k.gemm.RunStrip(s, &ws.gemm)
	}
}

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
