package autodiff

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

func TestEveryOpHasARuleOrSaysWhyNot(t *testing.T) {
	for _, op := range graph.Ops() {
		n := 0
		for _, has := range []bool{rules[op] != nil, constant[op] != "", structural[op]} {
			if has {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%v stands in %d of the tables rules, constant and structural; give it a gradient or the reason why it has none", op, n)
		}
	}
}

// n is the batch size of the tests; an extent of 0 in a shape stands for it.
const n = 3

// value is one argument: its shape, and the range its elements are drawn from.
type value struct {
	shape  []int64
	lo, hi float64
}

func in(shape ...int64) value { return value{shape, -2, 2} }

func (v value) from(lo, hi float64) value { return value{v.shape, lo, hi} }

// gradientCase is a function of f64 values of which the gradient is compared
// with central differences, and the gradient's gradient too.
type gradientCase struct {
	name string
	args []value
	f    func(b *graph.Builder, x []graph.Value) []graph.Value
	// once leaves out the second derivative.
	once bool
}

func one(v graph.Value) []graph.Value { return []graph.Value{v} }

func f1(f func(graph.Value) graph.Value) func(*graph.Builder, []graph.Value) []graph.Value {
	return func(_ *graph.Builder, x []graph.Value) []graph.Value { return one(f(x[0])) }
}

func f2(f func(a, b graph.Value) graph.Value) func(*graph.Builder, []graph.Value) []graph.Value {
	return func(_ *graph.Builder, x []graph.Value) []graph.Value { return one(f(x[0], x[1])) }
}

func i32(b *graph.Builder, shape []int64, v ...int32) graph.Value {
	return b.Const(graph.Int32s(v, shape...))
}

func apply(op graph.Op, a graph.Attrs) func(*graph.Builder, []graph.Value) []graph.Value {
	return func(b *graph.Builder, x []graph.Value) []graph.Value { return b.Apply(op, a, x...) }
}

func conv(spatial int, groups int64) graph.ConvAttrs {
	a := graph.ConvAttrs{Groups: groups}
	for i := range int64(spatial) {
		a.Strides = append(a.Strides, 1+i)
		a.PadLow = append(a.PadLow, 1)
		a.PadHigh = append(a.PadHigh, i)
		a.InputDilation = append(a.InputDilation, 1)
		a.FilterDilation = append(a.FilterDilation, 2-i)
	}
	return a
}

func window(kind graph.ReduceKind) graph.WindowAttrs {
	return graph.WindowAttrs{Kind: kind, Window: []int64{1, 2, 3}, Strides: []int64{1, 2, 1}, PadLow: []int64{0, 1, 1}, PadHigh: []int64{0, 0, 1}, Dilation: []int64{1, 1, 2}}
}

var cases = []gradientCase{
	{name: "neg", args: []value{in(0, 2)}, f: f1(graph.Value.Neg)},
	{name: "abs", args: []value{in(5)}, f: f1(graph.Value.Abs)},
	{name: "exp", args: []value{in(5)}, f: f1(graph.Value.Exp)},
	{name: "expm1", args: []value{in(5)}, f: f1(graph.Value.Expm1)},
	{name: "log", args: []value{in(5).from(0.5, 3)}, f: f1(graph.Value.Log)},
	{name: "log1p", args: []value{in(5).from(-0.5, 3)}, f: f1(graph.Value.Log1p)},
	{name: "sqrt", args: []value{in(5).from(0.5, 3)}, f: f1(graph.Value.Sqrt)},
	{name: "rsqrt", args: []value{in(5).from(0.5, 3)}, f: f1(graph.Value.Rsqrt)},
	{name: "tanh", args: []value{in(5)}, f: f1(graph.Value.Tanh)},
	{name: "sigmoid", args: []value{in(5)}, f: f1(graph.Value.Sigmoid)},
	{name: "erf", args: []value{in(5)}, f: f1(graph.Value.Erf)},
	{name: "sin", args: []value{in(5)}, f: f1(graph.Value.Sin)},
	{name: "cos", args: []value{in(5)}, f: f1(graph.Value.Cos)},
	{name: "convert", args: []value{in(5)}, f: f1(func(x graph.Value) graph.Value {
		return x.Exp().Convert(graph.F64).Add(x.Convert(graph.I32).Convert(graph.F64))
	})},
	{name: "piecewise constant", args: []value{in(5)}, f: f1(func(x graph.Value) graph.Value {
		return x.Sign().Add(x.Floor()).Add(x.Ceil()).Add(x.Round()).Mul(x)
	}), once: true},

	{name: "add", args: []value{in(0, 2), in(2)}, f: f2(graph.Value.Add)},
	{name: "sub", args: []value{in(0, 2), in(0, 1)}, f: f2(graph.Value.Sub)},
	{name: "mul", args: []value{in(0, 2), in()}, f: f2(graph.Value.Mul)},
	{name: "mul itself", args: []value{in(4)}, f: f1(func(x graph.Value) graph.Value { return x.Mul(x) })},
	{name: "div", args: []value{in(4), in(4).from(0.5, 3)}, f: f2(graph.Value.Div)},
	{name: "rem", args: []value{in(4).from(-9, 9), in(4).from(0.5, 3)}, f: f2(graph.Value.Rem)},
	{name: "pow", args: []value{in(4).from(0.5, 3), in(4)}, f: f2(graph.Value.Pow)},
	{name: "max", args: []value{in(6), in(6)}, f: f2(graph.Value.Max)},
	{name: "min", args: []value{in(6), in(6)}, f: f2(graph.Value.Min)},
	{name: "select", args: []value{in(6), in(6)}, f: f2(func(a, b graph.Value) graph.Value { return a.Gt(b).Select(a.Exp(), b.Tanh()) })},

	{name: "reduce sum", args: []value{in(0, 4, 2)}, f: f1(func(x graph.Value) graph.Value { return x.Exp().Sum(0, 2) })},
	{name: "reduce sum of all", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Exp().Sum() })},
	{name: "reduce none", args: []value{in(4)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return b.Apply(graph.OpReduce, &graph.ReduceAttrs{Kind: graph.Max}, x[0].Exp())
	}},
	{name: "mean", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Exp().Mean(0) })},
	{name: "reduce max", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Mul(x).Reduce(graph.Max, 0) })},
	{name: "reduce min", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Mul(x).Reduce(graph.Min, 1) })},
	{name: "reduce prod", args: []value{in(0, 3)}, f: f1(func(x graph.Value) graph.Value { return x.Reduce(graph.Prod, 1) })},

	{name: "sort", args: []value{in(0, 5), in(0, 5)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return x[0].Mul(x[0]).Sort(1, true, x[1].Exp())
	}},
	{name: "sort of the carried alone", args: []value{in(0, 5)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return x[0].Floor().Sort(1, false, x[0].Exp())[1:]
	}, once: true},
	{name: "top_k", args: []value{in(0, 5)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		v, _ := x[0].Mul(x[0]).TopK(3)
		return one(v)
	}},
	{name: "cumsum", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value {
		return x.Exp().CumSum(1, true, false).Add(x.CumSum(0, false, true))
	})},

	{name: "reshape", args: []value{in(0, 4, 2)}, f: f1(func(x graph.Value) graph.Value { return x.Exp().Flatten(1) })},
	{name: "transpose", args: []value{in(0, 4, 2)}, f: f1(func(x graph.Value) graph.Value { return x.Exp().Transpose(2, 0, 1) })},
	{name: "broadcast", args: []value{in(4, 1)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].Exp().BroadcastAlong([]int64{1, 2}, graph.E(3), graph.E(4), graph.E(5)))
	}},
	{name: "slice", args: []value{in(0, 7)}, f: f1(func(x graph.Value) graph.Value {
		return x.Exp().Slice(graph.Es(0, 1), []graph.Extent{x.Dim(0), x.Dim(1).Plus(graph.E(-1))}, []int64{1, 2})
	})},
	{name: "empty slice", args: []value{in(7)}, f: f1(func(x graph.Value) graph.Value {
		return x.Exp().Slice(graph.Es(3), graph.Es(3), []int64{2})
	})},
	{name: "dynamic_slice", args: []value{in(4, 5)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		at := []graph.Value{b.Scalar(graph.I64, 1), b.Scalar(graph.I64, 4)} // the second is clamped
		return one(x[0].Exp().DynamicSlice(at, graph.E(2), graph.E(3)))
	}},
	{name: "dynamic_update_slice", args: []value{in(0, 5), in(0, 2)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].Exp().DynamicUpdateSlice(x[1].Exp(), b.Scalar(graph.I32, -3), b.Scalar(graph.I32, 2)))
	}},
	{name: "pad", args: []value{in(0, 4), in()}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return b.Apply(graph.OpPad, &graph.PadAttrs{Low: graph.ConstExprs(0, 2), High: graph.ConstExprs(1, -1), Interior: []int64{0, 1}}, x[0].Exp(), x[1].Exp())
	}},
	{name: "pad the batch", args: []value{in(0, 2)}, f: f1(func(x graph.Value) graph.Value {
		return x.Exp().Pad(1, graph.Es(1, -1), graph.Es(0, 0), []int64{2, 0})
	})},
	{name: "reverse", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Exp().Reverse(0, 1) })},
	{name: "concat", args: []value{in(0, 2), in(0, 3)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(b.Concat(1, x[0].Exp(), x[1], x[0]))
	}},
	{name: "gather", args: []value{in(4, 2)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].Exp().Gather(0, 0, i32(b, []int64{2, 3}, 1, 1, 3, -5, 9, 0)))
	}},
	{name: "gather by narrow indices", args: []value{in(300)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		narrow := b.Const(&graph.Tensor{DType: graph.U8, Shape: []int64{2}, Data: []byte{7, 255}})
		wide := b.Const(&graph.Tensor{DType: graph.U64, Shape: []int64{1}, Data: []byte{0, 0, 0, 0, 0, 0, 0, 255}})
		return []graph.Value{x[0].Exp().Gather(0, 0, narrow), x[0].Exp().Gather(0, 0, wide)}
	}},
	{name: "gather with batch axes", args: []value{in(2, 3, 4)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].Exp().Gather(2, 1, i32(b, []int64{2, 2}, 1, 1, 3, 7)))
	}},
	{name: "scatter_add", args: []value{in(4, 2), in(3, 2)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].Exp().ScatterAdd(0, 0, i32(b, []int64{3}, 1, 9, 1), x[1].Exp()))
	}},
	{name: "scatter_add with batch axes", args: []value{in(2, 3, 4), in(2, 3, 2)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].Exp().ScatterAdd(2, 1, i32(b, []int64{2, 2}, 1, -1, 3, 3), x[1].Exp()))
	}},

	{name: "dot", args: []value{in(0, 4), in(4, 2)}, f: f2(graph.Value.MatMul)},
	{name: "dot of vectors", args: []value{in(4), in(4)}, f: f2(graph.Value.MatMul)},
	{name: "outer product", args: []value{in(4), in(2)}, f: f2(func(a, b graph.Value) graph.Value { return a.Dot(b, graph.DotAttrs{}) })},
	{name: "dot with batch axes", args: []value{in(0, 2, 3, 4), in(3, 4, 0, 5, 2)}, f: f2(func(a, b graph.Value) graph.Value {
		return a.Dot(b, graph.DotAttrs{LeftBatch: []int64{0}, RightBatch: []int64{2}, LeftContract: []int64{3, 1}, RightContract: []int64{1, 4}})
	})},
	{name: "conv", args: []value{in(0, 5, 6, 4), in(2, 3, 2, 6)}, f: apply(graph.OpConv, ptr(conv(2, 2)))},
	{name: "conv with one spatial axis", args: []value{in(2, 7, 2), in(3, 2, 3)}, f: apply(graph.OpConv, ptr(conv(1, 1)))},
	{name: "transposed conv", args: []value{in(2, 4, 2), in(3, 2, 3)}, f: apply(graph.OpConv, &graph.ConvAttrs{Strides: []int64{1}, PadLow: []int64{2}, PadHigh: []int64{1}, InputDilation: []int64{2}, FilterDilation: []int64{1}, Groups: 1})},
	{name: "reduce_window sum", args: []value{in(0, 5, 6)}, f: f1(func(x graph.Value) graph.Value { return x.Exp().ReduceWindow(window(graph.Sum)) })},
	{name: "reduce_window max", args: []value{in(0, 5, 6)}, f: f1(func(x graph.Value) graph.Value { return x.Mul(x).ReduceWindow(window(graph.Max)) })},
	{name: "reduce_window min", args: []value{in(0, 5, 6)}, f: f1(func(x graph.Value) graph.Value { return x.Mul(x).ReduceWindow(window(graph.Min)) })},

	{name: "relu", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Relu().Mul(x) })},
	{name: "silu", args: []value{in(0, 4)}, f: f1(graph.Value.Silu)},
	{name: "softplus", args: []value{in(0, 4)}, f: f1(graph.Value.Softplus)},
	{name: "moments", args: []value{in(0, 4)}, f: func(_ *graph.Builder, x []graph.Value) []graph.Value {
		mean, variance := x[0].Moments(1)
		return []graph.Value{mean, variance}
	}},
	{name: "batch_norm", args: []value{in(0, 4), in(4), in(4)}, f: func(_ *graph.Builder, x []graph.Value) []graph.Value {
		y, mean, variance := x[0].BatchNorm(x[1], x[2], 1, .1)
		return []graph.Value{y, mean, variance}
	}},
	{name: "batch_norm of images", args: []value{in(0, 2, 3, 2), in(3), in(3)}, f: func(_ *graph.Builder, x []graph.Value) []graph.Value {
		y, _, _ := x[0].BatchNorm(x[1], x[2], 2, .1)
		return one(y)
	}},
	{name: "gelu", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Gelu(false) })},
	{name: "approximate gelu", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Gelu(true) })},
	{name: "softmax", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.Softmax(0).Add(x.Softmax(1)) })},
	{name: "log_softmax", args: []value{in(0, 4)}, f: f1(func(x graph.Value) graph.Value { return x.LogSoftmax(-1) })},
	{name: "softmax_cross_entropy", args: []value{in(3, 4)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].SoftmaxCrossEntropy(i32(b, []int64{3}, 1, 3, 9)))
	}},
	{name: "normalization", args: []value{in(0, 6), in(6), in(6)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		d := x[0].Sub(x[0].Mean(0))
		return one(d.Mul(d.Mul(d).Mean(0).Plus(1e-3).Rsqrt()).Mul(x[1]).Add(x[2]))
	}},
	{name: "attention", args: []value{in(2, 3, 4), in(2, 5, 4), in(2, 5, 4)}, f: func(b *graph.Builder, x []graph.Value) []graph.Value {
		return one(x[0].MatMul(x[1].Transpose(0, 2, 1)).Softmax(-1).MatMul(x[2]))
	}},
}

func ptr[T any](v T) *T { return &v }

func TestGradientsEqualCentralDifferences(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.check(t) })
	}
}

func (c gradientCase) check(t *testing.T) {
	t.Helper()
	m := graph.NewModule()
	f := c.trace(t, m)
	r := rand.New(rand.NewPCG(7, uint64(len(c.name))))
	args := make([]*graph.Tensor, len(c.args))
	for i, v := range c.args {
		shape := append([]int64(nil), v.shape...)
		for j := range shape {
			if shape[j] == 0 {
				shape[j] = n
			}
		}
		args[i] = graph.NewTensor(graph.F64, shape...)
		for j := range args[i].Len() {
			args[i].SetFloat(j, v.lo+(v.hi-v.lo)*r.Float64())
		}
	}
	wrt := make([]int, len(args))
	for i := range wrt {
		wrt[i] = i
	}
	g, err := Gradient(m, f, wrt, 0)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "first", m, f, 0, g, args)
	if c.once {
		return
	}
	// The gradient, weighted and added up, is a function to differentiate again.
	b := graph.NewBuilder(m, "weighted", graph.Any)
	var x []graph.Value
	for _, p := range f.Params {
		x = append(x, b.Input(p.Name, p.Type))
	}
	total := b.Scalar(graph.F64, 0)
	for i, d := range b.Apply(graph.OpCall, &graph.CallAttrs{Callee: g.Name}, x...)[1:] {
		total = total.Add(weigh(d, uint64(100+i)))
	}
	b.Output("total", total)
	w, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	h, err := Gradient(m, w, wrt, 0)
	if err != nil {
		t.Fatal("second: ", err)
	}
	compare(t, "second", m, w, 0, h, args)
}

// trace builds the function of the case: a scalar that weighs its results.
func (c gradientCase) trace(t *testing.T, m *graph.Module) *graph.Func {
	t.Helper()
	b := graph.NewBuilder(m, "f", graph.Any)
	var x []graph.Value
	for i, v := range c.args {
		s := make(graph.Shape, len(v.shape))
		for j, e := range v.shape {
			if s[j] = graph.N(e); e == 0 {
				s[j] = graph.Batch
			}
		}
		x = append(x, b.Input(fmt.Sprintf("x%d", i), graph.Type{DType: graph.F64, Shape: s}))
	}
	total := b.Scalar(graph.F64, 0)
	for i, y := range c.f(b, x) {
		total = total.Add(weigh(y, uint64(i)))
	}
	b.Output("loss", total)
	f, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// weigh adds up the elements, each with a weight of its own.
func weigh(v graph.Value, seed uint64) graph.Value {
	if v.Rank() == 0 {
		return v.Times(1.25)
	}
	b := v.Builder()
	w := b.Scalar(graph.F64, 0.3+float64(seed)/7)
	for i := range v.Rank() {
		w = w.Times(1.7).Add(b.Iota(graph.F64, i, v.Dims()...).Plus(1).Times(0.37).Sin())
	}
	return v.Mul(w).Sum()
}

// compare checks the results of g behind those of f against central
// differences of f's result, along three random directions of each argument:
// a wrong element shows in all of them.
func compare(t *testing.T, what string, m *graph.Module, f *graph.Func, result int, g *graph.Func, args []*graph.Tensor) {
	t.Helper()
	if err := graph.Verify(m, graph.Limits{}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	r := rand.New(rand.NewPCG(11, 13))
	got := eval(t, m, g, args)
	for i, x := range args {
		d := got[len(f.Results)+i]
		for range 3 {
			const h = 1e-5
			along := make([]float64, x.Len())
			slope := 0.0
			for j := range along {
				along[j] = 2*r.Float64() - 1
				slope += along[j] * d.Float(j)
			}
			at := func(h float64) float64 {
				moved := append([]*graph.Tensor(nil), args...)
				moved[i] = graph.NewTensor(x.DType, x.Shape...)
				for j, a := range along {
					moved[i].SetFloat(j, x.Float(j)+h*a)
				}
				return eval(t, m, f, moved)[result].Float(0)
			}
			want := (at(h) - at(-h)) / (2 * h)
			if !(math.Abs(slope-want) <= 2e-6*math.Max(1, math.Abs(want))) {
				t.Errorf("%s derivative by argument %d: %v, central differences give %v", what, i, slope, want)
			}
		}
	}
}

func eval(t *testing.T, m *graph.Module, f *graph.Func, args []*graph.Tensor) []*graph.Tensor {
	t.Helper()
	out, err := reference.Eval(t.Context(), m, f.Name, kernels.Options{Mode: f.Mode}, args...)
	if err != nil {
		t.Fatalf("%v\n%v", err, f)
	}
	return out
}
