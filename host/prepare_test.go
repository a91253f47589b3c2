package host

import (
	"context"
	"math"
	"path/filepath"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// A prediction computes the weights that its batch normalizations leave once,
// and gives what the model's own function gives.
func TestPredictionsRunOnFoldedWeights(t *testing.T) {
	ctx := context.Background()
	out := filepath.Join(t.TempDir(), "deep.hone")
	if _, err := load(t, deepSpec(), Options{}).Train(ctx, TrainOptions{Out: out}); err != nil {
		t.Fatal(err)
	}
	m, err := Open(out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	plan, err := m.Plan(ctx, 3)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int64{}
	for _, r := range plan.Passes {
		for _, c := range r.Did {
			counts[r.Name+", "+c.What] += c.N
		}
	}
	if n := counts["norms folded, chains of scales and offsets"]; n != 6 {
		t.Errorf("%d norms are folded, wanted 6; the passes did %v", n, counts)
	}
	for _, op := range plan.Ops {
		if op.Name == "rsqrt" || op.Name == "sqrt" {
			t.Errorf("a prediction computes %s in %q", op.Name, op.Scope)
		}
	}
	image := graph.NewTensor(graph.F32, 3, 8, 8)
	for i := range image.Len() {
		image.SetFloat(i, float64(i%17)/16)
	}
	got, err := m.Predict(ctx, map[string]*Tensor{"image": image})
	if err != nil {
		t.Fatal(err)
	}
	f := m.Module().Resolve(m.s.program.Model, graph.Infer)
	values := map[string]*graph.Tensor{}
	for _, v := range m.s.values {
		values[v.Role.String()+" "+v.Name] = v.Tensor
	}
	var args []*graph.Tensor
	for _, p := range f.Params {
		v := values[p.Role.String()+" "+p.Name]
		if p.Role == graph.Input {
			v = image
		}
		switch p.Role {
		case graph.HyperRole:
			v = graph.ScalarOf(graph.F32, p.Decl.Default)
		case graph.KeyRole, graph.StepRole:
			v = graph.NewTensor(graph.U64)
		case graph.IndexRole:
			v = graph.NewTensor(graph.I64, 3)
		}
		if v == nil {
			t.Fatalf("the checkpoint lacks %v %q", p.Role, p.Name)
		}
		args = append(args, v)
	}
	want, err := reference.Eval(ctx, m.Module(), f.Name, kernels.Options{Mode: graph.Infer}, args...)
	if err != nil {
		t.Fatal(err)
	}
	y := got.Outputs[0].Values
	for i := range y.Len() {
		if d := math.Abs(y.Float(i) - want[0].Float(i)); d > 1e-5*(1+math.Abs(want[0].Float(i))) {
			t.Errorf("element %d is %v, wanted %v", i, y.Float(i), want[0].Float(i))
		}
	}
}
