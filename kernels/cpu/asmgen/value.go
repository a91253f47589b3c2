package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vec is a vector in a register that the allocator picks.
type vec = reg.VecVirtual

// Comparison predicates of VCMPPS.
const (
	cmpEQ    = 0x00
	cmpLT    = 0x11 // quiet
	cmpLE    = 0x12
	cmpUNORD = 0x03
	cmpNEQ   = 0x04 // true for NaN
	cmpNLT   = 0x15 // true for NaN, quiet
	cmpGE    = 0x1d
	cmpGT    = 0x1e
)

// v is a fresh vector register.
func (g *gen) v() vec {
	if g.wide() {
		return g.ZMM()
	}
	return g.YMM()
}

// The operations below put their result into a fresh register. Operands y are
// registers or memory.

func (g *gen) load(m operand.Op) vec { d := g.v(); g.VMOVUPS(m, d); return d }

func (g *gen) broadcast(m operand.Op) vec { d := g.v(); g.VBROADCASTSS(m, d); return d }

func (g *gen) zeros() vec { d := g.v(); g.zero(d); return d }

func (g *gen) add(x vec, y operand.Op) vec { d := g.v(); g.VADDPS(y, x, d); return d }
func (g *gen) sub(x vec, y operand.Op) vec { d := g.v(); g.VSUBPS(y, x, d); return d }
func (g *gen) mul(x vec, y operand.Op) vec { d := g.v(); g.VMULPS(y, x, d); return d }
func (g *gen) div(x vec, y operand.Op) vec { d := g.v(); g.VDIVPS(y, x, d); return d }

// max and min return y where x or y is NaN.
func (g *gen) max(x vec, y operand.Op) vec { d := g.v(); g.VMAXPS(y, x, d); return d }
func (g *gen) min(x vec, y operand.Op) vec { d := g.v(); g.VMINPS(y, x, d); return d }

func (g *gen) sqrt(x operand.Op) vec { d := g.v(); g.VSQRTPS(x, d); return d }

// fma is x*y + z.
func (g *gen) fma(x vec, y operand.Op, z operand.Op) vec {
	d := g.v()
	g.VMOVUPS(z, d)
	g.VFMADD231PS(y, x, d)
	return d
}

// fnma is z - x*y.
func (g *gen) fnma(x vec, y operand.Op, z operand.Op) vec {
	d := g.v()
	g.VMOVUPS(z, d)
	g.VFNMADD231PS(y, x, d)
	return d
}

// horner is the polynomial with the coefficients c, lowest first, at x.
func (g *gen) horner(x vec, c ...float64) vec {
	d := g.load(g.f(c[len(c)-1]))
	for i := len(c) - 2; i >= 0; i-- {
		g.VFMADD213PS(g.f(c[i]), x, d)
	}
	return d
}

// Bitwise operations.

func (g *gen) and(x vec, y operand.Op) vec {
	d := g.v()
	if g.wide() {
		g.VPANDD(y, x, d)
	} else {
		g.VPAND(y, x, d)
	}
	return d
}

func (g *gen) or(x vec, y operand.Op) vec {
	d := g.v()
	if g.wide() {
		g.VPORD(y, x, d)
	} else {
		g.VPOR(y, x, d)
	}
	return d
}

func (g *gen) xor(x vec, y operand.Op) vec {
	d := g.v()
	if g.wide() {
		g.VPXORD(y, x, d)
	} else {
		g.VPXOR(y, x, d)
	}
	return d
}

// Integer operations on 32-bit lanes.

func (g *gen) iadd(x vec, y operand.Op) vec { d := g.v(); g.VPADDD(y, x, d); return d }
func (g *gen) isub(x vec, y operand.Op) vec { d := g.v(); g.VPSUBD(y, x, d); return d }

func (g *gen) shl(x vec, n uint8) vec { d := g.v(); g.VPSLLD(operand.U8(n), x, d); return d }
func (g *gen) shr(x vec, n uint8) vec { d := g.v(); g.VPSRLD(operand.U8(n), x, d); return d }
func (g *gen) sar(x vec, n uint8) vec { d := g.v(); g.VPSRAD(operand.U8(n), x, d); return d }

// choose is a where x compares with y, and b elsewhere.
func (g *gen) choose(pred uint8, x vec, y operand.Op, a, b vec) vec {
	d := g.v()
	if g.wide() {
		k := g.K()
		g.VCMPPS(operand.U8(pred), y, x, k)
		g.VMOVAPS(b, d)
		g.VMOVAPS(a, k, d)
	} else {
		m := g.v()
		g.VCMPPS(operand.U8(pred), y, x, m)
		g.VBLENDVPS(m, a, b, d)
	}
	return d
}

// keep is x where a compares with b, and zero elsewhere.
func (g *gen) keep(pred uint8, a vec, b operand.Op, x vec) vec {
	d := g.v()
	if g.wide() {
		k := g.K()
		g.VCMPPS(operand.U8(pred), b, a, k)
		g.VMOVAPS_Z(x, k, d)
	} else {
		g.VCMPPS(operand.U8(pred), b, a, d)
		g.VPAND(x, d, d)
	}
	return d
}

// abs clears the sign.
func (g *gen) abs(x vec) vec { return g.and(x, g.i(0x7fffffff)) }

// sign is the sign bit alone.
func (g *gen) sign(x vec) vec { return g.and(x, g.i(0x80000000)) }

// maxNaN and minNaN are NaN where either operand is.
func (g *gen) maxNaN(x, y vec) vec { return g.choose(cmpUNORD, x, x, x, g.max(x, y)) }
func (g *gen) minNaN(x, y vec) vec { return g.choose(cmpUNORD, x, x, x, g.min(x, y)) }

// orNaN emits op(y, x, d), which gives y where either is NaN, and then puts x
// where x is NaN. The operands have the width of d.
func (g *gen) orNaN(op func(...operand.Op), ops ...operand.Op) {
	y, x, d := ops[0], ops[1], ops[2]
	switch d.(reg.Register).Size() {
	case 64:
		t, k := g.ZMM(), g.K()
		op(y, x, t)
		g.VCMPPS(operand.U8(cmpUNORD), x, x, k)
		g.VMOVAPS(x, k, t)
		g.VMOVAPS(t, d)
	case 32:
		t, m := g.YMM(), g.YMM()
		op(y, x, t)
		g.VCMPPS(operand.U8(cmpUNORD), x, x, m)
		g.VBLENDVPS(m, x, t, d)
	default:
		t, m := g.XMM(), g.XMM()
		op(y, x, t)
		g.VCMPPS(operand.U8(cmpUNORD), x, x, m)
		g.VBLENDVPS(m, x, t, d)
	}
}
