package vec

import (
	"math"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// portable returns the kernels in plain Go. Conversions to float32 around
// products keep the compiler from fusing them where it otherwise would.
func portable() *Kernels {
	f64 := func(f func(float64) float64) Unary {
		return unary(func(x float32) float32 { return float32(f(float64(x))) })
	}
	return &Kernels{
		Level: isa.Portable,

		Add: binary(func(x, y float32) float32 { return x + y }),
		Sub: binary(func(x, y float32) float32 { return x - y }),
		Mul: binary(func(x, y float32) float32 { return x * y }),
		Div: binary(func(x, y float32) float32 { return x / y }),
		Max: binary(maxNaN),
		Min: binary(minNaN),

		AddScalar: scalar(func(x, s float32) float32 { return x + s }),
		SubScalar: scalar(func(x, s float32) float32 { return x - s }),
		MulScalar: scalar(func(x, s float32) float32 { return x * s }),
		DivScalar: scalar(func(x, s float32) float32 { return x / s }),
		MaxScalar: scalar(maxNaN),
		MinScalar: scalar(minNaN),
		ScalarSub: scalar(func(x, s float32) float32 { return s - x }),
		ScalarDiv: scalar(func(x, s float32) float32 { return s / x }),

		Neg:   unary(func(x float32) float32 { return -x }),
		Abs:   f64(math.Abs),
		Sqrt:  unary(sqrt),
		Rsqrt: unary(func(x float32) float32 { return 1 / sqrt(x) }),
		ReLU: unary(func(x float32) float32 {
			if x < 0 {
				return 0
			}
			return x
		}),
		Exp:     f64(math.Exp),
		Expm1:   f64(math.Expm1),
		Log:     f64(math.Log),
		Log1p:   f64(math.Log1p),
		Tanh:    f64(math.Tanh),
		Sigmoid: f64(func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }),
		Erf:     f64(math.Erf),

		SubTwo: func(dst, x []float32, a, b float32) {
			for i := range dst {
				dst[i] = (x[i] - a) - b
			}
		},

		Sum: chunked(func(x []float32) float32 {
			return lanes(len(x), 0, func(acc float32, i int) float32 { return acc + x[i] }, add)
		}),
		MaxOf: extreme(math.Inf(-1), maxNaN),
		MinOf: extreme(math.Inf(1), minNaN),

		Equal:     compare(func(x, y float32) bool { return x == y }),
		NotEqual:  compare(func(x, y float32) bool { return x != y }),
		Less:      compare(func(x, y float32) bool { return x < y }),
		LessEqual: compare(func(x, y float32) bool { return x <= y }),
		Select: func(dst []float32, cond []uint8, x, y []float32) {
			for i := range dst {
				if cond[i] != 0 {
					dst[i] = x[i]
				} else {
					dst[i] = y[i]
				}
			}
		},
		SelectLess:      choose(func(x, y float32) bool { return x < y }),
		SelectLessEqual: choose(func(x, y float32) bool { return x <= y }),

		ToBF16:   convert(toBF16),
		FromBF16: convert(fromBF16),
		ToF16:    convert(toF16),
		FromF16:  convert(fromF16),
		ToF64:    convert(func(x float32) float64 { return float64(x) }),
		FromF64:  convert(func(x float64) float32 { return float32(x) }),

		ToI8:    convert(func(x float32) int8 { return int8(truncate(x, math.MinInt8, math.MaxInt8)) }),
		ToU8:    convert(func(x float32) uint8 { return uint8(truncate(x, 0, math.MaxUint8)) }),
		ToI32:   convert(func(x float32) int32 { return int32(truncate(x, math.MinInt32, math.MaxInt32)) }),
		FromI8:  convert(func(x int8) float32 { return float32(x) }),
		FromU8:  convert(func(x uint8) float32 { return float32(x) }),
		FromI32: convert(func(x int32) float32 { return float32(x) }),

		sumShortRows: func(dst, x []float32, rows, cols int) {
			for i := range rows {
				row := x[i*cols:]
				dst[i] = lanes(cols, 0, func(acc float32, j int) float32 { return acc + row[j] }, add)
			}
		},
		maxShortRows: func(dst, x []float32, rows, cols int) {
			most := extreme(math.Inf(-1), maxNaN)
			for i := range rows {
				dst[i] = most(x[i*cols:][:cols])
			}
		},

		softmaxRows: softmaxRowsPortable,
		rowStats:    rowStatsPortable,
		colSums: func(dst, x []float32, rows, ld int) {
			for i := range rows {
				for j, v := range x[i*ld:][:len(dst)] {
					dst[j] += v
				}
			}
		},
		transpose: func(dst []float32, dstLD int, src []float32, srcLD, rows, cols int) {
			for i := range rows {
				for j, v := range src[i*srcLD:][:cols] {
					dst[j*dstLD+i] = v
				}
			}
		},
	}
}

func add(x, y float32) float32 { return x + y }

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

func maxNaN(x, y float32) float32 {
	if x > y || x != x {
		return x
	}
	return y
}

func minNaN(x, y float32) float32 {
	if x < y || x != x {
		return x
	}
	return y
}

func unary(f func(x float32) float32) Unary {
	return func(dst, x []float32) {
		x = x[:len(dst)]
		for i, v := range x {
			dst[i] = f(v)
		}
	}
}

func binary(f func(x, y float32) float32) Binary {
	return func(dst, x, y []float32) {
		x, y = x[:len(dst)], y[:len(dst)]
		for i, v := range x {
			dst[i] = f(v, y[i])
		}
	}
}

func scalar(f func(x, s float32) float32) Scalar {
	return func(dst, x []float32, s float32) {
		x = x[:len(dst)]
		for i, v := range x {
			dst[i] = f(v, s)
		}
	}
}

func compare(f func(x, y float32) bool) Compare {
	return func(dst []uint8, x, y []float32) {
		x, y = x[:len(dst)], y[:len(dst)]
		for i, v := range x {
			dst[i] = 0
			if f(v, y[i]) {
				dst[i] = 1
			}
		}
	}
}

// lanes reduces n elements as the vectors do: element i goes to running value
// i%32, and these are combined in halves.
func lanes(n int, identity float32, step func(acc float32, i int) float32, combine func(x, y float32) float32) float32 {
	var acc [32]float32
	for l := range acc {
		acc[l] = identity
	}
	for i := range n {
		acc[i%32] = step(acc[i%32], i)
	}
	for half := 16; half > 0; half /= 2 {
		for l := range half {
			acc[l] = combine(acc[l], acc[l+half])
		}
	}
	return acc[0]
}

// reduceChunk is the number of elements that are reduced in float32; the sums
// of chunks are added up in float64, in order.
const reduceChunk = 4096

func chunked(f func(x []float32) float32) Reduce {
	return func(x []float32) float32 {
		if len(x) <= reduceChunk {
			return f(x)
		}
		sum := 0.0
		for len(x) > 0 {
			n := min(len(x), reduceChunk)
			sum += float64(f(x[:n]))
			x = x[n:]
		}
		return float32(sum)
	}
}

func extreme(identity float64, f func(x, y float32) float32) Reduce {
	return func(x []float32) float32 {
		best := float32(identity)
		for _, v := range x {
			best = f(v, best)
		}
		return best
	}
}

func choose(f func(x, y float32) bool) func(dst, x, y, a, b []float32) {
	return func(dst, x, y, a, b []float32) {
		for i := range dst {
			v := b[i]
			if f(x[i], y[i]) {
				v = a[i]
			}
			dst[i] = v
		}
	}
}

func softmaxRowsPortable(dst, x, most, sums []float32, rows, cols, dstLD, xLD int) {
	rowStatsPortable(x, most, sums, rows, cols, xLD)
	for i := range rows {
		out := dst[i*dstLD:][:cols]
		f := 1 / sums[i]
		for j, v := range x[i*xLD:][:cols] {
			out[j] = float32(math.Exp(float64(v-most[i]))) * f
		}
	}
}

func rowStatsPortable(x, most, sums []float32, rows, cols, xLD int) {
	for i := range rows {
		row := x[i*xLD:][:cols]
		most[i] = float32(math.Inf(-1))
		for _, v := range row {
			most[i] = max(most[i], v)
		}
		sum := 0.0
		for _, v := range row {
			sum += math.Exp(float64(v - most[i]))
		}
		sums[i] = float32(sum)
	}
}
