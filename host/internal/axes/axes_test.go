package axes_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/axes"
	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/module"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/plugins/builtin"
	"github.com/hone-ml/hone/sdk/graph"
)

// lab assembles models of the built-in plugins, served in this process.
type lab struct {
	testing.TB
	host      *plugin.Host
	inputs    map[string]graph.Type
	target    graph.Type
	optimizer string // HCL; Adam where empty
	step      train.StepConfig
	ema       float64
}

func newLab(t testing.TB, image ...int64) *lab {
	t.Helper()
	b := builtin.Main()
	b.SelfExec = false // served in this process
	b.Plugins = append(slices.Clone(b.Plugins), oddPlugin())
	h, err := plugin.New(plugin.Options{Builtin: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	shape := append(graph.Shape{graph.Batch}, graph.ShapeOf(image...)...)
	return &lab{TB: t, host: h, inputs: map[string]graph.Type{"image": {DType: graph.F32, Shape: shape}}, target: graph.Type{DType: graph.I32, Shape: graph.Shape{graph.Batch}}}
}

// program assembles the layers of a model, with an optimizer and a loss over classes.
func (l *lab) program(layers string) *train.Program {
	l.Helper()
	optimizer := l.optimizer
	if optimizer == "" {
		optimizer = `optimizer "adam" {
    learning_rate = 0.01
  }`
	}
	text := fmt.Sprintf(`
data "digits" "digits" {}
model "net" {
  input "image" {}
  %s
}
train {
  epochs = 1
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  %s
}
`, layers, optimizer)
	s, diags := spec.Parse(".", []spec.Source{{Name: "test.hone.hcl", Text: []byte(text)}}, spec.Options{})
	if diags.HasErrors() {
		l.Fatal(diags.Err(), text)
	}
	a, ds := module.Assemble(context.Background(), l.host, module.Request{
		Model: s.TheModel(), Train: s.Train, Inputs: l.inputs, Targets: map[string]graph.Type{"label": l.target}, TargetOrder: []string{"label"},
	})
	if ds.HasErrors() {
		l.Fatal(ds.Err(), text)
	}
	a.Program.EMA = l.ema
	return a.Program
}

// some makes a tensor of numbers that look random, of a name.
func some(name string, d graph.DType, shape ...int64) *graph.Tensor {
	t := graph.NewTensor(d, shape...)
	key := graph.DeriveKey(7, name, 0)
	for i := range t.Len() {
		word := graph.Philox4x32(graph.RandomCounter(uint32(i), 0, 0), graph.SplitKey(key))[0]
		t.SetFloat(i, float64(word)/(1<<31)-1)
		if strings.HasSuffix(name, "variance") {
			t.SetFloat(i, float64(word)/(1<<32)+0.5)
		}
	}
	return t
}

// values gives every parameter and state of a program numbers.
func values(p *train.Program) []train.Value {
	var out []train.Value
	for _, q := range p.Params() {
		if q.Decl.Alias != "" {
			continue
		}
		shape, _ := q.Type.Shape.Const()
		out = append(out, train.Value{Role: q.Role, Name: q.Name, Tensor: some(q.Name, q.Type.DType, shape...)})
	}
	return out
}

func find(vals []train.Value, role graph.Role, name string) *graph.Tensor {
	for _, v := range vals {
		if v.Role == role && v.Name == name {
			return v.Tensor
		}
	}
	return nil
}

// predict runs the model on some images.
func (l *lab) predict(p *train.Program, vals []train.Value, mode graph.Mode) []*graph.Tensor {
	l.Helper()
	const batch = 3
	out, err := train.Evaluate(context.Background(), reference.New(), p.Module, p.Model, mode, map[string]int64{graph.BatchSymbol: batch},
		func(q graph.Param) (*graph.Tensor, error) {
			shape, err := q.Type.Shape.Eval(map[string]int64{graph.BatchSymbol: batch})
			if err != nil {
				return nil, err
			}
			switch q.Role {
			case graph.ParamRole, graph.StateRole:
				name := q.Name
				if q.Decl.Alias != "" {
					name = q.Decl.Alias
				}
				if v := find(vals, q.Role, name); v != nil {
					return v, nil
				}
				return nil, fmt.Errorf("there is no %v %q", q.Role, q.Name)
			case graph.HyperRole:
				return graph.ScalarOf(graph.F32, q.Decl.Default), nil
			case graph.Input:
				return some(q.Name, q.Type.DType, shape...), nil
			}
			return graph.NewTensor(q.Type.DType, shape...), nil
		})
	if err != nil {
		l.Fatal(err)
	}
	return out
}

// digits returns examples to train on.
func (l *lab) digits() *train.Arrays {
	const n = 21
	shape, _ := l.inputs["image"].Shape[1:].Const()
	x := some("examples", graph.F32, append([]int64{n}, shape...)...)
	y := graph.NewTensor(graph.I32, n)
	for i := range n {
		y.SetInt(i, int64(i%3))
	}
	view := func(t *graph.Tensor) kernels.View { return kernels.View{DType: t.DType, Shape: t.Shape, Data: t.Data} }
	return &train.Arrays{Examples: n, Fields: map[string]kernels.View{"image": view(x), "target:label": view(y)}}
}

// trained goes on from the values for an epoch of three steps, the last one a
// remainder, and returns all that a checkpoint holds.
func (l *lab) trained(p *train.Program, vals []train.Value) []train.Value {
	l.Helper()
	ctx := context.Background()
	ref := reference.New()
	t, err := train.New(ctx, p, train.Config{Backend: ref, Reference: ref, Seed: 3, BatchSize: 8, Step: l.step, Permutation: data.Permutation})
	if err != nil {
		l.Fatal(err)
	}
	defer t.Close()
	if err := t.SetData(l.digits()); err != nil {
		l.Fatal(err)
	}
	if err := t.Restore(vals); err != nil {
		l.Fatal(err)
	}
	if err := t.BeginEpoch(ctx, train.Position{}); err != nil {
		l.Fatal(err)
	}
	if _, err := t.RunEpoch(ctx, train.Position{}, 0, func(train.Position) error { return nil }); err != nil {
		l.Fatal(err)
	}
	out, err := t.Snapshot(ctx)
	if err != nil {
		l.Fatal(err)
	}
	return out
}

func same(t testing.TB, what string, a, b []*graph.Tensor) {
	t.Helper()
	for i := range a {
		if !slices.Equal(a[i].Shape, b[i].Shape) || !bytes.Equal(a[i].Data, b[i].Data) {
			t.Errorf("%s: result %d is %v%v and %v%v, or differs in its bits", what, i, a[i].DType, a[i].Shape, b[i].DType, b[i].Shape)
		}
	}
}

// equals checks that a program with values is what the plugins build: the same
// predictions, and the same bits after training on.
func (l *lab) equals(got *train.Program, vals []train.Value, layers string) {
	l.Helper()
	want := l.program(layers)
	for _, mode := range []graph.Mode{graph.Infer, graph.Train} {
		same(l, mode.String(), l.predict(got, vals, mode), l.predict(want, vals, mode))
	}
	x, y := l.trained(got, vals), l.trained(want, vals)
	if len(x) != len(y) {
		l.Errorf("training on gives %d values and %d", len(x), len(y))
	}
	for _, v := range x {
		w := find(y, v.Role, v.Name)
		if w == nil || !bytes.Equal(v.Tensor.Data, w.Data) {
			l.Errorf("after training on, %v %q differs", v.Role, v.Name)
		}
	}
}

const residual = `
  layer "conv2d" "stem" {
    filters = 5
    kernel_size = 3
    padding = "same"
    activation = "relu"
  }
  layer "batch_norm" "norm" {}
  layer "conv2d" "branch" {
    filters = 5
    kernel_size = 3
    padding = "same"
    kernel_regularizer "l2" {}
    kernel_constraint "max_norm" {
      axis = [0, 1, 2]
    }
  }
  layer "add" "sum" {
    from = [layer.norm, layer.branch]
  }
  layer "max_pooling2d" "pool" {}
  layer "flatten" "flat" {}
  layer "layer_norm" "even" {}
  layer "dense" "logits" {
    units = 3
  }
`

func TestAChannelOfAResidualNetwork(t *testing.T) {
	l := newLab(t, 6, 6, 2)
	p := l.program(residual)
	a, err := axes.Follow(p)
	if err != nil {
		t.Fatal(err)
	}
	groups := a.Groups()
	if len(groups) != 1 || groups[0].Size != 5 {
		t.Fatalf("the groups are %v", groups)
	}
	// A group is one of the program, not of what has followed it.
	b, err := axes.Follow(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, left, err := b.Remove(values(p), groups[0].Channel(3)); err != nil || find(left, graph.ParamRole, "stem.bias").Shape[0] != 4 {
		t.Errorf("removing a channel of the group that another Follow found: %v", err)
	}
	other, err := axes.Follow(l.program(strings.ReplaceAll(residual, "filters = 5", "filters = 4")))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Remove(nil, groups[0].Channel(3)); err == nil || !strings.Contains(err.Error(), "another model's") {
		t.Errorf("a group of another model: %v", err)
	}
	vals := l.trained(p, values(p))
	smaller, left, err := a.Remove(vals, axes.Channel("branch.kernel", 3, 1, 4))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int64{"stem.kernel": {3, 3, 2, 3}, "branch.kernel": {3, 3, 3, 3}, "norm.gamma": {3}, "even.gamma": {27}, "logits.kernel": {27, 3}} {
		if got := find(left, graph.ParamRole, name); !slices.Equal(got.Shape, want) {
			t.Errorf("%q has the shape %v, wanted %v", name, got.Shape, want)
		}
	}
	l.equals(smaller, left, strings.ReplaceAll(residual, "filters = 5", "filters = 3"))
}

// TestWhatAParameterIsTrainedWith shrinks what optimizers, averages, accumulation
// and frozen scopes keep beside the parameters.
func TestWhatAParameterIsTrainedWith(t *testing.T) {
	for name, optimizer := range map[string]string{
		"sgd": `optimizer "sgd" {
    momentum = 0.9
    nesterov = true
  }`,
		"lamb": `optimizer "lamb" {
    weight_decay = 0.01
  }`,
		"sam": `optimizer "sam" {
    rho = 0.1
    base "adamw" {}
  }`,
		"lookahead": `optimizer "lookahead" {
    base "rmsprop" {}
  }`,
		"frozen": "",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 6, 6, 2)
			l.optimizer, l.ema, l.step.Accumulate, l.step.ClipNorm = optimizer, 0.9, 2, 1
			if name == "frozen" {
				l.step.Frozen = []string{"norm", "stem"}
			}
			p := l.program(residual)
			a, err := axes.Follow(p)
			if err != nil {
				t.Fatal(err)
			}
			vals := l.trained(p, values(p))
			smaller, left, err := a.Remove(vals, axes.Channel("norm.beta", 0, 0, 2))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range left {
				if v.Name == "branch.kernel:ema" || v.Name == "branch.kernel:gradient" {
					if !slices.Equal(v.Tensor.Shape, []int64{3, 3, 3, 3}) {
						t.Errorf("%q is %v", v.Name, v.Tensor.Type())
					}
				}
			}
			l.equals(smaller, left, strings.ReplaceAll(residual, "filters = 5", "filters = 3"))
		})
	}
}
