package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// convertLoop emits a conversion of n elements, a multiple of the lanes, from
// elements of type from to elements of type to.
func (g *gen) convertLoop(name, from, to string, fromSize, toSize int, body func(src, dst reg.Register)) {
	g.Function(name + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *" + to + ", src *" + from + ", n int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	src := g.Load(g.Param("src"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	loop := g.label("loop")
	g.Label(loop)
	body(src, dst)
	g.ADDQ(operand.U32(fromSize*g.lanes), src)
	g.ADDQ(operand.U32(toSize*g.lanes), dst)
	g.SUBQ(operand.Imm(uint64(g.lanes)), n)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// truncated is x as an integer, towards zero and between low and high.
func (g *gen) truncated(x vec, low, high float64) vec {
	x = g.keep(cmpEQ, x, x, x) // NaN is zero
	x = g.max(g.min(x, g.f(high)), g.f(low))
	g.VCVTTPS2DQ(x, x)
	return x
}

func at(p reg.Register, disp int) operand.Mem { return operand.Mem{Base: p, Disp: disp} }

// half is the lower half of v: the register of half the width.
func (g *gen) half(v vec) reg.Register {
	if g.wide() {
		return v.AsY()
	}
	return v.AsX()
}

// packedI32 narrows the 32-bit lanes of v, which fit, to bytes at m.
func (g *gen) packBytes(v vec, m operand.Mem) {
	if g.wide() {
		g.VPMOVDB(v, m)
		return
	}
	hi := g.XMM()
	g.VEXTRACTI128(operand.U8(1), v, hi)
	g.VPACKSSDW(hi, v.AsX(), hi)
	g.VPACKSSWB(hi, hi, hi)
	g.VMOVQ(hi, m)
}

func (g *gen) conversions() {
	g.convertLoop("toBF16", "float32", "uint16", 4, 2, func(src, dst reg.Register) {
		// Round to nearest even; a NaN keeps its upper bits and is made quiet.
		x := g.load(at(src, 0))
		odd := g.and(g.shr(x, 16), g.i(1))
		r := g.shr(g.iadd(g.iadd(x, odd), g.i(0x7fff)), 16)
		quiet := g.or(g.shr(x, 16), g.i(0x40))
		r = g.choose(cmpUNORD, x, x, quiet, r)
		if g.wide() {
			g.VPMOVDW(r, at(dst, 0))
			return
		}
		hi := g.XMM()
		g.VEXTRACTI128(operand.U8(1), r, hi)
		g.VPACKUSDW(hi, r.AsX(), hi)
		g.VMOVUPS(hi, at(dst, 0))
	})
	g.convertLoop("fromBF16", "uint16", "float32", 2, 4, func(src, dst reg.Register) {
		x := g.v()
		g.VPMOVZXWD(at(src, 0), x)
		g.VMOVUPS(g.shl(x, 16), at(dst, 0))
	})
	g.convertLoop("toF16", "float32", "uint16", 4, 2, func(src, dst reg.Register) {
		g.VCVTPS2PH(operand.U8(0), g.load(at(src, 0)), at(dst, 0))
	})
	g.convertLoop("fromF16", "uint16", "float32", 2, 4, func(src, dst reg.Register) {
		x := g.v()
		g.VCVTPH2PS(at(src, 0), x)
		g.VMOVUPS(x, at(dst, 0))
	})
	// To integers: towards zero, to the nearest that there is, NaN to zero.
	g.convertLoop("toI8", "float32", "int8", 4, 1, func(src, dst reg.Register) {
		g.packBytes(g.truncated(g.load(at(src, 0)), -128, 127), at(dst, 0))
	})
	g.convertLoop("toU8", "float32", "uint8", 4, 1, func(src, dst reg.Register) {
		// Below 128 in value, the lower byte is what the signed one is.
		x := g.truncated(g.load(at(src, 0)), 0, 255)
		g.packBytes(g.sar(g.shl(x, 24), 24), at(dst, 0))
	})
	g.convertLoop("toI32", "float32", "int32", 4, 4, func(src, dst reg.Register) {
		x := g.load(at(src, 0))
		y := g.v()
		g.VCVTTPS2DQ(x, y) // what is too large either way becomes the least
		ones := g.load(g.i(0xffffffff))
		y = g.xor(y, g.keep(cmpLE, g.load(g.f(1<<31)), x, ones))
		g.VMOVUPS(g.keep(cmpEQ, x, x, y), at(dst, 0))
	})
	for _, c := range []struct{ name, from string }{{"fromI8", "int8"}, {"fromU8", "uint8"}} {
		g.convertLoop(c.name, c.from, "float32", 1, 4, func(src, dst reg.Register) {
			x := g.v()
			if c.from == "int8" {
				g.VPMOVSXBD(at(src, 0), x)
			} else {
				g.VPMOVZXBD(at(src, 0), x)
			}
			g.VCVTDQ2PS(x, x)
			g.VMOVUPS(x, at(dst, 0))
		})
	}
	g.convertLoop("fromI32", "int32", "float32", 4, 4, func(src, dst reg.Register) {
		x := g.v()
		g.VCVTDQ2PS(at(src, 0), x)
		g.VMOVUPS(x, at(dst, 0))
	})
	g.convertLoop("toF64", "float32", "float64", 4, 8, func(src, dst reg.Register) {
		for h := range 2 {
			x := g.v()
			g.VCVTPS2PD(at(src, h*g.bytes()/2), x)
			g.VMOVUPS(x, at(dst, h*g.bytes()))
		}
	})
	g.convertLoop("fromF64", "float64", "float32", 8, 4, func(src, dst reg.Register) {
		for h := range 2 {
			x := g.load(at(src, h*g.bytes()))
			y := g.half(g.v())
			if g.wide() {
				g.VCVTPD2PS(x, y)
			} else {
				g.VCVTPD2PSY(x, y)
			}
			g.VMOVUPS(y, at(dst, h*g.bytes()/2))
		}
	})
	// Comparisons make bytes 0 and 1, which select reads.
	for _, c := range []struct {
		name string
		pred uint8
	}{{"equal", cmpEQ}, {"notEqual", cmpNEQ}, {"less", cmpLT}, {"lessEqual", cmpLE}} {
		g.compareLoop(c.name, c.pred)
	}
	g.selectLoop()
}

// compareLoop emits dst = 1 where x compares with y, else 0; n is a multiple
// of the lanes.
func (g *gen) compareLoop(name string, pred uint8) {
	g.Function(name + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *uint8, x, y *float32, n int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	x := g.Load(g.Param("x"), g.GP64())
	y := g.Load(g.Param("y"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	loop := g.label("loop")
	g.Label(loop)
	one := g.load(g.i(1))
	g.packBytes(g.keep(pred, g.load(at(x, 0)), at(y, 0), one), at(dst, 0))
	g.ADDQ(operand.U32(g.bytes()), x)
	g.ADDQ(operand.U32(g.bytes()), y)
	g.ADDQ(operand.Imm(uint64(g.lanes)), dst)
	g.SUBQ(operand.Imm(uint64(g.lanes)), n)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

// selectLoop emits dst = x where cond is not zero, else y; n is a multiple of
// the lanes.
func (g *gen) selectLoop() {
	g.Function("selectBytes" + g.name)
	g.Pragma("noescape")
	g.SignatureExpr("func(dst *float32, cond *uint8, x, y *float32, n int)")
	dst := g.Load(g.Param("dst"), g.GP64())
	cond := g.Load(g.Param("cond"), g.GP64())
	x := g.Load(g.Param("x"), g.GP64())
	y := g.Load(g.Param("y"), g.GP64())
	n := g.Load(g.Param("n"), g.GP64())
	loop := g.label("loop")
	g.Label(loop)
	c := g.v()
	g.VPMOVZXBD(at(cond, 0), c)
	g.VCVTDQ2PS(c, c)
	g.VMOVUPS(g.choose(cmpNEQ, c, g.f(0), g.load(at(x, 0)), g.load(at(y, 0))), at(dst, 0))
	for _, p := range []reg.Register{dst, x, y} {
		g.ADDQ(operand.U32(g.bytes()), p)
	}
	g.ADDQ(operand.Imm(uint64(g.lanes)), cond)
	g.SUBQ(operand.Imm(uint64(g.lanes)), n)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}
