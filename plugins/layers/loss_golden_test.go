package layers_test

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/internal/golden"
	"github.com/hone-ml/hone/plugins/layers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// perExample averages what Keras gives per element of further axes.
func perExample(g *golden.Tensor) *golden.Tensor {
	out := &golden.Tensor{Shape: g.Shape[:1], DType: g.DType}
	n := len(g.Data) / int(g.Shape[0])
	for i := range int(g.Shape[0]) {
		sum := 0.0
		for _, x := range g.Data[i*n : (i+1)*n] {
			sum += float64(x)
		}
		out.Data = append(out.Data, golden.Number(sum/float64(n)))
	}
	return out
}

func TestLossesEqualKeras(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	var doc struct {
		Cases []struct {
			Name      string            `json:"name"`
			Type      string            `json:"type"`
			Config    plugintest.Config `json:"config"`
			Target    golden.Tensor     `json:"y_true"`
			Output    golden.Tensor     `json:"y_pred"`
			After     string            `json:"after"`
			Cotangent golden.Tensor     `json:"cotangent"`
			F32, F64  struct {
				PerExample golden.Tensor `json:"per_example"`
				Grad       golden.Tensor `json:"grad"`
			}
		} `json:"cases"`
	}
	golden.Load(t, "losses.json", &doc)
	for _, c := range doc.Cases {
		t.Run(c.Name, func(t *testing.T) {
			config := c.Config
			if c.After != "" { // the host takes what comes before the activation, as Keras does
				config = plugintest.Config{"from_logits": true}
				maps.Copy(config, c.Config)
			}
			for d, tolerance := range map[graph.DType]float64{graph.F32: near32, graph.F64: near64} {
				output, target := c.Output.As(d), c.Target.Input(d)
				m := k.MustTrace(sdk.LossKind, c.Type, config, golden.Batch(output), golden.Batch(target))
				want := c.F32
				if d == graph.F64 {
					want = c.F64
				}
				args := plugintest.Values{"output": output, "target": target}
				got := k.Run(m, "loss", graph.Any, args)["loss"]
				golden.Check(t, d.String()+" loss", got, perExample(&want.PerExample), tolerance, 1)
				if len(want.PerExample.Shape) > 1 {
					continue // the cotangents are those of elements
				}
				if strings.Contains(c.Name, "soft_targets") {
					tolerance = max(tolerance, 1e-7) // TensorFlow takes the targets' sum for 1, which it is to f32
				}
				grad := k.Gradient(m, "loss", graph.Any, args, plugintest.Values{"loss": c.Cotangent.As(d)}, "output")["output"]
				golden.Check(t, d.String()+" gradient", grad, &want.Grad, tolerance, 1)
			}
		})
	}
}

func TestMetricsEqualKerasAndScikitLearn(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	var doc struct {
		Cases []struct {
			Name    string            `json:"name"`
			Type    string            `json:"type"`
			Config  plugintest.Config `json:"config"`
			Batches []struct {
				Target golden.Tensor  `json:"y_true"`
				Output golden.Tensor  `json:"y_pred"`
				Weight *golden.Tensor `json:"sample_weight"`
			} `json:"batches"`
			Truth *golden.Number `json:"truth"`
			Keras golden.Number  `json:"keras"`
		} `json:"cases"`
	}
	golden.Load(t, "metrics.json", &doc)
	for _, c := range doc.Cases {
		t.Run(c.Name, func(t *testing.T) {
			var whole plugintest.Values
			states := make([]plugintest.Values, 2) // two parts, merged in the end
			var m *graph.Module
			for i, b := range c.Batches {
				args := plugintest.Values{"output": b.Output.As(graph.F32), "target": b.Target.Input(graph.F32)}
				n := args["output"].Shape[0]
				if b.Weight != nil {
					args["weight"] = b.Weight.As(graph.F32)
				} else {
					args["weight"] = graph.NewTensor(graph.F32, n)
					for j := range int(n) {
						args["weight"].SetFloat(j, 1)
					}
				}
				m = k.MustTrace(sdk.MetricKind, c.Type, c.Config, golden.Batch(args["output"]), golden.Batch(args["target"]))
				state := &states[i*2/len(c.Batches)]
				if *state == nil {
					*state = k.Run(m, "init", graph.Any, nil)
				}
				whole = join(whole, args)
				for name, v := range *state {
					args[name] = v
				}
				*state = k.Run(m, "update", graph.Any, args)
			}
			got := k.Run(m, "result", graph.Any, merged(k, m, states))["value"].Float(0)
			tolerance := 1e-12
			if c.Type == "auc" {
				exact := k.Run(m, "exact", graph.Any, whole)["value"].Float(0)
				if c.Truth != nil && !golden.Near(exact, float64(*c.Truth), tolerance, 1) {
					t.Errorf("exact: %.12g, wanted %.12g", exact, float64(*c.Truth))
				}
				if !golden.Near(got, exact, 2e-3, 1) {
					t.Errorf("by bins: %g, exactly %g", got, exact)
				}
				return
			}
			want := float64(c.Keras)
			if c.Truth != nil {
				want = float64(*c.Truth)
			} else {
				tolerance = 1e-6
			}
			if !golden.Near(got, want, max(tolerance, 2e-7*boolTo(c.Type == "root_mean_squared_error" || c.Type == "mean_squared_error" || c.Type == "mean_absolute_error")), 1) {
				t.Errorf("got %.12g, wanted %.12g", got, want)
			}
		})
	}
}

func boolTo(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// join appends the rows of values to those gathered so far.
func join(to, from plugintest.Values) plugintest.Values {
	out := plugintest.Values{}
	for name, v := range from {
		j := &graph.Tensor{DType: v.DType, Shape: append([]int64(nil), v.Shape...), Data: v.Data}
		if old := to[name]; old != nil {
			j.Shape[0] += old.Shape[0]
			j.Data = append(append([]byte(nil), old.Data...), v.Data...)
		}
		out[name] = j
	}
	return out
}

func TestInitializersHaveKerasMoments(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	var doc struct {
		Cases []struct {
			Name   string  `json:"name"`
			Type   string  `json:"type"`
			Shape  []int64 `json:"shape"`
			Stddev float64 `json:"stddev"`
			Limit  float64 `json:"limit"`
		} `json:"cases"`
	}
	golden.Load(t, "initializers.json", &doc)
	for _, c := range doc.Cases {
		t.Run(c.Name, func(t *testing.T) {
			m := k.MustTrace(sdk.InitializerKind, c.Type, nil, graph.T(graph.F32, c.Shape...))
			v := k.Run(m, "init", graph.Any, nil)["value"]
			if fmt.Sprint(v.Shape) != fmt.Sprint(c.Shape) {
				t.Fatalf("shape %v, wanted %v", v.Shape, c.Shape)
			}
			var sum, squares, largest float64
			n := float64(v.Len())
			for i := range v.Len() {
				x := v.Float(i)
				sum += x
				squares += x * x
				largest = max(largest, math.Abs(x))
			}
			mean := sum / n
			stddev := math.Sqrt(squares/n - mean*mean)
			// The standard error of a mean is stddev/sqrt(n); that of a standard
			// deviation is smaller still for these flat distributions.
			if bound := 5 * c.Stddev / math.Sqrt(n); math.Abs(mean) > bound {
				t.Errorf("mean %g is beyond %g", mean, bound)
			}
			if n > 100 && math.Abs(stddev-c.Stddev) > 5*c.Stddev/math.Sqrt(n) {
				t.Errorf("standard deviation %g, wanted %g", stddev, c.Stddev)
			}
			if largest > c.Limit*(1+1e-6) || n > 1000 && largest < 0.95*c.Limit {
				t.Errorf("largest magnitude %g, the limit is %g", largest, c.Limit)
			}
		})
	}
}

// merged joins the accumulators of two parts.
func merged(k *plugintest.Kit, m *graph.Module, parts []plugintest.Values) plugintest.Values {
	if parts[1] == nil {
		return parts[0]
	}
	args := plugintest.Values{}
	for name, v := range parts[0] {
		args["state:"+name], args["input:"+name] = v, parts[1][name]
	}
	return k.Run(m, "merge", graph.Any, args)
}
