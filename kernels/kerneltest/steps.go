package kerneltest

import (
	"fmt"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// testSteps checks donation, aliasing and runs of many steps.
func testSteps(t *testing.T, h *harness) {
	v3 := graph.T(graph.F32, 3)
	t.Run("Donation", func(t *testing.T) {
		// acc' = acc + x, n' = n + 1, y = acc before the step.
		m := function(t, func(b *graph.Builder) {
			x, acc, n := b.Input("x", v3), b.Input("acc", v3), b.Input("n", graph.Scalar(graph.U64))
			b.Output("acc", acc.Add(x))
			b.Output("n", n.Add(b.Scalar(graph.U64, 1)))
			b.Output("y", acc)
		})
		s := h.setup(t, m, kernels.Options{Donate: []int{1, 2}}, vec(1, 2, 3), vec(0, 0, 0), scalarInt(graph.U64, 5))
		s.b.Results[0], s.b.Results[1] = 0, 0 // ignored
		s.run(t, 4)
		s.want(t, "acc", s.b.Params[1], 4, 8, 12)
		s.want(t, "n", s.b.Params[2], 9)
		s.want(t, "y", s.b.Results[2], 3, 6, 9)
		s.run(t, 0)
		s.want(t, "n after no step", s.b.Params[2], 9)
		if err := s.pool.Write(s.b.Params[0], vec(100, 0, 0).Data); err != nil {
			t.Fatal(err)
		}
		s.run(t, 1)
		s.want(t, "acc after a write between runs", s.b.Params[1], 104, 8, 12)
	})
	t.Run("ChangingBindings", func(t *testing.T) {
		m := function(t, func(b *graph.Builder) {
			x, acc := b.Input("x", v3), b.Input("acc", v3)
			b.Output("acc", acc.Add(x))
			b.Output("twice", x.Add(x))
		})
		s := h.setup(t, m, kernels.Options{Donate: []int{1}}, vec(1, 2, 3), vec(0, 0, 0))
		s.run(t, 2)
		first := *s.b
		other, err := bindAll(s.exe, s.pool, []*graph.Tensor{vec(10, 10, 10), vec(1, 1, 1)})
		if err != nil {
			t.Fatal(err)
		}
		s.b = other
		s.run(t, 3)
		s.want(t, "the second acc", s.b.Params[1], 31, 31, 31)
		s.want(t, "the second result", s.b.Results[1], 20, 20, 20)
		s.b = &kernels.Bindings{Params: []kernels.Handle{first.Params[0], other.Params[1]}, Results: first.Results}
		s.run(t, 1)
		s.want(t, "a mixed acc", other.Params[1], 32, 33, 34)
		s.want(t, "the first acc", first.Params[1], 2, 4, 6)
	})
	t.Run("Swap", func(t *testing.T) {
		m := function(t, func(b *graph.Builder) {
			x, y := b.Input("x", v3), b.Input("y", v3)
			b.Output("x", y)
			b.Output("y", x)
		})
		s := h.setup(t, m, kernels.Options{Donate: []int{0, 1}}, vec(1, 2, 3), vec(7, 8, 9))
		s.run(t, 3)
		s.want(t, "x", s.b.Params[0], 7, 8, 9)
		s.want(t, "y", s.b.Params[1], 1, 2, 3)
	})
	t.Run("Cross", func(t *testing.T) {
		// Each new value needs both old ones.
		m := function(t, func(b *graph.Builder) {
			x, y := b.Input("x", v3), b.Input("y", v3)
			b.Output("sum", x.Add(y))
			b.Output("x", x.Add(y))
			b.Output("y", x.Sub(y))
			b.Output("reversed", x.Reverse(0))
		})
		s := h.setup(t, m, kernels.Options{Donate: []int{-1, 0, 1, -1}}, vec(1, 2, 3), vec(7, 8, 9))
		s.run(t, 1)
		s.want(t, "x", s.b.Params[0], 8, 10, 12)
		s.want(t, "y", s.b.Params[1], -6, -6, -6)
		s.want(t, "sum", s.b.Results[0], 8, 10, 12)
		s.want(t, "reversed", s.b.Results[3], 3, 2, 1)
		s.run(t, 1)
		s.want(t, "x", s.b.Params[0], 2, 4, 6)
		s.want(t, "y", s.b.Params[1], 14, 16, 18)
	})
	t.Run("InPlaceMovement", func(t *testing.T) {
		// Results that permute the parameter they replace.
		m := function(t, func(b *graph.Builder) {
			x := b.Input("x", graph.T(graph.F32, 2, 2))
			y := b.Input("y", v3)
			z := b.Input("z", v3)
			b.Output("x", x.Transpose(1, 0))
			b.Output("y", y.Reverse(0))
			b.Output("z", b.Concat(0, z.SliceAxis(0, graph.E(1), graph.E(3)), z.SliceAxis(0, graph.E(0), graph.E(1))))
		})
		s := h.setup(t, m, kernels.Options{Donate: []int{0, 1, 2}}, graph.Float32s([]float32{1, 2, 3, 4}, 2, 2), vec(1, 2, 3), vec(1, 2, 3))
		s.run(t, 1)
		s.want(t, "x", s.b.Params[0], 1, 3, 2, 4)
		s.want(t, "y", s.b.Params[1], 3, 2, 1)
		s.want(t, "z", s.b.Params[2], 2, 3, 1)
	})
	t.Run("InPlaceContraction", func(t *testing.T) {
		m := function(t, func(b *graph.Builder) {
			x, k := b.Input("x", graph.T(graph.F32, 2, 2)), b.Input("k", v3)
			b.Output("x", x.MatMul(x))
			b.Output("k", k.CumSum(0, false, true))
		})
		s := h.setup(t, m, kernels.Options{Donate: []int{0, 1}}, graph.Float32s([]float32{1, 1, 0, 1}, 2, 2), vec(1, 2, 3))
		s.run(t, 3)
		s.want(t, "x", s.b.Params[0], 1, 8, 0, 1)
		s.want(t, "k", s.b.Params[1], 25, 11, 3)
	})
	t.Run("PassThrough", func(t *testing.T) {
		m := function(t, func(b *graph.Builder) {
			x, unused := b.Input("x", v3), b.Input("unused", v3)
			_ = unused
			y := x.Neg()
			b.Output("x", x)
			b.Output("copy", x)
			b.Output("a", y)
			b.Output("b", y)
			b.Output("const", b.Const(vec(4, 5, 6)))
			b.Output("reshaped", x.Reshape(graph.E(3), graph.E(1)))
		})
		s := h.setup(t, m, kernels.Options{Donate: []int{0}}, vec(1, 2, 3), vec(0, 0, 0))
		s.run(t, 2)
		s.want(t, "x", s.b.Params[0], 1, 2, 3)
		s.want(t, "copy", s.b.Results[1], 1, 2, 3)
		s.want(t, "a", s.b.Results[2], -1, -2, -3)
		s.want(t, "b", s.b.Results[3], -1, -2, -3)
		s.want(t, "const", s.b.Results[4], 4, 5, 6)
		s.want(t, "reshaped", s.b.Results[5], 1, 2, 3)
		// Results are values of their own: writing one leaves the others.
		if err := s.pool.Write(s.b.Results[2], vec(0, 0, 0).Data); err != nil {
			t.Fatal(err)
		}
		s.want(t, "b after a write to a", s.b.Results[3], -1, -2, -3)
		if err := s.pool.Write(s.b.Results[1], vec(0, 0, 0).Data); err != nil {
			t.Fatal(err)
		}
		s.want(t, "x after a write to its copy", s.b.Params[0], 1, 2, 3)
		if err := s.pool.Write(s.b.Results[4], vec(0, 0, 0).Data); err != nil {
			t.Fatal(err)
		}
		s.run(t, 1)
		s.want(t, "const after a write to it", s.b.Results[4], 4, 5, 6)
	})
	t.Run("OneHandleForTwoParams", func(t *testing.T) {
		m := function(t, func(b *graph.Builder) {
			b.Output("y", b.Input("a", v3).Sub(b.Input("b", v3).Times(3)))
		})
		s := h.setup(t, m, kernels.Options{}, vec(1, 2, 3), vec(0, 0, 0))
		s.b.Params[1] = s.b.Params[0]
		s.run(t, 1)
		s.want(t, "y", s.b.Results[0], -2, -4, -6)
	})
	t.Run("SharedPool", func(t *testing.T) {
		// Two executables over one set of values, as training and evaluation are.
		step := function(t, func(b *graph.Builder) { w := b.Input("w", v3); b.Output("w", w.Times(2)) })
		eval := function(t, func(b *graph.Builder) { b.Output("y", b.Input("w", v3).Sum()) })
		s := h.setup(t, step, kernels.Options{Donate: []int{0}}, vec(1, 2, 3))
		e, err := h.backend.Compile(t.Context(), eval, "f", kernels.Options{})
		if err != nil {
			t.Fatal(err)
		}
		es, err := e.NewSession(s.pool)
		if err != nil {
			t.Fatal(err)
		}
		defer es.Close()
		y, err := s.pool.New(graph.F32, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []float64{12, 24} {
			s.run(t, 1)
			if _, err := es.Run(t.Context(), &kernels.Bindings{Params: s.b.Params, Results: []kernels.Handle{y}}, 1); err != nil {
				t.Fatal(err)
			}
			s.want(t, "the evaluation", y, want)
		}
	})
	t.Run("Symbols", func(t *testing.T) {
		m := function(t, func(b *graph.Builder) {
			x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(2)}})
			b.Output("mean", x.Mean(0))
		})
		for _, n := range []int64{1, 3, 32} {
			x := graph.NewTensor(graph.F32, n, 2)
			for i := range x.Len() {
				x.SetFloat(i, float64(i%2+1))
			}
			s := h.setup(t, m, kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: n}}, x)
			s.run(t, 1)
			s.want(t, fmt.Sprint("the mean of ", n), s.b.Results[0], 1, 2)
		}
		if _, err := h.backend.Compile(t.Context(), m, "f", kernels.Options{}); err == nil {
			t.Error("a symbol without a value compiles")
		}
	})
}
