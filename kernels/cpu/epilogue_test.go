package cpu

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// TestProductEpilogues has products that add a bias and apply relu give the bits
// of the same products whose result is also wanted by itself, and so is computed
// apart, whatever the layout (the last row is not a number), the shape and the number of threads.
func TestProductEpilogues(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		left, right  graph.Shape
		contract     int64 // axis of the right operand
		relu, before bool  // whether the bias stands before the product
	}{
		{graph.ShapeOf(1, 7), graph.ShapeOf(7, 5), 0, true, false},
		{graph.ShapeOf(33, 300), graph.ShapeOf(300, 20), 0, true, true},
		{graph.ShapeOf(32, 784), graph.ShapeOf(784, 128), 0, true, false},
		{graph.ShapeOf(32, 784), graph.ShapeOf(784, 1), 0, false, false},
		{graph.ShapeOf(64, 40), graph.ShapeOf(17, 40), 1, true, false},
		{graph.ShapeOf(4, 9, 30), graph.ShapeOf(30, 12), 0, true, true},
		{graph.ShapeOf(6, 1), graph.ShapeOf(1, 50), 0, true, false},
	} {
		for _, threads := range []int{1, 2, 3} {
			t.Run(fmt.Sprint(c.left, c.right, threads), func(t *testing.T) {
				b, err := New(Config{Threads: threads})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				m := graph.NewModule()
				free, _ := c.right[1-c.contract].Const()
				bias := normal(r, free)
				last := int64(len(c.left) - 1)
				build := func(name string, apart bool) {
					f := graph.NewBuilder(m, name, graph.Any)
					x, w := f.Input("x", graph.Type{DType: graph.F32, Shape: c.left}), f.Param("w", graph.Type{DType: graph.F32, Shape: c.right}, graph.Decl{})
					v := f.Param("bias", bias.Type(), graph.Decl{})
					d := x.Dot(w, graph.DotAttrs{LeftContract: []int64{last}, RightContract: []int64{c.contract}})
					along := v.BroadcastAlong([]int64{last}, d.Dims()...)
					y := d.Add(along)
					if c.before {
						y = along.Add(d)
					}
					if c.relu {
						y = y.Relu()
					}
					f.Output("y", y)
					if apart {
						f.Output("d", d)
					}
					if _, err := f.Finish(); err != nil {
						t.Fatal(err)
					}
				}
				build("together", false)
				build("apart", true)
				pool, err := b.NewPool("")
				if err != nil {
					t.Fatal(err)
				}
				place := func(v *graph.Tensor) kernels.Handle {
					h, err := pool.New(v.DType, v.Shape)
					if err == nil {
						err = pool.Write(h, v.Data)
					}
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
				extents := func(s graph.Shape) (e []int64) {
					for _, d := range s {
						n, _ := d.Const()
						e = append(e, n)
					}
					return e
				}
				left := normal(r, extents(c.left)...)
				binary.LittleEndian.PutUint32(left.Data[len(left.Data)-4:], math.Float32bits(float32(math.NaN())))
				params := []kernels.Handle{place(left), place(normal(r, extents(c.right)...)), place(bias)}
				out := append(extents(c.left)[:last:last], free)
				run := func(entry string, results int) []byte {
					e, err := b.Compile(ctx, m, entry, kernels.Options{})
					if err != nil {
						t.Fatal(err)
					}
					s, err := e.NewSession(pool)
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					hs := []kernels.Handle{place(graph.NewTensor(graph.F32, out...)), place(graph.NewTensor(graph.F32, out...))}[:results]
					if _, err := s.Run(ctx, &kernels.Bindings{Params: params, Results: hs}, 1); err != nil {
						t.Fatal(err)
					}
					got := graph.NewTensor(graph.F32, out...)
					if err := pool.Read(hs[0], got.Data); err != nil {
						t.Fatal(err)
					}
					fused := int64(-1)
					for _, p := range e.Plan().Passes {
						for _, n := range p.Did {
							if p.Name == "epilogues" && n.What == "biases" {
								fused = n.N
							}
						}
					}
					if (fused == 1) != (results == 1) {
						t.Errorf("%s has %d products with a bias", entry, fused)
					}
					return got.Data
				}
				if !bytes.Equal(run("together", 1), run("apart", 2)) {
					t.Error("the bits differ")
				}
			})
		}
	}
}
