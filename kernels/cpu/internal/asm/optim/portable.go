package optim

import (
	"math"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// portable returns the steps in plain Go. The conversions keep products and
// sums from being fused on some processors and not on others.
func portable() *Kernels {
	return &Kernels{
		Level: isa.Portable,
		RMSprop: func(w, v, g []float32, rate, keep, weight, eps float32) {
			for i := range w {
				v[i] = float32(v[i]*keep) + float32(float32(g[i]*g[i])*weight)
				w[i] -= rate * g[i] / sqrt(v[i]+eps)
			}
		},
		Adam: func(w, m, v, g []float32, alpha, weight1, weight2, eps float32) {
			for i := range w {
				w[i] -= adamStep(&m[i], &v[i], g[i], alpha, weight1, weight2, eps)
			}
		},
	}
}

// average moves avg towards x.
func average(avg, x, weight float32) float32 {
	return avg + float32((float32(x)-avg)*weight)
}

func adamStep(m, v *float32, g, alpha, weight1, weight2, eps float32) float32 {
	*m = average(*m, g, weight1)
	*v = average(*v, g*g, weight2)
	return alpha * *m / (sqrt(*v) + eps)
}

func sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }
