package kerneltest

import (
	"context"
	"fmt"
	"math"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// A function of many ops amplifies the roundings of each. How much is measured
// and not derived: the reference runs again with every element of every node
// moved at random by up to the node's own bound, several times (Monte Carlo
// arithmetic, Parker 1997); what these runs differ by is what a backend's result
// may differ by. An element whose runs differ in kind (an index, a bool, NaN) is
// not compared.

// interpret runs a flat function node by node through the reference; change, if
// not nil, may replace what a node computed.
func interpret(ctx context.Context, m *graph.Module, f *inline.Flat, args []*graph.Tensor, change func(node int, in, out []*graph.Tensor) error) ([]*graph.Tensor, error) {
	values := make([]*graph.Tensor, len(f.Types))
	copy(values, args)
	for i, n := range f.Nodes {
		in := make([]*graph.Tensor, len(n.Args))
		for j, a := range n.Args {
			in[j] = values[a]
		}
		attrs := n.Attrs
		if k, ok := attrs.(*graph.ConstantAttrs); ok && k.Ref != "" {
			attrs = &graph.ConstantAttrs{Value: m.Consts[k.Ref]}
		}
		out, err := reference.EvalOp(ctx, n.Op, attrs, in...)
		if err != nil {
			return nil, fmt.Errorf("node %d: %w", i, err)
		}
		if change != nil {
			if err := change(i, in, out); err != nil {
				return nil, err
			}
		}
		copy(values[n.Out:], out)
	}
	out := make([]*graph.Tensor, len(f.Results))
	for i, r := range f.Results {
		out[i] = values[r.Value]
	}
	return out, nil
}

// noisy returns the results of the entry and how far each element of each may
// be off; infinity where it is not to be compared.
func noisy(ctx context.Context, r dice, m *graph.Module, entry string, o kernels.Options, args []*graph.Tensor) (want []*graph.Tensor, tol [][]float64, err error) {
	if o.Symbols == nil {
		o.Symbols = map[string]int64{}
	}
	f, err := inline.Flatten(ctx, m, entry, o, nil)
	if err != nil {
		return nil, nil, err
	}
	if want, err = interpret(ctx, m, f, args, nil); err != nil {
		return nil, nil, err
	}
	tol = make([][]float64, len(want))
	for k, t := range want {
		tol[k] = make([]float64, t.Len())
		if ff, ok := formats[t.DType]; ok {
			for i := range tol[k] {
				tol[k][i] = 2*ff.ulp(t.Float(i)) + 4*ff.smallest()
			}
		}
	}
	for range 6 {
		got, err := interpret(ctx, m, f, args, func(node int, in, out []*graph.Tensor) error {
			n := &f.Nodes[node]
			for k, t := range out {
				if !t.DType.IsFloat() || n.Op.Def().Class == graph.Movement && n.Op != graph.OpScatterAdd || n.Op.Def().Class == graph.Source {
					continue
				}
				b, err := bound(n.Op, n.Attrs, in, t)
				if err != nil {
					return err
				}
				moved := graph.NewTensor(t.DType, t.Shape...)
				for i := range t.Len() {
					d := formats[t.DType].ulp(t.Float(i))
					if b != nil {
						d = math.Max(d, b[i])
					}
					if f := formats[t.DType]; math.Abs(t.Float(i)) < f.smallest() {
						d = f.smallest() // may have been flushed
					}
					moved.SetFloat(i, t.Float(i)+d*(2*r.Float64()-1))
				}
				out[k] = moved
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		for k, t := range want {
			for i := range tol[k] {
				switch {
				case t.DType.IsFloat():
					d := math.Abs(got[k].Float(i) - t.Float(i))
					if d != d && got[k].Float(i) != t.Float(i) && !(got[k].Float(i) != got[k].Float(i) && t.Float(i) != t.Float(i)) {
						d = math.Inf(1)
					}
					if d == d {
						tol[k][i] = math.Max(tol[k][i], 5*d)
					}
				case got[k].Int(i) != t.Int(i):
					tol[k][i] = math.Inf(1)
				}
			}
		}
	}
	return want, tol, nil
}

// checkNoisy compares results with what noisy returned.
func checkNoisy(got, want []*graph.Tensor, tol [][]float64) error {
	for k := range want {
		if !got[k].Type().Equal(want[k].Type()) {
			return fmt.Errorf("result %d is %v, want %v", k, got[k].Type(), want[k].Type())
		}
		for i := range tol[k] {
			if math.IsInf(tol[k][i], 1) {
				continue
			}
			if near(got[k], want[k], i, tol[k][i], false) != nil {
				return fmt.Errorf("result %d, element %d of %v is %s, want %s (allowed %.3g)", k, i, want[k].Type(), element(got[k], i), element(want[k], i), tol[k][i])
			}
		}
	}
	return nil
}
