//go:build amd64 && !noasm

package optim

import (
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/preempt"
)

// chunk is the number of elements of a call, a few microseconds' worth.
const chunk = 1 << 13

// Assembly functions by the number of arrays and of scalars.
type (
	step3x4 = func(w, v, g *float32, n int, a, b, c, d float32)
	step4x4 = func(w, m, v, g *float32, n int, a, b, c, d float32)
)

func forLevel(level isa.Level) *Kernels {
	switch {
	case level >= isa.AVX512:
		return kernels(isa.AVX512, rmspropAVX512, adamAVX512)
	case level >= isa.AVX2:
		return kernels(isa.AVX2, rmspropAVX2, adamAVX2)
	}
	return portable()
}

func kernels(level isa.Level, rmsprop step3x4, adam step4x4) *Kernels {
	return &Kernels{
		Level: level,
		RMSprop: func(w, v, g []float32, rate, keep, weight, eps float32) {
			v, g = v[:len(w)], g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				rmsprop(&w[0], &v[0], &g[0], n, rate, keep, weight, eps)
				w, v, g = w[n:], v[n:], g[n:]
			}
		},
		Adam: func(w, m, v, g []float32, alpha, weight1, weight2, eps float32) {
			m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				adam(&w[0], &m[0], &v[0], &g[0], n, alpha, weight1, weight2, eps)
				w, m, v, g = w[n:], m[n:], v[n:], g[n:]
			}
		},
	}
}
