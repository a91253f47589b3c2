package axes

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// emitter writes the functions for what stays. Those that lose nothing are kept
// as they are; callers of one function that lose different channels get
// functions of their own.
type emitter struct {
	a     *Axes
	r     *removal
	m     *graph.Module
	units map[string][]unit // by the name that they had
	decls map[key]*graph.Decl
	inits map[string]string // initializers made, by what they take of which
}

// unit is a function in its modes.
type unit struct {
	name  string
	funcs map[graph.Mode]*graph.Func
}

func newEmitter(a *Axes, r *removal, m *graph.Module) *emitter {
	return &emitter{a: a, r: r, m: m, units: map[string][]unit{}, decls: map[key]*graph.Decl{}, inits: map[string]string{}}
}

// emit writes a function, in the modes given, and returns its name.
func (e *emitter) emit(set map[graph.Mode]*instance) (string, error) {
	funcs := map[graph.Mode]*graph.Func{}
	changed := false
	var old *graph.Func
	for _, mode := range slices.Sorted(maps.Keys(set)) {
		f, differs, err := e.build(set[mode])
		if err != nil {
			return "", err
		}
		funcs[f.Mode], changed, old = f, changed || differs, set[mode].fn
	}
	if !changed {
		return old.Name, nil
	}
	for _, u := range e.units[old.Name] {
		all := true
		for mode, f := range funcs {
			all = all && u.funcs[mode] != nil && sameFunc(u.funcs[mode], f)
		}
		if all {
			return u.name, nil
		}
	}
	u := unit{e.free(old), funcs}
	for _, mode := range slices.Sorted(maps.Keys(funcs)) {
		f := funcs[mode]
		f.Name = u.name
		if err := e.m.Add(f); err != nil {
			return "", err
		}
	}
	e.units[old.Name] = append(e.units[old.Name], u)
	return u.name, nil
}

// sameFunc reports whether two functions are alike but for their names.
func sameFunc(f, g *graph.Func) bool {
	return reflect.DeepEqual(f.Params, g.Params) && reflect.DeepEqual(f.Nodes, g.Nodes) && reflect.DeepEqual(f.Results, g.Results) &&
		reflect.DeepEqual(f.Types, g.Types) && reflect.DeepEqual(f.Composite, g.Composite)
}

var cutName = regexp.MustCompile(`\.cut\d+$`)

// free returns a name that no function has: NAME.cut1, and so on; for a
// composite the next of its numbers.
func (e *emitter) free(f *graph.Func) string {
	base := cutName.ReplaceAllString(f.Name, "") + ".cut"
	if f.Composite != nil {
		base = f.Composite.Name + "#"
	}
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s%d", base, n)
		if !slices.ContainsFunc(e.m.Funcs, func(g *graph.Func) bool { return g.Name == name }) {
			return name
		}
	}
}

// build returns the function of an instance for what stays, and whether it
// differs from what it was.
func (e *emitter) build(in *instance) (*graph.Func, bool, error) {
	f := in.fn.Clone()
	changed := false
	fail := func(err error) (*graph.Func, bool, error) {
		return nil, false, fmt.Errorf("function %q (%v) of %q: %w", f.Name, f.Mode, in.scope, err)
	}
	for v, axes := range in.axes {
		if !slices.ContainsFunc(axes, e.r.touches) {
			continue
		}
		s, err := e.r.shape(axes)
		if err != nil {
			return fail(err)
		}
		f.Types[v].Shape, changed = s, true
	}
	for i := range f.Params {
		q := &f.Params[i]
		q.Type = f.Types[i]
		if d := e.decls[key{q.Role, graph.JoinPath(in.scope, q.Name)}]; d != nil && q.Decl != nil {
			c := *q.Decl
			c.Initializer, c.Regularizer, c.Constraint = d.Initializer, d.Regularizer, d.Constraint
			q.Decl = &c
		}
	}
	if in.gradient != nil {
		name, err := e.emit(map[graph.Mode]*instance{in.gradient.fn.Mode: in.gradient})
		if err != nil {
			return fail(err)
		}
		changed = changed || name != f.Composite.Gradient
		f.Composite.Gradient = name
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		a, err := e.attrs(in, i, f)
		if err != nil {
			return fail(fmt.Errorf("node %d (%v): %w", i, n.Op, err))
		}
		changed = changed || a != n.Attrs
		n.Attrs = a
		if !changed {
			continue
		}
		operands := make([]graph.Type, len(n.Args))
		for j, v := range n.Args {
			operands[j] = f.Types[v]
		}
		got, err := graph.InferTypes(e.m, f.Mode, n.Op, operands, n.Attrs)
		if err != nil {
			return fail(fmt.Errorf("node %d: %w", i, err))
		}
		for j, t := range got {
			if want := f.Types[n.Out+graph.ValueID(j)]; !t.Equal(want) {
				return fail(fmt.Errorf("node %d (%v) gives %v, and %v should be left of it", i, n.Op, t, want))
			}
		}
	}
	return f, changed, nil
}

// attrs returns the attributes of a node for what stays of its operands; those
// it has where they need not change.
func (e *emitter) attrs(in *instance, node int, f *graph.Func) (graph.Attrs, error) {
	n := &f.Nodes[node]
	now, before := make([]graph.Type, len(n.Args)), make([]graph.Type, len(n.Args))
	for j, v := range n.Args {
		now[j], before[j] = f.Types[v], in.fn.Types[v]
	}
	x := fixer{now: now, before: before}
	var out []*axis
	if n.NumOut > 0 {
		out = in.axes[n.Out]
	}
	dims := func(axes []*axis) []graph.Dim {
		d := make([]graph.Dim, len(axes))
		for i, a := range axes {
			d[i] = e.r.dim(a)
		}
		return d
	}
	switch a := n.Attrs.(type) {
	case *graph.CallAttrs, *graph.ScanAttrs:
		c := in.calls[node]
		set := map[graph.Mode]*instance{c.fn.Mode: c}
		if t := in.twins[node]; t != nil {
			set[t.fn.Mode] = t
		}
		name, err := e.emit(set)
		if err != nil || name == c.fn.Name {
			return a, err
		}
		if k, ok := a.(*graph.CallAttrs); ok {
			return &graph.CallAttrs{Callee: name, Scope: k.Scope}, nil
		}
		k := *a.(*graph.ScanAttrs)
		k.Callee = name
		return &k, nil
	case *graph.ConstantAttrs:
		if slices.ContainsFunc(out, e.r.touches) {
			return e.constant(a, out)
		}
	case *graph.IotaAttrs:
		k := *a
		k.Shape = x.all(a.Shape, dims(out))
		return x.done(a, &k)
	case *graph.ReshapeAttrs:
		return x.done(a, &graph.ReshapeAttrs{Shape: x.all(a.Shape, dims(out))})
	case *graph.BroadcastAttrs:
		return x.done(a, &graph.BroadcastAttrs{Dims: a.Dims, Shape: x.all(a.Shape, dims(out))})
	case *graph.RandomBitsAttrs:
		return x.done(a, &graph.RandomBitsAttrs{Shape: x.all(a.Shape, dims(out)[1:])})
	case *graph.DynamicSliceAttrs:
		return x.done(a, &graph.DynamicSliceAttrs{Sizes: x.all(a.Sizes, dims(out))})
	case *graph.SliceAttrs:
		k := &graph.SliceAttrs{Stride: a.Stride}
		for i, from := range in.axes[n.Args[0]] {
			start, limit := x.was(a.Start[i]), x.was(a.Limit[i])
			if e.r.touches(from) {
				start = e.r.dim(in.segments[node][i])
				limit, _ = start.Add(e.r.dim(out[i]))
			}
			k.Start, k.Limit = append(k.Start, x.one(a.Start[i], start)), append(k.Limit, x.one(a.Limit[i], limit))
		}
		return x.done(a, k)
	case *graph.PadAttrs:
		k := &graph.PadAttrs{Interior: a.Interior}
		for i := range out {
			low, high := x.was(a.Low[i]), x.was(a.High[i])
			if e.r.touches(out[i]) {
				low, high = e.r.dim(in.segments[node][2*i]), e.r.dim(in.segments[node][2*i+1])
			}
			k.Low, k.High = append(k.Low, x.one(a.Low[i], low)), append(k.High, x.one(a.High[i], high))
		}
		return x.done(a, k)
	case *graph.ConvAttrs:
		if g, _ := e.r.dim(in.segments[node][0]).Const(); g != a.Groups {
			k := *a
			k.Groups = g
			return &k, nil
		}
	}
	return n.Attrs, nil
}

// fixer brings expressions up to what they must give now.
type fixer struct {
	now, before []graph.Type
	changed     bool
	err         error
}

// one returns the expression where it gives what is wanted, else the constant.
func (x *fixer) one(e graph.DimExpr, want graph.Dim) graph.DimExpr {
	if d, err := e.Eval(x.now); err == nil && d == want {
		return e
	}
	n, ok := want.Const()
	if !ok && x.err == nil {
		x.err = fmt.Errorf("the extent %v does not become %v", e, want)
	}
	x.changed = true
	return graph.ConstExpr(n)
}

func (x *fixer) all(e []graph.DimExpr, want []graph.Dim) []graph.DimExpr {
	out := make([]graph.DimExpr, len(e))
	for i := range e {
		out[i] = x.one(e[i], want[i])
	}
	return out
}

// was returns what the expression gave before.
func (x *fixer) was(e graph.DimExpr) graph.Dim {
	d, err := e.Eval(x.before)
	if err != nil && x.err == nil {
		x.err = err
	}
	return d
}

func (x *fixer) done(before, now graph.Attrs) (graph.Attrs, error) {
	if x.changed {
		return now, x.err
	}
	return before, x.err
}

// constant returns a constant without the channels that go.
func (e *emitter) constant(a *graph.ConstantAttrs, axes []*axis) (graph.Attrs, error) {
	t := a.Value
	if a.Ref != "" {
		t = e.m.Consts[a.Ref]
	}
	if t == nil {
		return nil, fmt.Errorf("the module lacks the constant %q", a.Ref)
	}
	t = e.r.slice(t, axes)
	if len(t.Data) <= graph.MaxLiteral {
		return &graph.ConstantAttrs{Value: t}, nil
	}
	sum := sha256.New()
	fmt.Fprintln(sum, t.Type())
	sum.Write(t.Data)
	name := fmt.Sprintf("cut.%x", sum.Sum(nil)[:12])
	e.m.Consts[name] = t
	return &graph.ConstantAttrs{Ref: name, To: t.DType, Dims: slices.Clone(t.Shape)}, nil
}

// declarations writes what the declarations of parameters and states that lose
// channels name. A first value is what the initializer gives of the whole, less
// what goes: the weights that the channels which stay began with.
func (e *emitter) declarations() error {
	for _, k := range e.a.order {
		q := e.a.params[k]
		axes := e.a.named[k]
		if q.Decl == nil || !slices.ContainsFunc(axes, e.r.touches) {
			continue
		}
		if _, err := e.r.shape(axes); err != nil {
			return fmt.Errorf("%v %q: %w", k.role, k.name, err)
		}
		d := *q.Decl
		var err error
		if d.Initializer != "" {
			if d.Initializer, err = e.initializer(d.Initializer, axes); err != nil {
				return fmt.Errorf("the initializer of %q: %w", k.name, err)
			}
		}
		for _, ref := range []*string{&d.Regularizer, &d.Constraint} {
			if in := e.a.attached[attachment{k.name, *ref}]; in != nil {
				if *ref, err = e.emit(map[graph.Mode]*instance{in.fn.Mode: in}); err != nil {
					return fmt.Errorf("%q, which belongs to %q: %w", in.fn.Name, k.name, err)
				}
			}
		}
		e.decls[k] = &d
	}
	return nil
}

// initializer returns the function that takes the kept part of what another
// one gives.
func (e *emitter) initializer(name string, axes []*axis) (string, error) {
	f := e.m.Resolve(name, graph.Any)
	if f == nil {
		return name, nil // the host says so where the value is needed
	}
	whole, rows := f, make([][]int64, len(axes))
	if callee, before := takes(f); callee != "" {
		if g := e.m.Resolve(callee, graph.Any); g != nil {
			whole, rows = g, before
		}
	}
	for i, a := range axes {
		kept := e.r.kept(a)
		switch {
		case kept == nil:
		case rows[i] == nil:
			rows[i] = kept
		default: // of those that an earlier removal has kept
			was := rows[i]
			rows[i] = make([]int64, len(kept))
			for j, k := range kept {
				rows[i][j] = was[k]
			}
		}
	}
	id := fmt.Sprint(whole.Name, rows)
	if made := e.inits[id]; made != "" {
		return made, nil
	}
	b := graph.NewBuilder(e.m, e.free(&graph.Func{Name: name}), graph.Any)
	args := make([]graph.Value, len(whole.Params))
	for i, q := range whole.Params {
		args[i] = b.Argument(q)
	}
	v := b.Apply(graph.OpCall, &graph.CallAttrs{Callee: whole.Name}, args...)[0]
	for i, r := range rows {
		if r != nil {
			v = v.Gather(i, 0, b.Const(graph.Int64s(r, int64(len(r)))))
		}
	}
	b.Output("value", v)
	g, err := b.Finish()
	if err != nil {
		return "", err
	}
	e.inits[id] = g.Name
	return g.Name, nil
}

// takes reads what initializer wrote: the function called, and the rows kept of
// each axis; "" for another function.
func takes(f *graph.Func) (string, [][]int64) {
	if !cutName.MatchString(f.Name) || len(f.Nodes) == 0 || len(f.Results) != 1 {
		return "", nil
	}
	call, ok := f.Nodes[0].Attrs.(*graph.CallAttrs)
	if !ok || f.Nodes[0].Op != graph.OpCall || f.Nodes[0].NumOut != 1 || len(f.Nodes)%2 != 1 {
		return "", nil
	}
	at := f.Nodes[0].Out
	rows := make([][]int64, f.Types[at].Rank())
	for i := 1; i < len(f.Nodes); i += 2 {
		k, ok1 := f.Nodes[i].Attrs.(*graph.ConstantAttrs)
		g, ok2 := f.Nodes[i+1].Attrs.(*graph.GatherAttrs)
		if !ok1 || !ok2 || k.Value == nil || k.Value.DType != graph.I64 || g.BatchDims != 0 || f.Nodes[i+1].Op != graph.OpGather ||
			!slices.Equal(f.Nodes[i+1].Args, []graph.ValueID{at, f.Nodes[i].Out}) || rows[g.Axis] != nil {
			return "", nil
		}
		at = f.Nodes[i+1].Out
		for j := range k.Value.Len() {
			rows[g.Axis] = append(rows[g.Axis], k.Value.Int(j))
		}
	}
	if f.Results[0].Value != at {
		return "", nil
	}
	return call.Callee, rows
}

// rename gives a function the name of another one, which goes.
func (e *emitter) rename(from, to string) {
	e.m.Funcs = slices.DeleteFunc(e.m.Funcs, func(f *graph.Func) bool { return f.Name == to })
	for _, f := range e.m.Funcs {
		if f.Name == from {
			f.Name = to
		}
	}
}

// prune drops the functions and constants that the program has no use for any
// more. A function is in use where the program names it, whatever for.
func (e *emitter) prune(p *train.Program) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var fields any
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	byName := map[string][]*graph.Func{}
	for _, f := range e.m.Funcs {
		byName[f.Name] = append(byName[f.Name], f)
	}
	used, consts := map[string]bool{}, map[string]bool{}
	var use func(name string)
	use = func(name string) {
		if used[name] || byName[name] == nil {
			return
		}
		used[name] = true
		for _, f := range byName[name] {
			if f.Composite != nil {
				use(f.Composite.Gradient)
			}
			for _, q := range f.Params {
				if q.Decl != nil {
					use(q.Decl.Initializer)
					use(q.Decl.Regularizer)
					use(q.Decl.Constraint)
				}
			}
			for _, n := range f.Nodes {
				switch a := n.Attrs.(type) {
				case *graph.CallAttrs:
					use(a.Callee)
				case *graph.ScanAttrs:
					use(a.Callee)
				case *graph.ConstantAttrs:
					consts[a.Ref] = true
				}
			}
		}
	}
	var words func(v any)
	words = func(v any) {
		switch v := v.(type) {
		case string:
			use(v)
		case []any:
			for _, x := range v {
				words(x)
			}
		case map[string]any:
			for _, x := range v {
				words(x)
			}
		}
	}
	words(fields)
	e.m.Funcs = slices.DeleteFunc(e.m.Funcs, func(f *graph.Func) bool { return !used[f.Name] })
	maps.DeleteFunc(e.m.Consts, func(name string, _ *graph.Tensor) bool { return !consts[name] })
	return nil
}
