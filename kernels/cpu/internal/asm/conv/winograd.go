package conv

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
)

// Winograd's algorithm F(2x2, 3x3) makes 2x2 outputs of a 3x3 filter with 16
// multiplications a channel in place of 36: the 4x4 inputs, the filter and the
// products are transformed by additions and halvings.
//
//	V = B' d B, U = G g G', y = A' (sum over channels of U*V) A
//
// The transforms lose a few bits, but the chains are a ninth as long: the error
// on deep layers is about that of the direct sum (the tests bound it). Its bits
// are its own, and independent of ranges too.
// Reference: Lavin, Gray, "Fast algorithms for convolutional neural networks",
// 2015.

// winoTile is the argument of the transforms of a tile; the generator knows
// the offsets of its fields.
type winoTile struct {
	rows, cols [4]int // byte offsets into x
	x, m, y    []float32
	out        [4]int // byte offsets into y
	bias       []float32
	step       int // bytes from an element of the 4x4 of m to the next
	n          int // channels
	flags      int
}

// Winograd reports whether the algorithm computes the convolution and its
// gradient of the image: a dense 3x3 filter with stride 1. It pays from some
// 64 channels on either side.
func (g *Geometry) Winograd() bool {
	return g.R == 3 && g.S == 3 && g.StrideH == 1 && g.StrideW == 1 && g.DilationH == 1 && g.DilationW == 1 && g.Groups == 1
}

// WinogradLen is the length of the packed filter of WinogradForward.
func (k *Kernels) WinogradLen(g *Geometry) int { return 16 * k.gemm.PackedLen(g.C, g.K) }

// WinogradDataLen is the length of the packed filter of WinogradData.
func (k *Kernels) WinogradDataLen(g *Geometry) int { return 16 * k.gemm.PackedLen(g.K, g.C) }

// WinogradPack transforms and packs the filter w, output channels k0 to k1
// (multiples of ChannelUnit, or the end), for WinogradForward.
func (k *Kernels) WinogradPack(dst, w []float32, g *Geometry, k0, k1 int, ws *Workspace) {
	size := k.gemm.PackedLen(g.C, g.K)
	k.transformFilter(w, g, func(i, c, n int, u []float32) {
		k.gemm.PackRows(dst[i*size:], u, g.K, false, g.C, c, n, k0, k1)
	}, 0, g.C, ws)
}

// WinogradPackData does the same for WinogradData, input channels c0 to c1:
// the filter is turned around, which exchanges the outer rows and columns of
// its transform, and transposed.
func (k *Kernels) WinogradPackData(dst, w []float32, g *Geometry, c0, c1 int, ws *Workspace) {
	size := k.gemm.PackedLen(g.K, g.C)
	turned := [4]int{3, 1, 2, 0}
	k.transformFilter(w, g, func(i, c, n int, u []float32) {
		// Rows c to c+n of u are columns of the matrix.
		i = 4*turned[i/4] + turned[i%4]
		k.gemm.PackB(dst[i*size+c*g.K:], u, g.K, true, g.K, n, 0, n)
	}, c0, c1, ws)
}

// transformFilter calls pack for element i of the 4x4 with rows c to c+n of
// the C x K matrix of transformed filters.
func (k *Kernels) transformFilter(w []float32, g *Geometry, pack func(i, c, n int, u []float32), c0, c1 int, ws *Workspace) {
	unit := k.ChannelUnit()
	rows := max(1, (1<<13)/g.K/unit) * unit
	for c := c0; c < c1; c += rows {
		n := min(rows, c1-c)
		ws.a = grow(ws.a, 16*n*g.K)
		k.windows.winogradFilter(ws.a, w[c*g.K:], n*g.K, g.C*g.K)
		for i := range 16 {
			pack(i, c, n, ws.a[i*n*g.K:][:n*g.K])
		}
	}
}

// WinogradForward is Forward with the filter of WinogradPack, in ranges t0 to
// t1 of pairs of rows: pair n*ceil(OutH/2)+i is rows 2i and 2i+1 of image n.
func (k *Kernels) WinogradForward(g *Geometry, x View, packed []float32, y View, ep Epilogue, t0, t1, k0, k1 int, ws *Workspace) {
	x.check("padded image", g.N, g.H+g.PadTop+g.PadBottom, g.W+g.PadLeft+g.PadRight, g.C)
	y.check("output", g.N, g.OutH(), g.OutW(), g.K)
	k.winograd(&x, packed, &y, ep, t0, t1, k0, k1, ws)
}

// WinogradData is BackwardData with the filter of WinogradPackData, in ranges
// of pairs of rows of the image.
func (k *Kernels) WinogradData(g *Geometry, dy View, packed []float32, dx View, t0, t1, c0, c1 int, ws *Workspace) {
	top, bottom, left, right := g.GradPadding()
	dy.check("padded gradient", g.N, g.OutH()+top+bottom, g.OutW()+left+right, g.K)
	dx.check("gradient of the image", g.N, g.H, g.W, g.C)
	// The window of the first input begins 2 - PadTop rows above the first
	// output; a larger border has nothing to do with it.
	inner := dy.Inset(top-(2-g.PadTop), left-(2-g.PadLeft), g.H+2, g.W+2)
	k.winograd(&inner, packed, &dx, Epilogue{}, t0, t1, c0, c1, ws)
}

// winograd computes the tiles of pairs of rows t0 to t1.
func (k *Kernels) winograd(x *View, packed []float32, y *View, ep Epilogue, t0, t1, k0, k1 int, ws *Workspace) {
	across, down := (y.W+1)/2, (y.H+1)/2
	size := k.gemm.PackedLen(x.C, y.C)
	if t0 < 0 || t1 > y.N*down || k0 < 0 || k1 > y.C || k0%k.ChannelUnit() != 0 || len(packed) < 16*size || ep.Bias != nil && len(ep.Bias) < y.C {
		panic(fmt.Sprintf("conv: pairs of rows [%d:%d], channels [%d:%d], packed filter of %d elements for %dx%dx%dx%d", t0, t1, k0, k1, len(packed), y.N, y.H, y.W, y.C))
	}
	if t0 >= t1 || k0 >= k1 {
		return
	}
	cols := k1 - k0
	// Tiles whose part of one of the 16 products stays in the second-level
	// cache, in blocks of about one size: each block reads the whole filter.
	tiles, most := (t1-t0)*across, min(MostTiles, max(24, 1<<16/(x.C+cols)))
	blocks := (tiles + most - 1) / most
	block := (tiles + blocks - 1) / blocks
	vStep, mStep := block*x.C+setGap, block*cols+setGap
	// As much as any range needs, so that memory is taken by the first.
	ws.v = grow(ws.v, 16*(most*x.C+setGap))
	ws.m = grow(ws.m, 16*(most*cols+setGap)+4*cols)
	whole := ws.m[16*mStep:] // a tile of which the image has a part

	for first := t0 * across; first < t1*across; first += block {
		n := min(block, t1*across-first)
		t := &ws.tile
		*t = winoTile{n: x.C, step: 4 * vStep}
		for i := range n {
			img, h, w := (first+i)/across/down, (first+i)/across%down*2, (first+i)%across*2
			t.x = x.Data[img*x.Image:]
			t.m = ws.v[i*x.C:]
			for r := range 4 {
				// Beyond the edge there is nothing: any row does, as only
				// outputs beyond the edge depend on it.
				t.rows[r] = 4 * min(h+r, x.H-1) * x.Row
				t.cols[r] = 4 * min(w+r, x.W-1) * x.Pixel
			}
			k.windows.winogradInput(t)
		}
		k.products(x.C, packed, size, vStep, mStep, n, k0, k1, ws)
		*t = winoTile{n: cols, step: 4 * mStep}
		if ep.Bias != nil {
			t.bias = ep.Bias[k0:k1]
		}
		if ep.ReLU {
			t.flags = flagReLU
		}
		for i := range n {
			img, h, w := (first+i)/across/down, (first+i)/across%down*2, (first+i)%across*2
			t.m = ws.m[i*cols:]
			t.y = y.Data[img*y.Image+h*y.Row+w*y.Pixel+k0:]
			t.out = [4]int{0, 4 * y.Pixel, 4 * y.Row, 4 * (y.Row + y.Pixel)}
			if h+1 < y.H && w+1 < y.W {
				k.windows.winogradOutput(t)
				continue
			}
			t.y, t.out = whole, [4]int{0, 4 * cols, 8 * cols, 12 * cols}
			k.windows.winogradOutput(t)
			for p := range 4 {
				if h+p/2 < y.H && w+p%2 < y.W {
					copy(y.Data[img*y.Image+(h+p/2)*y.Row+(w+p%2)*y.Pixel+k0:][:cols], whole[p*cols:])
				}
			}
		}
	}
	ws.tile = winoTile{}
}

// MostTiles is the number of tiles that are computed together at most.
const MostTiles = 98

// setGap is added to the distance of the 16 elements of transformed tiles: a
// power of two would put them all on a few sets of the caches.
const setGap = 16

// products multiplies each of the 16 elements of n transformed tiles, vStep
// apart, by its filter, to results mStep apart.
func (k *Kernels) products(depth int, packed []float32, size, vStep, mStep, n, k0, k1 int, ws *Workspace) {
	width, cols := k.ChannelUnit(), k1-k0
	s := &ws.strip
	*s = gemm.Strip{ARow: depth, AK: 1, CRow: cols, Rows: n}
	for i := range 16 {
		for d := 0; d < depth; {
			pieces := (depth + depthBlock - 1) / depthBlock
			s.K = min((depth+pieces-1)/pieces, depth-d)
			ws.offsets = append(ws.offsets[:0], 4*d)
			s.Offsets = ws.offsets
			s.Accumulate = d > 0
			s.A = ws.v[i*vStep:]
			for j := k0; j < k1; j += width {
				s.B = packed[i*size+j*depth+d*width:]
				s.Cols = min(width, k1-j)
				s.C = ws.m[i*mStep+j-k0:]
				k.gemm.RunStrip(s, &ws.gemm)
			}
			d += s.K
		}
	}
	*s = gemm.Strip{}
}

func winogradInputPortable(t *winoTile) {
	combine := func(i int, d func(i int) float32) float32 {
		switch i {
		case 0:
			return d(0) - d(2)
		case 1:
			return d(1) + d(2)
		case 2:
			return d(2) - d(1)
		}
		return d(1) - d(3)
	}
	for c := range t.n {
		for i := range 16 {
			t.m[i*t.step/4+c] = combine(i%4, func(v int) float32 {
				return combine(i/4, func(r int) float32 { return t.x[(t.rows[r]+t.cols[v])/4+c] })
			})
		}
	}
}

func winogradOutputPortable(t *winoTile) {
	for c := range t.n {
		m := func(i int) float32 { return t.m[i*t.step/4+c] }
		var left, right [4]float32 // along the rows
		for r := range 4 {
			left[r] = m(4*r) + m(4*r+1) + m(4*r+2)
			right[r] = m(4*r+1) - m(4*r+2) - m(4*r+3)
		}
		for i, v := range [4]float32{
			left[0] + left[1] + left[2], right[0] + right[1] + right[2],
			left[1] - left[2] - left[3], right[1] - right[2] - right[3],
		} {
			if t.bias != nil {
				v += t.bias[c]
			}
			if t.flags&flagReLU != 0 && v < 0 {
				v = 0
			}
			t.y[t.out[i]/4+c] = v
		}
	}
}

func winogradFilterPortable(dst, src []float32, n, step int) {
	combine := func(i int, a, b, c float32) float32 {
		switch i {
		case 0:
			return a
		case 1:
			return ((a + c) + b) * 0.5
		case 2:
			return ((a + c) - b) * 0.5
		}
		return c
	}
	for at := range n {
		for i := range 16 {
			var row [3]float32
			for s := range row {
				row[s] = combine(i/4, src[s*step+at], src[(3+s)*step+at], src[(6+s)*step+at])
			}
			dst[i*n+at] = combine(i%4, row[0], row[1], row[2])
		}
	}
}
