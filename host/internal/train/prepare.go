package train

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/host/internal/autodiff"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// A prediction runs with parameters that stay as they are, so that what depends
// on them alone is computed once: batch normalizations go into the weights of
// the convolution before them, and weights are kept as the model reads them.

// prepared is a model made ready for predictions.
type prepared struct {
	module *graph.Module
	once   *graph.Func // gives the values called prepared:N; nil where there are none
	run    *graph.Func // takes them
	did    []kernels.PassReport
}

// prepareModel derives the two functions.
func prepareModel(ctx context.Context, p *Program) (*prepared, error) {
	m := p.Module.Clone()
	flat, err := inline.Flatten(ctx, m, p.Model, kernels.Options{Mode: graph.Infer}, func(f *graph.Func) bool { return f.Composite != nil })
	if err != nil {
		return nil, err
	}
	fixed := func(q graph.Param) bool { return q.Role == graph.ParamRole || q.Role == graph.StateRole }
	g := passes.New(m, flat)
	out := &prepared{module: m}
	if out.did, err = passes.Run(ctx, g, passes.FoldNorms{Fixed: fixed}); err != nil {
		return nil, err
	}
	once := passes.Prepare(g, fixed, func(r graph.Result) bool { return r.Role != graph.Output })
	if once != nil {
		if out.once, err = autodiff.AddFlat(m, once.Flat(), "hone.prepare"); err != nil {
			return nil, err
		}
		out.did = append(out.did, kernels.PassReport{Name: "prepared once", Did: []kernels.Count{{What: "values", N: int64(len(once.Results))}, {What: "nodes", N: int64(len(once.Nodes))}}})
	}
	out.run, err = autodiff.AddFlat(m, g.Flat(), "hone.predict")
	return out, err
}

// params lists what the two functions read, each once.
func (r *prepared) params() []graph.Param {
	var out []graph.Param
	seen := map[string]bool{}
	if r.once != nil {
		for _, q := range r.once.Results {
			seen[key(graph.ParamRole, q.Name)] = true // made, not read
		}
	}
	for _, f := range []*graph.Func{r.run, r.once} {
		if f == nil {
			continue
		}
		for _, q := range f.Params {
			if k := key(q.Role, q.Name); !seen[k] {
				seen[k] = true
				out = append(out, q)
			}
		}
	}
	return out
}

// compute runs once, on values that have been placed, and keeps what it gives.
// What was needed for that alone is freed.
func (r *prepared) compute(ctx context.Context, be kernels.Backend, vals *values) error {
	if r.once == nil {
		return nil
	}
	exec, err := be.Compile(ctx, r.module, r.once.Name, kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: 1}})
	if err != nil {
		return fmt.Errorf("preparing the weights: %w", err)
	}
	session, err := exec.NewSession(vals.pool)
	if err != nil {
		return err
	}
	defer session.Close()
	for i, q := range r.once.Results {
		v := exec.Results()[i]
		h, err := vals.pool.New(v.DType, v.Shape)
		if err != nil {
			return fmt.Errorf("preparing the weights: %w", err)
		}
		k := key(graph.ParamRole, q.Name)
		vals.handles[k], vals.types[k] = h, graph.Param{Name: q.Name, Role: graph.ParamRole, Type: r.once.Types[q.Value]}
	}
	b := &kernels.Bindings{}
	for _, q := range r.once.Params {
		b.Params = append(b.Params, vals.handles[key(q.Role, q.Name)])
	}
	for _, q := range r.once.Results {
		b.Results = append(b.Results, vals.handles[key(graph.ParamRole, q.Name)])
	}
	if _, err := session.Run(ctx, b, 1); err != nil {
		return fmt.Errorf("preparing the weights: %w", err)
	}
	for _, q := range r.once.Params {
		if k := key(q.Role, q.Name); r.run.Param(q.Role, q.Name) < 0 {
			if err := vals.pool.Free(vals.handles[k]); err != nil {
				return err
			}
			delete(vals.handles, k)
			delete(vals.types, k)
		}
	}
	return nil
}
