package passes

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// made flattens the function that write gives.
func made(t *testing.T, write func(b *graph.Builder)) *Graph {
	t.Helper()
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	write(b)
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	flat, err := inline.Flatten(context.Background(), m, "f", kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return New(m, flat)
}

// ops lists the ops of a graph.
func ops(g *Graph) []graph.Op {
	var out []graph.Op
	for i := range g.Nodes {
		out = append(out, g.Nodes[i].Op)
	}
	return out
}

// apply runs passes and returns the number of what the last one did.
func apply(t *testing.T, g *Graph, list ...Pass) int64 {
	t.Helper()
	var did []kernels.PassReport
	for _, p := range list {
		r, err := Run(context.Background(), g, p)
		if err != nil {
			t.Fatal(err)
		}
		did = r
		sound(t, g)
	}
	n := int64(0)
	for _, c := range did[0].Did {
		n += c.N
	}
	return n
}

// sound checks what every pass promises of a graph.
func sound(t *testing.T, g *Graph) {
	t.Helper()
	if len(g.Scopes) != len(g.Nodes) {
		t.Fatalf("%d scopes for %d nodes", len(g.Scopes), len(g.Nodes))
	}
	next := graph.ValueID(len(g.Params))
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for _, a := range n.Args {
			if a < 0 || a >= next {
				t.Fatalf("node %d (%v) reads value %d before it is made", i, n.Op, a)
			}
		}
		if n.NumOut > 0 && n.Out != next {
			t.Fatalf("node %d numbers its results from %d, wanted %d", i, n.Out, next)
		}
		next += graph.ValueID(n.NumOut)
	}
	for i, j := range g.After {
		if j >= i {
			t.Fatalf("node %d is to wait for %d", i, j)
		}
	}
}

// evaluate runs a graph on the reference, node by node.
func evaluate(t *testing.T, g *Graph, args []*graph.Tensor) []*graph.Tensor {
	t.Helper()
	values := make([]*graph.Tensor, len(g.Types))
	copy(values, args)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		var out []*graph.Tensor
		var err error
		switch n.Op {
		case graph.OpReshape, graph.OpBroadcast:
			// Their attributes no longer hold the shape.
			shape, _ := g.Types[n.Out].Shape.Const()
			exprs := make([]graph.DimExpr, len(shape))
			for k, e := range shape {
				exprs[k] = graph.ConstExpr(e)
			}
			if n.Op == graph.OpReshape {
				out, err = reference.EvalOp(context.Background(), n.Op, &graph.ReshapeAttrs{Shape: exprs}, values[n.Args[0]])
			} else {
				out, err = reference.EvalOp(context.Background(), n.Op, &graph.BroadcastAttrs{Dims: n.Attrs.(*graph.BroadcastAttrs).Dims, Shape: exprs}, values[n.Args[0]])
			}
		default:
			in := make([]*graph.Tensor, len(n.Args))
			for k, a := range n.Args {
				in[k] = values[a]
			}
			out, err = reference.EvalOp(context.Background(), n.Op, n.Attrs, in...)
		}
		if err != nil {
			t.Fatalf("node %d (%v): %v", i, n.Op, err)
		}
		copy(values[n.Out:], out)
	}
	var results []*graph.Tensor
	for _, r := range g.Results {
		results = append(results, values[r.Value])
	}
	return results
}

func random(g *Graph, special bool) []*graph.Tensor {
	var out []*graph.Tensor
	for k, p := range g.Params {
		shape, _ := p.Type.Shape.Const()
		v := graph.NewTensor(p.Type.DType, shape...)
		for i := range v.Len() {
			v.SetFloat(i, math.Sin(float64(7*i+k+1)))
		}
		if special && v.Len() > 3 && v.DType.IsFloat() {
			v.SetFloat(0, math.Copysign(0, -1))
			v.SetFloat(1, math.NaN())
			v.SetFloat(2, math.Inf(-1))
		}
		out = append(out, v)
	}
	return out
}

func sameBits(t *testing.T, what string, a, b []*graph.Tensor) {
	t.Helper()
	for i := range a {
		if !bytes.Equal(a[i].Data, b[i].Data) {
			t.Errorf("%s: result %d differs:\n%v\n%v", what, i, a[i], b[i])
		}
	}
}

func TestShapesSettlesSizes(t *testing.T) {
	g := made(t, func(b *graph.Builder) {
		x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}})
		y := b.Input("y", graph.Scalar(graph.F32))
		b.Output("n", x.Size(0))
		b.Output("z", y.BroadcastTo(x.Dims()...).Add(x))
	})
	if n := apply(t, g, Shapes{}); n != 2 {
		t.Errorf("did %d things, wanted a size and a reference", n)
	}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; n.Op == graph.OpSize || n.Op == graph.OpBroadcast && len(n.Args) != 1 {
			t.Errorf("%v of %d operands is left", n.Op, len(n.Args))
		}
	}
	if n := evaluate(t, g, random(g, false))[0].Int(0); n != 3 {
		t.Errorf("the size is %d, wanted 3", n)
	}
}

func TestDeadCodeDropsWhatNobodyReads(t *testing.T) {
	g := made(t, func(b *graph.Builder) {
		x := b.Input("x", graph.T(graph.F32, 4))
		x.Exp().Neg()
		b.Output("y", x.Neg())
	})
	if n := apply(t, g, DeadCode{}); n != 2 || !slices.Equal(ops(g), []graph.Op{graph.OpNeg}) {
		t.Errorf("dropped %d, left %v", n, ops(g))
	}
	if n := apply(t, g, DeadCode{}); n != 0 {
		t.Errorf("dropped %d more", n)
	}
}

func TestCommonComputesOnce(t *testing.T) {
	g := made(t, func(b *graph.Builder) {
		x := b.Input("x", graph.T(graph.F32, 4, 4))
		zero, negative := b.Scalar(graph.F32, 0), b.Scalar(graph.F32, math.Copysign(0, -1))
		a, c := x.Exp().Add(x), x.Exp().Add(x)
		b.Output("y", a.Mul(c))
		b.Output("s", x.Sum(0).Add(x.Sum(1)))                                          // not the same axes
		b.Output("z", zero.BroadcastTo(x.Dims()...).Add(x).Sub(negative.Add(x.Sum()))) // not the same zero
	})
	before := len(g.Nodes)
	if n := apply(t, g, Shapes{}, Common{}); n == 0 || int64(before-len(g.Nodes)) != n {
		t.Errorf("%d shared of %d nodes, %d are left", n, before, len(g.Nodes))
	}
	count := map[graph.Op]int{}
	for _, op := range ops(g) {
		count[op]++
	}
	if count[graph.OpExp] != 1 || count[graph.OpReduce] != 3 || count[graph.OpConstant] != 2 {
		t.Errorf("ops left: %v", count)
	}
}

func TestFoldComputesWhatIsKnown(t *testing.T) {
	g := made(t, func(b *graph.Builder) {
		x := b.Input("x", graph.Scalar(graph.F32))
		b.Output("y", b.Scalar(graph.F32, 3).Mul(b.Scalar(graph.F32, 4)).Sqrt().Add(x))
	})
	eval := func(n *graph.Node, in []*graph.Tensor, _ graph.Type) *graph.Tensor {
		out, err := reference.EvalOp(context.Background(), n.Op, n.Attrs, in...)
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	if n := apply(t, g, Fold{eval}, DeadCode{}); n == 0 || !slices.Equal(ops(g), []graph.Op{graph.OpConstant, graph.OpAdd}) {
		t.Errorf("left %v", ops(g))
	}
	g = made(t, func(b *graph.Builder) { b.Output("y", b.Scalar(graph.F32, 3).Neg()) })
	if n := apply(t, g, Fold{func(*graph.Node, []*graph.Tensor, graph.Type) *graph.Tensor { return nil }}); n != 0 {
		t.Error("folded what the backend would not")
	}
}

// Each rule fires, and changes no bit: for zeros of both signs, NaN and infinity.
func TestAlgebraIsExact(t *testing.T) {
	vector := graph.T(graph.F32, 6)
	full := func(b *graph.Builder, v float64) graph.Value { return b.Full(graph.F32, v, graph.E(6)) }
	for name, c := range map[string]struct {
		write func(b *graph.Builder, x graph.Value) graph.Value
		fires bool
	}{
		"x*1":                    {func(b *graph.Builder, x graph.Value) graph.Value { return x.Mul(full(b, 1)) }, true},
		"1*x":                    {func(b *graph.Builder, x graph.Value) graph.Value { return full(b, 1).Mul(x) }, true},
		"x*0":                    {func(b *graph.Builder, x graph.Value) graph.Value { return x.Mul(full(b, 0)) }, false},
		"x/1":                    {func(b *graph.Builder, x graph.Value) graph.Value { return x.Div(full(b, 1)) }, true},
		"x/4":                    {func(b *graph.Builder, x graph.Value) graph.Value { return x.Div(full(b, 4)) }, true},
		"x/3":                    {func(b *graph.Builder, x graph.Value) graph.Value { return x.Div(full(b, 3)) }, false},
		"x-0":                    {func(b *graph.Builder, x graph.Value) graph.Value { return x.Sub(full(b, 0)) }, true},
		"x-(-0)":                 {func(b *graph.Builder, x graph.Value) graph.Value { return x.Sub(full(b, math.Copysign(0, -1))) }, false},
		"x+0":                    {func(b *graph.Builder, x graph.Value) graph.Value { return x.Add(full(b, 0)) }, false},
		"x+(-0)":                 {func(b *graph.Builder, x graph.Value) graph.Value { return x.Add(full(b, math.Copysign(0, -1))) }, true},
		"max(x, x)":              {func(_ *graph.Builder, x graph.Value) graph.Value { return x.Max(x) }, true},
		"x-x":                    {func(_ *graph.Builder, x graph.Value) graph.Value { return x.Sub(x) }, false},
		"--x":                    {func(_ *graph.Builder, x graph.Value) graph.Value { return x.Neg().Neg() }, true},
		"select(c, x, x)":        {func(_ *graph.Builder, x graph.Value) graph.Value { return x.Gt(x.Neg()).Select(x, x) }, true},
		"convert there and back": {func(_ *graph.Builder, x graph.Value) graph.Value { return x.Convert(graph.F64).Convert(graph.F32) }, false},
		"reshape of reshape": {func(_ *graph.Builder, x graph.Value) graph.Value {
			return x.Reshape(graph.E(2), graph.E(3)).Reshape(graph.E(3), graph.E(2))
		}, true},
		"transpose back": {func(_ *graph.Builder, x graph.Value) graph.Value {
			return x.Reshape(graph.E(2), graph.E(3)).Transpose(1, 0).Transpose(1, 0)
		}, true},
		"transposes joined": {func(_ *graph.Builder, x graph.Value) graph.Value {
			return x.Reshape(graph.E(1), graph.E(2), graph.E(3)).Transpose(2, 0, 1).Transpose(2, 0, 1)
		}, true},
		"broadcast of broadcast": {func(_ *graph.Builder, x graph.Value) graph.Value {
			return x.BroadcastAlong([]int64{1}, graph.E(2), graph.E(6)).BroadcastAlong([]int64{0, 2}, graph.E(2), graph.E(3), graph.E(6))
		}, true},
		"max over one": {func(_ *graph.Builder, x graph.Value) graph.Value {
			return x.Reshape(graph.E(1), graph.E(6)).Reduce(graph.Max, 0)
		}, true},
		"sum over one": {func(_ *graph.Builder, x graph.Value) graph.Value { return x.Reshape(graph.E(1), graph.E(6)).Sum(0) }, false},
		"pad by nothing": {func(_ *graph.Builder, x graph.Value) graph.Value {
			return x.Pad(0, graph.Es(0), graph.Es(0), []int64{0})
		}, true},
		"pad and crop": {func(_ *graph.Builder, x graph.Value) graph.Value {
			return x.Pad(0, graph.Es(1), graph.Es(-1), []int64{0})
		}, false},
		"concat of one":   {func(b *graph.Builder, x graph.Value) graph.Value { return b.Concat(0, x) }, true},
		"nothing to gain": {func(_ *graph.Builder, x graph.Value) graph.Value { return x.Exp().Add(x) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := made(t, func(b *graph.Builder) { b.Output("y", c.write(b, b.Input("x", vector))) })
			apply(t, g, Shapes{})
			args := random(g, true)
			want := evaluate(t, g, args)
			if n := apply(t, g, Algebra{}); (n > 0) != c.fires {
				t.Errorf("%d nodes simplified", n)
			}
			sameBits(t, name, evaluate(t, g, args), want)
		})
	}
}

// chain is a way forth of n layers and a way back that needs what each gave.
func chain(b *graph.Builder, n int, costly bool) {
	const size = 64
	x := b.Input("x", graph.T(graph.F32, size, size))
	var ins []graph.Value
	for i := range n {
		ins = append(ins, x)
		if costly {
			x = x.MatMul(b.Input(fmt.Sprintf("w%d", i), graph.T(graph.F32, size, size))).Times(1.0 / 16)
		}
		x = x.Tanh()
	}
	g := x.Sub(b.Full(graph.F32, 1, graph.E(size), graph.E(size)))
	for i := n - 1; i >= 0; i-- {
		g = g.Mul(ins[i].Cos())
	}
	b.Output("g", g)
}

// peak is the most bytes that are held at once, in the order of the nodes.
func peak(g *Graph) int64 {
	m := newMemory(g)
	held, most := int64(0), int64(0)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for k := range n.NumOut {
			held += m.bytes[n.Out+graph.ValueID(k)]
		}
		most = max(most, held)
		for v := range g.Types {
			if m.last[v] == i && m.def[v] >= 0 || m.def[v] == i && m.last[v] < 0 {
				held -= m.bytes[v]
			}
		}
	}
	return most
}

func TestRecomputeHoldsLessAtTheSameBits(t *testing.T) {
	for _, costly := range []bool{false, true} {
		build := func() *Graph {
			g := made(t, func(b *graph.Builder) { chain(b, 24, costly) })
			apply(t, g, Shapes{}, Common{})
			return g
		}
		whole := build()
		args := random(whole, false)
		want := evaluate(t, whole, args)
		levels, least := Recompute{}.Levels(whole), peak(whole)
		if apply(t, whole, Recompute{Level: 0}) != 0 {
			t.Error("level 0 did something")
		}
		for level := 1; level <= levels; level++ {
			g := build()
			if n := apply(t, g, Recompute{Level: level}); n == 0 {
				t.Errorf("level %d did nothing", level)
			}
			sameBits(t, fmt.Sprint("level ", level), evaluate(t, g, args), want)
			least = min(least, peak(g))
			for i := range g.Nodes {
				if j, ok := g.After[i]; ok && g.Nodes[j].Op == graph.OpConstant {
					t.Errorf("node %d waits for a constant", i)
				}
			}
		}
		if most := peak(whole); least > most/2 {
			t.Errorf("costly %v: at least %d KiB are held, of %d", costly, least>>10, most>>10)
		}
	}
}

func TestRecomputeLeavesWhatDrawsOrCallsAlone(t *testing.T) {
	g := made(t, func(b *graph.Builder) {
		x := b.Input("x", graph.T(graph.F32, 64, 64))
		y := x.Exp()
		b.Output("kept", y) // a result is in memory anyway
		z := y.Sum().Neg()
		b.Output("z", y.Mul(z.BroadcastTo(y.Dims()...)))
	})
	for level := 1; level <= 6; level++ {
		if n := apply(t, g, Recompute{Level: level}); n != 0 {
			t.Errorf("level %d did %d things", level, n)
		}
	}
}

func TestEarlyUpdatesFollowTheirGradients(t *testing.T) {
	write := func(clip bool) func(b *graph.Builder) {
		return func(b *graph.Builder) {
			x := b.Input("x", graph.T(graph.F32, 8, 8))
			var ins, weights, grads []graph.Value
			for i := range 4 {
				w := b.Input(fmt.Sprintf("w%d", i), graph.T(graph.F32, 8, 8))
				ins, weights = append(ins, x), append(weights, w)
				x = x.MatMul(w).Tanh()
			}
			dy := x
			for i := 3; i >= 0; i-- {
				grads = append(grads, ins[i].Transpose(1, 0).MatMul(dy))
				if i > 0 {
					dy = dy.MatMul(weights[i].Transpose(1, 0))
				}
			}
			scale := b.Input("rate", graph.Scalar(graph.F32)).Neg()
			if clip {
				sum := grads[0].Sum()
				for _, d := range grads[1:] {
					sum = sum.Add(d.Square().Sum())
				}
				scale = scale.Mul(sum.Rsqrt())
			}
			for i, d := range grads {
				b.Output(fmt.Sprintf("now%d", i), weights[3-i].Add(d.Mul(scale.BroadcastTo(d.Dims()...))))
			}
		}
	}
	for _, clip := range []bool{false, true} {
		g := made(t, write(clip))
		apply(t, g, Shapes{})
		args := random(g, false)
		want := evaluate(t, g, args)
		apply(t, g, EarlyUpdates{})
		sameBits(t, "early updates", evaluate(t, g, args), want)
		def := g.Definers()
		first, last := 0, 0
		for i := range g.Nodes {
			if g.Nodes[i].Op == graph.OpDot {
				last = i
			}
		}
		for _, r := range g.Results {
			if def[r.Value] < last {
				first++
			}
		}
		if want := map[bool]int{false: 3, true: 0}[clip]; first != want {
			t.Errorf("clip %v: %d updates stand before the last product, wanted %d", clip, first, want)
		}
		if n := apply(t, g, EarlyUpdates{MinBytes: 1 << 20}); n != 0 {
			t.Errorf("%d nodes moved for few bytes", n)
		}
	}
}

// normalized is two convolutions and a product, each with a bias and a norm; the
// first is read twice, so that it keeps its weights.
func normalized(b *graph.Builder) {
	x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(5), graph.N(5), graph.N(2)}})
	state := func(name string, n int64) graph.Value { return b.Param(name, graph.T(graph.F32, n), graph.Decl{}) }
	norm := func(name string, x graph.Value) graph.Value {
		axis := x.Rank() - 1
		n := x.ConstDim(axis)
		along := func(v graph.Value) graph.Value { return v.BroadcastAlong([]int64{int64(axis)}, x.Dims()...) }
		factor := state(name+".variance", n).Square().Plus(0.5).Rsqrt().Mul(state(name+".gamma", n))
		return x.Sub(along(state(name+".mean", n))).Mul(along(factor)).Add(along(state(name+".beta", n)))
	}
	conv := func(name string, x graph.Value, n int64) graph.Value {
		w := b.Param(name+".kernel", graph.T(graph.F32, 3, 3, x.ConstDim(3), n), graph.Decl{})
		y := x.Conv(w, graph.ConvAttrs{Strides: []int64{1, 1}, PadLow: []int64{1, 1}, PadHigh: []int64{1, 1}, InputDilation: []int64{1, 1}, FilterDilation: []int64{1, 1}, Groups: 1})
		return y.Add(state(name+".bias", n))
	}
	first := conv("a", x, 3)
	y := norm("an", first).Relu().Add(first)
	y = norm("bn", conv("b", y, 4)).Relu()
	h := y.Mean(1, 2)
	w := b.Param("dense.kernel", graph.T(graph.F32, 4, 6), graph.Decl{})
	h = norm("cn", h.MatMul(w).Times(0.5).Add(state("dense.bias", 6)))
	b.Output("y", h)
	b.Output("features", y)
}

func isParam(p graph.Param) bool { return p.Role == graph.ParamRole }

func TestNormsAreFoldedWithinTheirBound(t *testing.T) {
	g := made(t, normalized)
	args := random(g, false)
	want := evaluate(t, g, args)
	if n := apply(t, g, FoldNorms{isParam}); n != 2 {
		t.Errorf("%d chains folded, wanted those of the second convolution and the product", n)
	}
	got := evaluate(t, g, args)
	for k := range want {
		for i := range want[k].Len() {
			if d := math.Abs(got[k].Float(i) - want[k].Float(i)); d > 2e-6 {
				t.Errorf("result %d, element %d is off by %g", k, i, d)
			}
		}
	}
}

func TestPrepareTakesOutWhatIsFixed(t *testing.T) {
	g := made(t, normalized)
	apply(t, g, FoldNorms{isParam})
	args, params := random(g, false), g.Params
	want := evaluate(t, g, args)
	once := Prepare(g, isParam, func(r graph.Result) bool { return r.Name == "features" })
	sound(t, g)
	sound(t, once)
	if len(g.Results) != 1 || g.Results[0].Name != "y" {
		t.Errorf("results %v", g.Results)
	}
	for i := range g.Nodes {
		if op := g.Nodes[i].Op; op == graph.OpRsqrt {
			t.Errorf("%v is left in the function that runs often", op)
		}
	}
	named := map[string]*graph.Tensor{}
	for i, p := range params {
		named[p.Name] = args[i]
	}
	bind := func(g *Graph) (out []*graph.Tensor) {
		for _, p := range g.Params {
			if named[p.Name] == nil {
				t.Fatalf("nobody gives %q", p.Name)
			}
			out = append(out, named[p.Name])
		}
		return out
	}
	for i, v := range evaluate(t, once, bind(once)) {
		named[once.Results[i].Name] = v
	}
	sameBits(t, "prepared", evaluate(t, g, bind(g)), want[:1])
	for _, p := range g.Params {
		if p.Name == "b.kernel" || p.Name == "cn.gamma" {
			t.Errorf("%q is still a parameter", p.Name)
		}
	}
	plain := made(t, func(b *graph.Builder) { b.Output("y", b.Input("x", graph.T(graph.F32, 2)).Neg()) })
	if Prepare(plain, isParam, func(graph.Result) bool { return false }) != nil {
		t.Error("something was taken out of a function without parameters")
	}
}
