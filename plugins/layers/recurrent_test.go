package layers_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/layers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

func TestSimpleRNNConforms(t *testing.T) {
	sequence := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4), graph.N(2)}}
	plugintest.Conform(t, layers.Plugin(),
		plugintest.Case{Kind: sdk.LayerKind, Type: "simple_rnn", Config: plugintest.Config{"units": 3, "return_state": true}, Inputs: []graph.Type{sequence}},
		plugintest.Case{Kind: sdk.LayerKind, Type: "simple_rnn", Config: plugintest.Config{"units": 2, "return_sequences": true, "activation": "gelu"}, Inputs: []graph.Type{sequence}},
	)
	k := plugintest.New(t, layers.Plugin())
	m := k.MustTrace(sdk.LayerKind, "simple_rnn", plugintest.Config{"units": 3}, sequence)
	if m.Func("layer", graph.Any) == nil {
		t.Error("training and inference are the same and have two functions")
	}
	// Dropout between the steps draws the same numbers in each of them.
	dropped := k.MustTrace(sdk.LayerKind, "simple_rnn", plugintest.Config{"units": 3, "activation": plugintest.Component{
		Ref: plugintest.Ref{Type: "dropout"}, Config: plugintest.Config{"rate": 0.5}}}, sequence)
	f := dropped.Func("layer", graph.Train)
	if f == nil || f.Param(graph.KeyRole, "activation#0") < 0 || f.Param(graph.HyperRole, "activation.rate") < 0 {
		t.Errorf("what the body of a scan declares is not the layer's:\n%v", dropped)
	}
	if _, err := k.Trace(sdk.LayerKind, "simple_rnn", plugintest.Config{"units": 3, "activation": "batch_norm"}, sequence); err == nil || !strings.Contains(err.Error(), "state") {
		t.Errorf("a state within a scan: %v", err)
	}
	if _, err := k.Trace(sdk.LayerKind, "simple_rnn", plugintest.Config{"units": 3}, graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}}); err == nil {
		t.Error("vectors are no sequences")
	}
}

func TestOrthogonalIsOrthogonal(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	for _, shape := range [][]int64{{4, 4}, {5, 3}, {3, 5}, {2, 3, 4}, {1, 1}} {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			m := k.MustTrace(sdk.InitializerKind, "orthogonal", plugintest.Config{"gain": 2.0}, graph.T(graph.F32, shape...))
			v := k.Run(m, "init", graph.Any, plugintest.Values{})["value"]
			cols := int(shape[len(shape)-1])
			rows := v.Len() / cols
			at := func(i, j int) float64 { return v.Float(i*cols + j) }
			few, long := cols, rows
			if rows < cols {
				few, long = rows, cols
				at = func(i, j int) float64 { return v.Float(j*cols + i) }
			}
			for a := range few {
				for b := range few {
					dot, want := 0.0, 0.0
					for i := range long {
						dot += at(i, a) * at(i, b)
					}
					if a == b {
						want = 4
					}
					if math.Abs(dot-want) > 1e-6 {
						t.Errorf("the product of vectors %d and %d is %g, wanted %g", a, b, dot, want)
					}
				}
			}
		})
	}
	if _, err := k.Trace(sdk.InitializerKind, "orthogonal", nil, graph.T(graph.F32, 3)); err == nil {
		t.Error("a vector cannot be orthogonal")
	}
}
