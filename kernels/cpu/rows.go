package cpu

import (
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// Most of a dense network is computed row by row: a thread that owns some rows
// of a batch can go through all its layers, forward and backward, without waiting
// for another, and so can one that owns some rows of a weight matrix, from the
// gradient to the update. A unit with rows splits its work, and the memory that
// it writes, by its results' leading axis, and says which operands it reads in
// its own rows alone.

const (
	// leastRows is the smallest number of rows for which a unit that is not
	// computed row by row on a batch splits by them: fewer would not be even.
	leastRows = 24
	// sharedWeights bounds a right operand that every thread reads whole.
	sharedWeights = 2 << 20
	// rowBytes bounds the memory that is written row by row: as all of it is
	// made in few phases, hardly any can be used twice.
	rowBytes = 16 << 20
)

// share is how a unit's n items fall to threads: by rows, or by grains.
type share struct{ rows, n, grain int }

func (s share) span(tid, threads int) (lo, hi int) {
	if s.rows == 0 {
		return span(s.n, s.grain, tid, threads)
	}
	lo, hi = span(s.rows, 1, tid, threads)
	k := s.n / s.rows
	return lo * k, hi * k
}

// split returns the part of memory that a thread touches.
func (s share) split() split {
	if s.rows > 0 {
		return split{n: s.rows, grain: 1}
	}
	return split{n: s.n, grain: s.grain}
}

func (l *lowering) leading(v graph.ValueID) int {
	t := l.f.Types[v]
	if t.Rank() == 0 {
		return 0
	}
	k, _ := t.Shape[0].Const()
	return int(k)
}

// findRows gives the units their rows.
func (l *lowering) findRows() {
	batch := int(l.o.Symbols[graph.BatchSymbol])
	if batch >= 8 {
		var bytes int64
		work := 0
		for _, u := range l.units {
			if u.into == nil && l.rowsOf(u, batch) == batch {
				work += l.work(u)
				for _, v := range l.outputs(u) {
					bytes += l.bytesOf(v)
				}
			}
		}
		if bytes <= rowBytes && work > 2*smallWork {
			l.batch = batch
		}
	}
	for _, u := range l.units {
		if u.into == nil {
			u.rows = l.rowsOf(u, l.batch)
		}
	}
}

// rowsOf returns the rows of a unit, 0 for none; batch is the extent of the
// leading axis of what is computed row by row, 0 if nothing is.
func (l *lowering) rowsOf(u *unit, batch int) int {
	n := &l.f.Nodes[u.nodes[0]]
	rows := l.leading(n.Out)
	ofBatch := batch > 0 && rows == batch
	if rows < leastRows && !ofBatch {
		return 0
	}
	if u.loop {
		for _, node := range u.nodes {
			if l.leading(l.f.Nodes[node].Out) != rows {
				return 0
			}
		}
		return rows
	}
	switch n.Op {
	case graph.OpDot:
		a := dotOfNode(n)
		left := l.f.Types[n.Args[0]]
		if len(a.LeftBatch) > 0 || len(a.LeftContract) == 0 || left.Rank() == len(a.LeftContract) || numel(left) == 0 || numel(l.f.Types[n.Out]) == 0 {
			return 0
		}
		turned := a.LeftContract[0] == 0
		if turned && a.RightContract[0] != 0 {
			return 0 // through a transpose
		}
		out := l.f.Types[n.Out].Shape
		m, k := 1, 1
		for i, e := range left.Shape {
			if x, _ := e.Const(); slices.Contains(a.LeftContract, int64(i)) {
				k *= int(x)
			} else {
				m *= int(x)
			}
		}
		cols := 1
		for _, e := range out[left.Rank()-len(a.LeftContract):] {
			x, _ := e.Const()
			cols *= int(x)
		}
		switch {
		case ofBatch && !turned && 4*k*cols <= sharedWeights:
			return rows
		case turned && 4*m >= cols:
			return rows
		}
	case graph.OpReduce:
		a := n.Attrs.(*graph.ReduceAttrs)
		_, count, inner, ok := reduceShape(extents(l.f.Types[n.Args[0]]), a.Axes)
		if ofBatch && ok && inner == 1 && count > 0 && count <= 2*chunkLen && l.leading(n.Args[0]) == rows && !slices.Contains(a.Axes, 0) {
			return rows
		}
	case graph.OpArgReduce:
		a, t := n.Attrs.(*graph.ArgAttrs), l.f.Types[n.Args[0]]
		if ofBatch && t.Rank() > 1 && int(a.Axis) == t.Rank()-1 && a.Kind == graph.Max && t.DType == graph.F32 && numel(t) > 0 {
			return rows
		}
	case graph.OpConcat:
		if ofBatch && n.Attrs.(*graph.ConcatAttrs).Axis > 0 {
			return rows
		}
	case graph.OpSlice:
		a := n.Attrs.(*graph.SliceAttrs)
		if ofBatch && constOf(a.Start[0]) == 0 && a.Stride[0] == 1 && l.leading(n.Args[0]) == rows {
			return rows
		}
	case graph.OpCall:
		if ofBatch && nativeNode(n).rows && l.f.Types[n.Args[0]].Rank() > 1 {
			return rows
		}
	case graph.OpGather:
		if a := n.Attrs.(*graph.GatherAttrs); ofBatch && a.Axis == 0 && a.BatchDims == 0 && l.leading(n.Args[1]) == rows {
			return rows
		}
	}
	return 0
}

// rowOperand reports whether a node that is no loop reads an operand in its own
// rows alone.
func (l *lowering) rowOperand(n *graph.Node, i int) bool {
	switch n.Op {
	case graph.OpGather:
		return i == 1
	case graph.OpDot:
		c := dotOfNode(n).LeftContract
		return i == 0 && len(c) > 0 && c[0] != 0 && !l.inDepths(n)
	case graph.OpReduce, graph.OpArgReduce, graph.OpSlice:
		return i == 0
	case graph.OpConcat:
		return true
	case graph.OpCall:
		return nativeNode(n).rows
	}
	return false
}

// depths is the number of pieces of a product that is computed in some.
const depths = 4

// inDepths reports whether the product of a batch with a large matrix of weights
// is computed in pieces along the contracted axis, which are then added in order:
// a thread then reads those rows of the weights that it also updates, and hardly
// any of the weights ever pass from one processor's cache to another's. The
// shapes decide, whatever the number of threads.
func (l *lowering) inDepths(n *graph.Node) bool {
	a := dotOfNode(n)
	left, right := l.f.Types[n.Args[0]], l.f.Types[n.Args[1]]
	if l.batch == 0 || l.leading(n.Out) != l.batch || left.Rank() != 2 || right.Rank() != 2 || len(a.LeftBatch) > 0 ||
		!slices.Equal(a.LeftContract, []int64{1}) || !slices.Equal(a.RightContract, []int64{0}) ||
		left.DType != graph.F32 || l.f.Types[n.Out].DType != graph.F32 || a.Accum != graph.Invalid && a.Accum != graph.F32 {
		return false
	}
	k := l.leading(n.Args[1])
	// The weights are a parameter that the program replaces.
	p := l.root(n.Args[1])
	for i := range l.o.Donate {
		if graph.ValueID(l.o.Donate[i]) == p {
			return k >= 64*depths && 4*numel(right) >= 128<<10 && 16*l.batch <= k
		}
	}
	return false
}

// rowBroadcast reports whether a broadcast that a unit reads repeats within rows.
func (l *lowering) rowBroadcast(u *unit, n *graph.Node) bool {
	a := n.Attrs.(*graph.BroadcastAttrs)
	return u.rows > 0 && len(a.Dims) > 0 && a.Dims[0] == 0 && l.leading(n.Args[0]) == u.rows && l.leading(n.Out) == u.rows
}

// inRows reports whether u, which has p's rows, reads what p writes in its own
// rows alone.
func (l *lowering) inRows(u, p *unit) bool {
	for _, node := range u.nodes {
		n := &l.f.Nodes[node]
		for i, a := range n.Args {
			v := l.root(a)
			d := l.def[v]
			own := true
			switch {
			case n.Op == graph.OpBroadcast:
				own = l.rowBroadcast(u, n)
			case n.Op == graph.OpRandomBits:
				own = i == 2
			case !u.loop:
				own = l.rowOperand(n, i)
			case d >= 0 && l.f.Nodes[d].Op == graph.OpBroadcast:
				own = l.rowBroadcast(u, &l.f.Nodes[d])
				v = l.root(l.f.Nodes[d].Args[0])
			}
			if !own && l.unitOf(v) == p {
				return false
			}
		}
	}
	return true
}
