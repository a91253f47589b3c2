package sdk

import (
	"fmt"
	"strings"

	"github.com/hone-ml/hone/sdk/graph"
)

// innerOptimizer is an optimizer that another one contains.
type innerOptimizer struct {
	scope  string
	prefix string // of its functions
}

// Optimizer applies a component of kind optimizer under a scope, in Update
// alone: how optimizers contain each other, as in sharpness-aware minimization
// around any other. Its slots and hypers stand under the scope (base.momentum),
// where base.learning_rate is the learning rate like any other. Powers that the
// inner optimizer has and the outer lacks work through the outer one; globals
// work beside the outer one's.
func (b *OptimizerBuilder) Optimizer(scope string, c Component, param, grad graph.Value) graph.Value {
	if !b.update {
		return b.Failf("%s: an optimizer is applied outside of Update", scope)
	}
	if !isName(scope) {
		return b.Failf("the scope of an optimizer is called %q; names are [a-z][a-z0-9_]*", scope)
	}
	for _, in := range b.shared.inner {
		if in.scope == scope {
			return b.Failf("two optimizers are applied under the scope %q", scope)
		}
	}
	if !param.Valid() || !grad.Valid() {
		return b.Failf("%s: the optimizer is applied to a failed value", scope)
	}
	in := innerOptimizer{scope: scope}
	switch {
	case c.own != nil:
		o, ok := c.own.(Optimizer)
		if !ok {
			return b.Failf("%s: %T is no optimizer", scope, c.own)
		}
		in.prefix = b.shared.prefix + scope + "/"
		if err := b.t.optimizer(in.prefix, o, b.param); err != nil {
			return b.Failf("%s: %v", scope, err)
		}
	case c.IsZero():
		return b.Failf("%s: no optimizer is given", scope)
	default:
		name, err := b.t.supply(OptimizerKind, c, []graph.Type{b.param})
		if err != nil {
			return b.Failf("%s: %v", scope, err)
		}
		in.prefix = strings.TrimSuffix(name, string(OptimizerKind))
	}
	b.shared.inner = append(b.shared.inner, in)
	out := b.call(in, "update", param, grad)
	if len(out) == 0 {
		return b.Failf("%s: its update gives no parameter", scope)
	}
	return out[0]
}

// call calls a function of an inner optimizer, replaces its slots and globals,
// and returns its outputs.
func (b *OptimizerBuilder) call(in innerOptimizer, name string, inputs ...graph.Value) []graph.Value {
	res := b.Builder.Call(in.prefix+name, in.scope, inputs...)
	f := b.t.m.Func(in.prefix+name, graph.Any)
	if f == nil || b.Err() != nil || len(res) != len(f.Results) {
		return nil
	}
	var out []graph.Value
	for i, r := range f.Results {
		if r.Role == graph.Output {
			out = append(out, res[i])
		} else {
			b.Replace(r.Role, graph.JoinPath(in.scope, r.Name), res[i])
		}
	}
	return out
}

// inherit gives an optimizer the powers of those that it contains.
func (t *tracer) inherit(prefix string, inner []innerOptimizer, start func(string) *OptimizerBuilder) error {
	var withGlobals []innerOptimizer
	for _, in := range inner {
		for _, power := range []string{"perturb", "eval_params"} {
			f := t.m.Func(in.prefix+power, graph.Any)
			if f == nil {
				continue
			}
			if t.m.Func(prefix+power, graph.Any) != nil {
				return fmt.Errorf("it and the optimizer under %q both have the power %s; take one of them", in.scope, power)
			}
			b := start(power)
			var args []graph.Value
			for _, p := range f.Params {
				if p.Role == graph.Input {
					args = append(args, b.Input(p.Name, p.Type))
				}
			}
			out := append(b.call(in, power, args...), graph.Value{})
			if err := b.paramResult(out[0]); err != nil {
				return err
			}
		}
		if t.m.Func(in.prefix+"partial", graph.Any) != nil {
			withGlobals = append(withGlobals, in)
		}
	}
	if len(withGlobals) == 0 {
		return nil
	}
	// The optimizer's own functions step aside for those that join them with the
	// inner ones'.
	if t.m.Func(prefix+"partial", graph.Any) != nil {
		own := innerOptimizer{prefix: prefix + "own/"}
		for _, name := range []string{"partial", "combine", "finish"} {
			t.m.Func(prefix+name, graph.Any).Name = own.prefix + name
		}
		withGlobals = append([]innerOptimizer{own}, withGlobals...)
	}
	b := start("partial")
	param, grad := b.Input("param", b.param), b.Input("grad", b.param)
	var all []graph.Value
	var each [][]graph.Type
	for _, in := range withGlobals {
		vs := b.call(in, "partial", param, grad)
		types, _ := typesOf(vs)
		all, each = append(all, vs...), append(each, types)
	}
	types, err := b.totals(all)
	if err != nil {
		return err
	}
	b = start("combine")
	x, y := b.inputs("total", types), b.inputs("other", types)
	all = nil
	at := 0
	for i, in := range withGlobals {
		n := len(each[i])
		all = append(all, b.call(in, "combine", append(append([]graph.Value(nil), x[at:at+n]...), y[at:at+n]...)...)...)
		at += n
	}
	if _, err := b.totals(all); err != nil {
		return err
	}
	b = start("finish")
	x = b.inputs("total", types)
	at = 0
	for i, in := range withGlobals {
		n := len(each[i])
		b.call(in, "finish", x[at:at+n]...)
		at += n
	}
	_, err = b.Finish()
	return err
}
