package seams

import (
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: a phase compiles what it changes and nothing else. The body is frozen
// first, then all trains, then on with another rate and momentum, then the body is
// frozen again. A step is compiled for the whole batch and for the remainder.
const phased = `
  batch_size = 4
  optimizer "sgd" {
    learning_rate = 0.2
    momentum      = 0.5
  }
  phase "head" {
    epochs = 1
    freeze = ["hidden"]
  }
  phase "all" {
    epochs = 1
  }
  phase "fine" {
    epochs        = 1
    learning_rate = 0.1
  }
  phase "other" {
    epochs = 1
    optimizer "sgd" {
      learning_rate = 0.05
      momentum      = 0.25
    }
  }
  phase "again" {
    epochs = 1
    freeze = ["hidden"]
  }`

func TestAPhaseCompilesWhatItChanges(t *testing.T) {
	rows := examples(24) // 18 to learn from: four batches of 4 and one of 2; 6 to evaluate
	w := weightsOf(t, before(t, toySplit(t, phased, rows, host.Options{})))
	c, o := counted()
	p := toySplit(t, phased, rows, o)
	var phases []string
	compiled := map[string]int{}
	out, _, epochs := train(t, p, host.TrainOptions{Events: func(e host.Event) {
		switch e := e.(type) {
		case host.PhaseEvent: // sent once the phase's steps are there
			phases = append(phases, e.Phase)
			compiled[e.Phase] += c.since()
		case host.EpochEvent:
			compiled[phases[len(phases)-1]+", evaluated"] += c.since()
		}
	}})
	want := map[string]int{
		"head": 2, "head, evaluated": 1, // one step of 4, one of 2; one evaluation of 6
		"all": 2, "all, evaluated": 0,
		"fine": 0, "fine, evaluated": 0,
		"other": 0, "other, evaluated": 0,
		"again": 0, "again, evaluated": 0,
	}
	for name, n := range want {
		if compiled[name] != n {
			t.Errorf("phase %s: %d compilations, wanted %d", name, compiled[name], n)
		}
	}

	// And each phase does what it says.
	m := w.clone()
	zero := func(string, int, float64) float64 { return 0 }
	m.each(zero)
	for i, ph := range []struct {
		rate, momentum float64
		frozen, fresh  bool
	}{{0.2, 0.5, true, false}, {0.2, 0.5, false, false}, {0.1, 0.5, false, false}, {0.05, 0.25, false, true}, {0.2, 0.5, true, true}} {
		if ph.fresh {
			m.each(zero)
		}
		for _, batch := range batchesOf(rows[:18], 4) {
			_, g := w.gradient(batch)
			step := func(p string) bool { return !ph.frozen || !strings.HasPrefix(p, "hidden") }
			m.each(func(p string, i int, v float64) float64 {
				if !step(p) {
					return v
				}
				return ph.momentum*v - ph.rate*g[p][i]
			})
			w.each(func(p string, i int, v float64) float64 {
				if !step(p) {
					return v
				}
				return v + m[p][i]
			})
		}
		near(t, phases[i]+" val_loss", []float64{float64(epochs[i].Metrics["val_loss"])}, []float64{w.loss(rows[18:])}, 2e-6)
	}
	w.compare(t, out, 2e-6)
}
