package cpu

import "sync/atomic"

// A rowGroup is a run of instructions over the rows of one matrix, such as a
// weight's gradient and its update: each takes only what the ones before it made
// of the same rows. They run together chunk by chunk, so that a chunk is still in
// the cache for the next of them. Each thread has rows of its own, the same in
// every step, and takes over chunks from the end of another's when it is done
// with them: threads that come late, or whose processor another process has
// taken, hold nobody up. Chunks begin large, as a product has less to load for each
// of more rows, and end small, so that nobody waits long for the last.
type rowGroup struct {
	parts []instr
	rows  int
	chunk int // rows, at most
	tile  int // rows that a chunk is a multiple of
	first int // queue of the first thread
}

const (
	// chunkBytes bounds what the first part makes of a chunk.
	chunkBytes = 48 << 10
	// queueBits is the room for a row in a queue.
	queueBits = 24
)

// queue holds the rows that a thread has left in a step: the number of the step,
// the first row, and the row after the last.
type queue struct {
	left atomic.Uint64
	_    [lineBytes - 8]byte
}

// take removes half of the rows of a queue, at least a tile and at most the given
// number of them, from its front or its back. It holds lo to hi when a step begins;
// the first to come in a step finds it so.
func (q *queue) take(step uint16, lo, hi, tile, most int, back bool) (from, to int) {
	const mask = 1<<queueBits - 1
	for {
		v := q.left.Load()
		a, b := lo, hi
		if uint16(v>>(2*queueBits)) == step {
			a, b = int(v>>queueBits&mask), int(v&mask)
		}
		if a >= b {
			return 0, 0
		}
		n := min(max((b-a)/2/tile, 1)*tile, most, b-a)
		if from, to = a, a+n; back {
			from, to = b-n, b
			b -= n
		} else {
			a += n
		}
		if q.left.CompareAndSwap(v, uint64(step)<<(2*queueBits)|uint64(a)<<queueBits|uint64(b)) {
			return from, to
		}
	}
}

func (g *rowGroup) run(x *execution, tid, threads int) {
	if threads == 1 {
		n := (g.rows + g.chunk - 1) / g.chunk
		for i := range n {
			g.compute(x, tid, g.rows*i/n, g.rows*(i+1)/n)
		}
		return
	}
	x.eachChunk(g.first, g.rows, g.tile, g.chunk, tid, threads, func(from, to int) { g.compute(x, tid, from, to) })
}

// eachChunk calls compute for the chunks of thread tid's rows, multiples of tile and
// at most as large as most says, then for those that it takes over from other
// threads, whose queues begin at first.
func (x *execution) eachChunk(first, rows, tile, most, tid, threads int, compute func(from, to int)) {
	step := x.threads[tid].step
	for k := range threads {
		owner := (tid + k) % threads
		lo, hi := span(rows, 1, owner, threads)
		q := &x.queues[first+owner]
		for {
			from, to := q.take(step, lo, hi, tile, most, k > 0)
			if from == to {
				break
			}
			compute(from, to)
		}
	}
}

func (g *rowGroup) compute(x *execution, tid, from, to int) {
	for i := range g.parts {
		p := &g.parts[i]
		k := p.share.n / p.share.rows
		p.part(x, tid, from*k, to*k)
	}
}

// keep lets the first part of a group write to the thread's own room where only
// the other parts read it, so that a gradient is never written to memory.
func (p *program) keep(g *rowGroup) {
	first := &g.parts[0]
	if len(g.parts) < 2 || first.keep == nil {
		return
	}
	made := slot(-1)
	for _, a := range first.access {
		if a.write {
			made = a.slot
		}
	}
	if made < 0 || p.slots[made].kind != arenaSlot {
		return
	}
	count := func(code []instr) (n int) {
		for i := range code {
			for _, a := range code[i].access {
				if a.slot == made {
					n++
				}
			}
		}
		return n
	}
	if count(p.code) != count(g.parts) {
		return
	}
	for i := range g.parts {
		if q := &g.parts[i]; count(g.parts[i:i+1]) > 0 && q.keep == nil {
			return
		}
	}
	for i := range g.parts {
		if g.parts[i].keep != nil {
			g.parts[i].keep(made)
		}
	}
	p.kept = max(p.kept, g.chunk*first.rowBytes)
}

// join makes groups of the instructions that can be in one. Rows of a batch stay
// as they are: a product of few rows reads all of its other operand. It reports
// whether there are groups; what they access, any thread may.
func (p *program) join(batch int) bool {
	var code []instr
	for i := 0; i < len(p.code); {
		in := p.code[i]
		rows := in.share.rows
		if in.part == nil || rows < leastRows || rows == batch || rows >= 1<<queueBits {
			code = append(code, in)
			i++
			continue
		}
		g := &rowGroup{rows: rows, first: p.queues}
		p.queues += p.backend.team.size
		for ; i < len(p.code); i++ {
			q := p.code[i]
			if q.part == nil || q.share.rows != rows || q.meet && len(g.parts) > 0 {
				break
			}
			g.parts = append(g.parts, q)
		}
		width := max(1, g.parts[0].rowBytes)
		g.tile = p.backend.gemm.TileRows()
		g.chunk = max(chunkBytes/width/g.tile, 1) * g.tile
		p.keep(g)
		if len(g.parts) > 1 {
			p.joined++
		}
		in.run, in.part, in.access = g.run, nil, nil
		for _, q := range g.parts {
			for _, a := range q.access {
				in.access = append(in.access, access{slot: a.slot, write: a.write})
			}
		}
		code = append(code, in)
	}
	p.code = code
	return p.queues > 0
}
