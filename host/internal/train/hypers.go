package train

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hone-ml/hone/sdk/graph"
)

// scheduleHyper is where the hypers of a schedule's function are found.
const scheduleHyper = "schedule:"

// Hypers returns the values of all runtime numbers of the program, by the names
// under which a run has them: those of layers by their path (drop.rate), those of
// optimizers and schedules as optimizer:NAME and schedule:NAME, whatever the phase.
func (p *Program) Hypers() map[string]float64 {
	out := map[string]float64{}
	p.hypers(func(name string, d *graph.Decl) {
		if _, ok := out[name]; !ok {
			out[name] = d.Default
		}
	})
	return out
}

// SetHyper returns the program with another value of a runtime number. Nothing
// that was compiled of the old one is in vain: values are no part of a step.
func (p *Program) SetHyper(name string, v float64) (*Program, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil, fmt.Errorf("the number %q cannot become %v", name, v)
	}
	q := *p
	q.Module = p.Module.Clone()
	found := false
	q.hypers(func(n string, d *graph.Decl) {
		if n == name {
			d.Default, found = v, true
		}
	})
	if !found {
		return nil, fmt.Errorf("there is no number %q to set; there are %s", name, strings.Join(slices.Sorted(maps.Keys(p.Hypers())), ", "))
	}
	return &q, nil
}

// hypers visits the declarations of all runtime numbers.
func (p *Program) hypers(visit func(name string, d *graph.Decl)) {
	seen := map[*graph.Func]bool{}
	each := func(f *graph.Func, name func(string) string) {
		if f == nil || seen[f] {
			return
		}
		seen[f] = true
		for _, q := range f.Params {
			if q.Role == graph.HyperRole && q.Decl != nil {
				visit(name(q.Name), q.Decl)
			}
		}
	}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		each(p.Module.Resolve(p.Model, mode), func(n string) string { return n })
	}
	for _, ph := range append([]Phase{{Optimizer: p.Optimizer, Schedule: p.Schedule}}, p.Phases...) {
		if ph.Optimizer != nil {
			for _, fn := range ph.Optimizer.functions() {
				each(p.Module.Resolve(fn, graph.Any), func(n string) string {
					if leaf(n) == "learning_rate" {
						n = "learning_rate"
					}
					return optimizerHyper + n
				})
			}
		}
		if ph.Schedule != nil {
			each(p.Module.Resolve(ph.Schedule.Func, graph.Any), func(n string) string { return scheduleHyper + n })
		}
	}
}

// hyper is a runtime scalar with its configured value.
type hyper struct {
	name  string
	value float64
}

// hypersOf lists the runtime scalars of a function.
func hypersOf(m *graph.Module, fn string) ([]hyper, error) {
	f := m.Resolve(fn, graph.Any)
	if f == nil {
		return nil, fmt.Errorf("the module has no function %q", fn)
	}
	var out []hyper
	for _, q := range f.Params {
		if q.Role != graph.HyperRole {
			continue
		}
		h := hyper{name: q.Name}
		if q.Decl != nil {
			h.value = q.Decl.Default
		}
		out = append(out, h)
	}
	return out, nil
}
