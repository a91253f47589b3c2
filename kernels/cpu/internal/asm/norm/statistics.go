package norm

// Statistics turns the moments of rows rows into the mean and the (biased)
// variance of each column.
func Statistics(mean, variance []float32, sum, squares []float64, pivot []float32, rows int) {
	n := float64(rows)
	for i := range mean {
		d := sum[i] / n
		mean[i] = float32(float64(pivot[i]) + d)
		variance[i] = float32(max(0, squares[i]/n-d*d))
	}
}
