package cpu

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

func convolution(pad int64) graph.ConvAttrs {
	return graph.ConvAttrs{Strides: []int64{1, 1}, PadLow: []int64{pad, pad}, PadHigh: []int64{pad, pad}, InputDilation: []int64{1, 1}, FilterDilation: []int64{1, 1}, Groups: 1}
}

func normal(r *rand.Rand, shape ...int64) *graph.Tensor {
	t := graph.NewTensor(graph.F32, shape...)
	for i := range t.Len() {
		t.SetFloat(i, r.NormFloat64())
	}
	return t
}

// TestFilterIsPackedWhenItChanges runs a session again and again: with the same
// filter, one written to the pool, one that another program wrote, and one that
// is not finite.
func TestFilterIsPackedWhenItChanges(t *testing.T) {
	b, err := New(Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, 2))
	x, bias := normal(r, 2, 9, 9, 64), normal(r, 64)
	m := graph.NewModule()
	f := graph.NewBuilder(m, "f", graph.Any)
	in, w, c := f.Input("x", x.Type()), f.Param("w", graph.T(graph.F32, 3, 3, 64, 64), graph.Decl{}), f.Param("bias", bias.Type(), graph.Decl{})
	y := in.Conv(w, convolution(1))
	f.Output("y", y.Add(c.BroadcastAlong([]int64{3}, y.Dims()...)).Relu())
	if _, err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	half := graph.NewBuilder(m, "half", graph.Any)
	half.Output("w", half.Param("w", graph.T(graph.F32, 3, 3, 64, 64), graph.Decl{}).Times(0.5))
	if _, err := half.Finish(); err != nil {
		t.Fatal(err)
	}
	pool, _ := b.NewPool("")
	put := func(v *graph.Tensor) kernels.Handle {
		h, err := pool.New(v.DType, v.Shape)
		if err == nil {
			err = pool.Write(h, v.Data)
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	filter := normal(r, 3, 3, 64, 64)
	hx, hw, hb, hy := put(x), put(filter), put(bias), put(graph.NewTensor(graph.F32, 2, 9, 9, 64))
	session := func(entry string, o kernels.Options) kernels.Session {
		e, err := b.Compile(ctx, m, entry, o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.NewSession(pool)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, halve := session("f", kernels.Options{}), session("half", kernels.Options{Donate: []int{0}})
	check := func(what string) {
		t.Helper()
		for range 2 {
			if _, err := s.Run(ctx, &kernels.Bindings{Params: []kernels.Handle{hx, hw, hb}, Results: []kernels.Handle{hy}}, 1); err != nil {
				t.Fatal(err)
			}
			got := graph.NewTensor(graph.F32, 2, 9, 9, 64)
			if err := pool.Read(hy, got.Data); err != nil {
				t.Fatal(err)
			}
			want, err := reference.Eval(ctx, m, "f", kernels.Options{}, x, filter, bias)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got.Len() {
				g, w := got.Float(i), want[0].Float(i)
				if g != w && !(math.Abs(g-w) <= 2e-4) && !(g != g && w != w) {
					t.Fatalf("%s: element %d is %v, want %v", what, i, g, w)
				}
			}
		}
	}
	check("at first")
	filter = normal(r, 3, 3, 64, 64)
	if err := pool.Write(hw, filter.Data); err != nil {
		t.Fatal(err)
	}
	check("after a write")
	if _, err := halve.Run(ctx, &kernels.Bindings{Params: []kernels.Handle{hw}, Results: []kernels.Handle{hw}}, 1); err != nil {
		t.Fatal(err)
	}
	for i := range filter.Len() {
		filter.SetFloat(i, filter.Float(i)/2)
	}
	check("after another program")
	filter.SetFloat(5, math.Inf(1))
	if err := pool.Write(hw, filter.Data); err != nil {
		t.Fatal(err)
	}
	check("with an infinite weight")
	filter.SetFloat(5, 1)
	if err := pool.Write(hw, filter.Data); err != nil {
		t.Fatal(err)
	}
	check("with a finite one again")
}

// TestEpiloguesKeepBits compares a convolution that adds its bias and applies
// relu with the ops apart.
func TestEpiloguesKeepBits(t *testing.T) {
	b, err := New(Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ size, in, out int64 }{{3, 64, 80}, {3, 5, 7}, {1, 33, 17}, {1, 16, 64}} {
		m := graph.NewModule()
		f := graph.NewBuilder(m, "f", graph.Any)
		x, w, v := f.Input("x", graph.T(graph.F32, 2, 11, 9, c.in)), f.Input("w", graph.T(graph.F32, c.size, c.size, c.in, c.out)), f.Input("v", graph.T(graph.F32, c.out))
		y := x.Conv(w, convolution(c.size/2))
		z := y.Add(v.BroadcastAlong([]int64{3}, y.Dims()...))
		f.Output("apart", z.Relu())
		f.Output("sum", z)
		f.Output("conv", y)
		if _, err := f.Finish(); err != nil {
			t.Fatal(err)
		}
		alone := graph.NewBuilder(m, "alone", graph.Any)
		x, w, v = alone.Input("x", graph.T(graph.F32, 2, 11, 9, c.in)), alone.Input("w", graph.T(graph.F32, c.size, c.size, c.in, c.out)), alone.Input("v", graph.T(graph.F32, c.out))
		y = x.Conv(w, convolution(c.size/2))
		alone.Output("y", y.Add(v.BroadcastAlong([]int64{3}, y.Dims()...)).Relu())
		if _, err := alone.Finish(); err != nil {
			t.Fatal(err)
		}
		args := []*graph.Tensor{normal(r, 2, 11, 9, c.in), normal(r, c.size, c.size, c.in, c.out), normal(r, c.out)}
		apart := runOnce(t, b, m, "f", kernels.Options{}, args...)[0]
		together := runOnce(t, b, m, "alone", kernels.Options{}, args...)[0]
		for i := range apart.Len() {
			if apart.Float(i) != together.Float(i) {
				t.Fatalf("%+v: element %d is %v, apart %v", c, i, together.Float(i), apart.Float(i))
			}
		}
	}
}

// Packed filters are kept from one run to the next where memory has room for
// them; where it has not, they are packed in every run, to the same bits.
func TestPackedFiltersGiveWayToMemory(t *testing.T) {
	b, err := New(Config{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r := rand.New(rand.NewPCG(5, 6))
	args := []*graph.Tensor{normal(r, 1, 8, 8, 64)}
	m := graph.NewModule()
	f := graph.NewBuilder(m, "f", graph.Any)
	y := f.Input("x", args[0].Type())
	for _, name := range []string{"u", "v", "w"} {
		args = append(args, normal(r, 3, 3, 64, 64))
		y = y.Conv(f.Param(name, args[1].Type(), graph.Decl{}), convolution(1)).Times(0.04)
	}
	f.Output("y", y)
	if _, err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	plan := func(memory int64) (kernels.Plan, error) {
		e, err := b.Compile(t.Context(), m, "f", kernels.Options{Memory: memory})
		if err != nil {
			return kernels.Plan{}, err
		}
		return e.Plan(), nil
	}
	free, err := plan(0)
	if err != nil {
		t.Fatal(err)
	}
	whole := free.ParamBytes + free.ArenaBytes
	short, err := plan(whole - 1)
	if err != nil {
		t.Fatalf("with a byte less than the %d that it takes without a bound: %v", whole, err)
	}
	if short.ArenaBytes > free.ArenaBytes/2 {
		t.Errorf("three filters that are kept and the values take %d bytes, one at a time %d", free.ArenaBytes, short.ArenaBytes)
	}
	want, got := runOnce(t, b, m, "f", kernels.Options{}, args...), runOnce(t, b, m, "f", kernels.Options{Memory: whole - 1}, args...)
	if !bytes.Equal(want[0].Data, got[0].Data) {
		t.Error("the bits differ")
	}
}
