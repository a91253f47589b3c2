package train

import (
	"fmt"
	"strconv"

	"github.com/hone-ml/hone/sdk/graph"
)

// useLogits rewrites a flat forward function whose losses take the logarithm of
// probabilities that it has just made of logits:
//
//	log(softmax(x))                -> log_softmax(x)
//	log(sigmoid(x))                -> -softplus(-x)
//	log(1 - sigmoid(x))            -> -softplus(x)
//	cross_entropy(log_softmax(x))  -> cross_entropy(x)
//
// also where the probabilities are kept away from 0 and 1 by no more than
// clipMost, or divided by their sum, before. The right sides are the same numbers
// where float32 can tell them, and keep a gradient where a probability is 0 or 1 as
// far as float32 goes: there the left sides are constant, and an example that is wrong
// beyond doubt would teach nothing. Keras does so where it sees the activation;
// here whoever wrote the activation and the loss is served, since it is their graphs
// that are seen. The model's outputs stay probabilities.
//
// f itself is returned where there is nothing of the kind.
func useLogits(m *graph.Module, f *graph.Func) (*graph.Func, error) {
	l := &logits{m: m, f: f, def: map[graph.ValueID]*graph.Node{}}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for k := range n.NumOut {
			l.def[n.Out+graph.ValueID(k)] = n
		}
	}
	found := false
	for i := range f.Nodes {
		_, _, ok := l.log(&f.Nodes[i])
		found = found || ok
	}
	if !found {
		return f, nil
	}
	return l.rewrite()
}

// clipMost is how far from 0 and 1 a probability may be kept and still be meant:
// the clip guards the logarithm. Losses that clip further mean something else.
const clipMost = 1e-5

// logits looks for logarithms of probabilities.
type logits struct {
	m   *graph.Module
	f   *graph.Func
	def map[graph.ValueID]*graph.Node
}

type logKind uint8

const (
	logSoftmax logKind = iota
	logSigmoid
	logOneMinusSigmoid
)

// log tells what a node is the logarithm of, and the logits.
func (l *logits) log(n *graph.Node) (logKind, graph.ValueID, bool) {
	if n.Op != graph.OpLog {
		return 0, 0, false
	}
	v := n.Args[0]
	if s := l.maker(v, graph.OpSub); s != nil {
		if one, ok := l.number(s.Args[0]); ok && one == 1 {
			if p := l.maker(l.unclipped(s.Args[1]), graph.OpSigmoid); p != nil {
				return logOneMinusSigmoid, p.Args[0], true
			}
		}
		return 0, 0, false
	}
	v = l.unclipped(v)
	if p := l.maker(v, graph.OpSigmoid); p != nil {
		return logSigmoid, p.Args[0], true
	}
	if d := l.maker(v, graph.OpDiv); d != nil && l.sumOf(d.Args[1], d.Args[0]) {
		v = d.Args[0]
	}
	if p := l.composite(l.def[v], "hone/softmax@1"); p != nil {
		return logSoftmax, p.Args[0], true
	}
	return 0, 0, false
}

func (l *logits) maker(v graph.ValueID, op graph.Op) *graph.Node {
	if n := l.def[v]; n != nil && n.Op == op {
		return n
	}
	return nil
}

// composite returns n where it calls that composite, over the last axis.
func (l *logits) composite(n *graph.Node, name string) *graph.Node {
	if n == nil || n.Op != graph.OpCall {
		return nil
	}
	callee := l.m.Func(n.Attrs.(*graph.CallAttrs).Callee, graph.Any)
	if callee == nil || callee.Composite == nil || callee.Composite.Name != name || !graph.TrustedComposite(l.m, callee) {
		return nil
	}
	if axis := callee.Composite.Attr("axis"); axis != "" && axis != strconv.Itoa(l.f.Types[n.Args[0]].Rank()-1) {
		return nil
	}
	return n
}

// number returns the one number that all elements of a value are.
func (l *logits) number(v graph.ValueID) (float64, bool) {
	for {
		n := l.def[v]
		switch {
		case n == nil:
			return 0, false
		case n.Op == graph.OpBroadcast || n.Op == graph.OpReshape || n.Op == graph.OpConvert:
			v = n.Args[0]
			continue
		case n.Op != graph.OpConstant:
			return 0, false
		}
		t := n.Attrs.(*graph.ConstantAttrs).Value
		if t == nil || t.Len() != 1 {
			return 0, false
		}
		return t.Float(0), true
	}
}

// unclipped returns what a value is the clip of, by max and min in either order.
func (l *logits) unclipped(v graph.ValueID) graph.ValueID {
	for {
		n := l.def[v]
		if n == nil || n.Op != graph.OpMax && n.Op != graph.OpMin {
			return v
		}
		inner := v
		for i := range 2 {
			x, ok := l.number(n.Args[i])
			if ok && (n.Op == graph.OpMax && x >= 0 && x <= clipMost || n.Op == graph.OpMin && x <= 1 && x >= 1-clipMost) {
				inner = n.Args[1-i]
			}
		}
		if inner == v {
			return v
		}
		v = inner
	}
}

// sumOf reports whether v is the sum of p over its last axis.
func (l *logits) sumOf(v, p graph.ValueID) bool {
	for n := l.def[v]; n != nil; n = l.def[v] {
		switch n.Op {
		case graph.OpReshape, graph.OpBroadcast:
			v = n.Args[0]
			continue
		case graph.OpReduce:
			a := n.Attrs.(*graph.ReduceAttrs)
			last := int64(l.f.Types[p].Rank() - 1)
			return n.Args[0] == p && a.Kind == graph.Sum && len(a.Axes) == 1 && a.Axes[0] == last
		}
		return false
	}
	return false
}

// rewrite copies the function with its logarithms of probabilities made of logits.
func (l *logits) rewrite() (*graph.Func, error) {
	b := graph.NewBuilder(l.m, l.f.Name+".logits", l.f.Mode)
	to := make([]graph.Value, len(l.f.Types))
	for i, p := range l.f.Params {
		to[i] = b.Argument(p)
	}
	scores := map[graph.ValueID]graph.Value{} // the logits of each log_softmax, by the logarithm
	for i := range l.f.Nodes {
		n := &l.f.Nodes[i]
		if i < len(l.f.Scopes) {
			b.SetScope(l.f.Scopes[i])
		}
		if kind, x, ok := l.log(n); ok {
			switch kind {
			case logSoftmax:
				to[n.Out] = to[x].LogSoftmax(-1)
				scores[n.Out] = to[x]
			case logSigmoid:
				to[n.Out] = to[x].Neg().Softplus().Neg()
			case logOneMinusSigmoid:
				to[n.Out] = to[x].Softplus().Neg()
			}
			continue
		}
		args := make([]graph.Value, len(n.Args))
		for j, a := range n.Args {
			args[j] = to[a]
		}
		if l.composite(n, "hone/softmax_cross_entropy@1") != nil {
			if x, ok := scores[n.Args[0]]; ok {
				args[0] = x
			}
		}
		out := b.Apply(n.Op, n.Attrs, args...)
		if b.Err() != nil {
			return nil, fmt.Errorf("losses on logits: %w", b.Err())
		}
		copy(to[n.Out:int(n.Out)+int(n.NumOut)], out)
	}
	for _, r := range l.f.Results {
		b.Replace(r.Role, r.Name, to[r.Value])
	}
	f, err := b.Finish()
	if err != nil {
		return nil, fmt.Errorf("losses on logits: %w", err)
	}
	return f, nil
}
