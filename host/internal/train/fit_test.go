package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

func TestFitBatch(t *testing.T) {
	for _, c := range []struct{ fixed, each, limit, most, want int64 }{
		{0, 1 << 10, 0, 256, 256},               // small rows: all at once
		{0, 8 << 20, 0, 256, 64},                // 64 of 8 MiB are 512 MiB
		{0, 8 << 20, 0, 40, 40},                 // as many as there are
		{140 << 20, 38 << 20, 0, 256, 8},        // a large share that every batch takes
		{0, 4 << 30, 0, 256, 1},                 // one at a time at least
		{600 << 20, 1, 0, 5, 1},                 // which takes what it takes
		{0, 1 << 10, 100 << 10, 256, 64},        // a limit of the run's
		{0, math.MaxInt64 / 512, 0, 1 << 30, 1}, // no overflow
		{0, 1 << 20, 0, 0, 0},                   // no examples
		{1 << 20, 1 << 20, 2<<20 + 1<<19, 1, 1}, // what just fits
	} {
		var asked []int64
		got, err := fitBatch(c.most, func(n int64) (kernels.Plan, error) {
			asked = append(asked, n)
			bytes := int64(min(float64(c.fixed)+float64(c.each)*float64(n), math.MaxInt64/2))
			if c.limit > 0 && bytes > c.limit {
				return kernels.Plan{}, fmt.Errorf("compiling: %w", &kernels.LimitError{What: "bytes", Got: bytes, Limit: c.limit})
			}
			return kernels.Plan{ArenaBytes: bytes}, nil
		})
		if err != nil || got != c.want {
			t.Errorf("%+v: %d examples at once, %v; tried %v", c, got, err, asked)
		}
		if len(asked) > 5 {
			t.Errorf("%+v: compiled for %v", c, asked)
		}
	}
	if _, err := fitBatch(4, func(int64) (kernels.Plan, error) {
		return kernels.Plan{}, &kernels.LimitError{What: "bytes", Got: 2, Limit: 1}
	}); err == nil {
		t.Error("one example is beyond the limit, and nothing is said")
	}
}

// heavy is a backend that says of its programs that each example takes 100 MiB,
// and counts the sessions for each number of examples.
type heavy struct {
	kernels.Backend
	made, open map[int64]int
}

type heavyExecutable struct {
	kernels.Executable
	of    *heavy
	batch int64
}

type heavySession struct {
	kernels.Session
	of    *heavy
	batch int64
}

func (h *heavy) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	e, err := h.Backend.Compile(ctx, m, entry, o)
	return &heavyExecutable{e, h, o.Symbols[graph.BatchSymbol]}, err
}

func (e *heavyExecutable) Plan() kernels.Plan {
	p := e.Executable.Plan()
	p.ArenaBytes = e.batch * 100 << 20
	return p
}

func (e *heavyExecutable) NewSession(p kernels.Pool) (kernels.Session, error) {
	s, err := e.Executable.NewSession(p)
	e.of.made[e.batch]++
	e.of.open[e.batch]++
	return &heavySession{s, e.of, e.batch}, err
}

func (s *heavySession) Close() error {
	s.of.open[s.batch]--
	return s.Session.Close()
}

// A predictor takes as many examples at once as memory has room for, and is not
// kept ready for every number of them that it was ever asked for.
func TestPredictorsMemory(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "model", graph.Any)
	b.Output("y", b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(2)}}).Times(3))
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	be := &heavy{reference.New(), map[int64]int{}, map[int64]int{}}
	q, err := NewPredictor(&Program{Module: m, Model: "model"}, be, "", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	clear(be.open)
	clear(be.made)
	predict := func(n int64) {
		x := graph.NewTensor(graph.F32, n, 2)
		for i := range x.Len() {
			x.SetFloat(i, float64(i))
		}
		out, err := q.Predict(t.Context(), &Arrays{Examples: n, Fields: map[string]kernels.View{"x": {DType: x.DType, Shape: x.Shape, Data: x.Data}}}, 256)
		if err != nil {
			t.Fatal(err)
		}
		y := out["y"]
		if !slices.Equal(y.Shape, x.Shape) {
			t.Fatalf("%d examples give %v", n, y.Shape)
		}
		for i := range y.Len() {
			if y.Float(i) != 3*float64(i) {
				t.Fatalf("of %d examples, number %d is %v", n, i, y.Float(i))
			}
		}
	}
	predict(11)
	if be.made[4] != 1 || be.made[3] != 1 || len(be.made) != 2 {
		t.Errorf("11 examples of 100 MiB were computed in batches of %v", be.made)
	}
	predict(0)
	q.fits, q.full = 100, false // as if they were light
	for n := int64(1); n <= 30; n++ {
		predict(n)
	}
	predict(29)
	open := 0
	for _, n := range be.open {
		open += n
	}
	if open != keptRuns || be.made[29] != 1 || be.made[1] != 1 {
		t.Errorf("%d batch sizes are kept ready, made were %v", open, be.made)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	for n, k := range be.open {
		if k != 0 {
			t.Errorf("%d sessions of %d examples are open", k, n)
		}
	}
}
