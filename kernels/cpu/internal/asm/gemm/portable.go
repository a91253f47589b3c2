package gemm

// runPortable is what a product means: for each element of C a chain of
// multiplications and additions in the order of k. The conversions keep the
// compiler from fusing them on the processors where it otherwise would, so
// that every processor gives the same bits.
func runPortable(op *Op, m0, m1, n0, n1 int) {
	for i := m0; i < m1; i++ {
		c := op.C[i*op.LDC+n0 : i*op.LDC+n1]
		if !op.Accumulate {
			clear(c)
		}
		switch {
		case op.BPacked != nil:
			for j := range c {
				c[j] = dotPortable(op, i, c[j], op.BPacked[(n0+j)*op.K:])
			}
		case op.Layout == NT:
			for j := range c {
				c[j] = dotPortable(op, i, c[j], op.B[(n0+j)*op.LDB:])
			}
		default:
			for k := range op.K {
				a := op.a(i, k)
				b := op.B[k*op.LDB+n0:][:len(c)]
				for j, bj := range b {
					c[j] += float32(a * bj)
				}
			}
		}
		if op.Bias != nil {
			for j, b := range op.Bias[n0:n1] {
				c[j] += b
			}
		}
		if op.ReLU {
			for j, v := range c {
				if v < 0 {
					c[j] = 0
				}
			}
		}
	}
}

// a is A[i,k].
func (op *Op) a(i, k int) float32 {
	if op.Layout == TN {
		return op.A[k*op.LDA+i]
	}
	return op.A[i*op.LDA+k]
}

// dotPortable continues the chain c with row i of A times the column b.
func dotPortable(op *Op, i int, c float32, b []float32) float32 {
	for k, bk := range b[:op.K] {
		c += float32(op.a(i, k) * bk)
	}
	return c
}

// packColumnPortable packs column j: portable panels are one column wide.
func packColumnPortable(dst, b []float32, ldb int, transposed bool, K, j int) {
	if transposed {
		copy(dst[:K], b[j*ldb:])
		return
	}
	for k := range dst[:K] {
		dst[k] = b[k*ldb+j]
	}
}
