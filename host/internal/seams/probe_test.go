package seams

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/plugins/builtin"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

var bundle sdk.Bundle

func TestMain(m *testing.M) {
	backendBinary()
	stranger()
	bundle = builtin.Main()
	os.Exit(m.Run())
}

// write puts a file into a folder of the test and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(path)
}

// project loads a spec, whose FILE stands for the path of a CSV file that holds
// rows. Options without plugins take the first-party ones, without a backend the
// reference.
func project(t *testing.T, text, rows string, o host.Options) *host.Project {
	t.Helper()
	text = strings.ReplaceAll(text, "FILE", `"`+write(t, "rows.csv", rows)+`"`)
	if o.Builtin.Plugins == nil {
		o.Builtin = bundle
	}
	if o.Backend == "" {
		o.Backend = "reference"
	}
	p, err := host.Load(write(t, "probe.hone.hcl", text), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// train runs a project's training and returns the checkpoint, its result and
// what it told of each epoch.
func train(t *testing.T, p *host.Project, o host.TrainOptions) (string, *host.Result, []host.EpochEvent) {
	t.Helper()
	if o.Out == "" {
		o.Out = filepath.Join(t.TempDir(), "out.hone")
	}
	var epochs []host.EpochEvent
	tell := o.Events
	o.Events = func(e host.Event) {
		if e, ok := e.(host.EpochEvent); ok {
			epochs = append(epochs, e)
		}
		if tell != nil {
			tell(e)
		}
	}
	r, err := p.Train(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return o.Out, r, epochs
}

// before returns the checkpoint of a training that was stopped before its first
// step: the initial values.
func before(t *testing.T, p *host.Project) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := filepath.Join(t.TempDir(), "before.hone")
	_, err := p.Train(ctx, host.TrainOptions{Out: out, Events: func(e host.Event) {
		if _, ok := e.(host.StartEvent); ok {
			stop()
		}
	}})
	if !errors.Is(err, host.ErrInterrupted) {
		t.Fatal(err)
	}
	return out
}

// values reads the floating-point tensors of a checkpoint.
func values(t *testing.T, path string) map[string][]float64 {
	t.Helper()
	out := map[string][]float64{}
	for name, v := range stored(t, path) {
		if v.DType.IsFloat() {
			for i := range v.Len() {
				out[name] = append(out[name], v.Float(i))
			}
		}
	}
	return out
}

// stored reads all tensors of a checkpoint.
func stored(t *testing.T, path string) map[string]*graph.Tensor {
	t.Helper()
	r, err := modelfmt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string]*graph.Tensor{}
	for _, i := range r.Tensors() {
		b, err := r.ReadTensor(i.Name, nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := graph.ParseDType(i.DType.String())
		if err != nil {
			t.Fatal(err)
		}
		v := &graph.Tensor{DType: d, Data: b}
		for _, e := range i.Shape {
			v.Shape = append(v.Shape, int64(e))
		}
		out[i.Name] = v
	}
	return out
}

// sameBits compares two checkpoints' tensors.
func sameBits(t *testing.T, a, b string) {
	t.Helper()
	x, y := stored(t, a), stored(t, b)
	if len(x) != len(y) {
		t.Errorf("%d tensors and %d", len(x), len(y))
	}
	for name, v := range x {
		if y[name] == nil || !bytes.Equal(v.Data, y[name].Data) {
			t.Errorf("the tensor %q differs", name)
		}
	}
}

// near compares numbers relative to the larger of theirs and one.
func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, wanted %d", what, len(got), len(want))
	}
	for i, w := range want {
		if !(math.Abs(got[i]-w) <= tolerance*math.Max(1, math.Abs(w))) {
			t.Errorf("%s[%d] is %.9g, wanted %.9g", what, i, got[i], w)
			return
		}
	}
}

func replace(s string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(s) }
