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

// dotAttrs are those of a product of two matrices that does the same, with one
// number for each column.
type dotAttrs struct {
	graph.DotAttrs
	relu bool
}

// Contracted returns the axes of the left operand that are summed over.
func (a *dotAttrs) Contracted() []int64 { return a.LeftContract }

// dotOfNode returns the attributes of a product of either form.
func dotOfNode(n *graph.Node) *graph.DotAttrs {
	if a, ok := n.Attrs.(*dotAttrs); ok {
		return &a.DotAttrs
	}
	return n.Attrs.(*graph.DotAttrs)
}

// epilogues is the pass that lets products and convolutions add their bias and
// apply relu.
type epilogues struct{}

func (epilogues) Name() string { return "epilogues" }

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
		if n.Op != graph.OpAdd && n.Op != graph.OpMax {
			continue
		}
		for k, v := range n.Args {
			d, other := def[v], n.Args[1-k]
			if d < 0 || uses[v] != 1 {
				continue
			}
			p := &g.Nodes[d]
			var attrs graph.Attrs
			args := p.Args
			if n.Op == graph.OpAdd {
				if b, ok := bias(other); ok && len(args) == 2 {
					attrs, args = withBias(g, p), []graph.ValueID{args[0], args[1], b}
				}
			} else if zero(other) {
				attrs = withReLU(p)
			}
			if attrs == nil {
				continue
			}
			if n.Op == graph.OpAdd {
				biases++
			} else {
				relus++
			}
			*n = graph.Node{Op: p.Op, Attrs: attrs, Args: args, Out: n.Out, NumOut: 1}
			g.Scopes[i] = g.Scopes[d] // the time is the product's
			break
		}
	}
	return []kernels.Count{{What: "biases", N: biases}, {What: "relus", N: relus}}, nil
}

// withBias returns the attributes of a product or convolution that adds a bias,
// nil where its kernel has no epilogue: only those of f32 have, products of two
// matrices, the left one stored row by row, and convolutions of images.
func withBias(g *passes.Graph, p *graph.Node) graph.Attrs {
	var accum graph.DType
	switch a := p.Attrs.(type) {
	case *graph.DotAttrs:
		accum = a.Accum
	case *graph.ConvAttrs:
		accum = a.Accum
	default:
		return nil
	}
	left, right, out := g.Types[p.Args[0]], g.Types[p.Args[1]], g.Types[p.Out]
	if left.DType != graph.F32 || out.DType != graph.F32 || accum != graph.Invalid && accum != graph.F32 {
		return nil
	}
	switch a := p.Attrs.(type) {
	case *graph.DotAttrs:
		n := len(a.LeftContract)
		if len(a.LeftBatch) == 0 && numel(left) > 0 && numel(right) > 0 && n > 0 && left.Rank() > n && int(a.LeftContract[0]) == left.Rank()-n && right.Rank() == n+1 {
			return &dotAttrs{DotAttrs: *a}
		}
	case *graph.ConvAttrs:
		if _, ok := imageConv(a, extents(left), extents(right), extents(out)); ok && p.Op == graph.OpConv {
			return &convAttrs{ConvAttrs: *a}
		}
	}
	return nil
}

// withReLU returns the attributes of a product or convolution with a bias that
// then applies relu, nil for any other node.
func withReLU(p *graph.Node) graph.Attrs {
	switch a := p.Attrs.(type) {
	case *dotAttrs:
		if !a.relu {
			return &dotAttrs{a.DotAttrs, true}
		}
	case *convAttrs:
		if !a.relu {
			return &convAttrs{a.ConvAttrs, true}
		}
	}
	return nil
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
