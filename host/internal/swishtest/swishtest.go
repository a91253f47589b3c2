// Package swishtest is for tests: it builds examples/plugin-swish as a third party
// does, in a folder and a module of its own, and has the same layer linked in to
// compare with.
package swishtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Linked is the example's plugin as part of the test.
func Linked() sdk.Plugin {
	return sdk.Plugin{Name: "swish", Version: "1.0.0", Layers: sdk.Layers{"swish": func() sdk.Layer { return &swish{} }}}
}

type swish struct {
	Beta float64 `hone:"beta,default=1" doc:"Steepness."`
}

func (s *swish) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Mul(x.Times(s.Beta).Sigmoid())
}

// Build returns the path of the plugin's binary. In the copy of its go.mod this
// checkout stands in for the released hone that it asks for.
func Build(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a plugin")
	}
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the sources are not where they were compiled")
	}
	root := filepath.Join(filepath.Dir(file), "..", "..", "..")
	dir := t.TempDir()
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	source, mod := read("examples/plugin-swish/main.go"), read("examples/plugin-swish/go.mod")
	if lines := strings.Count(source, "\n"); lines > 20 {
		t.Errorf("the smallest plugin has %d lines, at most 20 are promised", lines)
	}
	if strings.Contains(mod, "replace") {
		t.Error("a stranger's go.mod replaces nothing")
	}
	mod += fmt.Sprintf("\nreplace github.com/hone-ml/hone => %q\n", root)
	for name, text := range map[string]string{"main.go": source, "go.mod": mod, "go.sum": read("go.sum")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "hone-swish")
	cmd := exec.Command("go", "build", "-mod=mod", "-o", bin, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "GOPROXY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	return bin
}
