package plugintest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// recorder takes what a check would say to a test.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Helper() {}

type layerFunc func(b *sdk.LayerBuilder, x graph.Value) graph.Value

// made is a layer made from a function.
type made struct{ f layerFunc }

func (m *made) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value { return m.f(b, x) }

func TestConformFindsWhatIsWrong(t *testing.T) {
	calls := 0
	// cosh is log(cosh(x)) with a gradient of its own, right for factor 1.
	cosh := func(factor float64) layerFunc {
		return func(b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return b.CompositeWithGradient("made/log_cosh@1", nil, []graph.Value{x}, func(_ *graph.Builder, x []graph.Value) []graph.Value {
				return []graph.Value{x[0].Add(x[0].Times(-2).Softplus()).Plus(-math.Ln2)}
			}, func(_ *graph.Builder, x, _, dy []graph.Value) []graph.Value {
				return []graph.Value{x[0].Tanh().Times(factor).Mul(dy[0])}
			})[0]
		}
	}
	for _, c := range []struct {
		name, want string
		f          layerFunc
		fixed      bool
		estimator  bool
	}{
		{"right", "", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Tanh() }, false, false},
		{"impure", "two graphs", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value { calls++; return x.Times(float64(calls)) }, false, false},
		{"size as a number", "", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Reshape(x.Dim(0), graph.E(x.ConstDim(1)))
		}, false, false},
		{"frozen size", "number of channels", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Sum(-1).Unreduce(x, -1).Times(1 / float64(x.ConstDim(1)))
		}, false, false},
		{"fixed for nothing", "FixedShape is not needed", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Tanh() }, true, false},
		{"wrong gradient", "finite differences", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Mul(x.StopGradient())
		}, false, false},
		{"own gradient", "", cosh(1), false, false},
		{"wrong own gradient", "its body's is", cosh(1.01), false, false},
		{"estimator", "", cosh(1.01), false, true},
		{"estimator for nothing", "Estimator is not needed", cosh(1), false, true},
	} {
		p := sdk.Plugin{Name: "made", Version: "1.0.0", Layers: sdk.Layers{"made": func() sdk.Layer { return &made{c.f} }}}
		r := &recorder{TB: t}
		k, fresh := &Kit{t: r, host: New(t, p).host}, &Kit{t: r, host: New(t, p).host}
		k.conform(fresh, Case{Kind: sdk.LayerKind, Type: "made", FixedShape: c.fixed, Estimator: c.estimator,
			Inputs: []graph.Type{{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}}}})
		all := strings.Join(r.said, "\n")
		if c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%s: it says %q, wanted %q", c.name, all, c.want)
		}
	}
}
