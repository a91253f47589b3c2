package main

import (
	"strings"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// stream is an array that a map walks along.
type stream struct {
	name        string
	read, write bool
}

func in(name string) stream    { return stream{name: name, read: true} }
func out(name string) stream   { return stream{name: name, write: true} }
func inout(name string) stream { return stream{name: name, read: true, write: true} }

// mapLoop emits a function over n elements of the streams. body gets the
// vectors of those that are read and the scalars, each in every lane, and
// returns the vectors of those that are written, in order. unroll vectors are
// done in an iteration while there are so many.
func (g *gen) mapLoop(name string, streams []stream, scalars string, unroll int, body func(in, s []vec) []vec) {
	g.Function(name + g.name)
	g.Pragma("noescape")
	var names []string
	for _, s := range streams {
		names = append(names, s.name)
	}
	expr := "func(" + strings.Join(names, ", ") + " *float32, n int"
	params := strings.Fields(scalars)
	if len(params) > 0 {
		expr += ", " + strings.Join(params, ", ") + " float32"
	}
	g.SignatureExpr(expr + ")")

	ptr := make([]reg.GPVirtual, len(streams))
	for i, s := range streams {
		ptr[i] = g.GP64()
		g.Load(g.Param(s.name), ptr[i])
	}
	n := g.Load(g.Param("n"), g.GP64())
	s := make([]vec, len(params))
	for i, p := range params {
		addr, err := g.Param(p).Resolve()
		if err != nil {
			panic(err)
		}
		s[i] = g.broadcast(addr.Addr)
	}

	apply := func(u int, load func(operand.Mem) vec, store func(vec, operand.Mem)) {
		var args []vec
		for i, st := range streams {
			if st.read {
				args = append(args, load(operand.Mem{Base: ptr[i], Disp: u * g.bytes()}))
			}
		}
		results := body(args, s)
		for i, st := range streams {
			if st.write {
				store(results[0], operand.Mem{Base: ptr[i], Disp: u * g.bytes()})
				results = results[1:]
			}
		}
	}
	plainLoad := func(m operand.Mem) vec { return g.load(m) }
	plainStore := func(v vec, m operand.Mem) { g.VMOVUPS(v, m) }

	steps := []int{unroll, 1}
	if unroll == 1 {
		steps = steps[1:]
	}
	for _, step := range steps {
		loop, done := g.label("loop"), g.label("done")
		g.SUBQ(operand.Imm(uint64(step*g.lanes)), n)
		g.JLT(operand.LabelRef(done))
		g.Label(loop)
		for u := range step {
			apply(u, plainLoad, plainStore)
		}
		for _, p := range ptr {
			g.ADDQ(operand.U32(step*g.bytes()), p)
		}
		g.SUBQ(operand.Imm(uint64(step*g.lanes)), n)
		g.JGE(operand.LabelRef(loop))
		g.Label(done)
		g.ADDQ(operand.Imm(uint64(step*g.lanes)), n)
	}
	end := g.label("end")
	g.TESTQ(n, n)
	g.JZ(operand.LabelRef(end))
	m := g.mask(n)
	apply(0, func(a operand.Mem) vec { return g.loadMasked(a, m) }, func(v vec, a operand.Mem) { g.storeMasked(v, a, m) })
	g.Label(end)
	g.VZEROUPPER()
	g.RET()
}

// mask is the mask of the first n lanes, 0 <= n <= lanes.
func (g *gen) mask(n reg.Register) reg.Register {
	if g.wide() {
		bits, k := g.GP64(), g.K()
		g.MOVQ(operand.I32(-1), bits)
		g.BZHIQ(n, bits, bits)
		g.KMOVW(bits.As32(), k)
		return k
	}
	table, at, m := g.GP64(), g.GP64(), g.v()
	g.LEAQ(g.maskTable(g.lanes), table)
	g.MOVQ(operand.U32(g.lanes), at)
	g.SUBQ(n, at)
	g.VMOVDQU(operand.Mem{Base: table, Index: at, Scale: 4}, m)
	return m
}

// loadMasked loads the lanes of a mask and zeros.
func (g *gen) loadMasked(m operand.Mem, mask reg.Register) vec {
	d := g.v()
	if g.wide() {
		g.VMOVUPS_Z(m, mask, d)
	} else {
		g.VMASKMOVPS(m, mask, d)
	}
	return d
}

func (g *gen) storeMasked(v vec, m operand.Mem, mask reg.Register) {
	if g.wide() {
		g.VMOVUPS(v, mask, m)
	} else {
		g.VMASKMOVPS(v, mask, m)
	}
}

// keepMasked is x in the lanes of a mask and other elsewhere.
func (g *gen) keepMasked(mask reg.Register, x, other vec) vec {
	d := g.v()
	if g.wide() {
		g.VMOVAPS(other, d)
		g.VMOVAPS(x, mask, d)
	} else {
		g.VBLENDVPS(mask, x, other, d)
	}
	return d
}

// fold combines 16 lanes (two vectors of 8, or one of 16) with op, always in
// the same tree: lane l with l+8, then +4, +2, +1. The result is lane 0.
func (g *gen) fold(acc []vec, op func(...operand.Op)) vec {
	y := g.YMM()
	if g.wide() {
		hi := g.YMM()
		g.VEXTRACTF32X8(operand.U8(1), acc[0], hi)
		op(hi, acc[0].AsY(), y)
	} else {
		op(acc[1], acc[0], y)
	}
	x, t := g.XMM(), g.XMM()
	g.VEXTRACTF128(operand.U8(1), y, x)
	op(x, y.AsX(), x)
	for _, from := range []uint8{0x0e, 0x01} {
		g.VPSHUFD(operand.U8(from), x, t)
		op(t, x, x)
	}
	return x
}

// maskOf is the mask of lanes j*lanes to j*lanes+lanes-1 of a group of which
// the first n elements exist.
func (g *gen) maskOf(j int, n reg.Register) reg.Register {
	t, bound := g.GP64(), g.GP64()
	g.MOVQ(n, t)
	if j > 0 {
		g.SUBQ(operand.Imm(uint64(j*g.lanes)), t)
	}
	g.XORQ(bound, bound)
	g.TESTQ(t, t)
	g.CMOVQLT(bound, t)
	g.MOVQ(operand.U32(g.lanes), bound)
	g.CMPQ(t, bound)
	g.CMOVQGT(bound, t)
	return g.mask(t)
}

// reduceLoop emits a function that reduces n elements of its inputs to a
// number: 32 running values, combined in a fixed tree at the end, so that the
// widths agree. step adds vectors of the inputs to one of the running values;
// what is beyond the end counts as the identity.
func (g *gen) reduceLoop(name, inputs string, identity float64, op func(...operand.Op), step func(acc vec, in []vec)) {
	const lanes = 32
	g.Function(name + g.name)
	g.Pragma("noescape")
	names := strings.Fields(inputs)
	g.SignatureExpr("func(" + strings.Join(names, ", ") + " *float32, n int) float32")
	ptr := make([]reg.GPVirtual, len(names))
	for i, p := range names {
		ptr[i] = g.GP64()
		g.Load(g.Param(p), ptr[i])
	}
	n := g.Load(g.Param("n"), g.GP64())
	none := g.load(g.f(identity))
	acc := make([]vec, lanes/g.lanes)
	for j := range acc {
		acc[j] = g.v()
		g.VMOVAPS(none, acc[j])
	}
	loop, tail, end := g.label("loop"), g.label("tail"), g.label("end")
	g.SUBQ(operand.Imm(lanes), n)
	g.JLT(operand.LabelRef(tail))
	g.Label(loop)
	for j := range acc {
		args := make([]vec, len(ptr))
		for i, p := range ptr {
			args[i] = g.load(operand.Mem{Base: p, Disp: j * g.bytes()})
		}
		step(acc[j], args)
	}
	for _, p := range ptr {
		g.ADDQ(operand.U32(4*lanes), p)
	}
	g.SUBQ(operand.Imm(lanes), n)
	g.JGE(operand.LabelRef(loop))
	g.Label(tail)
	g.ADDQ(operand.Imm(lanes), n)
	g.JZ(operand.LabelRef(end))
	for j := range acc {
		m := g.maskOf(j, n)
		args := make([]vec, len(ptr))
		for i, p := range ptr {
			args[i] = g.loadMasked(operand.Mem{Base: p, Disp: j * g.bytes()}, m)
			if identity != 0 {
				args[i] = g.keepMasked(m, args[i], none)
			}
		}
		step(acc[j], args)
	}
	g.Label(end)
	half := len(acc) / 2
	for j := range half {
		op(acc[half+j], acc[j], acc[j])
	}
	r := g.fold(acc[:half], op)
	g.VZEROUPPER() // before the store, which is an SSE instruction
	g.Store(r, g.ReturnIndex(0))
	g.RET()
}
