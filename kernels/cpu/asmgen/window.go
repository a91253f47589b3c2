package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of conv.window, whose arrays are slices.
const (
	winX        = 0   // input at the first output pixel
	winY        = 24  // output
	winW        = 48  // filter (depthwise), or gradient of the output (pooling)
	winD        = 72  // bias (depthwise, or nil), or gradient of the input (pooling)
	winTab      = 96  // pairs of byte offsets, one a tap
	winTaps     = 120 // number of taps
	winXStep    = 128 // bytes of x from an output pixel to the next
	winYStep    = 136 // bytes of y
	winChannels = 144 // number of channels
	winCount    = 152 // tiles of pixels, consumed
	winXOff     = 160 // bytes of x before the current tile
	winYOff     = 168 // bytes of y before it
	winFlags    = 176 // 2: relu
)

// Offsets of the fields of conv.taps where they differ.
const (
	tapsRows   = winTaps  // pairs of rows of x and of the gradient of the output
	tapsPixels = winCount // pixels of a row
	tapsRowW   = winXOff  // bytes of w from a filter row to the next
	tapsTapW   = winYOff  // bytes of w from a tap to the next
	tapsRowX   = 176      // bytes of x from a filter row to the next
	tapsTapX   = 184      // bytes of x from a tap to the next
)

// channels emits body for each vector of channels: at byte offset c, with a
// mask for the last one where it is not whole.
func (g *gen) channels(w reg.Register, body func(c reg.Register, mask reg.Register)) {
	c, left := g.GP64(), g.GP64()
	g.XORQ(c, c)
	g.MOVQ(field(w, winChannels), left)
	loop, tail, end := g.label("channels"), g.label("tail"), g.label("end")
	g.Label(loop)
	g.CMPQ(left, operand.Imm(uint64(g.lanes)))
	g.JLT(operand.LabelRef(tail))
	body(c, nil)
	g.ADDQ(operand.Imm(uint64(g.bytes())), c)
	g.SUBQ(operand.Imm(uint64(g.lanes)), left)
	g.JMP(operand.LabelRef(loop))
	g.Label(tail)
	g.TESTQ(left, left)
	g.JZ(operand.LabelRef(end))
	body(c, g.mask(left))
	g.Label(end)
}

// pixelsOf returns the addresses of mr pixels step bytes apart from base: it
// emits the bases of pixels 3, 6, ...
func (g *gen) pixelsOf(base, step reg.Register, mr int) []operand.Mem {
	bases := []reg.Register{base}
	for q := 1; 3*q < mr; q++ {
		b := g.GP64()
		g.LEAQ(operand.Mem{Base: bases[q-1], Index: step, Scale: 2}, b)
		g.ADDQ(step, b)
		bases = append(bases, b)
	}
	ms := make([]operand.Mem, mr)
	for i := range ms {
		ms[i] = operand.Mem{Base: bases[i/3]}
		if i%3 > 0 {
			ms[i].Index, ms[i].Scale = step, uint8(i%3)
		}
	}
	return ms
}

// depthwise emits the depthwise convolution of tiles of mr pixels: each tap
// pairs an offset of x with one of the filter.
func (g *gen) depthwise(mr int) {
	g.Function(fmt.Sprintf("depthwise%d%s", mr, g.name))
	g.Pragma("noescape")
	g.signature("func(w *window)", "window")
	w := g.Load(g.Param("w"), g.GP64())
	tile := g.label("tile")
	g.Label(tile)
	g.channels(w, func(c, mask reg.Register) {
		acc := make([]vec, mr)
		for i := range acc {
			acc[i] = g.zeros()
		}
		tab, taps, step := g.GP64(), g.GP64(), g.GP64()
		g.MOVQ(field(w, winTab), tab)
		g.MOVQ(field(w, winTaps), taps)
		g.MOVQ(field(w, winXStep), step)
		loop := g.label("tap")
		g.Label(loop)
		x, f := g.GP64(), g.GP64()
		g.MOVQ(operand.Mem{Base: tab}, x)
		g.ADDQ(field(w, winX), x)
		g.ADDQ(field(w, winXOff), x)
		g.ADDQ(c, x)
		g.MOVQ(operand.Mem{Base: tab, Disp: 8}, f)
		g.ADDQ(field(w, winW), f)
		fv := g.loadMaybe(operand.Mem{Base: f, Index: c, Scale: 1}, mask)
		for i, m := range g.pixelsOf(x, step, mr) {
			if mask == nil {
				g.VFMADD231PS(m, fv, acc[i])
			} else {
				g.VFMADD231PS(g.loadMasked(m, mask), fv, acc[i])
			}
		}
		g.ADDQ(operand.Imm(16), tab)
		g.DECQ(taps)
		g.JNZ(operand.LabelRef(loop))

		bias := g.GP64()
		noBias, noRelu := g.label("nobias"), g.label("norelu")
		g.MOVQ(field(w, winD), bias)
		g.TESTQ(bias, bias)
		g.JZ(operand.LabelRef(noBias))
		bv := g.loadMaybe(operand.Mem{Base: bias, Index: c, Scale: 1}, mask)
		for i := range acc {
			g.VADDPS(bv, acc[i], acc[i])
		}
		g.Label(noBias)
		g.TESTQ(operand.U32(2), field(w, winFlags))
		g.JZ(operand.LabelRef(noRelu))
		zero := g.zeros()
		for i := range acc {
			g.VMAXPS(acc[i], zero, acc[i])
		}
		g.Label(noRelu)
		y := g.GP64()
		g.MOVQ(field(w, winY), y)
		g.ADDQ(field(w, winYOff), y)
		g.ADDQ(c, y)
		g.MOVQ(field(w, winYStep), step)
		for i, m := range g.pixelsOf(y, step, mr) {
			g.storeMaybe(acc[i], m, mask)
		}
	})
	g.nextTile(w, tile, mr)
	g.VZEROUPPER()
	g.RET()
}

// nextTile moves on by n pixels and jumps to loop while there are tiles.
func (g *gen) nextTile(w reg.Register, loop string, n int) {
	for _, f := range [][2]int{{winXStep, winXOff}, {winYStep, winYOff}} {
		step := g.GP64()
		g.MOVQ(field(w, f[0]), step)
		g.IMUL3Q(operand.U8(n), step, step)
		g.ADDQ(step, field(w, f[1]))
	}
	g.DECQ(field(w, winCount))
	g.JNZ(operand.LabelRef(loop))
}

// depthwiseFilter emits the gradient of nr x ns taps of a depthwise filter.
// Each pair of the table is a row of x and one of the gradient of the output,
// here y; w is the gradient of the filter.
func (g *gen) depthwiseFilter(nr, ns int) {
	g.Function(fmt.Sprintf("depthwiseFilter%dx%d%s", nr, ns, g.name))
	g.Pragma("noescape")
	g.signature("func(w *taps)", "taps")
	w := g.Load(g.Param("w"), g.GP64())
	g.channels(w, func(c, mask reg.Register) {
		dw, tapStep, rowStep := g.GP64(), g.GP64(), g.GP64()
		acc := make([]vec, nr*ns)
		each := func(f func(i int, m operand.Mem)) {
			g.MOVQ(field(w, winW), dw)
			g.ADDQ(c, dw)
			g.MOVQ(field(w, tapsTapW), tapStep)
			g.MOVQ(field(w, tapsRowW), rowStep)
			for r := range nr {
				for s := range ns {
					m := operand.Mem{Base: dw}
					if s > 0 {
						m.Index, m.Scale = tapStep, uint8(s)
					}
					f(r*ns+s, m)
				}
				if r < nr-1 {
					g.ADDQ(rowStep, dw)
				}
			}
		}
		each(func(i int, m operand.Mem) { acc[i] = g.loadMaybe(m, mask) })

		tab, rows := g.GP64(), g.GP64()
		g.MOVQ(field(w, winTab), tab)
		g.MOVQ(field(w, tapsRows), rows)
		rowLoop, pixelLoop := g.label("row"), g.label("pixel")
		g.Label(rowLoop)
		dy, pixels := g.GP64(), g.GP64()
		x := make([]reg.GPVirtual, nr)
		for r := range x {
			x[r] = g.GP64()
		}
		g.MOVQ(operand.Mem{Base: tab}, x[0])
		g.ADDQ(field(w, winX), x[0])
		g.ADDQ(c, x[0])
		for r := 1; r < nr; r++ {
			g.MOVQ(x[r-1], x[r])
			g.ADDQ(field(w, tapsRowX), x[r])
		}
		g.MOVQ(operand.Mem{Base: tab, Disp: 8}, dy)
		g.ADDQ(field(w, winY), dy)
		g.ADDQ(c, dy)
		g.MOVQ(field(w, tapsTapX), tapStep)
		g.MOVQ(field(w, tapsPixels), pixels)
		g.Label(pixelLoop)
		dv := g.loadMaybe(operand.Mem{Base: dy}, mask)
		for r := range nr {
			for s := range ns {
				m := operand.Mem{Base: x[r]}
				if s > 0 {
					m.Index, m.Scale = tapStep, uint8(s)
				}
				if mask == nil {
					g.VFMADD231PS(m, dv, acc[r*ns+s])
				} else {
					g.VFMADD231PS(g.loadMasked(m, mask), dv, acc[r*ns+s])
				}
			}
			g.ADDQ(field(w, winXStep), x[r])
		}
		g.ADDQ(field(w, winYStep), dy)
		g.DECQ(pixels)
		g.JNZ(operand.LabelRef(pixelLoop))
		g.ADDQ(operand.Imm(16), tab)
		g.DECQ(rows)
		g.JNZ(operand.LabelRef(rowLoop))
		each(func(i int, m operand.Mem) { g.storeMaybe(acc[i], m, mask) })
	})
	g.VZEROUPPER()
	g.RET()
}

// maxPool emits the largest of windows, one pixel each: the first tap, then the
// others.
func (g *gen) maxPool() {
	g.Function("maxPool" + g.name)
	g.Pragma("noescape")
	g.signature("func(w *window)", "window")
	w := g.Load(g.Param("w"), g.GP64())
	tile := g.label("pixel")
	g.Label(tile)
	g.channels(w, func(c, mask reg.Register) {
		x, tab, taps := g.GP64(), g.GP64(), g.GP64()
		g.MOVQ(field(w, winX), x)
		g.ADDQ(field(w, winXOff), x)
		g.ADDQ(c, x)
		g.MOVQ(field(w, winTab), tab)
		g.MOVQ(field(w, winTaps), taps)
		at := g.GP64()
		loop, done := g.label("tap"), g.label("done")
		g.MOVQ(operand.Mem{Base: tab}, at)
		acc := g.loadMaybe(operand.Mem{Base: x, Index: at, Scale: 1}, mask)
		g.Label(loop)
		g.ADDQ(operand.Imm(16), tab)
		g.DECQ(taps)
		g.JZ(operand.LabelRef(done))
		g.MOVQ(operand.Mem{Base: tab}, at)
		g.maxNaNTo(g.loadMaybe(operand.Mem{Base: x, Index: at, Scale: 1}, mask), acc, acc)
		g.JMP(operand.LabelRef(loop))
		g.Label(done)
		y := g.GP64()
		g.MOVQ(field(w, winY), y)
		g.ADDQ(field(w, winYOff), y)
		g.storeMaybe(acc, operand.Mem{Base: y, Index: c, Scale: 1}, mask)
	})
	g.nextTile(w, tile, 1)
	g.VZEROUPPER()
	g.RET()
}

// maxPoolGrad emits the gradient of the largest: to the first tap of a window
// that equals it. apart says that no windows overlap: what was there is not added
// to but written over.
func (g *gen) maxPoolGrad(apart bool) {
	name := "maxPoolGrad"
	if apart {
		name = "maxPoolGradApart"
	}
	g.Function(name + g.name)
	g.Pragma("noescape")
	g.signature("func(w *window)", "window")
	w := g.Load(g.Param("w"), g.GP64())
	tile := g.label("pixel")
	g.Label(tile)
	g.channels(w, func(c, mask reg.Register) {
		y := g.GP64()
		g.MOVQ(field(w, winYOff), y)
		g.ADDQ(c, y)
		grad := g.GP64()
		g.MOVQ(field(w, winW), grad)
		dy := g.loadMaybe(operand.Mem{Base: grad, Index: y, Scale: 1}, mask)
		g.ADDQ(field(w, winY), y)
		top := g.loadMaybe(operand.Mem{Base: y}, mask)
		x, dx, tab, taps, at := g.GP64(), g.GP64(), g.GP64(), g.GP64(), g.GP64()
		g.MOVQ(field(w, winXOff), x)
		g.ADDQ(c, x)
		g.MOVQ(x, dx)
		g.ADDQ(field(w, winX), x)
		g.ADDQ(field(w, winD), dx)
		g.MOVQ(field(w, winTab), tab)
		g.MOVQ(field(w, winTaps), taps)
		loop := g.label("tap")
		g.Label(loop)
		g.MOVQ(operand.Mem{Base: tab}, at)
		xv := g.loadMaybe(operand.Mem{Base: x, Index: at, Scale: 1}, mask)
		d := operand.Mem{Base: dx, Index: at, Scale: 1}
		// What is given away is gone for the taps that follow.
		given := g.keep(cmpEQ, xv, top, dy)
		if !apart {
			g.VADDPS(g.loadMaybe(d, mask), given, given)
		}
		g.storeMaybe(given, d, mask)
		g.VMOVAPS(g.keep(cmpNEQ, xv, top, dy), dy)
		g.ADDQ(operand.Imm(16), tab)
		g.DECQ(taps)
		g.JNZ(operand.LabelRef(loop))
	})
	g.nextTile(w, tile, 1)
	g.VZEROUPPER()
	g.RET()
}

func convFile(g *gen) {
	for mr := 1; mr <= 8; mr++ {
		g.depthwise(mr)
	}
	for nr := 1; nr <= 3; nr++ {
		for ns := 1; ns <= 3; ns++ {
			g.depthwiseFilter(nr, ns)
		}
	}
	g.maxPool()
	g.maxPoolGrad(false)
	g.maxPoolGrad(true)
	g.winogradInput()
	g.winogradOutput()
	g.winogradFilter()
	g.winogradGrad()
	g.winogradFilterGrad()
}
