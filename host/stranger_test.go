package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/swishtest"
	"github.com/hone-ml/hone/sdk"
)

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
	bin := swishtest.Build(t)
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
	with := sdk.Bundle{Plugins: append(slices.Clone(bundle.Plugins), swishtest.Linked())}
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
