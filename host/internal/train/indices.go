package train

import (
	"cmp"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// Index says that elements From to To, without To, of each example of an input
// choose rows of a table, as those of an embedding do.
type Index struct {
	From, To int64
	Rows     int64  // of the table: indices are 0 to Rows-1
	Layer    string // that has the table
}

// Indices returns, by input, the elements that are used as indices as they are:
// converted, reshaped or taken apart, but not computed with. A layer that bounds
// its indices itself has none.
func (p *Program) Indices() map[string][]Index {
	f, err := p.model(graph.Infer)
	if err != nil {
		return nil
	}
	t := tracking{m: p.Module, found: map[string][]Index{}}
	args := make([]*elements, len(f.Params))
	for i, q := range f.Params {
		if q.Role != graph.Input || len(q.Type.Shape) == 0 {
			continue
		}
		width := int64(1)
		for _, d := range q.Type.Shape[1:] {
			n, ok := d.Const()
			if !ok {
				width = 0
			}
			width *= n
		}
		if width > 0 {
			args[i] = &elements{input: q.Name, to: width}
		}
	}
	t.through(f, args, "")
	for name, list := range t.found {
		slices.SortFunc(list, func(a, b Index) int {
			return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Rows, b.Rows))
		})
		t.found[name] = slices.Compact(list)
	}
	return t.found
}

// elements are those of an input that a value holds, in their order.
type elements struct {
	input    string
	from, to int64
}

type tracking struct {
	m     *graph.Module
	found map[string][]Index
	calls int
}

// maxCalls bounds the calls that are followed: a module's functions may call each
// other more often than anybody can wait for, and such a one is refused when it is
// compiled.
const maxCalls = 100_000

// through follows the elements that a function is given and returns those in its
// results.
func (t *tracking) through(f *graph.Func, args []*elements, scope string) []*elements {
	at := make([]*elements, len(f.Types))
	copy(at, args) // parameters are the first values
	for _, n := range f.Nodes {
		in := func(i int) *elements {
			if i < len(n.Args) {
				return at[n.Args[i]]
			}
			return nil
		}
		switch n.Op {
		case graph.OpConvert, graph.OpReshape:
			at[n.Out] = in(0)
		case graph.OpSlice:
			at[n.Out] = sliced(in(0), f.Types[n.Args[0]], n.Attrs.(*graph.SliceAttrs))
		case graph.OpGather:
			e := in(1)
			a := n.Attrs.(*graph.GatherAttrs)
			rows, ok := f.Types[n.Args[0]].Shape[a.Axis].Const()
			if e != nil && ok {
				t.found[e.input] = append(t.found[e.input], Index{From: e.from, To: e.to, Rows: rows, Layer: scope})
			}
		case graph.OpCall:
			a := n.Attrs.(*graph.CallAttrs)
			callee := t.m.Resolve(a.Callee, graph.Infer)
			given := make([]*elements, len(n.Args))
			some := false
			for i := range given {
				given[i] = in(i)
				some = some || given[i] != nil
			}
			if t.calls++; callee == nil || !some || t.calls > maxCalls {
				continue
			}
			inner := scope
			if a.Scope != "" {
				if inner != "" {
					inner += "."
				}
				inner += a.Scope
			}
			copy(at[n.Out:], t.through(callee, given, inner))
		}
	}
	out := make([]*elements, len(f.Results))
	for i, r := range f.Results {
		out[i] = at[r.Value]
	}
	return out
}

// sliced returns the elements that a slice of columns leaves; nil where they are
// no run of the input's.
func sliced(e *elements, t graph.Type, a *graph.SliceAttrs) *elements {
	if e == nil || len(t.Shape) != 2 || !t.Shape[1].Is(e.to-e.from) || a.Stride[1] != 1 {
		return nil
	}
	start, ok1 := a.Start[1].Const()
	limit, ok2 := a.Limit[1].Const()
	if first, ok := a.Start[0].Const(); !ok || first != 0 || a.Stride[0] != 1 || !ok1 {
		return nil
	}
	if !ok2 {
		limit = e.to - e.from
		if d, err := a.Limit[1].Eval([]graph.Type{t}); err != nil || !d.Is(limit) {
			return nil
		}
	}
	return &elements{input: e.input, from: e.from + start, to: e.from + limit}
}
