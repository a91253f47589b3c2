package cpu

import (
	"context"
	"math"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// Adam where a moment cannot be updated in place, since its old value is needed
// together with the new parameter: the moment must not take the memory of the
// gradient, which the kernel reads after it has begun to write.
func TestAdamBesideItsOldMoment(t *testing.T) {
	for _, n := range []int64{1, 64, 5000} {
		m := graph.NewModule()
		b := graph.NewBuilder(m, "f", graph.Any)
		vector := graph.T(graph.F32, n)
		w, x := b.Param("w", vector, graph.Decl{}), b.Input("x", graph.T(graph.F32, 3, n))
		first, second := b.Slot("m", vector, graph.Decl{}), b.Slot("v", vector, graph.Decl{})
		g := x.Sum(0)
		newFirst := first.Add(g.Sub(first).Times(0.1))
		newSecond := second.Add(g.Mul(g).Sub(second).Times(0.001))
		now := w.Sub(newFirst.Times(0.01).Div(newSecond.Sqrt().Plus(1e-7)))
		b.Replace(graph.ParamRole, "w", now)
		b.Replace(graph.SlotRole, "m", newFirst)
		b.Replace(graph.SlotRole, "v", newSecond)
		b.Output("old", second.Mul(now).Add(first).Sum())
		f, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		var args []*graph.Tensor
		for k, p := range f.Params {
			shape, _ := p.Type.Shape.Const()
			v := graph.NewTensor(p.Type.DType, shape...)
			for i := range v.Len() {
				v.SetFloat(i, 1.5+math.Sin(float64(3*i+k)))
			}
			args = append(args, v)
		}
		var donate []int
		for _, r := range f.Results {
			donate = append(donate, f.Param(r.Role, r.Name))
		}
		backend, err := New(Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer backend.Close()
		want, err := reference.Eval(context.Background(), m, "f", kernels.Options{}, args...)
		if err != nil {
			t.Fatal(err)
		}
		for k, got := range runOnce(t, backend, m, "f", kernels.Options{Donate: donate}, args...) {
			for i := range got.Len() {
				if d := math.Abs(got.Float(i) - want[k].Float(i)); d > 2e-6*(1+math.Abs(want[k].Float(i))) {
					t.Fatalf("%d elements: result %q, element %d is %v, wanted %v", n, f.Results[k].Name, i, got.Float(i), want[k].Float(i))
				}
			}
		}
	}
}

// Adam where the gradient is wanted for something else between the moments and
// the parameter: what holds it must not be given away before the update reads it.
func TestAdamBesideAnotherReaderOfTheGradient(t *testing.T) {
	for _, c := range []struct {
		n      int64
		memory bool // the gradient comes from memory, which the other may take over
	}{{16, false}, {5000, false}, {16, true}, {5000, true}} {
		n := c.n
		m := graph.NewModule()
		b := graph.NewBuilder(m, "f", graph.Any)
		vector := graph.T(graph.F32, n)
		w, x, y := b.Param("w", vector, graph.Decl{}), b.Input("x", vector), b.Input("y", vector)
		first, second := b.Slot("m", vector, graph.Decl{}), b.Slot("v", vector, graph.Decl{})
		g := x.Mul(y)
		if c.memory {
			g = g.CumSum(0, false, false).Times(1/float64(n)).CumSum(0, true, true)
		}
		newFirst := first.Add(g.Sub(first).Times(0.1))
		newSecond := second.Add(g.Mul(g).Sub(second).Times(0.001))
		decayed := w.Times(0.99)
		z := g.Tanh()
		z = z.Sub(y).Tanh().Mul(decayed.Sub(z))
		b.Replace(graph.ParamRole, "w", decayed.Sub(newFirst.Times(0.01).Div(newSecond.Sqrt().Plus(1e-7))))
		b.Replace(graph.SlotRole, "m", newFirst)
		b.Replace(graph.SlotRole, "v", newSecond)
		b.Output("z", z.CumSum(0, false, false))
		f, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		var args []*graph.Tensor
		for k := range f.Params {
			v := graph.NewTensor(graph.F32, n)
			for i := range v.Len() {
				v.SetFloat(i, 1.5+math.Sin(float64(3*i+k)))
			}
			args = append(args, v)
		}
		var donate []int
		for _, r := range f.Results {
			donate = append(donate, f.Param(r.Role, r.Name))
		}
		backend, err := New(Config{Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer backend.Close()
		want, err := reference.Eval(context.Background(), m, "f", kernels.Options{}, args...)
		if err != nil {
			t.Fatal(err)
		}
		for k, got := range runOnce(t, backend, m, "f", kernels.Options{Donate: donate}, args...) {
			for i := range got.Len() {
				if d := math.Abs(got.Float(i) - want[k].Float(i)); d > 2e-5*(1+math.Abs(want[k].Float(i))) {
					t.Fatalf("%+v: result %q, element %d is %v, wanted %v", c, f.Results[k].Name, i, got.Float(i), want[k].Float(i))
				}
			}
		}
	}
}
