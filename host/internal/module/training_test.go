package module

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/plugins/builtin"
	"github.com/hone-ml/hone/sdk/graph"
)

// The losses of whole trainings, step by step, against Keras and a float64
// program in NumPy. The recipe is that of tools/goldens.

type goldenRun struct {
	Name   string `json:"name"`
	Input  []int  `json:"input"`
	Layers []struct {
		Type, Name string
		Config     map[string]any
	} `json:"layers"`
	Loss, Optimizer struct {
		Type   string
		Config map[string]any
	}
	BatchSize int                `json:"batch_size"`
	Steps     int                `json:"steps"`
	Count     int                `json:"count"`
	Weights   map[string][]int64 `json:"weights"`
	F32       struct{ Loss []float64 }
	F64       struct{ Loss []float64 }
}

func goldenRuns(t *testing.T, file string) []goldenRun {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "goldens", file))
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Cases []goldenRun }
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f.Cases
}

func stream(name string) uint32 {
	h := uint32(0x811C9DC5)
	for _, c := range []byte(name) {
		h = (h ^ uint32(c)) * 0x01000193
	}
	return h
}

func hash32(name string, i int) uint32 {
	x := uint32(i)*0x9E3779B9 + stream(name)
	x ^= x >> 16
	x *= 0x85EBCA6B
	x ^= x >> 13
	x *= 0xC2B2AE35
	return x ^ x>>16
}

// weight returns the first value of a parameter or state by the recipe.
func weight(name string, shape []int64) *graph.Tensor {
	n := 1
	for _, e := range shape {
		n *= int(e)
	}
	v := make([]float32, n)
	switch {
	case strings.HasSuffix(name, "kernel"):
		field := 1
		for _, e := range shape[:len(shape)-2] {
			field *= int(e)
		}
		in, out := int(shape[len(shape)-2]), int(shape[len(shape)-1])
		limit := float32(math.Sqrt(6 / float64(field*in+field*out)))
		for i := range v {
			unit := float32(hash32(name, i)>>8) / (1 << 24)
			v[i] = (2*unit - 1) * limit
		}
	case strings.HasSuffix(name, "gamma"), strings.HasSuffix(name, "variance"):
		for i := range v {
			v[i] = 1
		}
	}
	return graph.Float32s(v, shape...)
}

// syntheticDigits returns the recipe's examples: pixels over 16, and labels.
func syntheticDigits(n int) ([]float32, []int32) {
	x, y := make([]float32, n*64), make([]int32, n)
	for e := range n {
		best, sum := 0, -1
		for i := range 64 {
			x[e*64+i] = float32(hash32("digits.pixel", e*64+i)>>28) / 16
		}
		for c := range 10 {
			s := 0
			for k := range 6 {
				s += int(x[e*64+6*c+k] * 16)
			}
			if s > sum {
				best, sum = c, s
			}
		}
		y[e] = int32(best)
	}
	return x, y
}

// losses trains a golden run and returns the loss of every step.
func losses(t *testing.T, g goldenRun, be kernels.Backend, x []float32, y []int32, steps int) []float64 {
	t.Helper()
	ctx := context.Background()
	h, err := plugin.New(plugin.Options{Builtin: builtin.InProcess()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	m := &spec.Model{Name: "golden", Inputs: []spec.Input{{Name: "x"}}}
	for _, l := range g.Layers {
		layer := spec.Layer{Type: spec.Type(l.Type), Name: l.Name}
		for k, v := range l.Config {
			layer.Args = append(layer.Args, spec.Arg(k, v))
		}
		m.Layers = append(m.Layers, layer)
	}
	tr := &spec.Train{Losses: []spec.Loss{{Type: spec.Type(g.Loss.Type)}}, Optimizer: &spec.Optimizer{Type: spec.Type(g.Optimizer.Type)}}
	for k, v := range g.Loss.Config {
		tr.Losses[0].Args = append(tr.Losses[0].Args, spec.Arg(k, v))
	}
	for k, v := range g.Optimizer.Config {
		tr.Optimizer.Args = append(tr.Optimizer.Args, spec.Arg(k, v))
	}
	in := graph.Shape{graph.Batch}
	shape := []int64{int64(g.Count)}
	for _, e := range g.Input {
		in, shape = append(in, graph.N(int64(e))), append(shape, int64(e))
	}
	a, diags := Assemble(ctx, h, Request{
		Model: m, Train: tr, Inputs: map[string]graph.Type{"x": {DType: graph.F32, Shape: in}},
		Targets: map[string]graph.Type{"label": {DType: graph.I32, Shape: graph.Shape{graph.Batch}}}, TargetOrder: []string{"label"},
	})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	trainer, err := train.New(ctx, a.Program, train.Config{
		Backend: be, Reference: reference.New(), BatchSize: int64(g.BatchSize), NoShuffle: true, Permutation: data.Permutation,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer trainer.Close()
	var first []train.Value
	params := a.Program.Params()
	if len(params) != len(g.Weights) {
		t.Errorf("the model has %d parameters and states, Keras %d", len(params), len(g.Weights))
	}
	for _, q := range params {
		s, ok := g.Weights[q.Name]
		if !ok {
			t.Fatalf("Keras has no %q", q.Name)
		}
		first = append(first, train.Value{Role: q.Role, Name: q.Name, Tensor: weight(q.Name, s)})
	}
	if err := trainer.Restore(first); err != nil {
		t.Fatal(err)
	}
	tx, ty := graph.Float32s(x, shape...), graph.Int32s(y, int64(g.Count))
	if err := trainer.SetData(&train.Arrays{Examples: int64(g.Count), Fields: map[string]kernels.View{
		"x": {DType: tx.DType, Shape: tx.Shape, Data: tx.Data}, "target:label": {DType: ty.DType, Shape: ty.Shape, Data: ty.Data},
	}}); err != nil {
		t.Fatal(err)
	}
	var out []float64
	var pos train.Position
	for len(out) < steps {
		if err := trainer.BeginEpoch(ctx, pos); err != nil {
			t.Fatal(err)
		}
		for pos.Cursor < int64(g.Count) && len(out) < steps {
			if pos, err = trainer.RunStep(ctx, pos); err != nil {
				t.Fatal(err)
			}
			l, err := trainer.LastLoss()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, l)
		}
		pos.Epoch, pos.Cursor = pos.Epoch+1, 0
	}
	return out
}

// compare reports the largest relative difference of two trajectories.
func compare(got, want []float64) float64 {
	worst := 0.0
	for i := range got {
		worst = math.Max(worst, math.Abs(got[i]-want[i])/math.Abs(want[i]))
	}
	return worst
}

func TestTrainingFollowsKeras(t *testing.T) {
	fast, err := cpu.New(cpu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Close()
	for _, g := range goldenRuns(t, "training_digits.json") {
		x, y := syntheticDigits(g.Count)
		for _, be := range []kernels.Backend{fast, reference.New()} {
			t.Run(g.Name+"/"+be.Name(), func(t *testing.T) {
				steps := g.Steps
				if be.Name() == "reference" {
					steps = 20
				}
				got := losses(t, g, be, x, y, steps)
				// Float32 against float64: Keras itself is up to 2e-6 away.
				if d := compare(got, g.F64.Loss); d > 1e-5 {
					t.Errorf("%.2g away from the float64 trajectory", d)
				}
				if d := compare(got, g.F32.Loss); d > 1e-4 {
					t.Errorf("%.2g away from Keras", d)
				}
			})
		}
	}
}

func TestMNISTFollowsKeras(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "data", "mnist")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the MNIST files are not beside the project")
	}
	s, err := data.ReadMNIST(context.Background(), dir, data.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	be, err := cpu.New(cpu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer be.Close()
	for _, g := range goldenRuns(t, "training_mnist.json") {
		t.Run(g.Name, func(t *testing.T) {
			pixels := data.Values[uint8](s.Train.Column("image"))[:g.Count*784]
			x := make([]float32, len(pixels))
			for i, p := range pixels {
				x[i] = float32(p) / 255
			}
			y := make([]int32, g.Count)
			for i, l := range data.Values[uint8](s.Train.Column("label"))[:g.Count] {
				y[i] = int32(l)
			}
			got := losses(t, g, be, x, y, g.Steps)
			// Keras raises beta_2 in float32, as hone's Adam does; that alone is
			// 9.9e-5 from the truth.
			if d := compare(got, g.F64.Loss); d > 1.1e-4 {
				t.Errorf("%.2g away from the float64 trajectory", d)
			}
			if d := compare(got, g.F32.Loss); d > 1e-5 {
				t.Errorf("%.2g away from Keras", d)
			}
		})
	}
}
