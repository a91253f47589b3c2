package conv

import "fmt"

// Pooling windows are a Geometry with K == C whose Groups is not used. What
// lies in the padding takes no part: the images come without it.

func (g *Geometry) checkPool(x, y View) {
	if g.K != g.C {
		panic(fmt.Sprintf("conv: pooling %d channels into %d", g.C, g.K))
	}
	x.check("image", g.N, g.H, g.W, g.C)
	y.check("output", g.N, g.OutH(), g.OutW(), g.C)
}

// MaxPool computes rows r0 to r1 (row n*OutH+h) of y, the largest of each
// window: NaN if there is one, -Inf if the window is all padding.
func (k *Kernels) MaxPool(g *Geometry, x, y View, r0, r1 int, ws *Workspace) {
	g.checkPool(x, y)
	win, oh := &ws.win, g.OutH()
	for row := r0; row < r1; row++ {
		*win = window{x: x.Data[row/oh*x.Image:], y: y.Data[row/oh*y.Image+row%oh*y.Row:], channels: g.C}
		k.poolRow(g, &x, &y, win, ws, row%oh, k.windows.maxPool, func(at int) {
			for c := range g.C {
				win.y[at+c] = negativeInfinity
			}
		})
	}
	*win = window{}
}

// MaxPoolGrad computes images n0 to n1, channels c0 to c1, of dx, the gradient
// of the image: dy goes to the first of the largest of each window, in the
// order of rows and columns. dx lies in memory as x does, and dy as y.
func (k *Kernels) MaxPoolGrad(g *Geometry, x, y, dy, dx View, n0, n1, c0, c1 int, ws *Workspace) {
	g.checkPool(x, y)
	g.checkPool(dx, dy)
	if !sameLayout(&x, &dx) || !sameLayout(&y, &dy) {
		panic("conv: gradients of a maximum must lie in memory as their values do")
	}
	ws.win = window{x: x.Data[c0:], y: y.Data[c0:], w: dy.Data[c0:], d: dx.Data[c0:], channels: c1 - c0}
	k.poolGrad(g, &dx, &dy, ws, n0, n1, c0, c1)
}

// apart reports whether each window begins where the one before it ends.
func (g *Geometry) apart() bool {
	return g.StrideH == g.R && g.StrideW == g.S && g.DilationH == 1 && g.DilationW == 1 && g.PadTop == 0 && g.PadLeft == 0
}

func sameLayout(a, b *View) bool {
	return a.Image == b.Image && a.Row == b.Row && a.Pixel == b.Pixel
}

func (k *Kernels) poolGrad(g *Geometry, dx, dy *View, ws *Workspace, n0, n1, c0, c1 int) {
	if c0 >= c1 {
		return
	}
	// Of windows that do not overlap only the pixels that are in none are cleared.
	f, downTo, rightTo := k.windows.maxPoolGrad, 0, 0
	if g.apart() {
		f, downTo, rightTo = k.windows.maxPoolGradApart, g.OutH()*g.R, g.OutW()*g.S
	}
	all := ws.win
	for n := n0; n < n1; n++ {
		for h := range g.H {
			row, from := dx.Data[n*dx.Image+h*dx.Row:], 0
			if h < downTo {
				from = min(rightTo, g.W)
			}
			if dx.Pixel == g.C && c1-c0 == g.C {
				clear(row[from*g.C : g.W*g.C])
				continue
			}
			for w := from; w < g.W; w++ {
				clear(row[w*dx.Pixel+c0:][:c1-c0])
			}
		}
		for h := range g.OutH() {
			at := n*dy.Image + h*dy.Row
			win := &ws.win
			*win = all
			win.x, win.d = all.x[n*dx.Image:], all.d[n*dx.Image:]
			win.y, win.w = all.y[at:], all.w[at:]
			k.poolRow(g, dx, dy, win, ws, h, f, func(int) {})
		}
	}
	ws.win = window{}
}

// poolRow calls f for runs of pixels of output row h whose windows are cut
// alike, and empty with the element of each pixel whose window is all padding.
func (k *Kernels) poolRow(g *Geometry, x, y *View, win *window, ws *Workspace, h int, f func(*window), empty func(at int)) {
	top := h*g.StrideH - g.PadTop
	rLow, rHigh := inside(top, g.R, g.DilationH, g.H)
	ow := g.OutW()
	whole := min((g.W-1+g.PadLeft-(g.S-1)*g.DilationW)/g.StrideW, ow-1) // last one not cut
	win.xStep, win.yStep = 4*g.StrideW*x.Pixel, 4*y.Pixel
	for w := 0; w < ow; {
		left := w*g.StrideW - g.PadLeft
		sLow, sHigh := inside(left, g.S, g.DilationW, g.W)
		run := 1
		if sLow == 0 && sHigh == g.S {
			run = whole - w + 1
		}
		ws.tab = ws.tab[:0]
		for r := rLow; r < rHigh; r++ {
			for s := sLow; s < sHigh; s++ {
				ws.tab = append(ws.tab, 4*((top+r*g.DilationH)*x.Row+(left+s*g.DilationW)*x.Pixel), 0)
			}
		}
		win.tab, win.taps, win.count = ws.tab, len(ws.tab)/2, run
		win.xOff, win.yOff = 0, 0
		if win.taps == 0 {
			for i := range run {
				empty((w + i) * y.Pixel)
			}
		} else {
			wholeY, wholeW := win.y, win.w
			win.y = win.y[w*y.Pixel:]
			if win.w != nil {
				win.w = win.w[w*y.Pixel:]
			}
			f(win)
			win.y, win.w = wholeY, wholeW
		}
		w += run
	}
}

// inside is the range of taps that begin at start, dilation apart, and lie
// within size.
func inside(start, filter, dilation, size int) (low, high int) {
	for low < filter && start+low*dilation < 0 {
		low++
	}
	high = low
	for high < filter && start+high*dilation < size {
		high++
	}
	return low, high
}
