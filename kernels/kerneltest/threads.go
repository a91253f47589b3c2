package kerneltest

import (
	"bytes"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// testThreads compares the bits over numbers of threads.
func testThreads(t *testing.T, o Options) {
	r := newDice(o.Seed + 5)
	type job struct {
		name string
		m    *graph.Module
		args []*graph.Tensor
	}
	var jobs []job
	add := func(name string, m *graph.Module, args ...*graph.Tensor) { jobs = append(jobs, job{name, m, args}) }
	f := func(d ...int64) *graph.Tensor { return r.normal(graph.F32, d...) }
	op := func(name string, op graph.Op, a graph.Attrs, in ...*graph.Tensor) {
		m, err := opModule(op, a, in)
		if err != nil {
			t.Fatal(err)
		}
		add(name, m, in...)
	}
	op("dot", graph.OpDot, &graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{0}}, f(67, 301), f(301, 259))
	op("dot tn", graph.OpDot, &graph.DotAttrs{LeftContract: []int64{0}, RightContract: []int64{0}}, f(301, 67), f(301, 259))
	op("sum of all", graph.OpReduce, &graph.ReduceAttrs{Kind: graph.Sum, Axes: []int64{0}}, f(100003))
	op("sum of columns", graph.OpReduce, &graph.ReduceAttrs{Kind: graph.Sum, Axes: []int64{0}}, f(1009, 37))
	op("sum of rows", graph.OpReduce, &graph.ReduceAttrs{Kind: graph.Sum, Axes: []int64{1}}, f(37, 5003))
	op("cumsum", graph.OpCumSum, &graph.CumSumAttrs{Axis: 0}, f(20011))
	op("scatter_add", graph.OpScatterAdd, &graph.GatherAttrs{}, f(31, 17), r.indices(graph.I32, 0, 31, 2003), f(2003, 17))
	conv := &graph.ConvAttrs{Strides: ones(2), PadLow: ones(2), PadHigh: ones(2), InputDilation: ones(2), FilterDilation: ones(2), Groups: 1}
	op("conv", graph.OpConv, conv, f(3, 14, 13, 17), f(3, 3, 17, 33))
	op("conv_filter_grad", graph.OpConvFilterGrad, conv, f(3, 14, 13, 17), f(3, 14, 13, 33), f(3, 3, 17, 33))
	op("conv_input_grad", graph.OpConvInputGrad, conv, f(3, 14, 13, 33), f(3, 3, 17, 33), f(3, 14, 13, 17))
	op("window", graph.OpReduceWindow, &graph.WindowAttrs{Kind: graph.Sum, Window: []int64{1, 3, 3, 1}, Strides: ones(4), PadLow: make([]int64, 4), PadHigh: make([]int64, 4), Dilation: ones(4)}, f(2, 30, 31, 9))
	op("exp", graph.OpExp, nil, f(50021))
	op("random_bits", graph.OpRandomBits, &graph.RandomBitsAttrs{Shape: graph.ConstExprs(777)}, r.uniform(graph.U64, 0, 0), r.uniform(graph.U64, 0, 0), r.indices(graph.I64, 0, 1000, 33))
	add("network", function(t, func(b *graph.Builder) {
		x, w, v := b.Input("x", graph.T(graph.F32, 32, 784)), b.Input("w", graph.T(graph.F32, 784, 128)), b.Input("v", graph.T(graph.F32, 128, 10))
		h := x.MatMul(w).Relu()
		b.Output("loss", h.MatMul(v).SoftmaxCrossEntropy(b.Input("labels", graph.T(graph.I32, 32))).Mean())
		b.Output("mean", h.Mean(0))
	}), f(32, 784), f(784, 128), f(128, 10), r.indices(graph.I32, 0, 10, 32))
	first := map[string][]*graph.Tensor{}
	for _, n := range []int{1, 2, 3, 4, 7} {
		h := &harness{backend: o.WithThreads(t, n), options: o}
		for _, j := range jobs {
			got, err := h.run(t.Context(), j.m, "f", kernels.Options{}, j.args...)
			if err != nil {
				if !h.refusal(err) {
					t.Errorf("%s with %d threads: %v", j.name, n, err)
				}
				continue
			}
			want, ok := first[j.name]
			if !ok {
				first[j.name] = got
				continue
			}
			for k := range want {
				if !bytes.Equal(got[k].Data, want[k].Data) {
					t.Errorf("%s: result %d has other bits with %d threads than with 1", j.name, k, n)
				}
			}
		}
	}
	if len(first) == 0 {
		t.Error("nothing ran")
	}
}
