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
	step2x1 = func(w, g *float32, n int, a float32)
	step3x2 = func(w, m, g *float32, n int, a, b float32)
	step3x4 = func(w, v, g *float32, n int, a, b, c, d float32)
	step4x4 = func(w, m, v, g *float32, n int, a, b, c, d float32)
	step4x5 = func(w, m, v, g *float32, n int, a, b, c, d, e float32)
)

func forLevel(level isa.Level) *Kernels {
	switch {
	case level >= isa.AVX512:
		return kernels(isa.AVX512, sgdAVX512, momentumAVX512, nesterovAVX512, rmspropAVX512, rmspropMomentumAVX512, adamAVX512, adamwAVX512)
	case level >= isa.AVX2:
		return kernels(isa.AVX2, sgdAVX2, momentumAVX2, nesterovAVX2, rmspropAVX2, rmspropMomentumAVX2, adamAVX2, adamwAVX2)
	}
	return portable()
}

func kernels(level isa.Level, sgd step2x1, momentumStep, nesterov step3x2, rmsprop step3x4, rmspropMomentum, adam step4x4, adamW step4x5) *Kernels {
	return &Kernels{
		Level: level,
		SGD: func(w, g []float32, rate float32) {
			g = g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				sgd(&w[0], &g[0], n, rate)
				w, g = w[n:], g[n:]
			}
		},
		Momentum: func(w, m, g []float32, rate, momentum float32) {
			m, g = m[:len(w)], g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				momentumStep(&w[0], &m[0], &g[0], n, rate, momentum)
				w, m, g = w[n:], m[n:], g[n:]
			}
		},
		Nesterov: func(w, m, g []float32, rate, momentum float32) {
			m, g = m[:len(w)], g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				nesterov(&w[0], &m[0], &g[0], n, rate, momentum)
				w, m, g = w[n:], m[n:], g[n:]
			}
		},
		RMSprop: func(w, v, g []float32, rate, keep, weight, eps float32) {
			v, g = v[:len(w)], g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				rmsprop(&w[0], &v[0], &g[0], n, rate, keep, weight, eps)
				w, v, g = w[n:], v[n:], g[n:]
			}
		},
		RMSpropMomentum: func(w, m, v, g []float32, rate, weight, eps, momentum float32) {
			m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				rmspropMomentum(&w[0], &m[0], &v[0], &g[0], n, rate, weight, eps, momentum)
				w, m, v, g = w[n:], m[n:], v[n:], g[n:]
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
		AdamW: func(w, m, v, g []float32, alpha, weight1, weight2, eps, keep float32) {
			m, v, g = m[:len(w)], v[:len(w)], g[:len(w)]
			for len(w) > 0 {
				preempt.Point()
				n := min(len(w), chunk)
				adamW(&w[0], &m[0], &v[0], &g[0], n, alpha, weight1, weight2, eps, keep)
				w, m, v, g = w[n:], m[n:], v[n:], g[n:]
			}
		},
	}
}
