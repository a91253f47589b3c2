//go:build amd64 && !noasm

package gemm

// packTransposed writes k columns of rows <= 8 rows of src, ld apart, as rows
// of dst, step apart. Up to 8 elements are written at each, the excess ones
// before what follows them.
func packTransposed(dst []float32, step int, src []float32, ld, rows, k int) {
	if k < 8 || len(dst) < (k-1)*step+8 {
		for i := range rows {
			for p, v := range src[i*ld:][:k] {
				dst[p*step+i] = v
			}
		}
		return
	}
	packT8(&dst[0], 4*step, &src[0], 4*ld, rows, k&^7)
	if k%8 != 0 {
		packT8(&dst[(k-8)*step], 4*step, &src[k-8], 4*ld, rows, 8)
	}
}

// packRows writes rows <= 8 elements of each of k rows of src, ld apart, to
// dst, step apart, with the same excess.
func packRows(dst []float32, step int, src []float32, ld, rows, k int) {
	// Reading 8 elements must stay within src, writing them within dst.
	fast := min(k, (len(src)-8+ld)/ld, (len(dst)-8+step)/step)
	if len(src) < 8 || len(dst) < 8 {
		fast = 0
	}
	if fast > 0 {
		packN8(&dst[0], 4*step, &src[0], 4*ld, fast)
	}
	for p := fast; p < k; p++ {
		copy(dst[p*step:], src[p*ld:][:rows])
	}
}
