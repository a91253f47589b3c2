package data

import "math"

// Moments is what the count, mean and spread of numbers are computed from.
// Chunks are added in a fixed order, each computed in two passes and merged
// by the formula of T. Chan, G. Golub and R. LeVeque (1979), in float64. The zero value
// has seen nothing.
type Moments struct {
	N        int64   // numbers seen, NaN and infinities apart
	Mean     float64 // 0 if N is 0
	M2       float64 // sum of squared distances from the mean
	Min, Max float64 // of the finite numbers; 0 if N is 0
	NaN      int64
	Infinite int64
}

// Add takes in the next chunk of numbers.
func (m *Moments) Add(values []float64) {
	var c Moments
	sum := 0.0
	c.Min, c.Max = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		switch {
		case v != v:
			c.NaN++
		case math.IsInf(v, 0):
			c.Infinite++
		default:
			c.N++
			sum += v
			c.Min, c.Max = min(c.Min, v), max(c.Max, v)
		}
	}
	if c.N == 0 {
		c.Min, c.Max = 0, 0
	} else {
		c.Mean = sum / float64(c.N)
		rest := 0.0
		for _, v := range values {
			if v != v || math.IsInf(v, 0) {
				continue
			}
			d := v - c.Mean
			c.M2 += d * d
			rest += d
		}
		// What rounding left in the mean (the corrected two-pass algorithm).
		c.M2 -= rest * rest / float64(c.N)
		c.Mean += rest / float64(c.N)
	}
	m.Merge(c)
}

// Merge takes in what another Moments saw after this one.
func (m *Moments) Merge(o Moments) {
	m.NaN += o.NaN
	m.Infinite += o.Infinite
	if o.N == 0 {
		return
	}
	if m.N == 0 {
		o.NaN, o.Infinite = m.NaN, m.Infinite
		*m = o
		return
	}
	n := float64(m.N + o.N)
	d := o.Mean - m.Mean
	m.Mean += d * float64(o.N) / n
	m.M2 += o.M2 + d*d*float64(m.N)*float64(o.N)/n
	m.N += o.N
	m.Min, m.Max = min(m.Min, o.Min), max(m.Max, o.Max)
}

// Variance returns the mean squared distance from the mean, or, for sample
// true, the unbiased estimate with N-1 in the denominator. NaN where it is not defined.
func (m *Moments) Variance(sample bool) float64 {
	n := m.N
	if sample {
		n--
	}
	if n <= 0 {
		return math.NaN()
	}
	return max(m.M2, 0) / float64(n)
}

// Std returns the square root of Variance.
func (m *Moments) Std(sample bool) float64 { return math.Sqrt(m.Variance(sample)) }
