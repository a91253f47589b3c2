package seams

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: a layer that scans, with gradient. simple_rnn is traced as one step and
// scanned over the sequence by the graph's scan op; the host differentiates the
// scan, and the trained weights are those of the same recurrence written out in
// float64, with gradients by central differences.
const recurrent = `
data "csv" "waves" {
  path   = FILE
  target = "y"
}
model "net" {
  input "wave" {
    columns = ["t0", "t1", "t2", "t3", "t4"]
  }
  layer "reshape" "sequence" {
    target_shape = [5, 1]
  }
  layer "simple_rnn" "memory" {
    units                 = 3
    recurrent_initializer = "orthogonal"
  }
  layer "dense" "next" {
    units = 1
  }
}
train {
  epochs     = 4
  batch_size = 4
  shuffle    = false
  loss "mean_squared_error" {}
  optimizer "sgd" {
    learning_rate = 0.1
  }
}`

func TestALayerThatScansWithGradient(t *testing.T) {
	const rows, steps, units = 10, 5, 3
	x, y := make([][]float64, rows), make([]float64, rows)
	var csv strings.Builder
	csv.WriteString("t0,t1,t2,t3,t4,y\n")
	for i := range rows {
		x[i] = make([]float64, steps)
		for s := range steps {
			x[i][s] = float64((3*i+5*s)%8-4) / 4 // exact in float32
			fmt.Fprintf(&csv, "%.2f,", x[i][s])
		}
		y[i] = x[i][0] - x[i][4]/2
		fmt.Fprintf(&csv, "%.3f\n", y[i])
	}
	p := func() *host.Project { return project(t, recurrent, csv.String(), host.Options{}) }
	w := values(t, before(t, p()))
	out, _, epochs := train(t, p(), host.TrainOptions{})
	if !(epochs[3].Metrics["loss"] < epochs[0].Metrics["loss"]) {
		t.Errorf("the loss goes from %v to %v", epochs[0].Metrics["loss"], epochs[3].Metrics["loss"])
	}

	loss := func(from, to int) float64 {
		sum := 0.0
		for i := from; i < to; i++ {
			h := make([]float64, units)
			for s := range steps {
				now := make([]float64, units)
				for j := range units {
					a := x[i][s]*w["memory.kernel"][j] + w["memory.bias"][j]
					for k := range units {
						a += h[k] * w["memory.recurrent_kernel"][k*units+j]
					}
					now[j] = math.Tanh(a)
				}
				h = now
			}
			e := w["next.bias"][0] - y[i]
			for j := range units {
				e += h[j] * w["next.kernel"][j]
			}
			sum += e * e
		}
		return sum / float64(to-from)
	}
	names := []string{"memory.kernel", "memory.recurrent_kernel", "memory.bias", "next.kernel", "next.bias"}
	for range 4 {
		for from := 0; from < rows; from += 4 {
			to := min(from+4, rows)
			grads := map[string][]float64{}
			for _, n := range names {
				for i, v := range w[n] {
					const d = 1e-5
					w[n][i] = v + d
					up := loss(from, to)
					w[n][i] = v - d
					grads[n] = append(grads[n], (up-loss(from, to))/(2*d))
					w[n][i] = v
				}
			}
			for _, n := range names {
				for i := range w[n] {
					w[n][i] -= 0.1 * grads[n][i]
				}
			}
		}
	}
	got := values(t, out)
	for _, n := range names {
		near(t, n, got[n], w[n], 2e-6)
	}
}
