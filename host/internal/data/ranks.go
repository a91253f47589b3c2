package data

import "math"

// Len returns the number of values taken in.
func (q *Quantiles) Len() int64 { return q.n }

// AveragedInvertedCDF returns the quantiles as the inverse of the distribution
// function of the numbers, averaged where it steps: NumPy's method of that name, the
// second definition of R. Hyndman and Y. Fan ("Sample quantiles in statistical
// packages", 1996). NaN if there are no numbers.
func (q *Quantiles) AveragedInvertedCDF(probabilities ...float64) []float64 {
	values := q.sorted()
	out := make([]float64, len(probabilities))
	for i, p := range probabilities {
		out[i] = math.NaN()
		if len(values) == 0 || !(p >= 0 && p <= 1) {
			continue
		}
		n := values[len(values)-1].upTo
		at := p * float64(n)
		low := int64(math.Floor(at))
		rank := func(r int64) float64 { return atRank(values, min(max(r, 0), n-1)) }
		if at == math.Floor(at) {
			out[i] = (rank(low-1) + rank(low)) / 2
		} else {
			out[i] = rank(low)
		}
	}
	return out
}
