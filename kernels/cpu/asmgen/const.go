package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
)

type constKey struct {
	bits uint32
}

// f is a vector of the float32 v in every lane, in read-only memory.
func (g *gen) f(v float64) operand.Mem { return g.i(math.Float32bits(float32(v))) }

// i is a vector of the 32-bit word bits in every lane.
func (g *gen) i(bits uint32) operand.Mem {
	key := constKey{bits}
	if m, ok := g.consts[key]; ok {
		return m
	}
	m := g.StaticGlobal(fmt.Sprintf("const%08x%s", bits, g.name))
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for lane := range g.lanes {
		// A float operand would be printed as text: the bits are exact.
		g.AddDatum(4*lane, operand.U32(bits))
	}
	g.consts[key] = m
	return m
}

// maskTable is a table of 2n words, n of them ones followed by n zeros: the
// mask of the first m <= n lanes is at word n-m.
func (g *gen) maskTable(n int) operand.Mem {
	key := constKey{uint32(n)}
	if m, ok := g.tables[key]; ok {
		return m
	}
	m := g.StaticGlobal(fmt.Sprintf("masks%d%s", n, g.name))
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for lane := range 2 * n {
		bits := uint32(0)
		if lane < n {
			bits = math.MaxUint32
		}
		g.AddDatum(4*lane, operand.U32(bits))
	}
	g.tables[key] = m
	return m
}

// words is a vector of words in read-only memory.
func (g *gen) words(name string, words []uint32) operand.Mem {
	if m, ok := g.named[name]; ok {
		return m
	}
	m := g.StaticGlobal(name + g.name)
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i, w := range words {
		g.AddDatum(4*i, operand.U32(w))
	}
	g.named[name] = m
	return m
}
