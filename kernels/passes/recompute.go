package passes

import (
	"cmp"
	"context"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Recompute computes values of the way forth again on the way back instead of
// keeping them, so that a step fits into less memory. The same ops run on the
// same operands: results have the same bits.
//
// Where memory is highest, some values are held only because they are read
// later. The first levels drop a quarter, half, three quarters and all of those
// that are cheap to compute from what stays: activations and normalizations, whose
// inputs a convolution keeps anyway. The levels above drop the costly ones too,
// but for checkpoints: every second one, every fourth, and so on (Chen and others,
// "Training deep nets with sublinear memory cost", 2016).
type Recompute struct{ Level int }

// cheapWork is how many operations an element may cost to be computed again at
// the first levels.
const cheapWork = 96

// Name returns recomputation.
func (Recompute) Name() string { return "recomputation" }

// Levels returns the number of levels that there are for a graph.
func (Recompute) Levels(g *Graph) int { return len(newMemory(g).levels()) }

// Run rewrites g for the level; level 0 leaves it as it is.
func (p Recompute) Run(ctx context.Context, g *Graph) ([]kernels.Count, error) {
	if p.Level <= 0 {
		return nil, nil
	}
	m := newMemory(g)
	levels := m.levels()
	if len(levels) == 0 {
		return nil, nil
	}
	sum := int64(0)
	for _, v := range levels[min(p.Level, len(levels))-1] {
		m.dropped[v] = true
		sum += m.bytes[v]
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	nodes, err := m.rewrite()
	return []kernels.Count{{What: "values dropped", N: int64(len(m.dropped))}, {What: "KiB of them", N: sum >> 10}, {What: "nodes computed again", N: nodes}}, err
}

// memory is what is known of a graph's values over the order of its nodes. A
// value is meant by its base: what a reshape or broadcast reads from.
type memory struct {
	g       *Graph
	def     []int
	base    []graph.ValueID
	bytes   []int64 // of bases; 0 for what takes no memory of the arena
	last    []int   // last node that reads a base
	peak    int     // node at which most bytes are held
	small   int64   // values of less are kept
	dropped map[graph.ValueID]bool
	control map[graph.ValueID]int // see candidates
	ends    []int                 // first node behind the peak that reads a base, -1
	mark    []int                 // see follower
	stamp   int
}

func newMemory(g *Graph) *memory {
	m := &memory{
		g: g, def: g.Definers(), base: make([]graph.ValueID, len(g.Types)), bytes: make([]int64, len(g.Types)),
		last: make([]int, len(g.Types)), dropped: map[graph.ValueID]bool{}, control: map[graph.ValueID]int{}, ends: make([]int, len(g.Types)), mark: make([]int, len(g.Types)),
	}
	for v := range m.base {
		id := graph.ValueID(v)
		m.base[v], m.last[v], m.ends[v] = id, -1, -1
		d := m.def[v]
		switch {
		case d < 0:
		case transparent(g.Nodes[d].Op):
			m.base[v] = m.base[g.Nodes[d].Args[0]]
		case g.Nodes[d].Op != graph.OpConstant && g.Nodes[d].Op != graph.OpIota:
			m.bytes[v] = bytesOf(g.Types[v])
		}
	}
	for i := range g.Nodes {
		if !transparent(g.Nodes[i].Op) {
			for _, a := range data(&g.Nodes[i]) {
				m.last[m.base[a]] = i
			}
		}
	}
	for _, r := range g.Results {
		m.last[m.base[r.Value]] = len(g.Nodes)
	}
	// Where most is held.
	dies := make([]int64, len(g.Nodes)+1)
	held, most := int64(0), int64(-1)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for k := range n.NumOut {
			v := n.Out + graph.ValueID(k)
			if held += m.bytes[v]; m.bytes[v] > 0 {
				dies[max(m.last[v], i)] += m.bytes[v]
			}
		}
		if held > most {
			most, m.peak = held, i
		}
		held -= dies[i]
	}
	m.small = most / 1024
	for i := m.peak + 1; i < len(g.Nodes); i++ {
		if n := &g.Nodes[i]; !transparent(n.Op) {
			for _, a := range data(n) {
				if b := m.base[a]; m.ends[b] < 0 {
					m.ends[b] = i
				}
			}
		}
	}
	return m
}

// transparent lists the ops whose results take no memory.
func transparent(op graph.Op) bool { return op == graph.OpReshape || op == graph.OpBroadcast }

// held reports whether a base is computed before the peak and read behind it.
func (m *memory) held(v graph.ValueID) bool {
	return m.bytes[v] > m.small && m.def[v] <= m.peak && m.ends[v] >= 0 && m.last[v] < len(m.g.Nodes)
}

// candidates returns the values held over the peak that can be computed again:
// the cheap ones by their cost a byte, the costly ones in order.
func (m *memory) candidates() (cheap, costly []graph.ValueID) {
	price := map[graph.ValueID]float64{}
	for v := range m.g.Types {
		id := graph.ValueID(v)
		if m.base[v] != id || !m.held(id) {
			continue
		}
		j := m.follower(id)
		if j < 0 {
			continue
		}
		m.control[id] = j
		work, ok := m.work(id)
		switch {
		case !ok:
		case work <= cheapWork*elements(m.g.Types[v]):
			cheap = append(cheap, id)
			price[id] = float64(work) / float64(m.bytes[v])
		default:
			costly = append(costly, id)
		}
	}
	slices.SortStableFunc(cheap, func(a, b graph.ValueID) int { return cmp.Compare(price[a], price[b]) })
	return cheap, costly
}

// levels returns what each level drops.
func (m *memory) levels() [][]graph.ValueID {
	cheap, costly := m.candidates()
	var out [][]graph.ValueID
	for part := 1; part <= 4 && len(cheap) > 0; part++ {
		if n := len(cheap) * part / 4; n > 0 {
			out = append(out, cheap[:n])
		}
	}
	points := costly // among which checkpoints are chosen
	if len(points) == 0 {
		points, cheap = slices.Clone(cheap), nil
		slices.Sort(points)
	}
	for k := 2; k <= len(points); k *= 2 {
		drop := slices.Clone(cheap)
		for i, v := range points {
			if (i+1)%k != 0 {
				drop = append(drop, v)
			}
		}
		out = append(out, drop)
	}
	return out
}

// follower returns the last node between the peak and the first one that needs v
// again that depends on v: behind it, v is not computed again too early. -1 for
// none.
func (m *memory) follower(v graph.ValueID) int {
	found := -1
	m.stamp++
	m.mark[v] = m.stamp
	for i := m.def[v] + 1; i < m.ends[v]; i++ {
		n := &m.g.Nodes[i]
		if !slices.ContainsFunc(data(n), func(a graph.ValueID) bool { return m.mark[a] == m.stamp }) {
			continue
		}
		for k := range n.NumOut {
			m.mark[n.Out+graph.ValueID(k)] = m.stamp
		}
		if i > m.peak && !transparent(n.Op) && n.NumOut > 0 {
			found = i
		}
	}
	return found
}

// work returns the operations that computing v again takes, from what is held
// and from parameters.
func (m *memory) work(v graph.ValueID) (total int64, ok bool) {
	flat := m.g.Flat()
	seen := map[int]bool{}
	ok = true
	var visit func(v graph.ValueID, first bool)
	visit = func(v graph.ValueID, first bool) {
		d := m.def[v]
		if d < 0 || seen[d] || !first && m.stays(v) {
			return
		}
		seen[d] = true
		n := &m.g.Nodes[d]
		if !pure(n) {
			ok = false
			return
		}
		flops, _ := flat.Cost(d)
		total += flops + elements(m.g.Types[n.Out])
		for _, a := range n.Args {
			visit(a, false)
		}
	}
	visit(v, true)
	return total, ok
}

// stays reports whether a value is there behind the peak: it is held, or so
// small that holding it costs nothing.
func (m *memory) stays(v graph.ValueID) bool {
	b := m.base[v]
	if m.def[b] < 0 || m.bytes[b] <= m.small {
		return true
	}
	return m.held(b) && !m.dropped[b] || m.def[b] > m.peak
}

// rewrite writes the graph with the dropped values computed again where they
// are first needed behind the peak, and returns how many nodes that takes.
func (m *memory) rewrite() (nodes int64, err error) {
	old := m.g
	again := map[graph.ValueID]graph.ValueID{}
	after := map[int]int{} // node of the new graph to node of the old
	at := make([]int, len(old.Nodes))
	i := -1
	err = Rewrite(old, func(w *Writer, n *graph.Node, args []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		i++
		if i <= m.peak {
			at[i] = len(w.Func.Nodes)
			return nil, nil
		}
		scope, body := w.scope, w.body
		var compute func(v graph.ValueID, control int) graph.ValueID
		compute = func(v graph.ValueID, control int) graph.ValueID {
			d := m.def[v]
			if d < 0 || m.stays(v) || !pure(&old.Nodes[d]) {
				return w.New(v)
			}
			if now, ok := again[v]; ok {
				return now
			}
			o := &old.Nodes[d]
			in := make([]graph.ValueID, len(o.Args))
			for j, a := range o.Args {
				in[j] = compute(a, control)
			}
			w.scope, w.body = old.Scopes[d], m.g.Bodies[d]
			after[len(w.Func.Nodes)] = control
			out := w.Typed(o.Op, o.Attrs, in, old.Types[o.Out:int(o.Out)+int(o.NumOut)])
			nodes++
			for k, x := range out {
				again[o.Out+graph.ValueID(k)] = x
			}
			return again[v]
		}
		if !transparent(n.Op) {
			for j, a := range n.Args {
				if b := m.base[a]; m.dropped[b] && m.def[b] <= m.peak {
					args[j] = compute(a, m.control[b])
				}
			}
		}
		w.scope, w.body = scope, body
		at[i] = len(w.Func.Nodes)
		return nil, nil
	})
	if err != nil {
		return 0, err
	}
	if old.After == nil {
		old.After = map[int]int{}
	}
	for node, control := range after {
		old.After[node] = at[control]
	}
	return nodes, nil
}
