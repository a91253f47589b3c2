package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of conv.winoTile.
const (
	wgRows  = 0   // byte offsets of 4 rows of the image
	wgCols  = 32  // byte offsets of 4 columns
	wgX     = 64  // slice: the image
	wgM     = 88  // slice: the tile in the transformed domain
	wgY     = 112 // slice: the output
	wgOut   = 136 // byte offsets of the 4 output pixels
	wgBias  = 168 // slice
	wgStep  = 192 // bytes of m from an element of the 4x4 to the next
	wgN     = 200 // channels
	wgFlags = 208 // 2: relu
)

// vectors emits body for each vector of n channels, at byte offset c.
func (g *gen) vectors(n reg.Register, body func(c, mask reg.Register)) {
	c := g.GP64()
	g.XORQ(c, c)
	loop, tail, end := g.label("vectors"), g.label("tail"), g.label("end")
	g.Label(loop)
	g.CMPQ(n, operand.Imm(uint64(g.lanes)))
	g.JLT(operand.LabelRef(tail))
	body(c, nil)
	g.ADDQ(operand.Imm(uint64(g.bytes())), c)
	g.SUBQ(operand.Imm(uint64(g.lanes)), n)
	g.JMP(operand.LabelRef(loop))
	g.Label(tail)
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef(end))
	body(c, g.mask(n))
	g.Label(end)
}

// sixteen calls f for the 16 elements of a tile, step bytes apart from base,
// which is consumed.
func (g *gen) sixteen(base, step reg.Register, f func(i int, m operand.Mem)) {
	triple := g.GP64()
	g.LEAQ(operand.Mem{Base: step, Index: step, Scale: 2}, triple)
	for r := range 4 {
		f(4*r, operand.Mem{Base: base})
		f(4*r+1, operand.Mem{Base: base, Index: step, Scale: 1})
		f(4*r+2, operand.Mem{Base: base, Index: step, Scale: 2})
		f(4*r+3, operand.Mem{Base: base, Index: triple, Scale: 1})
		if r < 3 {
			g.LEAQ(operand.Mem{Base: base, Index: step, Scale: 4}, base)
		}
	}
}

// combineInput is the transform of F(2,3) along an axis:
// d0-d2, d1+d2, d2-d1, d1-d3.
func (g *gen) combineInput(i int, d func(i int) vec) vec {
	switch i {
	case 0:
		return g.sub(d(0), d(2))
	case 1:
		return g.add(d(1), d(2))
	case 2:
		return g.sub(d(2), d(1))
	}
	return g.sub(d(1), d(3))
}

// winogradInput emits the transform of a 4x4 tile of the image.
func (g *gen) winogradInput() {
	g.Function("winogradInput" + g.name)
	g.Pragma("noescape")
	g.signature("func(t *winoTile)", "winoTile")
	t := g.Load(g.Param("t"), g.GP64())
	n := g.GP64()
	g.MOVQ(field(t, wgN), n)
	g.vectors(n, func(c, mask reg.Register) {
		var rows [4]reg.GPVirtual
		for r := range rows {
			rows[r] = g.GP64()
			g.MOVQ(field(t, wgRows+8*r), rows[r])
			g.ADDQ(field(t, wgX), rows[r])
			g.ADDQ(c, rows[r])
		}
		out, step := g.GP64(), g.GP64()
		g.MOVQ(field(t, wgM), out)
		g.ADDQ(c, out)
		g.MOVQ(field(t, wgStep), step)
		col := g.GP64()
		var d [4]vec
		g.sixteen(out, step, func(i int, m operand.Mem) {
			if i%4 == 0 {
				for v := range 4 {
					g.MOVQ(field(t, wgCols+8*v), col)
					d[v] = g.combineInput(i/4, func(r int) vec {
						return g.loadMaybe(operand.Mem{Base: rows[r], Index: col, Scale: 1}, mask)
					})
				}
			}
			g.storeMaybe(g.combineInput(i%4, func(v int) vec { return d[v] }), m, mask)
		})
	})
	g.VZEROUPPER()
	g.RET()
}

// winogradOutput emits the transform back to 2x2 outputs:
// m0+m1+m2, m1-m2-m3 along each axis.
func (g *gen) winogradOutput() {
	g.Function("winogradOutput" + g.name)
	g.Pragma("noescape")
	g.signature("func(t *winoTile)", "winoTile")
	t := g.Load(g.Param("t"), g.GP64())
	n := g.GP64()
	g.MOVQ(field(t, wgN), n)
	g.vectors(n, func(c, mask reg.Register) {
		base, step := g.GP64(), g.GP64()
		g.MOVQ(field(t, wgM), base)
		g.ADDQ(c, base)
		g.MOVQ(field(t, wgStep), step)
		var y [4]vec
		var m [4]vec
		g.sixteen(base, step, func(i int, at operand.Mem) {
			m[i%4] = g.loadMaybe(at, mask)
			if i%4 != 3 {
				return
			}
			left := g.add(g.add(m[0], m[1]), m[2])
			right := g.sub(g.sub(m[1], m[2]), m[3])
			switch i / 4 {
			case 0:
				y[0], y[1] = left, right
			case 1:
				y[2], y[3] = g.v(), g.v()
				g.VMOVAPS(left, y[2])
				g.VMOVAPS(right, y[3])
				g.VADDPS(left, y[0], y[0])
				g.VADDPS(right, y[1], y[1])
			case 2:
				g.VADDPS(left, y[0], y[0])
				g.VADDPS(right, y[1], y[1])
				g.VSUBPS(left, y[2], y[2])
				g.VSUBPS(right, y[3], y[3])
			default:
				g.VSUBPS(left, y[2], y[2])
				g.VSUBPS(right, y[3], y[3])
			}
		})
		bias := g.GP64()
		noBias, noRelu := g.label("nobias"), g.label("norelu")
		g.MOVQ(field(t, wgBias), bias)
		g.TESTQ(bias, bias)
		g.JZ(operand.LabelRef(noBias))
		b := g.loadMaybe(operand.Mem{Base: bias, Index: c, Scale: 1}, mask)
		for i := range y {
			g.VADDPS(b, y[i], y[i])
		}
		g.Label(noBias)
		g.TESTQ(operand.U32(2), field(t, wgFlags))
		g.JZ(operand.LabelRef(noRelu))
		zero := g.zeros()
		for i := range y {
			g.VMAXPS(y[i], zero, y[i])
		}
		g.Label(noRelu)
		for i := range y {
			p := g.GP64()
			g.MOVQ(field(t, wgOut+8*i), p)
			g.ADDQ(field(t, wgY), p)
			g.storeMaybe(y[i], operand.Mem{Base: p, Index: c, Scale: 1}, mask)
		}
	})
	g.VZEROUPPER()
	g.RET()
}

// winogradFilter emits the transform of n 3x3 filters, whose positions are
// srcStep bytes apart, to 4x4: g0, (g0+g1+g2)/2, (g0-g1+g2)/2, g2 along each
// axis, dstStep bytes apart.
func (g *gen) winogradFilter() {
	g.Function("winogradFilter" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst, src *float32, dstStep, srcStep, n int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	dstStep := g.Load(g.Param("dstStep"), g.GP64())
	srcStep := g.Load(g.Param("srcStep"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	// combine is the transform along an axis.
	combine := func(i int, w [3]vec) vec {
		switch i {
		case 0:
			return w[0]
		case 1:
			return g.mul(g.add(g.add(w[0], w[2]), w[1]), g.f(0.5))
		case 2:
			return g.mul(g.sub(g.add(w[0], w[2]), w[1]), g.f(0.5))
		}
		return w[2]
	}
	g.vectors(n, func(c, mask reg.Register) {
		from := g.GP64()
		g.MOVQ(src, from)
		g.ADDQ(c, from)
		var w [9]vec
		for i := range w {
			w[i] = g.loadMaybe(operand.Mem{Base: from}, mask)
			if i < 8 {
				g.ADDQ(srcStep, from)
			}
		}
		to := g.GP64()
		g.MOVQ(dst, to)
		g.ADDQ(c, to)
		var row [3]vec
		g.sixteen(to, dstStep, func(i int, m operand.Mem) {
			if i%4 == 0 {
				for s := range row {
					row[s] = combine(i/4, [3]vec{w[s], w[3+s], w[6+s]})
				}
			}
			g.storeMaybe(combine(i%4, row), m, mask)
		})
	})
	g.VZEROUPPER()
	g.RET()
}

// combineGrad is the transposed transform of two outputs along an axis:
// d0, d0+d1, d0-d1, -d1.
func (g *gen) combineGrad(i int, d0, d1, zero vec) vec {
	switch i {
	case 0:
		return d0
	case 1:
		return g.add(d0, d1)
	case 2:
		return g.sub(d0, d1)
	}
	return g.sub(zero, d1)
}

// winogradGrad emits the transform of the gradient of 2x2 outputs, the
// transpose of winogradOutput.
func (g *gen) winogradGrad() {
	g.Function("winogradGrad" + g.name)
	g.Pragma("noescape")
	g.signature("func(t *winoTile)", "winoTile")
	t := g.Load(g.Param("t"), g.GP64())
	n := g.GP64()
	g.MOVQ(field(t, wgN), n)
	zero := g.zeros()
	g.vectors(n, func(c, mask reg.Register) {
		var d [4]vec
		for i := range d {
			p := g.GP64()
			g.MOVQ(field(t, wgOut+8*i), p)
			g.ADDQ(field(t, wgY), p)
			d[i] = g.loadMaybe(operand.Mem{Base: p, Index: c, Scale: 1}, mask)
		}
		out, step := g.GP64(), g.GP64()
		g.MOVQ(field(t, wgM), out)
		g.ADDQ(c, out)
		g.MOVQ(field(t, wgStep), step)
		var left, right vec
		g.sixteen(out, step, func(i int, m operand.Mem) {
			if i%4 == 0 {
				left, right = g.combineGrad(i/4, d[0], d[2], zero), g.combineGrad(i/4, d[1], d[3], zero)
			}
			g.storeMaybe(g.combineGrad(i%4, left, right, zero), m, mask)
		})
	})
	g.VZEROUPPER()
	g.RET()
}

// winogradFilterGrad emits the transposed transform of n filters, from 4x4
// elements srcStep bytes apart to 3x3 dstStep bytes apart: m0+(m1+m2)/2,
// (m1-m2)/2, (m1+m2)/2+m3 along each axis.
func (g *gen) winogradFilterGrad() {
	g.Function("winogradFilterGrad" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst, src *float32, dstStep, srcStep, n int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	dstStep := g.Load(g.Param("dstStep"), g.GP64())
	srcStep := g.Load(g.Param("srcStep"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	combine := func(m [4]vec) [3]vec {
		half := g.f(0.5)
		sum := g.mul(g.add(m[1], m[2]), half)
		return [3]vec{g.add(m[0], sum), g.mul(g.sub(m[1], m[2]), half), g.add(sum, m[3])}
	}
	g.vectors(n, func(c, mask reg.Register) {
		from := g.GP64()
		g.MOVQ(src, from)
		g.ADDQ(c, from)
		// Along the rows first: three vectors of each of the four rows.
		var rows [4][3]vec
		var m [4]vec
		g.sixteen(from, srcStep, func(i int, at operand.Mem) {
			m[i%4] = g.loadMaybe(at, mask)
			if i%4 == 3 {
				rows[i/4] = combine(m)
			}
		})
		to := g.GP64()
		for s := range 3 {
			w := combine([4]vec{rows[0][s], rows[1][s], rows[2][s], rows[3][s]})
			g.MOVQ(dst, to)
			g.ADDQ(c, to)
			for range s {
				g.ADDQ(dstStep, to)
			}
			for r := range 3 {
				g.storeMaybe(w[r], operand.Mem{Base: to}, mask)
				if r < 2 {
					for range 3 {
						g.ADDQ(dstStep, to)
					}
				}
			}
		}
	})
	g.VZEROUPPER()
	g.RET()
}
