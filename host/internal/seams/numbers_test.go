package seams

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

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
