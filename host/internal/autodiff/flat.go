package autodiff

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// AddFlat adds a flat function to m under a free name like name, for any mode,
// and the flat bodies of its scans beside it, so that every scan keeps the body
// that its scope asked for. Calls that were kept must be of functions of m that
// are the same in every mode, as composites are.
func AddFlat(m *graph.Module, flat *inline.Flat, name string) (*graph.Func, error) {
	added := map[*inline.Flat]*graph.Func{}
	return addFlat(m, flat, name, added)
}

func addFlat(m *graph.Module, flat *inline.Flat, name string, added map[*inline.Flat]*graph.Func) (*graph.Func, error) {
	if f, ok := added[flat]; ok {
		return f, nil
	}
	f := flat.Func.Clone()
	f.Mode, f.Composite = graph.Any, nil
	for i := range f.Nodes {
		switch a := f.Nodes[i].Attrs.(type) {
		case *graph.ScanAttrs:
			body := flat.Bodies[i]
			if body == nil {
				return nil, fmt.Errorf("the scan of %q in %q has no flat body", a.Callee, name)
			}
			g, err := addFlat(m, body, name+"."+a.Callee, added)
			if err != nil {
				return nil, err
			}
			scan := *a
			scan.Callee = g.Name
			f.Nodes[i].Attrs = &scan
		case *graph.CallAttrs:
			if m.Func(a.Callee, graph.Any) == nil {
				return nil, fmt.Errorf("%q keeps the call of %q, which differs between modes; inline it", name, a.Callee)
			}
		}
	}
	f.Name = freeName(m, name)
	if err := m.Add(f); err != nil {
		return nil, err
	}
	added[flat] = f
	return f, nil
}
