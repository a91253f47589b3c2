package seams

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Seam: a layer with a gradient of its own, checked against its body's. An author
// writes a composite with graph.Builder.CompositeWithGradient where the derivative
// is known in a better form than that of the ops; the host differentiates by it;
// plugintest compares the two, in Conform and in Kit.OwnGradients. To a user it is
// a layer like any other:
const ownGradient = `
hone {
  required_plugins {
    acme = { source = "github.com/acme/hone-acme" }
  }
}
data "csv" "rows" {
  path   = FILE
  target = "y"
}
model "steep" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "dense" "out" {
    units = 1
  }
  layer "acme.log_cosh" "even" {}
}
train {
  epochs     = 3
  batch_size = 6
  shuffle    = false
  loss "mean_squared_error" {}
  optimizer "sgd" {
    learning_rate = 0.05
  }
}`

// logCosh gives log(cosh(x)), whose derivative is tanh(x); factor 1 is right.
type logCosh struct{ factor float64 }

func (l *logCosh) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return b.CompositeWithGradient("acme/log_cosh@1", nil, []graph.Value{x},
		func(_ *graph.Builder, x []graph.Value) []graph.Value {
			return []graph.Value{x[0].Add(x[0].Times(-2).Softplus()).Plus(-math.Ln2)}
		},
		func(_ *graph.Builder, x, _, dy []graph.Value) []graph.Value {
			return []graph.Value{x[0].Tanh().Times(l.factor).Mul(dy[0])}
		})[0]
}

func TestALayerWithAGradientOfItsOwn(t *testing.T) {
	// What its author writes into a test.
	vector := graph.Type{DType: graph.F64, Shape: graph.Shape{graph.Batch, graph.N(4)}}
	plugintest.Conform(t, acme(), plugintest.Case{Kind: sdk.LayerKind, Type: "log_cosh", Inputs: []graph.Type{vector}})
	wrong := sdk.Plugin{Name: "wrong", Version: "1.0.0", Layers: sdk.Layers{"log_cosh": func() sdk.Layer { return &logCosh{factor: 0.9} }}}
	k := plugintest.New(t, wrong)
	found := k.OwnGradients(k.MustTrace(sdk.LayerKind, "log_cosh", nil, vector))
	if len(found) != 1 || !strings.HasPrefix(found[0].Composite, "acme/log_cosh@1") || math.Abs(found[0].Own-0.9*found[0].Body) > 1e-12 || found[0].Apart < 0.01 {
		t.Errorf("a gradient that is a tenth too small is found to be %+v", found)
	}

	// What the host trains with it, and the same in float64.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rows := examples(12)
	p := func() *host.Project {
		return project(t, ownGradient, csvOf(rows), host.Options{Plugins: map[string]string{"acme": self}})
	}
	w := values(t, before(t, p()))
	out, _, _ := train(t, p(), host.TrainOptions{})
	kernel, bias := w["out.kernel"], w["out.bias"]
	for range 3 {
		for _, batch := range batchesOf(rows, 6) {
			dk, db := make([]float64, 3), 0.0
			for _, r := range batch {
				u := bias[0]
				for i := range 3 {
					u += r.x[i] * kernel[i]
				}
				d := 2 * (math.Log(math.Cosh(u)) - r.y) / float64(len(batch)) * math.Tanh(u)
				db += d
				for i := range 3 {
					dk[i] += d * r.x[i]
				}
			}
			bias[0] -= 0.05 * db
			for i := range 3 {
				kernel[i] -= 0.05 * dk[i]
			}
		}
	}
	got := values(t, out)
	near(t, "out.kernel", got["out.kernel"], kernel, 2e-6)
	near(t, "out.bias", got["out.bias"], bias, 2e-6)
}
