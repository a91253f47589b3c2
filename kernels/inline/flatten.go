package inline

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Flat is a function without calls, but for those that were to be kept.
//
// Its values are numbered as those of any function, its signature is the
// entry's. A kept call takes its operands and gives its results in the order of
// Bodies[node], which may differ from the signature that the call was traced
// against where its scope is frozen.
type Flat struct {
	// Func.Scopes has, for every node, the path of the layer it came from: the
	// scopes of the calls around it, joined with what the function that holds it
	// says; "" at the top.
	*graph.Func
	// Bodies holds, by the number of its node, the flat callee of every scan
	// and of every call that was kept. Nodes with one callee share one Flat,
	// which is not to be edited.
	Bodies map[int]*Flat

	total *total // of a body
}

// Keep says of the function that a call resolves to whether the call stays a
// call. A nil Keep keeps none.
type Keep func(callee *graph.Func) bool

// maxDepth bounds how deep calls nest: far beyond any model, far below what
// the goroutine's stack could hold.
const maxDepth = 1000

// maxValues is what a ValueID can number.
const maxValues = math.MaxInt32

// Flatten resolves entry in o.Mode and expands all that it calls.
//
// A call resolves in the mode of the function that holds it, and in Infer where
// its scope path is one of o.Frozen or lies below one. There the callee may have
// another signature than the one the call was traced against: operands are
// matched by role and name, and a state that the callee does not replace passes
// through unchanged.
//
// Where o.Symbols is not nil every type of the result is concrete and each
// node has been checked against its op's shape rule at these sizes; a symbol
// without a value is an error. With nil Symbols types stay as they were traced.
//
// The node count of the expansion, in which a call of a function without nodes
// counts as one, is compared with o.Limits.Nodes before anything is expanded
// (*kernels.LimitError). Recursion is an error that names the cycle. Of o, only
// Mode, Frozen, Symbols and Limits.Nodes are read. m is not changed; attributes
// are shared with it.
func Flatten(ctx context.Context, m *graph.Module, entry string, o kernels.Options, keep Keep) (*Flat, error) {
	f := m.Resolve(entry, o.Mode)
	if f == nil {
		return nil, fmt.Errorf("the module has no function %q for mode %v", entry, o.Mode)
	}
	for s, n := range o.Symbols {
		if n < 0 {
			return nil, fmt.Errorf("the dimension symbol %q is set to %d; extents are not negative", s, n)
		}
	}
	x := &flattener{
		ctx: ctx, module: m, options: o, keep: keep,
		sizes: map[visit]size{}, behind: map[visit]bool{}, checked: map[*graph.Func]bool{}, bodies: map[visit]*Flat{}, types: map[*graph.Func][]graph.Type{},
	}
	top := visit{f: f, region: x.region("")}
	total, err := x.count(top, nil)
	if err != nil {
		return nil, err
	}
	// A body that stands behind a node counts once, however many nodes share it.
	for v := range x.behind {
		total = total.plus(x.sizes[v])
	}
	if total.overflow || max(total.values, total.nodes) > maxValues {
		return nil, &kernels.LimitError{What: "values after calls are expanded", Got: max(total.values, total.nodes), Limit: maxValues}
	}
	if l := o.Limits.Nodes; l > 0 && total.nodes > l {
		return nil, &kernels.LimitError{What: "nodes after calls are expanded", Got: total.nodes, Limit: l}
	}
	flat, err := x.flatten(top)
	if err != nil {
		return nil, fmt.Errorf("flattening %q (%v): %w", entry, o.Mode, err)
	}
	return flat, nil
}

// region says where a function's body stands with respect to the frozen scopes.
// Two expansions of one function are alike where their regions are.
type region struct {
	frozen bool
	// path is kept only while some frozen scope lies below it, so that there
	// are few regions even where there are many paths.
	path  string
	above bool // whether a frozen scope lies below path
}

type visit struct {
	f *graph.Func
	region
}

type size struct {
	nodes, values int64
	overflow      bool
}

func (s size) plus(t size) size {
	r := size{s.nodes + t.nodes, s.values + t.values, s.overflow || t.overflow}
	if r.nodes < 0 || r.values < 0 {
		return size{math.MaxInt64, math.MaxInt64, true}
	}
	return r
}

type flattener struct {
	ctx     context.Context
	module  *graph.Module
	options kernels.Options
	keep    Keep

	sizes   map[visit]size
	behind  map[visit]bool // bodies of scans and kept calls
	checked map[*graph.Func]bool
	bodies  map[visit]*Flat
	types   map[*graph.Func][]graph.Type // specialized
	steps   int
}

// region returns where a body at the given scope path stands.
func (x *flattener) region(path string) region {
	r := region{}
	for _, s := range x.options.Frozen {
		switch {
		case within(path, s):
			return region{frozen: true}
		case within(s, path):
			r = region{path: path, above: true}
		}
	}
	return r
}

// within reports whether path is scope or lies below it.
func within(path, scope string) bool {
	rest, ok := strings.CutPrefix(path, scope)
	return ok && (scope == "" || rest == "" || rest[0] == '.' || rest[0] == '[' || rest[0] == '#')
}

// enter returns what a call in v leads to: the visit of its callee, and the
// function whose signature the call was traced against.
func (x *flattener) enter(v visit, c call) (visit, *graph.Func, error) {
	traced := x.module.Resolve(c.callee, v.f.Mode)
	if traced == nil {
		return visit{}, nil, fmt.Errorf("function %q (%v) calls %q, which the module lacks for that mode", v.f.Name, v.f.Mode, c.callee)
	}
	r := v.region
	if r.above {
		r = x.region(graph.JoinPath(r.path, c.scope))
	}
	if !r.frozen {
		return visit{traced, r}, traced, nil
	}
	f := x.module.Resolve(c.callee, graph.Infer)
	if f == nil {
		return visit{}, nil, fmt.Errorf("a frozen scope calls %q, which the module lacks for inference", c.callee)
	}
	return visit{f, r}, traced, nil
}

func (x *flattener) tick() error {
	if x.steps++; x.steps&1023 == 0 {
		return x.ctx.Err()
	}
	return nil
}

// count returns the size of the expansion of v; stack holds the functions
// being expanded around it.
func (x *flattener) count(v visit, stack []*graph.Func) (size, error) {
	if s, ok := x.sizes[v]; ok {
		return s, nil
	}
	if err := x.ctx.Err(); err != nil {
		return size{}, err
	}
	if i := slices.Index(stack, v.f); i >= 0 {
		names := []string{}
		for _, f := range stack[i:] {
			names = append(names, fmt.Sprintf("%q", f.Name))
		}
		return size{}, fmt.Errorf("the functions call one another in a circle: %s -> %q", strings.Join(names, " -> "), v.f.Name)
	}
	if len(stack) >= maxDepth {
		return size{}, fmt.Errorf("calls nest more than %d deep, the last in %q", maxDepth, v.f.Name)
	}
	if err := x.check(v.f); err != nil {
		return size{}, err
	}
	stack = append(stack, v.f)
	total := size{values: int64(len(v.f.Params))}
	for i := range v.f.Nodes {
		if err := x.tick(); err != nil {
			return size{}, err
		}
		n := &v.f.Nodes[i]
		own := size{nodes: 1, values: int64(n.NumOut)}
		call, ok := callOf(n)
		if !ok {
			total = total.plus(own)
			continue
		}
		c, _, err := x.enter(v, call)
		if err != nil {
			return size{}, err
		}
		inner, err := x.count(c, stack)
		if err != nil {
			return size{}, err
		}
		if call.scan || x.keep != nil && x.keep(c.f) {
			x.behind[c] = true
			total = total.plus(own)
			continue
		}
		// A call of a function without nodes takes time to expand, too.
		inner.nodes = max(inner.nodes, 1)
		total = total.plus(inner)
	}
	x.sizes[v] = total
	return total, nil
}

// call is what a node says of the function that it calls.
type call struct {
	callee, scope string
	scan          bool
}

func callOf(n *graph.Node) (call, bool) {
	switch n.Op {
	case graph.OpCall:
		a := n.Attrs.(*graph.CallAttrs)
		return call{a.Callee, a.Scope, false}, true
	case graph.OpScan:
		return call{n.Attrs.(*graph.ScanAttrs).Callee, "", true}, true
	}
	return call{}, false
}

// check verifies the numbering of a function, once, so that the expansion can
// index freely whatever the module holds.
func (x *flattener) check(f *graph.Func) error {
	if x.checked[f] {
		return nil
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("function %q (%v): %s", f.Name, f.Mode, fmt.Sprintf(format, args...))
	}
	next := graph.ValueID(len(f.Params))
	if len(f.Types) < len(f.Params) {
		return bad("%d types for %d parameters", len(f.Types), len(f.Params))
	}
	for i, p := range f.Params {
		if !p.Type.Equal(f.Types[i]) {
			return bad("%v %q is declared %v and typed %v", p.Role, p.Name, p.Type, f.Types[i])
		}
	}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if !n.Op.Valid() {
			return bad("node %d has no valid op", i)
		}
		var want graph.Attrs
		if d := n.Op.Def(); d.NewAttrs != nil {
			want = d.NewAttrs()
		}
		if reflect.TypeOf(n.Attrs) != reflect.TypeOf(want) {
			return bad("node %d (%v) holds attributes of type %T, wanted %T", i, n.Op, n.Attrs, want)
		}
		for _, a := range n.Args {
			if a < 0 || a >= next {
				return bad("node %d (%v) uses value %d before it is computed", i, n.Op, a)
			}
		}
		if n.NumOut < 0 || n.NumOut > 0 && n.Out != next || n.NumOut == 0 && n.Out != 0 || int64(next)+int64(n.NumOut) > int64(len(f.Types)) {
			return bad("node %d (%v) numbers its %d results from %d, expected %d", i, n.Op, n.NumOut, n.Out, next)
		}
		next += graph.ValueID(n.NumOut)
	}
	if int(next) != len(f.Types) {
		return bad("%d types for %d values", len(f.Types), next)
	}
	for _, r := range f.Results {
		if r.Value < 0 || r.Value >= next {
			return bad("result %q is value %d of %d", r.Name, r.Value, next)
		}
	}
	x.checked[f] = true
	return nil
}
