package passes

import (
	"context"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// FoldNorms takes the scales and offsets that follow a convolution or a product
// with weights into the weights and one offset: a bias, and the batch
// normalization behind it in inference, cost nothing but an addition. It is for
// functions whose weights do not change, where [Prepare] computes the new weights
// once.
//
// A result y = (sum of x*w) * s + o is then the sum of x * round(w*s), plus o:
// each product carries one more relative error of 2^-24 in f32, so that y differs
// from what it was by at most 2^-23 * (sum of |x*w*s|), beside the roundings of a
// few operations on the offset.
type FoldNorms struct {
	// Fixed tells the parameters that do not change between runs.
	Fixed func(p graph.Param) bool
}

// Name returns norms folded.
func (FoldNorms) Name() string { return "norms folded" }

// affine is a contraction with the scales and offsets that follow it.
type affine struct {
	node  int // the contraction
	axis  int64
	steps []affineStep
}

type affineStep struct {
	op      graph.Op
	operand graph.ValueID // a vector of the last axis, or a scalar
	spread  int           // the broadcast that stretches it
}

// Run folds.
func (p FoldNorms) Run(_ context.Context, g *Graph) ([]kernels.Count, error) {
	fixed := fixedValues(g, p.Fixed)
	def := g.Definers()
	uses, user := make([]int, len(g.Types)), make([]int, len(g.Types))
	for i := range g.Nodes {
		for _, a := range data(&g.Nodes[i]) {
			uses[a]++
			user[a] = i
		}
	}
	for _, r := range g.Results {
		uses[r.Value] += 2
	}
	ends := map[int]affine{}
	for i := range g.Nodes {
		axis, ok := weightAxis(g, i, fixed)
		if !ok {
			continue
		}
		a := affine{node: i, axis: axis}
		end, scaled := -1, false
		for v := g.Nodes[i].Out; uses[v] == 1; {
			s, ok := p.step(g, def, fixed, user[v], v)
			if !ok {
				break
			}
			a.steps = append(a.steps, s)
			scaled = scaled || s.op == graph.OpMul || s.op == graph.OpDiv
			end = user[v]
			v = g.Nodes[end].Out
		}
		if scaled {
			ends[end] = a
		}
	}
	if len(ends) == 0 {
		return nil, nil
	}
	i := -1
	err := Rewrite(g, func(w *Writer, n *graph.Node, _ []graph.ValueID, types []graph.Type) ([]graph.ValueID, error) {
		i++
		a, ok := ends[i]
		if !ok {
			return nil, nil
		}
		return a.write(w, g, types[0])
	})
	if err != nil {
		return nil, err
	}
	_, err = DeadCode{}.Run(context.Background(), g)
	return []kernels.Count{{What: "chains of scales and offsets", N: int64(len(ends))}}, err
}

// fixedValues tells the values that depend on fixed parameters and constants alone.
func fixedValues(g *Graph, fixed func(graph.Param) bool) []bool {
	out := make([]bool, len(g.Types))
	for i, p := range g.Params {
		out[i] = fixed(p)
	}
	for i := range g.Nodes {
		n := &g.Nodes[i]
		ok := pure(n) && n.Op != graph.OpCall && n.Op != graph.OpRandomBits
		for _, a := range n.Args {
			ok = ok && out[a]
		}
		for k := range n.NumOut {
			out[n.Out+graph.ValueID(k)] = ok
		}
	}
	return out
}

// weightAxis returns the axis of a contraction's fixed weights that is the last
// of its result.
func weightAxis(g *Graph, i int, fixed []bool) (int64, bool) {
	n := &g.Nodes[i]
	if n.Op != graph.OpConv && n.Op != graph.OpDot || !fixed[n.Args[1]] || fixed[n.Args[0]] {
		return 0, false
	}
	weights, result := g.Types[n.Args[1]], g.Types[n.Out]
	if weights.DType != result.DType || !result.DType.IsFloat() {
		return 0, false
	}
	if n.Op == graph.OpConv {
		return int64(weights.Rank() - 1), true
	}
	a := n.Attrs.(*graph.DotAttrs)
	if len(a.RightBatch) > 0 {
		return 0, false
	}
	taken := map[int64]bool{}
	for _, x := range a.RightContract {
		taken[x] = true
	}
	for x := int64(weights.Rank()) - 1; x >= 0; x-- {
		if !taken[x] {
			return x, true
		}
	}
	return 0, false
}

// step reads node i, which takes v, as a scale or offset of the last axis by
// something fixed.
func (p FoldNorms) step(g *Graph, def []int, fixed []bool, i int, v graph.ValueID) (affineStep, bool) {
	n := &g.Nodes[i]
	switch n.Op {
	case graph.OpAdd, graph.OpMul, graph.OpSub, graph.OpDiv:
	default:
		return affineStep{}, false
	}
	other := n.Args[1]
	if other == v {
		if n.Op == graph.OpSub || n.Op == graph.OpDiv {
			return affineStep{}, false
		}
		other = n.Args[0]
	}
	d := def[other]
	if d < 0 || other == v || g.Nodes[d].Op != graph.OpBroadcast {
		return affineStep{}, false
	}
	b := &g.Nodes[d]
	dims := b.Attrs.(*graph.BroadcastAttrs).Dims
	from, last := g.Types[b.Args[0]], int64(g.Types[v].Rank()-1)
	extent := g.Types[v].Shape[last]
	if !fixed[b.Args[0]] || from.Rank() > 1 || from.Rank() == 1 && (dims[0] != last || from.Shape[0] != extent) || len(b.Args) > 2 {
		return affineStep{}, false
	}
	if _, ok := extent.Const(); !ok || len(b.Args) == 2 && !g.Types[b.Args[1]].Equal(g.Types[v]) {
		return affineStep{}, false
	}
	return affineStep{n.Op, b.Args[0], d}, true
}

// write adds the contraction with scaled weights and the offset.
func (a affine) write(w *Writer, g *Graph, result graph.Type) ([]graph.ValueID, error) {
	n := &g.Nodes[a.node]
	vector := result
	vector.Shape = result.Shape[len(result.Shape)-1:]
	extent, _ := vector.Shape[0].Const()
	var scale, offset graph.ValueID = -1, -1
	var failed error
	add := func(op graph.Op, attrs graph.Attrs, args ...graph.ValueID) graph.ValueID {
		out, err := w.Add(op, attrs, args...)
		if err != nil {
			failed = err
			return args[0]
		}
		return out[0]
	}
	for _, s := range a.steps {
		u := w.New(s.operand)
		if w.Func.Types[u].Rank() == 0 {
			u = add(graph.OpBroadcast, &graph.BroadcastAttrs{Shape: graph.ConstExprs(extent)}, u)
		}
		switch s.op {
		case graph.OpAdd:
			if offset >= 0 {
				u = add(graph.OpAdd, nil, offset, u)
			}
			offset = u
		case graph.OpSub:
			if offset >= 0 {
				offset = add(graph.OpSub, nil, offset, u)
			} else {
				offset = add(graph.OpNeg, nil, u)
			}
		default:
			if offset >= 0 {
				offset = add(s.op, nil, offset, u)
			}
			switch {
			case scale >= 0:
				scale = add(s.op, nil, scale, u)
			case s.op == graph.OpMul:
				scale = u
			default:
				one := add(graph.OpBroadcast, &graph.BroadcastAttrs{Shape: graph.ConstExprs(extent)}, w.Constant(graph.ScalarOf(result.DType, 1)))
				scale = add(graph.OpDiv, nil, one, u)
			}
		}
	}
	weights := w.New(n.Args[1])
	shape, ok := w.Func.Types[weights].Shape.Const()
	if !ok {
		return nil, nil // weights of a symbolic size stay as they are
	}
	spread := add(graph.OpBroadcast, &graph.BroadcastAttrs{Dims: []int64{a.axis}, Shape: graph.ConstExprs(shape...)}, scale)
	y := add(n.Op, n.Attrs, w.New(n.Args[0]), add(graph.OpMul, nil, weights, spread))
	if offset >= 0 {
		exprs := make([]graph.DimExpr, len(result.Shape))
		for i := range exprs {
			exprs[i] = graph.RefExpr(1, int64(i))
		}
		y = add(graph.OpAdd, nil, y, add(graph.OpBroadcast, &graph.BroadcastAttrs{Dims: []int64{int64(len(exprs) - 1)}, Shape: exprs}, offset, y))
	}
	return []graph.ValueID{y}, failed
}
