package seams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Seam: an opaque segment with gradient. What cannot be traced (here a solver by
// iteration) a plugin computes itself, in its own process, batch by batch: its
// layer calls an sdk.Opaque, which gives a gradient too. The process lives as long
// as the run; one that is killed is started again, one that always ends is told
// of; the checkpoint says which plugin it needs. For a user it is a layer:
const implicit = `
hone {
  required_plugins {
    acme = { source = "github.com/acme/hone-implicit" }
  }
}
data "csv" "rows" {
  path   = FILE
  target = "y"
}
model "implicit" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "dense" "hidden" {
    units = 2
  }
  layer "acme.implicit" "solved" {
    trouble = "TROUBLE"
  }
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs     = 2
  batch_size = 4
  shuffle    = false
  loss "mean_squared_error" {}
  optimizer "sgd" {
    learning_rate = 0.1
  }
}`

// implicitLayer gives the y that solves y + y^3 = x.
type implicitLayer struct {
	Trouble string `hone:"trouble,default=" doc:"A file; while it is there the process ends, and takes it along where its name ends in once."`
}

func (l *implicitLayer) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return b.Opaque(&solver{Iterations: 40, Trouble: l.Trouble}, x)[0]
}

// solver is what the plugin computes. Its fields travel with the graph.
type solver struct {
	Iterations int
	Trouble    string
}

func (*solver) Results(in []graph.Type) ([]graph.Type, error) { return in[:1], nil }

func (s *solver) Compute(_ context.Context, in, out []*graph.Tensor) error {
	if _, err := os.Stat(s.Trouble); s.Trouble != "" && err == nil {
		if strings.HasSuffix(s.Trouble, "once") {
			os.Remove(s.Trouble)
		}
		fmt.Fprintln(os.Stderr, "the solver has lost its licence")
		os.Exit(7)
	}
	for i := range in[0].Len() {
		out[0].SetFloat(i, solve(in[0].Float(i), s.Iterations))
	}
	return nil
}

// Gradient is that of an implicit function: dy/dx = 1 / (1 + 3 y^2).
func (s *solver) Gradient(_ context.Context, _, out, dout, din []*graph.Tensor) error {
	for i := range out[0].Len() {
		y := out[0].Float(i)
		din[0].SetFloat(i, dout[0].Float(i)/(1+3*y*y))
	}
	return nil
}

func solve(x float64, iterations int) float64 {
	y := 0.0
	for range iterations {
		y -= (y + y*y*y - x) / (1 + 3*y*y)
	}
	return y
}

func TestAnOpaqueSegmentWithGradient(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	theirs := host.Options{Plugins: map[string]string{"acme": self}, Backend: "reference"}
	rows := examples(10)
	p := func(trouble string) *host.Project {
		return project(t, replace(implicit, "TROUBLE", trouble), csvOf(rows), theirs)
	}
	w := values(t, before(t, p("")))
	whole, _, _ := train(t, p(""), host.TrainOptions{})

	// The same in float64.
	k, b, k2, b2 := w["hidden.kernel"], w["hidden.bias"], w["out.kernel"], w["out.bias"]
	for range 2 {
		for _, batch := range batchesOf(rows, 4) {
			dk, db, dk2, db2 := make([]float64, 6), make([]float64, 2), make([]float64, 2), 0.0
			for _, r := range batch {
				y, h := b2[0], [2]float64{}
				for j := range h {
					u := b[j]
					for i := range 3 {
						u += r.x[i] * k[i*2+j]
					}
					h[j] = solve(u, 100)
					y += h[j] * k2[j]
				}
				e := 2 * (y - r.y) / float64(len(batch))
				db2 += e
				for j := range h {
					dk2[j] += e * h[j]
					d := e * k2[j] / (1 + 3*h[j]*h[j])
					db[j] += d
					for i := range 3 {
						dk[i*2+j] += d * r.x[i]
					}
				}
			}
			for _, u := range []struct{ w, g []float64 }{{k, dk}, {b, db}, {k2, dk2}, {b2, []float64{db2}}} {
				for i := range u.w {
					u.w[i] -= 0.1 * u.g[i]
				}
			}
		}
	}
	got := values(t, whole)
	for _, n := range []string{"hidden.kernel", "hidden.bias", "out.kernel", "out.bias"} {
		near(t, n, got[n], w[n], 2e-6)
	}

	// The checkpoint says what it needs, is looked at without, and predicts with it.
	x := graph.NewTensor(graph.F32, 2, 3)
	ask := func(o host.Options) (*host.Prediction, error) {
		m, err := host.Open(whole, o)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		pins, _ := json.Marshal(m.Plugins())
		if !strings.Contains(string(pins), `"name":"acme","version":"1.0.0","source":"github.com/acme/hone-implicit"`) || strings.Count(string(pins), `"needed":true`) != 1 {
			t.Errorf("the plugins are %s", pins)
		}
		r, err := modelfmt.Open(whole)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		info, err := r.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var shown strings.Builder
		if err := host.WriteCheckpoint(&shown, r, info); err != nil {
			t.Fatal(err)
		}
		if text := shown.String(); strings.Count(text, "still needed") != 1 || !strings.Contains(text, "github.com/acme/hone-implicit, still needed") {
			t.Errorf("shown as\n%s", text)
		}
		return m.Predict(t.Context(), map[string]*host.Tensor{"x": x})
	}
	if p, err := ask(theirs); err != nil {
		t.Error(err)
	} else if want := solve(w["hidden.bias"][0], 100)*k2[0] + solve(w["hidden.bias"][1], 100)*k2[1] + b2[0]; math.Abs(p.Outputs[0].Values.Float(0)-want) > 1e-6 {
		t.Errorf("it predicts %v, wanted %v", p.Outputs[0].Values.Float(0), want)
	}
	if _, err := ask(host.Options{NoPlugins: true, Backend: "reference"}); err == nil || !strings.Contains(err.Error(), "acme") {
		t.Errorf("without its plugin: %v", err)
	}
	if _, err := project(t, replace(implicit, "TROUBLE", ""), csvOf(rows), host.Options{NoPlugins: true, Backend: "reference"}).
		Train(t.Context(), host.TrainOptions{Resume: whole, Out: filepath.Join(t.TempDir(), "no.hone")}); err == nil || !strings.Contains(err.Error(), "acme.solver") {
		t.Errorf("trained on without its plugin: %v", err)
	}

	// A process that ends once is not noticed in the bits.
	once := write(t, "once", "")
	again, _, _ := train(t, p(once), host.TrainOptions{})
	if _, err := os.Stat(once); !errors.Is(err, os.ErrNotExist) {
		t.Error("the process did not end")
	}
	sameBits(t, whole, again)

	// One that always ends is the component's mistake, told with its last words.
	_, err = p(write(t, "always", "")).Train(t.Context(), host.TrainOptions{Out: filepath.Join(t.TempDir(), "out.hone")})
	for _, want := range []string{"acme", "solver", "status 7", "lost its licence", "same batch"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("a component that always ends: %v; wanted %q", err, want)
		}
	}
}
