package optimizers_test

import (
	"maps"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/internal/golden"
	"github.com/hone-ml/hone/plugins/optimizers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

const (
	near32 = 5e-5
	near64 = 1e-6 // rates, momenta and decays are f32 numbers
)

// rate evaluates a schedule.
func rate(k *plugintest.Kit, m *graph.Module, state plugintest.Values, step, total, epoch int64, monitored float64) (float64, plugintest.Values) {
	u64 := func(n int64) *graph.Tensor {
		t := graph.NewTensor(graph.U64)
		t.SetInt(0, n)
		return t
	}
	args := plugintest.Values{"step": u64(step), "total": u64(total), "epoch": u64(epoch), "monitored": graph.ScalarOf(graph.F32, monitored)}
	maps.Copy(args, state)
	out := k.Run(m, "schedule", graph.Any, args)
	next := maps.Clone(out)
	delete(next, "rate")
	return out["rate"].Float(0), next
}

func TestOptimizersEqualKeras(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	type numbers struct {
		Trajectory map[string]golden.Tensor `json:"trajectory"`
		Slots      map[string]golden.Tensor `json:"slots"`
	}
	var doc struct {
		Problem struct {
			Params map[string]golden.Tensor `json:"params"`
			Grads  map[string]golden.Tensor `json:"grads"`
		} `json:"problem"`
		Cases []struct {
			Name     string            `json:"name"`
			Type     string            `json:"type"`
			Config   plugintest.Config `json:"config"`
			F32, F64 numbers
		} `json:"cases"`
	}
	golden.Load(t, "optimizers.json", &doc)
	hosts := []string{"clipnorm", "global_clipnorm", "clipvalue", "use_ema", "gradient_accumulation_steps"}
cases:
	for _, c := range doc.Cases {
		for _, name := range hosts { // what the host does, for any optimizer
			if _, ok := c.Config[name]; ok {
				continue cases
			}
		}
		t.Run(c.Name, func(t *testing.T) {
			config := maps.Clone(c.Config)
			_, decayKernelOnly := config["exclude_from_weight_decay"]
			delete(config, "exclude_from_weight_decay")
			var schedule *graph.Module
			if s, ok := config["learning_rate"].(map[string]any); ok {
				delete(config, "learning_rate")
				schedule = k.MustTrace(sdk.ScheduleKind, s["type"].(string), s["config"].(map[string]any))
			}
			for d, tolerance := range map[graph.DType]float64{graph.F32: near32, graph.F64: near64} {
				want := c.F32
				if d == graph.F64 {
					want = c.F64
				}
				for name, first := range doc.Problem.Params {
					param, grads, trajectory := first.As(d), doc.Problem.Grads[name], want.Trajectory[name]
					m := k.MustTrace(sdk.OptimizerKind, c.Type, config, param.Type())
					slots := k.Run(m, "init", graph.Any, plugintest.Values{"param": param})
					for step := range int(grads.Shape[0]) {
						counter := graph.NewTensor(graph.U64)
						counter.SetInt(0, int64(step))
						args := plugintest.Values{"param": param, "grad": grads.Row(step).As(d), "step": counter}
						maps.Copy(args, slots)
						if schedule != nil {
							lr, _ := rate(k, schedule, nil, int64(step), 0, 0, 0)
							args["hyper:learning_rate"] = graph.ScalarOf(graph.F32, lr)
						}
						if decayKernelOnly && name == "bias" {
							args["hyper:weight_decay"] = graph.ScalarOf(graph.F32, 0)
						}
						slots = k.Run(m, "update", graph.Any, args)
						param = slots["param"]
						delete(slots, "param")
						golden.Check(t, d.String()+" "+name+" after a step", param, trajectory.Row(step), tolerance, 0.1)
					}
					for slot, v := range slots {
						w, ok := want.Slots[name+"_"+slot]
						if !ok {
							w, ok = want.Slots[slot] // one for all parameters
						}
						if !ok {
							t.Errorf("Keras has no slot %s_%s", name, slot)
							continue
						}
						golden.Check(t, d.String()+" slot "+name+" "+slot, v, &w, tolerance*4, 0.1)
					}
				}
			}
		})
	}
}

func TestSchedulesEqualKeras(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	var doc struct {
		Steps []int64 `json:"steps"`
		Cases []struct {
			Name   string            `json:"name"`
			Type   string            `json:"type"`
			Config plugintest.Config `json:"config"`
			F64    []golden.Number   `json:"f64"`
		} `json:"cases"`
	}
	golden.Load(t, "schedules.json", &doc)
	for _, c := range doc.Cases {
		t.Run(c.Name, func(t *testing.T) {
			m := k.MustTrace(sdk.ScheduleKind, c.Type, c.Config)
			for i, step := range doc.Steps {
				got, _ := rate(k, m, nil, step, 0, 0, 0)
				if want := float64(c.F64[i]); !golden.Near(got, want, 2e-6, 1e-2) {
					t.Errorf("step %d: %.9g, wanted %.9g", step, got, want)
				}
			}
		})
	}
}
