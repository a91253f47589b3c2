package seams

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

// tangent is the network of several probes, as a user writes it: three columns,
// a hidden layer, one number. TRAIN stands for what a probe trains it with, DATA
// for what it says of the rows.
const tangent = `
data "csv" "rows" {
  path   = FILE
  target = "y"
  DATA
}
model "tangent" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "dense" "hidden" {
    units      = 4
    activation = "tanh"
  }
  layer "dense" "out" {
    units = 1
  }
}
train {
  shuffle = false
  loss "mean_squared_error" {}
  TRAIN
}
`

// toy returns the project of that network on rows.
func toy(t *testing.T, training string, rows []example, o host.Options) *host.Project {
	t.Helper()
	return project(t, replace(tangent, "TRAIN", training, "DATA", ""), csvOf(rows), o)
}

// toySplit is toy with the last quarter of the rows for validation.
func toySplit(t *testing.T, training string, rows []example, o host.Options) *host.Project {
	t.Helper()
	return project(t, replace(tangent, "TRAIN", training, "DATA", `split {
    validation = 0.25
    shuffle    = false
  }`), csvOf(rows), o)
}

// example is one row of the toy data: inputs and what is to be predicted.
type example struct {
	x [3]float64
	y float64
}

// examples makes rows of quarters, which every float type holds exactly.
func examples(n int) []example {
	rows := make([]example, n)
	for i := range rows {
		for j := range rows[i].x {
			rows[i].x[j] = float64((7*i+5*j+3*i*j)%13-6) / 4
		}
		rows[i].y = float64((5*i)%11-5) / 4
	}
	return rows
}

// csvOf writes rows as a file holds them.
func csvOf(rows []example) string {
	var b strings.Builder
	b.WriteString("a,b,c,y\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "%.2f,%.2f,%.2f,%.2f\n", r.x[0], r.x[1], r.x[2], r.y)
	}
	return b.String()
}

// weights are the network's parameters in float64, by path, row-major.
type weights map[string][]float64

var paths = []string{"hidden.kernel", "hidden.bias", "out.kernel", "out.bias"}

// weightsOf takes the parameters of a checkpoint.
func weightsOf(t *testing.T, checkpoint string) weights {
	t.Helper()
	w := weights{}
	v := values(t, checkpoint)
	for _, p := range paths {
		if v[p] == nil {
			t.Fatalf("%s has no %q", checkpoint, p)
		}
		w[p] = v[p]
	}
	return w
}

func (w weights) clone() weights {
	c := maps.Clone(w)
	for p := range c {
		c[p] = slices.Clone(c[p])
	}
	return c
}

// each replaces every element by f of its path, place and value.
func (w weights) each(f func(path string, i int, v float64) float64) {
	for _, p := range paths {
		for i, v := range w[p] {
			w[p][i] = f(p, i, v)
		}
	}
}

// norm is the Euclidean norm of all elements together.
func (w weights) norm() float64 {
	sum := 0.0
	w.each(func(_ string, _ int, v float64) float64 { sum += v * v; return v })
	return math.Sqrt(sum)
}

// forward returns the hidden units and the output of an example.
func (w weights) forward(x [3]float64) (h [4]float64, y float64) {
	y = w["out.bias"][0]
	for j := range h {
		z := w["hidden.bias"][j]
		for i := range x {
			z += x[i] * w["hidden.kernel"][4*i+j]
		}
		h[j] = math.Tanh(z)
		y += h[j] * w["out.kernel"][j]
	}
	return h, y
}

// gradient returns the mean squared error of a batch and its gradient.
func (w weights) gradient(batch []example) (loss float64, g weights) {
	g = w.clone()
	g.each(func(string, int, float64) float64 { return 0 })
	n := float64(len(batch))
	for _, e := range batch {
		h, y := w.forward(e.x)
		loss += (y - e.y) * (y - e.y) / n
		d := 2 * (y - e.y) / n
		g["out.bias"][0] += d
		for j := range h {
			g["out.kernel"][j] += d * h[j]
			dz := d * w["out.kernel"][j] * (1 - h[j]*h[j])
			g["hidden.bias"][j] += dz
			for i := range e.x {
				g["hidden.kernel"][4*i+j] += dz * e.x[i]
			}
		}
	}
	return loss, g
}

// loss is the mean squared error over rows.
func (w weights) loss(rows []example) float64 {
	l, _ := w.gradient(rows)
	return l
}

// batchesOf cuts rows as an epoch does.
func batchesOf(rows []example, size int) [][]example {
	return slices.Collect(slices.Chunk(rows, size))
}

// compare compares a checkpoint's parameters with the truth.
func (w weights) compare(t *testing.T, checkpoint string, tolerance float64) {
	t.Helper()
	v := values(t, checkpoint)
	for _, p := range paths {
		near(t, p, v[p], w[p], tolerance)
	}
}
