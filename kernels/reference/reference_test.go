package reference_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

var background = context.Background()

func TestEveryOpHasAMeaning(t *testing.T) {
	for _, op := range graph.Ops() {
		if s := reference.New().Support(op, ""); s != kernels.Native {
			t.Errorf("%v is %v", op, s)
		}
	}
}

func eval1(t *testing.T, op graph.Op, a graph.Attrs, in ...*graph.Tensor) *graph.Tensor {
	t.Helper()
	out, err := reference.EvalOp(background, op, a, in...)
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

func intsOf(x *graph.Tensor) []int64 {
	out := make([]int64, x.Len())
	for i := range out {
		out[i] = x.Int(i)
	}
	return out
}

func tensorOf(d graph.DType, v ...int64) *graph.Tensor {
	x := graph.NewTensor(d, int64(len(v)))
	for i, n := range v {
		x.SetInt(i, n)
	}
	return x
}

func TestIntegersNeverTrap(t *testing.T) {
	const lo = math.MinInt64
	for _, c := range []struct {
		op         graph.Op
		a, b, want *graph.Tensor
	}{
		{graph.OpDiv, tensorOf(graph.I32, 7, -7, 0, math.MinInt32), tensorOf(graph.I32, 0, 0, 0, -1), tensorOf(graph.I32, 0, 0, 0, math.MinInt32)},
		{graph.OpRem, tensorOf(graph.I64, 7, -7, 0, lo, -7), tensorOf(graph.I64, 0, 0, 0, -1, 4), tensorOf(graph.I64, 0, 0, 0, 0, -3)},
		{graph.OpDiv, tensorOf(graph.I64, lo), tensorOf(graph.I64, -1), tensorOf(graph.I64, lo)},
		{graph.OpDiv, tensorOf(graph.U64, -1, 5), tensorOf(graph.U64, 2, 0), tensorOf(graph.U64, math.MaxInt64, 0)},
		{graph.OpShl, tensorOf(graph.I8, 1, 1, 1, 1), tensorOf(graph.I8, 7, 8, -1, 0), tensorOf(graph.I8, -128, 0, 0, 1)},
		{graph.OpShr, tensorOf(graph.I8, -128, -128, 64, 64, -1), tensorOf(graph.I8, 7, 8, 8, -1, -1), tensorOf(graph.I8, -1, -1, 0, 0, -1)},
		{graph.OpShr, tensorOf(graph.U32, 1<<31, 1<<31), tensorOf(graph.U32, 31, 32), tensorOf(graph.U32, 1, 0)},
		{graph.OpPow, tensorOf(graph.I32, 0, 5, 1, -1, -1, 2, 0), tensorOf(graph.I32, 0, -1, -9, -3, -4, 31, -1), tensorOf(graph.I32, 1, 0, 1, -1, 1, math.MinInt32, 0)},
	} {
		if got := eval1(t, c.op, nil, c.a, c.b); !slices.Equal(intsOf(got), intsOf(c.want)) {
			t.Errorf("%v %v: got %v, want %v", c.a.DType, c.op, intsOf(got), intsOf(c.want))
		}
	}
	if got := eval1(t, graph.OpAbs, nil, tensorOf(graph.I8, -128, -1)); !slices.Equal(intsOf(got), []int64{-128, 1}) {
		t.Errorf("abs i8: %v", intsOf(got))
	}
}

func TestConvertSaturatesAndRoundsOnce(t *testing.T) {
	inf := math.Inf(1)
	x := graph.Float64s([]float64{math.NaN(), inf, -inf, 1e300, -1.9, 2.9, 255.7, -0.5}, 8)
	for d, want := range map[graph.DType][]int64{
		graph.I8:   {0, 127, -128, 127, -1, 2, 127, 0},
		graph.U8:   {0, 255, 0, 255, 0, 2, 255, 0},
		graph.I32:  {0, math.MaxInt32, math.MinInt32, math.MaxInt32, -1, 2, 255, 0},
		graph.U32:  {0, math.MaxUint32, 0, math.MaxUint32, 0, 2, 255, 0},
		graph.I64:  {0, math.MaxInt64, math.MinInt64, math.MaxInt64, -1, 2, 255, 0},
		graph.U64:  {0, -1, 0, -1, 0, 2, 255, 0},
		graph.Bool: {1, 1, 1, 1, 1, 1, 1, 1},
	} {
		if got := eval1(t, graph.OpConvert, &graph.ConvertAttrs{To: d}, x); !slices.Equal(intsOf(got), want) {
			t.Errorf("f64 to %v: %v, want %v", d, intsOf(got), want)
		}
	}
	// Just above the middle between two neighbours: rounding first to f32, or
	// an integer first to f64, would land on the middle and then on the wrong one.
	half := 1 + 1.0/256 // the middle of two bf16
	for _, c := range []struct {
		x    *graph.Tensor
		to   graph.DType
		want float64
	}{
		{graph.Float64s([]float64{half + 1e-12}), graph.BF16, 1 + 1.0/128},
		{graph.Float64s([]float64{half}), graph.BF16, 1},
		{graph.Float64s([]float64{-half - 1e-12}), graph.BF16, -1 - 1.0/128},
		{graph.Float64s([]float64{1 + 1.0/2048 + 1e-12}), graph.F16, 1 + 1.0/1024},
		{graph.Float64s([]float64{3.4e38}), graph.BF16, inf},
		{graph.Int64s([]int64{1<<62 + 1<<38 + 1}), graph.F32, 1<<62 + 1<<39},
		{graph.Int64s([]int64{-(1<<62 + 1<<38 + 1)}), graph.F32, -(1<<62 + 1<<39)},
		{tensorOf(graph.U64, -1), graph.F32, 1 << 64},
		{tensorOf(graph.I64, 1<<53+1), graph.F64, 1 << 53},
	} {
		s := &graph.Tensor{DType: c.x.DType, Data: c.x.Data}
		if got := eval1(t, graph.OpConvert, &graph.ConvertAttrs{To: c.to}, s).Float(0); got != c.want {
			t.Errorf("%v to %v: %v, want %v", c.x.Float(0), c.to, got, c.want)
		}
	}
}

func TestEmptyReductionsAreTheIdentity(t *testing.T) {
	inf := math.Inf(1)
	for kind, want := range map[graph.ReduceKind]float64{graph.Sum: 0, graph.Prod: 1, graph.Max: -inf, graph.Min: inf} {
		got := eval1(t, graph.OpReduce, &graph.ReduceAttrs{Kind: kind, Axes: []int64{1}}, graph.NewTensor(graph.F32, 3, 0))
		if got.Len() != 3 || got.Float(1) != want {
			t.Errorf("%s of nothing is %v", kind, got.Float(1))
		}
	}
	if got := eval1(t, graph.OpReduce, &graph.ReduceAttrs{Kind: graph.Max, Axes: []int64{0}}, graph.NewTensor(graph.I8, 0)); got.Int(0) != -128 {
		t.Errorf("max of no i8 is %v", got.Int(0))
	}
}

func TestNaNIsBestInWindowsAndLastInOrder(t *testing.T) {
	nan := math.NaN()
	x := graph.Float64s([]float64{1, nan, 3, nan}, 4)
	a := &graph.WindowAttrs{Kind: graph.Max, Window: []int64{4}, Strides: []int64{1}, PadLow: []int64{0}, PadHigh: []int64{0}, Dilation: []int64{1}}
	if got := eval1(t, graph.OpReduceWindow, a, x); got.Float(0) == got.Float(0) {
		t.Errorf("max of a window with NaN is %v", got.Float(0))
	}
	if got := eval1(t, graph.OpReduceWindowGrad, a, x, graph.Float64s([]float64{5}, 1)); got.Float(1) != 5 || got.Float(3) != 0 {
		t.Errorf("the gradient goes to %v, not to the first NaN", []float64{got.Float(0), got.Float(1), got.Float(2), got.Float(3)})
	}
	out, err := reference.EvalOp(background, graph.OpSort, &graph.SortAttrs{Descending: true}, x, tensorOf(graph.I32, 0, 1, 2, 3))
	if err != nil || !slices.Equal(intsOf(out[1]), []int64{2, 0, 1, 3}) {
		t.Errorf("descending order is %v, %v", intsOf(out[1]), err)
	}
	out, err = reference.EvalOp(background, graph.OpTopK, &graph.TopKAttrs{K: 3}, x)
	if err != nil || !slices.Equal(intsOf(out[1]), []int64{2, 0, 1}) {
		t.Errorf("top_k is %v, %v", intsOf(out[1]), err)
	}
}

func TestRandomBitsFollowTheCounter(t *testing.T) {
	key, step := tensorOf(graph.U64, 0x1234567890abcdef), tensorOf(graph.U64, 5)
	key.Shape, step.Shape = nil, nil
	index := tensorOf(graph.I64, 7, 1<<40)
	got := eval1(t, graph.OpRandomBits, &graph.RandomBitsAttrs{Shape: graph.ConstExprs(2, 3)}, key, step, index)
	for i, n := range []uint64{7, 1 << 40} {
		for e := range 6 {
			want := graph.Philox4x32(graph.RandomCounter(uint32(e/4), n, 5), graph.SplitKey(0x1234567890abcdef))[e%4]
			if uint32(got.Int(6*i+e)) != want {
				t.Errorf("example %d word %d is %x, want %x", n, e, got.Int(6*i+e), want)
			}
		}
	}
}

func TestPaddingTakesNoPartInProducts(t *testing.T) {
	x, w := graph.Float32s([]float32{1, 2}, 1, 2, 1), graph.Float32s([]float32{float32(math.Inf(1)), 1, 1}, 3, 1, 1)
	a := &graph.ConvAttrs{Strides: []int64{1}, PadLow: []int64{1}, PadHigh: []int64{1}, InputDilation: []int64{1}, FilterDilation: []int64{1}, Groups: 1}
	if got := eval1(t, graph.OpConv, a, x, w).Float(0); got != 3 {
		t.Errorf("got %v, want 3: the infinite weight stands over padding", got)
	}
}

// scanModule: h' = h*a + x, y = h', over a sequence.
func scanModule(t *testing.T, reverse bool) *graph.Module {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "cell", graph.Any)
	h, a, x := b.Input("h", graph.T(graph.F32, 2)), b.Input("a", graph.Scalar(graph.F32)), b.Input("x", graph.T(graph.F32, 2))
	h = h.Mul(a).Add(x)
	b.Output("h", h)
	b.Output("y", h.Times(10))
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	c := graph.NewBuilder(m, "rnn", graph.Any)
	out := c.Scan("cell", reverse, 0, []graph.Value{c.Input("h", graph.T(graph.F32, 2))}, []graph.Value{c.Input("a", graph.Scalar(graph.F32))},
		[]graph.Value{c.Input("xs", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(2)}})})
	c.Output("h", out[0])
	c.Output("ys", out[1])
	if _, err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestScan(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		xs := graph.Float32s([]float32{1, 2, 3, 4, 5, 6}, 3, 2)
		out, err := reference.Eval(background, scanModule(t, reverse), "rnn", kernels.Options{}, graph.Float32s([]float32{1, 1}, 2), graph.ScalarOf(graph.F32, 2), xs)
		if err != nil {
			t.Fatal(err)
		}
		want := [][]float64{{8 + 4*1 + 2*3 + 5, 8 + 4*2 + 2*4 + 6}, {8 + 4*5 + 2*3 + 1, 8 + 4*6 + 2*4 + 2}}[int(b2i(reverse))]
		row := int64(2)
		if reverse {
			row = 0
		}
		if out[0].Float(0) != want[0] || out[0].Float(1) != want[1] || out[1].Float(int(row*2)) != 10*want[0] {
			t.Errorf("reverse %v: carry %v %v, want %v; row %d of the outputs starts with %v", reverse, out[0].Float(0), out[0].Float(1), want, row, out[1].Float(int(row*2)))
		}
	}
	out, err := reference.Eval(background, scanModule(t, false), "rnn", kernels.Options{}, graph.Float32s([]float32{1, 7}, 2), graph.ScalarOf(graph.F32, 2), graph.NewTensor(graph.F32, 0, 2))
	if err != nil || out[0].Float(1) != 7 || out[1].Len() != 0 {
		t.Errorf("a scan of nothing: %v, %v", out, err)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func reduceModule(t *testing.T, shards, group int64) *graph.Module {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.T(graph.F32, 1))
	b.Output("y", b.Apply(graph.OpAllReduce, &graph.AllReduceAttrs{Kind: graph.Sum, Shards: shards, Group: group, Order: "tree"}, x)[0])
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLockstepCombinesAlongTheTree(t *testing.T) {
	// 1 + 2^-24 is 1 in f32, 2^-24 + 2^-24 is not lost: the order shows.
	e := float32(1.0 / (1 << 24))
	args := [][]*graph.Tensor{}
	for _, v := range []float32{1, e, e, e, 1, e, e, e} {
		args = append(args, []*graph.Tensor{graph.Float32s([]float32{v}, 1)})
	}
	for _, c := range []struct {
		n, group int64
		want     float64
	}{
		{8, 0, 2 * (1 + 2*float64(e))}, // ((1+e)+(e+e)) twice
		{8, 4, 1 + 2*float64(e)},
		{8, 2, 1},
		{8, 1, 1},
		{3, 0, 1}, // (1+e)+e
	} {
		out, err := reference.Lockstep(background, reduceModule(t, c.n, c.group), "f", kernels.Options{}, args[:c.n]...)
		if err != nil {
			t.Fatal(err)
		}
		if got := out[0][0].Float(0); got != c.want {
			t.Errorf("%d replicas in groups of %d: %v, want %v", c.n, c.group, got, c.want)
		}
	}
	var unsupported *kernels.UnsupportedError
	if _, err := reference.Lockstep(background, reduceModule(t, 4, 0), "f", kernels.Options{}, args[:3]...); !errors.As(err, &unsupported) {
		t.Errorf("3 replicas for 4 shards: %v", err)
	}
	if _, err := reference.New().Compile(background, reduceModule(t, 4, 0), "f", kernels.Options{}); !errors.As(err, &unsupported) {
		t.Errorf("compiling for 4 shards: %v", err)
	}
	if _, err := reference.New().Compile(background, reduceModule(t, 1, 0), "f", kernels.Options{}); err != nil {
		t.Errorf("compiling for one shard: %v", err)
	}
}

func TestArgumentsAreNeverChanged(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.T(graph.F32, 4))
	b.Output("a", x.Reshape(graph.E(2), graph.E(2)).Neg())
	b.Output("b", x.DynamicUpdateSlice(x.SliceAxis(0, graph.E(0), graph.E(1)).Neg(), b.Scalar(graph.I32, 2)))
	b.Output("c", x.Exp())
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	in := graph.Float32s([]float32{1, 2, 3, 4}, 4)
	if _, err := reference.Eval(background, m, "f", kernels.Options{}, in); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if in.Float(i) != float64(i+1) {
			t.Errorf("element %d became %v", i, in.Float(i))
		}
	}
}

func TestEvalRefusesWrongArguments(t *testing.T) {
	m := scanModule(t, false)
	two, scalar := graph.NewTensor(graph.F32, 2), graph.NewTensor(graph.F32)
	for name, args := range map[string][]*graph.Tensor{
		"none":   nil,
		"few":    {two, scalar},
		"nil":    {two, scalar, nil},
		"type":   {two, scalar, graph.NewTensor(graph.F64, 3, 2)},
		"extent": {two, scalar, graph.NewTensor(graph.F32, 3, 3)},
		"bytes":  {two, scalar, {DType: graph.F32, Shape: []int64{3, 2}, Data: make([]byte, 8)}},
	} {
		if _, err := reference.Eval(background, m, "rnn", kernels.Options{}, args...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLongOpsHonourTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	x := graph.NewTensor(graph.F32, 600, 600)
	_, err := reference.EvalOp(ctx, graph.OpDot, &graph.DotAttrs{LeftContract: []int64{1}, RightContract: []int64{0}}, x, x)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
