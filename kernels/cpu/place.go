package cpu

import (
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// A value in memory has a slot: a parameter's or result's handle, a constant of
// the program, or a range of the arena.

type slotKind uint8

const (
	paramSlot slotKind = iota
	resultSlot
	constSlot
	arenaSlot
)

type slotInfo struct {
	kind   slotKind
	index  int   // of the parameter or result
	offset int64 // in the arena
	bytes  int64
	data   []byte // of a constant
}

func (p *program) addSlot(s slotInfo) slot {
	p.slots = append(p.slots, s)
	return slot(len(p.slots) - 1)
}

func (l *lowering) bytesOf(v graph.ValueID) int64 {
	t := l.f.Types[v]
	return int64(numel(t)) * int64(t.DType.Size())
}

// place gives every value that must be in memory its slot.
func (l *lowering) place() {
	l.slots = make([]slot, len(l.f.Types))
	for i := range l.slots {
		l.slots[i] = -1
	}
	for i := range l.f.Params {
		l.slots[i] = l.prog.addSlot(slotInfo{kind: paramSlot, index: i})
	}
	l.liveness()
	// Results: into the parameter they replace, into their own handle, or by a
	// copy at the end.
	for i, r := range l.f.Results {
		v := l.root(r.Value)
		donated := i < len(l.o.Donate) && l.o.Donate[i] >= 0
		to := slot(-1)
		if donated {
			to = l.slots[l.o.Donate[i]]
		} else {
			to = l.prog.addSlot(slotInfo{kind: resultSlot, index: i})
		}
		d := l.def[v]
		switch p, in := l.donatedTo[v]; {
		case donated && in && p == l.o.Donate[i]:
			l.slots[v] = to
		case !donated && d >= 0 && l.slots[v] < 0 && !in && l.unitOf(v) != nil && !l.isResultElsewhere(v, i):
			l.slots[v] = to
		case donated && v == graph.ValueID(l.o.Donate[i]):
			// Passed through unchanged.
		default:
			l.copies = append(l.copies, copyOut{r.Value, to})
		}
	}
	for v := range l.f.Types {
		id := graph.ValueID(v)
		if d := l.def[v]; d >= 0 && l.f.Nodes[d].Op == graph.OpConstant && (l.inMemory[v] || !l.cheap(d)) {
			data := l.r.consts[id].Data
			l.slots[v] = l.prog.addSlot(slotInfo{kind: constSlot, data: alignedCopy(data), bytes: int64(len(data))})
		}
	}
	l.share()
}

// isResultElsewhere reports whether v is also a donated result, whose slot it
// will take.
func (l *lowering) isResultElsewhere(v graph.ValueID, i int) bool {
	for j, r := range l.f.Results {
		if j != i && l.root(r.Value) == v && j < len(l.o.Donate) && l.o.Donate[j] >= 0 {
			return true
		}
	}
	return false
}

// unitOf returns the unit that writes v to memory.
func (l *lowering) unitOf(v graph.ValueID) *unit {
	if u, ok := l.copyUnits[v]; ok {
		return u.root()
	}
	if d := l.def[v]; d >= 0 && l.unit[d] != nil {
		return l.unit[d].root()
	}
	return nil
}

// liveness finds the last reader of every value in memory.
func (l *lowering) liveness() {
	l.lastUse = make([]int, len(l.f.Types))
	for v := range l.lastUse {
		l.lastUse[v] = -1
	}
	for at, u := range l.sched {
		for _, node := range u.nodes {
			l.reads(u, node, func(v graph.ValueID, _ bool) { l.lastUse[v] = max(l.lastUse[v], at) })
		}
	}
	for _, r := range l.f.Results {
		l.lastUse[l.root(r.Value)] = len(l.sched)
	}
}

// buffer is a range of the arena with the time for which it is taken.
type buffer struct {
	from, to int // positions in the schedule
	bytes    int64
	offset   int64
	values   []graph.ValueID
	slots    []slot
}

// share gives the values that live between units their buffers. An elementwise
// result takes over the memory of an operand that dies with it.
func (l *lowering) share() {
	of := map[graph.ValueID]*buffer{}
	for at, u := range l.sched {
		made := l.outputs(u)
		taken := map[*buffer]bool{}
		for _, v := range made {
			if l.slots[v] >= 0 {
				continue
			}
			n := l.bytesOf(v)
			if b := l.reusable(u, v, at, of, taken); b != nil {
				taken[b] = true
				b.to = max(b.to, l.lastUse[v], at)
				b.values = append(b.values, v)
				of[v] = b
				continue
			}
			b := &buffer{from: at, to: max(l.lastUse[v], at), bytes: (n + lineBytes - 1) / lineBytes * lineBytes, values: []graph.ValueID{v}}
			if b.bytes == 0 {
				b.bytes = lineBytes
			}
			l.buffers = append(l.buffers, b)
			of[v] = b
		}
	}
	for _, b := range l.buffers {
		for _, v := range b.values {
			l.slots[v] = l.prog.addSlot(slotInfo{kind: arenaSlot, bytes: l.bytesOf(v)})
			b.slots = append(b.slots, l.slots[v])
		}
	}
}

// scratch reserves memory for the unit at a position of the schedule.
func (l *lowering) scratch(at int, bytes int64) slot {
	bytes = max(bytes, 1)
	s := l.prog.addSlot(slotInfo{kind: arenaSlot, bytes: bytes})
	l.buffers = append(l.buffers, &buffer{from: at, to: at, bytes: (bytes + lineBytes - 1) / lineBytes * lineBytes, slots: []slot{s}})
	return s
}

// fixedParam returns the parameter whose memory a slot is, if the program does
// not replace it and may keep what it makes of it, else -1.
func (l *lowering) fixedParam(s slot) int {
	info := &l.prog.slots[s]
	if !l.keeps || info.kind != paramSlot || slices.Contains(l.o.Donate, info.index) {
		return -1
	}
	return info.index
}

// keep reserves memory that keeps what is in it from one run to the next.
func (l *lowering) keep(bytes int64) slot {
	s := l.scratch(0, bytes)
	l.prog.keeps++
	l.buffers[len(l.buffers)-1].to = len(l.sched)
	return s
}

// arena packs the buffers. Threads may be anywhere in a phase, so that a buffer
// is taken for all of each phase in which it is used.
func (l *lowering) arena() {
	phase := func(at int) int {
		if at < 0 || at >= len(l.sched) {
			return len(l.sched) // with the copies at the end
		}
		return l.sched[at].phase
	}
	for _, b := range l.buffers {
		b.from, b.to = phase(b.from), phase(b.to)
	}
	sorted := slices.Clone(l.buffers)
	slices.SortStableFunc(sorted, func(a, b *buffer) int {
		switch {
		case a.bytes > b.bytes:
			return -1
		case a.bytes < b.bytes:
			return 1
		}
		return a.from - b.from
	})
	var placed []*buffer
	for _, b := range sorted {
		offset := int64(0)
		// placed is sorted by offset: take the first gap that is free in time.
		for _, p := range placed {
			if p.from > b.to || b.from > p.to {
				continue
			}
			if offset+b.bytes <= p.offset {
				break
			}
			offset = max(offset, p.offset+p.bytes)
		}
		b.offset = offset
		at, _ := slices.BinarySearchFunc(placed, offset, func(p *buffer, o int64) int {
			switch {
			case p.offset < o:
				return -1
			case p.offset > o:
				return 1
			}
			return 0
		})
		placed = slices.Insert(placed, at, b)
		l.prog.arena = max(l.prog.arena, offset+b.bytes)
	}
	for _, b := range l.buffers {
		for _, k := range b.slots {
			l.prog.slots[k].offset = b.offset
		}
	}
}

// outputs returns the values that a unit writes to memory, in order.
func (l *lowering) outputs(u *unit) []graph.ValueID {
	var out []graph.ValueID
	for _, node := range l.loopOrder(u) {
		n := &l.f.Nodes[node]
		for k := range n.NumOut {
			if v := n.Out + graph.ValueID(k); l.inMemory[v] || !u.loop {
				out = append(out, v)
			}
		}
	}
	return out
}

// reusable returns the buffer of an operand of u that v may be written over.
func (l *lowering) reusable(u *unit, v graph.ValueID, at int, of map[graph.ValueID]*buffer, taken map[*buffer]bool) *buffer {
	if !u.loop {
		n := &l.f.Nodes[u.nodes[0]]
		if inPlace(n.Op) {
			w := l.root(n.Args[0])
			if b := of[w]; b != nil && b.to == at && l.bytesOf(w) == l.bytesOf(v) &&
				!slices.ContainsFunc(n.Args[1:], func(a graph.ValueID) bool { return of[l.root(a)] == b }) {
				return b
			}
		}
		return nil
	}
	order := l.loopOrder(u)
	size := l.f.Types[v].DType.Size()
	var best *buffer
	for _, node := range order {
		l.reads(u, node, func(w graph.ValueID, direct bool) {
			b := of[w]
			if best != nil || b == nil || taken[b] || b.to != at || !direct || l.f.Types[w].DType.Size() != size || l.bytesOf(w) != l.bytesOf(v) {
				return
			}
			// No node may read w's buffer otherwise, nor after v is written.
			seen, ok := false, true
			for _, other := range order {
				l.reads(u, other, func(x graph.ValueID, direct bool) {
					if of[x] == b && (!direct || seen) {
						ok = false
					}
				})
				seen = seen || l.f.Nodes[other].Out == v
			}
			if ok {
				best = b
			}
		})
		if l.f.Nodes[node].Out == v {
			break
		}
	}
	return best
}
