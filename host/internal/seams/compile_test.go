package seams

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// counter is a backend that counts what it compiles.
type counter struct {
	kernels.Backend
	mu sync.Mutex
	n  int
}

func (c *counter) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.Backend.Compile(ctx, m, entry, o)
}

// since returns how many compilations there were since it was asked last.
func (c *counter) since() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

// counted returns options that count compilations.
func counted() (*counter, host.Options) {
	c := &counter{Backend: reference.New()}
	return c, host.Options{Engine: host.NewEngineOn(c)}
}

// Seam: rates, momenta, decays and the rate of a dropout are values of a step,
// not constants in it. A tuning trial changes them in the spec, or a program
// without tracing anything anew,
//
//	p.Train(ctx, host.TrainOptions{Hypers: map[string]float64{"optimizer:momentum": 0.5, "drop.rate": 0.1}})
//
// and with one host.Engine for all trials nothing is compiled but for the first.
const tuned = `
data "csv" "rows" {
  path   = FILE
  target = "y"
  split {
    validation = 0.25
    shuffle    = false
  }
}
model "net" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "dense" "hidden" {
    units      = 8
    activation = "tanh"
  }
  layer "dropout" "drop" {
    rate = DROP
  }
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs     = 2
  batch_size = 4
  loss "mean_squared_error" {}
  optimizer "sgd" {
    learning_rate = RATE
    momentum      = MOMENTUM
    weight_decay  = 0.01
  }
}
`

func TestNumbersChangeWithoutCompiling(t *testing.T) {
	rows := csvOf(examples(24))
	spec := func(rate, momentum, drop string, o host.Options) *host.Project {
		return project(t, replace(tuned, "RATE", rate, "MOMENTUM", momentum, "DROP", drop), rows, o)
	}
	c, shared := counted()
	first, _, _ := train(t, spec("0.1", "0.9", "0.5", shared), host.TrainOptions{})
	if n := c.since(); n == 0 {
		t.Fatal("nothing was compiled, so that nothing is proven")
	}
	// Other numbers in the spec: traced anew, the same step.
	second, _, _ := train(t, spec("0.05", "0.5", "0.2", shared), host.TrainOptions{})
	if n := c.since(); n != 0 {
		t.Errorf("%d compilations for other numbers in the spec", n)
	}
	// The same numbers by the API.
	hypers := map[string]float64{"optimizer:learning_rate": 0.05, "optimizer:momentum": 0.5, "drop.rate": 0.2}
	third, _, _ := train(t, spec("0.1", "0.9", "0.5", shared), host.TrainOptions{Hypers: hypers})
	if n := c.since(); n != 0 {
		t.Errorf("%d compilations for other numbers by the API", n)
	}
	// They take effect, each of them, exactly as where everything is compiled.
	alone, _, _ := train(t, spec("0.05", "0.5", "0.2", host.Options{}), host.TrainOptions{})
	sameBits(t, alone, second)
	sameBits(t, alone, third)
	last := values(t, second)["out.kernel"]
	for name, other := range map[string]string{
		"rate": "0.1 0.5 0.2", "momentum": "0.05 0.9 0.2", "dropout": "0.05 0.5 0.5",
	} {
		var n [3]string
		copy(n[:], strings.Fields(other))
		out, _, _ := train(t, spec(n[0], n[1], n[2], shared), host.TrainOptions{})
		if v := values(t, out)["out.kernel"]; v[0] == last[0] {
			t.Errorf("another %s changes nothing", name)
		}
	}
	if values(t, first)["out.kernel"][0] == last[0] {
		t.Error("other numbers change nothing")
	}

	// What was set stays set: a run resumed without a word of it, and predictions.
	part := t.TempDir() + "/part.hone"
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	_, err := spec("0.1", "0.9", "0.5", shared).Train(ctx, host.TrainOptions{Out: part, Hypers: hypers, Events: func(e host.Event) {
		if _, ok := e.(host.EpochEvent); ok {
			stop()
		}
	}})
	if err == nil {
		t.Fatal("the run was not interrupted")
	}
	again, _, _ := train(t, spec("0.1", "0.9", "0.5", shared), host.TrainOptions{Resume: part})
	sameBits(t, alone, again)
	if n := c.since(); n != 0 {
		t.Errorf("%d compilations to resume", n)
	}
}

func TestANumberThatIsNotThereIsRefused(t *testing.T) {
	for name, v := range map[string]float64{"optimizer:momentun": 0.5, "optimizer:momentum": math.Inf(1)} {
		_, err := project(t, replace(tuned, "RATE", "0.1", "MOMENTUM", "0.9", "DROP", "0.5"), csvOf(examples(8)), host.Options{}).
			Train(t.Context(), host.TrainOptions{Out: t.TempDir() + "/x.hone", Hypers: map[string]float64{name: v}})
		if err == nil {
			t.Errorf("%s = %v was taken", name, v)
		}
	}
}

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
			step := func(p string) bool { return !ph.frozen || p[:6] != "hidden" }
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
