package train

import (
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/autodiff"
	"github.com/hone-ml/hone/sdk/graph"
)

// GradientSlot is the slot in which gradients of several batches are added up.
const GradientSlot = "gradient"

// EMASlot is the slot of a parameter's moving average.
const EMASlot = "ema"

// SlotName is the name under which a parameter's slot lives and is saved.
func SlotName(param, slot string) string { return param + ":" + slot }

// trained is a parameter that a step moves.
type trained struct {
	graph.Param
	grads []string // results of the gradient function: its own, and of those that share its values
}

// trained returns the parameters behind the gradients with respect to wrt.
func (s *step) trained(forward *graph.Func, wrt []int) []trained {
	var out []trained
	at := map[string]int{}
	for _, i := range wrt {
		if q := forward.Params[i]; storage(q) == q.Name {
			at[q.Name] = len(out)
			out = append(out, trained{Param: q})
		}
	}
	for _, i := range wrt {
		q := forward.Params[i]
		t := &out[at[storage(q)]]
		t.grads = append(t.grads, key(graph.Output, autodiff.GradientName(q)))
	}
	return out
}

// update moves every parameter by the gradients in res. An optimizer that
// perturbs gets those of grad at the perturbed parameters instead. Then the
// gradients are accumulated and clipped, and the optimizer runs.
func (s *step) update(grad *graph.Func, params []trained, res map[string]graph.Value) {
	s.count()
	s.rate = s.schedule()
	grads := s.gradients(params, res)
	if s.failed() {
		return
	}
	if len(s.p.Optimizer.Perturb) > 0 {
		globals := s.globals(params, grads)
		there := map[string]graph.Value{}
		for i, q := range params {
			f := s.function(s.p.Optimizer.Perturb[q.Name], q.Param)
			out := s.optimizer(f, q.Param, map[string]graph.Value{"param": s.read(graph.ParamRole, q.Name, q.Type), "grad": grads[i]}, globals)
			if s.failed() {
				return
			}
			there[q.Name] = s.mask(q.Param, out[key(graph.Output, "param")])
		}
		if grads = s.gradients(params, s.apply(grad, there)); s.failed() {
			return
		}
	}
	s.accumulate(params, grads)
	s.clip(grads)
	var globals map[string]graph.Value
	if s.takesGlobals(params) {
		globals = s.globals(params, grads)
	}
	for i, q := range params {
		if s.optimize(q.Param, grads[i], globals); s.failed() {
			return
		}
	}
}

// takesGlobals reports whether the update needs globals, rather than the
// perturbation alone.
func (s *step) takesGlobals(params []trained) bool {
	return slices.ContainsFunc(params, func(q trained) bool {
		f := s.function(s.p.Optimizer.Update[q.Name], q.Param)
		return f != nil && slices.ContainsFunc(f.Params, func(a graph.Param) bool { return a.Role == graph.GlobalRole })
	})
}

func (s *step) failed() bool { return s.err != nil || s.b.Err() != nil }

// gradients returns the gradient of every parameter: the sum over all that share
// its values, the mean over the replicas, and zero where a mask holds it.
func (s *step) gradients(params []trained, res map[string]graph.Value) []graph.Value {
	out := make([]graph.Value, len(params))
	for i, q := range params {
		var sum graph.Value
		for _, name := range q.grads {
			g := res[name]
			if !g.Valid() {
				s.failf("no gradient of %q", q.Name)
				return nil
			}
			if sum.Valid() {
				g = sum.Add(g)
			}
			sum = g
		}
		out[i] = s.mask(q.Param, s.mean(sum))
	}
	return out
}

// count counts the updates, of which several batches may make one.
func (s *step) count() {
	k := s.cfg.Accumulate
	s.updates = s.read(graph.StateRole, updateName, graph.Scalar(graph.U64))
	if k <= 1 {
		s.write(graph.StateRole, updateName, s.updates.Plus(1))
		return
	}
	n := s.b.Scalar(graph.U64, float64(k))
	s.done = s.number.Rem(n).Eq(s.b.Scalar(graph.U64, float64(k-1)))
	s.write(graph.StateRole, updateName, s.updates.Add(s.done.Convert(graph.U64)))
}

// accumulate adds the gradients to those of the batches before; the mean of all
// is what an update gets.
func (s *step) accumulate(params []trained, grads []graph.Value) {
	if !s.done.Valid() {
		return
	}
	for i, q := range params {
		name := SlotName(q.Name, GradientSlot)
		sum := s.read(graph.SlotRole, name, q.Type).Add(grads[i])
		s.write(graph.SlotRole, name, s.done.Select(sum.Times(0), sum))
		grads[i] = sum.Times(1 / float64(s.cfg.Accumulate))
	}
}

// clip bounds the gradients as the configuration says.
func (s *step) clip(grads []graph.Value) {
	b := s.b
	if c := s.cfg.ClipValue; c > 0 {
		for i, g := range grads {
			grads[i] = g.Max(b.Scalar(g.DType(), -c)).Min(b.Scalar(g.DType(), c))
		}
	}
	if c := s.cfg.ClipNorm; c > 0 {
		var sum graph.Value
		for i, g := range grads {
			if q := g.Convert(graph.F32).Square().Sum(); i == 0 {
				sum = q
			} else {
				sum = sum.Add(q)
			}
		}
		// Keras: g * clip / max(norm, clip).
		limit := b.Scalar(graph.F32, c)
		scale := limit.Div(sum.Sqrt().Max(limit))
		for i, g := range grads {
			grads[i] = g.Mul(scale.Convert(g.DType()))
		}
	}
}

// schedule returns the learning rate of this step.
func (s *step) schedule() graph.Value {
	var rate graph.Value
	if sc := s.p.Schedule; sc != nil {
		f := s.m.Resolve(sc.Func, graph.Any)
		if f == nil {
			s.failf("the module has no function %q", sc.Func)
			return rate
		}
		args := make([]graph.Value, len(f.Params))
		for i, q := range f.Params {
			switch {
			case q.Role == graph.StepRole, q.Role == graph.Input && q.Name == "step":
				args[i] = s.updates.Sub(s.read(graph.Input, startName, graph.Scalar(graph.U64)))
			case q.Role == graph.Input && q.Name == "epoch":
				args[i] = s.read(graph.Input, epochName, q.Type)
			case q.Role == graph.Input && q.Name == "total":
				args[i] = s.read(graph.Input, totalName, q.Type)
			case q.Role == graph.Input && q.Name == "monitored":
				args[i] = s.read(graph.Input, monitorName, q.Type)
			case q.Role == graph.HyperRole:
				args[i] = s.read(graph.HyperRole, scheduleHyper+q.Name, q.Type)
			case q.Role == graph.StateRole:
				args[i] = s.read(graph.StateRole, scheduleHyper+q.Name, q.Type)
			default:
				s.failf("schedule function %q has the parameter %s %q, which no step has", f.Name, q.Role, q.Name)
				return rate
			}
		}
		res := s.b.Apply(graph.OpCall, &graph.CallAttrs{Callee: f.Name}, args...)
		for i, r := range f.Results {
			if r.Role == graph.StateRole {
				s.write(r.Role, scheduleHyper+r.Name, res[i])
			} else {
				rate = res[i]
			}
		}
	} else {
		rate = s.read(graph.HyperRole, rateHyper, graph.Scalar(graph.F32))
	}
	s.read(graph.StateRole, rateName, graph.Scalar(graph.F32))
	s.write(graph.StateRole, rateName, rate)
	return rate
}

// optimizerHyper is where the hypers of an optimizer's functions are found.
const optimizerHyper = "optimizer:"

// rateHyper is the learning rate where no schedule gives it.
const rateHyper = optimizerHyper + "learning_rate"

// leaf is the last name of a hyper: that of an optimizer within another stands
// under its scope, as in base.learning_rate.
func leaf(hyper string) string { return hyper[strings.LastIndexByte(hyper, '.')+1:] }

func (s *step) function(name string, q graph.Param) *graph.Func {
	f := s.m.Resolve(name, graph.Any)
	if f == nil {
		s.failf("the optimizer was not traced for the parameter %q (function %q)", q.Name, name)
	}
	return f
}

// optimizer calls a function of the optimizer for a parameter and returns its
// results by role and name.
func (s *step) optimizer(f *graph.Func, q graph.Param, inputs, globals map[string]graph.Value) map[string]graph.Value {
	if s.failed() {
		return nil
	}
	args := make([]graph.Value, len(f.Params))
	for i, a := range f.Params {
		switch {
		case a.Role == graph.Input:
			args[i] = inputs[a.Name]
		case a.Role == graph.SlotRole:
			args[i] = s.read(graph.SlotRole, SlotName(q.Name, a.Name), a.Type)
		case a.Role == graph.GlobalRole:
			args[i] = globals[a.Name]
		case a.Role == graph.StepRole:
			args[i] = s.updates
		case a.Role == graph.HyperRole && leaf(a.Name) == "learning_rate":
			args[i] = s.rate
		case a.Role == graph.HyperRole && leaf(a.Name) == "weight_decay" && q.Decl != nil && q.Decl.NoDecay:
			args[i] = s.b.Scalar(graph.F32, 0)
		case a.Role == graph.HyperRole:
			args[i] = s.read(graph.HyperRole, optimizerHyper+a.Name, a.Type)
		}
		if !args[i].Valid() {
			s.failf("the optimizer's function %q has the parameter %s %q, which no step has", f.Name, a.Role, a.Name)
			return nil
		}
	}
	res := s.b.Apply(graph.OpCall, &graph.CallAttrs{Callee: f.Name}, args...)
	if s.failed() {
		return nil
	}
	out := map[string]graph.Value{}
	for i, r := range f.Results {
		out[key(r.Role, r.Name)] = res[i]
	}
	return out
}

// globals returns the figures that the optimizer makes of all parameters and
// these gradients together: contributions, joined in the order of the
// parameters, and finished.
func (s *step) globals(params []trained, grads []graph.Value) map[string]graph.Value {
	o := s.p.Optimizer
	if len(o.Partial) == 0 {
		return nil
	}
	var total map[string]graph.Value
	for i, q := range params {
		part := s.optimizer(s.function(o.Partial[q.Name], q.Param), q.Param, map[string]graph.Value{"param": s.read(graph.ParamRole, q.Name, q.Type), "grad": grads[i]}, nil)
		if s.failed() {
			return nil
		}
		inputs := map[string]graph.Value{}
		for k, v := range part {
			name := strings.TrimPrefix(k, key(graph.Output, ""))
			if total == nil {
				inputs[name] = v
				continue
			}
			inputs[name], inputs["other"+strings.TrimPrefix(name, "total")] = total[name], v
		}
		if total == nil {
			total = inputs
			continue
		}
		sum := s.optimizer(s.function(o.Combine, q.Param), q.Param, inputs, nil)
		for k, v := range sum {
			total[strings.TrimPrefix(k, key(graph.Output, ""))] = v
		}
	}
	if len(params) == 0 {
		return nil
	}
	out := map[string]graph.Value{}
	for k, v := range s.optimizer(s.function(o.Finish, params[0].Param), params[0].Param, total, nil) {
		out[strings.TrimPrefix(k, key(graph.GlobalRole, ""))] = v
	}
	return out
}

// optimize updates one parameter and its slots.
func (s *step) optimize(q graph.Param, grad graph.Value, globals map[string]graph.Value) {
	defer s.b.SetScope(s.b.SetScope("update of " + owner(q.Name)))
	f := s.function(s.p.Optimizer.Update[q.Name], q)
	res := s.optimizer(f, q, map[string]graph.Value{"param": s.read(graph.ParamRole, q.Name, q.Type), "grad": grad}, globals)
	if s.failed() {
		return
	}
	// A batch that completes no update leaves everything as it was.
	keep := func(role graph.Role, name string, now graph.Value) graph.Value {
		old := s.read(role, name, now.Type())
		if s.done.Valid() {
			now = s.done.Select(now, old)
		}
		s.write(role, name, now)
		return now
	}
	for _, r := range f.Results {
		if r.Role == graph.SlotRole {
			keep(graph.SlotRole, SlotName(q.Name, r.Name), s.mask(q, res[key(r.Role, r.Name)]))
		}
	}
	v := res[key(graph.Output, "param")]
	if q.Decl != nil && q.Decl.Constraint != "" {
		v = s.b.Call(q.Decl.Constraint, "", v)[0]
	}
	v = s.mask(q, v)
	keep(graph.ParamRole, q.Name, v)
	if d := s.p.EMA; d > 0 {
		name := SlotName(q.Name, EMASlot)
		e := s.read(graph.SlotRole, name, q.Type)
		keep(graph.SlotRole, name, e.Times(d).Add(v.Times(1-d)))
	}
}
