package cpu

import (
	"context"
	"testing"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// movements are ops that only move numbers, each of some 16 MiB.
func movements() map[string]func(b *graph.Builder) graph.Value {
	in := func(b *graph.Builder, shape ...int64) graph.Value { return b.Input("x", graph.T(graph.F32, shape...)) }
	at := func(n ...int64) (out []graph.Extent) {
		for _, x := range n {
			out = append(out, graph.E(x))
		}
		return out
	}
	index := func(b *graph.Builder, n int64) graph.Value { return b.Input("index", graph.T(graph.I32, n)) }
	return map[string]func(b *graph.Builder) graph.Value{
		"add one":             func(b *graph.Builder) graph.Value { return in(b, 4<<20).Plus(1) },
		"transpose 2048x2048": func(b *graph.Builder) graph.Value { return in(b, 2048, 2048).Transpose(1, 0) },
		"transpose nchw-nhwc": func(b *graph.Builder) graph.Value { return in(b, 8, 64, 90, 91).Transpose(0, 2, 3, 1) },
		"transpose heads":     func(b *graph.Builder) graph.Value { return in(b, 16, 512, 8, 64).Transpose(0, 2, 1, 3) },
		"transpose 0213 tiny": func(b *graph.Builder) graph.Value { return in(b, 16, 512, 128, 4).Transpose(0, 2, 1, 3) },
		"pad images": func(b *graph.Builder) graph.Value {
			return in(b, 32, 56, 56, 40).Pad(0, at(0, 1, 1, 0), at(0, 1, 1, 0), []int64{0, 0, 0, 0})
		},
		"concat channels": func(b *graph.Builder) graph.Value { x := in(b, 32, 56, 56, 20); return b.Concat(3, x, x) },
		"concat rows":     func(b *graph.Builder) graph.Value { x := in(b, 1024, 2048); return b.Concat(0, x, x) },
		"slice columns": func(b *graph.Builder) graph.Value {
			return in(b, 4096, 1024).SliceAxis(1, graph.E(100), graph.E(900))
		},
		"gather rows of 64": func(b *graph.Builder) graph.Value { return in(b, 65536, 64).Gather(0, 0, index(b, 65536)) },
		"gather rows of 1":  func(b *graph.Builder) graph.Value { return in(b, 4<<20).Gather(0, 0, index(b, 1<<20)) },
		"scatter-add rows": func(b *graph.Builder) graph.Value {
			x := in(b, 65536, 64)
			return x.ScatterAdd(0, 0, index(b, 65536), x)
		},
		"scatter-add elements": func(b *graph.Builder) graph.Value { x := in(b, 1<<20); return x.ScatterAdd(0, 0, index(b, 1<<20), x) },
		"reverse columns":      func(b *graph.Builder) graph.Value { return in(b, 4096, 1024).Reverse(1) },
		"sum of rows":          func(b *graph.Builder) graph.Value { return in(b, 4096, 1024).Sum(1) },
		"sum of columns":       func(b *graph.Builder) graph.Value { return in(b, 4096, 1024).Sum(0) },
		"sum of the middle":    func(b *graph.Builder) graph.Value { return in(b, 64, 256, 256).Sum(1) },
		"max of rows":          func(b *graph.Builder) graph.Value { return in(b, 4096, 1024).Reduce(graph.Max, 1) },
		"max of columns":       func(b *graph.Builder) graph.Value { return in(b, 4096, 1024).Reduce(graph.Max, 0) },
		"sum of rows of 10":    func(b *graph.Builder) graph.Value { return in(b, 400000, 10).Sum(1) },
		"softmax of rows":      func(b *graph.Builder) graph.Value { return in(b, 4096, 1024).Softmax(1) },
		"softmax of columns":   func(b *graph.Builder) graph.Value { return in(b, 4096, 1024).Softmax(0) },
		"to bf16":              func(b *graph.Builder) graph.Value { return in(b, 4<<20).Convert(graph.BF16) },
		"to f16":               func(b *graph.Builder) graph.Value { return in(b, 4<<20).Convert(graph.F16) },
		"to i8":                func(b *graph.Builder) graph.Value { return in(b, 4<<20).Convert(graph.I8) },
	}
}

// BenchmarkMovement reports the time of the fastest run, and bytes read and
// written a second, to compare with adding to numbers in memory.
// bench/movement.py does the same with PyTorch.
func BenchmarkMovement(b *testing.B) {
	for name, write := range movements() {
		b.Run(name, func(b *testing.B) {
			m := graph.NewModule()
			w := graph.NewBuilder(m, "f", graph.Any)
			w.Output("y", write(w))
			f, err := w.Finish()
			if err != nil {
				b.Fatal(err)
			}
			c, err := New(Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			e, err := c.Compile(context.Background(), m, "f", kernels.Options{})
			if err != nil {
				b.Fatal(err)
			}
			pool, _ := c.NewPool("")
			bind, bytes := &kernels.Bindings{}, int64(0)
			for i, v := range e.Params() {
				t := graph.NewTensor(v.DType, v.Shape...)
				for k := range t.Len() {
					if f.Params[i].Name == "index" {
						t.SetFloat(k, float64(k*40503%int(v.Shape[0])))
					} else {
						t.SetFloat(k, float64(k%97)-48)
					}
				}
				h, _ := pool.New(v.DType, v.Shape)
				if err := pool.Write(h, t.Data); err != nil {
					b.Fatal(err)
				}
				bind.Params = append(bind.Params, h)
				bytes += int64(len(t.Data))
			}
			for _, v := range e.Results() {
				h, _ := pool.New(v.DType, v.Shape)
				bind.Results = append(bind.Results, h)
				bytes += int64(graph.NewTensor(v.DType, v.Shape...).Len() * v.DType.Size())
			}
			s, err := e.NewSession(pool)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				if _, err := s.Run(context.Background(), bind, 1); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(best.Nanoseconds())/1000, "best-us")
			b.ReportMetric(float64(bytes)/float64(best.Nanoseconds()), "GB/s")
		})
	}
}
