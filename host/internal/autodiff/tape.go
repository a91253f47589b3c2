package autodiff

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// tape is a replay of a function into a builder, with what is needed to walk
// it backwards.
type tape struct {
	m *graph.Module
	b *graph.Builder
	// active holds the values that depend on what is differentiated, through
	// floating-point values alone.
	active  map[graph.Value]bool
	entries []entry
	grads   map[graph.Value]graph.Value
	scope   string // the layer whose nodes are being replayed
	// own caches gradientOf, saving caches savingBody.
	own    map[*graph.Func]rule
	saving map[*graph.Func]*graph.Func
}

// entry is one node that has an active operand and an active result.
type entry struct {
	op    graph.Op
	attrs graph.Attrs
	x, y  []graph.Value
	// gradient differentiates this very node, where the op's rule does not.
	gradient rule
	scope    string // the layer that the node came from
}

// maxDepth bounds calls within calls.
const maxDepth = 1000

func newTape(m *graph.Module, b *graph.Builder) *tape {
	return &tape{m: m, b: b, active: map[graph.Value]bool{}, grads: map[graph.Value]graph.Value{}, own: map[*graph.Func]rule{}, saving: map[*graph.Func]*graph.Func{}}
}

// run replays f on args and returns its results.
func (t *tape) run(f *graph.Func, args []graph.Value) ([]graph.Value, error) {
	return t.replay(f, args, 0)
}

func (t *tape) replay(f *graph.Func, args []graph.Value, depth int) ([]graph.Value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("calls nest more than %d deep, the last in %q", maxDepth, f.Name)
	}
	values := make([]graph.Value, f.NumValues())
	copy(values, args)
	around := t.scope
	defer t.enter(around)
	for i := range f.Nodes {
		n := &f.Nodes[i]
		t.enter(around)
		if i < len(f.Scopes) {
			t.enter(graph.JoinPath(around, f.Scopes[i]))
		}
		x := make([]graph.Value, len(n.Args))
		for j, a := range n.Args {
			x[j] = values[a]
		}
		y, err := t.node(f.Mode, n, x, depth)
		if err != nil {
			return nil, fmt.Errorf("function %q (%v), node %d: %w", f.Name, f.Mode, i, err)
		}
		if n.NumOut > 0 {
			copy(values[n.Out:], y)
		}
	}
	out := make([]graph.Value, len(f.Results))
	for i, r := range f.Results {
		out[i] = values[r.Value]
	}
	return out, nil
}

func (t *tape) node(mode graph.Mode, n *graph.Node, x []graph.Value, depth int) ([]graph.Value, error) {
	active := t.anyActive(n.Op, x)
	e := entry{op: n.Op, attrs: n.Attrs, x: x}
	switch {
	case !active:
	case n.Op == graph.OpScan:
		return t.scan(mode, n, x)
	case n.Op == graph.OpCall:
		callee := t.m.Resolve(n.Attrs.(*graph.CallAttrs).Callee, mode)
		if callee == nil {
			return nil, fmt.Errorf("calls %q, which the module lacks for mode %v", n.Attrs.(*graph.CallAttrs).Callee, mode)
		}
		own := t.gradientOf(callee)
		if own == nil {
			if len(callee.Params) != len(x) {
				return nil, fmt.Errorf("%q takes %d operands, got %d", callee.Name, len(callee.Params), len(x))
			}
			t.enter(graph.JoinPath(t.scope, n.Attrs.(*graph.CallAttrs).Scope))
			return t.replay(callee, x, depth+1)
		}
		e.gradient = own
	}
	e.y = t.b.Apply(n.Op, n.Attrs, x...)
	if err := t.b.Err(); err != nil {
		return nil, err
	}
	if active && (rules[n.Op] != nil || e.gradient != nil) {
		t.record(e)
	}
	return e.y, nil
}

// record notes a node to be differentiated; its floating-point results are
// active from now on.
func (t *tape) record(e entry) {
	for _, v := range e.y {
		if v.DType().IsFloat() {
			t.active[v] = true
		}
	}
	e.scope = t.scope
	t.entries = append(t.entries, e)
}

// enter makes the nodes added next those of a layer.
func (t *tape) enter(scope string) {
	t.scope = scope
	t.b.SetScope(scope)
}

// GradientScope is the scope of the nodes that differentiate those of a layer.
func GradientScope(scope string) string {
	if scope == "" {
		return ""
	}
	return "gradient of " + scope
}

// anyActive reports whether an operand of which op uses the elements is active.
func (t *tape) anyActive(op graph.Op, x []graph.Value) bool {
	if n := op.Def().Shaped; n >= 0 && n < len(x) {
		x = x[:n]
	}
	for _, v := range x {
		if t.active[v] {
			return true
		}
	}
	return false
}

// add adds g to the gradient of v.
func (t *tape) add(v, g graph.Value) {
	if sum, ok := t.grads[v]; ok {
		g = sum.Add(g)
	}
	t.grads[v] = g
}

// gradient returns the gradient of v, zeros where nothing flowed back to it.
func (t *tape) gradient(v graph.Value) graph.Value {
	if g, ok := t.grads[v]; ok {
		return g
	}
	return zerosLike(v)
}

// backward walks the entries from the last to the first.
func (t *tape) backward() error {
	for i := len(t.entries) - 1; i >= 0; i-- {
		t.b.SetScope(GradientScope(t.entries[i].scope))
		if err := t.step(&t.entries[i]); err != nil {
			return err
		}
	}
	return t.b.Err()
}

func (t *tape) step(e *entry) error {
	s := step{b: t.b, entry: e, dy: make([]graph.Value, len(e.y)), dx: make([]graph.Value, len(e.x)), want: make([]bool, len(e.x))}
	reached := false
	for i, v := range e.y {
		if g, ok := t.grads[v]; ok {
			s.dy[i], reached = g, true
		}
	}
	if !reached {
		return nil
	}
	for i, v := range e.x {
		s.want[i] = t.active[v]
	}
	r := e.gradient
	if r == nil {
		r = rules[e.op]
	}
	if err := r(&s); err != nil {
		return fmt.Errorf("differentiating %v: %w", e.op, err)
	}
	if err := t.b.Err(); err != nil {
		return fmt.Errorf("differentiating %v: %w", e.op, err)
	}
	for i, g := range s.dx {
		if !s.want[i] || !g.Valid() {
			continue
		}
		if !g.Type().Equal(e.x[i].Type()) {
			return fmt.Errorf("differentiating %v: the gradient of operand %d is %v, the operand %v", e.op, i, g.Type(), e.x[i].Type())
		}
		t.add(e.x[i], g)
	}
	return nil
}

// step is one node on the way back: what its rule sees and gives.
type step struct {
	b *graph.Builder
	*entry
	dy   []graph.Value // gradients of the results; the zero Value for none
	want []bool        // operands of which the gradient is asked
	dx   []graph.Value // gradients of the operands; the zero Value for none
}

// rule sets s.dx for the operands that s.want asks for.
type rule func(s *step) error

func zerosLike(v graph.Value) graph.Value { return fullLike(v, 0) }

func fullLike(v graph.Value, x float64) graph.Value {
	s := v.Builder().Scalar(v.DType(), x)
	if v.Rank() == 0 {
		return s
	}
	return s.BroadcastTo(v.Dims()...)
}

// gradientOf returns the rule that stands for differentiating the body of a
// callee, nil where there is none.
func (t *tape) gradientOf(f *graph.Func) rule {
	if r, ok := t.own[f]; ok {
		return r
	}
	var r rule
	switch c := f.Composite; {
	case c == nil:
	case c.Gradient != "":
		r = pluginGradient(f)
	default:
		if write := graph.CompositeGradient(c.Name); write != nil && graph.TrustedComposite(t.m, f) {
			r = func(s *step) error { return s.spread(write(s.b, c, s.x, s.y, s.floatGrads())) }
		}
	}
	t.own[f] = r
	return r
}

// pluginGradient calls the function that a composite names as its gradient.
func pluginGradient(f *graph.Func) rule {
	return func(s *step) error {
		args := append(append(append([]graph.Value(nil), s.x...), s.y...), s.floatGrads()...)
		return s.spread(s.b.Apply(graph.OpCall, &graph.CallAttrs{Callee: f.Composite.Gradient}, args...))
	}
}

// floatGrads lists the gradients of the floating-point results, zeros for none.
func (s *step) floatGrads() []graph.Value {
	var out []graph.Value
	for i, v := range s.y {
		switch {
		case !v.DType().IsFloat():
		case s.dy[i].Valid():
			out = append(out, s.dy[i])
		default:
			out = append(out, zerosLike(v))
		}
	}
	return out
}

// spread assigns the gradients of the floating-point operands in order.
func (s *step) spread(g []graph.Value) error {
	k := 0
	for i, v := range s.x {
		if !v.DType().IsFloat() {
			continue
		}
		if k < len(g) {
			s.dx[i] = g[k]
		}
		k++
	}
	if k != len(g) {
		return fmt.Errorf("its own gradient gives %d values for %d floating-point operands", len(g), k)
	}
	return nil
}
