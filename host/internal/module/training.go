package module

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// train traces losses, metrics, optimizer and schedule.
func (a *assembler) train(r Request, outputs map[string]graph.Type) {
	t, p := r.Train, a.out.Program
	names := make([]string, 0, len(outputs))
	for _, o := range p.Outputs() {
		names = append(names, o.Name)
	}
	pickOutput := func(name string, node spec.Node, path string) (string, bool) {
		return a.choose("output", name, names, node, path)
	}
	pickTarget := func(name string, node spec.Node, path string) (string, bool) {
		return a.choose("target", name, r.TargetOrder, node, path)
	}
	logits := map[string]bool{} // outputs that a loss takes for logits
	for i := range t.Losses {
		l := &t.Losses[i]
		name := l.Name
		if name == "" {
			name = l.Type.Name
		}
		path := "train.loss." + name
		out, ok1 := pickOutput(l.Output, l.Node, path)
		target, ok2 := pickTarget(l.Target, l.Node, path)
		cfg, s, ds := Config(a.ctx, a.h, sdk.LossKind, l.Type, l.Args, l.Node, path)
		a.diags.Append(ds...)
		if !ok1 || !ok2 || ds.HasErrors() {
			continue
		}
		scores := ""
		if s.Parameter("from_logits") != nil {
			scores = train.Probabilities
			if cfg["from_logits"] == true {
				scores, logits[out] = train.Logits, true
			}
		}
		var ignored *int64
		if k, ok := cfg["ignore_class"].(int64); ok {
			ignored = &k
		}
		m, err := a.h.TraceLoss(a.ctx, Ref(l.Type), cfg, outputs[out], r.Targets[target])
		if err == nil {
			a.pin(sdk.LossKind, l.Type)
			var prefix string
			if prefix, err = a.merge(m, "loss/"+name); err == nil {
				w := 1.0
				if l.Weight != nil {
					w = *l.Weight
				}
				p.Losses = append(p.Losses, train.LossTerm{Name: name, Func: prefix + "loss", Output: out, Target: target, Weight: w, Scores: scores, Ignored: ignored})
			}
		}
		a.report(err, l.Node, path)
	}
	for i := range t.Metrics {
		k := &t.Metrics[i]
		path := "train.metric." + k.Name
		out, ok1 := pickOutput(k.Output, k.Node, path)
		target, ok2 := pickTarget(k.Target, k.Node, path)
		cfg, s, ds := Config(a.ctx, a.h, sdk.MetricKind, k.Type, k.Args, k.Node, path)
		a.diags.Append(ds...)
		if !ok1 || !ok2 || ds.HasErrors() {
			continue
		}
		if logits[out] {
			a.diags.Append(readsScores(s, k, cfg, outputs[out], path)...)
		}
		m, err := a.h.TraceMetric(a.ctx, Ref(k.Type), cfg, outputs[out], r.Targets[target])
		if err == nil {
			a.pin(sdk.MetricKind, k.Type)
			var prefix string
			if prefix, err = a.merge(m, "metric/"+k.Name); err == nil {
				term := train.MetricTerm{
					Name: k.Name, Type: k.Type.Name, Init: prefix + "init", Update: prefix + "update", Merge: prefix + "merge", Result: prefix + "result",
					Output: out, Target: target, Weighted: k.Weighted,
				}
				if s.Has("exact") {
					term.Exact = prefix + "exact"
				}
				p.Metrics = append(p.Metrics, term)
				a.out.LowerIsBetter[k.Name] = s.LowerIsBetter
			}
		}
		a.report(err, k.Node, path)
	}
	if t.Optimizer != nil && !a.diags.HasErrors() {
		p.Optimizer, p.Schedule = a.optimizer(r, t.Optimizer, "train.optimizer", "optimizer")
	}
	for i := range t.Phases {
		if a.diags.HasErrors() {
			return
		}
		ph := &t.Phases[i]
		path, prefix := "train.phase."+ph.Name, "phase/"+ph.Name
		var out train.Phase
		if ph.Optimizer != nil {
			out.Optimizer, out.Schedule = a.optimizer(r, ph.Optimizer, path+".optimizer", prefix)
			if p.Optimizer == nil {
				p.Optimizer, p.Schedule = out.Optimizer, out.Schedule
			}
		}
		if ph.Schedule != nil {
			out.Schedule = a.schedule(ph.Schedule, path+".schedule", prefix)
		}
		p.Phases = append(p.Phases, out)
	}
}

func (a *assembler) report(err error, node spec.Node, path string) {
	if err != nil {
		a.diags.Append(Locate(diag.From(err), node, path)...)
	}
}

// choose returns the name written, or the only one there is.
func (a *assembler) choose(what, name string, have []string, node spec.Node, path string) (string, bool) {
	if name == "" && len(have) == 1 {
		return have[0], true
	}
	if slices.Contains(have, name) {
		return name, true
	}
	var d diag.Diagnostic
	switch {
	case name != "":
		d = diag.Errorf("unknown_"+what, "there is no %s %q", what, name).Hint("%sThere are %s.", diag.DidYouMean(name, have), strings.Join(have, ", "))
	case len(have) == 0:
		d = diag.Errorf("missing_"+what, "there is no %s to take", what).Hint("Say which column of the data holds what is to be predicted: target = \"NAME\".")
	default:
		d = diag.Errorf("ambiguous_"+what, "there are %d %ss to choose from", len(have), what).Hint("Add %s = one of %s.", what, strings.Join(have, ", "))
	}
	a.diags.Append(Locate(diag.Diagnostics{d}, node, path)...)
	return "", false
}

// optimizer traces the optimizer for every type of trainable parameter, and its
// schedule.
func (a *assembler) optimizer(r Request, o *spec.Optimizer, path, prefix string) (*train.Optimizer, *train.Schedule) {
	cfg, _, ds := Config(a.ctx, a.h, sdk.OptimizerKind, o.Type, o.Args, o.Node, path)
	a.diags.Append(ds...)
	if ds.HasErrors() {
		return nil, nil
	}
	a.pin(sdk.OptimizerKind, o.Type)
	out := &train.Optimizer{Update: map[string]string{}, Init: map[string]string{}}
	for _, q := range a.out.Program.Params() {
		if q.Role != graph.ParamRole || q.Decl != nil && q.Decl.NonTrainable {
			continue
		}
		m, err := a.h.TraceOptimizer(a.ctx, Ref(o.Type), cfg, q.Type)
		var name string
		if err == nil {
			name, err = a.merge(m, fmt.Sprintf("%s/%v", prefix, q.Type))
		}
		if err == nil {
			err = a.powers(out, q.Name, name)
		}
		if err != nil {
			a.report(fmt.Errorf("for the parameter %q: %w", q.Name, err), o.Node, path)
			return nil, nil
		}
	}
	if t := r.Train; len(out.Eval) > 0 && t.EMA != nil {
		a.report(diag.Errorf("two_averages", "the optimizer %q evaluates with parameters of its own, and ema with their moving average", o.Type).
			Hint("Keep one of them."), t.EMA.Node, "train.ema")
		return nil, nil
	}
	if o.Schedule == nil {
		return out, nil
	}
	return out, a.schedule(o.Schedule, path+".schedule", prefix)
}

// powers enters the functions traced for a parameter, whose names begin with
// prefix. Contributions of all parameters must be of the same types, since the
// functions for one of them join those of all.
func (a *assembler) powers(o *train.Optimizer, param, prefix string) error {
	has := func(name string) bool { return a.m.Func(prefix+name, graph.Any) != nil }
	enter := func(to *map[string]string, name string) {
		if has(name) {
			if *to == nil {
				*to = map[string]string{}
			}
			(*to)[param] = prefix + name
		}
	}
	enter(&o.Update, "update")
	enter(&o.Init, "init")
	enter(&o.Perturb, "perturb")
	enter(&o.Eval, "eval_params")
	if !has("partial") {
		return nil
	}
	enter(&o.Partial, "partial")
	if o.Combine == "" {
		o.Combine, o.Finish = prefix+"combine", prefix+"finish"
		return nil
	}
	for _, name := range [][2]string{{o.Combine, "combine"}, {o.Finish, "finish"}} {
		one, other := a.m.Func(name[0], graph.Any), a.m.Func(prefix+name[1], graph.Any)
		if graph.FuncDigest(a.m, one) != graph.FuncDigest(a.m, other) {
			return diag.Errorf("optimizer_globals", "its function %q differs from that for other parameters", name[1]).
				Hint("Contributions and what is made of them may not depend on a parameter's type or shape: convert them to one type and reduce them to scalars.")
		}
	}
	return nil
}

// schedule traces a schedule; nil where it fails.
func (a *assembler) schedule(s *spec.Component, path, prefix string) *train.Schedule {
	c, _, ds := Config(a.ctx, a.h, sdk.ScheduleKind, s.Type, s.Args, s.Node, path)
	a.diags.Append(ds...)
	if ds.HasErrors() {
		return nil
	}
	m, err := a.h.TraceSchedule(a.ctx, Ref(s.Type), c)
	var name string
	if err == nil {
		a.pin(sdk.ScheduleKind, s.Type)
		name, err = a.merge(m, prefix+"/schedule")
	}
	if err != nil {
		a.report(err, s.Node, path)
		return nil
	}
	return &train.Schedule{Func: name + "schedule"}
}
