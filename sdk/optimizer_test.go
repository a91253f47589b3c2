package sdk_test

import (
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// careful has every power: steps of unit global norm, sharpness-aware
// perturbation, an average of the parameters for evaluation.
type careful struct {
	LearningRate float64 `hone:"learning_rate,default=0.1,runtime"`
}

func (o *careful) Partial(_ *sdk.OptimizerBuilder, _, grad graph.Value) []graph.Value {
	return []graph.Value{grad.Square().Sum()}
}

func (o *careful) Finish(b *sdk.OptimizerBuilder, totals []graph.Value) {
	b.SetGlobal("norm", totals[0].Sqrt())
}

func (o *careful) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	next := param.Sub(grad.Div(b.Global("norm")).Mul(b.HyperLike("learning_rate", o.LearningRate)))
	b.SetSlot("average", b.SlotCopy("average").Add(next).Times(0.5))
	b.Slot("unused", 3)
	return next
}

func (o *careful) Perturb(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	return param.Add(grad.Div(b.Global("norm")).Times(0.05))
}

func (o *careful) EvalParams(b *sdk.OptimizerBuilder, _ graph.Value) graph.Value {
	return b.SlotCopy("average")
}

func optimizerKit(t *testing.T, o func() sdk.Optimizer) *plugintest.Kit {
	return plugintest.New(t, sdk.Plugin{Name: "test", Version: "1.0.0", Optimizers: sdk.Optimizers{"o": o}})
}

func floats(x ...float32) *graph.Tensor { return graph.Float32s(x, int64(len(x))) }

func TestAnOptimizersPowersAreTraced(t *testing.T) {
	k := optimizerKit(t, func() sdk.Optimizer { return &careful{} })
	m := k.MustTrace(sdk.OptimizerKind, "o", plugintest.Config{"learning_rate": 0.5}, graph.T(graph.F32, 2))
	param, grad := floats(1, 2), floats(3, 0)
	partial := k.Run(m, "partial", graph.Any, plugintest.Values{"param": param, "grad": grad})
	other := graph.ScalarOf(graph.F32, 16) // of another parameter
	total := k.Run(m, "combine", graph.Any, plugintest.Values{"total0": partial["total0"], "other0": other})
	norm := k.Run(m, "finish", graph.Any, total)["norm"]
	if norm.Float(0) != 5 {
		t.Fatalf("the norm is %v, wanted 5", norm.Float(0))
	}
	args := plugintest.Values{"param": param, "grad": grad, "norm": norm}
	slots := k.Run(m, "init", graph.Any, plugintest.Values{"param": param})
	if slots["average"].Float(1) != 2 || slots["unused"].Float(0) != 3 {
		t.Errorf("slots start at %v and %v", slots["average"].Float(1), slots["unused"].Float(0))
	}
	if got := k.Run(m, "perturb", graph.Any, args)["param"].Float(0); math.Abs(got-1.03) > 1e-6 {
		t.Errorf("perturbed to %v, wanted 1.03", got)
	}
	for name, v := range slots {
		args[name] = v
	}
	out := k.Run(m, "update", graph.Any, args)
	if got := out["param"].Float(0); math.Abs(got-0.7) > 1e-6 {
		t.Errorf("updated to %v, wanted 0.7", got)
	}
	if out["unused"].Float(1) != 3 {
		t.Errorf("a slot that is not set becomes %v", out["unused"].Float(1))
	}
	if got := k.Run(m, "eval_params", graph.Any, plugintest.Values{"param": param, "average": out["average"]})["param"].Float(0); math.Abs(got-0.85) > 1e-6 {
		t.Errorf("evaluated with %v, wanted 0.85", got)
	}
}

type optimizerFunc struct {
	f func(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value
}

func (o *optimizerFunc) Update(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value {
	return o.f(b, p, g)
}

func TestOptimizersThatDoNotFitAreRefused(t *testing.T) {
	for _, c := range []struct {
		want string
		f    func(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value
	}{
		{"the result must be f32[2]", func(_ *sdk.OptimizerBuilder, p, _ graph.Value) graph.Value { return p.Sum() }},
		{`no global "norm"`, func(b *sdk.OptimizerBuilder, p, _ graph.Value) graph.Value { return p.Mul(b.Global("norm")) }},
		{"was not declared", func(b *sdk.OptimizerBuilder, p, _ graph.Value) graph.Value { b.SetSlot("m", p); return p }},
		{"set twice", func(b *sdk.OptimizerBuilder, p, _ graph.Value) graph.Value {
			b.Slot("m", 0)
			b.SetSlot("m", p)
			b.SetSlot("m", p)
			return p
		}},
		{"cannot become f32[]", func(b *sdk.OptimizerBuilder, p, _ graph.Value) graph.Value {
			b.Slot("m", 0)
			b.SetSlot("m", p.Sum())
			return p
		}},
		{"outside of Finish", func(b *sdk.OptimizerBuilder, p, _ graph.Value) graph.Value { b.SetGlobal("g", p); return p }},
		{"no optimizer is given", func(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value {
			return b.Optimizer("inner", sdk.Component{}, p, g)
		}},
		{"is no optimizer", func(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value {
			return b.Optimizer("inner", sdk.Own(&extremes{}), p, g)
		}},
		{"two optimizers are applied", func(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value {
			q := b.Optimizer("inner", sdk.Own(&careful{}), p, g)
			return b.Optimizer("inner", sdk.Own(&careful{}), q, g)
		}},
		{"both have the power", func(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value {
			q := b.Optimizer("one", sdk.Own(&careful{}), p, g)
			return b.Optimizer("two", sdk.Own(&careful{}), q, g)
		}},
		{"scope of an optimizer", func(b *sdk.OptimizerBuilder, p, g graph.Value) graph.Value {
			return b.Optimizer("In", sdk.Own(&careful{}), p, g)
		}},
		{"slot is called", func(b *sdk.OptimizerBuilder, p, _ graph.Value) graph.Value { return b.Slot("Bad", 0) }},
	} {
		k := optimizerKit(t, func() sdk.Optimizer { return &optimizerFunc{c.f} })
		if _, err := k.Trace(sdk.OptimizerKind, "o", nil, graph.T(graph.F32, 2)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, wanted %q", err, c.want)
		}
	}
}

// around contains a careful optimizer of its own and has globals beside its.
type around struct{ rate float64 }

func (o *around) Partial(_ *sdk.OptimizerBuilder, param, _ graph.Value) []graph.Value {
	return []graph.Value{param.Sum(), param.Reduce(graph.Max)}
}

func (o *around) Combine(_ *sdk.OptimizerBuilder, a, c []graph.Value) []graph.Value {
	return []graph.Value{a[0].Add(c[0]), a[1].Max(c[1])}
}

func (o *around) Finish(b *sdk.OptimizerBuilder, totals []graph.Value) {
	b.SetGlobal("spread", totals[1].Sub(totals[0]))
}

func (o *around) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	b.SetSlot("seen", b.SlotScalar("seen", 0).Add(b.Global("spread")))
	return b.Optimizer("inner", sdk.Own(&careful{LearningRate: o.rate}), param, grad)
}

func TestAnOptimizerContainsAnother(t *testing.T) {
	k := optimizerKit(t, func() sdk.Optimizer { return &around{rate: 0.5} })
	m := k.MustTrace(sdk.OptimizerKind, "o", nil, graph.T(graph.F32, 2))
	args := plugintest.Values{"param": floats(1, 2), "grad": floats(3, 0)}
	one := k.Run(m, "partial", graph.Any, args)
	two := k.Run(m, "combine", graph.Any, plugintest.Values{
		"total0": one["total0"], "total1": one["total1"], "total2": one["total2"],
		"other0": graph.ScalarOf(graph.F32, 4), "other1": graph.ScalarOf(graph.F32, 9), "other2": graph.ScalarOf(graph.F32, 16),
	})
	globals := k.Run(m, "finish", graph.Any, two)
	if s, n := globals["spread"].Float(0), globals["inner.norm"].Float(0); s != 9-7 || n != 5 {
		t.Errorf("the globals are %v and %v, wanted 2 and 5", s, n)
	}
	for name, v := range globals {
		args[name] = v
	}
	for name, v := range k.Run(m, "init", graph.Any, args) {
		args[name] = v
	}
	// The inner optimizer's powers are the outer one's.
	if got := k.Run(m, "perturb", graph.Any, args)["param"].Float(0); math.Abs(got-1.03) > 1e-6 {
		t.Errorf("perturbed to %v, wanted 1.03", got)
	}
	out := k.Run(m, "update", graph.Any, args)
	if got := out["param"].Float(0); math.Abs(got-0.7) > 1e-6 || out["seen"].Float(0) != 2 {
		t.Errorf("updated to %v having seen %v, wanted 0.7 and 2", got, out["seen"].Float(0))
	}
	if got := k.Run(m, "eval_params", graph.Any, out)["param"].Float(0); math.Abs(got-0.85) > 1e-6 {
		t.Errorf("evaluated with %v, wanted 0.85", got)
	}
}

// extremes is a metric of the largest and smallest output.
type extremes struct{}

func (*extremes) Update(b *sdk.MetricBuilder, output, _, _ graph.Value) {
	b.Max("largest", output.Reduce(graph.Max))
	b.Min("smallest", output.Reduce(graph.Min))
}

func (*extremes) Result(b *sdk.MetricBuilder) graph.Value {
	return b.Total("largest").Sub(b.Total("smallest"))
}

func TestAccumulatorsStartAndMergeByTheirKind(t *testing.T) {
	k := plugintest.New(t, sdk.Plugin{Name: "test", Version: "1.0.0", Metrics: sdk.Metrics{"m": func() sdk.Metric { return &extremes{} }}})
	one := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch}}
	m := k.MustTrace(sdk.MetricKind, "m", nil, one, one)
	parts := []plugintest.Values{}
	for _, out := range []*graph.Tensor{floats(1, 7), floats(-2, 3, 4)} {
		state := k.Run(m, "init", graph.Any, nil)
		state["output"], state["target"], state["weight"] = out, out, out
		parts = append(parts, k.Run(m, "update", graph.Any, state))
	}
	args := plugintest.Values{}
	for name := range parts[0] {
		args["state:"+name], args["input:"+name] = parts[0][name], parts[1][name]
	}
	if got := k.Run(m, "result", graph.Any, k.Run(m, "merge", graph.Any, args))["value"].Float(0); got != 9 {
		t.Errorf("the range is %v, wanted 9", got)
	}
}
