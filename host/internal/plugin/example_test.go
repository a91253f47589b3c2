package plugin_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/swishtest"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

func TestTheSmallestPluginOfAStranger(t *testing.T) {
	path := swishtest.Build(t)
	h := newHost(t, plugin.Options{
		Builtin: sdk.Bundle{Plugins: []sdk.Plugin{swishtest.Linked()}},
		Plugins: []plugin.Source{{Name: "acme", Address: "github.com/acme/hone-swish", Path: path}},
	})
	ref := plugin.Ref{Plugin: "acme", Type: "swish"}
	s, err := h.Component(t.Context(), sdk.LayerKind, ref)
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Parameter("beta"); p == nil || p.Type != plugin.Float || p.Default != 1.0 || p.Doc != "Steepness." {
		t.Errorf("beta is described as %+v", p)
	}
	x := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(7)}}
	config := plugin.Config{"beta": 1.5}
	there, err := h.TraceLayer(t.Context(), ref, config, []graph.Type{x})
	if err != nil {
		t.Fatal(err)
	}
	here, err := h.TraceLayer(t.Context(), plugin.Ref{Type: "swish"}, config, []graph.Type{x})
	if err != nil {
		t.Fatal(err)
	}
	if graph.Digest(there) != graph.Digest(here) {
		t.Errorf("the stranger's layer differs from the one linked in:\n%v\n%v", there, here)
	}
	out, err := exec.Command(path).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "swish 1.0.0 is a plugin of hone") {
		t.Errorf("started by hand it says %q, %v", out, err)
	}
}
