package cpu

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// emit writes the instructions of every unit, in order.
func (l *lowering) emit(ctx context.Context) error {
	for i, u := range l.sched {
		if i&63 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if u.loop {
			if err := l.emitLoop(u); err != nil {
				return err
			}
			continue
		}
		if err := l.emitNode(u); err != nil {
			return err
		}
	}
	l.emitCopies()
	return nil
}

// emitCopies writes the results that no unit could write in their place. They
// all read what was there before any of them: a parameter that one result
// replaces and another returns is first put aside.
func (l *lowering) emitCopies() {
	written := map[slot]bool{}
	for _, c := range l.copies {
		written[c.to] = true
	}
	aside := map[slot]slot{}
	for _, c := range l.copies {
		from := l.slotOf(c.from)
		if written[from] {
			if _, ok := aside[from]; !ok {
				aside[from] = l.scratch(len(l.sched), l.bytesOf(c.from))
				l.copyTo(aside[from], from, int(l.bytesOf(c.from)))
			}
		}
	}
	for _, c := range l.copies {
		from := l.slotOf(c.from)
		if kept, ok := aside[from]; ok {
			from = kept
		}
		l.copyTo(c.to, from, int(l.bytesOf(c.from)))
	}
}

func (l *lowering) copyTo(to, from slot, n int) {
	l.prog.code = append(l.prog.code, instr{
		name: "copy", first: n <= smallWork, bytes: int64(2 * n), access: []access{{slot: from}, {slot: to, write: true}},
		run: func(x *execution, tid, threads int) {
			if lo, hi := span(n, 4096, tid, threads); lo < hi {
				copy(unsafe.Slice((*byte)(unsafe.Add(x.ptr(to), lo)), hi-lo), unsafe.Slice((*byte)(unsafe.Add(x.ptr(from), lo)), hi-lo))
			}
		},
	})
}

// slotOf returns the memory of a value that has some.
func (l *lowering) slotOf(v graph.ValueID) slot {
	r := l.root(v)
	if l.slots[r] < 0 {
		panic(fmt.Sprintf("cpu: value %d (root %d, %v) has no memory", v, r, l.f.Types[r]))
	}
	return l.slots[r]
}

// loopBuilder assigns registers to the values of one loop.
type loopBuilder struct {
	l        *lowering
	u        *unit
	order    []int
	loop     *loop
	scalars  map[int]bool          // operands that hold one element throughout
	whole    map[int]bool          // those of them that some op reads as a block
	operand  map[graph.ValueID]int // operand that holds a value
	sources  map[graph.ValueID]int // operand that a cheap source fills
	free     []int
	lastRead map[graph.ValueID]int
	shared   []access // memory read elsewhere than at the loop's index
}

func (l *lowering) emitLoop(u *unit) error {
	order := l.loopOrder(u)
	lb := &loopBuilder{
		l: l, u: u, order: order, scalars: map[int]bool{}, whole: map[int]bool{}, loop: &loop{n: u.numel, grain: block},
		operand: map[graph.ValueID]int{}, sources: map[graph.ValueID]int{}, lastRead: map[graph.ValueID]int{},
	}
	if u.numel < 4*block {
		lb.loop.grain = 16
	}
	lb.loop.rows = u.rows
	for i, node := range order {
		for _, a := range l.f.Nodes[node].Args {
			lb.lastRead[l.root(a)] = i
		}
	}
	in := instr{scope: l.r.scopes[order[0]], first: u.first}
	names := []string{}
	last, inside := lb.grouped()
	for i, node := range order {
		// A pattern reads its operands where its last node stands, later perhaps
		// than the nodes that it takes the place of.
		if p := last[node]; p != nil {
			for _, v := range p.ins {
				r := l.root(v)
				lb.lastRead[r] = max(lb.lastRead[r], i)
			}
		}
	}
	for i, node := range order {
		var err error
		if p := last[node]; p != nil {
			err = lb.pattern(i, p)
		} else if !inside[node] {
			err = lb.node(i, node)
		}
		if err != nil {
			return err
		}
		n := &l.f.Nodes[node]
		names = append(names, n.Op.String())
		if n.Op.Def().Class == graph.Elementwise {
			in.flops += int64(u.numel)
		}
	}
	for i := range lb.loop.ops {
		op := &lb.loop.ops[i]
		op.single = op.invariant && !lb.whole[op.dst]
	}
	if len(lb.loop.operands) > maxLoopOperands {
		return fmt.Errorf("a loop of %d operands", len(lb.loop.operands))
	}
	for _, o := range lb.loop.operands {
		if o.reg < 0 {
			in.bytes += int64(o.size * u.numel)
		}
	}
	in.name = strings.Join(names, "+")
	in.types = []string{l.f.Types[l.f.Nodes[order[len(order)-1]].Out].String()}
	lp := lb.loop
	if lp.n == 0 {
		return nil
	}
	lp.whole = lp.needsNoBlocks()
	in.run, in.part, in.share = lp.run, lp.part, lp.share()
	if u.rows > 0 {
		in.rowBytes, in.keep = lp.n/u.rows*8, lp.keep
	}
	at := lp.share().split()
	for _, op := range lp.ops {
		if o := &lp.operands[op.dst]; o.reg < 0 {
			in.access = append(in.access, access{slot: o.slot, write: true, split: at})
		}
	}
	for _, o := range lp.operands {
		if o.reg < 0 {
			in.access = append(in.access, access{slot: o.slot, split: at})
		}
	}
	in.access = append(in.access, lb.shared...)
	l.prog.regs = max(l.prog.regs, lp.regs)
	l.prog.code = append(l.prog.code, in)
	return nil
}

func (b *loopBuilder) register(size int) int {
	var r int
	if k := len(b.free) - 1; k >= 0 {
		r, b.free = b.free[k], b.free[:k]
	} else {
		r = b.loop.regs
		b.loop.regs++
	}
	b.loop.operands = append(b.loop.operands, operand{reg: r, size: size})
	return len(b.loop.operands) - 1
}

func (b *loopBuilder) memory(s slot, size int) int {
	b.loop.operands = append(b.loop.operands, operand{reg: -1, slot: s, size: size})
	return len(b.loop.operands) - 1
}

// node adds the op of one node.
func (b *loopBuilder) node(at, node int) error {
	l := b.l
	n := &l.f.Nodes[node]
	v := n.Out
	t := l.f.Types[v]
	stored := l.inMemory[v]
	switch n.Op {
	case graph.OpBroadcast, graph.OpIota:
		// A copy unit: the source itself is written to memory.
		src, invariant, err := b.source(v)
		if err != nil {
			return err
		}
		// An invariant source fills once a part, but memory must be filled throughout.
		_ = invariant
		b.loop.ops = append(b.loop.ops, loopOp{source: src, dst: b.memory(l.slotOf(v), t.DType.Size())})
		return nil
	case graph.OpRandomBits:
		width := 1
		for _, e := range extents(t)[1:] {
			width *= e
		}
		b.loop.ops = append(b.loop.ops, loopOp{source: b.random(n), dst: b.result(v, stored)})
		return nil
	}
	fn := elementwiseFunc(n, l.f.Types[n.Args[0]].DType, t.DType)
	if fn == nil {
		return &kernels.UnsupportedError{Backend: "cpu", Op: fmt.Sprintf("%v of %v", n.Op, l.f.Types[n.Args[0]]), Reason: "it has no kernel for the element type"}
	}
	args := [3]int{}
	scalar := [3]bool{}
	in := l.f.Types[n.Args[0]].DType
	for i, a := range n.Args {
		o, err := b.read(a)
		if err != nil {
			return err
		}
		args[i], scalar[i] = o, b.scalars[o]
	}
	for i := range n.Args {
		// One scalar operand is read as such; a second one, as a block.
		if scalar[i] && !(takesScalar(n, in) && (i == 1 || !scalar[1])) {
			b.whole[args[i]] = true
		}
	}
	for i := len(n.Args); i < 3; i++ {
		args[i] = args[0]
	}
	if fast := fastFunc(l.b.vec, n, in, t.DType, scalar); fast != nil {
		fn = fast
	}
	dst := b.result(v, stored)
	b.loop.ops = append(b.loop.ops, loopOp{fn: fn, dst: dst, a: args[0], b: args[1], c: args[2]})
	b.release(at, n.Args)
	return nil
}

// reads notes memory that is read elsewhere than at the loop's index: in the
// thread's own rows, or anywhere.
func (b *loopBuilder) reads(s slot, inRows bool) {
	a := access{slot: s}
	if inRows {
		a.split = b.loop.share().split()
	}
	b.shared = append(b.shared, a)
}

// random makes the source of a node of random words.
func (b *loopBuilder) random(n *graph.Node) *randomSource {
	for i, a := range n.Args {
		b.reads(b.l.slotOf(a), i == 2 && b.u.rows > 0)
	}
	width := 1
	for _, e := range extents(b.l.f.Types[n.Out])[1:] {
		width *= e
	}
	return &randomSource{key: b.l.slotOf(n.Args[0]), step: b.l.slotOf(n.Args[1]), index: b.l.slotOf(n.Args[2]), width: max(width, 1)}
}

// result returns the operand that a node writes.
func (b *loopBuilder) result(v graph.ValueID, stored bool) int {
	size := b.l.f.Types[v].DType.Size()
	var o int
	if stored {
		o = b.memory(b.l.slotOf(v), size)
	} else {
		o = b.register(size)
	}
	b.operand[v] = o
	return o
}

// release gives back the registers of values that nothing further reads.
func (b *loopBuilder) release(at int, args []graph.ValueID) {
	done := map[graph.ValueID]bool{}
	for _, a := range args {
		r := b.l.root(a)
		if o, ok := b.operand[r]; ok && b.lastRead[r] <= at && !done[r] && b.loop.operands[o].reg >= 0 {
			done[r] = true
			b.free = append(b.free, b.loop.operands[o].reg)
		}
	}
}

// read returns the operand from which a node reads a value.
func (b *loopBuilder) read(a graph.ValueID) (int, error) {
	l := b.l
	v := l.root(a)
	if o, ok := b.operand[v]; ok {
		return o, nil
	}
	if o, ok := b.sources[v]; ok {
		return o, nil
	}
	d := l.def[v]
	if d >= 0 && l.cheap(d) {
		src, invariant, err := b.source(v)
		if err != nil {
			return 0, err
		}
		// The register stays its own throughout, so that it can be filled once.
		r := b.loop.regs
		b.loop.regs++
		b.loop.operands = append(b.loop.operands, operand{reg: r, size: l.f.Types[v].DType.Size()})
		o := len(b.loop.operands) - 1
		op := loopOp{source: src, dst: o, invariant: invariant}
		if s, ok := src.(*stridedSource); ok {
			op.rows = rowsOf(s)
		}
		b.loop.ops = append(b.loop.ops, op)
		b.sources[v] = o
		b.scalars[o] = invariant
		return o, nil
	}
	o := b.memory(l.slotOf(v), l.f.Types[v].DType.Size())
	b.sources[v] = o
	return o, nil
}

// source makes the loop source of a cheap value, and says whether it gives the
// same block everywhere.
func (b *loopBuilder) source(v graph.ValueID) (loopSource, bool, error) {
	l := b.l
	n := &l.f.Nodes[l.def[v]]
	t := l.f.Types[v]
	switch n.Op {
	case graph.OpConstant:
		s := &literalSource{size: t.DType.Size()}
		copy(s.bits[:], l.r.consts[v].Data)
		return s, true, nil
	case graph.OpIota:
		ext := extents(t)
		axis := int(n.Attrs.(*graph.IotaAttrs).Axis)
		inner := 1
		for _, e := range ext[axis+1:] {
			inner *= e
		}
		return &iotaSource{dtype: t.DType, extent: max(ext[axis], 1), inner: max(inner, 1)}, false, nil
	}
	a := n.Attrs.(*graph.BroadcastAttrs)
	from := l.f.Types[n.Args[0]]
	base := l.root(n.Args[0])
	if d := l.def[base]; d >= 0 && l.f.Nodes[d].Op == graph.OpConstant && numel(from) == 1 {
		s := &literalSource{size: t.DType.Size()}
		copy(s.bits[:], l.r.consts[base].Data)
		return s, true, nil
	}
	if numel(from) == 1 {
		b.reads(l.slotOf(base), false)
		return scalarSource{l.slotOf(base), t.DType.Size()}, true, nil
	}
	ext := extents(t)
	in := extents(from)
	stride := make([]int, len(ext))
	step := 1
	for i := len(in) - 1; i >= 0; i-- {
		if in[i] != 1 {
			stride[a.Dims[i]] = step
		}
		step *= in[i]
	}
	b.reads(l.slotOf(base), l.rowBroadcast(b.u, n))
	dims, strides := collapse(ext, stride)
	return &stridedSource{slot: l.slotOf(base), size: t.DType.Size(), dims: dims, stride: strides}, false, nil
}

// emitNode writes the instructions of a node that is no loop.
func (l *lowering) emitNode(u *unit) error {
	node := u.nodes[0]
	n := &l.f.Nodes[node]
	in := instr{name: n.Op.String(), scope: l.r.scopes[node], first: u.first}
	if k := nativeNode(n); k != nil {
		in.name = k.name
	}
	for i, a := range n.Args {
		in.types = append(in.types, l.f.Types[a].String())
		bytes := l.bytesOf(a)
		switch n.Op {
		case graph.OpGather, graph.OpSlice, graph.OpDynamicSlice:
			if i == 0 { // no more is read than what is taken
				bytes = min(bytes, l.bytesOf(n.Out))
			}
		}
		in.bytes += bytes
	}
	for k := range n.NumOut {
		v := n.Out + graph.ValueID(k)
		in.types = append(in.types, "-> "+l.f.Types[v].String())
		in.bytes += l.bytesOf(v)
	}
	c := &nodeContext{l: l, n: n, at: u.order, rows: u.rows}
	for _, a := range n.Args {
		c.in = append(c.in, tensorAt{l.slotOf(a), l.f.Types[a].DType, extents(l.f.Types[a])})
	}
	for k := range n.NumOut {
		v := n.Out + graph.ValueID(k)
		c.out = append(c.out, tensorAt{l.slotOf(v), l.f.Types[v].DType, extents(l.f.Types[v])})
	}
	build, ok := nodeKernel(n.Op)
	if !ok {
		return &kernels.UnsupportedError{Backend: "cpu", Op: n.Op.String(), Reason: "it has no kernel"}
	}
	if err := build(c, node); err != nil {
		return err
	}
	rows := split{}
	if u.rows > 0 {
		rows = c.share(u.rows, 1).split()
	}
	for i, t := range c.in {
		a := access{slot: t.slot}
		if l.rowOperand(n, i) {
			a.split = rows
		}
		c.access = append(c.access, a)
	}
	for _, t := range c.out {
		c.access = append(c.access, access{slot: t.slot, write: true, split: rows})
	}
	for i, run := range c.code {
		part := in
		part.run = run
		part.access = slices.Clone(c.access)
		part.meet = i > 0 && !u.first
		if p, ok := c.fixed[i]; ok {
			part.fixed = p + 1
		}
		// What comes before the last instruction prepares or makes parts.
		if i < len(c.code)-1 {
			part.name += "/" + fmt.Sprint(i)
			part.bytes = 0
		} else {
			part.flops = c.flops
		}
		if len(c.code) == 1 && c.part != nil {
			part.part, part.share, part.keep = c.part, c.parts, c.keep
			part.rowBytes = int(l.bytesOf(n.Out)) / max(u.rows, 1)
		}
		l.prog.code = append(l.prog.code, part)
	}
	return nil
}

// tensorAt is a value in memory.
type tensorAt struct {
	slot  slot
	dtype graph.DType
	shape []int
}

func (t tensorAt) numel() int {
	n := 1
	for _, e := range t.shape {
		n *= e
	}
	return n
}

// strides returns the row-major strides, in elements.
func (t tensorAt) strides() []int {
	s := make([]int, len(t.shape))
	step := 1
	for i := len(s) - 1; i >= 0; i-- {
		s[i] = step
		step *= t.shape[i]
	}
	return s
}

// nodeContext is what the builder of a node's kernel reads and fills.
type nodeContext struct {
	l     *lowering
	n     *graph.Node
	in    []tensorAt
	out   []tensorAt
	at    int // its position in the schedule
	rows  int // of its unit
	code  []func(x *execution, tid, threads int)
	part  func(x *execution, tid, lo, hi int) // what the instruction does with a range
	parts share
	keep  func(s slot)
	flops int64
	fixed map[int]int // parameter on which alone an instruction depends

	access []access // of the scratch memory
}

// once says of the last instruction that it depends on a parameter alone, and
// so need not run again until that is written to; -1 for none.
func (c *nodeContext) once(param int) {
	if param < 0 {
		return
	}
	if c.fixed == nil {
		c.fixed = map[int]int{}
	}
	c.fixed[len(c.code)-1] = param
}

// share returns how n items, those of all rows where the unit has some, fall to
// the threads.
func (c *nodeContext) share(n, grain int) share { return share{c.rows, n, grain} }

// addParts adds an instruction that computes ranges of items.
func (c *nodeContext) addParts(s share, part func(x *execution, tid, lo, hi int)) {
	c.parts, c.part = s, part
	c.add(func(x *execution, tid, threads int) {
		if lo, hi := s.span(tid, threads); lo < hi {
			part(x, tid, lo, hi)
		}
	})
}

func (c *nodeContext) add(run func(x *execution, tid, threads int)) { c.code = append(c.code, run) }

// scratch reserves memory that lives from one instruction of the node to the
// last of them.
func (c *nodeContext) scratch(bytes int) slot {
	s := c.l.scratch(c.at, int64(bytes))
	c.access = append(c.access, access{slot: s, write: true})
	return s
}

func at[T any](x *execution, t tensorAt) []T {
	return unsafe.Slice((*T)(x.ptr(t.slot)), t.numel())
}
