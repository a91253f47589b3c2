package optim

import (
	"math"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// Kernels are the steps on one instruction set. w are the parameters, g the
// gradients, m and v what is remembered; the length of w is the number of
// elements.
type Kernels struct {
	Level isa.Level

	// SGD: w -= rate*g.
	SGD func(w, g []float32, rate float32)

	// Momentum: m = momentum*m - rate*g; w += m.
	Momentum func(w, m, g []float32, rate, momentum float32)

	// Nesterov: m = momentum*m - rate*g; w += momentum*m - rate*g.
	Nesterov func(w, m, g []float32, rate, momentum float32)

	// RMSprop: v = v*keep + g^2*weight; w -= rate*g / sqrt(v+eps), where keep is
	// rho and weight 1-rho.
	RMSprop func(w, v, g []float32, rate, keep, weight, eps float32)

	// RMSpropMomentum: v += (g^2-v)*weight; m = momentum*m + rate*g / sqrt(v+eps);
	// w -= m.
	RMSpropMomentum func(w, m, v, g []float32, rate, weight, eps, momentum float32)

	// Adam: m += (g-m)*weight1; v += (g^2-v)*weight2;
	// w -= alpha*m / (sqrt(v)+eps), where weight1 and weight2 are 1-beta1 and
	// 1-beta2; for alpha see AdamAlpha.
	Adam func(w, m, v, g []float32, alpha, weight1, weight2, eps float32)

	// AdamW: w *= keep, where keep is 1 - rate*decay, and then Adam.
	AdamW func(w, m, v, g []float32, alpha, weight1, weight2, eps, keep float32)
}

// For returns the kernels of a level, or the best ones below it that the
// build has.
func For(level isa.Level) *Kernels { return forLevel(level) }

// AdamAlpha is the corrected rate of step t, counted from 1:
// rate * sqrt(1-beta2^t) / (1-beta1^t).
func AdamAlpha(rate, beta1, beta2 float64, t int64) float32 {
	return float32(rate * math.Sqrt(1-math.Pow(beta2, float64(t))) / (1 - math.Pow(beta1, float64(t))))
}
