package cpu

import (
	"slices"
	"unsafe"

	"github.com/hone-ml/hone/sdk/graph"
)

// Groups of nodes of one loop that one kernel computes. A pattern is matched by
// the meaning of its nodes, whoever traced them; what lies inside must have no
// other reader.

// patternOp is a group that a loop computes as one op.
type patternOp struct {
	outs, ins []graph.ValueID
	nodes     []int // all of it; the last one is where it is computed
	// run computes n elements; outs and ins are in the order above.
	run func(outs, ins []unsafe.Pointer, n int)
	// source makes the elements of the one output instead.
	source *randomSource
	// blocks says that operands of one element are read as blocks of it.
	blocks bool
}

// node returns the node of op that makes v, if v is in the unit.
func (b *loopBuilder) nodeOf(v graph.ValueID, op graph.Op) *graph.Node {
	l := b.l
	d := l.def[l.root(v)]
	if d < 0 || l.unit[d] == nil || l.unit[d].root() != b.u || l.f.Nodes[d].Op != op || l.root(v) != v {
		return nil
	}
	return &l.f.Nodes[d]
}

// inner is nodeOf for a value that nothing else reads.
func (b *loopBuilder) inner(v graph.ValueID, op graph.Op) *graph.Node {
	if b.l.uses[v] != 1 || b.l.inMemory[v] {
		return nil
	}
	return b.nodeOf(v, op)
}

// scalar reports whether v is one element repeated.
func (b *loopBuilder) scalar(v graph.ValueID) bool {
	l := b.l
	v = l.root(v)
	d := l.def[v]
	if d < 0 || !l.cheap(d) {
		return false
	}
	n := &l.f.Nodes[d]
	return n.Op == graph.OpConstant || n.Op == graph.OpBroadcast && numel(l.f.Types[n.Args[0]]) == 1
}

// literal returns the value of a scalar that is known.
func (b *loopBuilder) literal(v graph.ValueID) (float64, bool) {
	l := b.l
	v = l.root(v)
	for {
		d := l.def[v]
		if d < 0 {
			return 0, false
		}
		switch n := &l.f.Nodes[d]; n.Op {
		case graph.OpConstant:
			if c := l.r.consts[v]; c.Len() == 1 {
				return c.Float(0), true
			}
			return 0, false
		case graph.OpBroadcast:
			v = l.root(n.Args[0])
		default:
			return 0, false
		}
	}
}

// either returns the arguments of a commutative node, the one that match takes first.
func either(n *graph.Node, match func(v graph.ValueID) bool) (a, c graph.ValueID, ok bool) {
	switch {
	case match(n.Args[0]):
		return n.Args[0], n.Args[1], true
	case match(n.Args[1]):
		return n.Args[1], n.Args[0], true
	}
	return 0, 0, false
}

// match finds the pattern that ends with a node.
func (b *loopBuilder) match(node int) *patternOp {
	if p := b.uniform(node); p != nil {
		return p
	}
	if p := b.chosen(node); p != nil {
		return p
	}
	if p := b.adam(node); p != nil {
		return p
	}
	return b.rmsprop(node)
}

func (b *loopBuilder) index(n *graph.Node) int { return b.l.def[n.Out] }

// uniform finds convert(bits >> 8) * 2^-24.
func (b *loopBuilder) uniform(node int) *patternOp {
	n := &b.l.f.Nodes[node]
	if n.Op != graph.OpMul || b.l.f.Types[n.Out].DType != graph.F32 {
		return nil
	}
	is := func(v graph.ValueID, want float64) bool { x, ok := b.literal(v); return ok && x == want }
	v, scale, ok := either(n, func(v graph.ValueID) bool { return b.inner(v, graph.OpConvert) != nil })
	if !ok || !is(scale, 1.0/(1<<24)) {
		return nil
	}
	c := b.inner(v, graph.OpConvert)
	s := b.inner(c.Args[0], graph.OpShr)
	if s == nil || !is(s.Args[1], 8) {
		return nil
	}
	r := b.inner(s.Args[0], graph.OpRandomBits)
	if r == nil {
		return nil
	}
	src := b.random(r)
	src.uniform = true
	return &patternOp{outs: []graph.ValueID{n.Out}, source: src, nodes: []int{b.index(r), b.index(s), b.index(c), node}}
}

// chosen finds a choice by a comparison, as in the gradient of relu and in dropout.
func (b *loopBuilder) chosen(node int) *patternOp {
	l := b.l
	n := &l.f.Nodes[node]
	if n.Op != graph.OpSelect || l.f.Types[n.Out].DType != graph.F32 {
		return nil
	}
	c := b.inner(n.Args[0], graph.OpCompare)
	if c == nil || l.f.Types[c.Args[0]].DType != graph.F32 {
		return nil
	}
	x, y, k := c.Args[0], c.Args[1], l.b.vec
	choose := k.SelectLess
	switch c.Attrs.(*graph.CompareAttrs).Direction {
	case graph.Lt:
	case graph.Le:
		choose = k.SelectLessEqual
	case graph.Gt:
		x, y = y, x
	case graph.Ge:
		x, y, choose = y, x, k.SelectLessEqual
	default:
		return nil
	}
	return &patternOp{
		outs: []graph.ValueID{n.Out}, ins: []graph.ValueID{x, y, n.Args[1], n.Args[2]}, nodes: []int{b.index(c), node}, blocks: true,
		run: func(outs, ins []unsafe.Pointer, n int) {
			choose(f32s(outs[0], n), f32s(ins[0], n), f32s(ins[1], n), f32s(ins[2], n), f32s(ins[3], n))
		},
	}
}

// adam finds the update of Adam, with m = m + (g-m)*a and v likewise:
//
//	w - m*alpha / (sqrt(v) + eps)
func (b *loopBuilder) adam(node int) *patternOp {
	l := b.l
	n := &l.f.Nodes[node]
	if n.Op != graph.OpSub || l.f.Types[n.Out].DType != graph.F32 {
		return nil
	}
	div := b.inner(n.Args[1], graph.OpDiv)
	if div == nil {
		return nil
	}
	top, bottom := b.inner(div.Args[0], graph.OpMul), b.inner(div.Args[1], graph.OpAdd)
	if top == nil || bottom == nil {
		return nil
	}
	newM, alpha, ok := either(top, func(v graph.ValueID) bool { return b.nodeOf(v, graph.OpAdd) != nil })
	if !ok || !b.scalar(alpha) {
		return nil
	}
	root, eps, ok := either(bottom, func(v graph.ValueID) bool { return b.inner(v, graph.OpSqrt) != nil })
	if !ok || !b.scalar(eps) {
		return nil
	}
	sqrt := b.inner(root, graph.OpSqrt)
	newV := sqrt.Args[0]
	// moving takes old + (x-old)*weight apart.
	moving := func(v graph.ValueID) (old, x, weight graph.ValueID, nodes []int, ok bool) {
		add := b.nodeOf(v, graph.OpAdd)
		if add == nil {
			return
		}
		step, old, ok := either(add, func(v graph.ValueID) bool { return b.inner(v, graph.OpMul) != nil })
		if !ok {
			return
		}
		mul := b.inner(step, graph.OpMul)
		diff, weight, ok := either(mul, func(v graph.ValueID) bool { return b.inner(v, graph.OpSub) != nil })
		if !ok || !b.scalar(weight) {
			return old, x, weight, nil, false
		}
		sub := b.inner(diff, graph.OpSub)
		return old, sub.Args[0], weight, []int{b.index(sub), b.index(mul), b.index(add)}, l.root(sub.Args[1]) == l.root(old)
	}
	m, g, w1, mn, ok := moving(newM)
	if !ok {
		return nil
	}
	v, gg, w2, vn, ok := moving(newV)
	if !ok {
		return nil
	}
	square := b.inner(gg, graph.OpMul)
	if square == nil || l.root(square.Args[0]) != l.root(g) || l.root(square.Args[1]) != l.root(g) {
		return nil
	}
	p := &patternOp{
		outs: []graph.ValueID{n.Out, newM, newV}, ins: []graph.ValueID{n.Args[0], m, v, g, alpha, w1, w2, eps},
		nodes: append(append(mn, vn...), b.index(square), b.index(top), b.index(sqrt), b.index(bottom), b.index(div), node),
	}
	if b.readBefore(node, newM, top) || b.readBefore(node, newV, sqrt) {
		return nil
	}
	k := l.b.optim
	p.run = func(outs, ins []unsafe.Pointer, n int) {
		moveTo(outs, ins, n)
		at := func(i int) float32 { return *(*float32)(ins[i]) }
		k.Adam(f32s(outs[0], n), f32s(outs[1], n), f32s(outs[2], n), f32s(ins[3], n), at(4), at(5), at(6), at(7))
	}
	return p
}

// readBefore reports whether a node before the last one of a pattern, other than
// its own reader, reads a value that the pattern makes as one of several.
func (b *loopBuilder) readBefore(last int, v graph.ValueID, own *graph.Node) bool {
	for _, o := range b.order {
		if o >= last {
			return false
		}
		for _, a := range b.l.f.Nodes[o].Args {
			if b.l.root(a) == v && o != b.index(own) {
				return true
			}
		}
	}
	return false
}

// moveTo copies what is updated to where the result goes, if that is elsewhere.
func moveTo(outs, ins []unsafe.Pointer, n int) {
	for i, o := range outs {
		if o != ins[i] {
			copy(f32s(o, n), f32s(ins[i], n))
		}
	}
}

// rmsprop finds the update of RMSprop, with v = v*keep + g*g*weight:
//
//	w - rate*g / sqrt(v + eps)
func (b *loopBuilder) rmsprop(node int) *patternOp {
	l := b.l
	n := &l.f.Nodes[node]
	if n.Op != graph.OpSub || l.f.Types[n.Out].DType != graph.F32 {
		return nil
	}
	div := b.inner(n.Args[1], graph.OpDiv)
	if div == nil {
		return nil
	}
	top, sqrt := b.inner(div.Args[0], graph.OpMul), b.inner(div.Args[1], graph.OpSqrt)
	if top == nil || sqrt == nil {
		return nil
	}
	rate, g, ok := either(top, b.scalar)
	if !ok {
		return nil
	}
	bottom := b.inner(sqrt.Args[0], graph.OpAdd)
	if bottom == nil {
		return nil
	}
	eps, newV, ok := either(bottom, b.scalar)
	if !ok {
		return nil
	}
	sum := b.nodeOf(newV, graph.OpAdd)
	if sum == nil {
		return nil
	}
	// The terms: one is a square times a scalar, the other the old average.
	for i := range 2 {
		old, fresh := b.inner(sum.Args[i], graph.OpMul), b.inner(sum.Args[1-i], graph.OpMul)
		if old == nil || fresh == nil {
			return nil
		}
		keep, v, ok := either(old, b.scalar)
		weight, gg, ok2 := either(fresh, b.scalar)
		if !ok || !ok2 {
			return nil
		}
		square := b.inner(gg, graph.OpMul)
		if square == nil || l.root(square.Args[0]) != l.root(g) || l.root(square.Args[1]) != l.root(g) || b.readBefore(node, newV, bottom) {
			continue
		}
		k := l.b.optim
		return &patternOp{
			outs: []graph.ValueID{n.Out, newV}, ins: []graph.ValueID{n.Args[0], v, g, rate, keep, weight, eps},
			nodes: []int{b.index(old), b.index(square), b.index(fresh), b.index(sum), b.index(top), b.index(bottom), b.index(sqrt), b.index(div), node},
			run: func(outs, ins []unsafe.Pointer, n int) {
				moveTo(outs, ins, n)
				at := func(i int) float32 { return *(*float32)(ins[i]) }
				k.RMSprop(f32s(outs[0], n), f32s(outs[1], n), f32s(ins[2], n), at(3), at(4), at(5), at(6))
			},
		}
	}
	return nil
}

// grouped returns the patterns of a loop by their last node, and the nodes that
// they swallow.
func (b *loopBuilder) grouped() (last map[int]*patternOp, inside map[int]bool) {
	for i := len(b.order) - 1; i >= 0; i-- {
		node := b.order[i]
		if inside[node] {
			continue
		}
		p := b.match(node)
		if p == nil || b.l.overlaps(p) || b.overwritten(p, i) {
			continue
		}
		if last == nil {
			last, inside = map[int]*patternOp{}, map[int]bool{}
		}
		last[node] = p
		for _, k := range p.nodes {
			inside[k] = true
		}
	}
	return last, inside
}

// overlaps reports whether a result of a group shares the memory of an operand
// that it does not replace: a group of several results reads all operands after it
// has begun to write.
func (l *lowering) overlaps(p *patternOp) bool {
	if len(p.outs) == 1 {
		return false
	}
	for i, out := range p.outs {
		made := l.bufferOf(out)
		for j, in := range p.ins {
			if made != nil && i != j && l.bufferOf(in) == made {
				return true
			}
		}
	}
	return false
}

// overwritten reports whether another node before the last one of a pattern, the
// one at the given place of the order, writes over an operand: the pattern reads it
// only then, and not where the nodes stand that it takes the place of.
func (b *loopBuilder) overwritten(p *patternOp, at int) bool {
	l := b.l
	for _, node := range b.order[:at] {
		out := l.f.Nodes[node].Out
		if !l.inMemory[out] || slices.Contains(p.nodes, node) {
			continue
		}
		made := l.bufferOf(out)
		for _, in := range p.ins {
			if in = l.root(in); in != out && (l.slots[in] >= 0 && l.slots[in] == l.slots[out] || made != nil && l.bufferOf(in) == made) {
				return true
			}
		}
	}
	return false
}

// bufferOf returns the range of the arena that holds a value, nil for none.
func (l *lowering) bufferOf(v graph.ValueID) *buffer {
	v = l.root(v)
	for _, b := range l.buffers {
		for _, w := range b.values {
			if w == v {
				return b
			}
		}
	}
	return nil
}

// pattern adds a group to the loop.
func (b *loopBuilder) pattern(at int, p *patternOp) error {
	op := loopOp{}
	if p.source != nil {
		op.source = p.source
		op.dst = b.result(p.outs[0], b.l.inMemory[p.outs[0]])
		b.loop.ops = append(b.loop.ops, op)
		return nil
	}
	g := &loopGroup{run: p.run}
	for _, v := range p.ins {
		o, err := b.read(v)
		if err != nil {
			return err
		}
		g.ins = append(g.ins, o)
		if p.blocks && b.scalars[o] {
			b.whole[o] = true
		}
	}
	for _, v := range p.outs {
		g.outs = append(g.outs, b.result(v, b.l.inMemory[v]))
	}
	op.group, op.dst = g, g.outs[0]
	b.loop.ops = append(b.loop.ops, op)
	b.release(at, p.ins)
	return nil
}
