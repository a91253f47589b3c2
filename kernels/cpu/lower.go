package cpu

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// slot numbers a piece of memory of a program.
type slot int32

// instr is one instruction: every thread of the team calls run.
type instr struct {
	run   func(x *execution, tid, threads int)
	first bool // the first thread runs all of it
	meet  bool // all threads meet before it
	name  string
	scope string
	types []string
	flops int64
	bytes int64

	// fixed is, but for 0, one more than the parameter on which alone the
	// instruction depends: it runs when that has been written to.
	fixed int

	// part runs a range of the items that share gives the threads; nil where
	// that cannot be told apart.
	part     func(x *execution, tid, lo, hi int)
	share    share
	rowBytes int // written to a row
	// keep makes what part writes to, or reads from, memory lie in the thread's
	// room for one range; nil where it cannot.
	keep func(s slot)

	access []access // while the program is being made
}

// unit is a part of the program that becomes one or more instructions: a loop
// of elementwise nodes, or one other node.
type unit struct {
	id    int
	nodes []int // of the function; several for a loop
	loop  bool
	numel int
	deps  map[*unit]bool // false for one whose operand this one overwrites
	hard  map[*unit]bool // those of deps that must be complete: read elsewhere than at the loop's index
	into  *unit          // the loop that swallowed this one
	mark  int

	first bool // small: left to the first thread
	rows  int  // the threads share its rows; 0: in another way
	order int  // position in the schedule
	phase int
	low   int // its first node
	users []*unit
	wait  int
}

func (u *unit) root() *unit {
	for u.into != nil {
		u = u.into
	}
	return u
}

// maxLoopOps bounds the ops of one loop, and so its operands.
const maxLoopOps = 48

// lowering turns a rewritten function into units, orders them, and gives every
// value that must exist in memory a slot.
type lowering struct {
	b     *Backend
	r     *rewriter
	f     *graph.Func
	o     kernels.Options
	def   []int           // node that defines a value, -1 for parameters
	alias []graph.ValueID // the value whose memory a reshape shares
	unit  []*unit         // of each node
	units []*unit
	sched []*unit
	stamp int

	inMemory  []bool // values that need memory
	slots     []slot // of values, -1 where there is none
	lastUse   []int  // position in the schedule of the last reader of a value
	prog      *program
	copies    []copyOut
	donatedTo map[graph.ValueID]int // parameter whose memory the value takes
	copyUnits map[graph.ValueID]*unit
	buffers   []*buffer
	uses      []int // readers of a value, results among them
	batch     int   // rows of what is computed row by row on a batch; 0: nothing
	keeps     bool  // what is made of parameters alone may be kept for the next run
}

type copyOut struct {
	from graph.ValueID
	to   slot
}

func numel(t graph.Type) int {
	n := 1
	for _, d := range t.Shape {
		k, _ := d.Const()
		n *= int(k)
	}
	return n
}

func extents(t graph.Type) []int {
	out := make([]int, len(t.Shape))
	for i, d := range t.Shape {
		k, _ := d.Const()
		out[i] = int(k)
	}
	return out
}

// cheap reports whether a node makes its elements from an index and memory at
// hardly any cost, so that every loop that reads it makes its own.
func (l *lowering) cheap(node int) bool {
	if node < 0 {
		return false
	}
	switch l.f.Nodes[node].Op {
	case graph.OpBroadcast, graph.OpIota:
		return true
	case graph.OpConstant:
		return numel(l.f.Types[l.f.Nodes[node].Out]) == 1
	}
	return false
}

func (l *lowering) elementwise(node int) bool {
	n := &l.f.Nodes[node]
	return n.Op.Def().Class == graph.Elementwise || n.Op == graph.OpRandomBits || n.Op == graph.OpBroadcast || n.Op == graph.OpIota
}

// root returns the value whose memory v shares.
func (l *lowering) root(v graph.ValueID) graph.ValueID {
	for l.alias[v] != v {
		v = l.alias[v]
	}
	return v
}

// build forms the units.
func (l *lowering) build() error {
	f := l.f
	l.def = make([]int, len(f.Types))
	l.alias = make([]graph.ValueID, len(f.Types))
	for v := range l.def {
		l.def[v] = -1
		l.alias[v] = graph.ValueID(v)
	}
	l.unit = make([]*unit, len(f.Nodes))
	l.uses = make([]int, len(f.Types))
	for i := range f.Nodes {
		for _, a := range f.Nodes[i].Args {
			l.uses[a]++
		}
	}
	for _, r := range f.Results {
		l.uses[r.Value]++
	}
	l.copyUnits = map[graph.ValueID]*unit{}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for k := range n.NumOut {
			l.def[n.Out+graph.ValueID(k)] = i
		}
		switch {
		case n.Op == graph.OpReshape:
			l.alias[n.Out] = n.Args[0]
			continue
		case n.Op == graph.OpAllReduce:
			if a := n.Attrs.(*graph.AllReduceAttrs); a.Shards > 1 {
				return &kernels.UnsupportedError{Backend: "cpu", Op: fmt.Sprintf("all_reduce over %d shards", a.Shards), Reason: "it runs one replica"}
			}
			l.alias[n.Out] = n.Args[0]
			continue
		case l.cheap(i):
			continue
		case n.Op == graph.OpConstant:
			continue
		}
		u := &unit{id: len(l.units), nodes: []int{i}, deps: map[*unit]bool{}}
		if l.elementwise(i) {
			u.loop, u.numel = true, numel(f.Types[n.Out])
		}
		l.units = append(l.units, u)
		l.unit[i] = u
		for _, p := range l.producers(i) {
			u.deps[p.root()] = true
		}
		if j, ok := l.r.after[i]; ok {
			for k := range f.Nodes[j].NumOut {
				for _, p := range l.producer(f.Nodes[j].Out+graph.ValueID(k), false) {
					u.deps[p.root()] = true
				}
			}
		}
		if u.loop {
			u.hard = l.complete(i)
			if !l.r.late[i] {
				l.fuse(u, n)
			}
		}
	}
	for _, r := range f.Results {
		v := l.root(r.Value)
		if d := l.def[v]; d >= 0 && l.cheap(d) && f.Nodes[d].Op != graph.OpConstant {
			l.copyUnit(v)
		}
	}
	return nil
}

// producers returns the units that a node reads from, through aliases and
// cheap sources; a cheap source that is read as memory gets a unit of its own.
func (l *lowering) producers(node int) []*unit {
	var out []*unit
	n := &l.f.Nodes[node]
	for _, a := range n.Args {
		out = append(out, l.producer(a, !l.elementwise(node) || n.Op == graph.OpRandomBits)...)
	}
	return out
}

// complete returns the units that an elementwise node reads from memory at other
// indices than its own.
func (l *lowering) complete(node int) map[*unit]bool {
	var out map[*unit]bool
	n := &l.f.Nodes[node]
	for _, a := range n.Args {
		v := l.root(a)
		d := l.def[v]
		if n.Op != graph.OpRandomBits && (d < 0 || l.f.Nodes[d].Op != graph.OpBroadcast) {
			continue
		}
		for _, p := range l.producer(v, n.Op == graph.OpRandomBits) {
			if out == nil {
				out = map[*unit]bool{}
			}
			out[p] = true
		}
	}
	return out
}

// needsWhole reports whether u reads p's memory at other indices than its own.
func (u *unit) needsWhole(p *unit) bool {
	for d := range u.hard {
		if d.root() == p {
			return true
		}
	}
	return false
}

// producer returns the units behind a value; memory says that the value itself
// must be in memory.
func (l *lowering) producer(v graph.ValueID, memory bool) []*unit {
	v = l.root(v)
	d := l.def[v]
	switch {
	case d < 0:
		return nil
	case l.cheap(d):
		if l.f.Nodes[d].Op == graph.OpConstant {
			return nil
		}
		if memory {
			return []*unit{l.copyUnit(v)}
		}
		if l.f.Nodes[d].Op == graph.OpBroadcast {
			return l.producer(l.f.Nodes[d].Args[0], true)
		}
		return nil
	case l.unit[d] == nil:
		return nil // a constant
	}
	return []*unit{l.unit[d].root()}
}

// copyUnit returns the unit that writes a cheap source to memory.
func (l *lowering) copyUnit(v graph.ValueID) *unit {
	if u, ok := l.copyUnits[v]; ok {
		return u.root()
	}
	d := l.def[v]
	u := &unit{id: len(l.units), nodes: []int{d}, loop: true, numel: numel(l.f.Types[v]), deps: map[*unit]bool{}}
	if l.f.Nodes[d].Op == graph.OpBroadcast {
		for _, p := range l.producer(l.f.Nodes[d].Args[0], true) {
			u.deps[p] = true
		}
	}
	l.units = append(l.units, u)
	l.copyUnits[v] = u
	return u
}

// direct returns the loops whose elements a node reads at its own index.
func (l *lowering) direct(n *graph.Node, size int) []*unit {
	var out []*unit
	if n.Op == graph.OpRandomBits {
		return nil // reads its operands elsewhere
	}
	for _, a := range n.Args {
		v := l.root(a)
		d := l.def[v]
		if d < 0 || l.cheap(d) || l.unit[d] == nil {
			continue
		}
		if u := l.unit[d].root(); u.loop && u.numel == size && !slices.Contains(out, u) {
			out = append(out, u)
		}
	}
	return out
}

// fuse merges u into the loops that it reads, where no value would have to be
// computed before itself.
func (l *lowering) fuse(u *unit, n *graph.Node) {
	for _, p := range l.direct(n, u.numel) {
		p, q := p.root(), u.root()
		if p == q || len(p.nodes)+len(q.nodes) > maxLoopOps || q.needsWhole(p) || p.needsWhole(q) {
			continue
		}
		// A path from p to q through another unit would become a circle.
		l.stamp++
		blocked := false
		for d := range q.deps {
			if d = d.root(); d != p && d != q && l.reaches(d, p) {
				blocked = true
				break
			}
		}
		if blocked {
			continue
		}
		// Keep p, the older: units that read it stay right.
		q.into = p
		p.nodes = append(p.nodes, q.nodes...)
		for d := range q.hard {
			if p.hard == nil {
				p.hard = map[*unit]bool{}
			}
			p.hard[d] = true
		}
		for d := range q.deps {
			if d = d.root(); d != p {
				p.deps[d] = true
			}
		}
	}
}

// reaches reports whether target is among the units that u depends on.
func (l *lowering) reaches(u, target *unit) bool {
	u = u.root()
	if u == target {
		return true
	}
	if u.mark == l.stamp {
		return false
	}
	u.mark = l.stamp
	for d := range u.deps {
		if d = d.root(); d != u && l.reaches(d, target) {
			return true
		}
	}
	return false
}

// readers returns the units that read v's memory.
func (l *lowering) readers() map[graph.ValueID][]*unit {
	out := map[graph.ValueID][]*unit{}
	add := func(v graph.ValueID, u *unit) {
		if r := out[v]; len(r) == 0 || r[len(r)-1] != u {
			out[v] = append(out[v], u)
		}
	}
	for _, u := range l.units {
		if u.into != nil {
			continue
		}
		for _, node := range u.nodes {
			l.reads(u, node, func(v graph.ValueID, _ bool) { add(v, u) })
		}
	}
	return out
}

// reads calls visit with every value outside of u, by its root, that a node of
// u reads from memory, and whether it reads it at its own index.
func (l *lowering) reads(u *unit, node int, visit func(v graph.ValueID, direct bool)) {
	n := &l.f.Nodes[node]
	if n.Op == graph.OpBroadcast {
		visit(l.root(n.Args[0]), false)
		return
	}
	for _, a := range n.Args {
		v := l.root(a)
		d := l.def[v]
		if u.loop && d >= 0 && l.cheap(d) {
			if n.Op == graph.OpRandomBits {
				visit(v, false)
				continue
			}
			if l.f.Nodes[d].Op == graph.OpBroadcast {
				visit(l.root(l.f.Nodes[d].Args[0]), false)
			}
			continue
		}
		if u.loop && d >= 0 && l.unit[d] != nil && l.unit[d].root() == u {
			continue
		}
		visit(v, u.loop && n.Op != graph.OpRandomBits)
	}
}

// schedule orders the units. A unit that overwrites a parameter comes after the
// other readers of that parameter, where that makes no circle.
func (l *lowering) schedule() error {
	readers := l.readers()
	l.inMemory = make([]bool, len(l.f.Types))
	for v, us := range readers {
		_ = us
		l.inMemory[v] = true
	}
	for _, r := range l.f.Results {
		l.inMemory[l.root(r.Value)] = true
	}
	l.donatedTo = map[graph.ValueID]int{}
	for i, r := range l.f.Results {
		if i >= len(l.o.Donate) || l.o.Donate[i] < 0 {
			continue
		}
		p := graph.ValueID(l.o.Donate[i])
		v := l.root(r.Value)
		d := l.def[v]
		if d < 0 || l.unit[d] == nil || !l.canOverwrite(v, p, readers) {
			continue
		}
		if _, taken := l.donatedTo[v]; taken {
			continue
		}
		if numel(l.f.Types[v]) == 1 && l.uses[v] > 1 && !l.f.Types[v].DType.IsFloat() {
			// What reads a new count need not wait for the old one's readers. Moments
			// of a parameter of one element are updated in place, as its kernel wants.
			continue
		}
		w := l.unit[d].root()
		ok := true
		for _, u := range readers[p] {
			l.stamp++
			if u = u.root(); u != w && l.reaches(u, w) {
				ok = false
				break
			}
		}
		if !ok {
			continue
		}
		l.donatedTo[v] = int(p)
		for _, u := range readers[p] {
			if u = u.root(); u != w && !w.deps[u] {
				w.deps[u] = false
			}
		}
	}
	// A result that is another parameter's old value must be copied out before
	// that parameter is overwritten: such results keep their copies at the end,
	// so the parameter may not be overwritten in place.
	for _, r := range l.f.Results {
		if v := l.root(r.Value); l.def[v] < 0 {
			for w, p := range l.donatedTo {
				if graph.ValueID(p) == v {
					delete(l.donatedTo, w)
				}
			}
		}
	}

	live := l.phases()
	if len(l.sched) != live {
		return fmt.Errorf("the plan has a circle (%d of %d units ordered)", len(l.sched), live)
	}
	return nil
}

// canOverwrite reports whether the unit that makes v may write it over the
// parameter p: it reads p at the same index as it writes, or not at all.
func (l *lowering) canOverwrite(v, p graph.ValueID, readers map[graph.ValueID][]*unit) bool {
	if !l.f.Types[v].Equal(l.f.Types[p]) && numel(l.f.Types[v]) != numel(l.f.Types[p]) || l.f.Types[v].DType != l.f.Types[p].DType {
		return false
	}
	w := l.unit[l.def[v]].root()
	for _, node := range w.nodes {
		bad := false
		l.reads(w, node, func(x graph.ValueID, direct bool) { bad = bad || x == p && !direct })
		if !bad {
			continue
		}
		if n := &l.f.Nodes[node]; !w.loop && inPlace(n.Op) && l.root(n.Args[0]) == p && !slices.ContainsFunc(n.Args[1:], func(a graph.ValueID) bool { return l.root(a) == p }) {
			continue
		}
		return false
	}
	// Within a loop, nothing may read p after v is written.
	if w.loop {
		seen := false
		for _, node := range l.loopOrder(w) {
			if seen {
				late := false
				l.reads(w, node, func(x graph.ValueID, _ bool) { late = late || x == p })
				if late {
					return false
				}
			}
			seen = seen || l.f.Nodes[node].Out == v
		}
	}
	return true
}

// inPlace lists the ops that may write over their first operand.
func inPlace(op graph.Op) bool { return op == graph.OpDynamicUpdateSlice || op == graph.OpScatterAdd }

// loopOrder returns a loop's nodes in the order of computation.
func (l *lowering) loopOrder(u *unit) []int {
	nodes := slices.Clone(u.nodes)
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

type unitHeap []*unit

func (h unitHeap) Len() int { return len(h) }
func (h unitHeap) Less(i, j int) bool {
	return h[i].low < h[j].low || h[i].low == h[j].low && h[i].id < h[j].id
}
func (h unitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *unitHeap) Push(x any)   { *h = append(*h, x.(*unit)) }
func (h *unitHeap) Pop() any {
	o := *h
	u := o[len(o)-1]
	*h = o[:len(o)-1]
	return u
}
