package cpu

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// TestProductsOfZeros trains one layer for a step on a batch that is mostly zeros,
// which products leave out: forward, whole or in pieces of the weights that it
// replaces, and for the gradient. It must be near the reference, to the bit the same
// on any threads, and not a number exactly where the reference is not.
func TestProductsOfZeros(t *testing.T) {
	for _, c := range []struct{ batch, inputs, units int64 }{{32, 784, 128}, {48, 300, 40}, {64, 108, 37}} {
		for _, bad := range []bool{false, true} {
			t.Run(fmt.Sprint(c, bad), func(t *testing.T) {
				r := rand.New(rand.NewPCG(31, 32))
				x, w, dy := normal(r, c.batch, c.inputs), normal(r, c.inputs, c.units), normal(r, c.batch, c.units)
				for i := range x.Len() {
					if r.IntN(8) > 0 {
						x.SetFloat(i, 0)
					}
				}
				if bad {
					w.SetFloat(w.Len()/2, math.Inf(1))
					dy.SetFloat(dy.Len()/2, math.NaN())
				}
				m := graph.NewModule()
				f := graph.NewBuilder(m, "step", graph.Any)
				xv, wv, dv := f.Input("x", x.Type()), f.Param("w", w.Type(), graph.Decl{}), f.Input("dy", dy.Type())
				f.Output("y", xv.MatMul(wv).Relu())
				grad := xv.Dot(dv, graph.DotAttrs{LeftContract: []int64{0}, RightContract: []int64{0}})
				f.Output("w", wv.Sub(grad.Times(0.1)))
				if _, err := f.Finish(); err != nil {
					t.Fatal(err)
				}
				o := kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: c.batch}}
				want, err := reference.Eval(context.Background(), m, "step", o, x, w, dy)
				if err != nil {
					t.Fatal(err)
				}
				o.Donate = []int{-1, 1}
				var first []*graph.Tensor
				for threads := 1; threads <= 3; threads++ {
					b, err := New(Config{Threads: threads})
					if err != nil {
						t.Fatal(err)
					}
					got := runOnce(t, b, m, "step", o, x, w, dy)
					b.Close()
					for k, g := range got {
						for i := range g.Len() {
							a, b := g.Float(i), want[k].Float(i)
							if math.IsNaN(a) != math.IsNaN(b) || math.IsInf(a, 0) != math.IsInf(b, 0) || math.Abs(a-b) > 1e-5*(10+math.Abs(b)) {
								t.Fatalf("result %d, element %d is %v, of the reference %v", k, i, a, b)
							}
							if first != nil && math.Float64bits(a) != math.Float64bits(first[k].Float(i)) {
								t.Fatalf("result %d, element %d is %v on %d threads and %v on one", k, i, a, threads, first[k].Float(i))
							}
						}
					}
					if first == nil {
						first = got
					}
				}
			})
		}
	}
}
