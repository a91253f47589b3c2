package seams

import (
	"math"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: an optimizer with powers of its own (a second gradient, globals of all
// parameters, another optimizer inside) together with what the host does for any
// optimizer: clipping by the global norm and accumulation. A batch perturbs by its
// own gradient; the gradients found there are accumulated, their mean is clipped,
// and the inner optimizer takes the step.
const sharp = `
  epochs     = EPOCHS
  batch_size = 4
  clip_norm  = 0.5
  accumulate = 2
  optimizer "sam" {
    rho = 0.1
    base "sgd" {
      learning_rate = 0.2
      momentum      = 0.9
    }
  }`

// samTruth is the same in float64.
func samTruth(w weights, rows []example, epochs int) (clipped int) {
	const rho, clip, rate, momentum, every = 0.1, 0.5, 0.2, 0.9, 2
	m, sum := w.clone(), w.clone()
	zero := func(string, int, float64) float64 { return 0 }
	m.each(zero)
	sum.each(zero)
	step := 0
	for range epochs {
		for _, batch := range batchesOf(rows, 4) {
			_, g := w.gradient(batch)
			there, n := w.clone(), g.norm()
			there.each(func(p string, i int, v float64) float64 { return v + rho*g[p][i]/n })
			_, g = there.gradient(batch)
			sum.each(func(p string, i int, v float64) float64 { return v + g[p][i]/every })
			if step++; step%every != 0 {
				continue
			}
			scale := clip / math.Max(clip, sum.norm())
			if scale < 1 {
				clipped++
			}
			m.each(func(p string, i int, v float64) float64 { return momentum*v - rate*scale*sum[p][i] })
			w.each(func(p string, i int, v float64) float64 { return v + m[p][i] })
			sum.each(zero)
		}
	}
	return clipped
}

func TestSAMWithClippingAndAccumulation(t *testing.T) {
	rows := examples(18) // five batches an epoch, the last of two rows: windows of two batches span epochs
	epochs := func(n string, o host.Options) *host.Project { return toy(t, replace(sharp, "EPOCHS", n), rows, o) }
	truth := weightsOf(t, before(t, epochs("5", host.Options{})))
	whole, _, _ := train(t, epochs("5", host.Options{}), host.TrainOptions{})
	if clipped := samTruth(truth, rows, 5); clipped == 0 || clipped == 12 {
		t.Errorf("%d of 12 updates are clipped: the probe wants some of both", clipped)
	}
	truth.compare(t, whole, 2e-6)
	if v := values(t, whole); v["hidden.kernel:base.momentum"] == nil || v["hidden.kernel:gradient"] == nil {
		t.Error("the slots of the inner optimizer, or the sum of gradients, are not in the checkpoint")
	}

	// Interrupted in the middle of an accumulation window, and gone on with no
	// plugin at all, the run ends in the same bits.
	part, _, _ := train(t, epochs("3", host.Options{}), host.TrainOptions{})
	again, _, _ := train(t, epochs("5", host.Options{NoPlugins: true}), host.TrainOptions{Resume: part})
	sameBits(t, whole, again)
}

// Optimizers stand within each other as deep as one likes. The learning rate is
// one, however deep the optimizer that has it: a schedule of the outermost gives it.
const nested = `
  epochs     = 3
  batch_size = 4
  optimizer "lookahead" {
    period = 3
    alpha  = 0.5
    learning_rate "piecewise_constant_decay" {
      boundaries = [6]
      values     = [0.3, 0.05]
    }
    base "sam" {
      rho = 0.1
      base "sgd" {
        momentum = 0.5
      }
    }
  }`

func TestOptimizersWithinOptimizers(t *testing.T) {
	rows := examples(18)
	p := toy(t, nested, rows, host.Options{})
	w := weightsOf(t, before(t, p))
	out, _, epochs := train(t, p, host.TrainOptions{})
	m, slow, step := w.clone(), w.clone(), 0
	m.each(func(string, int, float64) float64 { return 0 })
	for i, rate := range []float64{0.3, 0.05, 0.05} { // of the last update of each epoch
		near(t, "rate", []float64{float64(epochs[i].LearningRate)}, []float64{rate}, 1e-7)
		for _, batch := range batchesOf(rows, 4) {
			rate := 0.3
			if step > 6 { // Keras: the first rate up to the boundary, it included
				rate = 0.05
			}
			_, g := w.gradient(batch)
			there, n := w.clone(), g.norm()
			there.each(func(p string, i int, v float64) float64 { return v + 0.1*g[p][i]/n })
			_, g = there.gradient(batch)
			m.each(func(p string, i int, v float64) float64 { return 0.5*v - rate*g[p][i] })
			w.each(func(p string, i int, v float64) float64 { return v + m[p][i] })
			if step++; step%3 == 0 {
				slow.each(func(p string, i int, v float64) float64 { return v + 0.5*(w[p][i]-v) })
				w = slow.clone()
			}
		}
	}
	w.compare(t, out, 2e-6)
	predicts(t, out, rows, slow)
	if values(t, out)["hidden.kernel:base.base.momentum"] == nil {
		t.Error("the innermost slot is not where it is looked for")
	}
}
