package train

import (
	"strings"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// What two replicas make of halves is what one makes of the whole, or the
// function is refused.
func TestSpread(t *testing.T) {
	whole := graph.Float32s([]float32{3, 1, -2, 5, 4, 0, 7, -6}, 4, 2)
	for _, c := range []struct {
		name string
		f    func(b *graph.Builder, x graph.Value) graph.Value
		rows bool   // the result has a row for each example
		err  string // part of the refusal
	}{
		{name: "each by itself", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Times(2).Tanh() }, rows: true},
		{name: "sum", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Sum(0) }},
		{name: "mean", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Mean() }},
		{name: "largest", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Reduce(graph.Max, 0) }},
		{name: "less the mean", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Sub(x.Mean(0).Unreduce(x, 0)) }, rows: true},
		{name: "product of columns", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Transpose(1, 0).MatMul(x) }},
		{name: "within an example", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Sub(x.Mean(1).Unreduce(x, 1)) }, rows: true},
		{name: "composite", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Softmax(1) }, rows: true},
		{name: "reshaped", f: func(b *graph.Builder, x graph.Value) graph.Value {
			return x.Reshape(x.Dim(0), graph.E(2), graph.E(1)).Sum(0, 2)
		}},

		{name: "sorted", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Sort(0, false)[0] }, err: "sort"},
		{name: "running sum", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.CumSum(0, false, false) }, err: "cumsum"},
		{name: "turned round", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Reverse(0) }, err: "reverse"},
		{name: "product", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.Reduce(graph.Prod, 0) }, err: "reduce"},
		{name: "pairs", f: func(_ *graph.Builder, x graph.Value) graph.Value { return x.MatMul(x.Transpose(1, 0)).Sum() }, err: "pairs"},
		{name: "numbered", f: func(b *graph.Builder, x graph.Value) graph.Value {
			return x.Mul(b.Iota(graph.F32, 0, x.Dim(0), x.Dim(1)))
		}, err: "iota"},
		{name: "rearranged", f: func(b *graph.Builder, x graph.Value) graph.Value {
			return x.Transpose(1, 0).Reshape(x.Dim(0), graph.E(2))
		}, err: "reshape"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := graph.NewModule()
			b := graph.NewBuilder(m, "f", graph.Any)
			b.Output("y", c.f(b, b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(2)}})))
			f, err := b.Finish()
			if err != nil {
				t.Fatal(err)
			}
			g, err := spread(m, f, 2)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, wanted a word of %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, err := reference.Eval(t.Context(), m, f.Name, kernels.Options{}, whole)
			if err != nil {
				t.Fatal(err)
			}
			half := func(i int) []*graph.Tensor {
				return []*graph.Tensor{{DType: whole.DType, Shape: []int64{2, 2}, Data: whole.Data[16*i : 16*i+16]}}
			}
			got, err := reference.Lockstep(t.Context(), m, g.Name, kernels.Options{}, half(0), half(1))
			if err != nil {
				t.Fatal(err)
			}
			for r := range got {
				first := 0
				if c.rows {
					first = r * got[r][0].Len()
				}
				for i := range got[r][0].Len() {
					if a, b := got[r][0].Float(i), want[0].Float(first+i); a-b > 1e-6 || b-a > 1e-6 {
						t.Errorf("replica %d, element %d: %v, wanted %v", r, i, a, b)
					}
				}
			}
		})
	}
}
