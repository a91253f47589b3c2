package main

// optimFile emits the steps of optimizers.
func optimFile(g *gen) {
	w, m, v, gr := inout("w"), inout("m"), inout("v"), in("grad") // "g" is a register to the assembler
	g.mapLoop("sgd", []stream{w, gr}, "rate", 4, func(in, s []vec) []vec {
		return one(g.fnma(in[1], s[0], in[0]))
	})
	// m = momentum*m - rate*g
	velocity := func(m, grad vec, momentum, rate vec) vec {
		return g.fnma(grad, rate, g.mul(m, momentum))
	}
	g.mapLoop("momentum", []stream{w, m, gr}, "rate momentum", 2, func(in, s []vec) []vec {
		m := velocity(in[1], in[2], s[1], s[0])
		return []vec{g.add(in[0], m), m}
	})
	g.mapLoop("nesterov", []stream{w, m, gr}, "rate momentum", 2, func(in, s []vec) []vec {
		m := velocity(in[1], in[2], s[1], s[0])
		step := velocity(m, in[2], s[1], s[0])
		return []vec{g.add(in[0], step), m}
	})
	// v += (g^2 - v)*(1-rho), the average of squares.
	average := func(avg, x vec, weight vec) vec { return g.fma(g.sub(x, avg), weight, avg) }
	rms := func(v, grad vec, rate, eps vec) vec {
		return g.div(g.mul(grad, rate), g.sqrt(g.add(v, eps)))
	}
	g.mapLoop("rmsprop", []stream{w, v, gr}, "rate keep weight eps", 1, func(in, s []vec) []vec {
		v := g.fma(in[1], s[1], g.mul(g.mul(in[2], in[2]), s[2]))
		return []vec{g.sub(in[0], rms(v, in[2], s[0], s[3])), v}
	})
	g.mapLoop("rmspropMomentum", []stream{w, m, v, gr}, "rate weight eps momentum", 1, func(in, s []vec) []vec {
		v := average(in[2], g.mul(in[3], in[3]), s[1])
		m := g.fma(in[1], s[3], rms(v, in[3], s[0], s[2]))
		return []vec{g.sub(in[0], m), m, v}
	})
	adam := func(in, s []vec, keep vec) []vec {
		m := average(in[1], in[3], s[1])
		v := average(in[2], g.mul(in[3], in[3]), s[2])
		step := g.div(g.mul(m, s[0]), g.add(g.sqrt(v), s[3]))
		w := in[0]
		if keep != nil {
			w = g.mul(w, keep)
		}
		return []vec{g.sub(w, step), m, v}
	}
	g.mapLoop("adam", []stream{w, m, v, gr}, "alpha weight1 weight2 eps", 1, func(in, s []vec) []vec { return adam(in, s, nil) })
	g.mapLoop("adamw", []stream{w, m, v, gr}, "alpha weight1 weight2 eps keep", 1, func(in, s []vec) []vec { return adam(in, s, s[4]) })
}
