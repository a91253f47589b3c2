package conv

import "fmt"

// A depthwise convolution has a filter for each channel: Groups == C == K.
// Its filter is R x S x C and needs no packing.

func (g *Geometry) checkDepthwise(w []float32, c0, c1 int) {
	if g.Groups != g.C || g.K != g.C || len(w) < g.R*g.S*g.C || c0 < 0 || c1 > g.C {
		panic(fmt.Sprintf("conv: depthwise filter of %d elements, channels [%d:%d] for %+v", len(w), c0, c1, *g))
	}
}

// Depthwise computes rows r0 to r1 (row n*OutH+h) and channels c0 to c1 of y
// from x with its padding.
func (k *Kernels) Depthwise(g *Geometry, x View, w []float32, y View, ep Epilogue, r0, r1, c0, c1 int, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	g.checkDepthwise(w, c0, c1)
	x.check("padded image", g.N, g.H+g.PadTop+g.PadBottom, g.W+g.PadLeft+g.PadRight, g.C)
	y.check("output", g.N, oh, ow, g.C)
	if c0 >= c1 {
		return
	}
	ws.tab = ws.tab[:0]
	for r := range g.R {
		for s := range g.S {
			ws.tab = append(ws.tab, 4*(r*g.DilationH*x.Row+s*g.DilationW*x.Pixel), 4*(r*g.S+s)*g.C)
		}
	}
	win := &ws.win
	*win = window{w: w[c0:], tab: ws.tab, taps: g.R * g.S, xStep: 4 * g.StrideW * x.Pixel, yStep: 4 * y.Pixel, channels: c1 - c0}
	if ep.Bias != nil {
		win.d = ep.Bias[c0:c1]
	}
	if ep.ReLU {
		win.flags = flagReLU
	}
	for row := r0; row < r1; row++ {
		n, h := row/oh, row%oh
		k.depthwiseRow(win, x.Data[n*x.Image+h*g.StrideH*x.Row+c0:], y.Data[n*y.Image+h*y.Row+c0:], ow)
	}
	*win = window{}
}

// depthwiseRow convolves a row of pixels by tiles.
func (k *Kernels) depthwiseRow(win *window, x, y []float32, pixels int) {
	limit := k.windows.tileRows
	tiles := (pixels + limit - 1) / limit
	low, more := pixels/tiles, pixels%tiles
	at := 0
	for _, t := range [2][2]int{{low + 1, more}, {low, tiles - more}} {
		if t[1] == 0 {
			continue
		}
		win.x, win.y = x[at*win.xStep/4:], y[at*win.yStep/4:]
		win.xOff, win.yOff, win.count = 0, 0, t[1]
		k.windows.depthwise[t[0]](win)
		at += t[0] * t[1]
	}
}

// DepthwiseData computes rows r0 to r1 (row n*H+h) and channels c0 to c1 of
// dx, the gradient of the image without padding, from dy with the border
// GradPadding.
func (k *Kernels) DepthwiseData(g *Geometry, dy View, w []float32, dx View, r0, r1, c0, c1 int, ws *Workspace) {
	top, bottom, left, right := g.GradPadding()
	g.checkDepthwise(w, c0, c1)
	dy.check("padded gradient", g.N, g.OutH()+top+bottom, g.OutW()+left+right, g.C)
	dx.check("gradient of the image", g.N, g.H, g.W, g.C)
	if c0 >= c1 {
		return
	}
	win := &ws.win
	for h0 := range min(g.StrideH, g.H) {
		for w0 := range min(g.StrideW, g.W) {
			ph := g.phase(h0, w0)
			ws.tab = ws.tab[:0]
			for i := range ph.rows.count {
				for j := range ph.cols.count {
					ws.tab = append(ws.tab,
						4*((ph.rows.first+i*ph.rows.step+top)*dy.Row+(ph.cols.first+j*ph.cols.step+left)*dy.Pixel),
						4*(ph.rows.filter(i)*g.S+ph.cols.filter(j))*g.C)
				}
			}
			pixels := (g.W - w0 + g.StrideW - 1) / g.StrideW
			*win = window{w: w[c0:], tab: ws.tab, taps: len(ws.tab) / 2, xStep: 4 * dy.Pixel, yStep: 4 * g.StrideW * dx.Pixel, channels: c1 - c0}
			for row := r0; row < r1; row++ {
				n, h := row/g.H, row%g.H
				if h%g.StrideH != h0 {
					continue
				}
				out := dx.Data[n*dx.Image+h*dx.Row+w0*dx.Pixel+c0:]
				if win.taps == 0 {
					for p := range pixels {
						clear(out[p*g.StrideW*dx.Pixel:][:c1-c0])
					}
					continue
				}
				k.depthwiseRow(win, dy.Data[n*dy.Image+h/g.StrideH*dy.Row+c0:], out, pixels)
			}
		}
	}
	*win = window{}
}

// DepthwiseFilter computes channels c0 to c1 of dw, the gradient of the
// filter, from x with its padding and dy (without). With accumulate it is
// added to dw.
func (k *Kernels) DepthwiseFilter(g *Geometry, x, dy View, dw []float32, accumulate bool, c0, c1 int, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	g.checkDepthwise(dw, c0, c1)
	x.check("padded image", g.N, g.H+g.PadTop+g.PadBottom, g.W+g.PadLeft+g.PadRight, g.C)
	dy.check("gradient", g.N, oh, ow, g.C)
	if c0 >= c1 {
		return
	}
	if !accumulate {
		for t := range g.R * g.S {
			clear(dw[t*g.C+c0 : t*g.C+c1])
		}
	}
	// Rows whose pixels stay in the cache from one block of taps to the next,
	// and calls of some microseconds.
	rows := max(1, 1<<14/(ow*(c1-c0)))
	t := &ws.filter
	for row0 := 0; row0 < g.N*oh; row0 += rows {
		row1 := min(row0+rows, g.N*oh)
		ws.tab = ws.tab[:0]
		for row := row0; row < row1; row++ {
			n, h := row/oh, row%oh
			ws.tab = append(ws.tab, 4*(n*x.Image+h*g.StrideH*x.Row), 4*(n*dy.Image+h*dy.Row))
		}
		for r := 0; r < g.R; r += 3 {
			for s := 0; s < g.S; s += 3 {
				*t = taps{
					x: x.Data[r*g.DilationH*x.Row+s*g.DilationW*x.Pixel+c0:], y: dy.Data[c0:], w: dw[(r*g.S+s)*g.C+c0:],
					tab: ws.tab, rows: row1 - row0,
					xStep: 4 * g.StrideW * x.Pixel, yStep: 4 * dy.Pixel,
					channels: c1 - c0, pixels: ow,
					rowW: 4 * g.S * g.C, tapW: 4 * g.C,
					rowX: 4 * g.DilationH * x.Row, tapX: 4 * g.DilationW * x.Pixel,
				}
				k.windows.depthwiseFilter[min(3, g.R-r)][min(3, g.S-s)](t)
			}
		}
	}
	*t = taps{}
}
