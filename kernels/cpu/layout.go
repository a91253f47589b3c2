package cpu

import (
	"context"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// layout is the pass that puts the operands of products into an order that the
// matrix kernels read: it takes transposes into the product where it can and
// adds them where it must.
type layout struct{}

func (layout) Name() string { return "layout" }

func (layout) Run(_ context.Context, g *passes.Graph) ([]kernels.Count, error) {
	l := &layouter{}
	err := passes.Rewrite(g, func(w *passes.Writer, n *graph.Node, args []graph.ValueID, _ []graph.Type) ([]graph.ValueID, error) {
		l.Writer = w
		switch n.Op {
		case graph.OpDot:
			return l.dot(n, args)
		case graph.OpTranspose:
			return l.transpose(n, args[0])
		}
		return nil, nil
	})
	return []kernels.Count{{What: "transposes taken into products", N: l.taken}, {What: "products turned around", N: l.turned}, {What: "transposes added", N: l.added}}, err
}

type layouter struct {
	*passes.Writer
	taken, turned, added int64
}

// dot puts the operands' axes in the order batch, free, contracted (left, or
// contracted, free) and batch, contracted, free (right, or free, contracted),
// by transposes where they stand otherwise.
func (l *layouter) dot(n *graph.Node, args []graph.ValueID) ([]graph.ValueID, error) {
	a := *n.Attrs.(*graph.DotAttrs)
	order := func(v graph.ValueID, batch, contract []int64) (graph.ValueID, []int64, []int64, error) {
		v, batch, contract = l.untransposed(v, batch, contract)
		rank := l.Func.Types[v].Rank()
		var free []int64
		for x := range int64(rank) {
			if !slices.Contains(batch, x) && !slices.Contains(contract, x) {
				free = append(free, x)
			}
		}
		bfc := slices.Concat(batch, free, contract)
		bcf := slices.Concat(batch, contract, free)
		nb, nc := int64(len(batch)), int64(len(contract))
		b := make([]int64, nb)
		for i := range b {
			b[i] = int64(i)
		}
		c := make([]int64, nc)
		if slices.IsSorted(bcf) && !slices.IsSorted(bfc) {
			for i := range c {
				c[i] = nb + int64(i)
			}
			return v, b, c, nil
		}
		for i := range c {
			c[i] = int64(rank) - nc + int64(i)
		}
		if slices.IsSorted(bfc) {
			return v, b, c, nil
		}
		l.added++
		w, err := l.Add(graph.OpTranspose, &graph.TransposeAttrs{Perm: bfc}, v)
		if err != nil {
			return 0, nil, nil, err
		}
		return w[0], b, c, nil
	}
	// Contracted axes must stand in one order on both sides: the left's decides.
	idx := make([]int, len(a.LeftContract))
	for i := range idx {
		idx[i] = i
	}
	slices.SortFunc(idx, func(i, j int) int { return int(a.LeftContract[i] - a.LeftContract[j]) })
	lc, rc := make([]int64, len(idx)), make([]int64, len(idx))
	for i, j := range idx {
		lc[i], rc[i] = a.LeftContract[j], a.RightContract[j]
	}
	left, lb, lc, err := order(args[0], a.LeftBatch, lc)
	if err != nil {
		return nil, err
	}
	right, rb, rc, err := order(args[1], a.RightBatch, rc)
	if err != nil {
		return nil, err
	}
	k := graph.DotAttrs{LeftBatch: lb, RightBatch: rb, LeftContract: lc, RightContract: rc, Precision: a.Precision, Accum: a.Accum, Out: a.Out}
	return l.Add(graph.OpDot, &k, left, right)
}

// untransposed returns what a transposed operand of dot was before, with the
// axes in its terms, where the order of the free axes stays.
func (l *layouter) untransposed(v graph.ValueID, batch, contract []int64) (graph.ValueID, []int64, []int64) {
	t := l.MakerOf(v, graph.OpTranspose)
	if t == nil {
		return v, batch, contract
	}
	perm := t.Attrs.(*graph.TransposeAttrs).Perm
	last := int64(-1)
	for x, p := range perm {
		if !slices.Contains(batch, int64(x)) && !slices.Contains(contract, int64(x)) {
			if p < last {
				return v, batch, contract
			}
			last = p
		}
	}
	through := func(axes []int64) []int64 {
		out := make([]int64, len(axes))
		for i, x := range axes {
			out[i] = perm[x]
		}
		return out
	}
	l.taken++
	return t.Args[0], through(batch), through(contract)
}

// transpose turns the operands of a product around whose transpose is wanted.
func (l *layouter) transpose(n *graph.Node, v graph.ValueID) ([]graph.ValueID, error) {
	perm := n.Attrs.(*graph.TransposeAttrs).Perm
	d := l.MakerOf(v, graph.OpDot)
	if d == nil {
		return nil, nil
	}
	a := d.Attrs.(*graph.DotAttrs)
	nb := len(a.LeftBatch)
	nl := l.Func.Types[d.Args[0]].Rank() - nb - len(a.LeftContract)
	for i, p := range perm {
		if i < nb && int(p) != i || i >= nb && int(p) != nb+(i-nb+nl)%(len(perm)-nb) {
			return nil, nil
		}
	}
	l.turned++
	turned := *a
	turned.LeftBatch, turned.RightBatch = a.RightBatch, a.LeftBatch
	turned.LeftContract, turned.RightContract = a.RightContract, a.LeftContract
	return l.Add(graph.OpDot, &turned, d.Args[1], d.Args[0])
}
