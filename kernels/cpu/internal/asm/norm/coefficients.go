package norm

import "math"

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

// Scales makes the coefficients of Apply: a = gamma/sqrt(variance+epsilon),
// b = beta - mean*a. gamma and beta may be nil, for ones and zeros.
func Scales(a, b, gamma, beta, mean, variance []float32, epsilon float32) {
	for i := range a {
		s := 1 / math.Sqrt(float64(variance[i])+float64(epsilon))
		if gamma != nil {
			s *= float64(gamma[i])
		}
		t := -float64(mean[i]) * s
		if beta != nil {
			t += float64(beta[i])
		}
		a[i], b[i] = float32(s), float32(t)
	}
}

// GradScales makes, from the gradient's moments over rows rows, the gradients
// of gamma and beta (either may be nil) and the coefficients of Grad. With
// s = 1/sqrt(variance+epsilon), h = (x-mean)*s the normalized input, and means
// over rows:
//
//	dbeta = sum of dy; dgamma = sum of dy*h
//	dx = gamma*s * (dy - mean(dy) - h*mean(dy*h))
func GradScales(a, b, c, dgamma, dbeta, gamma, mean, variance []float32, epsilon float32, sum, products []float64, rows int) {
	n := float64(rows)
	for i := range a {
		s := 1 / math.Sqrt(float64(variance[i])+float64(epsilon))
		dg := products[i] * s
		if dgamma != nil {
			dgamma[i] = float32(dg)
		}
		if dbeta != nil {
			dbeta[i] = float32(sum[i])
		}
		k := s
		if gamma != nil {
			k *= float64(gamma[i])
		}
		onX := -k * s * dg / n
		a[i], b[i], c[i] = float32(k), float32(onX), float32(-k*sum[i]/n-onX*float64(mean[i]))
	}
}
