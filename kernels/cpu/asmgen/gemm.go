package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Offsets of the fields of gemm.tile.
const (
	tileA     = 8 * iota // first row of A
	tileB                // first row of the column panel of B
	tileC                // first element of C
	tileARow             // bytes from a row of A to the next
	tileAK               // bytes from a k of A to the next
	tileBK               // bytes from a row of B to the next
	tileLDC              // bytes from a row of C to the next
	tileK                // steps of k in a tap
	tileTaps             // number of taps
	tileTab              // byte offset of A for each tap
	tileCount            // tiles below one another
	tileAStep            // bytes of A from a tile to the next
	tileCStep            // bytes of C from a tile to the next
	tileBias             // bias of the first column, or nil
	tileMask             // lanes of the last vector: pointer to 8 int32 (AVX2), bits (AVX-512)
	tileFlags            // 1: start from C, 2: relu
	tileAOff             // bytes of A before the current tile
	tileCOff             // bytes of C before the current tile
	tilePack             // where packing tiles put the panel of B
)

// tileKind is what a tile does besides multiplying.
type tileKind string

const (
	plainTile   tileKind = ""
	maskedTile  tileKind = "Mask"
	packingTile tileKind = "Pack"
	aheadTile   tileKind = "Ahead"
)

// gemmTile emits the microkernel of mr rows and nv vectors of columns. Row i
// of A is read at a + i*aRow + k*aK, which serves row-major, transposed and
// packed A alike. Every element of C is one chain of fused multiply-adds in the
// order of k. The last vector of a masked tile has only the lanes of the mask. A packing tile also writes the rows of B that it reads, for the tiles
// below; it has one tap. One that looks ahead asks early for what it will read of
// operands that are both packed and need not be in the first-level cache.
func (g *gen) gemmTile(mr, nv int, kind tileKind) {
	masked, packing := kind == maskedTile, kind == packingTile
	name := fmt.Sprintf("tile%dx%d%s", mr, nv*g.lanes, kind)
	g.Function(name + g.name)
	g.Pragma("noescape")
	g.signature("func(t *tile)", "tile")

	t := g.Load(g.Param("t"), g.GP64())
	acc := func(i, j int) reg.VecPhysical { return g.phys(i*nv + j) }
	next := mr * nv
	take := func() reg.VecPhysical { next++; return g.phys(next - 1) }

	// One row of A: the rows of B feed the multiply-add from memory.
	memB := mr == 1 && nv > 2
	bv := make([]reg.VecPhysical, nv)
	if !memB {
		for j := range bv {
			bv[j] = take()
		}
	}
	av := take()

	var mask reg.VecPhysical
	if masked {
		if g.wide() {
			m := g.GP64()
			g.MOVQ(field(t, tileMask), m)
			g.KMOVW(m.As32(), reg.K1)
		} else {
			mask = take()
			m := g.GP64()
			g.MOVQ(field(t, tileMask), m)
			g.VMOVDQU(operand.Mem{Base: m}, mask)
		}
	}
	load := func(m operand.Mem, j int, dst reg.VecPhysical) {
		switch {
		case !masked || j != nv-1:
			g.VMOVUPS(m, dst)
		case g.wide():
			g.VMOVUPS_Z(m, reg.K1, dst)
		default:
			g.VMASKMOVPS(m, mask, dst)
		}
	}
	store := func(src reg.VecPhysical, j int, m operand.Mem) {
		switch {
		case !masked || j != nv-1:
			g.VMOVUPS(src, m)
		case g.wide():
			g.VMOVUPS(src, reg.K1, m)
		default:
			g.VMASKMOVPS(src, mask, m)
		}
	}

	aRow, aK, bK := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(field(t, tileARow), aRow)
	g.MOVQ(field(t, tileAK), aK)
	g.MOVQ(field(t, tileBK), bK)

	tileLoop := g.label("tile")
	g.Label(tileLoop)

	// Start from C, or from zero.
	flags, c, ldc := g.GP64(), g.GP64(), g.GP64()
	g.MOVQ(field(t, tileC), c)
	g.ADDQ(field(t, tileCOff), c)
	g.MOVQ(field(t, tileLDC), ldc)
	g.MOVQ(field(t, tileFlags), flags)
	fromZero, started := g.label("zero"), g.label("started")
	g.TESTQ(operand.U32(1), flags)
	g.JZ(operand.LabelRef(fromZero))
	for i := range mr {
		for j := range nv {
			load(operand.Mem{Base: c, Disp: j * g.bytes()}, j, acc(i, j))
		}
		if i < mr-1 {
			g.ADDQ(ldc, c)
		}
	}
	g.JMP(operand.LabelRef(started))
	g.Label(fromZero)
	for i := range mr {
		for j := range nv {
			g.zero(acc(i, j))
		}
		// The stores at the end find the lines of C in the cache.
		for line := 0; line < nv*g.bytes(); line += 64 {
			g.PREFETCHT0(operand.Mem{Base: c, Disp: line})
		}
		if i < mr-1 {
			g.ADDQ(ldc, c)
		}
	}
	g.Label(started)
	if mr > 3 {
		// Those of the tile below come meanwhile, where that takes long enough. Below
		// the last tile another thread may be writing.
		short := g.label("short")
		g.CMPQ(field(t, tileK), operand.Imm(32))
		g.JLE(operand.LabelRef(short))
		g.CMPQ(field(t, tileCount), operand.Imm(1))
		g.JE(operand.LabelRef(short))
		below := g.GP64()
		g.MOVQ(field(t, tileC), below)
		g.ADDQ(field(t, tileCOff), below)
		g.ADDQ(field(t, tileCStep), below)
		for i := range mr {
			for line := 0; line < nv*g.bytes(); line += 64 {
				g.PREFETCHT1(operand.Mem{Base: below, Disp: line})
			}
			if i < mr-1 {
				g.ADDQ(ldc, below)
			}
		}
		g.Label(short)
	}

	// Rows 3q, 3q+1, 3q+2 are addressed from the base of row 3q.
	bases := make([]reg.GPVirtual, (mr+2)/3)
	for q := range bases {
		bases[q] = g.GP64()
	}
	rowOfA := func(i int) operand.Mem {
		m := operand.Mem{Base: bases[i/3]}
		if i%3 > 0 {
			m.Index, m.Scale = aRow, uint8(i%3)
		}
		return m
	}
	b, k := g.GP64(), g.GP64()
	g.MOVQ(field(t, tileB), b)
	tapLoop, kLoop := g.label("tap"), g.label("k")
	var tab, taps, pack, ahead, lastRow reg.GPVirtual
	if packing {
		pack, ahead = g.GP64(), g.GP64()
		g.MOVQ(field(t, tilePack), pack)
		// Rows of B in place come from far, and from pages and sets of the cache
		// of their own: they are asked for early, into the second level, but none
		// beyond the last, where another thread may be writing.
		lastRow = g.GP64()
		g.MOVQ(field(t, tileK), lastRow)
		g.DECQ(lastRow)
		g.IMULQ(bK, lastRow)
		g.ADDQ(b, lastRow)
		g.MOVQ(bK, ahead)
		g.SHLQ(operand.Imm(5), ahead)
		g.ADDQ(b, ahead)
		g.CMPQ(ahead, lastRow)
		g.CMOVQHI(lastRow, ahead)
		g.MOVQ(field(t, tileA), bases[0])
	} else {
		tab, taps = g.GP64(), g.GP64()
		g.MOVQ(field(t, tileTab), tab)
		g.MOVQ(field(t, tileTaps), taps)
		g.Label(tapLoop)
		g.MOVQ(operand.Mem{Base: tab}, bases[0])
		g.ADDQ(operand.Imm(8), tab)
		g.ADDQ(field(t, tileA), bases[0])
	}
	g.ADDQ(field(t, tileAOff), bases[0])
	for q := 1; q < len(bases); q++ {
		g.LEAQ(operand.Mem{Base: bases[q-1], Index: aRow, Scale: 2}, bases[q])
		g.ADDQ(aRow, bases[q])
	}
	g.MOVQ(field(t, tileK), k)
	g.Label(kLoop)
	if kind == aheadTile {
		for line := 0; line < nv*g.bytes(); line += 64 {
			g.PREFETCHT0(operand.Mem{Base: b, Disp: 16*nv*g.bytes() + line})
		}
		g.PREFETCHT0(operand.Mem{Base: bases[0], Disp: 1024})
	}
	if !memB {
		for j := range nv {
			load(operand.Mem{Base: b, Disp: j * g.bytes()}, j, bv[j])
		}
	}
	if packing {
		for j := range nv {
			g.VMOVUPS(bv[j], operand.Mem{Base: pack, Disp: j * g.bytes()})
		}
		for line := 0; line < nv*g.bytes(); line += 64 {
			g.PREFETCHT1(operand.Mem{Base: ahead, Disp: line})
		}
		g.ADDQ(operand.Imm(uint64(nv*g.bytes())), pack)
		g.ADDQ(bK, ahead)
		g.CMPQ(ahead, lastRow)
		g.CMOVQHI(lastRow, ahead)
	}
	for i := range mr {
		g.VBROADCASTSS(rowOfA(i), av)
		for j := range nv {
			if memB {
				g.VFMADD231PS(operand.Mem{Base: b, Disp: j * g.bytes()}, av, acc(i, j))
			} else {
				g.VFMADD231PS(bv[j], av, acc(i, j))
			}
		}
	}
	for _, a := range bases {
		g.ADDQ(aK, a)
	}
	g.ADDQ(bK, b)
	g.DECQ(k)
	g.JNZ(operand.LabelRef(kLoop))
	if !packing {
		g.DECQ(taps)
		g.JNZ(operand.LabelRef(tapLoop))
	}

	// Epilogue.
	bias := g.GP64()
	noBias, noRelu := g.label("nobias"), g.label("norelu")
	g.MOVQ(field(t, tileBias), bias)
	g.TESTQ(bias, bias)
	g.JZ(operand.LabelRef(noBias))
	for j := range nv {
		load(operand.Mem{Base: bias, Disp: j * g.bytes()}, j, av)
		for i := range mr {
			g.VADDPS(av, acc(i, j), acc(i, j))
		}
	}
	g.Label(noBias)
	g.MOVQ(field(t, tileFlags), flags)
	g.TESTQ(operand.U32(2), flags)
	g.JZ(operand.LabelRef(noRelu))
	g.zero(av)
	for i := range mr {
		for j := range nv {
			// The second source is the result when one of them is NaN.
			g.VMAXPS(acc(i, j), av, acc(i, j))
		}
	}
	g.Label(noRelu)
	g.MOVQ(field(t, tileC), c)
	g.ADDQ(field(t, tileCOff), c)
	g.MOVQ(field(t, tileLDC), ldc)
	for i := range mr {
		for j := range nv {
			store(acc(i, j), j, operand.Mem{Base: c, Disp: j * g.bytes()})
		}
		if i < mr-1 {
			g.ADDQ(ldc, c)
		}
	}

	step := g.GP64()
	g.MOVQ(field(t, tileAStep), step)
	g.ADDQ(step, field(t, tileAOff))
	g.MOVQ(field(t, tileCStep), step)
	g.ADDQ(step, field(t, tileCOff))
	g.DECQ(field(t, tileCount))
	g.JNZ(operand.LabelRef(tileLoop))
	g.VZEROUPPER()
	g.RET()
}

// peakFMA emits a loop of independent multiply-adds: the calibration of the
// peak.
func (g *gen) peakFMA() {
	const chains = 12
	g.Function("peakFMA" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(n int)")
	n := g.Load(g.Param("n"), g.GP64())
	for i := range chains + 2 {
		g.zero(g.phys(i))
	}
	loop := g.label("loop")
	g.Label(loop)
	for range 4 {
		for i := range chains {
			g.VFMADD231PS(g.phys(chains), g.phys(chains+1), g.phys(i))
		}
	}
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// packT emits the transposing pack: k columns of up to 8 rows of a row-major
// matrix become k rows of 8 floats, dstStep bytes apart. Fewer than 8 rows
// repeat the last. k is a multiple of 8.
func (g *gen) packT() {
	g.Function("packT8")
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *float32, dstStep int, src *float32, srcRow int, rows int, k int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	dstStep := g.Load(g.Param("dstStep"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	srcRow := g.Load(g.Param("srcRow"), g.GP64())
	rows := g.Load(g.Param("rows"), g.GP64())
	k := g.Load(g.Param("k"), g.GP64())

	loop := g.label("loop")
	g.Label(loop)
	p, left := g.GP64(), g.GP64()
	g.MOVQ(src, p)
	g.MOVQ(rows, left)
	zero := g.GP64()
	g.XORQ(zero, zero)
	step := g.GP64()
	for i := range 8 {
		g.VMOVUPS(operand.Mem{Base: p}, ymms[i])
		if i < 7 {
			// Rows beyond the last repeat it.
			g.DECQ(left)
			g.MOVQ(srcRow, step)
			g.CMOVQLE(zero, step)
			g.ADDQ(step, p)
		}
	}
	for _, y := range g.transpose8(ymms) {
		g.VMOVUPS(y, operand.Mem{Base: dst})
		g.ADDQ(dstStep, dst)
	}
	g.ADDQ(operand.Imm(32), src)
	g.SUBQ(operand.Imm(8), k)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// packN emits the straight pack of narrow tiles: k rows of 8 floats, srcStep
// bytes apart, are stored dstStep bytes apart. A step below 32 makes each row
// overwrite the excess of the one before.
func (g *gen) packN() {
	g.Function("packN8")
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *float32, dstStep int, src *float32, srcStep int, k int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	dstStep := g.Load(g.Param("dstStep"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	srcStep := g.Load(g.Param("srcStep"), g.GP64())
	k := g.Load(g.Param("k"), g.GP64())
	loop := g.label("loop")
	g.Label(loop)
	g.VMOVUPS(operand.Mem{Base: src}, reg.Y0)
	g.VMOVUPS(reg.Y0, operand.Mem{Base: dst})
	g.ADDQ(srcStep, src)
	g.ADDQ(dstStep, dst)
	g.DECQ(k)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// transpose8 transposes the 8x8 matrix in the first 8 of the 16 registers and
// returns the registers that hold the rows of the result.
func (g *gen) transpose8(y []reg.VecPhysical) []reg.VecPhysical {
	for i := 0; i < 8; i += 2 {
		g.VUNPCKLPS(y[i+1], y[i], y[8+i])
		g.VUNPCKHPS(y[i+1], y[i], y[9+i])
	}
	for i := 0; i < 8; i += 4 {
		g.VSHUFPS(operand.U8(0x44), y[8+i+2], y[8+i], y[i])
		g.VSHUFPS(operand.U8(0xee), y[8+i+2], y[8+i], y[i+1])
		g.VSHUFPS(operand.U8(0x44), y[8+i+3], y[8+i+1], y[i+2])
		g.VSHUFPS(operand.U8(0xee), y[8+i+3], y[8+i+1], y[i+3])
	}
	for i := range 4 {
		g.VPERM2F128(operand.U8(0x20), y[4+i], y[i], y[8+i])
		g.VPERM2F128(operand.U8(0x31), y[4+i], y[i], y[12+i])
	}
	return y[8:16]
}

// copyPanel emits the straight pack: k rows of two vectors, srcRow bytes
// apart, become contiguous.
func (g *gen) copyPanel() {
	g.Function("copyPanel" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst, src *float32, srcRow int, k int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	srcRow := g.Load(g.Param("srcRow"), g.GP64())
	k := g.Load(g.Param("k"), g.GP64())
	loop := g.label("loop")
	g.Label(loop)
	for j := range 2 {
		g.VMOVUPS(operand.Mem{Base: src, Disp: j * g.bytes()}, g.phys(j))
		g.VMOVUPS(g.phys(j), operand.Mem{Base: dst, Disp: j * g.bytes()})
	}
	g.ADDQ(srcRow, src)
	g.ADDQ(operand.Imm(uint64(2*g.bytes())), dst)
	g.DECQ(k)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// gemmFile emits all of a variant.
func gemmFile(g *gen) {
	maxRows := 6
	if g.wide() {
		maxRows = 14
	}
	for mr := 1; mr <= maxRows; mr++ {
		g.gemmTile(mr, 2, plainTile)
		g.gemmTile(mr, 2, maskedTile)
		g.gemmTile(mr, 1, maskedTile)
		if mr > maxRows-3 { // of many rows, no tile is lower
			g.gemmTile(mr, 2, packingTile)
			if g.wide() {
				g.gemmTile(mr, 2, aheadTile)
			}
		}
	}
	// Few rows take more columns at once, to have enough chains.
	g.gemmTile(1, 8, plainTile)
	if g.wide() {
		g.gemmTile(1, 4, plainTile) // 64 columns
	}
	g.gemmTile(2, 4, plainTile)
	g.gemmTile(3, 3, plainTile)
	zerosFile(g)
	g.peakFMA()
	g.copyPanel()
	if !g.wide() {
		g.packT()
		g.packN()
	}
}
