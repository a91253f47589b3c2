package inline

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// expansion is one flat function under construction.
type expansion struct {
	*flattener
	out *Flat
}

// flatten expands v into a function of its own.
func (x *flattener) flatten(v visit) (*Flat, error) {
	if b, ok := x.bodies[v]; ok {
		return b, nil
	}
	f := v.f
	types, err := x.typesOf(f)
	if err != nil {
		return nil, err
	}
	e := &expansion{x, &Flat{
		Func: &graph.Func{Name: f.Name, Mode: f.Mode, Composite: f.Composite, Params: f.Clone().Params},
	}}
	args := make([]graph.ValueID, len(f.Params))
	for i := range f.Params {
		e.out.Params[i].Type = types[i]
		args[i] = e.value(types[i])
	}
	results, err := e.expand(v, args, "")
	if err != nil {
		return nil, err
	}
	for i, r := range f.Results {
		r.Value = results[i]
		e.out.Results = append(e.out.Results, r)
	}
	x.bodies[v] = e.out
	return e.out, nil
}

// body is flatten for what stands behind a node.
func (x *flattener) body(v visit) (*Flat, error) {
	f, err := x.flatten(v)
	if err == nil && f.total == nil {
		flops, bytes := f.Total()
		f.total = &total{flops, bytes}
	}
	return f, err
}

func (e *expansion) value(t graph.Type) graph.ValueID {
	e.out.Types = append(e.out.Types, t)
	return graph.ValueID(len(e.out.Types) - 1)
}

// expand appends the body of v, applied to args, and returns its results.
func (e *expansion) expand(v visit, args []graph.ValueID, path string) ([]graph.ValueID, error) {
	f := v.f
	types, err := e.typesOf(f)
	if err != nil {
		return nil, err
	}
	to := make([]graph.ValueID, len(f.Types))
	copy(to, args)
	for i := range f.Nodes {
		if err := e.tick(); err != nil {
			return nil, err
		}
		n := &f.Nodes[i]
		in := make([]graph.ValueID, len(n.Args))
		for j, a := range n.Args {
			in[j] = to[a]
		}
		from := path
		if i < len(f.Scopes) {
			from = graph.JoinPath(path, f.Scopes[i])
		}
		results, err := e.node(v, n, in, types[n.Out:int(n.Out)+int(n.NumOut)], from)
		if err != nil {
			return nil, fmt.Errorf("function %q (%v), node %d: %w", f.Name, f.Mode, i, err)
		}
		copy(to[n.Out:], results)
	}
	out := make([]graph.ValueID, len(f.Results))
	for i, r := range f.Results {
		out[i] = to[r.Value]
	}
	return out, nil
}

func (e *expansion) node(v visit, n *graph.Node, in []graph.ValueID, types []graph.Type, path string) ([]graph.ValueID, error) {
	call, ok := callOf(n)
	if !ok {
		return e.add(n.Op, n.Attrs, in, types, path, nil)
	}
	callee := call.callee
	c, traced, err := e.enter(v, call)
	if err != nil {
		return nil, err
	}
	if call.scan {
		body, err := e.body(c)
		if err != nil {
			return nil, err
		}
		if traced != c.f && !sameSignature(traced, c.f) {
			return nil, fmt.Errorf("scan of %q: its functions for training and inference differ in signature", callee)
		}
		return e.add(n.Op, n.Attrs, in, types, path, body)
	}
	if len(in) != len(traced.Params) || len(types) != len(traced.Results) {
		return nil, fmt.Errorf("%q takes %d operands and gives %d results, the call has %d and %d", callee, len(traced.Params), len(traced.Results), len(in), len(types))
	}
	args, err := e.match(traced, c.f, in)
	if err != nil {
		return nil, fmt.Errorf("calling %q: %w", callee, err)
	}
	below := graph.JoinPath(path, call.scope)
	var results []graph.ValueID
	if e.keep != nil && e.keep(c.f) {
		body, err := e.body(c)
		if err != nil {
			return nil, err
		}
		own := make([]graph.Type, len(body.Results))
		for i, r := range body.Results {
			own[i] = body.Types[r.Value]
		}
		results, err = e.add(n.Op, n.Attrs, args, own, path, body)
		if err != nil {
			return nil, err
		}
	} else if results, err = e.expand(c, args, below); err != nil {
		return nil, err
	}
	out := make([]graph.ValueID, len(traced.Results))
	for i, r := range traced.Results {
		j := i
		if traced != c.f {
			j = c.f.Result(r.Role, r.Name)
		}
		if j >= 0 {
			out[i] = results[j]
		} else if k := traced.Param(graph.StateRole, r.Name); r.Role == graph.StateRole && k >= 0 {
			out[i] = in[k]
		} else {
			return nil, fmt.Errorf("calling %q for inference: it has no %v %q, which the training function returns", callee, r.Role, r.Name)
		}
		if !e.out.Types[out[i]].Equal(types[i]) {
			return nil, fmt.Errorf("calling %q: its %v %q is %v, the call expects %v", callee, r.Role, r.Name, e.out.Types[out[i]], types[i])
		}
	}
	return out, nil
}

// match orders the operands of a call traced against one function for another
// function of the same name.
func (e *expansion) match(traced, f *graph.Func, in []graph.ValueID) ([]graph.ValueID, error) {
	args := make([]graph.ValueID, len(f.Params))
	types, err := e.typesOf(f)
	if err != nil {
		return nil, err
	}
	for i, p := range f.Params {
		j := i
		if traced != f {
			if j = traced.Param(p.Role, p.Name); j < 0 {
				return nil, fmt.Errorf("the function for inference takes %v %q, which the one for training lacks", p.Role, p.Name)
			}
		}
		args[i] = in[j]
		if t := e.out.Types[in[j]]; !t.Equal(types[i]) {
			return nil, fmt.Errorf("%v %q is %v, got %v", p.Role, p.Name, types[i], t)
		}
	}
	return args, nil
}

func sameSignature(f, g *graph.Func) bool {
	if len(f.Params) != len(g.Params) || len(f.Results) != len(g.Results) {
		return false
	}
	for i := range f.Params {
		if p, q := f.Params[i], g.Params[i]; p.Role != q.Role || p.Name != q.Name {
			return false
		}
	}
	for i := range f.Results {
		if r, s := f.Results[i], g.Results[i]; r.Role != s.Role || r.Name != s.Name {
			return false
		}
	}
	return true
}

// add appends a node after checking its types against the op's rule.
func (e *expansion) add(op graph.Op, a graph.Attrs, in []graph.ValueID, types []graph.Type, path string, body *Flat) ([]graph.ValueID, error) {
	operands := make([]graph.Type, len(in))
	for i, v := range in {
		operands[i] = e.out.Types[v]
	}
	switch op {
	case graph.OpCall: // checked by match
	default:
		rules := e.module
		if body != nil {
			// A scan is checked against its body at these sizes.
			rules = &graph.Module{Funcs: []*graph.Func{body.Func}}
		}
		mode := graph.Any
		if body != nil {
			mode = body.Mode
		}
		got, err := graph.InferTypes(rules, mode, op, operands, a)
		if err != nil {
			return nil, err
		}
		if op == graph.OpOpaque {
			if got, err = e.specialize(got); err != nil {
				return nil, err
			}
		}
		if len(got) != len(types) {
			return nil, fmt.Errorf("%v gives %d results, the node has %d", op, len(got), len(types))
		}
		for i := range got {
			if !got[i].Equal(types[i]) {
				return nil, fmt.Errorf("%v: result %d is %v, the node says %v", op, i, got[i], types[i])
			}
		}
	}
	node := graph.Node{Op: op, Args: in, Attrs: a, NumOut: int32(len(types))}
	if len(types) > 0 {
		node.Out = graph.ValueID(len(e.out.Types))
	}
	results := make([]graph.ValueID, len(types))
	for i, t := range types {
		results[i] = e.value(t)
	}
	e.out.Nodes = append(e.out.Nodes, node)
	e.out.Scopes = append(e.out.Scopes, path)
	if body != nil {
		if e.out.Bodies == nil {
			e.out.Bodies = map[int]*Flat{}
		}
		e.out.Bodies[len(e.out.Nodes)-1] = body
	}
	return results, nil
}

// typesOf returns the types of f's values with symbols replaced.
func (x *flattener) typesOf(f *graph.Func) ([]graph.Type, error) {
	if t, ok := x.types[f]; ok {
		return t, nil
	}
	t, err := x.specialize(f.Types)
	if err != nil {
		return nil, fmt.Errorf("function %q (%v): %w", f.Name, f.Mode, err)
	}
	x.types[f] = t
	return t, nil
}

func (x *flattener) specialize(types []graph.Type) ([]graph.Type, error) {
	if x.options.Symbols == nil {
		return types, nil
	}
	out := make([]graph.Type, len(types))
	for i, t := range types {
		ext, err := t.Shape.Eval(x.options.Symbols)
		if err != nil {
			return nil, fmt.Errorf("value %v: %w", t, err)
		}
		out[i] = graph.T(t.DType, ext...)
	}
	return out, nil
}
