package conv

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
)

// The filter's gradient is linear in the transformed filter, and so is a sum
// of products too: with the transforms of WinogradForward,
//
//	dU = sum over tiles of (B' d B) * (A dy A'), dg = G' dU G
//
// 16 multiplications a tile and pair of channels in place of 36.

// gradTiles is the number of tiles that are summed at once, and gradChannels
// that of input channels: what they take of the transformed image and gradient
// stays in the caches. Sums that do not are visited half as often.
const gradTiles, gradChannels = 96, 96

// largeSums is the number of sums, of each of the 16, from which they are large.
const largeSums = 512 * 512

// WinogradFilterLen is the length of the sums of WinogradBackwardFilter.
func (k *Kernels) WinogradFilterLen(g *Geometry) int { return 16 * g.C * g.K }

// WinogradBackwardFilter is BackwardFilter by Winograd's algorithm, for input
// channels c0 to c1 and output channels k0 to k1 of dw. sums is memory of
// WinogradFilterLen elements, of which ranges that do not overlap use parts
// that do not, provided that all are of all input or all of all output channels.
func (k *Kernels) WinogradBackwardFilter(g *Geometry, x, dy View, dw, sums []float32, c0, c1, k0, k1 int, ws *Workspace) {
	oh, ow := g.OutH(), g.OutW()
	x.check("padded image", g.N, g.H+g.PadTop+g.PadBottom, g.W+g.PadLeft+g.PadRight, g.C)
	dy.check("gradient", g.N, oh, ow, g.K)
	if c0 < 0 || c1 > g.C || k0 < 0 || k1 > g.K || len(dw) < 9*g.C*g.K || len(sums) < k.WinogradFilterLen(g) {
		panic(fmt.Sprintf("conv: channels [%d:%d], [%d:%d] of a filter gradient of %d elements with %d sums for %+v", c0, c1, k0, k1, len(dw), len(sums), *g))
	}
	if c0 >= c1 || k0 >= k1 {
		return
	}
	across, down := (ow+1)/2, (oh+1)/2
	depth, cols := c1-c0, k1-k0
	sums = sums[16*(c0*g.K+depth*k0):][:16*depth*cols]
	tiles, most := g.N*down*across, gradTiles
	if g.C*g.K >= largeSums {
		most *= 2
	}
	blocks := (tiles + most - 1) / most
	block := (tiles + blocks - 1) / blocks
	channels, width := min(gradChannels, depth), k.ChannelUnit()
	ws.v = grow(ws.v, 16*block*channels)
	ws.m = grow(ws.m, 4*cols)
	cut := ws.m // a tile of which the image has a part
	size := k.gemm.PackedLen(block, cols) + setGap
	ws.b = grow(ws.b, 16*size)

	for first := 0; first < tiles; first += block {
		n := min(block, tiles-first)
		t := &ws.tile
		*t = winoTile{step: 4 * size}
		for i := range n {
			img, h, w := (first+i)/across/down, (first+i)/across%down*2, (first+i)%across*2
			t.y = dy.Data[img*dy.Image+h*dy.Row+w*dy.Pixel+k0:]
			t.out = [4]int{0, 4 * dy.Pixel, 4 * dy.Row, 4 * (dy.Row + dy.Pixel)}
			if h+1 >= oh || w+1 >= ow {
				for p := range 4 {
					if to := cut[p*cols:][:cols]; h+p/2 < oh && w+p%2 < ow {
						copy(to, t.y[p/2*dy.Row+p%2*dy.Pixel:])
					} else {
						clear(to)
					}
				}
				t.y, t.out = cut, [4]int{0, 4 * cols, 8 * cols, 12 * cols}
			}
			// To where the products read it: panel by panel.
			from := t.y
			for j := 0; j < cols; j += width {
				t.n, t.y, t.m = min(width, cols-j), from[j:], ws.b[j*n+i*width:]
				k.windows.winogradGrad(t)
			}
		}
		for c := c0; c < c1; c += channels {
			k.filterTiles(&x, sums[(c-c0)*cols:], c, min(channels, c1-c), depth, cols, size, block, first, n, across, down, ws)
		}
	}
	ws.tile = winoTile{}
	for c := range depth {
		k.windows.winogradFilterGrad(dw[(c0+c)*g.K+k0:], sums[c*cols:], cols, g.C*g.K, depth*cols)
	}
}

// filterTiles adds to the sums of channels input channels from c on what n
// tiles give, whose gradients are packed in ws.b.
func (k *Kernels) filterTiles(x *View, sums []float32, c, channels, depth, cols, size, block, first, n, across, down int, ws *Workspace) {
	t := &ws.tile
	*t = winoTile{n: channels, step: 4 * block * channels}
	for i := range n {
		img, h, w := (first+i)/across/down, (first+i)/across%down*2, (first+i)%across*2
		t.x = x.Data[img*x.Image+c:]
		t.m = ws.v[i*channels:]
		for r := range 4 {
			// Beyond the edge any row does: the gradient there is zero.
			t.rows[r] = 4 * min(h+r, x.H-1) * x.Row
			t.cols[r] = 4 * min(w+r, x.W-1) * x.Pixel
		}
		k.windows.winogradInput(t)
	}
	width := k.ChannelUnit()
	s := &ws.strip
	ws.offsets = append(ws.offsets[:0], 0)
	*s = gemm.Strip{ARow: 1, AK: channels, Offsets: ws.offsets, K: n, CRow: cols, Rows: channels, Accumulate: first > 0}
	for i := range 16 {
		s.A = ws.v[i*block*channels:]
		for j := 0; j < cols; j += width {
			s.B = ws.b[i*size+j*n:]
			s.Cols = min(width, cols-j)
			s.C = sums[i*depth*cols+j:]
			k.gemm.RunStrip(s, &ws.gemm)
		}
	}
	*s = gemm.Strip{}
}

func winogradGradPortable(t *winoTile) {
	combine := func(i int, d0, d1 float32) float32 {
		switch i {
		case 0:
			return d0
		case 1:
			return d0 + d1
		case 2:
			return d0 - d1
		}
		return 0 - d1
	}
	for c := range t.n {
		d := func(i int) float32 { return t.y[t.out[i]/4+c] }
		for i := range 16 {
			t.m[i*t.step/4+c] = combine(i%4, combine(i/4, d(0), d(2)), combine(i/4, d(1), d(3)))
		}
	}
}

func winogradFilterGradPortable(dst, src []float32, n, dstStep, srcStep int) {
	combine := func(m [4]float32) [3]float32 {
		sum := (m[1] + m[2]) * 0.5
		return [3]float32{m[0] + sum, (m[1] - m[2]) * 0.5, sum + m[3]}
	}
	for at := range n {
		var rows [4][3]float32
		for r := range rows {
			m := func(i int) float32 { return src[(4*r+i)*srcStep+at] }
			rows[r] = combine([4]float32{m(0), m(1), m(2), m(3)})
		}
		for s := range 3 {
			w := combine([4]float32{rows[0][s], rows[1][s], rows[2][s], rows[3][s]})
			for r := range w {
				dst[(3*r+s)*dstStep+at] = w[r]
			}
		}
	}
}
