package layers_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/internal/golden"
	"github.com/hone-ml/hone/plugins/layers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// How near the numbers must be, relative to the largest of the tensor or 1. The
// f32 numbers of Keras carry its own rounding.
const (
	near32 = 2e-5
	near64 = 1e-11
)

type layerCase struct {
	Name   string                   `json:"name"`
	Type   string                   `json:"type"`
	Config map[string]any           `json:"config"`
	Params map[string]golden.Tensor `json:"params"`
	State  map[string]golden.Tensor `json:"state"`
	Calls  []struct {
		Mode      string          `json:"mode"`
		Inputs    []golden.Tensor `json:"inputs"`
		Cotangent golden.Tensor   `json:"cotangent"`
		F32       layerNumbers    `json:"f32"`
		F64       layerNumbers    `json:"f64"`
	} `json:"calls"`
}

type layerNumbers struct {
	Output     golden.Tensor            `json:"output"`
	GradInputs []*golden.Tensor         `json:"grad_inputs"`
	GradParams map[string]golden.Tensor `json:"grad_params"`
	StateAfter map[string]golden.Tensor `json:"state_after"`
}

func TestLayersEqualKeras(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	for _, file := range []string{"layers_core.json", "layers_merging.json", "layers_convolution.json", "layers_pooling.json", "layers_normalization.json", "layers_sequence.json"} {
		var doc struct {
			Cases []layerCase `json:"cases"`
		}
		golden.Load(t, file, &doc)
		for _, c := range doc.Cases {
			t.Run(c.Name, func(t *testing.T) {
				c.run(t, k, graph.F32, near32)
				if c.Type != "embedding" { // whose table is f32 whatever the input
					c.run(t, k, graph.F64, near64)
				}
			})
		}
	}
}

func (c layerCase) run(t *testing.T, k *plugintest.Kit, d graph.DType, tolerance float64) {
	config := plugintest.Config(maps.Clone(c.Config))
	frozen := config["trainable"] == false // the host's argument, not the layer's
	delete(config, "trainable")
	if rows, ok := config["padding"].([]any); ok && len(rows) == 2 {
		if _, nested := rows[0].([]any); nested { // lists of lists are flat here
			config["padding"] = slices.Concat(rows[0].([]any), rows[1].([]any))
		}
	}
	state := plugintest.Values{}
	for name, s := range c.State {
		state[name] = s.As(d)
	}
	for n, call := range c.Calls {
		args := plugintest.Values{}
		maps.Copy(args, state)
		var types []graph.Type
		var wrt []string
		for i, in := range call.Inputs {
			v := in.Input(d)
			args[sdk.InputName(i)] = v
			types = append(types, golden.Batch(v))
			if v.DType.IsFloat() {
				wrt = append(wrt, sdk.InputName(i))
			}
		}
		for name, p := range c.Params {
			args[name] = p.As(d)
			wrt = append(wrt, name)
		}
		m := k.MustTrace(sdk.LayerKind, c.Type, config, types...)
		mode := map[string]graph.Mode{"train": graph.Train, "infer": graph.Infer}[call.Mode]
		if mode == graph.Any || frozen {
			mode = graph.Infer
		}
		want := call.F32
		if d == graph.F64 {
			want = call.F64
		}
		what := func(s string) string { return fmt.Sprintf("%v, call %d: %s", d, n, s) }
		out := k.Run(m, "layer", mode, args)
		golden.Check(t, what("output"), out["y"], &want.Output, tolerance, 1)
		for name, s := range want.StateAfter {
			if out[name] != nil {
				state[name] = out[name]
			}
			golden.Check(t, what(name+" after"), state[name], &s, tolerance, 1)
		}
		grads := k.Gradient(m, "layer", mode, args, plugintest.Values{"y": call.Cotangent.As(d)}, wrt...)
		for i, g := range want.GradInputs {
			if g != nil {
				golden.Check(t, what("gradient of "+sdk.InputName(i)), grads[sdk.InputName(i)], g, tolerance, 1)
			}
		}
		for name, g := range want.GradParams {
			golden.Check(t, what("gradient of "+name), grads[name], &g, tolerance, 1)
		}
	}
}

func TestActivationsEqualKeras(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	var doc struct {
		Cases []struct {
			Name      string            `json:"name"`
			Type      string            `json:"type"`
			Config    plugintest.Config `json:"config"`
			Input     golden.Tensor     `json:"input"`
			Cotangent golden.Tensor     `json:"cotangent"`
			F32, F64  struct {
				Output golden.Tensor `json:"output"`
				Grad   golden.Tensor `json:"grad"`
			}
		} `json:"cases"`
	}
	golden.Load(t, "activations.json", &doc)
	for _, c := range doc.Cases {
		t.Run(c.Name, func(t *testing.T) {
			for d, tolerance := range map[graph.DType]float64{graph.F32: near32, graph.F64: near64} {
				x := c.Input.As(d)
				typ := golden.Batch(x)
				if c.Type == "softmax" || c.Type == "log_softmax" {
					typ = x.Type() // one axis may be the one summed over
				}
				m := k.MustTrace(sdk.LayerKind, c.Type, c.Config, typ)
				want := c.F32
				if d == graph.F64 {
					want = c.F64
				}
				args := plugintest.Values{"x": x}
				golden.Check(t, d.String()+" output", k.Run(m, "layer", graph.Infer, args)["y"], &want.Output, tolerance, 1)
				grad := k.Gradient(m, "layer", graph.Infer, args, plugintest.Values{"y": c.Cotangent.As(d)}, "x")["x"]
				golden.Check(t, d.String()+" gradient", grad, &want.Grad, tolerance, 1)
			}
		})
	}
}

func TestWeightsEqualKeras(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	type numbers struct {
		Penalty golden.Number  `json:"penalty"`
		Grad    *golden.Tensor `json:"grad"`
		Output  *golden.Tensor `json:"output"`
	}
	type weightCase struct {
		Name     string            `json:"name"`
		Type     string            `json:"type"`
		Config   plugintest.Config `json:"config"`
		Weights  golden.Tensor     `json:"weights"`
		F32, F64 numbers
	}
	for file, kind := range map[string]sdk.Kind{"regularizers.json": sdk.RegularizerKind, "constraints.json": sdk.ConstraintKind} {
		var doc struct {
			Cases []weightCase `json:"cases"`
		}
		golden.Load(t, file, &doc)
		for _, c := range doc.Cases {
			t.Run(c.Name, func(t *testing.T) {
				typ := c.Type
				if typ == "l1l2" {
					typ = "l1_l2"
				}
				for d, tolerance := range map[graph.DType]float64{graph.F32: near32, graph.F64: near64} {
					w := c.Weights.As(d)
					m := k.MustTrace(kind, typ, c.Config, w.Type())
					want := c.F32
					if d == graph.F64 {
						want = c.F64
					}
					args := plugintest.Values{"value": w}
					if kind == sdk.ConstraintKind {
						golden.Check(t, d.String()+" output", k.Run(m, "constrain", graph.Any, args)["value"], want.Output, tolerance, 1)
						continue
					}
					if got := k.Run(m, "penalty", graph.Any, args)["penalty"].Float(0); !golden.Near(got, float64(want.Penalty), tolerance, 1) {
						t.Errorf("%v penalty %v, wanted %v", d, got, want.Penalty)
					}
					one := graph.ScalarOf(d, 1)
					golden.Check(t, d.String()+" gradient", k.Gradient(m, "penalty", graph.Any, args, plugintest.Values{"penalty": one}, "value")["value"], want.Grad, tolerance, 1)
				}
			})
		}
	}
}
