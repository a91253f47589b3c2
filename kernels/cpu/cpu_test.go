package cpu

import (
	"context"
	"encoding/binary"
	"math"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// runOnce compiles and runs a function on the backend.
func runOnce(t *testing.T, b *Backend, m *graph.Module, entry string, o kernels.Options, args ...*graph.Tensor) []*graph.Tensor {
	t.Helper()
	ctx := context.Background()
	exec, err := b.Compile(ctx, m, entry, o)
	if err != nil {
		t.Fatal(err)
	}
	pool, _ := b.NewPool("")
	s, err := exec.NewSession(pool)
	if err != nil {
		t.Fatal(err)
	}
	bind := &kernels.Bindings{}
	for _, a := range args {
		h, err := pool.New(a.DType, a.Shape)
		if err != nil {
			t.Fatal(err)
		}
		if err := pool.Write(h, a.Data); err != nil {
			t.Fatal(err)
		}
		bind.Params = append(bind.Params, h)
	}
	for i, r := range exec.Results() {
		h, _ := pool.New(r.DType, r.Shape)
		if i < len(o.Donate) && o.Donate[i] >= 0 {
			h = bind.Params[o.Donate[i]]
		}
		bind.Results = append(bind.Results, h)
	}
	if _, err := s.Run(ctx, bind, 1); err != nil {
		t.Fatal(err)
	}
	var out []*graph.Tensor
	for i, r := range exec.Results() {
		v := graph.NewTensor(r.DType, r.Shape...)
		if err := pool.Read(bind.Results[i], v.Data); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i%17)/8 - 1
	}
	return v
}

func TestDenseSoftmaxStep(t *testing.T) {
	for _, threads := range []int{1, 2, 3} {
		b, err := New(Config{Threads: threads, shareAll: true})
		if err != nil {
			t.Fatal(err)
		}
		m := graph.NewModule()
		g := graph.NewBuilder(m, "f", graph.Any)
		x := g.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(7)}})
		w := g.Param("w", graph.T(graph.F32, 7, 5), graph.Decl{})
		bias := g.Param("b", graph.T(graph.F32, 5), graph.Decl{})
		y := x.MatMul(w).Add(bias).Softmax(-1)
		g.Output("y", y)
		g.Output("m", y.Mean())
		g.Replace(graph.ParamRole, "w", w.Sub(x.Sum(0).Reshape(graph.E(7), graph.E(1)).Times(0.5)))
		if _, err := g.Finish(); err != nil {
			t.Fatal(err)
		}
		X, W, B := ramp(21), ramp(35), ramp(5)
		out := runOnce(t, b, m, "f", kernels.Options{Symbols: map[string]int64{"batch": 3}, Donate: []int{-1, -1, 1}},
			graph.Float32s(X, 3, 7), graph.Float32s(W, 7, 5), graph.Float32s(B, 5))
		for i := range 3 {
			var z [5]float64
			sum := 0.0
			for j := range z {
				for k := range 7 {
					z[j] += float64(X[i*7+k]) * float64(W[k*5+j])
				}
				z[j] = math.Exp(z[j] + float64(B[j]))
				sum += z[j]
			}
			for j := range z {
				if got := out[0].Float(i*5 + j); math.Abs(got-z[j]/sum) > 1e-6 {
					t.Fatalf("threads %d: y[%d,%d] = %v, want %v", threads, i, j, got, z[j]/sum)
				}
			}
		}
		if got := out[1].Float(0); math.Abs(got-0.2) > 1e-6 {
			t.Fatalf("mean is %v", got)
		}
		for k := range 7 {
			s := 0.0
			for i := range 3 {
				s += float64(X[i*7+k])
			}
			if got, want := out[2].Float(k*5+2), float64(W[k*5+2])-0.5*s; math.Abs(got-want) > 1e-5 {
				t.Fatalf("w[%d] = %v, want %v", k, got, want)
			}
		}
		b.Close()
	}
}

func TestRandomBitsFollowTheCounter(t *testing.T) {
	b, _ := New(Config{Threads: 2, shareAll: true})
	defer b.Close()
	m := graph.NewModule()
	g := graph.NewBuilder(m, "f", graph.Train)
	x := g.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(7)}})
	g.Output("y", g.RandomBits(x.Dim(1)))
	f, err := g.Finish()
	if err != nil {
		t.Fatal(err)
	}
	args := make([]*graph.Tensor, len(f.Params))
	for i, p := range f.Params {
		switch p.Role {
		case graph.Input:
			args[i] = graph.Float32s(ramp(21), 3, 7)
		case graph.KeyRole:
			args[i] = graph.NewTensor(graph.U64)
			args[i].SetInt(0, 0x1234567890)
		case graph.StepRole:
			args[i] = graph.NewTensor(graph.U64)
			args[i].SetInt(0, 5)
		case graph.IndexRole:
			args[i] = graph.Int64s([]int64{4, 9, 2}, 3)
		}
	}
	out := runOnce(t, b, m, "f", kernels.Options{Mode: graph.Train, Symbols: map[string]int64{"batch": 3}}, args...)
	for row, example := range []uint64{4, 9, 2} {
		for e := range 7 {
			want := graph.Philox4x32(graph.RandomCounter(uint32(e/4), example, 5), graph.SplitKey(0x1234567890))[e%4]
			if got := binary.LittleEndian.Uint32(out[0].Data[(row*7+e)*4:]); got != want {
				t.Fatalf("row %d word %d: %x, want %x", row, e, got, want)
			}
		}
	}
}
