package gemm

import "math/bits"

// A left operand that is mostly zeros, as images with a background, one-hot
// codes and what a relu gives are, takes a product no more than its other
// elements are worth: a zero times a finite number adds nothing to a chain that
// began with zero, so that the bits are those of all multiplications. Where the
// right operand is not finite, all are done.

// Zeros says that the left operand of a product, which runs over and over, may
// be mostly zeros, and remembers whether it was. It belongs to one thread. The
// zero value is ready to use.
type Zeros struct{ dense, wait int }

const (
	// Up to these shares of elements other than zero, in 1/16, their product
	// alone is faster: of rows of A, and of columns of an A that is stored
	// transposed, which the bits of few rows find.
	sparseRows, sparseColumnsOfA = 5, 7
	// Where so many looks in a row have found too few zeros, looking stops for
	// some runs.
	denseLooks, denseRuns = 32, 4096

	sparseColumns = 32       // fewest columns
	sparseWork    = 1 << 14  // fewest multiplications
	bitRows       = 256      // rows of C that are looked at together, of a transposed A
	indexLen      = 1 << 16  // elements of A that are looked at together, or a row
	sparseBlock   = 32 << 10 // bytes of B that all rows of A meet before the next of them
)

// look reports whether to look for zeros in this run.
func (z *Zeros) look() bool {
	if z.wait > 0 {
		z.wait--
		return false
	}
	return true
}

func (z *Zeros) found(sparse bool) {
	if sparse {
		z.dense = 0
	} else if z.dense++; z.dense >= denseLooks {
		z.dense, z.wait = 0, denseRuns
	}
}

// zeros are the kernels that leave zeros out.
type zeros struct {
	// By columns, the widest first; masked ones take fewer as well.
	sums   []sums
	masked bool
	// nonzeros writes the indices of what is not zero of each row of n elements, and
	// up to a vector of words more, and how many they are; it returns their sum.
	nonzeros func(dst, counts *uint32, src *float32, srcRow, rows, n int, table *[256][16]uint8) int
	// nonzeroBits writes for each of n columns, n a multiple of 8, the rows, at
	// most 32, in which it is not zero.
	nonzeroBits func(dst *uint32, src *float32, srcRow, rows, n int)
	// notFinite returns 0 if rows of n elements, a multiple of 8, are finite.
	notFinite func(src *float32, srcRow, rows, n int) uint32
	// finish applies the epilogue to rows of n elements, a multiple of 8.
	finish func(c *float32, cRow, rows, n int, bias *float32, flags int)
}

type sums struct {
	cols int
	rows func(c *float32, cRow int, a *float32, aRow int, index, counts *uint32, rows int, b *float32, bRow int, flags, last int)
	bits func(c *float32, cRow int, a *float32, aRow int, bits *uint32, rows int, b *float32, bRow int, flags, last int)
}

// mayBeSparse reports whether a product can leave zeros out.
func (op *Op) mayBeSparse(m, n int) bool {
	return op.Zeros != nil && !op.Accumulate && op.BPacked == nil && op.Layout != NT &&
		n >= sparseColumns && m*n*op.K >= sparseWork && op.Zeros.look()
}

// runSparse computes rows m0 to m1, columns n0 to n1, without the zeros of A in
// those blocks of rows that have many.
func (ts *tiles) runSparse(k *Kernels, op *Op, m0, m1, n0, n1 int, ws *Workspace) {
	step := bitRows
	if op.Layout == NN {
		step = max(1, indexLen/op.K)
	}
	end := n0 + (n1-n0)&^7
	sparse, checked := false, false
	for i := m0; i < m1; i += step {
		iEnd := min(i+step, m1)
		if !ts.findZeros(op, i, iEnd, n0, end, ws) {
			ts.runDense(k, op, i, iEnd, n0, n1, ws)
			continue
		}
		finite := checked
		if op.Layout == TN {
			if finite = checked || !ts.notFinite(op, 0, op.K, n0, end); finite {
				ts.sumColumnsOfA(op, i, iEnd, n0, end, ws)
			}
		} else {
			finite = ts.sumRowsOfA(op, i, iEnd, n0, end, ws, checked)
		}
		if !finite {
			ts.runDense(k, op, i, m1, n0, n1, ws)
			break
		}
		sparse, checked = true, true
		if end < n1 {
			ts.runDense(k, op, i, iEnd, end, n1, ws)
		}
	}
	op.Zeros.found(sparse)
}

func (ts *tiles) notFinite(op *Op, k0, k1, n0, n1 int) bool {
	const rows = 256 // of a call
	for k := k0; k < k1; k += rows {
		if ts.zeros.notFinite(&op.B[k*op.LDB+n0], 4*op.LDB, min(rows, k1-k), n1-n0) != 0 {
			return true
		}
	}
	return false
}

// findZeros notes what of rows m0 to m1 of A is not zero, and reports whether it
// is so little that the rest is worth leaving out. What it notes of the rows of an
// A that is stored as it is follows the blocks of k of sumRowsOfA.
func (ts *tiles) findZeros(op *Op, m0, m1, n0, n1 int, ws *Workspace) bool {
	m := m1 - m0
	total, limit := 0, m*op.K*sparseRows/16
	if op.Layout == TN {
		limit = m * op.K * sparseColumnsOfA / 16
		ws.bits = growWords(ws.bits, m*((op.K+31)/32))
		for at, k := 0, 0; k < op.K; at, k = at+m, k+32 {
			kb := min(32, op.K-k)
			b, whole := ws.bits[at:at+m], m&^7
			if whole > 0 {
				ts.zeros.nonzeroBits(&b[0], &op.A[k*op.LDA+m0], 4*op.LDA, kb, whole)
			}
			for i := whole; i < m; i++ {
				b[i] = 0
				for r := range kb {
					if op.A[(k+r)*op.LDA+m0+i] != 0 {
						b[i] |= 1 << r
					}
				}
			}
			for _, w := range b {
				total += bits.OnesCount32(w)
			}
			if total > limit {
				return false
			}
		}
		return true
	}
	depth := ts.zeros.depth(op.K, n1-n0)
	ws.counts = growWords(ws.counts, m*((op.K+depth-1)/depth))
	ws.index = growWords(ws.index, m*op.K+ts.lanes)
	for at, k := 0, 0; k < op.K; at, k = at+m, k+depth {
		total += ts.zeros.nonzeros(&ws.index[total], &ws.counts[at], &op.A[m0*op.LDA+k], 4*op.LDA, m, min(depth, op.K-k), &lanesOf)
		if total > limit {
			return false
		}
	}
	return true
}

// depth is the number of steps of k whose rows of B, of a panel of n columns,
// stay in the first-level cache while all rows of A meet them.
func (z *zeros) depth(k, n int) int {
	_, cols, _ := z.pick(n)
	return roundUp(evenly(k, sparseBlock/(4*cols)), 16)
}

// sumRowsOfA computes the rows whose elements findZeros has noted, block by block
// of k. It returns false, and nothing of use in C, where B is not finite; finite
// says that it is.
func (ts *tiles) sumRowsOfA(op *Op, m0, m1, n0, n1 int, ws *Workspace, finite bool) bool {
	depth := ts.zeros.depth(op.K, n1-n0)
	for j := n0; j < n1; {
		s, cols, last := ts.zeros.pick(n1 - j)
		at, counts := 0, ws.counts
		for k := 0; k < op.K; k += depth {
			if !finite && ts.notFinite(op, k, min(k+depth, op.K), j, j+cols) {
				return false
			}
			s.rows(&op.C[m0*op.LDC+j], 4*op.LDC, &op.A[m0*op.LDA+k], 4*op.LDA, &ws.index[at], &counts[0], m1-m0, &op.B[k*op.LDB+j], 4*op.LDB, min(k, 1), last)
			for _, n := range counts[:m1-m0] {
				at += int(n)
			}
			counts = counts[m1-m0:]
		}
		j += cols
	}
	ts.finish(op, m0, m1, n0, n1)
	return true
}

// sumColumnsOfA does the same where A is stored transposed.
func (ts *tiles) sumColumnsOfA(op *Op, m0, m1, n0, n1 int, ws *Workspace) {
	m := m1 - m0
	for j := n0; j < n1; {
		s, cols, last := ts.zeros.pick(n1 - j)
		for at, k := 0, 0; k < op.K; at, k = at+m, k+32 {
			s.bits(&op.C[m0*op.LDC+j], 4*op.LDC, &op.A[k*op.LDA+m0], 4*op.LDA, &ws.bits[at], m, &op.B[k*op.LDB+j], 4*op.LDB, min(k, 1), last)
		}
		j += cols
	}
	ts.finish(op, m0, m1, n0, n1)
}

// pick returns the sums for the first of some columns, a multiple of 8, how many of
// them they take, and how many their last vector has.
func (z *zeros) pick(columns int) (s *sums, cols, last int) {
	cols = columns
	if z.masked {
		const lanes = 16
		cols = min(roundUp(evenly(columns, z.sums[0].cols), lanes), columns)
		last = (cols-1)%lanes + 1
	}
	s = &z.sums[0]
	for i := range z.sums {
		if w := z.sums[i].cols; z.masked && w < cols {
			break
		} else if s = &z.sums[i]; !z.masked && w <= cols {
			return s, w, last
		}
	}
	return s, cols, last
}

// finish applies the epilogue to sums.
func (ts *tiles) finish(op *Op, m0, m1, n0, n1 int) {
	var bias *float32
	flags := 0
	if op.Bias != nil {
		bias = &op.Bias[n0]
	}
	if op.ReLU {
		flags = flagReLU
	}
	if bias != nil || flags != 0 {
		ts.zeros.finish(&op.C[m0*op.LDC+n0], 4*op.LDC, m1-m0, n1-n0, bias, flags)
	}
}

func growWords(s []uint32, n int) []uint32 {
	if cap(s) < n {
		return make([]uint32, n)
	}
	return s[:n]
}

// lanesOf lists for each mask of 8 lanes the lanes, and then how many they are.
// It is never written.
var lanesOf = func() (t [256][16]uint8) {
	for mask := range t {
		n := 0
		for lane := range 8 {
			if mask>>lane&1 != 0 {
				t[mask][n] = uint8(lane)
				n++
			}
		}
		t[mask][8] = uint8(n)
	}
	return t
}()
