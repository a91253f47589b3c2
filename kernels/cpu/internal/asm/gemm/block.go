package gemm

import "unsafe"

// run multiplies without the zeros of A where that pays.
func (ts *tiles) run(k *Kernels, op *Op, m0, m1, n0, n1 int, ws *Workspace) {
	if op.mayBeSparse(m1-m0, n1-n0) {
		ts.runSparse(k, op, m0, m1, n0, n1, ws)
		return
	}
	ts.runDense(k, op, m0, m1, n0, n1, ws)
}

// runDense multiplies by blocks: columns of B, then steps of k, then rows of A,
// so that a panel of B stays in the first-level cache while the tiles of a
// block of A, which stays in the second-level cache, go by.
func (ts *tiles) runDense(k *Kernels, op *Op, m0, m1, n0, n1 int, ws *Workspace) {
	m, n := m1-m0, n1-n0
	if m <= 3 && op.BPacked == nil && op.Layout != NT {
		for _, w := range ts.wide[m] {
			if n1-n0 >= w.cols {
				n0 = ts.runWide(w, op, m0, m1, n0, n1, ws)
			}
		}
		if n0 == n1 {
			return
		}
		n = n1 - n0
	}
	packB := op.BPacked == nil && (op.Layout == NT || k.packsB(op, m, n))
	packA := k.packsA(op, m, n)
	kc, mc := evenly(op.K, k.blockK), evenly(m, k.blockM)
	deep := packA && (packB || op.BPacked != nil)
	if deep {
		kc, mc = evenly(op.K, k.deepK), evenly(m, k.deepM)
	}
	nc := n
	if packB {
		nc = min(n, k.blockN)
	}
	// The first tile packs the panel where it can.
	joint := packB && op.Layout != NT && ts.rows-topHeight(min(mc, m), ts.rows) < len(ts.pack)

	t := &ws.t
	t.taps, t.tab = 1, &ws.zero[0]
	t.ldc = 4 * op.LDC
	for jc := n0; jc < n1; jc += nc {
		jEnd := min(jc+nc, n1)
		for pc := 0; pc < op.K; pc += kc {
			kb := min(kc, op.K-pc)
			last := pc+kb == op.K
			t.k = kb
			t.flags = 0
			if op.Accumulate || pc > 0 {
				t.flags = flagAccumulate
			}
			if last && op.ReLU {
				t.flags |= flagReLU
			}
			if packB {
				ws.b = grow(ws.b, roundUp(jEnd-jc, ts.cols)*kb)
				for j := jc; j < jEnd; j += ts.cols {
					if joint && jEnd-j >= ts.cols {
						continue
					}
					ts.packPanel(ws.b[(j-jc)*kb:], op.B, op.LDB, op.Layout == NT, pc, kb, j, min(j+ts.cols, jEnd))
				}
			}
			for ic := m0; ic < m1; ic += mc {
				iEnd := min(ic+mc, m1)
				if packA {
					ts.packBlock(ws, op, ic, iEnd, pc, kb)
				}
				for j := jc; j < jEnd; j += ts.cols {
					t.bK = 4 * ts.cols
					switch {
					case packB:
						t.b = unsafe.Pointer(&ws.b[(j-jc)*kb])
					case op.BPacked != nil:
						t.b = unsafe.Pointer(&op.BPacked[j*op.K+pc*ts.cols])
					default:
						t.b = unsafe.Pointer(&op.B[pc*op.LDB+j])
						t.bK = 4 * op.LDB
					}
					t.bias = nil
					if last && op.Bias != nil {
						t.bias = unsafe.Pointer(&op.Bias[j])
					}
					ts.column(t, op, ws, packA, deep, joint && ic == m0 && jEnd-j >= ts.cols, ic, iEnd, pc, j, min(ts.cols, jEnd-j))
				}
			}
		}
	}
	ws.t = tile{} // keep no operand alive
}

// column multiplies rows ic to iEnd with one panel, which the first tile packs
// where that is asked for. packed says that A is packed, deep that both operands
// are. The rows are split into tiles of two heights that differ by one at most.
func (ts *tiles) column(t *tile, op *Op, ws *Workspace, packed, deep, pack bool, ic, iEnd, pc, j, cols int) {
	i := ic
	for _, h := range heights(iEnd-ic, ts.rows) {
		if h.count == 0 {
			continue
		}
		switch {
		case packed:
			t.a = unsafe.Pointer(&ws.a[(i-ic)*t.k])
			t.aRow, t.aK, t.aStep = 4, 4*h.rows, 4*h.rows*t.k
		case op.Layout == TN:
			t.a = unsafe.Pointer(&op.A[pc*op.LDA+i])
			t.aRow, t.aK, t.aStep = 4, 4*op.LDA, 4*h.rows
		default:
			t.a = unsafe.Pointer(&op.A[i*op.LDA+pc])
			t.aRow, t.aK, t.aStep = 4*op.LDA, 4, 4*h.rows*op.LDA
		}
		t.c = unsafe.Pointer(&op.C[i*op.LDC+j])
		t.cStep = h.rows * t.ldc
		t.count = h.count
		t.aOff, t.cOff = 0, 0
		if pack {
			panel := t.b
			t.pack, t.b, t.bK = panel, unsafe.Pointer(&op.B[pc*op.LDB+j]), 4*op.LDB
			t.count = 1
			ts.pack[ts.rows-h.rows](t)
			t.pack, t.b, t.bK = nil, panel, 4*ts.cols
			t.count = h.count - 1
			pack = false
		}
		if t.count > 0 {
			kernel, mask := ts.pick(h.rows, cols, deep)
			t.mask = mask
			kernel(t)
		}
		i += h.count * h.rows
	}
}

// runWide multiplies at most three rows, where B is read once: no packing,
// and as many columns at once as there are registers. It returns the first
// column that is left over.
func (ts *tiles) runWide(w wide, op *Op, m0, m1, n0, n1 int, ws *Workspace) int {
	// A call reads at most this many rows of B, whose pages are far apart.
	const blockK = 1024
	end := n0 + (n1-n0)/w.cols*w.cols
	t := &ws.t
	t.taps, t.tab = 1, &ws.zero[0]
	t.ldc = 4 * op.LDC
	t.bK = 4 * op.LDB
	for j := n0; j < end; j += w.cols {
		for pc := 0; pc < op.K; pc += blockK {
			t.k = min(blockK, op.K-pc)
			t.flags = 0
			t.bias = nil
			if op.Accumulate || pc > 0 {
				t.flags = flagAccumulate
			}
			if pc+t.k == op.K {
				if op.ReLU {
					t.flags |= flagReLU
				}
				if op.Bias != nil {
					t.bias = unsafe.Pointer(&op.Bias[j])
				}
			}
			if op.Layout == TN {
				t.a = unsafe.Pointer(&op.A[pc*op.LDA+m0])
				t.aRow, t.aK = 4, 4*op.LDA
			} else {
				t.a = unsafe.Pointer(&op.A[m0*op.LDA+pc])
				t.aRow, t.aK = 4*op.LDA, 4
			}
			t.b = unsafe.Pointer(&op.B[pc*op.LDB+j])
			t.c = unsafe.Pointer(&op.C[m0*op.LDC+j])
			t.count, t.aOff, t.cOff = 1, 0, 0
			w.kernel(t)
		}
	}
	ws.t = tile{}
	return end
}

// height is a run of tiles of one height.
type height struct{ rows, count int }

// heights splits m rows into the fewest tiles of at most limit rows, as even
// as can be.
func heights(m, limit int) [2]height {
	n := (m + limit - 1) / limit
	low := m / n
	return [2]height{{low + 1, m % n}, {low, n - m%n}}
}

// topHeight is the height of the first of them.
func topHeight(m, limit int) int {
	h := heights(m, limit)
	if h[0].count > 0 {
		return h[0].rows
	}
	return h[1].rows
}

// evenly splits n into the fewest parts of at most limit and returns the size
// of the largest.
func evenly(n, limit int) int {
	parts := (n + limit - 1) / limit
	return (n + parts - 1) / parts
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
