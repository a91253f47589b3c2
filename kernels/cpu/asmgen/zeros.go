package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The kernels of products whose left operand is mostly zeros: its zeros are
// found, and only the other elements are multiplied.

// sumRows emits rows of C, nv vectors of each, from those elements of the rows
// of A that the indices name, counts[i] of them for row i, and the rows of B that
// they meet:
//
//	for each of rows:
//		c = C if flags&1 else 0
//		for each of counts: c[j] += a[index] * b[index*bRow + j]
//
// The last vector has last columns where there are masks.
func (g *gen) sumRows(nv int) {
	g.Function(fmt.Sprintf("sumRows%d", nv*g.lanes) + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(c *float32, cRow int, a *float32, aRow int, index, counts *uint32, rows int, b *float32, bRow int, flags, last int)")
	c := g.Load(g.Param("c"), g.GP64())
	a := g.Load(g.Param("a"), g.GP64())
	index := g.Load(g.Param("index"), g.GP64())
	counts := g.Load(g.Param("counts"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	b := g.Load(g.Param("b"), g.GP64())
	bRow := g.Load(g.Param("bRow"), g.GP64())
	flags := g.Load(g.Param("flags"), g.GP64())
	cRow := g.Load(g.Param("cRow"), g.GP64())
	aRow := g.Load(g.Param("aRow"), g.GP64())

	columns := g.columns(nv)
	rowLoop, loop, done := g.label("row"), g.label("element"), g.label("done")
	g.Label(rowLoop)
	columns.start(c, flags)
	n := g.GP64()
	g.MOVL(operand.Mem{Base: counts}, n.As32())
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
	columns.add(row)
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	g.Label(done)
	columns.store(c)
	g.ADDQ(cRow, c)
	g.ADDQ(aRow, a)
	g.ADDQ(operand.Imm(4), counts)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(rowLoop))
	g.VZEROUPPER()
	g.RET()
}

// columns are the vectors of a row of C, in the first registers; the next one holds
// what they are multiplied with.
type columns struct {
	*gen
	nv   int
	mask reg.Register // of the last one
}

// columns takes the number of the last vector's columns from the argument last.
func (g *gen) columns(nv int) columns {
	c := columns{gen: g, nv: nv}
	if g.wide() {
		c.mask = g.mask(g.Load(g.Param("last"), g.GP64()))
	}
	return c
}

func (c columns) masked(j int) bool { return c.wide() && j == c.nv-1 }

// start sets the vectors to those at p, or to zero.
func (c columns) start(p, flags reg.Register) {
	zero, started := c.label("zero"), c.label("started")
	c.TESTQ(operand.U32(1), flags)
	c.JZ(operand.LabelRef(zero))
	for j := range c.nv {
		if m := (operand.Mem{Base: p, Disp: j * c.bytes()}); c.masked(j) {
			c.VMOVUPS_Z(m, c.mask, c.phys(j))
		} else {
			c.VMOVUPS(m, c.phys(j))
		}
	}
	c.JMP(operand.LabelRef(started))
	c.Label(zero)
	for j := range c.nv {
		c.zero(c.phys(j))
	}
	c.Label(started)
}

// add adds the multiple of those at p.
func (c columns) add(p reg.Register) {
	for j := range c.nv {
		if m := (operand.Mem{Base: p, Disp: j * c.bytes()}); c.masked(j) {
			c.VFMADD231PS(m, c.phys(c.nv), c.mask, c.phys(j))
		} else {
			c.VFMADD231PS(m, c.phys(c.nv), c.phys(j))
		}
	}
}

func (c columns) store(p reg.Register) {
	for j := range c.nv {
		if m := (operand.Mem{Base: p, Disp: j * c.bytes()}); c.masked(j) {
			c.VMOVUPS(c.phys(j), c.mask, m)
		} else {
			c.VMOVUPS(c.phys(j), m)
		}
	}
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
	g.SignatureExpr("func(c *float32, cRow int, a *float32, aRow int, bits *uint32, rows int, b *float32, bRow int, flags, last int)")
	c := g.Load(g.Param("c"), g.GP64())
	a := g.Load(g.Param("a"), g.GP64())
	aRow := g.Load(g.Param("aRow"), g.GP64())
	bits := g.Load(g.Param("bits"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	b := g.Load(g.Param("b"), g.GP64())
	bRow := g.Load(g.Param("bRow"), g.GP64())
	flags := g.Load(g.Param("flags"), g.GP64())
	cRow := g.Load(g.Param("cRow"), g.GP64())

	columns := g.columns(nv)
	rowLoop, loop, done := g.label("row"), g.label("element"), g.label("done")
	g.Label(rowLoop)
	columns.start(c, flags)
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
	columns.add(k)
	g.BLSRQ(m, m)
	g.JNZ(operand.LabelRef(loop))
	g.Label(done)
	columns.store(c)
	g.ADDQ(cRow, c)
	g.ADDQ(operand.Imm(4), a)
	g.ADDQ(operand.Imm(4), bits)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(rowLoop))
	g.VZEROUPPER()
	g.RET()
}

// nonzeros emits the indices of the elements that are not zero of rows of n
// elements, row after row, with how many each row has. The sum is returned. Up to
// a vector of words beyond the last index is written. Package gemm has the table:
// for a mask of 8 lanes, in 16 bytes, the numbers of those lanes and how many they
// are.
func (g *gen) nonzeros() {
	g.Function("nonzeros" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst, counts *uint32, src *float32, srcRow, rows, n int, table *[256][16]uint8) int")
	dst := g.Load(g.Param("dst"), g.GP64())
	counts := g.Load(g.Param("counts"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	srcRow := g.Load(g.Param("srcRow"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	table := g.Load(g.Param("table"), g.GP64())
	begin, from := g.GP64(), g.GP64()
	g.MOVQ(dst, begin)
	var lanes []uint32
	for i := range g.lanes {
		lanes = append(lanes, uint32(i))
	}
	zero, first, step := g.zeros(), g.load(g.words("lanes", lanes)), g.load(g.i(uint32(g.lanes)))
	rowLoop, loop, rest, one, done := g.label("row"), g.label("loop"), g.label("rest"), g.label("one"), g.label("done")
	// found writes the indices of the vector x, whose first is base's, and moves dst.
	found := func(x operand.Op, base vec) {
		bits, count := g.GP64(), g.GP64()
		if g.wide() {
			m, k := g.K(), g.v()
			g.VCMPPS(operand.U8(cmpNEQ), x, zero, m)
			g.VPCOMPRESSD_Z(base, m, k)
			g.VMOVUPS(k, operand.Mem{Base: dst})
			g.KMOVW(m, bits.As32())
			g.POPCNTL(bits.As32(), count.As32())
		} else {
			m, k := g.v(), g.v()
			g.VCMPPS(operand.U8(cmpNEQ), x, zero, m)
			g.VMOVMSKPS(m, bits.As32())
			g.SHLQ(operand.Imm(4), bits)
			g.VPMOVZXBD(operand.Mem{Base: table, Index: bits, Scale: 1}, k)
			// The first index is that of lane 0 in all lanes.
			g.VPADDD(base, k, k)
			g.VMOVDQU(k, operand.Mem{Base: dst})
			g.MOVBQZX(operand.Mem{Base: table, Index: bits, Scale: 1, Disp: 8}, count)
		}
		g.LEAQ(operand.Mem{Base: dst, Index: count, Scale: 4}, dst)
	}
	g.Label(rowLoop)
	p, left, base := g.GP64(), g.GP64(), g.v()
	g.MOVQ(dst, from)
	g.MOVQ(src, p)
	g.MOVQ(n, left)
	if g.wide() {
		g.VMOVUPS(first, base)
	} else {
		g.zero(base)
	}
	g.SUBQ(operand.Imm(uint64(g.lanes)), left)
	g.JL(operand.LabelRef(rest))
	g.Label(loop)
	found(operand.Mem{Base: p}, base)
	g.VPADDD(step, base, base)
	g.ADDQ(operand.Imm(uint64(g.bytes())), p)
	g.SUBQ(operand.Imm(uint64(g.lanes)), left)
	g.JGE(operand.LabelRef(loop))
	g.Label(rest)
	g.ADDQ(operand.Imm(uint64(g.lanes)), left)
	g.JZ(operand.LabelRef(done))
	if g.wide() {
		found(g.loadMasked(operand.Mem{Base: p}, g.mask(left)), base)
	} else {
		i, word := g.GP64(), g.GP32()
		g.VMOVD(base.AsX(), i.As32())
		g.Label(one)
		g.MOVL(operand.Mem{Base: p}, word)
		g.MOVL(i.As32(), operand.Mem{Base: dst})
		g.ADDQ(operand.Imm(1), i)
		g.ADDQ(operand.Imm(4), p)
		// The next index goes where this one is unless the word, but for its sign, is
		// not zero.
		g.ADDL(word, word)
		g.NEGL(word)
		g.SBBQ(word.As64(), word.As64())
		g.ANDQ(operand.Imm(4), word.As64())
		g.ADDQ(word.As64(), dst)
		g.DECQ(left)
		g.JNZ(operand.LabelRef(one))
	}
	g.Label(done)
	g.MOVQ(dst, left)
	g.SUBQ(from, left)
	g.SHRQ(operand.Imm(2), left)
	g.MOVL(left.As32(), operand.Mem{Base: counts})
	g.ADDQ(operand.Imm(4), counts)
	g.ADDQ(srcRow, src)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(rowLoop))
	g.SUBQ(begin, dst)
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
// finite: 0 where they are. Zero times a finite number is zero, and anything else
// not a number, which sums keep.
func (g *gen) finite() {
	const accs = 4
	g.Function("notFinite" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(src *float32, srcRow, rows, n int) uint32")
	src := g.Load(g.Param("src"), g.GP64())
	srcRow := g.Load(g.Param("srcRow"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	for i := range accs + 2 {
		g.zero(g.phys(i))
	}
	rest, zero := ymms[accs], accs+1
	rowLoop, loop, few, one, next := g.label("row"), g.label("loop"), g.label("few"), g.label("one"), g.label("next")
	g.Label(rowLoop)
	p, left := g.GP64(), g.GP64()
	g.MOVQ(src, p)
	g.MOVQ(n, left)
	g.SUBQ(operand.Imm(uint64(accs*g.lanes)), left)
	g.JL(operand.LabelRef(few))
	g.Label(loop)
	for i := range accs {
		g.VFMADD231PS(operand.Mem{Base: p, Disp: i * g.bytes()}, g.phys(zero), g.phys(i))
	}
	g.ADDQ(operand.U32(accs*g.bytes()), p)
	g.SUBQ(operand.Imm(uint64(accs*g.lanes)), left)
	g.JGE(operand.LabelRef(loop))
	g.Label(few)
	g.ADDQ(operand.Imm(uint64(accs*g.lanes)), left)
	g.JZ(operand.LabelRef(next))
	g.Label(one)
	g.VFMADD231PS(operand.Mem{Base: p}, ymms[zero], rest)
	g.ADDQ(operand.Imm(32), p)
	g.SUBQ(operand.Imm(8), left)
	g.JNZ(operand.LabelRef(one))
	g.Label(next)
	g.ADDQ(srcRow, src)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(rowLoop))
	for i := 1; i < accs; i++ {
		g.VADDPS(g.phys(i), g.phys(0), g.phys(0))
	}
	if g.wide() {
		g.VEXTRACTF32X8(operand.U8(1), g.phys(0), ymms[1])
		g.VADDPS(ymms[1], ymms[0], ymms[0])
	}
	g.VADDPS(rest, ymms[0], ymms[0])
	g.VCMPPS(operand.U8(cmpUNORD), ymms[0], ymms[0], ymms[0])
	result := g.GP32()
	g.VMOVMSKPS(ymms[0], result)
	g.VZEROUPPER()
	g.Store(result, g.ReturnIndex(0))
	g.RET()
}

// finish emits the epilogue of rows of n elements, a multiple of 8: bias is added
// where there is one, and flags&2 applies relu, both as the tiles do.
func (g *gen) finish() {
	g.Function("finish8")
	g.Pragma("noescape")
	g.SignatureExpr("func(c *float32, cRow, rows, n int, bias *float32, flags int)")
	c := g.Load(g.Param("c"), g.GP64())
	cRow := g.Load(g.Param("cRow"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	bias := g.Load(g.Param("bias"), g.GP64())
	flags := g.Load(g.Param("flags"), g.GP64())
	zero := g.zeros()
	rowLoop, loop, noBias, noRelu := g.label("row"), g.label("loop"), g.label("nobias"), g.label("norelu")
	g.Label(rowLoop)
	at := g.GP64()
	g.XORQ(at, at)
	g.Label(loop)
	x := g.load(operand.Mem{Base: c, Index: at, Scale: 4})
	g.TESTQ(bias, bias)
	g.JZ(operand.LabelRef(noBias))
	g.VADDPS(operand.Mem{Base: bias, Index: at, Scale: 4}, x, x)
	g.Label(noBias)
	g.TESTQ(operand.U32(2), flags)
	g.JZ(operand.LabelRef(noRelu))
	// The second source is the result when one of them is NaN.
	g.VMAXPS(x, zero, x)
	g.Label(noRelu)
	g.VMOVUPS(x, operand.Mem{Base: c, Index: at, Scale: 4})
	g.ADDQ(operand.Imm(8), at)
	g.CMPQ(at, n)
	g.JL(operand.LabelRef(loop))
	g.ADDQ(cRow, c)
	g.DECQ(rows)
	g.JNZ(operand.LabelRef(rowLoop))
	g.VZEROUPPER()
	g.RET()
}

func zerosFile(g *gen) {
	widths := []int{1, 2, 4, 8}
	if g.wide() {
		widths = []int{1, 2, 3, 4, 5, 6, 7, 8}
	}
	for _, nv := range widths {
		g.sumRows(nv)
		g.sumBits(nv)
	}
	g.finite()
	g.nonzeros()
	if !g.wide() {
		g.nonzeroBits()
		g.finish()
	}
}
