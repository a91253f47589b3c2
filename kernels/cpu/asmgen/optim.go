package main

import "github.com/mmcloughlin/avo/operand"

// optimFile emits the steps of optimizers.
func optimFile(g *gen) {
	w, m, v, gr := inout("w"), inout("m"), inout("v"), in("grad") // "g" is a register to the assembler
	g.mapLoop("rmsprop", []stream{w, v, gr}, "rate keep weight eps", 1, func(in, s []vec) []vec {
		v := g.fma(in[1], s[1], g.mul(g.mul(in[2], in[2]), s[2]))
		return []vec{g.sub(in[0], g.div(g.mul(in[2], s[0]), g.root(g.add(v, s[3])))), v}
	})
	// avg += (x-avg)*weight
	average := func(avg, x vec, weight vec) vec { return g.fma(g.sub(x, avg), weight, avg) }
	g.mapLoop("adam", []stream{w, m, v, gr}, "alpha weight1 weight2 eps", 1, func(in, s []vec) []vec {
		m := average(in[1], in[3], s[1])
		v := average(in[2], g.mul(in[3], in[3]), s[2])
		step := g.div(g.mul(m, s[0]), g.add(g.root(v), s[3]))
		return []vec{g.sub(in[0], step), m, v}
	})
}

// root is a square root, to the bit, for loops that also divide. The divider of
// AVX-512 does 16 lanes no faster than twice 8, so the root comes from an estimate
// instead: Goldschmidt's iteration, then one step with the exact remainder, which
// rounds correctly (the test tries every significand). Numbers whose remainder would
// be denormal, infinities and NaN go to the divider.
func (g *gen) root(x vec) vec {
	if !g.wide() {
		return g.sqrt(x)
	}
	const least, inf = 0x0d800000, 0x7f800000 // 2^-100
	nonzero, rare := g.K(), g.K()
	g.VCMPPS(operand.U8(cmpNEQ), g.f(0), x, nonzero)
	g.VPCMPUD(operand.U8(5), g.i(inf-least), g.isub(x, g.i(least)), nonzero, rare)
	estimate := g.v()
	g.VRSQRT14PS(x, estimate)
	half := g.load(g.f(0.5))
	s, h := g.mul(x, estimate), g.mul(half, estimate) // the root, and half its inverse
	e := g.fnma(s, h, half)
	g.VFMADD231PS(e, s, s)
	g.VFMADD231PS(e, h, h)
	g.VFMADD231PS_Z(g.fnma(s, s, x), h, nonzero, s)
	done := g.label("root")
	g.KORTESTW(rare, rare)
	g.JZ(operand.LabelRef(done))
	g.VSQRTPS(x, s)
	g.Label(done)
	return s
}
