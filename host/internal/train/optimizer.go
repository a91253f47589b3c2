package train

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// functions returns the names of all functions of the optimizer that a step or
// an evaluation calls, sorted.
func (o *Optimizer) functions() []string {
	names := map[string]bool{}
	for _, m := range []map[string]string{o.Update, o.Partial, o.Perturb, o.Eval} {
		for _, n := range m {
			names[n] = true
		}
	}
	if len(o.Partial) > 0 {
		names[o.Combine], names[o.Finish] = true, true
	}
	return slices.Sorted(maps.Keys(names))
}

// hypers returns the runtime scalars of the optimizer at their configured values,
// by the names under which a step has them. However deep an optimizer stands
// within others, there is one learning rate: that of the outermost which has one.
func (o *Optimizer) hypers(m *graph.Module) (map[string]float64, error) {
	rate := ""
	out := map[string]float64{rateHyper: 0}
	for _, name := range o.functions() {
		list, err := hypersOf(m, name)
		if err != nil {
			return nil, err
		}
		for _, h := range list {
			if leaf(h.name) != "learning_rate" {
				out[optimizerHyper+h.name] = h.value
			} else if rate == "" || strings.Count(h.name, ".") < strings.Count(rate, ".") {
				rate = h.name
				out[rateHyper] = h.value
			}
		}
	}
	return out, nil
}

// evalPrefix precedes the path of a parameter in the name of what evaluation
// takes for it.
const evalPrefix = "eval:"

// BuildEvalParams derives the function that makes what evaluation takes for the
// parameters from the optimizer's slots: results param "eval:PATH". It is nil for
// an optimizer that evaluates with the parameters themselves.
func BuildEvalParams(p *Program) (*Built, error) {
	if p.Optimizer == nil || len(p.Optimizer.Eval) == 0 {
		return nil, nil
	}
	m := p.Module.Clone()
	s := newStep(p, m, "hone.eval_params", StepConfig{})
	s.updates = s.read(graph.StateRole, updateName, graph.Scalar(graph.U64))
	s.rate = s.read(graph.StateRole, rateName, graph.Scalar(graph.F32))
	for _, q := range p.Params() {
		name := p.Optimizer.Eval[q.Name]
		if q.Role != graph.ParamRole || name == "" || !p.trains(q, StepConfig{}) {
			continue
		}
		f := s.function(name, q)
		out := s.optimizer(f, q, map[string]graph.Value{"param": s.read(graph.ParamRole, q.Name, q.Type)}, nil)
		if s.failed() {
			break
		}
		s.b.Replace(graph.ParamRole, evalPrefix+q.Name, out[key(graph.Output, "param")])
	}
	return s.finish()
}

// evalParams brings what evaluation takes for the parameters up to date, and says
// by what each is replaced.
func (t *Trainer) evalParams(ctx context.Context) (map[string]string, error) {
	rename := map[string]string{}
	if t.p.EMA > 0 {
		for k, q := range t.vals.types {
			if e := key(graph.SlotRole, SlotName(q.Name, EMASlot)); q.Role == graph.ParamRole && t.vals.handles[e] != 0 {
				rename[k] = e
			}
		}
		return rename, nil
	}
	if t.p.Optimizer == nil || len(t.p.Optimizer.Eval) == 0 || !t.vals.has(graph.StateRole, stepName) {
		return rename, nil
	}
	c, err := t.compile(ctx, "parameters of evaluation", fmt.Sprintf("eval_params %p", t.p.Optimizer), 1, func() (*Built, error) {
		return BuildEvalParams(t.p)
	})
	if err != nil {
		return nil, err
	}
	for i, r := range c.fn.Results {
		v := c.exec.Results()[i]
		if !t.vals.has(r.Role, r.Name) {
			if err := t.vals.put(r.Role, r.Name, graph.NewTensor(v.DType, v.Shape...)); err != nil {
				return nil, err
			}
		}
		rename[key(graph.ParamRole, strings.TrimPrefix(r.Name, evalPrefix))] = key(r.Role, r.Name)
	}
	for k, q := range t.vals.types {
		// Parameters that share values share what is evaluated.
		if r, ok := rename[key(graph.ParamRole, q.Name)]; ok && q.Role == graph.ParamRole {
			rename[k] = r
		}
	}
	b, err := t.vals.bind(c.fn, c.donate, nil)
	if err != nil {
		return nil, err
	}
	_, err = c.session.Run(ctx, b, 1)
	return rename, err
}

// StartFrom restores first values from elsewhere: optimizer slots and averages
// begin anew, at them.
func (t *Trainer) StartFrom(ctx context.Context, vals []Value) error {
	if err := t.Restore(vals); err != nil || t.p.Optimizer == nil {
		return err
	}
	for _, q := range t.p.Params() {
		if e := SlotName(q.Name, EMASlot); t.vals.has(graph.SlotRole, e) {
			v, err := t.vals.get(graph.ParamRole, q.Name)
			if err != nil {
				return err
			}
			if err := t.vals.put(graph.SlotRole, e, v); err != nil {
				return err
			}
		}
	}
	return t.initOptimizer(ctx)
}

// InPhase returns the program with the optimizer and schedule of a phase.
func (p *Program) InPhase(ph Phase) *Program {
	q := *p
	if ph.NoSchedule {
		q.Schedule = nil
	}
	if ph.Optimizer != nil {
		q.Optimizer, q.Schedule = ph.Optimizer, ph.Schedule
	} else if ph.Schedule != nil {
		q.Schedule = ph.Schedule
	}
	return &q
}

// EvalParams computes from the values of a checkpoint what evaluation takes for
// the parameters, by path; none where it takes the parameters themselves.
func EvalParams(ctx context.Context, be kernels.Backend, p *Program, vals []Value) (map[string]*graph.Tensor, error) {
	built, err := BuildEvalParams(p)
	if built == nil || err != nil {
		return nil, err
	}
	byKey := map[string]*graph.Tensor{}
	for _, v := range vals {
		byKey[key(v.Role, v.Name)] = v.Tensor
	}
	defaults, err := p.Optimizer.hypers(p.Module)
	if err != nil {
		return nil, err
	}
	out, err := Evaluate(ctx, be, built.Module, built.Entry, graph.Any, map[string]int64{graph.BatchSymbol: 1}, func(q graph.Param) (*graph.Tensor, error) {
		if t := byKey[key(q.Role, q.Name)]; t != nil {
			return t, nil
		}
		if v, ok := defaults[q.Name]; ok && q.Role == graph.HyperRole {
			return graph.ScalarOf(graph.F32, v), nil
		}
		return nil, fmt.Errorf("the checkpoint lacks the %s %q", q.Role, q.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("the parameters of evaluation: %w", err)
	}
	res := map[string]*graph.Tensor{}
	for i, r := range built.Module.Func(built.Entry, graph.Any).Results {
		res[strings.TrimPrefix(r.Name, evalPrefix)] = out[i]
	}
	return res, nil
}
