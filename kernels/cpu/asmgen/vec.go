package main

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
)

// one wraps a body with a single result.
func one(v vec) []vec { return []vec{v} }

// vecFile emits the elementwise maps, reductions and conversions.
func vecFile(g *gen) {
	const light = 4 // vectors an iteration where memory is the limit

	binary := map[string]func(x, y vec) vec{
		"add": func(x, y vec) vec { return g.add(x, y) },
		"sub": func(x, y vec) vec { return g.sub(x, y) },
		"mul": func(x, y vec) vec { return g.mul(x, y) },
		"div": func(x, y vec) vec { return g.div(x, y) },
		"max": g.maxNaN,
		"min": g.minNaN,
	}
	for _, name := range []string{"add", "sub", "mul", "div", "max", "min"} {
		f := binary[name]
		g.mapLoop(name, []stream{out("dst"), in("x"), in("y")}, "", light, func(in, _ []vec) []vec { return one(f(in[0], in[1])) })
		g.mapLoop(name+"Scalar", []stream{out("dst"), in("x")}, "s", light, func(in, s []vec) []vec { return one(f(in[0], s[0])) })
	}
	g.mapLoop("scalarSub", []stream{out("dst"), in("x")}, "s", light, func(in, s []vec) []vec { return one(g.sub(s[0], in[0])) })
	g.mapLoop("scalarDiv", []stream{out("dst"), in("x")}, "s", light, func(in, s []vec) []vec { return one(g.div(s[0], in[0])) })

	unary := []struct {
		name   string
		unroll int
		f      func(x vec) vec
	}{
		{"neg", light, func(x vec) vec { return g.xor(x, g.i(0x80000000)) }},
		{"abs", light, g.abs},
		{"sqrt", light, func(x vec) vec { return g.sqrt(x) }},
		{"rsqrt", light, func(x vec) vec { return g.div(g.load(g.f(1)), g.sqrt(x)) }},
		{"relu", light, func(x vec) vec { return g.max(g.zeros(), x) }},
		{"exp", 1, g.exp},
		{"expm1", 1, g.expm1},
		{"log", 1, g.log},
		{"log1p", 1, g.log1p},
		{"tanh", 1, g.tanh},
		{"sigmoid", 1, g.sigmoid},
		{"erf", 1, g.erf},
	}
	for _, u := range unary {
		g.mapLoop(u.name, []stream{out("dst"), in("x")}, "", u.unroll, func(in, _ []vec) []vec { return one(u.f(in[0])) })
	}

	for _, c := range []struct {
		name string
		pred uint8
	}{{"selectLess", cmpLT}, {"selectLessEqual", cmpLE}} {
		g.mapLoop(c.name, []stream{out("dst"), in("x"), in("y"), in("a"), in("b")}, "", 2, func(in, _ []vec) []vec {
			return one(g.choose(c.pred, in[0], in[1], in[2], in[3]))
		})
	}

	g.mapLoop("subTwo", []stream{out("dst"), in("x")}, "a b", light, func(in, s []vec) []vec { return one(g.sub(g.sub(in[0], s[0]), s[1])) })

	g.reduceLoop("sum", "x", 0, g.VADDPS, func(acc vec, in []vec) { g.VADDPS(in[0], acc, acc) })
	g.reduceLoop("maxOf", "x", math.Inf(-1), g.maxNaNTo, func(acc vec, in []vec) { g.maxNaNTo(in[0], acc, acc) })
	g.reduceLoop("minOf", "x", math.Inf(1), g.minNaNTo, func(acc vec, in []vec) { g.minNaNTo(in[0], acc, acc) })

	g.reduceShortRows("sumShortRows", 0, g.VADDPS)
	g.reduceShortRows("maxShortRows", math.Inf(-1), g.maxNaNTo)
	g.softmaxRows(true)
	g.softmaxRows(false)
	g.colSums()
	if !g.wide() {
		g.transposeBlocks(8)
		g.transposeBlocks(16)
	}
	g.conversions()
}

// maxNaNTo and minNaNTo are maxNaN and minNaN in the form of an instruction,
// at the width of their operands.
func (g *gen) maxNaNTo(ops ...operand.Op) { g.orNaN(g.VMAXPS, ops...) }
func (g *gen) minNaNTo(ops ...operand.Op) { g.orNaN(g.VMINPS, ops...) }
