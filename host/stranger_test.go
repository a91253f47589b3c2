package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// swish is the layer of examples/plugin-swish, linked in.
type swish struct {
	Beta float64 `hone:"beta,default=1" doc:"Steepness."`
}

func (s *swish) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Mul(x.Times(s.Beta).Sigmoid())
}

// strangersPlugin builds examples/plugin-swish in a module of its own, as a
// third party does, and returns the binary.
func strangersPlugin(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{"examples/plugin-swish/go.mod": "go.mod", "examples/plugin-swish/main.go": "main.go", "go.sum": "go.sum"} {
		b, err := os.ReadFile(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		if to == "go.mod" {
			// This checkout stands in for the released version that it asks for.
			b = fmt.Appendf(b, "\nreplace github.com/hone-ml/hone => %q\n", root)
		}
		if err := os.WriteFile(filepath.Join(dir, to), b, 0o644); err != nil {
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

// children lists this process's children.
func children(t *testing.T) []string {
	t.Helper()
	var b []byte
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range tasks {
		c, _ := os.ReadFile(f)
		b = append(b, c...)
	}
	return strings.Fields(string(b))
}

func TestAStrangersLayerEqualsALinkedOne(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts processes under /proc")
	}
	bin := strangersPlugin(t)
	ctx := context.Background()
	dir := t.TempDir()
	text := func(typ, required string) string {
		s := digits("2", "")
		s = strings.Replace(s, `activation = "relu"`, "", 1)
		s = strings.Replace(s, `layer "batch_norm" "norm" {}`, `layer "`+typ+`" "act" {
    beta = 1.5
  }
  layer "batch_norm" "norm" {}`, 1)
		return required + s
	}
	required := `hone {
  required_plugins {
    acme = { source = "github.com/acme/hone-swish" }
  }
}
`
	foreign, linked := filepath.Join(dir, "foreign.hone"), filepath.Join(dir, "linked.hone")
	var digestsOf [2]string
	digest := func(i int) func(Event) {
		return func(e Event) {
			switch e := e.(type) {
			case StartEvent:
				digestsOf[i] = e.PlanDigest
				if c := children(t); len(c) > 0 {
					t.Errorf("%d processes are alive at the first step: %v", len(c), c)
				}
			}
		}
	}
	p := load(t, text("acme.swish", required), Options{Plugins: map[string]string{"acme": bin}})
	if _, err := p.Train(ctx, TrainOptions{Out: foreign, Events: digest(0)}); err != nil {
		t.Fatal(err)
	}
	with := sdk.Bundle{Plugins: append(slices.Clone(bundle.Plugins), sdk.Plugin{
		Name: "swish", Version: "1.0.0", Layers: sdk.Layers{"swish": func() sdk.Layer { return &swish{} }},
	})}
	q := load(t, text("swish", ""), Options{Builtin: with})
	if _, err := q.Train(ctx, TrainOptions{Out: linked, Events: digest(1)}); err != nil {
		t.Fatal(err)
	}
	if digestsOf[0] != digestsOf[1] || digestsOf[0] == "" {
		t.Errorf("plan digests %q and %q", digestsOf[0], digestsOf[1])
	}
	sameTensors(t, foreign, linked)

	// Without the binary and with plugins forbidden, the checkpoint evaluates,
	// and trains on to the bits of an unbroken run.
	part := filepath.Join(dir, "part.hone")
	p = load(t, text("acme.swish", required), Options{Plugins: map[string]string{"acme": bin}})
	if _, err := p.Train(ctx, TrainOptions{Out: part, stopAfter: 30}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	if err := os.Remove(bin); err != nil {
		t.Fatal(err)
	}
	m, err := Open(foreign, Options{NoPlugins: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Evaluate(ctx, "", Options{NoPlugins: true}); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again.hone")
	p = load(t, text("acme.swish", required), Options{NoPlugins: true})
	if _, err := p.Train(ctx, TrainOptions{Out: again, Resume: part, Events: digest(1)}); err != nil {
		t.Fatal(err)
	}
	sameTensors(t, foreign, again)
	if c := children(t); len(c) > 0 {
		t.Errorf("processes are left: %v", c)
	}
}
