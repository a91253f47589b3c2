package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// optimFile emits the steps of optimizers.
func optimFile(g *gen) {
	together := 1
	if g.wide() {
		together = 2
	}
	// each is f of the elements of lists, one after the other.
	each := func(f func(v ...vec) vec, lists ...[]vec) []vec {
		out := make([]vec, len(lists[0]))
		for u := range out {
			var v []vec
			for _, l := range lists {
				v = append(v, l[u])
			}
			out[u] = f(v...)
		}
		return out
	}
	// columns turns vectors by group into vectors by stream, and back.
	columns := func(rows [][]vec) [][]vec {
		out := make([][]vec, len(rows[0]))
		for i := range out {
			for _, r := range rows {
				out[i] = append(out[i], r[i])
			}
		}
		return out
	}
	sub := func(v ...vec) vec { return g.sub(v[0], v[1]) }
	div := func(v ...vec) vec { return g.div(v[0], v[1]) }
	square := func(v ...vec) vec { return g.mul(v[0], v[0]) }
	plus := func(s vec) func(...vec) vec { return func(v ...vec) vec { return g.add(v[0], s) } }
	times := func(s vec) func(...vec) vec { return func(v ...vec) vec { return g.mul(v[0], s) } }

	w, m, v, gr := inout("w"), inout("m"), inout("v"), in("grad") // "g" is a register to the assembler
	g.mapLoops("rmsprop", []stream{w, v, gr}, "rate keep weight eps", together, together, func(in [][]vec, s []vec) [][]vec {
		x := columns(in)
		w, v, grad := x[0], x[1], x[2]
		v = each(func(x ...vec) vec { return g.fma(x[0], s[1], x[1]) }, v, each(times(s[2]), each(square, grad)))
		step := each(div, each(times(s[0]), grad), g.roots(each(plus(s[3]), v)))
		return columns([][]vec{each(sub, w, step), v})
	})
	// avg += (x-avg)*weight
	average := func(avg, x []vec, weight vec) []vec {
		return each(func(x ...vec) vec { return g.fma(x[0], weight, x[1]) }, each(sub, x, avg), avg)
	}
	g.mapLoops("adam", []stream{w, m, v, gr}, "alpha weight1 weight2 eps", together, together, func(in [][]vec, s []vec) [][]vec {
		x := columns(in)
		w, m, v, grad := x[0], x[1], x[2], x[3]
		m = average(m, grad, s[1])
		v = average(v, each(square, grad), s[2])
		step := each(div, each(times(s[0]), m), each(plus(s[3]), g.roots(v)))
		return columns([][]vec{each(sub, w, step), m, v})
	})
}

// roots are square roots, to the bit, for loops that also divide. The divider of
// AVX-512 does 16 lanes no faster than twice 8, so the root comes from an
// estimate instead: Goldschmidt's iteration, then one step with the exact
// remainder, which rounds correctly (the test tries every significand). Numbers
// whose remainder would be denormal, infinities and NaN go to the divider.
func (g *gen) roots(x []vec) []vec {
	n := len(x)
	s, h := make([]vec, n), make([]vec, n)
	if !g.wide() {
		for i := range x {
			s[i] = g.sqrt(x[i])
		}
		return s
	}
	const least, inf = 0x0d800000, 0x7f800000 // 2^-100
	half := g.load(g.f(0.5))
	nonzero := make([]reg.Register, n)
	rare := g.K()
	for i := range x {
		nonzero[i] = g.K()
		g.VCMPPS(operand.U8(cmpNEQ), g.f(0), x[i], nonzero[i])
		k := g.K()
		g.VPCMPUD(operand.U8(5), g.i(inf-least), g.isub(x[i], g.i(least)), nonzero[i], k)
		if i == 0 {
			rare = k
		} else {
			g.KORW(k, rare, rare)
		}
	}
	for i := range x {
		h[i] = g.v()
		g.VRSQRT14PS(x[i], h[i])
	}
	for i := range x {
		s[i] = g.mul(x[i], h[i])   // the root
		g.VMULPS(half, h[i], h[i]) // half its inverse
	}
	e := make([]vec, n)
	for i := range x {
		e[i] = g.fnma(s[i], h[i], half)
	}
	for i := range x {
		g.VFMADD231PS(e[i], s[i], s[i])
		g.VFMADD231PS(e[i], h[i], h[i])
	}
	for i := range x {
		e[i] = g.fnma(s[i], s[i], x[i])
	}
	for i := range x {
		g.VFMADD231PS_Z(e[i], h[i], nonzero[i], s[i])
	}
	done := g.label("root")
	g.KORTESTW(rare, rare)
	g.JZ(operand.LabelRef(done))
	for i := range x {
		g.VSQRTPS(x[i], s[i])
	}
	g.Label(done)
	return s
}
