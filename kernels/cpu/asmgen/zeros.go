package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels of products whose left operand is mostly zeros: its zeros are
// found, and only the other elements are multiplied.

// sumRows emits one row of C, nv vectors of it, from n elements of a row of A
// and the rows of B that they meet:
//
//	c = C if flags&1 else 0
//	for each of n: c[j] += a[index] * b[index*bRow + j]
func (g *gen) sumRows(nv int) {
	g.Function(fmt.Sprintf("sumRows%d", nv*g.lanes) + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(c, a *float32, index *uint32, n int, b *float32, bRow int, flags int)")
	c := g.Load(g.Param("c"), g.GP64())
	a := g.Load(g.Param("a"), g.GP64())
	index := g.Load(g.Param("index"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	b := g.Load(g.Param("b"), g.GP64())
	bRow := g.Load(g.Param("bRow"), g.GP64())
	flags := g.Load(g.Param("flags"), g.GP64())

	g.start(c, nv, flags)
	loop, done := g.label("element"), g.label("done")
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef(done))
	g.Label(loop)
	k, row := g.GP64(), g.GP64()
	g.MOVL(operand.Mem{Base: index}, k.As32())
	g.ADDQ(operand.Imm(4), index)
	g.VBROADCASTSS(operand.Mem{Base: a, Index: k, Scale: 4}, g.phys(nv))
	g.MOVQ(k, row)
	g.IMULQ(bRow, row)
	g.ADDQ(b, row)
	for j := range nv {
		g.VFMADD231PS(operand.Mem{Base: row, Disp: j * g.bytes()}, g.phys(nv), g.phys(j))
	}
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	g.Label(done)
	for j := range nv {
		g.VMOVUPS(g.phys(j), operand.Mem{Base: c, Disp: j * g.bytes()})
	}
	g.VZEROUPPER()
	g.RET()
}

// start sets the first nv vector registers to those at c, or to zero.
func (g *gen) start(c reg.Register, nv int, flags reg.Register) {
	zero, started := g.label("zero"), g.label("started")
	g.TESTQ(operand.U32(1), flags)
	g.JZ(operand.LabelRef(zero))
	for j := range nv {
		g.VMOVUPS(operand.Mem{Base: c, Disp: j * g.bytes()}, g.phys(j))
	}
	g.JMP(operand.LabelRef(started))
	g.Label(zero)
	for j := range nv {
		g.zero(g.phys(j))
	}
	g.Label(started)
}

// sumBits emits rows of C, nv vectors of each, of a product whose left operand
// is stored transposed: row i of C has the elements of A that bits[i] says,
// each from another row of A and of B.
//
//	for each of rows: for each bit k of bits: c[j] += a[k*aRow] * b[k*bRow + j]
//	c += cRow; a++
func (g *gen) sumBits(nv int) {
	g.Function(fmt.Sprintf("sumBits%d", nv*g.lanes) + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(c *float32, cRow int, a *float32, aRow int, bits *uint32, rows int, b *float32, bRow int, flags int)")
	c := g.Load(g.Param("c"), g.GP64())
	a := g.Load(g.Param("a"), g.GP64())
	aRow := g.Load(g.Param("aRow"), g.GP64())
	bits := g.Load(g.Param("bits"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	b := g.Load(g.Param("b"), g.GP64())
	bRow := g.Load(g.Param("bRow"), g.GP64())
	flags := g.Load(g.Param("flags"), g.GP64())
	cRow := g.Load(g.Param("cRow"), g.GP64())

	rowLoop, loop, done := g.label("row"), g.label("element"), g.label("done")
	g.Label(rowLoop)
	g.start(c, nv, flags)
	m := g.GP64()
	g.MOVL(operand.Mem{Base: bits}, m.As32())
	g.TESTL(m.As32(), m.As32())
	g.JZ(operand.LabelRef(done))
	g.Label(loop)
	k, at := g.GP64(), g.GP64()
	g.TZCNTQ(m, k)
	g.MOVQ(k, at)
	g.IMULQ(aRow, at)
	g.VBROADCASTSS(operand.Mem{Base: a, Index: at, Scale: 1}, g.phys(nv))
	g.IMULQ(bRow, k)
	g.ADDQ(b, k)
	for j := range nv {
		g.VFMADD231PS(operand.Mem{Base: k, Disp: j * g.bytes()}, g.phys(nv), g.phys(j))
	}
	g.BLSRQ(m, m)
	g.JNZ(operand.LabelRef(loop))
	g.Label(done)
	for j := range nv {
		g.VMOVUPS(g.phys(j), operand.Mem{Base: c, Disp: j * g.bytes()})
	}
	g.ADDQ(cRow, c)
	g.ADDQ(operand.Imm(4), a)
	g.ADDQ(operand.Imm(4), bits)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(rowLoop))
	g.VZEROUPPER()
	g.RET()
}

// nonzeros emits the indices of the elements of src that are not zero, n of
// them looked at, a multiple of 8. Up to 7 words beyond the last index are
// written. Package gemm has the table: for a mask of 8 lanes, in 16 bytes, the
// numbers of those lanes and how many they are.
func (g *gen) nonzeros() {
	g.Function("nonzeros8")
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *uint32, src *float32, n int, table *[256][16]uint8) int")
	dst := g.Load(g.Param("dst"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	table := g.Load(g.Param("table"), g.GP64())
	from := g.GP64()
	g.MOVQ(dst, from)
	zero, base, eight := g.zeros(), g.zeros(), g.load(g.i(8))
	loop, done := g.label("loop"), g.label("done")
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef(done))
	g.Label(loop)
	m, lanes, count := g.v(), g.v(), g.GP64()
	g.VCMPPS(operand.U8(cmpNEQ), operand.Mem{Base: src}, zero, m)
	bits := g.GP64()
	g.VMOVMSKPS(m, bits.As32())
	g.SHLQ(operand.Imm(4), bits)
	g.VPMOVZXBD(operand.Mem{Base: table, Index: bits, Scale: 1}, lanes)
	g.VPADDD(base, lanes, lanes)
	g.VMOVDQU(lanes, operand.Mem{Base: dst})
	g.MOVBQZX(operand.Mem{Base: table, Index: bits, Scale: 1, Disp: 8}, count)
	g.LEAQ(operand.Mem{Base: dst, Index: count, Scale: 4}, dst)
	g.VPADDD(eight, base, base)
	g.ADDQ(operand.Imm(32), src)
	g.SUBQ(operand.Imm(8), n)
	g.JNZ(operand.LabelRef(loop))
	g.Label(done)
	g.SUBQ(from, dst)
	g.SHRQ(operand.Imm(2), dst)
	g.VZEROUPPER()
	g.Store(dst, g.ReturnIndex(0))
	g.RET()
}

// nonzeroBits emits, for each of n columns, a multiple of 8, of a matrix of at
// most 32 rows, the rows in which it is not zero, as bits.
func (g *gen) nonzeroBits() {
	g.Function("nonzeroBits8")
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *uint32, src *float32, srcRow, rows, n int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	srcRow := g.Load(g.Param("srcRow"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	zero, first := g.zeros(), g.load(g.i(1))
	columns, down := g.label("columns"), g.label("down")
	g.Label(columns)
	bit, all, p, left := g.v(), g.zeros(), g.GP64(), g.GP64()
	g.VMOVDQU(first, bit)
	g.MOVQ(src, p)
	g.MOVQ(rows, left)
	g.Label(down)
	m := g.v()
	g.VCMPPS(operand.U8(cmpNEQ), operand.Mem{Base: p}, zero, m)
	g.VPAND(bit, m, m)
	g.VPOR(m, all, all)
	g.VPSLLD(operand.U8(1), bit, bit)
	g.ADDQ(srcRow, p)
	g.DECQ(left)
	g.JNZ(operand.LabelRef(down))
	g.VMOVDQU(all, operand.Mem{Base: dst})
	g.ADDQ(operand.Imm(32), dst)
	g.ADDQ(operand.Imm(32), src)
	g.SUBQ(operand.Imm(8), n)
	g.JNZ(operand.LabelRef(columns))
	g.VZEROUPPER()
	g.RET()
}

// finite emits whether all of rows rows of n elements, a multiple of 8, are
// finite: 0 where they are.
func (g *gen) finite() {
	g.Function("notFinite8")
	g.Pragma("noescape")
	g.SignatureExpr("func(src *float32, srcRow, rows, n int) uint32")
	src := g.Load(g.Param("src"), g.GP64())
	srcRow := g.Load(g.Param("srcRow"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	exponent, found := g.load(g.i(0x7f800000)), g.zeros()
	rowLoop, loop := g.label("row"), g.label("loop")
	g.Label(rowLoop)
	p, left := g.GP64(), g.GP64()
	g.MOVQ(src, p)
	g.MOVQ(n, left)
	g.Label(loop)
	x := g.v()
	g.VPAND(operand.Mem{Base: p}, exponent, x)
	g.VPCMPEQD(exponent, x, x)
	g.VPOR(x, found, found)
	g.ADDQ(operand.Imm(32), p)
	g.SUBQ(operand.Imm(8), left)
	g.JNZ(operand.LabelRef(loop))
	g.ADDQ(srcRow, src)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(rowLoop))
	result := g.GP32()
	g.VMOVMSKPS(found, result)
	g.VZEROUPPER()
	g.Store(result, g.ReturnIndex(0))
	g.RET()
}

func zerosFile(g *gen) {
	for _, nv := range []int{1, 2, 4, 8} {
		g.sumRows(nv)
		g.sumBits(nv)
	}
	if !g.wide() {
		g.nonzeros()
		g.nonzeroBits()
		g.finite()
	}
}
