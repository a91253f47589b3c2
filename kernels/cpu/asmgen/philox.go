package main

import (
	"github.com/mmcloughlin/avo/operand"
)

// The constants of Philox4x32 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", 2011).
const (
	philoxM0 = 0xd2511f53
	philoxM1 = 0xcd9e8d57
	philoxW0 = 0x9e3779b9
	philoxW1 = 0xbb67ae85
)

// philox emits a generator of blocks*lanes counters, 4 words each, that ends
// with what finish makes of the vectors of words before they are stored.
//
// The state is kept in 64-bit lanes, whose upper halves are garbage: the
// multiplication reads lower halves alone and yields both halves of the
// product. Lane p = 4*L+j of a block, 4 lanes of 32 bits to the 128-bit lane L,
// takes counter offset j*lanes/4 + L, so that interleaving within 128-bit
// lanes leaves the words of successive counters in order.
func (g *gen) philox(name, outType string, finish func(x vec) vec) {
	g.Function(name + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *" + outType + ", key *[2]uint32, counter *[4]uint32, blocks int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	key := g.Load(g.Param("key"), g.GP64())
	counter := g.Load(g.Param("counter"), g.GP64())
	blocks := g.Load(g.Param("blocks"), g.GP64())

	// The counters of a block, from the first.
	quarter := g.lanes / 4
	offsets := make([]uint32, g.lanes)
	for p := range offsets {
		offsets[p] = uint32(p%4*quarter + p/4)
	}
	first := g.iadd(g.broadcast(operand.Mem{Base: counter}), g.words("philoxOffsets", offsets))

	loop := g.label("block")
	g.Label(loop)
	// Even and odd 32-bit lanes.
	var x [4][2]vec
	x[0][0] = g.v()
	g.VMOVUPS(first, x[0][0])
	x[0][1] = g.v()
	g.VPSRLQ(operand.U8(32), first, x[0][1])
	for w := 1; w < 4; w++ {
		for h := range 2 {
			x[w][h] = g.broadcast(operand.Mem{Base: counter, Disp: 4 * w})
		}
	}
	k0 := g.broadcast(operand.Mem{Base: key})
	k1 := g.broadcast(operand.Mem{Base: key, Disp: 4})
	for round := range 10 {
		for h := range 2 {
			p0, p1 := g.v(), g.v()
			g.VPMULUDQ(g.i(philoxM0), x[0][h], p0)
			g.VPMULUDQ(g.i(philoxM1), x[2][h], p1)
			hi0, hi1 := g.v(), g.v()
			g.VPSRLQ(operand.U8(32), p0, hi0)
			g.VPSRLQ(operand.U8(32), p1, hi1)
			x[0][h] = g.xor(g.xor(x[1][h], k0), hi1)
			x[2][h] = g.xor(g.xor(x[3][h], k1), hi0)
			x[1][h], x[3][h] = p1, p0
		}
		if round < 9 {
			k0 = g.iadd(k0, g.i(philoxW0))
			k1 = g.iadd(k1, g.i(philoxW1))
		}
	}
	var word [4]vec
	for w := range word {
		odd := g.v()
		g.VPSLLQ(operand.U8(32), x[w][1], odd)
		word[w] = g.v()
		if g.wide() {
			even := g.and(x[w][0], g.low32())
			word[w] = g.or(even, odd)
		} else {
			g.VPBLENDD(operand.U8(0xaa), odd, x[w][0], word[w])
		}
	}
	// Interleave the words of a counter.
	t := [4]vec{g.v(), g.v(), g.v(), g.v()}
	g.VPUNPCKLDQ(word[1], word[0], t[0])
	g.VPUNPCKHDQ(word[1], word[0], t[1])
	g.VPUNPCKLDQ(word[3], word[2], t[2])
	g.VPUNPCKHDQ(word[3], word[2], t[3])
	for j := range 4 {
		y := g.v()
		if j%2 == 0 {
			g.VPUNPCKLQDQ(t[2+j/2], t[j/2], y)
		} else {
			g.VPUNPCKHQDQ(t[2+j/2], t[j/2], y)
		}
		g.VMOVUPS(finish(y), operand.Mem{Base: dst, Disp: j * g.bytes()})
	}
	g.ADDQ(operand.U32(4*g.bytes()), dst)
	g.VPADDD(g.i(uint32(g.lanes)), first, first)
	g.DECQ(blocks)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// low32 is the mask of the even 32-bit lanes.
func (g *gen) low32() operand.Mem {
	words := make([]uint32, g.lanes)
	for i := range words {
		words[i] = uint32(0xffffffff * ((i + 1) % 2))
	}
	return g.words("low32", words)
}

func philoxFile(g *gen) {
	g.philox("fill", "uint32", func(x vec) vec { return x })
	// The upper 24 bits as a multiple of 2^-24.
	g.philox("uniform", "float32", func(x vec) vec {
		d := g.v()
		g.VCVTDQ2PS(g.shr(x, 8), d)
		return g.mul(d, g.f(0x1p-24))
	})
}
