package gemm

// The copies below cost some 0.2 ns an element, as much as 20 multiply-adds.

// packsB decides whether the rows of B are copied into panels: when enough
// tiles use them, eight below one another. Rows in place are far apart, which
// costs most where many fall on the same sets of the cache.
func (k *Kernels) packsB(op *Op, m, n int) bool {
	return m >= 8*k.tiles.rows && op.K*n >= 2048 && op.K > 4
}

// packsA decides the same for A, whose rows are read along: only where it is
// larger than the second-level cache, or stored transposed and deep.
func (k *Kernels) packsA(op *Op, m, n int) bool {
	if op.Layout == TN {
		return op.K >= 128 && n >= 128
	}
	return m*op.K >= 1<<18 && n >= 256
}

// packBlock packs rows i0 to i1 and steps k0 to k0+kb of A into ws.a, tile by
// tile: for each k the rows of the tile.
func (ts *tiles) packBlock(ws *Workspace, op *Op, i0, i1, k0, kb int) {
	ws.a = grow(ws.a, (i1-i0)*kb+16)
	dst, i := ws.a, i0
	for _, h := range heights(i1-i0, ts.rows) {
		for range h.count {
			// The upper rows first: what they spill over, the lower repair.
			for r := (h.rows - 1) / 8 * 8; r >= 0; r -= 8 {
				rows := min(8, h.rows-r)
				if op.Layout == TN {
					packRows(dst[r:], h.rows, op.A[k0*op.LDA+i+r:], op.LDA, rows, kb)
				} else {
					packTransposed(dst[r:], h.rows, op.A[(i+r)*op.LDA+k0:], op.LDA, rows, kb)
				}
			}
			dst = dst[h.rows*kb:]
			i += h.rows
		}
	}
}

// packPanel packs columns j0 to j1, at most a panel, and steps k0 to k0+kb of
// B: for each k the columns, a panel's width apart.
func (ts *tiles) packPanel(dst, b []float32, ldb int, transposed bool, k0, kb, j0, j1 int) {
	if transposed {
		for j := j0; j < j1; j += 8 {
			packTransposed(dst[j-j0:], ts.cols, b[j*ldb+k0:], ldb, min(8, j1-j), kb)
		}
		return
	}
	b = b[k0*ldb+j0:]
	if j1-j0 == ts.cols {
		ts.copyPanel(&dst[0], &b[0], 4*ldb, kb)
		return
	}
	for k := range kb {
		copy(dst[k*ts.cols:], b[k*ldb:][:j1-j0])
	}
}
