package optimizers_test

import (
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/optimizers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

func scalar(n int64) *graph.Tensor {
	t := graph.NewTensor(graph.U64)
	t.SetInt(0, n)
	return t
}

// vector is a tensor of f64, in which the arithmetic below is exact enough to
// be compared at 1e-6: hypers are f32 numbers.
func vector(x ...float64) *graph.Tensor {
	t := graph.NewTensor(graph.F64, int64(len(x)))
	for i, v := range x {
		t.SetFloat(i, v)
	}
	return t
}

func near(t *testing.T, what string, got *graph.Tensor, want ...float64) {
	t.Helper()
	for i, w := range want {
		if g := got.Float(i); math.Abs(g-w) > 1e-6*math.Max(1, math.Abs(w)) {
			t.Errorf("%s[%d] is %.9g, wanted %.9g", what, i, g, w)
		}
	}
}

func TestSAMGoesToTheWorstPointNearby(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	base := plugintest.Component{Ref: plugintest.Ref{Type: "sgd"}, Config: plugintest.Config{"learning_rate": 0.25, "momentum": 0.5}}
	for _, c := range []struct {
		adaptive bool
		norm     float64
		want     [2]float64
	}{
		{false, 5, [2]float64{2 + 0.5*3/5, -1 + 0.5*4/5}},
		{true, math.Sqrt(36 + 16), [2]float64{2 + 0.5*4*3/math.Sqrt(52), -1 + 0.5*4/math.Sqrt(52)}},
	} {
		m := k.MustTrace(sdk.OptimizerKind, "sam", plugintest.Config{"base": base, "rho": 0.5, "adaptive": c.adaptive}, graph.T(graph.F64, 2))
		args := plugintest.Values{"param": vector(2, -1), "grad": vector(3, 4)}
		total := k.Run(m, "partial", graph.Any, args)["total0"]
		norm := k.Run(m, "finish", graph.Any, plugintest.Values{"total0": total})["norm"]
		near(t, "norm", norm, c.norm)
		args["norm"] = norm
		near(t, "perturbed", k.Run(m, "perturb", graph.Any, args)["param"], c.want[:]...)

		// The step is the other optimizer's, whose slots start under its scope.
		slots := k.Run(m, "init", graph.Any, args)
		near(t, "momentum at first", slots["base.momentum"], 0, 0)
		args["base.momentum"] = vector(1, 0)
		out := k.Run(m, "update", graph.Any, args)
		near(t, "momentum", out["base.momentum"], 0.5-0.75, -1)
		near(t, "parameter", out["param"], 2-0.25, -2)
	}
}

func TestLookaheadFollowsSlowly(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	base := plugintest.Component{Ref: plugintest.Ref{Type: "sgd"}, Config: plugintest.Config{"learning_rate": 0.5}}
	m := k.MustTrace(sdk.OptimizerKind, "lookahead", plugintest.Config{"base": base, "period": 2, "alpha": 0.25}, graph.T(graph.F64, 1))
	args := plugintest.Values{"param": vector(1)}
	maps.Copy(args, k.Run(m, "init", graph.Any, args))
	slow, fast := 1.0, 1.0
	for step, g := range []float64{1, -2, 4, 0.5, 3} {
		args["grad"], args["step"] = vector(g), scalar(int64(step))
		maps.Copy(args, k.Run(m, "update", graph.Any, args))
		fast -= 0.5 * g
		if step%2 == 1 {
			slow += 0.25 * (fast - slow)
			fast = slow
		}
		near(t, "fast", args["param"], fast)
		near(t, "slow", k.Run(m, "eval_params", graph.Any, args)["param"], slow)
	}
}

// An optimizer around another has the other's powers: lookahead around sam
// perturbs, and its globals and slots stand one scope deeper.
func TestPowersReachThroughAWrapper(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	sam := plugintest.Component{Ref: plugintest.Ref{Type: "sam"}, Config: plugintest.Config{
		"rho": 1.0, "base": plugintest.Component{Ref: plugintest.Ref{Type: "sgd"}, Config: plugintest.Config{"momentum": 0.5}},
	}}
	m := k.MustTrace(sdk.OptimizerKind, "lookahead", plugintest.Config{"base": sam}, graph.T(graph.F64, 2))
	args := plugintest.Values{"param": vector(0, 0), "grad": vector(3, 4)}
	out := k.Run(m, "finish", graph.Any, k.Run(m, "partial", graph.Any, args))
	near(t, "norm", out["base.norm"], 5)
	args["base.norm"] = out["base.norm"]
	near(t, "perturbed", k.Run(m, "perturb", graph.Any, args)["param"], 0.6, 0.8)
	if slots := k.Run(m, "init", graph.Any, args); slots["base.base.momentum"] == nil || slots["slow"] == nil {
		t.Errorf("the slots are %v", slots)
	}

	// Two that perturb, or average, cannot be one.
	_, err := k.Trace(sdk.OptimizerKind, "sam", plugintest.Config{"base": sam}, graph.T(graph.F64, 2))
	if err == nil || !strings.Contains(err.Error(), "both have the power perturb") {
		t.Errorf("got %v", err)
	}
}
