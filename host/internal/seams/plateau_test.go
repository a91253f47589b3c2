package seams

import (
	"math"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: a schedule that needs the validation metric. The host measures after each
// epoch and tells the schedule, whose state (what was best, how long ago) lives on
// the device and in the checkpoint. A user writes
//
//	optimizer "sgd" {
//	  learning_rate "plateau" { ... }
//	}
//
// and it watches the number that early_stopping and checkpoint watch, val_loss
// where nothing else is said. The rules are those of Keras's ReduceLROnPlateau.
const plateau = `
  epochs     = EPOCHS
  batch_size = 4
  optimizer "sgd" {
    learning_rate "plateau" {
      initial_learning_rate = 0.4
      factor                = 0.5
      patience              = 2
      min_delta             = 0.001
      cooldown              = 1
      min_lr                = 0.06
    }
  }`

// plateauTruth trains in float64 and follows the rules as Keras states them; it
// returns the rate and the validation loss of each epoch.
func plateauTruth(w weights, learn, held []example, epochs int) (rates, losses []float64) {
	rate, best, wait, cooldown := 0.4, math.Inf(1), 0, 0
	for range epochs {
		rates = append(rates, rate)
		for _, batch := range batchesOf(learn, 4) {
			_, g := w.gradient(batch)
			w.each(func(p string, i int, v float64) float64 { return v - rate*g[p][i] })
		}
		now := w.loss(held)
		losses = append(losses, now)
		if cooldown > 0 {
			cooldown--
			wait = 0
		}
		if now < best-0.001 {
			best, wait = now, 0
		} else if cooldown == 0 {
			wait++
			if wait >= 2 && rate > 0.06 {
				rate, wait, cooldown = math.Max(rate*0.5, 0.06), 0, 1
			}
		}
	}
	return rates, losses
}

func TestPlateauFollowsTheValidationLoss(t *testing.T) {
	rows := examples(24)
	spec := func(epochs string, o host.Options) *host.Project {
		return toySplit(t, replace(plateau, "EPOCHS", epochs), rows, o)
	}
	w := weightsOf(t, before(t, spec("16", host.Options{})))
	whole, _, epochs := train(t, spec("16", host.Options{}), host.TrainOptions{})
	rates, losses := plateauTruth(w, rows[:18], rows[18:], 16)
	var gotRates, gotLosses []float64
	for _, e := range epochs {
		gotRates = append(gotRates, float64(e.LearningRate))
		gotLosses = append(gotLosses, float64(e.Metrics["val_loss"]))
	}
	near(t, "rate", gotRates, rates, 1e-7)
	near(t, "val_loss", gotLosses, losses, 1e-5)
	w.compare(t, whole, 1e-5)
	if last := rates[len(rates)-1]; last != 0.06 {
		t.Errorf("the rate ends at %v: the probe wants to see it fall to its least", last)
	}

	// What the schedule remembers survives an interruption.
	part, _, _ := train(t, spec("7", host.Options{}), host.TrainOptions{})
	again, _, _ := train(t, spec("16", host.Options{NoPlugins: true}), host.TrainOptions{Resume: part})
	sameBits(t, whole, again)
}
