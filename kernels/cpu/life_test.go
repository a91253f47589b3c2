package cpu

import (
	"context"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// TestNoAllocationsPerStep runs a small training step over and over.
func TestNoAllocationsPerStep(t *testing.T) {
	b, err := New(Config{Threads: 2, shareAll: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	m := graph.NewModule()
	g := graph.NewBuilder(m, "f", graph.Any)
	x := g.Input("x", graph.T(graph.F32, 32, 8, 8, 3))
	k := g.Param("k", graph.T(graph.F32, 3, 3, 3, 16), graph.Decl{})
	w := g.Param("w", graph.T(graph.F32, 16, 10), graph.Decl{})
	a := graph.ConvAttrs{Strides: []int64{1, 1}, PadLow: []int64{1, 1}, PadHigh: []int64{1, 1}, InputDilation: []int64{1, 1}, FilterDilation: []int64{1, 1}, Groups: 1}
	h := x.Conv(k, a).Relu()
	h = h.ReduceWindow(graph.WindowAttrs{Kind: graph.Max, Window: []int64{1, 2, 2, 1}, Strides: []int64{1, 2, 2, 1}, PadLow: make([]int64, 4), PadHigh: make([]int64, 4), Dilation: []int64{1, 1, 1, 1}})
	y := h.Mean(1, 2).MatMul(w).Softmax(-1)
	g.Output("loss", y.Mul(y).Mean())
	g.Replace(graph.ParamRole, "w", w.Sub(h.Mean(1, 2).Dot(y, graph.DotAttrs{LeftContract: []int64{0}, RightContract: []int64{0}}).Times(0.01)))
	if _, err := g.Finish(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	exec, err := b.Compile(ctx, m, "f", kernels.Options{Donate: []int{-1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	pool, _ := b.NewPool("")
	s, err := exec.NewSession(pool)
	if err != nil {
		t.Fatal(err)
	}
	bind := &kernels.Bindings{}
	for _, v := range exec.Params() {
		h, _ := pool.New(v.DType, v.Shape)
		bind.Params = append(bind.Params, h)
	}
	loss, _ := pool.New(graph.F32, nil)
	bind.Results = []kernels.Handle{loss, 0}
	run := func() {
		if _, err := s.Run(ctx, bind, 3); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		run() // buffers grow with the first steps, on either number of threads
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Fatalf("%v allocations a run", n)
	}
}
