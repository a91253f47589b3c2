package optimizers_test

import (
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/internal/golden"
	"github.com/hone-ml/hone/plugins/optimizers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

func TestSchedulesOverTheWholeTraining(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	for _, c := range []struct {
		typ    string
		config plugintest.Config
		want   func(step, total float64) float64
	}{
		{"cosine_decay", plugintest.Config{"initial_learning_rate": 0.2}, func(s, n float64) float64 {
			return 0.1 * (1 + math.Cos(math.Pi*min(s/n, 1)))
		}},
		{"linear_decay", plugintest.Config{"initial_learning_rate": 0.2, "end_learning_rate": 0.1}, func(s, n float64) float64 {
			return 0.2 - 0.1*min(s/n, 1)
		}},
		{"polynomial_decay", plugintest.Config{"initial_learning_rate": 0.2, "end_learning_rate": 0, "power": 2}, func(s, n float64) float64 {
			return 0.2 * math.Pow(1-min(s/n, 1), 2)
		}},
		{"cosine_decay", plugintest.Config{"initial_learning_rate": 0, "warmup_target": 0.2, "warmup_steps": 20}, func(s, n float64) float64 {
			if s < 20 {
				return 0.2 * s / 20
			}
			return 0.1 * (1 + math.Cos(math.Pi*min((s-20)/(n-20), 1)))
		}},
		{"warm_up", plugintest.Config{"steps": 20, "from": 0.05, "schedule": plugintest.Component{
			Ref: plugintest.Ref{Type: "cosine_decay"}, Config: plugintest.Config{"initial_learning_rate": 0.2}}}, func(s, n float64) float64 {
			if s < 20 {
				return 0.05 + 0.15*s/20
			}
			return 0.1 * (1 + math.Cos(math.Pi*min((s-20)/(n-20), 1)))
		}},
	} {
		m := k.MustTrace(sdk.ScheduleKind, c.typ, c.config)
		for _, step := range []int64{0, 1, 19, 20, 21, 100, 199, 200, 500} {
			if got, _ := rate(k, m, nil, step, 200, 0, 0); !golden.Near(got, c.want(float64(step), 200), 2e-6, 0.01) {
				t.Errorf("%s, step %d: %g, wanted %g", c.typ, step, got, c.want(float64(step), 200))
			}
		}
	}
}

func TestTableGivesEachEpochItsRate(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	m := k.MustTrace(sdk.ScheduleKind, "table", plugintest.Config{"rates": []float64{0.1, 0.01, 0.001}})
	for epoch, want := range []float64{0.1, 0.01, 0.001, 0.001, 0.001} {
		if got, _ := rate(k, m, nil, 7, 0, int64(epoch), 0); !golden.Near(got, want, 1e-7, 0) {
			t.Errorf("epoch %d: %g, wanted %g", epoch, got, want)
		}
	}
}

// plateau is Keras's ReduceLROnPlateau.on_epoch_end, line by line.
type plateau struct {
	rate, factor, minDelta, minRate, best float64
	patience, cooldown, wait, cooling     int
}

func (p *plateau) epochEnds(figure float64) {
	if p.cooling > 0 {
		p.cooling--
		p.wait = 0
	}
	if figure < p.best-p.minDelta {
		p.best, p.wait = figure, 0
	} else if p.cooling == 0 {
		p.wait++
		if p.wait >= p.patience && p.rate > p.minRate {
			p.rate = math.Max(p.rate*p.factor, p.minRate)
			p.cooling, p.wait = p.cooldown, 0
		}
	}
}

func TestPlateauFollowsKeras(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	figures := []float64{1, 0.9, 0.95, 0.91, 0.9, 0.899, 0.89995, 0.8, 0.8, 0.8, 0.81, 0.82, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6}
	for _, c := range []plateau{
		{factor: 0.5, patience: 2, minDelta: 1e-4},
		{factor: 0.5, patience: 2, minDelta: 1e-4, cooldown: 2},
		{factor: 0.1, patience: 0, minDelta: 0.05, minRate: 0.003},
		{factor: 0.1, patience: 1, cooldown: 3, minRate: 0.003},
	} {
		m := k.MustTrace(sdk.ScheduleKind, "plateau", plugintest.Config{
			"initial_learning_rate": 0.1, "factor": c.factor, "patience": c.patience, "min_delta": c.minDelta, "cooldown": c.cooldown, "min_lr": c.minRate})
		c.rate, c.best = 0.1, math.Inf(1)
		state := plugintest.Values{}
		for _, p := range m.Func("schedule", graph.Any).Params {
			if p.Role == graph.StateRole {
				state[p.Name] = k.Run(m, p.Decl.Initializer, graph.Any, nil)["value"]
			}
		}
		got, step := 0.0, int64(0)
		got, state = rate(k, m, state, step, 0, 0, math.NaN())
		for epoch, figure := range figures {
			if !golden.Near(got, c.rate, 1e-5, 0) {
				t.Fatalf("%+v, epoch %d: rate %g, wanted %g", c, epoch, got, c.rate)
			}
			c.epochEnds(figure)
			for range 2 { // the second update of an epoch changes nothing
				step++
				got, state = rate(k, m, state, step, 0, int64(epoch)+1, figure)
			}
		}
	}
}

func TestASchedulesMistakesNameTheArgument(t *testing.T) {
	k := plugintest.New(t, optimizers.Plugin())
	for _, c := range []struct {
		typ    string
		config plugintest.Config
		want   string
	}{
		{"piecewise_constant_decay", plugintest.Config{"boundaries": []int{5, 3}, "values": []float64{1, 2, 3}}, "boundaries"},
		{"piecewise_constant_decay", plugintest.Config{"boundaries": []int{5}, "values": []float64{1}}, "values"},
		{"cosine_decay", plugintest.Config{"initial_learning_rate": 0.1, "alpha": 2}, "alpha"},
		{"exponential_decay", plugintest.Config{"initial_learning_rate": 0.1, "decay_steps": 10}, "decay_rate"},
		{"warm_up", plugintest.Config{"steps": 5, "schedule": "adam"}, "schedule"},
	} {
		_, err := k.Trace(sdk.ScheduleKind, c.typ, c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: %v, wanted %q named", c.typ, c.config, err, c.want)
		}
	}
}
