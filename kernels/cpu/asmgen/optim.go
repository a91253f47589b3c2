package main

// optimFile emits the steps of optimizers.
func optimFile(g *gen) {
	w, m, v, gr := inout("w"), inout("m"), inout("v"), in("grad") // "g" is a register to the assembler
	g.mapLoop("rmsprop", []stream{w, v, gr}, "rate keep weight eps", 1, func(in, s []vec) []vec {
		v := g.fma(in[1], s[1], g.mul(g.mul(in[2], in[2]), s[2]))
		return []vec{g.sub(in[0], g.div(g.mul(in[2], s[0]), g.sqrt(g.add(v, s[3])))), v}
	})
	// avg += (x-avg)*weight
	average := func(avg, x vec, weight vec) vec { return g.fma(g.sub(x, avg), weight, avg) }
	g.mapLoop("adam", []stream{w, m, v, gr}, "alpha weight1 weight2 eps", 1, func(in, s []vec) []vec {
		m := average(in[1], in[3], s[1])
		v := average(in[2], g.mul(in[3], in[3]), s[2])
		step := g.div(g.mul(m, s[0]), g.add(g.sqrt(v), s[3]))
		return []vec{g.sub(in[0], step), m, v}
	})
}
