package plugintest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/hone-ml/hone/host/internal/axes"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Case is one component with arguments and the types that it is tried on.
type Case struct {
	Kind   sdk.Kind
	Type   string
	Config Config
	// Inputs are as in [Kit.Trace].
	Inputs []graph.Type
	// FixedShape says that the traced graph depends on the number of channels (the
	// last axis of the inputs) by more than its shapes, as where a number is divided
	// by their count: such a layer is another one when it loses channels by pruning.
	FixedShape bool
	// NoGradient says that the component has none, or none that finite differences
	// find, as where it rounds.
	NoGradient bool
	// Estimator says that a composite's own gradient differs from its body's on
	// purpose, as a straight-through estimator's does. Finite differences then say
	// nothing, and are not taken.
	Estimator bool
}

// Conform checks components as strictly as the host can: the same request gives
// the same graph, each time and in a fresh plugin; the graph keeps the IR's rules
// and the kind's signatures; it runs for several batch sizes; it follows the
// number of channels; its gradients equal finite differences; a composite's own
// gradient equals that of its body.
func Conform(t *testing.T, p sdk.Plugin, cases ...Case) {
	t.Helper()
	ConformWith(t, []sdk.Plugin{p}, cases...)
}

// ConformWith is Conform for components that use those of other plugins.
func ConformWith(t *testing.T, plugins []sdk.Plugin, cases ...Case) {
	t.Helper()
	k, fresh := New(t, plugins...), New(t, plugins...)
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s/%s", c.Kind, c.Type), func(t *testing.T) {
			(&Kit{t: t, host: k.host}).conform(&Kit{t: t, host: fresh.host}, c)
		})
	}
}

// conform is Conform for one case; fresh serves the same plugins anew.
func (k *Kit) conform(fresh *Kit, c Case) {
	k.t.Helper()
	m := k.MustTrace(c.Kind, c.Type, c.Config, c.Inputs...)
	if again := fresh.MustTrace(c.Kind, c.Type, c.Config, c.Inputs...); graph.Digest(m) != graph.Digest(again) {
		k.t.Errorf("traced twice, it gives two graphs; a component must depend on its arguments and types alone:\n%v\n%v", m, again)
	}
	if c.Kind == sdk.LayerKind || c.Kind == sdk.LossKind {
		k.runs(c, m)
		k.resizes(c, m)
		if !c.NoGradient {
			k.differentiates(c)
		}
	}
}

// entry is the function of a layer or loss that is run.
func (c Case) entry() string { return string(c.Kind) }

// runs applies the function to batches of several sizes.
func (k *Kit) runs(c Case, m *graph.Module) {
	k.t.Helper()
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		f := m.Resolve(c.entry(), mode)
		for _, batch := range []int64{1, 2, 5} {
			args := someValues(f, batch)
			for i, v := range k.eval(m, f, mode, args, nil) {
				want, err := f.TypeOf(f.Results[i].Value).Shape.Eval(map[string]int64{graph.BatchSymbol: batch})
				if err != nil || !slices.Equal(want, v.Shape) {
					k.t.Errorf("%v, batch of %d: %s has shape %v, wanted %v (%v)", mode, batch, f.Results[i].Name, v.Shape, want, err)
				}
			}
		}
	}
}

// resizes traces for inputs with more channels, removes those again, and compares.
func (k *Kit) resizes(c Case, m *graph.Module) {
	k.t.Helper()
	wider := slices.Clone(c.Inputs)
	for i, t := range wider {
		if n := t.Rank(); n > 1 {
			t.Shape = t.Shape.Clone()
			d, err := t.Shape[n-1].Mul(graph.N(2))
			if err != nil {
				k.t.Fatal(err)
			}
			t.Shape[n-1] = d
			wider[i] = t
		}
	}
	w, err := k.Trace(c.Kind, c.Type, c.Config, wider...)
	if err != nil {
		k.t.Logf("it does not take inputs with twice the channels: %v", err)
		return
	}
	var held *axes.HeldError
	switch err := axes.Follows(w, m, c.entry()); {
	case errors.As(err, &held):
		k.t.Logf("it holds its channels, and cannot lose any: %v", err)
	case err != nil && !c.FixedShape:
		k.t.Errorf("traced for twice the channels, and half of them removed, it is another graph: %v; write extents as Value.Dim and counts as Value.Size instead of numbers, or set FixedShape", err)
	case err == nil && c.FixedShape:
		k.t.Errorf("the graph follows the number of channels: FixedShape is not needed")
	}
}

// differentiates compares gradients with central differences, in f64.
func (k *Kit) differentiates(c Case) {
	k.t.Helper()
	wide := slices.Clone(c.Inputs)
	for i, t := range wide {
		if t.DType.IsFloat() {
			wide[i] = t.WithDType(graph.F64)
		}
	}
	m, err := k.Trace(c.Kind, c.Type, c.Config, wide...)
	if err != nil {
		k.t.Logf("it does not take f64, so its gradients are not checked: %v", err)
		return
	}
	apart := false
	for _, g := range k.OwnGradients(m) {
		if differs := !(g.Apart <= 1e-6); differs && !c.Estimator {
			k.t.Errorf("%v; correct it, or set Estimator where that is meant", g)
		} else if differs {
			apart = true
		}
	}
	if c.Estimator {
		if !apart {
			k.t.Errorf("every gradient is that of its body: Estimator is not needed")
		}
		return
	}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		f := m.Resolve(c.entry(), mode)
		args, cotangents := someValues(f, 3), Values{}
		var wrt []string
		for _, p := range f.Params {
			if p.Type.DType == graph.F64 && (p.Role == graph.Input || p.Role == graph.ParamRole) && (c.Kind == sdk.LayerKind || p.Name == "output") {
				wrt = append(wrt, p.Name)
			}
		}
		out := k.Run(m, c.entry(), mode, args)
		for _, r := range f.Results {
			if r.Role == graph.Output && f.TypeOf(r.Value).DType == graph.F64 {
				cotangents[r.Name] = someTensor(graph.F64, out[r.Name].Shape, 77)
			}
		}
		if len(wrt) == 0 || len(cotangents) == 0 {
			continue
		}
		objective := func() float64 {
			sum := 0.0
			for name, v := range k.Run(m, c.entry(), mode, args) {
				if g := cotangents[name]; g != nil {
					for i := range v.Len() {
						sum += v.Float(i) * g.Float(i)
					}
				}
			}
			return sum
		}
		for name, g := range k.Gradient(m, c.entry(), mode, args, cotangents, wrt...) {
			x := args[name]
			for n := range min(x.Len(), 8) {
				i := n * x.Len() / min(x.Len(), 8)
				const h = 1e-6
				at := x.Float(i)
				x.SetFloat(i, at+h)
				up := objective()
				x.SetFloat(i, at-h)
				down := objective()
				x.SetFloat(i, at)
				if want, got := (up-down)/(2*h), g.Float(i); math.Abs(got-want) > 1e-5*(1+math.Abs(want)) {
					k.t.Errorf("%v: the gradient for %s[%d] is %g, finite differences give %g", mode, name, i, got, want)
				}
			}
		}
	}
}

// someValues makes arguments for the inputs, params and states of f: numbers
// between -1 and 1 that look random and are the same each time, integers 0 and 1.
func someValues(f *graph.Func, batch int64) Values {
	v := Values{}
	for i, p := range f.Params {
		switch p.Role {
		case graph.Input, graph.ParamRole, graph.StateRole, graph.SlotRole:
			shape, err := p.Type.Shape.Eval(map[string]int64{graph.BatchSymbol: batch})
			if err != nil {
				continue
			}
			v[p.Name] = someTensor(p.Type.DType, shape, uint64(i))
			if p.Role == graph.StateRole { // variances among them
				for j := range v[p.Name].Len() {
					v[p.Name].SetFloat(j, math.Abs(v[p.Name].Float(j))+0.5)
				}
			}
		}
	}
	return v
}

func someTensor(d graph.DType, shape []int64, stream uint64) *graph.Tensor {
	t := graph.NewTensor(d, shape...)
	for i := range t.Len() {
		word := graph.Philox4x32(graph.RandomCounter(uint32(i), stream, 0), graph.SplitKey(1))[0]
		if d.IsFloat() {
			t.SetFloat(i, float64(word)/(1<<31)-1)
		} else {
			t.SetInt(i, int64(word&1))
		}
	}
	return t
}
