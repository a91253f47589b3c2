package compile

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// counting counts the compilations that reach the backend.
type counting struct {
	kernels.Backend
	mu sync.Mutex
	n  int
}

func (c *counting) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.Backend.Compile(ctx, m, entry, o)
}

// scaled is a function of any batch size, called name, that multiplies by x.
func scaled(t *testing.T, name string, x float64) *graph.Module {
	t.Helper()
	m := graph.NewModule()
	b := graph.NewBuilder(m, name, graph.Any)
	b.Output("y", b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch}}).Times(x))
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	return m
}

func batch(n int64) kernels.Options {
	return kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: n}}
}

func TestEqualFunctionsAreCompiledOnce(t *testing.T) {
	be := &counting{Backend: reference.New()}
	c := New(be)
	for _, s := range []struct {
		name   string
		factor float64
		o      kernels.Options
		want   int // compilations so far
	}{
		{"f", 2, batch(3), 1},
		{"f", 2, batch(3), 1},
		{"g", 2, batch(3), 1}, // a name is no difference
		{"f", 3, batch(3), 2},
		{"f", 2, batch(4), 3},
		{"f", 2, kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: 3}, Donate: []int{-1}}, 4},
		{"f", 2, kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: 3}, Profile: true}, 5},
		{"f", 2, batch(3), 5},
	} {
		if _, err := c.Compile(t.Context(), scaled(t, s.name, s.factor), s.name, s.o); err != nil {
			t.Fatal(err)
		}
		if be.n != s.want {
			t.Fatalf("%s by %v, %v: %d compilations, wanted %d", s.name, s.factor, s.o, be.n, s.want)
		}
	}
}

// Whoever adds an option says here and in key whether it tells executables apart.
func TestEveryOptionIsThoughtOf(t *testing.T) {
	known := []string{"Mode", "Frozen", "Symbols", "Donate", "Selection", "Limits", "Memory", "Opaque", "Profile"}
	o := reflect.TypeFor[kernels.Options]()
	for i := range o.NumField() {
		if name := o.Field(i).Name; !slices.Contains(known, name) {
			t.Errorf("does %s tell executables apart?", name)
		}
	}
}

func TestSeveralAskAtOnce(t *testing.T) {
	be := &counting{Backend: reference.New()}
	c := New(be)
	m := scaled(t, "f", 2)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.Compile(t.Context(), m, "f", batch(2)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if be.n != 1 {
		t.Errorf("%d compilations", be.n)
	}
}

// A compilation that fails, or is given up, is no answer for those that ask later.
func TestFailuresAreNotKept(t *testing.T) {
	c := New(&counting{Backend: reference.New()})
	m := scaled(t, "f", 2)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Compile(over, m, "f", batch(2)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if _, err := c.Compile(t.Context(), m, "f", batch(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compile(t.Context(), m, "nobody", batch(2)); err == nil {
		t.Error("a function that is not there was compiled")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	be := &counting{Backend: reference.New()}
	c := New(be)
	for i := range kept + 10 {
		if _, err := c.Compile(t.Context(), scaled(t, "f", float64(i)), "f", batch(1)); err != nil {
			t.Fatal(fmt.Errorf("%d: %w", i, err))
		}
	}
	if len(c.execs) > kept {
		t.Errorf("%d executables are kept", len(c.execs))
	}
	n := be.n
	if _, err := c.Compile(t.Context(), scaled(t, "f", kept+9), "f", batch(1)); err != nil || be.n != n {
		t.Errorf("the newest was not kept: %v", err)
	}
}
