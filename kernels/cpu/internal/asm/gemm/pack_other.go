//go:build !amd64 || noasm

package gemm

func packTransposed(dst []float32, step int, src []float32, ld, rows, k int) {
	for i := range rows {
		for p, v := range src[i*ld:][:k] {
			dst[p*step+i] = v
		}
	}
}

func packRows(dst []float32, step int, src []float32, ld, rows, k int) {
	for p := range k {
		copy(dst[p*step:], src[p*ld:][:rows])
	}
}
