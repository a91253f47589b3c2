package plugin_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// buildSwish builds examples/plugin-swish as a stranger would: in a folder of
// its own, with a module of its own. In the copy of its go.mod this checkout stands
// in for the released hone that it asks for.
func buildSwish(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a plugin")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copied := func(from, to string) string {
		data, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), data, 0o600); err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if lines := strings.Count(copied("examples/plugin-swish/main.go", "main.go"), "\n"); lines > 20 {
		t.Errorf("the smallest plugin has %d lines, at most 20 are promised", lines)
	}
	mod := copied("examples/plugin-swish/go.mod", "go.mod")
	if strings.Contains(mod, "replace") {
		t.Error("a stranger's go.mod replaces nothing")
	}
	copied("go.sum", "go.sum")
	mod += fmt.Sprintf("\nreplace github.com/hone-ml/hone => %q\n", root)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hone-swish")
	cmd := exec.Command("go", "build", "-mod=mod", "-o", path, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "GOPROXY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	return path
}

// swish is the example's layer, linked in.
type swish struct {
	Beta float64 `hone:"beta,default=1" doc:"Steepness."`
}

func (s *swish) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Mul(x.Times(s.Beta).Sigmoid())
}

func TestTheSmallestPluginOfAStranger(t *testing.T) {
	path := buildSwish(t)
	linked := sdk.Plugin{Name: "linked", Version: "1.0.0", Layers: sdk.Layers{"swish": func() sdk.Layer { return &swish{} }}}
	h := newHost(t, plugin.Options{
		Builtin: sdk.Bundle{Plugins: []sdk.Plugin{linked}},
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
