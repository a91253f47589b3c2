package plugintest

import (
	"fmt"
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
	for _, c := range []struct {
		name, want string
		f          layerFunc
		fixed      bool
	}{
		{"right", "", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Tanh() }, false},
		{"impure", "two graphs", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value { calls++; return x.Times(float64(calls)) }, false},
		{"frozen size", "number of channels", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Reshape(x.Dim(0), graph.E(x.ConstDim(1)))
		}, false},
		{"fixed for nothing", "FixedShape is not needed", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Tanh() }, true},
		{"wrong gradient", "finite differences", func(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Mul(x.StopGradient())
		}, false},
	} {
		p := sdk.Plugin{Name: "made", Version: "1.0.0", Layers: sdk.Layers{"made": func() sdk.Layer { return &made{c.f} }}}
		r := &recorder{TB: t}
		k, fresh := &Kit{t: r, host: New(t, p).host}, &Kit{t: r, host: New(t, p).host}
		k.conform(fresh, Case{Kind: sdk.LayerKind, Type: "made", FixedShape: c.fixed,
			Inputs: []graph.Type{{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}}}})
		all := strings.Join(r.said, "\n")
		if c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%s: it says %q, wanted %q", c.name, all, c.want)
		}
	}
}
