package data

import (
	"cmp"
	"math"
	"slices"
)

// Quantiles collects numbers to tell their quantiles. Up to its capacity it
// keeps all of them and is exact. Beyond, it is the sketch of J. Munro and M. Paterson ("Selection
// and sorting with limited storage", 1980): buffers of sketchBuffer numbers; two of the
// same weight are merged in order and every second number is kept, with twice
// the weight, the first and the second of each pair in turn. A quantile is then off by at
// most L / (2*sketchBuffer) of the numbers, L being the doublings: 0.11% of
// a thousand million. The same numbers in the same order give the same result.
type Quantiles struct {
	capacity int
	values   []float64 // unsorted, while exact
	buffers  [][]float64
	odd      []bool // which of a pair is kept next, by level
	fill     []float64
	sketch   bool
	n        int64
}

const sketchBuffer = 8192

// NewQuantiles keeps up to capacity numbers before it begins to approximate.
func NewQuantiles(capacity int) *Quantiles { return &Quantiles{capacity: capacity} }

// Add takes in numbers; NaN and infinities are passed over.
func (q *Quantiles) Add(values []float64) {
	for _, v := range values {
		if v != v || math.IsInf(v, 0) {
			continue
		}
		q.n++
		if !q.sketch {
			if len(q.values) < q.capacity {
				q.values = append(q.values, v)
				continue
			}
			q.sketch = true
			for _, old := range q.values {
				q.push(old)
			}
			q.values = nil
		}
		q.push(v)
	}
}

func (q *Quantiles) push(v float64) {
	if q.fill == nil {
		q.fill = make([]float64, 0, sketchBuffer)
	}
	q.fill = append(q.fill, v)
	if len(q.fill) < sketchBuffer {
		return
	}
	carry := q.fill
	q.fill = nil
	slices.Sort(carry)
	for level := 0; ; level++ {
		if level == len(q.buffers) {
			q.buffers = append(q.buffers, nil)
			q.odd = append(q.odd, false)
		}
		if q.buffers[level] == nil {
			q.buffers[level] = carry
			return
		}
		carry = halve(q.buffers[level], carry, q.odd[level])
		q.odd[level] = !q.odd[level]
		q.buffers[level] = nil
	}
}

// halve merges two sorted lists and keeps every second number.
func halve(a, b []float64, odd bool) []float64 {
	out := make([]float64, 0, (len(a)+len(b)+1)/2)
	keep := !odd
	for len(a) > 0 || len(b) > 0 {
		var v float64
		if len(b) == 0 || len(a) > 0 && a[0] <= b[0] {
			v, a = a[0], a[1:]
		} else {
			v, b = b[0], b[1:]
		}
		if keep {
			out = append(out, v)
		}
		keep = !keep
	}
	return out
}

// Exact reports whether all numbers were kept.
func (q *Quantiles) Exact() bool { return !q.sketch }

// ranked is a kept number and how many numbers it and those before it stand for.
type ranked struct {
	value float64
	upTo  int64
}

// sorted returns what is kept in order.
func (q *Quantiles) sorted() []ranked {
	var out []ranked
	add := func(values []float64, weight int64) {
		for _, v := range values {
			out = append(out, ranked{v, weight})
		}
	}
	add(q.values, 1)
	add(q.fill, 1)
	for level, b := range q.buffers {
		add(b, 1<<level)
	}
	slices.SortFunc(out, func(a, b ranked) int { return cmp.Compare(a.value, b.value) })
	for i := 1; i < len(out); i++ {
		out[i].upTo += out[i-1].upTo
	}
	return out
}

// At returns the quantiles at the given probabilities from 0 to 1, interpolated
// linearly between the two nearest ranks as NumPy does; NaN if there are no numbers.
func (q *Quantiles) At(probabilities ...float64) []float64 {
	return quantilesOf(q.sorted(), probabilities)
}

func quantilesOf(values []ranked, probabilities []float64) []float64 {
	out := make([]float64, len(probabilities))
	for i, p := range probabilities {
		out[i] = math.NaN()
		if len(values) == 0 || !(p >= 0 && p <= 1) {
			continue
		}
		last := values[len(values)-1].upTo - 1
		at := p * float64(last)
		low := int64(math.Floor(at))
		a, b := atRank(values, low), atRank(values, min(low+1, last))
		t := at - float64(low)
		// NumPy's order of operations, so that the last bits agree.
		if t >= 0.5 {
			out[i] = b - (b-a)*(1-t)
		} else {
			out[i] = a + (b-a)*t
		}
	}
	return out
}

// atRank returns the number at a rank counted from 0.
func atRank(values []ranked, rank int64) float64 {
	at, _ := slices.BinarySearchFunc(values, rank+1, func(v ranked, r int64) int { return cmp.Compare(v.upTo, r) })
	return values[at].value
}

// countBelow counts the numbers smaller than v, about so if they were not all kept.
func countBelow(values []ranked, v float64) int64 {
	at, _ := slices.BinarySearchFunc(values, v, func(r ranked, v float64) int { return cmp.Compare(r.value, v) })
	if at == 0 {
		return 0
	}
	return values[at-1].upTo
}
