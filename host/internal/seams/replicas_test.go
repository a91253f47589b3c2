package seams

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/module"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/spec"
	steps "github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// Seam: two replicas that meet at all_reduce compute what one computes of the
// double batch. The step is derived for them by the very builder that trains
// (StepConfig.Replicas); nothing in the spec, the model or the optimizer knows.
// The network has all that looks across a batch or draws by example: batch
// normalization, dropout, a penalty, SAM, clipping by the global norm,
// accumulation over an odd remainder.
const replicated = `
data "csv" "rows" {
  path   = FILE
  target = "y"
}
model "net" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "dense" "hidden" {
    units    = 6
    use_bias = false
    kernel_regularizer "l2" {
      l2 = 0.01
    }
  }
  layer "batch_norm" "norm" {
    momentum = 0.5
  }
  layer "activation" "bend" {
    activation = "tanh"
  }
  layer "dropout" "drop" {
    rate = 0.25
  }
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs = 3
  loss "mean_squared_error" {}
  metrics = ["mean_absolute_error"]
  optimizer "sam" {
    base "adam" {
      learning_rate = 0.05
    }
  }
}
`

// assemble traces a spec's model and training for rows of toy data.
func assemble(t *testing.T, text string) *steps.Program {
	t.Helper()
	path := write(t, "probe.hone.hcl", strings.ReplaceAll(text, "FILE", `"rows.csv"`))
	s, diags := spec.Load(path, spec.Options{Version: host.Version})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	h, err := plugin.New(plugin.Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	a, diags := module.Assemble(t.Context(), h, module.Request{
		Model: s.TheModel(), Train: s.Train,
		Inputs:      map[string]graph.Type{"x": {DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(3)}}},
		Targets:     map[string]graph.Type{"y": {DType: graph.F32, Shape: graph.Shape{graph.Batch}}},
		TargetOrder: []string{"y"},
	})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return a.Program
}

// arraysOf returns toy rows as a trainer takes them.
func arraysOf(rows []example) *steps.Arrays {
	n := int64(len(rows))
	x, y := graph.NewTensor(graph.F32, n, 3), graph.NewTensor(graph.F32, n)
	for i, r := range rows {
		for j, v := range r.x {
			x.SetFloat(3*i+j, v)
		}
		y.SetFloat(i, r.y)
	}
	return &steps.Arrays{Examples: n, Fields: map[string]kernels.View{
		"x": {DType: x.DType, Shape: x.Shape, Data: x.Data}, "target:y": {DType: y.DType, Shape: y.Shape, Data: y.Data},
	}}
}

// replica are the values of one replica by role and name.
type replica map[string]*graph.Tensor

func at(role graph.Role, name string) string { return role.String() + " " + name }

func TestTwoReplicasEqualTheDoubleBatch(t *testing.T) {
	const seed, batch, epochs, n = 11, 8, 3, 2
	ctx := t.Context()
	p := assemble(t, replicated)
	rows := arraysOf(examples(22)) // two batches of 8 and one of 6 an epoch
	cfg := steps.StepConfig{ClipNorm: 0.5, Accumulate: 2}
	one, err := steps.New(ctx, p, steps.Config{
		Backend: reference.New(), Reference: reference.New(), Seed: seed, BatchSize: batch, Step: cfg, Permutation: data.Permutation,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if err := one.SetData(rows); err != nil {
		t.Fatal(err)
	}

	fields, err := p.Fields(rows)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Examples, cfg.Fields, cfg.Replicas = rows.Examples, fields, n
	built, err := steps.BuildStep(ctx, p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	f := built.Module.Func(built.Entry, graph.Any)
	joined := 0
	for _, g := range built.Module.Funcs {
		for _, node := range g.Nodes {
			if node.Op == graph.OpAllReduce {
				joined++
			}
		}
	}
	if joined == 0 {
		t.Fatal("nothing is joined")
	}

	// Both begin alike.
	first, err := one.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var all [n]replica
	for r := range all {
		all[r] = replica{}
		for _, v := range first {
			all[r][at(v.Role, v.Name)] = v.Tensor
		}
		for name, v := range rows.Fields {
			all[r][at(graph.Input, "data:"+name)] = &graph.Tensor{DType: v.DType, Shape: v.Shape, Data: v.Data}
		}
		for name, v := range p.Hypers() {
			all[r][at(graph.HyperRole, name)] = graph.ScalarOf(graph.F32, v)
		}
		for _, q := range f.Params {
			if q.Role == graph.KeyRole {
				path, ordinal, _ := strings.Cut(q.Name, "#")
				i, err := strconv.Atoi(ordinal)
				if err != nil {
					t.Fatal(err)
				}
				k := graph.NewTensor(graph.U64)
				k.SetInt(0, int64(graph.DeriveKey(seed, path, i)))
				all[r][at(q.Role, q.Name)] = k
			}
		}
	}
	drawn := false
	var pos steps.Position
	for range epochs {
		if err := one.BeginEpoch(ctx, pos); err != nil {
			t.Fatal(err)
		}
		start, err := one.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for r := range all {
			all[r][at(graph.Input, "run:perm")] = graph.Int64s(data.Permutation(seed, pos.Epoch, int(rows.Examples)), rows.Examples)
			for _, v := range start { // sums begin anew
				if strings.HasPrefix(v.Name, "metric:") || strings.HasPrefix(v.Name, "run:loss") || v.Name == "run:count" || v.Name == "run:cursor" {
					all[r][at(v.Role, v.Name)] = v.Tensor
				}
			}
		}
		for pos.Cursor < rows.Examples {
			share := min(batch, rows.Examples-pos.Cursor) / n
			var args [][]*graph.Tensor
			for r := range int64(n) {
				var a []*graph.Tensor
				for _, q := range f.Params {
					v := all[r][at(q.Role, q.Name)]
					switch {
					case q.Role == graph.IndexRole:
						v = graph.NewTensor(graph.I64, share)
						for i := range share {
							v.SetInt(int(i), r*share+i)
						}
					case q.Role == graph.KeyRole:
						drawn = true
					}
					if v == nil {
						t.Fatalf("the step takes %v %q", q.Role, q.Name)
					}
					a = append(a, v)
				}
				args = append(args, a)
			}
			out, err := reference.Lockstep(ctx, built.Module, built.Entry, kernels.Options{}, args...)
			if err != nil {
				t.Fatal(err)
			}
			for i, res := range f.Results {
				own := strings.HasPrefix(res.Name, "metric:")
				for r := range out {
					all[r][at(res.Role, res.Name)] = out[r][i]
					if !own && !bytes.Equal(out[0][i].Data, out[r][i].Data) {
						t.Errorf("%v %q differs between the replicas", res.Role, res.Name)
					}
				}
			}
			if pos, err = one.RunStep(ctx, pos); err != nil {
				t.Fatal(err)
			}
			now, err := one.Snapshot(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range now {
				got := all[0][at(v.Role, v.Name)]
				if strings.HasPrefix(v.Name, "metric:") {
					continue
				}
				near(t, fmt.Sprintf("step %d, %v %s", pos.Step, v.Role, v.Name), numbers(got), numbers(v.Tensor), 5e-6)
			}
			if t.Failed() {
				return
			}
		}
		sums, err := one.Sums(ctx)
		if err != nil {
			t.Fatal(err)
		}
		near(t, "metric", []float64{mergedMetric(t, p, all[0], all[1])}, []float64{sums.Metrics["mean_absolute_error"]}, 1e-6)
		pos.Epoch, pos.Cursor = pos.Epoch+1, 0
	}
	if !drawn {
		t.Error("nothing was drawn")
	}
}

// mergedMetric joins the states of the program's metric on two replicas and
// returns its value.
func mergedMetric(t *testing.T, p *steps.Program, a, b replica) float64 {
	t.Helper()
	m := p.Metrics[0]
	state := map[string]*graph.Tensor{}
	call := func(fn string, arg func(q graph.Param) *graph.Tensor) []*graph.Tensor {
		out, err := steps.Evaluate(t.Context(), reference.New(), p.Module, fn, graph.Any, nil, func(q graph.Param) (*graph.Tensor, error) { return arg(q), nil })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	merged := call(m.Merge, func(q graph.Param) *graph.Tensor {
		if q.Role == graph.StateRole {
			return a[at(graph.StateRole, steps.MetricState(m.Name, q.Name))]
		}
		return b[at(graph.StateRole, steps.MetricState(m.Name, q.Name))]
	})
	for i, r := range p.Module.Func(m.Merge, graph.Any).Results {
		state[r.Name] = merged[i]
	}
	return call(m.Result, func(q graph.Param) *graph.Tensor { return state[q.Name] })[0].Float(0)
}

// numbers returns a tensor's elements, whatever their type.
func numbers(v *graph.Tensor) []float64 {
	out := make([]float64, v.Len())
	for i := range out {
		if v.DType.IsFloat() {
			out[i] = v.Float(i)
		} else {
			out[i] = float64(v.Int(i))
		}
	}
	return out
}
