package optim

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"

// Kernels are the steps on one instruction set. w are the parameters, g the
// gradients, m and v what is remembered; the length of w is the number of
// elements.
type Kernels struct {
	Level isa.Level

	// RMSprop: v = v*keep + g^2*weight; w -= rate*g / sqrt(v+eps), where keep is
	// rho and weight 1-rho.
	RMSprop func(w, v, g []float32, rate, keep, weight, eps float32)

	// Adam: m += (g-m)*weight1; v += (g^2-v)*weight2;
	// w -= alpha*m / (sqrt(v)+eps), where weight1 and weight2 are 1-beta1 and
	// 1-beta2, and alpha is the rate corrected for the number of the step.
	Adam func(w, m, v, g []float32, alpha, weight1, weight2, eps float32)
}

// For returns the kernels of a level, or the best ones below it that the
// build has.
func For(level isa.Level) *Kernels { return forLevel(level) }
