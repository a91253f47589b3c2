package cpu

import (
	"context"
	"reflect"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// convAttrs are those of a convolution that adds its third operand, one number
// for each channel, to its result, and then takes what is above 0 of it, while
// that is in registers. The bits are those of the ops that it stands for.
type convAttrs struct {
	graph.ConvAttrs
	relu bool
}

// convOfNode returns the attributes of a convolution of either form.
func convOfNode(n *graph.Node) *graph.ConvAttrs {
	if a, ok := n.Attrs.(*convAttrs); ok {
		return &a.ConvAttrs
	}
	return n.Attrs.(*graph.ConvAttrs)
}

// epilogues is the pass that lets convolutions add their bias and apply relu.
type epilogues struct{}

func (epilogues) Name() string { return "convolution epilogues" }

func (epilogues) Run(_ context.Context, g *passes.Graph) ([]kernels.Count, error) {
	def, consts := g.Definers(), g.Constants()
	uses := make([]int, len(g.Types))
	for i := range g.Nodes {
		for _, a := range g.Nodes[i].Args {
			uses[a]++
		}
	}
	for _, r := range g.Results {
		uses[r.Value]++
	}
	maker := func(v graph.ValueID, op graph.Op) *graph.Node {
		if d := def[v]; d >= 0 && g.Nodes[d].Op == op {
			return &g.Nodes[d]
		}
		return nil
	}
	// bias returns the vector that v repeats along the last axis.
	bias := func(v graph.ValueID) (graph.ValueID, bool) {
		b := maker(v, graph.OpBroadcast)
		if b == nil {
			return 0, false
		}
		from, last := g.Types[b.Args[0]], int64(g.Types[v].Rank()-1)
		a := b.Attrs.(*graph.BroadcastAttrs)
		return b.Args[0], from.Rank() == 1 && from.Shape[0] == g.Types[v].Shape[last] && len(a.Dims) == 1 && a.Dims[0] == last
	}
	zero := func(v graph.ValueID) bool {
		if b := maker(v, graph.OpBroadcast); b != nil {
			v = b.Args[0]
		}
		c := consts[v]
		return c != nil && c.Len() == 1 && c.Float(0) == 0
	}
	biases, relus := int64(0), int64(0)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		switch n.Op {
		case graph.OpAdd:
			conv, other := n.Args[0], n.Args[1]
			if maker(conv, graph.OpConv) == nil {
				conv, other = other, conv
			}
			c := maker(conv, graph.OpConv)
			if c == nil || uses[conv] != 1 || len(c.Args) != 2 {
				continue
			}
			a, x, w, y := c.Attrs.(*graph.ConvAttrs), g.Types[c.Args[0]], g.Types[c.Args[1]], g.Types[conv]
			if x.DType != graph.F32 || y.DType != graph.F32 || a.Accum != graph.Invalid && a.Accum != graph.F32 {
				continue
			}
			v, ok := bias(other)
			if _, fits := imageConv(a, extents(x), extents(w), extents(y)); !ok || !fits {
				continue
			}
			biases++
			*n = graph.Node{Op: graph.OpConv, Attrs: &convAttrs{ConvAttrs: *a}, Args: []graph.ValueID{c.Args[0], c.Args[1], v}, Out: n.Out, NumOut: 1}
		case graph.OpMax:
			conv, other := n.Args[0], n.Args[1]
			if maker(conv, graph.OpConv) == nil {
				conv, other = other, conv
			}
			c := maker(conv, graph.OpConv)
			if c == nil || uses[conv] != 1 || len(c.Args) != 3 || !zero(other) {
				continue
			}
			a := *c.Attrs.(*convAttrs)
			if a.relu {
				continue
			}
			a.relu = true
			relus++
			*n = graph.Node{Op: graph.OpConv, Attrs: &a, Args: c.Args, Out: n.Out, NumOut: 1}
		}
	}
	return []kernels.Count{{What: "biases", N: biases}, {What: "relus", N: relus}}, nil
}

// maxima is the pass that hands the gradient of a window's maximum the maxima
// that the forward pass has found, as a third operand.
type maxima struct{}

func (maxima) Name() string { return "maxima reused" }

func (maxima) Run(_ context.Context, g *passes.Graph) ([]kernels.Count, error) {
	made := map[graph.ValueID][]*graph.Node{} // windows over a value
	count := int64(0)
	for i := range g.Nodes {
		n := &g.Nodes[i]
		a, ok := n.Attrs.(*graph.WindowAttrs)
		if !ok || a.Kind != graph.Max {
			continue
		}
		if n.Op == graph.OpReduceWindow {
			made[n.Args[0]] = append(made[n.Args[0]], n)
			continue
		}
		if n.Op != graph.OpReduceWindowGrad || len(n.Args) != 2 || g.Types[n.Args[0]].DType != graph.F32 {
			continue
		}
		for _, m := range made[n.Args[0]] {
			if reflect.DeepEqual(m.Attrs, n.Attrs) {
				n.Args = []graph.ValueID{n.Args[0], n.Args[1], m.Out}
				count++
				break
			}
		}
	}
	return []kernels.Count{{What: "windows", N: count}}, nil
}
