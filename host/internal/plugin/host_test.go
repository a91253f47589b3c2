package plugin_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// scale is y = x*factor*kernel through an activation.
type scale struct {
	Factor     float64       `hone:"factor,default=2,min=0"`
	Rate       float64       `hone:"rate,default=0.5,min=0,max=1,runtime"`
	Activation sdk.Component `hone:"activation,kind=layer"`
	Kernel     sdk.Component `hone:"kernel_initializer,kind=initializer,default=ones"`
	Penalty    sdk.Component `hone:"kernel_regularizer,kind=regularizer"`
}

func (s *scale) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	k := b.Param("kernel", graph.T(graph.F32, x.ConstDim(1)), sdk.Param{Axes: []string{"out"}, Initializer: s.Kernel, Regularizer: s.Penalty})
	y := x.Mul(k).Times(s.Factor)
	if b.Training() {
		keep := b.Uniform(x.Dim(1)).Ge(b.Hyper("rate", s.Rate))
		y = keep.Select(y, y.Times(0))
	}
	return b.Component("activation", s.Activation, y)
}

type relu struct{}

func (*relu) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Relu() }

type ones struct{}

func (*ones) Init(b *sdk.InitBuilder) graph.Value { return b.Full(1) }

type zeros struct{}

func (*zeros) Init(b *sdk.InitBuilder) graph.Value { return b.Full(0) }

type normal struct {
	Gain float64 `hone:"gain,default=1,above=0"`
}

func (n *normal) Init(b *sdk.InitBuilder) graph.Value { return b.TruncatedNormal(0, n.Gain) }

var testPlugin = sdk.Plugin{
	Name: "base", Version: "1.2.3",
	Layers: sdk.Layers{
		"scale": func() sdk.Layer { return &scale{} },
		"relu":  func() sdk.Layer { return &relu{} },
	},
	Initializers: sdk.Initializers{
		"ones":   func() sdk.Initializer { return &ones{} },
		"zeros":  func() sdk.Initializer { return &zeros{} },
		"normal": func() sdk.Initializer { return &normal{} },
	},
}

var bundle sdk.Bundle

func TestMain(m *testing.M) {
	if os.Getenv(sdk.ChildEnv) != "" && os.Getenv(sdk.ServeEnv) == "" {
		misbehave(filepath.Base(os.Args[0])) // a stranger's binary: see strangers_test.go
		return
	}
	bundle = sdk.Main(testPlugin)
	if os.Getenv("HONE_TEST_HOST") != "" {
		beHost()
		return
	}
	os.Exit(m.Run())
}

func newHost(t *testing.T, o plugin.Options) *plugin.Host {
	t.Helper()
	if len(o.Builtin.Plugins) == 0 {
		o.Builtin = bundle
	}
	if o.StartTimeout == 0 {
		o.StartTimeout, o.CallTimeout = time.Minute, time.Minute // machines that run tests are busy
	}
	h, err := plugin.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestALayerIsTracedAndLinkedAlikeInAndOutOfProcess(t *testing.T) {
	x := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(5)}}
	config := plugin.Config{"activation": "relu", "rate": 0.25, "kernel_initializer": plugin.Component{Ref: plugin.Ref{Type: "normal"}, Config: plugin.Config{"gain": 2}}}
	var digests [2][32]byte
	for i, b := range []sdk.Bundle{bundle, {Plugins: bundle.Plugins}} {
		h := newHost(t, plugin.Options{Builtin: b})
		m, err := h.TraceLayer(t.Context(), plugin.Ref{Type: "scale"}, config, []graph.Type{x})
		if err != nil {
			t.Fatal(err)
		}
		digests[i] = graph.Digest(m)
		if i == 0 {
			t.Log(m)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("digests differ: %x out of process, %x in process", digests[0], digests[1])
	}
}
