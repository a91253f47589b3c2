package train

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// Replicas run one step function in lockstep, each on an equal share of the
// batch: replica r of n is bound to the indices r*b to (r+1)*b-1, so that it
// takes those examples of the whole batch, and draws their random numbers.
// Everything else is bound alike and stays alike to the bit.
//
// Together they compute what one replica computes of the whole batch, up to the
// order of sums: wherever the model or its losses reduce over the examples, as
// the mean of a loss or the statistics of a batch normalization do, all_reduce
// joins the shares along the aligned tree, and so it does with the gradients. A
// model that treats the examples of a batch in another way together, such as
// sorting them, is refused. The states of metrics alone are each replica's own;
// MetricTerm.Merge joins them.

// reduce joins a value over the replicas.
func reduce(v graph.Value, kind graph.ReduceKind, replicas int64) graph.Value {
	return v.Builder().Apply(graph.OpAllReduce, &graph.AllReduceAttrs{Kind: kind, Shards: replicas, Order: "tree"}, v)[0]
}

// mean returns the mean over the replicas.
func (s *step) mean(v graph.Value) graph.Value {
	if s.cfg.Replicas <= 1 || s.failed() {
		return v
	}
	return reduce(v, graph.Sum, s.cfg.Replicas).Times(1 / float64(s.cfg.Replicas))
}

// share returns how many examples all replicas have where each has n.
func (s *step) share(n graph.Value) graph.Value {
	return times(n, s.cfg.Replicas)
}

func times(n graph.Value, replicas int64) graph.Value {
	if replicas <= 1 {
		return n
	}
	return n.Mul(n.Builder().Scalar(n.DType(), float64(replicas)))
}

// spread returns the flat function f for one of several replicas: what it reduces
// over its examples is joined over those of all.
func spread(m *graph.Module, f *graph.Func, replicas int64) (*graph.Func, error) {
	b := graph.NewBuilder(m, f.Name+".replicas", graph.Any)
	vals := make([]graph.Value, len(f.Types))
	for i, p := range f.Params {
		vals[i] = b.Argument(p)
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if i < len(f.Scopes) {
			b.SetScope(f.Scopes[i])
		}
		join, err := joins(m, f, n)
		if err != nil {
			return nil, fmt.Errorf("the model cannot run on %d replicas: %w", replicas, err)
		}
		args := make([]graph.Value, len(n.Args))
		for j, a := range n.Args {
			args[j] = vals[a]
		}
		out := b.Apply(n.Op, n.Attrs, args...)
		if b.Err() != nil {
			break
		}
		switch join {
		case "":
		case counted:
			out[0] = times(out[0], replicas)
		default:
			out[0] = reduce(out[0], join, replicas)
		}
		for j, v := range out {
			vals[int(n.Out)+j] = v
		}
	}
	if b.Err() == nil {
		for _, r := range f.Results {
			b.Replace(r.Role, r.Name, vals[r.Value])
		}
	}
	return b.Finish()
}

// counted marks the number of examples, of which there are as many times more as
// there are replicas.
const counted graph.ReduceKind = "count"

// joins says what has to happen to a node's result where the batch is divided:
// nothing (""), counted, or a reduction over the replicas. An error says that the
// node cannot be divided.
func joins(m *graph.Module, f *graph.Func, n *graph.Node) (graph.ReduceKind, error) {
	refuse := func(why string) (graph.ReduceKind, error) {
		return "", fmt.Errorf("the op %v of %v %s", n.Op, f.Types[n.Args[0]], why)
	}
	const together = "takes the examples of a batch together"
	at := make([]int64, len(n.Args)) // axis of the examples in each operand; -1 for none
	any := false
	for i, a := range n.Args {
		axes := batchAxes(f.Types[a])
		if len(axes) > 1 {
			return refuse("pairs the examples of a batch")
		}
		at[i] = -1
		if len(axes) == 1 {
			at[i], any = axes[0], true
		}
	}
	if n.Op == graph.OpIota && slices.Contains(batchAxes(f.Types[n.Out]), n.Attrs.(*graph.IotaAttrs).Axis) {
		return "", fmt.Errorf("the op iota numbers the examples of a batch")
	}
	if !any {
		if n.Op == graph.OpAllReduce || n.Op == graph.OpOpaque {
			return refuse("has no share")
		}
		return "", nil
	}
	whole := func(i int) bool { // the axis of operand i is that of the result, untouched
		out := f.Types[n.Out]
		return at[i] < int64(out.Rank()) && out.Shape[at[i]] == f.Types[n.Args[i]].Shape[at[i]]
	}
	ok := true
	switch a := n.Attrs.(type) {
	case nil, *graph.ConvertAttrs, *graph.ConstantAttrs, *graph.IotaAttrs, *graph.CompareAttrs, *graph.TransposeAttrs, *graph.BroadcastAttrs, *graph.RandomBitsAttrs:
		if d := n.Op.Def(); a == nil && d.Class != graph.Elementwise && n.Op != graph.OpDynamicUpdateSlice {
			return refuse(together)
		}
		if n.Op == graph.OpDynamicUpdateSlice {
			ok = at[0] >= 0 && at[1] == at[0] && f.Types[n.Args[0]].Shape[at[0]] == f.Types[n.Args[1]].Shape[at[0]]
		}
	case *graph.SizeAttrs:
		if a.Axis == at[0] {
			return counted, nil
		}
	case *graph.ReduceAttrs:
		if slices.Contains(a.Axes, at[0]) {
			if a.Kind != graph.Sum && a.Kind != graph.Max && a.Kind != graph.Min {
				return refuse(together)
			}
			return a.Kind, nil
		}
	case *graph.ArgAttrs:
		ok = a.Axis != at[0]
	case *graph.SortAttrs:
		ok = a.Axis != at[0]
	case *graph.TopKAttrs:
		ok = at[0] != int64(f.Types[n.Args[0]].Rank()-1)
	case *graph.CumSumAttrs:
		ok = a.Axis != at[0]
	case *graph.ReverseAttrs:
		ok = !slices.Contains(a.Axes, at[0])
	case *graph.ReshapeAttrs:
		ok = at[0] < 0 || ahead(f.Types[n.Args[0]]) == ahead(f.Types[n.Out])
	case *graph.SliceAttrs:
		ok = at[0] < 0 || whole(0) && a.Stride[at[0]] == 1
	case *graph.DynamicSliceAttrs:
		ok = at[0] < 0 || whole(0)
	case *graph.PadAttrs:
		ok = at[0] < 0 || none(a.Low[at[0]]) && none(a.High[at[0]]) && a.Interior[at[0]] == 0
	case *graph.ConcatAttrs:
		ok = !slices.Contains(at, a.Axis)
	case *graph.GatherAttrs:
		if n.Op == graph.OpGather {
			ok = at[0] != a.Axis
		} else {
			ok = at[0] >= 0 && at[0] < a.BatchDims
		}
	case *graph.DotAttrs:
		if slices.Contains(a.LeftContract, at[0]) || slices.Contains(a.RightContract, at[1]) {
			return graph.Sum, nil
		}
	case *graph.ConvAttrs:
		if n.Op == graph.OpConvFilterGrad {
			return graph.Sum, nil
		}
		ok = at[0] == 0 && at[1] < 0
	case *graph.WindowAttrs:
		ok = at[0] >= 0 && a.Window[at[0]] == 1 && a.Strides[at[0]] == 1 && a.PadLow[at[0]] == 0 && a.PadHigh[at[0]] == 0
	case *graph.CallAttrs:
		ok = divides(m, a.Callee)
	case *graph.ScanAttrs:
		for i := int(a.Carries + a.Consts); i < len(n.Args); i++ {
			ok = ok && at[i] != 0
		}
		ok = ok && divides(m, a.Callee)
	default:
		ok = false
	}
	if !ok {
		return refuse(together)
	}
	return "", nil
}

// divides reports whether a function treats each example by itself.
func divides(m *graph.Module, name string) bool {
	f := m.Func(name, graph.Any)
	if f == nil {
		return false
	}
	for i := range f.Nodes {
		if join, err := joins(m, f, &f.Nodes[i]); err != nil || join != "" {
			return false
		}
	}
	return true
}

// batchAxes returns the axes whose extent depends on the batch.
func batchAxes(t graph.Type) []int64 {
	var out []int64
	for i, d := range t.Shape {
		if _, fixed := d.Const(); !fixed {
			out = append(out, int64(i))
		}
	}
	return out
}

// ahead is the number of runs of examples: the product of the extents before
// their axis. A reshape that keeps it keeps each replica's share in one run of
// the whole.
func ahead(t graph.Type) int64 {
	n := int64(1)
	for _, d := range t.Shape {
		k, fixed := d.Const()
		if !fixed {
			return n
		}
		n *= k
	}
	return -1
}

func none(e graph.DimExpr) bool { return e.Add == 0 && len(e.Terms) == 0 }
