package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// row walks the columns of a row in groups of 16, the last of them masked.
type row struct {
	g     *gen
	cols  reg.Register   // columns in whole groups
	rest  reg.Register   // columns beyond them
	masks []reg.Register // of the last group
}

func (g *gen) newRow(cols reg.Register) *row {
	r := &row{g: g}
	whole, rest := g.GP64(), g.GP64()
	g.MOVQ(cols, rest)
	g.ANDQ(operand.Imm(15), rest)
	g.MOVQ(cols, whole)
	g.SUBQ(rest, whole)
	for j := range 16 / g.lanes {
		r.masks = append(r.masks, g.maskOf(j, rest))
	}
	r.cols, r.rest = whole, rest
	return r
}

// each calls body for each vector of the row at column i, an index register,
// plus a constant number of bytes; mask is nil in whole groups.
func (r *row) each(body func(j int, i reg.Register, disp int, mask reg.Register)) {
	g := r.g
	i := g.GP64()
	g.XORQ(i, i)
	loop, whole, end := g.label("group"), g.label("whole"), g.label("rowend")
	g.Label(loop)
	g.CMPQ(i, r.cols)
	g.JGE(operand.LabelRef(whole))
	for j := range r.masks {
		body(j, i, j*g.bytes(), nil)
	}
	g.ADDQ(operand.Imm(16), i)
	g.JMP(operand.LabelRef(loop))
	g.Label(whole)
	g.TESTQ(r.rest, r.rest)
	g.JZ(operand.LabelRef(end))
	for j, m := range r.masks {
		body(j, i, j*g.bytes(), m)
	}
	g.Label(end)
}

func (g *gen) loadMaybe(m operand.Mem, mask reg.Register) vec {
	if mask == nil {
		return g.load(m)
	}
	return g.loadMasked(m, mask)
}

func (g *gen) storeMaybe(v vec, m operand.Mem, mask reg.Register) {
	if mask == nil {
		g.VMOVUPS(v, m)
	} else {
		g.storeMasked(v, m, mask)
	}
}

// softmaxRows emits exp(x-max)/sum of each row, and the max and the sum
// of each row into most and sums. rowStats makes these alone.
func (g *gen) softmaxRows(write bool) {
	name := "rowStats"
	if write {
		name = "softmaxRows"
	}
	g.Function(name + g.name)
	g.Pragma("noescape")
	if write {
		g.SignatureExpr("func(dst, x, most, sums *float32, rows, cols, dstStep, xStep int)")
	} else {
		g.SignatureExpr("func(x, most, sums *float32, rows, cols, xStep int)")
	}
	var dst, dstStep reg.Register
	x := g.Load(g.Param("x"), g.GP64())
	mosts := g.Load(g.Param("most"), g.GP64())
	sums := g.Load(g.Param("sums"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	cols := g.Load(g.Param("cols"), g.GP64())
	xStep := g.Load(g.Param("xStep"), g.GP64())
	if write {
		dst = g.Load(g.Param("dst"), g.GP64())
		dstStep = g.Load(g.Param("dstStep"), g.GP64())
	}
	r := g.newRow(cols)
	loop := g.label("row")
	g.Label(loop)

	fresh := func(v float64) []vec {
		acc := make([]vec, 16/g.lanes)
		for j := range acc {
			acc[j] = g.load(g.f(v))
		}
		return acc
	}
	acc := fresh(math.Inf(-1))
	r.each(func(j int, i reg.Register, disp int, mask reg.Register) {
		v := g.loadMaybe(operand.Mem{Base: x, Index: i, Scale: 4, Disp: disp}, mask)
		if mask != nil {
			v = g.keepMasked(mask, v, g.load(g.f(math.Inf(-1))))
		}
		g.VMAXPS(acc[j], v, acc[j])
	})
	most := g.fold(acc, g.VMAXPS)
	g.VMOVSS(most, operand.Mem{Base: mosts})
	top := g.v()
	g.VBROADCASTSS(operand.Mem{Base: mosts}, top)

	acc = fresh(0)
	r.each(func(j int, i reg.Register, disp int, mask reg.Register) {
		v := g.loadMaybe(operand.Mem{Base: x, Index: i, Scale: 4, Disp: disp}, mask)
		e := g.expNonPositive(g.sub(v, top))
		if write {
			g.storeMaybe(e, operand.Mem{Base: dst, Index: i, Scale: 4, Disp: disp}, mask)
		}
		if mask != nil {
			e = g.keepMasked(mask, e, g.zeros())
		}
		g.VADDPS(e, acc[j], acc[j])
	})
	sum := g.fold(acc, g.VADDPS)
	g.VMOVSS(sum, operand.Mem{Base: sums})
	if write {
		ratio, f := g.XMM(), g.v()
		g.VMOVSS(g.f(1), ratio)
		g.VDIVSS(sum, ratio, ratio)
		g.VBROADCASTSS(ratio, f)
		r.each(func(j int, i reg.Register, disp int, mask reg.Register) {
			at := operand.Mem{Base: dst, Index: i, Scale: 4, Disp: disp}
			g.storeMaybe(g.mul(g.loadMaybe(at, mask), f), at, mask)
		})
		g.ADDQ(dstStep, dst)
	}
	g.ADDQ(xStep, x)
	g.ADDQ(operand.Imm(4), mosts)
	g.ADDQ(operand.Imm(4), sums)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// reduceShortRows emits the reduction of rows of at most 32 elements, in the order
// of reduceLoop.
func (g *gen) reduceShortRows(name string, identity float64, op func(...operand.Op)) {
	const lanes = 32
	g.Function(name + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst, x *float32, rows, cols int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	x := g.Load(g.Param("x"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	cols := g.Load(g.Param("cols"), g.GP64())
	none := g.load(g.f(identity))
	masks := make([]reg.Register, lanes/g.lanes)
	for j := range masks {
		masks[j] = g.maskOf(j, cols)
	}
	step := g.GP64()
	g.MOVQ(cols, step)
	g.SHLQ(operand.Imm(2), step)
	loop := g.label("row")
	g.Label(loop)
	acc := make([]vec, len(masks))
	for j, m := range masks {
		v := g.loadMasked(operand.Mem{Base: x, Disp: j * g.bytes()}, m)
		if identity != 0 {
			v = g.keepMasked(m, v, none)
		}
		acc[j] = g.v()
		g.VMOVAPS(none, acc[j])
		op(v, acc[j], acc[j])
	}
	half := len(acc) / 2
	for j := range half {
		op(acc[half+j], acc[j], acc[j])
	}
	g.VMOVSS(g.fold(acc[:half], op), operand.Mem{Base: dst})
	g.ADDQ(step, x)
	g.ADDQ(operand.Imm(4), dst)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// colSums emits dst[j] += the sum over rows of x[i,j], each a chain in the
// order of the rows. Vectors of columns go by fours.
func (g *gen) colSums() {
	g.Function("colSums" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst, x *float32, rows, cols, xStep int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	x := g.Load(g.Param("x"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	cols := g.Load(g.Param("cols"), g.GP64())
	xStep := g.Load(g.Param("xStep"), g.GP64())

	down := func(vectors int, mask reg.Register) {
		acc := make([]vec, vectors)
		for j := range acc {
			acc[j] = g.loadMaybe(operand.Mem{Base: dst, Disp: j * g.bytes()}, mask)
		}
		p, left := g.GP64(), g.GP64()
		g.MOVQ(x, p)
		g.MOVQ(rows, left)
		loop := g.label("down")
		g.Label(loop)
		for j := range acc {
			m := operand.Mem{Base: p, Disp: j * g.bytes()}
			if mask == nil {
				g.VADDPS(m, acc[j], acc[j])
			} else {
				g.VADDPS(g.loadMasked(m, mask), acc[j], acc[j])
			}
		}
		g.ADDQ(xStep, p)
		g.DECQ(left)
		g.JNZ(operand.LabelRef(loop))
		for j := range acc {
			g.storeMaybe(acc[j], operand.Mem{Base: dst, Disp: j * g.bytes()}, mask)
		}
		g.ADDQ(operand.U32(vectors*g.bytes()), dst)
		g.ADDQ(operand.U32(vectors*g.bytes()), x)
	}
	for _, vectors := range []int{8, 1} {
		loop, done := g.label("cols"), g.label("done")
		g.SUBQ(operand.U32(vectors*g.lanes), cols)
		g.JLT(operand.LabelRef(done))
		g.Label(loop)
		down(vectors, nil)
		g.SUBQ(operand.U32(vectors*g.lanes), cols)
		g.JGE(operand.LabelRef(loop))
		g.Label(done)
		g.ADDQ(operand.U32(vectors*g.lanes), cols)
	}
	end := g.label("end")
	g.TESTQ(cols, cols)
	g.JZ(operand.LabelRef(end))
	down(1, g.mask(cols))
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}

// transposeBlocks emits the transpose of a band of 8 or 16 rows: cols, a multiple
// of 8, columns of src become rows of that many elements of dst. 16 fill a line
// of the cache.
func (g *gen) transposeBlocks(rows int) {
	g.Function(fmt.Sprint("transpose", rows))
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *float32, dstStep int, src *float32, srcStep int, cols int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	dstStep := g.Load(g.Param("dstStep"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	srcStep := g.Load(g.Param("srcStep"), g.GP64())
	cols := g.Load(g.Param("cols"), g.GP64())
	loop := g.label("loop")
	g.Label(loop)
	p, q := g.GP64(), g.GP64()
	g.MOVQ(src, p)
	for band := range rows / 8 {
		for i := range 8 {
			g.VMOVUPS(operand.Mem{Base: p}, ymms[i])
			g.ADDQ(srcStep, p)
		}
		g.MOVQ(dst, q)
		for _, y := range g.transpose8(ymms) {
			g.VMOVUPS(y, operand.Mem{Base: q, Disp: 32 * band})
			g.ADDQ(dstStep, q)
		}
	}
	g.MOVQ(q, dst)
	g.ADDQ(operand.Imm(32), src)
	g.SUBQ(operand.Imm(8), cols)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}
