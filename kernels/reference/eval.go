package reference

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// Eval applies the function entry of m, resolved in o.Mode, to args and returns
// its results in the order of the signature. Symbols without a value in
// o.Symbols take theirs from the shapes of args. o.Donate has no effect: no
// argument changes. Results may share memory with arguments and constants.
func Eval(ctx context.Context, m *graph.Module, entry string, o kernels.Options, args ...*graph.Tensor) ([]*graph.Tensor, error) {
	out, err := Lockstep(ctx, m, entry, o, args)
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// Lockstep applies the function entry of m on one replica for every list of
// arguments, node by node, so that they meet at each all_reduce. The order of
// every combination is the aligned binary tree: the result has the bits that
// any placement of these replicas on machines has.
func Lockstep(ctx context.Context, m *graph.Module, entry string, o kernels.Options, replicas ...[]*graph.Tensor) ([][]*graph.Tensor, error) {
	if len(replicas) == 0 {
		return nil, fmt.Errorf("no replicas to run %q on", entry)
	}
	f := m.Resolve(entry, o.Mode)
	if f == nil {
		return nil, fmt.Errorf("the module has no function %q for mode %v", entry, o.Mode)
	}
	var err error
	if o.Symbols, err = bind(f, o.Symbols, replicas[0]); err != nil {
		return nil, err
	}
	p, err := compile(ctx, m, entry, o, len(replicas))
	if err != nil {
		return nil, err
	}
	for r, args := range replicas {
		if len(args) != len(p.Params) {
			return nil, fmt.Errorf("%q takes %d arguments, replica %d has %d", entry, len(p.Params), r, len(args))
		}
		for i, t := range args {
			if t == nil || !t.Type().Equal(p.Params[i].Type) || len(t.Data) != volume(extents(t.Shape))*t.DType.Size() {
				return nil, fmt.Errorf("%q takes %v %q as %v; replica %d has another", entry, p.Params[i].Role, p.Params[i].Name, p.Params[i].Type, r)
			}
		}
	}
	return (&machine{ctx: ctx, opaque: o.Opaque}).run(p, replicas)
}

// bind completes the symbols from arguments' shapes: an axis whose extent is a
// multiple of a symbol, plus a constant, gives its value.
func bind(f *graph.Func, given map[string]int64, args []*graph.Tensor) (map[string]int64, error) {
	symbols := map[string]int64{}
	for s, n := range given {
		symbols[s] = n
	}
	for i, p := range f.Params {
		if i >= len(args) || args[i] == nil || len(args[i].Shape) != len(p.Type.Shape) {
			continue // told apart by the check of arguments
		}
		for axis, d := range p.Type.Shape {
			if _, isConst := d.Const(); isConst {
				continue
			}
			if _, known := symbols[d.Symbol()]; known {
				continue
			}
			n, err := graph.N(args[i].Shape[axis] - d.Offset()).Div(d.Coef())
			if err != nil {
				return nil, fmt.Errorf("%v %q: axis %d has %d, which is no %v", p.Role, p.Name, axis, args[i].Shape[axis], d)
			}
			symbols[d.Symbol()] = n.Offset()
		}
	}
	return symbols, nil
}

// compile flattens and checks the function for a number of replicas.
func compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options, replicas int) (*program, error) {
	if o.Symbols == nil {
		o.Symbols = map[string]int64{}
	}
	flat, err := inline.Flatten(ctx, m, entry, o, nil)
	if err != nil {
		return nil, err
	}
	if err := admit(flat, o, replicas, map[*inline.Flat]bool{}); err != nil {
		return nil, err
	}
	p, err := prepare(flat, m, map[*inline.Flat]*program{})
	if err != nil {
		return nil, err
	}
	if l := o.Limits.ArenaBytes; l > 0 && p.peak > l {
		return nil, &kernels.LimitError{What: "bytes of intermediate values", Got: p.peak, Limit: l}
	}
	if flops, _ := flat.Total(); o.Limits.FLOPs > 0 && flops > o.Limits.FLOPs {
		return nil, &kernels.LimitError{What: "operations a run", Got: flops, Limit: o.Limits.FLOPs}
	}
	return p, nil
}

// admit refuses what this run could not do: opaque calls without a caller, and
// joining replicas that do not run.
func admit(f *inline.Flat, o kernels.Options, replicas int, seen map[*inline.Flat]bool) error {
	if seen[f] {
		return nil
	}
	seen[f] = true
	for i, n := range f.Nodes {
		switch a := n.Attrs.(type) {
		case *graph.OpaqueAttrs:
			if o.Opaque == nil {
				return &kernels.UnsupportedError{Backend: name, Op: fmt.Sprintf("opaque_call %q", a.Component), Reason: "it computes outside the graph, and the options hold nothing to run it"}
			}
		case *graph.AllReduceAttrs:
			if groupOf(a) > 1 && a.Shards != int64(replicas) {
				return &kernels.UnsupportedError{Backend: name, Op: fmt.Sprintf("all_reduce over %d replicas", a.Shards), Reason: fmt.Sprintf("%d run here", replicas)}
			}
		}
		if b := f.Bodies[i]; b != nil {
			if err := admit(b, o, replicas, seen); err != nil {
				return err
			}
		}
	}
	return nil
}
