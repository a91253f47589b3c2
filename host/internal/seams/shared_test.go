package seams

import (
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Seam: weights are shared. A layer with share = layer.X computes with X's
// parameters, whose gradient is the sum of both uses; here a tower on two inputs, as
// Keras has it. A plugin's layer may share within itself.
const sharedTower = `
data "csv" "rows" {
  path   = FILE
  target = "amount"
  source "validation" {
    path = FILE
  }
}
block "residual" {
  arg "width" {}
  input "x" {}
  layer "dense" "inner" {
    units      = arg.width
    activation = "tanh"
  }
  layer "add" "sum" {
    from = [input.x, layer.inner]
  }
}
model "siamese" {
  input "left" {
    columns = ["a", "b", "c"]
  }
  input "right" {
    columns = ["d", "e", "a"]
  }
  layer "dense" "tower" {
    units      = 4
    activation = "tanh"
    from       = input.left
  }
  layer "dense" "twin" {
    share = layer.tower
    from  = input.right
  }
  layer "concat" "both" {
    from = [layer.tower, layer.twin]
  }
  layer "block.residual" "s" {
    count = 2
    width = 8
  }
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs     = 3
  batch_size = 8
  shuffle    = false
  loss "mean_squared_error" {}
  optimizer "sgd" {
    learning_rate = 0.1
    momentum      = 0.5
  }
  init_from {
    path = ARCHIVE
  }
}
`

func TestSharedWeights(t *testing.T) {
	out := follows(t, "shared", sharedTower, "loss", "loss")
	for name := range stored(t, out) {
		if strings.HasPrefix(name, "twin") {
			t.Errorf("%q is kept beside what it shares", name)
		}
	}
}

// tied is a layer that shares within itself: it decodes with the transpose of
// what it encodes with, declared as another parameter of the same storage. A
// plugin's author says so with Param.Alias.
type tied struct {
	Units int `hone:"units,required,min=1" doc:"Width of the code."`
}

func (l *tied) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	n, ok := x.Type().Shape[1].Const()
	if !ok {
		return b.Failf("the input %v has no fixed width", x.Type())
	}
	w := b.Param("kernel", graph.T(graph.F32, n, int64(l.Units)), sdk.Param{Initializer: sdk.Named("glorot_uniform")})
	again := b.Param("decoder", graph.T(graph.F32, n, int64(l.Units)), sdk.Param{Initializer: sdk.Named("glorot_uniform"), Alias: "kernel"})
	return x.MatMul(w).Tanh().MatMul(again.Transpose(1, 0))
}

const tiedSpec = `
data "csv" "rows" {
  path   = FILE
  target = "y"
}
model "auto" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "tied" "code" {
    units = 2
  }
  layer "dense" "out" {
    units    = 1
    use_bias = false
  }
}
train {
  epochs     = 3
  batch_size = 4
  shuffle    = false
  loss "mean_squared_error" {}
  optimizer "sgd" {
    learning_rate = 0.2
    momentum      = 0.5
  }
}
`

func TestALayerSharesWithinItself(t *testing.T) {
	with := host.Options{Builtin: sdk.Bundle{Plugins: append([]sdk.Plugin{{
		Name: "tied", Version: "1.0.0", Layers: sdk.Layers{"tied": func() sdk.Layer { return &tied{} }},
	}}, bundle.Plugins...)}}
	rows := examples(10)
	p := project(t, tiedSpec, csvOf(rows), with)
	v := values(t, before(t, p))
	w, u := v["code.kernel"], v["out.kernel"] // [3, 2], [3, 1]
	mw, mu := make([]float64, 6), make([]float64, 3)
	out, _, _ := train(t, p, host.TrainOptions{})
	for range 3 {
		for _, batch := range batchesOf(rows, 4) {
			gw, gu := make([]float64, 6), make([]float64, 3)
			for _, e := range batch {
				var h [2]float64
				var r [3]float64
				for k := range h {
					for i, x := range e.x {
						h[k] += x * w[2*i+k]
					}
					h[k] = math.Tanh(h[k])
				}
				y := 0.0
				for i := range r {
					r[i] = h[0]*w[2*i] + h[1]*w[2*i+1]
					y += r[i] * u[i]
				}
				d := 2 * (y - e.y) / float64(len(batch))
				for i := range r {
					gu[i] += d * r[i]
					for k := range h {
						gw[2*i+k] += d * u[i] * h[k] // as decoder
						for j := range r {           // as encoder
							gw[2*i+k] += d * u[j] * w[2*j+k] * (1 - h[k]*h[k]) * e.x[i]
						}
					}
				}
			}
			descend(w, mw, gw)
			descend(u, mu, gu)
		}
	}
	got := values(t, out)
	near(t, "kernel", got["code.kernel"], w, 2e-6)
	near(t, "out", got["out.kernel"], u, 2e-6)
	if got["code.decoder"] != nil {
		t.Error("the shared parameter is kept twice")
	}
	m, err := host.Open(out, host.Options{Backend: "reference", NoPlugins: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
}

// descend is a step of gradient descent with momentum 0.5 and rate 0.2.
func descend(w, m, g []float64) {
	for i := range w {
		m[i] = 0.5*m[i] - 0.2*g[i]
		w[i] += m[i]
	}
}
