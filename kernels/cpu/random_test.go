package cpu

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// randomModule makes a function of elementwise chains, products, reductions and
// movements over matrices whose extents hurt.
func randomModule(r *rand.Rand) (*graph.Module, []*graph.Tensor, []int) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	sizes := []int64{1, 3, 8, 17, 40, 130}
	if r.IntN(4) == 0 {
		sizes = []int64{300, 17, 64}
	}
	pick := func() int64 { return sizes[r.IntN(len(sizes))] }
	var values []graph.Value
	var args []*graph.Tensor
	var donate []int
	input := func(name string, shape ...int64) graph.Value {
		t := graph.NewTensor(graph.F32, shape...)
		for i := range t.Len() {
			t.SetFloat(i, r.NormFloat64())
		}
		args = append(args, t)
		return b.Param(name, t.Type(), graph.Decl{})
	}
	for i := range 3 {
		values = append(values, input(fmt.Sprint("p", i), pick(), pick()))
	}
	for range 4 + r.IntN(24) {
		x := values[r.IntN(len(values))]
		e := func(axis int) int64 { return x.ConstDim(axis) }
		var y graph.Value
		switch r.IntN(14) {
		case 0:
			y = x.Tanh()
		case 1:
			y = x.Times(0.5).Plus(0.25)
		case 2:
			y = x.Sigmoid().Mul(x)
		case 3:
			y = x.Gt(b.Scalar(graph.F32, 0)).Select(x, x.Neg())
		case 4, 5:
			for _, o := range values {
				if o.Type().Equal(x.Type()) && o != x {
					y = x.Sub(o).Max(o.Times(0.5))
				}
			}
			if !y.Valid() {
				y = x.Square().Plus(1).Sqrt()
			}
		case 6:
			y = x.Sub(x.Reduce(graph.Max, 1).Reshape(graph.E(e(0)), graph.E(1)))
		case 7:
			y = x.Mul(x.Mean(0)).Times(0.5)
		case 8:
			y = x.Transpose(1, 0)
		case 9:
			w := input(fmt.Sprint("w", len(args)), e(1), pick())
			y = x.MatMul(w).Times(1 / math.Sqrt(float64(e(1))))
		case 10:
			for _, o := range values {
				if o.ConstDim(0) == e(0) {
					y = x.Dot(o, graph.DotAttrs{LeftContract: []int64{0}, RightContract: []int64{0}}).Times(1 / math.Sqrt(float64(e(0))))
				}
			}
		case 11:
			for _, o := range values {
				if o.ConstDim(1) == e(1) {
					y = x.Dot(o, graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{1}}).Times(1 / math.Sqrt(float64(e(1))))
				}
			}
		case 12:
			y = x.Softmax(-1)
		case 13:
			y = x.Transpose(1, 0).Tanh().Transpose(1, 0).Add(x)
		}
		if y.Valid() {
			values = append(values, y)
		}
	}
	used := map[int]bool{}
	for i, p := range []string{"p0", "p1", "p2"} {
		for k := len(values) - 1; k > 2; k-- {
			if values[k].Type().Equal(args[i].Type()) && !used[k] {
				used[k] = true
				b.Replace(graph.ParamRole, p, values[k])
				donate = append(donate, i)
				break
			}
		}
	}
	b.Output("y", values[len(values)-1])
	donate = append(donate, -1)
	b.Output("sum", values[len(values)/2].Sum())
	donate = append(donate, -1)
	f, err := b.Finish()
	if err != nil {
		panic(err)
	}
	for i, res := range f.Results {
		donate[i] = f.Param(res.Role, res.Name)
	}
	return m, args, donate
}

func TestRandomGraphsEqualReference(t *testing.T) {
	var backends []*Backend
	for _, threads := range []int{1, 2, 3} {
		b, err := New(Config{Threads: threads, shareAll: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		backends = append(backends, b)
	}
	early, err := New(Config{Threads: 2, shareAll: true})
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	early.early = 0
	backends = append(backends, early)
	n := uint64(40)
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		r := rand.New(rand.NewPCG(seed, 7))
		m, args, donate := randomModule(r)
		want, err := reference.Eval(context.Background(), m, "f", kernels.Options{}, args...)
		if err != nil {
			t.Fatal(err)
		}
		var first []*graph.Tensor
		for _, b := range backends {
			got := runOnce(t, b, m, "f", kernels.Options{Donate: donate}, args...)
			if first == nil {
				first = got
			}
			for i := range got {
				if !bytes.Equal(got[i].Data, first[i].Data) {
					t.Fatalf("seed %d: result %d depends on the number of threads, or on when it is updated", seed, i)
				}
				scale := 0.0
				for k := range want[i].Len() {
					scale = max(scale, math.Abs(want[i].Float(k)))
				}
				for k := range want[i].Len() {
					if d := math.Abs(got[i].Float(k) - want[i].Float(k)); !(d <= 3e-4*(scale+1)) {
						t.Fatalf("seed %d, %d threads: result %d, element %d is %v, want %v\n%v", seed, b.team.size, i, k, got[i].Float(k), want[i].Float(k), m)
					}
				}
			}
		}
	}
}
