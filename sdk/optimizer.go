package sdk

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// Optimizer returns a parameter's next value from its gradient. It is traced for
// one parameter; where it is elementwise the host runs it flat over all of them.
// Clipping, masks, accumulation, freezing and parameter groups are the host's.
//
// The host receives "update" (inputs param and grad, slots, globals, hypers,
// step; output param and the slots) and "init" (input param; the slots), and with
// the optional powers "partial", "combine", "finish", "perturb", "eval_params".
//
// What the host does with them, once a batch:
//
//	globals, perturb  where there is a perturb: globals of this batch's gradients,
//	                  every parameter perturbed, the gradients taken again there
//	accumulate, clip  the gradients, as the user asks
//	globals, update   of what came out, and of no other gradients
//
// Gradients where a mask holds a parameter at zero are zero from the start. An
// optimizer may contain another: [OptimizerBuilder.Optimizer].
type Optimizer interface {
	Update(b *OptimizerBuilder, param, grad graph.Value) graph.Value
}

// GlobalsOptimizer is the optional power of optimizers that need figures of all
// parameters together, such as the norm of all gradients. Partial returns one
// parameter's contributions, which are added up over the parameters (unless the
// optimizer is a [Combiner]); Finish turns the totals into globals with
// SetGlobal, which Update and Perturb read with Global.
type GlobalsOptimizer interface {
	Partial(b *OptimizerBuilder, param, grad graph.Value) []graph.Value
	Finish(b *OptimizerBuilder, totals []graph.Value)
}

// Combiner is the optional power of a [GlobalsOptimizer] whose contributions
// are not to be added but combined otherwise.
type Combiner interface {
	Combine(b *OptimizerBuilder, a, c []graph.Value) []graph.Value
}

// Perturber is the optional power of optimizers that take the gradient a second
// time, at perturbed parameters (sharpness-aware minimization). Update gets that
// gradient and the parameter as it was; the states of layers, the losses and the
// metrics are those of the first pass.
type Perturber interface {
	Perturb(b *OptimizerBuilder, param, grad graph.Value) graph.Value
}

// EvalParamser is the optional power of optimizers whose parameters in
// evaluation and prediction are not those in training (averages). EvalParams may
// read slots, hypers and the step.
type EvalParamser interface {
	EvalParams(b *OptimizerBuilder, param graph.Value) graph.Value
}

// OptimizerBuilder is a [graph.Builder] with slots and globals. Step counts the
// updates made so far: 0 in the first.
type OptimizerBuilder struct {
	*graph.Builder
	t      *tracer
	param  graph.Type
	shared *optimizerState
	slots  map[string]graph.Value
	dirty  []string
	update bool // in Update
	finish bool // in Finish
}

type optimizerState struct {
	prefix  string // of the functions' names
	slots   []slot
	globals []accumulator
	inner   []innerOptimizer
}

type slot struct {
	name string
	typ  graph.Type
	fill float64
	copy bool
}

// Slot returns the current value of a slot of the parameter's type, which
// starts filled with fill.
func (b *OptimizerBuilder) Slot(name string, fill float64) graph.Value {
	return b.slot(slot{name: name, typ: b.param, fill: fill})
}

// SlotScalar is Slot for one number per parameter.
func (b *OptimizerBuilder) SlotScalar(name string, fill float64) graph.Value {
	return b.slot(slot{name: name, typ: graph.Scalar(b.param.DType), fill: fill})
}

// SlotCopy is Slot for a slot that starts as a copy of the parameter.
func (b *OptimizerBuilder) SlotCopy(name string) graph.Value {
	return b.slot(slot{name: name, typ: b.param, copy: true})
}

func (b *OptimizerBuilder) slot(s slot) graph.Value {
	if v, ok := b.slots[s.name]; ok {
		return v
	}
	if !isName(s.name) {
		return b.Failf("a slot is called %q; names are [a-z][a-z0-9_]*", s.name)
	}
	known := false
	for _, o := range b.shared.slots {
		if o.name == s.name {
			if !o.typ.Equal(s.typ) || o.fill != s.fill || o.copy != s.copy {
				return b.Failf("the slot %q is declared in two ways", s.name)
			}
			known = true
		}
	}
	if !known {
		b.shared.slots = append(b.shared.slots, s)
	}
	v := b.Builder.Slot(s.name, s.typ, graph.Decl{})
	b.slots[s.name] = v
	return v
}

// SetSlot replaces a slot.
func (b *OptimizerBuilder) SetSlot(name string, v graph.Value) {
	old, ok := b.slots[name]
	switch {
	case !ok:
		b.Failf("the slot %q is set but was not declared", name)
	case v.Valid() && old.Valid() && !v.Type().Equal(old.Type()):
		b.Failf("the slot %q is %v and cannot become %v", name, old.Type(), v.Type())
	case slices.Contains(b.dirty, name):
		b.Failf("the slot %q is set twice", name)
	default:
		b.Replace(graph.SlotRole, name, v)
		b.dirty = append(b.dirty, name)
	}
}

// Global returns a figure that Finish has set.
func (b *OptimizerBuilder) Global(name string) graph.Value {
	for _, g := range b.shared.globals {
		if g.name == name && !b.finish {
			if b.slots["global "+name].Valid() {
				return b.slots["global "+name]
			}
			v := b.Builder.Global(name, g.typ)
			b.slots["global "+name] = v
			return v
		}
	}
	return b.Failf("there is no global %q; Finish sets them", name)
}

// SetGlobal gives a global its value, in Finish alone.
func (b *OptimizerBuilder) SetGlobal(name string, v graph.Value) {
	if !b.finish || !isName(name) {
		b.Failf("the global %q is set outside of Finish, or its name is not [a-z][a-z0-9_]*", name)
		return
	}
	b.shared.globals = append(b.shared.globals, accumulator{name: name, typ: v.Type()})
	b.Replace(graph.GlobalRole, name, v)
}

// Steps returns 1 + Step as a number of the parameter's type: the count of
// updates with this one included.
func (b *OptimizerBuilder) Steps() graph.Value {
	return b.Step().Plus(1).Convert(b.param.DType)
}

// HyperLike is Hyper converted to the parameter's type.
func (b *OptimizerBuilder) HyperLike(name string, value float64) graph.Value {
	return b.Hyper(name, value).Convert(b.param.DType)
}

// optimizer traces o for one type of parameter; its functions' names begin with
// prefix.
func (t *tracer) optimizer(prefix string, o Optimizer, param graph.Type) error {
	shared := &optimizerState{prefix: prefix}
	start := func(name string) *OptimizerBuilder {
		return &OptimizerBuilder{Builder: graph.NewBuilder(t.m, prefix+name, graph.Any), t: t, param: param, shared: shared, slots: map[string]graph.Value{}}
	}
	g, ok := o.(GlobalsOptimizer)
	if ok {
		if err := globals(o, g, param, start); err != nil {
			return err
		}
	}
	b := start("update")
	b.update = true
	next := o.Update(b, b.Input("param", param), b.Input("grad", param))
	for _, s := range shared.slots {
		if v, ok := b.slots[s.name]; ok && !slices.Contains(b.dirty, s.name) {
			b.Replace(graph.SlotRole, s.name, v)
		}
	}
	if err := b.paramResult(next); err != nil {
		return err
	}
	if p, ok := o.(Perturber); ok {
		b := start("perturb")
		if err := b.paramResult(p.Perturb(b, b.Input("param", param), b.Input("grad", param))); err != nil {
			return err
		}
	}
	if e, ok := o.(EvalParamser); ok {
		b := start("eval_params")
		if err := b.paramResult(e.EvalParams(b, b.Input("param", param))); err != nil {
			return err
		}
	}
	if err := t.inherit(prefix, shared.inner, start); err != nil {
		return err
	}
	first := start("init")
	p := first.Input("param", param)
	for _, s := range shared.slots {
		v := p
		if !s.copy {
			v = first.Scalar(s.typ.DType, s.fill)
			if s.typ.Rank() > 0 {
				v = v.BroadcastTo(p.Dims()...)
			}
		}
		first.Replace(graph.SlotRole, s.name, v)
	}
	for _, in := range shared.inner {
		first.call(in, "init", p)
	}
	_, err := first.Finish()
	return err
}

// paramResult ends a function whose first result is the parameter.
func (b *OptimizerBuilder) paramResult(v graph.Value) error {
	if v.Valid() && !v.Type().Equal(b.param) {
		b.Failf("the result must be %v, got %v", b.param, v.Type())
	}
	b.Output("param", v)
	f, err := b.Finish()
	if err == nil {
		moveFirst(f, "param")
	}
	return err
}

// totals ends a function of contributions and returns their types.
func (b *OptimizerBuilder) totals(vs []graph.Value) ([]graph.Type, error) {
	types, _ := typesOf(vs)
	for i, v := range vs {
		b.Output(fmt.Sprintf("total%d", i), v)
	}
	_, err := b.Finish()
	return types, err
}

// inputs declares one input for every contribution.
func (b *OptimizerBuilder) inputs(prefix string, types []graph.Type) []graph.Value {
	var vs []graph.Value
	for i, t := range types {
		vs = append(vs, b.Input(fmt.Sprintf("%s%d", prefix, i), t))
	}
	return vs
}

func globals(o Optimizer, g GlobalsOptimizer, param graph.Type, start func(string) *OptimizerBuilder) error {
	b := start("partial")
	types, err := b.totals(g.Partial(b, b.Input("param", param), b.Input("grad", param)))
	if err != nil {
		return err
	}
	b = start("combine")
	x, y := b.inputs("total", types), b.inputs("other", types)
	var sums []graph.Value
	if c, ok := o.(Combiner); ok {
		sums = c.Combine(b, x, y)
	} else {
		for i := range x {
			sums = append(sums, x[i].Add(y[i]))
		}
	}
	got, err := b.totals(sums)
	if err != nil {
		return err
	}
	if len(got) != len(types) {
		return fmt.Errorf("its Combine returns %d values for %d contributions", len(got), len(types))
	}
	for i := range got {
		if !got[i].Equal(types[i]) {
			return fmt.Errorf("its Combine returns %v for a contribution of type %v", got[i], types[i])
		}
	}
	b = start("finish")
	b.finish = true
	g.Finish(b, b.inputs("total", types))
	_, err = b.Finish()
	return err
}
