package graph

import (
	"fmt"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Builder writes one function. Operations are methods of the [Value]s it hands
// out; the first mistake is kept, later operations on its result do nothing,
// and Finish returns it with the line of the caller's source that made it.
type Builder struct {
	module *Module
	fn     Func
	scope  string // of the nodes added next
	err    error

	types  []Type           // by temporary value number
	isPar  []int            // index into fn.Params, or -1
	states map[string]Value // current value of every state, by path
	order  []string         // states in order of declaration
	dirty  map[string]bool  // states that were replaced
	slots  map[string]Value
	keys   int
}

// Value is one value of the function under construction. The zero Value is
// what a failed operation returns; operations on it do nothing.
type Value struct {
	b  *Builder
	id ValueID
}

// NewBuilder starts a function of that name and mode in m, which must hold
// every function that it calls.
func NewBuilder(m *Module, name string, mode Mode) *Builder {
	return &Builder{
		module: m, fn: Func{Name: name, Mode: mode},
		states: map[string]Value{}, dirty: map[string]bool{}, slots: map[string]Value{},
	}
}

// Module returns the module under construction.
func (b *Builder) Module() *Module { return b.module }

// SetScope says which layer the nodes added from here on come from, as
// [Func.Scopes] keeps it; "" for none. It returns the scope before.
func (b *Builder) SetScope(path string) string {
	old := b.scope
	b.scope = path
	return old
}

// Mode returns the mode the function is traced for.
func (b *Builder) Mode() Mode { return b.fn.Mode }

// Training reports whether the function is traced for training.
func (b *Builder) Training() bool { return b.fn.Mode == Train }

// Err returns the first mistake made so far.
func (b *Builder) Err() error { return b.err }

// Failf records a mistake, unless one is recorded already, and returns the
// zero Value. The text gets the caller's source position.
func (b *Builder) Failf(format string, args ...any) Value {
	if b.err == nil {
		b.err = fmt.Errorf("%s%s", fmt.Sprintf(format, args...), callerPosition())
	}
	return Value{b: b, id: -1}
}

func callerPosition() string {
	pc := make([]uintptr, 32)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	for {
		f, more := frames.Next()
		own := strings.Contains(f.Function, "hone/sdk/graph.") || strings.Contains(f.Function, "hone/sdk.")
		if f.Function != "" && (!own || strings.HasSuffix(f.File, "_test.go")) {
			return fmt.Sprintf(" (%s:%d)", path.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}

func (b *Builder) newValue(t Type, param int) Value {
	b.types = append(b.types, t)
	b.isPar = append(b.isPar, param)
	return Value{b: b, id: ValueID(len(b.types) - 1)}
}

func (b *Builder) addParam(p Param) Value {
	if !p.Type.DType.Valid() {
		return b.Failf("%s %q has no valid element type", p.Role, p.Name)
	}
	if b.fn.Param(p.Role, p.Name) >= 0 {
		return b.Failf("%s %q is declared twice", p.Role, p.Name)
	}
	b.fn.Params = append(b.fn.Params, p)
	return b.newValue(p.Type, len(b.fn.Params)-1)
}

// Input declares an argument.
func (b *Builder) Input(name string, t Type) Value {
	return b.addParam(Param{Name: name, Role: Input, Type: t})
}

// Param declares a parameter under its path. Its shape must be constant.
func (b *Builder) Param(path string, t Type, d Decl) Value {
	if err := CheckPath(path); err != nil {
		return b.Failf("parameter %q: %v", path, err)
	}
	if _, ok := t.Shape.Const(); !ok {
		return b.Failf("parameter %q has the symbolic shape %v; the shape of a parameter cannot depend on the batch size", path, t.Shape)
	}
	return b.addParam(Param{Name: path, Role: ParamRole, Type: t, Decl: &d})
}

// State declares a value that the function reads and may replace with SetState.
func (b *Builder) State(path string, t Type, d Decl) Value {
	if err := CheckPath(path); err != nil {
		return b.Failf("state %q: %v", path, err)
	}
	if _, ok := t.Shape.Const(); !ok {
		return b.Failf("state %q has the symbolic shape %v", path, t.Shape)
	}
	v := b.addParam(Param{Name: path, Role: StateRole, Type: t, Decl: &d})
	if v.ok() {
		b.states[path] = v
		b.order = append(b.order, path)
	}
	return v
}

// SetState replaces the state declared under path.
func (b *Builder) SetState(path string, v Value) {
	old, ok := b.states[path]
	switch {
	case !ok:
		b.Failf("state %q is set but was not declared", path)
	case v.ok() && !v.Type().Equal(b.types[old.id]):
		b.Failf("state %q is %v and cannot become %v", path, b.types[old.id], v.Type())
	default:
		b.states[path], b.dirty[path] = v, true
	}
}

// Argument declares a parameter of any role, without a declaration.
func (b *Builder) Argument(p Param) Value { return b.addParam(p) }

// Slot declares an optimizer's value beside a parameter; Output with SlotRole
// replaces it (see Replace).
func (b *Builder) Slot(name string, t Type, d Decl) Value {
	return b.addParam(Param{Name: name, Role: SlotRole, Type: t, Decl: &d})
}

// Global declares an optimizer's value shared by all parameters.
func (b *Builder) Global(name string, t Type) Value {
	return b.addParam(Param{Name: name, Role: GlobalRole, Type: t})
}

// Hyper declares an f32 scalar that may change between steps without
// recompiling, with its value where the host sets none.
func (b *Builder) Hyper(name string, value float64) Value {
	if i := b.fn.Param(HyperRole, name); i >= 0 {
		return b.paramValue(i)
	}
	return b.addParam(Param{Name: name, Role: HyperRole, Type: Scalar(F32), Decl: &Decl{Default: value}})
}

func (b *Builder) paramValue(i int) Value {
	return Value{b: b, id: ValueID(slices.Index(b.isPar, i))}
}

// Lookup returns the parameter of that role and name, and the current value of
// a state.
func (b *Builder) Lookup(role Role, name string) (Value, bool) {
	if role == StateRole {
		v, ok := b.states[name]
		return v, ok
	}
	i := b.fn.Param(role, name)
	if i < 0 {
		return Value{b: b, id: -1}, false
	}
	return b.paramValue(i), true
}

// Key declares the key of one more random draw of this function.
func (b *Builder) Key() Value {
	b.keys++
	return b.addParam(Param{Name: "#" + strconv.Itoa(b.keys-1), Role: KeyRole, Type: Scalar(U64)})
}

func (b *Builder) ambient(role Role, t Type) Value {
	for i, p := range b.fn.Params {
		if p.Role == role {
			return b.paramValue(i)
		}
	}
	return b.addParam(Param{Name: role.String(), Role: role, Type: t})
}

// Step returns the number of the training step, u64[].
func (b *Builder) Step() Value { return b.ambient(StepRole, Scalar(U64)) }

// Index returns the index of each example in the global batch, i64[batch].
func (b *Builder) Index() Value { return b.ambient(IndexRole, Type{I64, Shape{Batch}}) }

// Output adds a result.
func (b *Builder) Output(name string, v Value) { b.result(Output, name, v) }

// Replace adds the result that replaces the slot, global or state of that name.
func (b *Builder) Replace(role Role, name string, v Value) { b.result(role, name, v) }

func (b *Builder) result(role Role, name string, v Value) {
	if !b.owns(v) {
		return
	}
	if b.fn.Result(role, name) >= 0 {
		b.Failf("%s %q is returned twice", role, name)
		return
	}
	b.fn.Results = append(b.fn.Results, Result{Name: name, Role: role, Value: v.id})
}

func (b *Builder) owns(vs ...Value) bool {
	for _, v := range vs {
		if v.b == nil {
			b.Failf("a zero Value is used")
			return false
		}
		if v.b != b {
			b.Failf("a value of the function %q is used in %q", v.b.fn.Name, b.fn.Name)
			return false
		}
		if v.id < 0 {
			return false
		}
	}
	return b.err == nil
}

// Apply adds a node. The methods of Value are usually shorter.
func (b *Builder) Apply(op Op, a Attrs, args ...Value) []Value {
	fail := func(n int) []Value {
		out := make([]Value, max(n, 1))
		for i := range out {
			out[i] = Value{b: b, id: -1}
		}
		return out
	}
	if !b.owns(args...) {
		n := 1
		if op == OpTopK {
			n = 2
		}
		return fail(max(n, len(args)))
	}
	in := make([]Type, len(args))
	ids := make([]ValueID, len(args))
	for i, v := range args {
		in[i], ids[i] = b.types[v.id], v.id
	}
	types, err := InferTypes(b.module, b.fn.Mode, op, in, a)
	if err != nil {
		b.Failf("%v", err)
		return fail(max(2, len(args)))
	}
	n := Node{Op: op, Args: ids, Attrs: a, Out: ValueID(len(b.types)), NumOut: int32(len(types))}
	out := make([]Value, len(types))
	for i, t := range types {
		out[i] = b.newValue(t, -1)
	}
	if b.scope != "" && b.fn.Scopes == nil {
		b.fn.Scopes = make([]string, len(b.fn.Nodes))
	}
	b.fn.Nodes = append(b.fn.Nodes, n)
	if b.fn.Scopes != nil {
		b.fn.Scopes = append(b.fn.Scopes, b.scope)
	}
	return out
}

func (b *Builder) apply1(op Op, a Attrs, args ...Value) Value { return b.Apply(op, a, args...)[0] }

// Finish adds the function to its module and returns it, or the first mistake.
func (b *Builder) Finish() (*Func, error) {
	for _, p := range b.order {
		if b.dirty[p] && b.fn.Result(StateRole, p) < 0 {
			b.result(StateRole, p, b.states[p])
		}
	}
	if b.err != nil {
		return nil, fmt.Errorf("function %q (%v): %w", b.fn.Name, b.fn.Mode, b.err)
	}
	// Parameters come first in the numbering of a finished function, though
	// they may be declared anywhere.
	f := b.fn
	to := make([]ValueID, len(b.types))
	next := ValueID(len(f.Params))
	f.Types = make([]Type, len(b.types))
	for i, p := range b.isPar {
		if p >= 0 {
			to[i] = ValueID(p)
		} else {
			to[i] = next
			next++
		}
		f.Types[to[i]] = b.types[i]
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for j, a := range n.Args {
			n.Args[j] = to[a]
		}
		if n.NumOut > 0 {
			n.Out = to[n.Out]
		} else {
			n.Out = 0
		}
	}
	for i := range f.Results {
		f.Results[i].Value = to[f.Results[i].Value]
	}
	if err := b.module.Add(&f); err != nil {
		return nil, err
	}
	return &f, nil
}

// CheckPath reports why p is no path: names [a-z][a-z0-9_]* separated by dots,
// each followed by any number of [i].
func CheckPath(p string) error {
	bad := fmt.Errorf("paths are names of [a-z][a-z0-9_]* separated by dots, each with optional [number]")
	if len(p) == 0 || len(p) > 512 {
		return bad
	}
	for part := range strings.SplitSeq(p, ".") {
		name, idx, _ := strings.Cut(part, "[")
		if name == "" || name[0] < 'a' || name[0] > 'z' {
			return bad
		}
		for _, c := range []byte(name) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
				return bad
			}
		}
		if len(part) > len(name) {
			for i := range strings.SplitSeq("["+idx, "[") {
				if i == "" {
					continue
				}
				n := strings.TrimSuffix(i, "]")
				if n == i || n == "" || strings.Trim(n, "0123456789") != "" {
					return bad
				}
			}
			if !strings.HasSuffix(part, "]") {
				return bad
			}
		}
	}
	return nil
}

// JoinPath puts a callee's path under a scope; keys (#n) attach without a dot.
func JoinPath(scope, path string) string {
	switch {
	case scope == "":
		return path
	case path == "" || path[0] == '#':
		return scope + path
	}
	return scope + "." + path
}

// Call calls the function of that name in this function's mode, placing its
// parameters, states, hypers and keys under scope in this function's signature.
// inputs are the callee's inputs in order; the callee's outputs come back.
// Calling twice with one scope shares the parameters.
func (b *Builder) Call(callee, scope string, inputs ...Value) []Value {
	f := b.module.Resolve(callee, b.fn.Mode)
	if f == nil {
		b.Failf("calls %q, which the module lacks for mode %v", callee, b.fn.Mode)
		return []Value{{b: b, id: -1}}
	}
	fail := func() []Value {
		out := []Value{}
		for _, r := range f.Results {
			if r.Role == Output {
				out = append(out, Value{b: b, id: -1})
			}
		}
		return out
	}
	if !b.owns(inputs...) {
		return fail()
	}
	args := make([]Value, len(f.Params))
	next := 0
	for i, p := range f.Params {
		switch p.Role {
		case Input:
			if next >= len(inputs) {
				b.Failf("%q takes more than %d inputs", callee, len(inputs))
				return fail()
			}
			args[i] = inputs[next]
			next++
		case StepRole, IndexRole:
			args[i] = b.ambient(p.Role, p.Type)
		case StateRole:
			name := JoinPath(scope, p.Name)
			v, ok := b.states[name]
			if !ok {
				q := p
				q.Name = name
				if v = b.addParam(q); v.ok() {
					b.states[name] = v
					b.order = append(b.order, name)
				}
			}
			args[i] = v
		default:
			q := p
			q.Name = JoinPath(scope, p.Name)
			if q.Decl != nil && q.Decl.Alias != "" {
				d := *q.Decl
				d.Alias = JoinPath(scope, d.Alias)
				q.Decl = &d
			}
			if j := b.fn.Param(p.Role, q.Name); j >= 0 && p.Role != KeyRole {
				args[i] = b.paramValue(j)
			} else if j >= 0 {
				q.Name = fmt.Sprintf("%s#%d", q.Name[:strings.LastIndexByte(q.Name, '#')], b.countKeys(q.Name))
				args[i] = b.addParam(q)
			} else {
				args[i] = b.addParam(q)
			}
		}
	}
	if next != len(inputs) {
		b.Failf("%q takes %d inputs, got %d", callee, next, len(inputs))
		return fail()
	}
	res := b.Apply(OpCall, &CallAttrs{Callee: callee, Scope: scope}, args...)
	if b.err != nil {
		return fail()
	}
	out := []Value{}
	for i, r := range f.Results {
		switch r.Role {
		case StateRole:
			name := JoinPath(scope, r.Name)
			b.states[name], b.dirty[name] = res[i], true
		default:
			out = append(out, res[i])
		}
	}
	return out
}

// countKeys returns the first free ordinal of the draws under a key's path.
func (b *Builder) countKeys(key string) int {
	prefix := key[:strings.LastIndexByte(key, '#')+1]
	n := 0
	for _, p := range b.fn.Params {
		if p.Role == KeyRole && strings.HasPrefix(p.Name, prefix) {
			n++
		}
	}
	return n
}
