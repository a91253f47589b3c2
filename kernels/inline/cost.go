package inline

import (
	"math"
	"math/bits"

	"github.com/hone-ml/hone/sdk/graph"
)

// Cost returns what node i does when it runs once: floating-point (or integer)
// operations, a multiply-add counted as two, and the bytes of its operands and
// results. Both saturate. Types must be concrete; a symbolic extent counts 0.
//
// Movement and sources count no operations, an elementwise op one a result
// element whatever its function costs, a scan and a kept call what their body does.
func (f *Flat) Cost(i int) (flops, bytes int64) {
	n := &f.Nodes[i]
	in, out := int64(0), int64(0) // elements
	for _, a := range n.Args {
		in = plus(in, elements(f.Types[a]))
		bytes = plus(bytes, byteCount(f.Types[a]))
	}
	for j := range n.NumOut {
		t := f.Types[n.Out+graph.ValueID(j)]
		out = plus(out, elements(t))
		bytes = plus(bytes, byteCount(t))
	}
	arg := func(j int) graph.Type { return f.Types[n.Args[j]] }
	switch n.Op.Def().Class {
	case graph.Elementwise:
		return out, bytes
	case graph.Reduction:
		return in, bytes
	case graph.Order:
		if n.Op == graph.OpCumSum {
			return in, bytes
		}
		return times(in, int64(bits.Len64(uint64(in)))), bytes
	case graph.Contraction:
		return f.contraction(n), bytes
	case graph.Window:
		flops = 1
		for _, w := range n.Attrs.(*graph.WindowAttrs).Window {
			flops = times(flops, w)
		}
		windows := out
		if n.Op == graph.OpReduceWindowGrad {
			windows = elements(arg(1))
		}
		return times(flops, windows), bytes
	}
	switch n.Op {
	case graph.OpScatterAdd:
		return elements(arg(2)), bytes
	case graph.OpRandomBits:
		return times(out, 20), bytes // ten rounds of two products for every four words
	case graph.OpAllReduce:
		return out, bytes
	case graph.OpCall, graph.OpScan:
		body := f.Bodies[i]
		if body == nil {
			return 0, bytes
		}
		flops, moved := body.Total()
		if n.Op == graph.OpCall {
			return flops, moved
		}
		steps := f.ScanSteps(i)
		return times(flops, steps), times(moved, steps)
	}
	return 0, bytes
}

// total is the cost of a body, kept since bodies may stand in bodies, each many
// times.
type total struct{ flops, bytes int64 }

// ScanSteps returns how often scan node i runs its body.
func (f *Flat) ScanSteps(i int) int64 {
	n := &f.Nodes[i]
	a := n.Attrs.(*graph.ScanAttrs)
	if first := a.Carries + a.Consts; int64(len(n.Args)) > first {
		steps, _ := f.Types[n.Args[first]].Shape[0].Const()
		return steps
	}
	return a.Length
}

// Total returns the cost of all nodes together.
func (f *Flat) Total() (flops, bytes int64) {
	if f.total != nil {
		return f.total.flops, f.total.bytes
	}
	for i := range f.Nodes {
		a, b := f.Cost(i)
		flops, bytes = plus(flops, a), plus(bytes, b)
	}
	return flops, bytes
}

// contraction counts two operations for every product: the result's elements
// times the length of the sum behind each of them.
func (f *Flat) contraction(n *graph.Node) int64 {
	arg := func(j int) graph.Type { return f.Types[n.Args[j]] }
	extent := func(t graph.Type, axis int) int64 {
		d, _ := t.Shape[axis].Const()
		return d
	}
	if n.Op == graph.OpDot {
		var axes []int64
		switch a := n.Attrs.(type) {
		case *graph.DotAttrs:
			axes = a.LeftContract
		case interface{ Contracted() []int64 }: // a backend's own form of a product
			axes = a.Contracted()
		}
		k := int64(2)
		for _, a := range axes {
			k = times(k, extent(arg(0), int(a)))
		}
		return times(k, elements(f.Types[n.Out]))
	}
	// The three convolutions form the same products: output elements times
	// filter extents times input channels of a group.
	var output, filter graph.Type
	switch n.Op {
	case graph.OpConv:
		output, filter = f.Types[n.Out], arg(1)
	case graph.OpConvInputGrad:
		output, filter = arg(0), arg(1)
	default:
		output, filter = arg(1), arg(2)
	}
	k := int64(2)
	for a := range filter.Rank() - 1 {
		k = times(k, extent(filter, a))
	}
	return times(k, elements(output))
}

func elements(t graph.Type) int64 {
	n := int64(1)
	for _, d := range t.Shape {
		e, _ := d.Const()
		n = times(n, e)
	}
	return n
}

func byteCount(t graph.Type) int64 { return times(elements(t), int64(t.DType.Size())) }

func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func times(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(max(a, 0)), uint64(max(b, 0)))
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}
