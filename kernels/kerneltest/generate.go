package kerneltest

import (
	"context"
	"math"
	"slices"

	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// generator grows a recipe.
type generator struct {
	dice
	kind   graphKind
	recipe *Recipe
}

// Generate makes a random well-typed recipe of at most n steps; kinds are 0
// (exact), 1 (all ops, every value an output) and 2 (smooth). The same seed
// makes the same recipe.
func Generate(seed uint64, kind, n int) *Recipe {
	g := &generator{dice: newDice(seed), kind: graphKind(kind % 3), recipe: &Recipe{}}
	for range 2 + g.IntN(3) {
		g.input(g.anyType(), g.shape(g.IntN(4)))
	}
	for range 4 * n {
		if len(g.recipe.Steps) >= n {
			break
		}
		g.grow()
	}
	r := g.recipe
	count := len(r.values)
	for v := range count {
		if g.kind == nodeGraphs && v >= len(r.Inputs) || g.kind != nodeGraphs && (v >= count-2 || g.IntN(6) == 0) {
			r.Outputs = append(r.Outputs, v)
		}
	}
	return r
}

func (g *generator) anyType() graph.DType {
	switch g.kind {
	case smoothGraphs:
		return g.pickType(graph.F32, graph.F32, graph.F32, graph.F64, graph.F16, graph.BF16)
	case exactGraphs:
		return g.pickType(graph.F32, graph.F32, graph.F32, graph.F64, graph.I32, graph.I64, graph.U8, graph.U32, graph.I8, graph.Bool)
	}
	return g.pickType(append([]graph.DType{graph.F32, graph.F32, graph.F32, graph.F32}, allTypes...)...)
}

func (g *generator) pickType(d ...graph.DType) graph.DType { return d[g.IntN(len(d))] }

func (g *generator) shape(rank int) []int64 {
	s := make([]int64, rank)
	for i := range s {
		s[i] = []int64{1, 2, 3, 4, 5, 7, 8, 16, 17}[g.IntN(9)]
		if g.IntN(60) == 0 {
			s[i] = 0
		}
	}
	return s
}

// data makes the elements of an input.
func (g *generator) data(d graph.DType, shape []int64) *graph.Tensor {
	switch {
	case g.kind == exactGraphs && d.IsFloat():
		t := graph.NewTensor(d, shape...)
		for i := range t.Len() {
			t.SetInt(i, g.Int64N(7)-3)
		}
		return t
	case d.IsFloat():
		return g.uniform(d, -2, 2, shape...)
	}
	return g.normal(d, shape...)
}

func (g *generator) input(d graph.DType, shape []int64) int {
	r := g.recipe
	if len(r.Steps) > 0 {
		// Inputs come first; later ones are constants.
		return g.add(graph.OpConstant, &graph.ConstantAttrs{Value: g.data(d, shape)})
	}
	r.Inputs = append(r.Inputs, g.data(d, shape))
	r.values = append(r.values, r.Inputs[len(r.Inputs)-1])
	return len(r.values) - 1
}

// add appends a step where the reference takes it and its values stay in
// bounds; -1 where not.
func (g *generator) add(op graph.Op, a graph.Attrs, args ...int) int {
	r := g.recipe
	in := make([]*graph.Tensor, len(args))
	for i, v := range args {
		if v < 0 {
			return -1
		}
		in[i] = r.values[v]
	}
	if !g.admits(op, a, in) {
		return -1
	}
	out, err := reference.EvalOp(context.Background(), op, a, in...)
	if err != nil {
		return -1 // ill-typed: not every draw fits
	}
	for _, t := range out {
		if t.Len() > 20000 {
			return -1
		}
		for i := range t.Len() {
			x := t.Float(i)
			if !t.DType.IsFloat() {
				break
			}
			if g.kind == exactGraphs && (x != math.Trunc(x) || math.Abs(x) > 1<<20) || g.kind == smoothGraphs && !(math.Abs(x) < 1e4) {
				return -1
			}
		}
	}
	s := Step{Op: op, Attrs: a, Args: args}
	for _, t := range out {
		s.Outs = append(s.Outs, len(r.values))
		r.values = append(r.values, t)
	}
	r.Steps = append(r.Steps, s)
	return s.Outs[0]
}

// admits tells whether the kind of graph may hold the op on these operands.
func (g *generator) admits(op graph.Op, a graph.Attrs, in []*graph.Tensor) bool {
	if len(in) == 0 || !in[0].DType.IsFloat() {
		return true
	}
	switch g.kind {
	case exactGraphs:
		switch op.Def().Class {
		case graph.Contraction:
			if fast(a) {
				return false
			}
		case graph.Elementwise:
			if ulps[op] > 0 || op == graph.OpRem {
				return false
			}
		}
		// Partial sums, in any order, are exact while all terms together are.
		if computes(op) && op != graph.OpAdd && op != graph.OpSub && op != graph.OpMul {
			if k, ok := a.(*graph.ReduceAttrs); ok && k.Kind != graph.Sum {
				return k.Kind != graph.Prod || in[0].Len() < 16
			}
			if w, ok := a.(*graph.WindowAttrs); ok && op == graph.OpReduceWindow && w.Kind != graph.Sum {
				return true
			}
			size, err := magnitude(op, a, in)
			if err != nil {
				return true // ill-typed, which add finds
			}
			for i := range size.Len() {
				if size.Float(i) > 1<<20 {
					return false
				}
			}
		}
	case smoothGraphs:
		switch op {
		case graph.OpFloor, graph.OpCeil, graph.OpRound, graph.OpSign, graph.OpRem, graph.OpBitcast, graph.OpIsFinite, graph.OpArgReduce, graph.OpSort, graph.OpTopK:
			return false
		case graph.OpConvert:
			return a.(*graph.ConvertAttrs).To.IsFloat()
		case graph.OpCompare:
			return g.IntN(2) == 0 // unstable elements are told apart by the noise
		case graph.OpReduceWindowGrad:
			return a.(*graph.WindowAttrs).Kind == graph.Sum
		}
	}
	return true
}

// value draws a value, the late ones more often.
func (g *generator) value(ok func(t *graph.Tensor) bool) int {
	n := len(g.recipe.values)
	for range 20 {
		v := n - 1 - int(float64(n)*g.Float64()*g.Float64())
		if ok(g.recipe.values[v]) {
			return v
		}
	}
	return -1
}

// like returns a value of the type of v: another one, a stretched one, or a new
// constant.
func (g *generator) like(v int) int {
	t := g.recipe.values[v]
	if w := g.value(func(u *graph.Tensor) bool { return u.Type().Equal(t.Type()) }); w >= 0 && g.IntN(4) > 0 {
		return w
	}
	rank := len(t.Shape)
	if w := g.value(func(u *graph.Tensor) bool { return u.DType == t.DType && suffix(u.Shape, t.Shape) }); w >= 0 && g.IntN(2) == 0 {
		dims := []int64{}
		for i := rank - len(g.recipe.values[w].Shape); i < rank; i++ {
			dims = append(dims, int64(i))
		}
		return g.add(graph.OpBroadcast, &graph.BroadcastAttrs{Dims: dims, Shape: graph.ConstExprs(t.Shape...)}, w)
	}
	if g.IntN(2) == 0 {
		c := g.add(graph.OpConstant, &graph.ConstantAttrs{Value: g.data(t.DType, nil)})
		return g.add(graph.OpBroadcast, &graph.BroadcastAttrs{Shape: graph.ConstExprs(t.Shape...)}, c)
	}
	return g.input(t.DType, t.Shape)
}

// suffix reports whether s can stretch to the last axes of t.
func suffix(s, t []int64) bool {
	if len(s) > len(t) {
		return false
	}
	for i := range s {
		if e := t[len(t)-len(s)+i]; s[i] != e && s[i] != 1 {
			return false
		}
	}
	return true
}

func anyTensor(*graph.Tensor) bool     { return true }
func hasAxis(t *graph.Tensor) bool     { return len(t.Shape) > 0 }
func hasElements(t *graph.Tensor) bool { return len(t.Shape) > 0 && t.Len() > 0 }

var (
	unaries = []graph.Op{graph.OpNeg, graph.OpAbs, graph.OpSign, graph.OpExp, graph.OpExpm1, graph.OpLog, graph.OpLog1p, graph.OpSqrt, graph.OpRsqrt, graph.OpTanh,
		graph.OpSigmoid, graph.OpErf, graph.OpSin, graph.OpCos, graph.OpFloor, graph.OpCeil, graph.OpRound, graph.OpIsFinite, graph.OpNot}
	binaries = []graph.Op{graph.OpAdd, graph.OpAdd, graph.OpSub, graph.OpMul, graph.OpMul, graph.OpDiv, graph.OpRem, graph.OpPow, graph.OpMax, graph.OpMin,
		graph.OpAnd, graph.OpOr, graph.OpXor, graph.OpShl, graph.OpShr}
	directions = []graph.Direction{graph.Eq, graph.Ne, graph.Lt, graph.Le, graph.Gt, graph.Ge}
)

func drawn[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// grow adds one op, with what it needs.
func (g *generator) grow() {
	switch g.IntN(24) {
	case 0, 1, 2, 3:
		g.add(drawn(g, unaries), nil, g.value(anyTensor))
	case 4, 5, 6, 7, 8:
		v := g.value(anyTensor)
		g.add(drawn(g, binaries), nil, v, g.like(v))
	case 9:
		v := g.value(anyTensor)
		c := g.add(graph.OpCompare, &graph.CompareAttrs{Direction: drawn(g, directions)}, v, g.like(v))
		if c < 0 {
			return
		}
		shape := g.recipe.values[c].Type().Shape
		if w := g.value(func(t *graph.Tensor) bool { return t.Type().Shape.Equal(shape) }); w >= 0 {
			g.add(graph.OpSelect, nil, c, w, g.like(w))
		}
	case 10:
		g.add(graph.OpConvert, &graph.ConvertAttrs{To: g.anyType()}, g.value(anyTensor))
	case 11:
		g.add(graph.OpBitcast, &graph.ConvertAttrs{To: drawn(g, allTypes)}, g.value(func(t *graph.Tensor) bool { return !t.DType.IsFloat() || g.kind == nodeGraphs }))
	case 12, 13:
		g.growReduction()
	case 14, 15, 16, 17:
		g.growMovement()
	case 18, 19:
		g.growIndexing()
	case 20, 21:
		g.growDot()
	case 22:
		g.growConv()
	case 23:
		g.growSource()
	}
}

func (g *generator) axis(v int) int64 { return g.Int64N(int64(len(g.recipe.values[v].Shape))) }

func (g *generator) growReduction() {
	v := g.value(hasElements)
	if v < 0 {
		return
	}
	switch g.IntN(7) {
	case 0, 1, 2:
		kind := drawn(g, []graph.ReduceKind{graph.Sum, graph.Sum, graph.Max, graph.Min, graph.Prod, graph.All, graph.Some})
		var axes []int64
		for i := range g.recipe.values[v].Shape {
			if g.IntN(2) == 0 {
				axes = append(axes, int64(i))
			}
		}
		g.add(graph.OpReduce, &graph.ReduceAttrs{Kind: kind, Axes: axes}, v)
	case 3:
		g.add(graph.OpArgReduce, &graph.ArgAttrs{Kind: drawn(g, []graph.ReduceKind{graph.Max, graph.Min}), Axis: g.axis(v)}, v)
	case 4:
		g.add(graph.OpCumSum, &graph.CumSumAttrs{Axis: g.axis(v), Exclusive: g.IntN(2) == 0, Reverse: g.IntN(2) == 0}, v)
	case 5:
		shape := g.recipe.values[v].Type().Shape
		w := g.value(func(t *graph.Tensor) bool { return t.Type().Shape.Equal(shape) })
		g.add(graph.OpSort, &graph.SortAttrs{Axis: g.axis(v), Descending: g.IntN(2) == 0}, v, w)
	case 6:
		s := g.recipe.values[v].Shape
		g.add(graph.OpTopK, &graph.TopKAttrs{K: g.Int64N(s[len(s)-1] + 1)}, v)
	}
}

func (g *generator) growMovement() {
	v := g.value(hasAxis)
	if v < 0 {
		return
	}
	s := g.recipe.values[v].Shape
	rank := int64(len(s))
	n := graph.ConstExprs
	switch g.IntN(7) {
	case 0:
		i := g.axis(v)
		shape := slices.Concat(s[:i], []int64{1, s[i]}, s[i+1:])
		if i+1 < rank && g.IntN(2) == 0 {
			shape = slices.Concat(s[:i], []int64{s[i] * s[i+1]}, s[i+2:])
		}
		g.add(graph.OpReshape, &graph.ReshapeAttrs{Shape: n(shape...)}, v)
	case 1:
		perm := make([]int64, rank)
		for i, p := range g.Perm(int(rank)) {
			perm[i] = int64(p)
		}
		g.add(graph.OpTranspose, &graph.TransposeAttrs{Perm: perm}, v)
	case 2:
		at := g.Int64N(rank + 1)
		dims := make([]int64, rank)
		for i := range dims {
			dims[i] = int64(i)
			if dims[i] >= at {
				dims[i]++
			}
		}
		g.add(graph.OpBroadcast, &graph.BroadcastAttrs{Dims: dims, Shape: n(slices.Insert(slices.Clone(s), int(at), 1+g.Int64N(4))...)}, v)
	case 3:
		a := &graph.SliceAttrs{}
		for _, e := range s {
			lo := g.Int64N(e + 1)
			a.Start, a.Limit = append(a.Start, graph.ConstExpr(lo)), append(a.Limit, graph.ConstExpr(lo+g.Int64N(e-lo+1)))
			a.Stride = append(a.Stride, 1+g.Int64N(2))
		}
		g.add(graph.OpSlice, a, v)
	case 4:
		a := &graph.PadAttrs{}
		for range s {
			a.Low, a.High = append(a.Low, graph.ConstExpr(g.Int64N(4)-1)), append(a.High, graph.ConstExpr(g.Int64N(4)-1))
			a.Interior = append(a.Interior, max(0, g.Int64N(5)-3))
		}
		g.add(graph.OpPad, a, v, g.add(graph.OpConstant, &graph.ConstantAttrs{Value: g.data(g.recipe.values[v].DType, nil)}))
	case 5:
		g.add(graph.OpReverse, &graph.ReverseAttrs{Axes: []int64{g.axis(v)}}, v)
	case 6:
		axis := g.axis(v)
		w := g.value(func(t *graph.Tensor) bool {
			if t.DType != g.recipe.values[v].DType || len(t.Shape) != len(s) {
				return false
			}
			for i := range s {
				if int64(i) != axis && s[i] != t.Shape[i] {
					return false
				}
			}
			return true
		})
		g.add(graph.OpConcat, &graph.ConcatAttrs{Axis: axis}, v, w)
	}
}

func (g *generator) growIndexing() {
	v := g.value(hasElements)
	if v < 0 {
		return
	}
	t := g.recipe.values[v]
	constant := func(t *graph.Tensor) int { return g.add(graph.OpConstant, &graph.ConstantAttrs{Value: t}) }
	axis := g.axis(v)
	count := 1 + g.Int64N(5)
	switch g.IntN(4) {
	case 0:
		idx := g.value(func(t *graph.Tensor) bool { return t.DType.IsInt() && t.Len() < 40 })
		if idx < 0 || g.IntN(2) == 0 {
			idx = constant(g.indices(graph.I32, -1, t.Shape[axis]+1, count))
		}
		g.add(graph.OpGather, &graph.GatherAttrs{Axis: axis}, v, idx)
	case 1:
		shape := slices.Clone(t.Shape)
		shape[axis] = count
		g.add(graph.OpScatterAdd, &graph.GatherAttrs{Axis: axis}, v, constant(g.indices(graph.I64, -1, t.Shape[axis]+1, count)), constant(g.data(t.DType, shape)))
	default:
		block := slices.Clone(t.Shape)
		starts := make([]int, len(block))
		for i := range block {
			block[i] = 1 + g.Int64N(block[i])
			starts[i] = constant(scalarInt(graph.I32, g.Int64N(t.Shape[i]+2)-1))
		}
		if g.IntN(2) == 0 {
			g.add(graph.OpDynamicSlice, &graph.DynamicSliceAttrs{Sizes: graph.ConstExprs(block...)}, append([]int{v}, starts...)...)
		} else {
			g.add(graph.OpDynamicUpdateSlice, nil, append([]int{v, constant(g.data(t.DType, block))}, starts...)...)
		}
	}
}

func (g *generator) growDot() {
	v := g.value(func(t *graph.Tensor) bool { return hasAxis(t) && t.DType != graph.Bool })
	if v < 0 {
		return
	}
	t := g.recipe.values[v]
	axis := g.axis(v)
	// Another value with an axis of that extent, or new weights.
	at := int64(-1)
	w := g.value(func(u *graph.Tensor) bool {
		if u.DType != t.DType || len(u.Shape)+len(t.Shape)-2 > 4 {
			return false
		}
		at = int64(slices.Index(u.Shape, t.Shape[axis]))
		return at >= 0
	})
	if w < 0 || g.IntN(3) == 0 {
		w, at = g.input(t.DType, []int64{t.Shape[axis], 1 + g.Int64N(33)}), 0
	} else {
		at = int64(slices.Index(g.recipe.values[w].Shape, t.Shape[axis]))
	}
	a := &graph.DotAttrs{LeftContract: []int64{axis}, RightContract: []int64{at}}
	if w >= 0 {
		u := g.recipe.values[w]
		for i := range t.Shape { // batch axes, where extents agree
			for j := range u.Shape {
				if int64(i) != axis && int64(j) != at && t.Shape[i] == u.Shape[j] && len(a.LeftBatch) == 0 && g.IntN(2) == 0 {
					a.LeftBatch, a.RightBatch = []int64{int64(i)}, []int64{int64(j)}
				}
			}
		}
	}
	g.add(graph.OpDot, a, v, w)
}

func (g *generator) growConv() {
	v := g.value(func(t *graph.Tensor) bool {
		return len(t.Shape) >= 3 && len(t.Shape) <= 5 && t.Len() > 0 && t.Len() < 3000 && t.DType != graph.Bool
	})
	if v < 0 {
		return
	}
	t := g.recipe.values[v]
	n := len(t.Shape) - 2
	if g.IntN(2) == 0 {
		a := &graph.WindowAttrs{Kind: drawn(g, []graph.ReduceKind{graph.Sum, graph.Max, graph.Min})}
		for range t.Shape {
			a.Window, a.Strides, a.Dilation = append(a.Window, 1+g.Int64N(3)), append(a.Strides, 1+g.Int64N(2)), append(a.Dilation, 1)
			a.PadLow, a.PadHigh = append(a.PadLow, g.Int64N(2)), append(a.PadHigh, g.Int64N(2))
		}
		if y := g.add(graph.OpReduceWindow, a, v); y >= 0 && g.IntN(2) == 0 {
			g.add(graph.OpReduceWindowGrad, a, v, g.like(y))
		}
		return
	}
	a := &graph.ConvAttrs{Groups: 1}
	w := []int64{}
	for range n {
		w = append(w, 1+g.Int64N(3))
		a.Strides, a.InputDilation, a.FilterDilation = append(a.Strides, 1+g.Int64N(2)), append(a.InputDilation, 1+g.Int64N(5)/4), append(a.FilterDilation, 1+g.Int64N(5)/4)
		a.PadLow, a.PadHigh = append(a.PadLow, g.Int64N(3)), append(a.PadHigh, g.Int64N(3))
	}
	c := t.Shape[n+1]
	out := 1 + g.Int64N(9)
	if g.IntN(3) == 0 {
		a.Groups, out = c, c
	}
	f := g.input(t.DType, append(w, c/a.Groups, out))
	y := g.add(graph.OpConv, a, v, f)
	if y < 0 {
		return
	}
	switch g.IntN(3) {
	case 0:
		g.add(graph.OpConvInputGrad, a, g.like(y), f, v)
	case 1:
		g.add(graph.OpConvFilterGrad, a, v, g.like(y), f)
	}
}

func (g *generator) growSource() {
	switch g.IntN(4) {
	case 0:
		g.input(g.anyType(), g.shape(g.IntN(4)))
	case 1:
		s := g.shape(1 + g.IntN(3))
		g.add(graph.OpIota, &graph.IotaAttrs{To: g.anyType(), Axis: g.Int64N(int64(len(s))), Shape: graph.ConstExprs(s...)})
	case 2:
		if v := g.value(hasAxis); v >= 0 {
			g.add(graph.OpSize, &graph.SizeAttrs{Axis: g.axis(v)}, v)
		}
	case 3:
		c := func(t *graph.Tensor) int { return g.add(graph.OpConstant, &graph.ConstantAttrs{Value: t}) }
		g.add(graph.OpRandomBits, &graph.RandomBitsAttrs{Shape: graph.ConstExprs(g.shape(g.IntN(3))...)},
			c(g.uniform(graph.U64, 0, 0)), c(g.uniform(graph.U64, 0, 0)), c(g.indices(graph.I64, 0, 99, 3)))
	}
}
