package cpu

import (
	"container/heap"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// A program is a sequence of phases, and threads meet between two of them. Within
// a phase an instruction may only depend on what the same thread has computed:
// elements of a loop with the same split, the same rows, or small work, all of
// which is the first thread's.

// smallWork is the number of element operations below which a unit is left to
// the first thread: meeting would take longer than what sharing saves.
const smallWork = 6000

// smallProgram is the number below which the first thread does everything: some
// ten microseconds, which waking another thread would take as well.
const smallProgram = 4 * smallWork

// lookAhead bounds how far a large unit may be moved before the others of its
// neighbourhood to fill a phase: what is computed early occupies memory.
const lookAhead = 64

// work estimates the element operations of a unit.
func (l *lowering) work(u *unit) int {
	n := &l.f.Nodes[u.nodes[0]]
	if u.loop {
		w := 0
		for _, node := range u.nodes {
			switch l.f.Nodes[node].Op {
			case graph.OpRandomBits, graph.OpPow, graph.OpExp, graph.OpLog, graph.OpTanh, graph.OpErf, graph.OpSin, graph.OpCos:
				w += 8
			default:
				w++
			}
		}
		return w * u.numel
	}
	w := 0
	for _, a := range n.Args {
		w += numel(l.f.Types[a])
	}
	out := numel(l.f.Types[n.Out])
	switch n.Op {
	case graph.OpDot:
		a := dotOfNode(n)
		for _, x := range a.LeftContract {
			k, _ := l.f.Types[n.Args[0]].Shape[x].Const()
			out *= int(k)
		}
		return out / 12
	case graph.OpConv, graph.OpConvInputGrad, graph.OpConvFilterGrad, graph.OpReduceWindow, graph.OpReduceWindowGrad:
		return 16 * (w + out)
	case graph.OpGather, graph.OpDynamicSlice, graph.OpSlice:
		return out
	case graph.OpSort, graph.OpTopK:
		return 32 * w
	case graph.OpCall:
		if nativeNode(n).rows {
			return 8 * w
		}
	case graph.OpScan:
		return smallWork + 1
	case graph.OpOpaque:
		return 0
	}
	return w + out
}

// follows reports whether u may come after p without a meeting of the threads.
func (l *lowering) follows(p, u *unit) bool {
	if p.first || u.first {
		return p.first && u.first
	}
	if u.rows != p.rows {
		return false
	}
	if u.rows > 0 {
		return l.inRows(u, p)
	}
	if !p.loop || !u.loop || p.numel != u.numel {
		return false
	}
	same := true
	for _, node := range u.nodes {
		l.reads(u, node, func(v graph.ValueID, direct bool) {
			same = same && (direct || l.unitOf(v) != p)
		})
	}
	return same
}

// phases orders the units so that few meetings of the threads are needed.
func (l *lowering) phases() (live int) {
	var ready unitHeap
	l.findRows()
	total := 0
	for _, u := range l.units {
		if u.into == nil {
			total += l.work(u)
		}
	}
	for _, u := range l.units {
		if u.into != nil {
			continue
		}
		live++
		deps := map[*unit]bool{}
		for d, after := range u.deps {
			if d = d.root(); d != u {
				deps[d] = deps[d] || after
			}
		}
		u.deps = deps
		u.wait = len(deps)
		u.first = l.work(u) <= smallWork && (u.rows == 0 || u.rows != l.batch) || total <= l.b.small
		if u.first {
			u.rows = 0
		}
		u.low = l.loopOrder(u)[0]
		for d := range deps {
			d.users = append(d.users, u)
		}
		if u.wait == 0 {
			ready = append(ready, u)
		}
	}
	heap.Init(&ready)
	var later []*unit
	phase, lowest := 0, len(l.f.Nodes)
	for len(ready) > 0 || len(later) > 0 {
		if len(ready) == 0 {
			phase++
			lowest = len(l.f.Nodes)
			ready = append(ready, later...)
			later = later[:0]
			heap.Init(&ready)
		}
		u := heap.Pop(&ready).(*unit)
		blocked := u.low > lowest+lookAhead && !u.first && l.batch == 0
		for d := range u.deps {
			// A unit that overwrites what d reads must wait for all of d.
			if d.phase == phase && (!l.follows(d, u) || !u.deps[d] && !u.first) {
				blocked = true
			}
		}
		if blocked {
			later = append(later, u)
			lowest = min(lowest, u.low)
			continue
		}
		u.phase = phase
		u.order = len(l.sched)
		l.sched = append(l.sched, u)
		for _, v := range u.users {
			if v.wait--; v.wait == 0 {
				heap.Push(&ready, v)
			}
		}
	}
	// Within a phase units of one kind follow one another, small ones first:
	// they depend on none of another kind.
	slices.SortStableFunc(l.sched, func(a, b *unit) int {
		switch {
		case a.phase != b.phase:
			return a.phase - b.phase
		case a.first != b.first:
			if a.first {
				return -1
			}
			return 1
		}
		return b.rows - a.rows
	})
	for i, u := range l.sched {
		u.order = i
	}
	return live
}

// split says which part of a piece of memory a thread touches.
type split struct {
	first    bool // all of it, by the first thread
	n, grain int  // the part of n elements that span gives it; n is 0 for any part
}

// access is memory that an instruction reads or writes.
type access struct {
	slot  slot
	write bool
	split split
}

func (p *program) overlap(a, b slot) bool {
	if a == b {
		return true
	}
	x, y := &p.slots[a], &p.slots[b]
	return x.kind == arenaSlot && y.kind == arenaSlot && x.offset < y.offset+y.bytes && y.offset < x.offset+x.bytes
}

// clash reports whether two accesses by different threads may touch the same
// memory, one of them to write it.
func (p *program) clash(a, b *access) bool {
	switch {
	case !a.write && !b.write, a.split.first && b.split.first, !p.overlap(a.slot, b.slot):
		return false
	case a.split.n == 0 || a.split != b.split:
		return true
	}
	x, y := &p.slots[a.slot], &p.slots[b.slot]
	return a.slot != b.slot && (x.offset != y.offset || x.bytes != y.bytes)
}

// barriers marks the instructions before which the threads have to meet, and
// finds out whether the first thread does everything.
func (p *program) barriers() {
	var since []access
	p.serial = true
	for i := range p.code {
		in := &p.code[i]
		p.serial = p.serial && in.first
		for k := range in.access {
			if in.first {
				in.access[k].split = split{first: true}
			}
			for j := range since {
				if !in.meet && p.clash(&since[j], &in.access[k]) {
					in.meet = true
				}
			}
		}
		if in.meet {
			since = since[:0]
		}
		since = append(since, in.access...)
	}
}
