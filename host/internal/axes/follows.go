package axes

import (
	"fmt"

	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// Follows reports why a function does not follow its inputs' extents: traced for
// wide inputs, less the channels by which those are wider, it must be the function
// traced for narrow ones. A layer that fails has the number of its channels in its
// numbers, where no rule sees it. The error is a *HeldError where the function
// holds an axis of its inputs, so that there is nothing to compare.
func Follows(wide, narrow *graph.Module, name string) error {
	a, err := follow(&train.Program{Module: wide, Model: name}, true)
	if err != nil {
		return err
	}
	small := narrow.Resolve(name, graph.Infer)
	if small == nil {
		return fmt.Errorf("there is no function %q", name)
	}
	var cuts []Cut
	for _, q := range small.Params {
		terms := a.named[key{graph.Input, q.Name}]
		if q.Role != graph.Input || len(terms) != q.Type.Rank() {
			continue
		}
		for i, x := range terms {
			n, ok1 := q.Type.Shape[i].Const()
			m, ok2 := x.find().dim.Const()
			if !ok1 || !ok2 {
				continue
			}
			for j := n; j < m; j++ {
				cuts = append(cuts, Channel(q.Name, i, j))
			}
		}
	}
	p, _, err := a.Remove(nil, cuts...)
	if err != nil {
		return err
	}
	left, want := undeclared(p.Module), undeclared(narrow)
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		f, g := left.Resolve(name, mode), want.Resolve(name, mode)
		if f == nil || g == nil || !graph.BodyEqual(left, f, want, g) {
			return fmt.Errorf("the graph (%v) depends on the number of channels by more than its shapes", mode)
		}
	}
	return nil
}

// undeclared returns the module without declarations: first values and the like
// are not what a function computes.
func undeclared(m *graph.Module) *graph.Module {
	m = m.Clone()
	for _, f := range m.Funcs {
		for i := range f.Params {
			f.Params[i].Decl = nil
		}
	}
	return m
}
