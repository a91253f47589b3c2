package axes

import (
	"fmt"
	"reflect"

	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// attach follows the functions traced for one parameter's type: regularizer,
// constraint, and those of the optimizers with their slots.
func (a *Axes) attach() error {
	for _, k := range a.order {
		d := a.params[k].Decl
		if d == nil {
			continue
		}
		for _, f := range []string{d.Regularizer, d.Constraint} {
			if f != "" {
				if err := a.attachTo(k.name, k, f); err != nil {
					return err
				}
			}
		}
	}
	for _, functions := range perParameter(a.program) {
		for _, k := range a.order {
			if f := functions[k.name]; k.role == graph.ParamRole && f != "" {
				if err := a.attachTo(k.name, k, f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// perParameter returns the maps of a program from the paths of parameters to
// functions traced for their types, those of every phase among them.
func perParameter(p *train.Program) []map[string]string {
	var out []map[string]string
	add := func(o *train.Optimizer) {
		if o == nil {
			return
		}
		v := reflect.ValueOf(o).Elem()
		for i := range v.NumField() {
			if m, ok := v.Field(i).Interface().(map[string]string); ok && m != nil {
				out = append(out, m)
			}
		}
	}
	add(p.Optimizer)
	for i := range p.Phases {
		add(p.Phases[i].Optimizer)
	}
	return out
}

// attachTo follows one function of a parameter. Values of the parameter's type
// divide as it does: the parameter, its gradient, what takes its place.
func (a *Axes) attachTo(param string, k key, name string) error {
	at := attachment{param, name}
	if a.attached[at] != nil {
		return nil
	}
	f := a.program.Module.Resolve(name, graph.Any)
	if f == nil {
		return fmt.Errorf("the module has no function %q, which %q is trained with", name, param)
	}
	q := a.params[k]
	slot := func(s string, t graph.Type) []*axis {
		k := key{graph.SlotRole, train.SlotName(param, s)}
		if x := a.named[k]; x != nil && !shapeOf(x).Equal(t.Shape) {
			k.name += "@" + name // another phase's optimizer calls another thing so
		}
		if a.named[k] == nil {
			a.named[k] = leaves(t)
		}
		return a.named[k]
	}
	args := make([][]*axis, len(f.Params))
	for i, p := range f.Params {
		switch {
		case p.Role == graph.SlotRole:
			args[i] = slot(p.Name, p.Type)
		case (p.Role == graph.Input || p.Role == graph.ParamRole) && p.Type.Shape.Equal(q.Type.Shape):
			args[i] = a.named[k]
		default:
			args[i] = leaves(p.Type)
			for _, x := range args[i] {
				x.hold(&Pin{Op: p.Role.String(), Scope: name, Why: fmt.Sprintf("%q is shared by parameters", p.Name)})
			}
		}
	}
	in, err := a.walk(f, args, param, 0)
	if err != nil {
		return fmt.Errorf("following %q, which %q is trained with: %w", name, param, err)
	}
	a.attached[at] = in
	for _, r := range f.Results {
		y, t := in.axes[r.Value], f.Types[r.Value]
		at := &Pin{Op: "result", Scope: name, Why: fmt.Sprintf("%q divides the axis in another way", r.Name)}
		switch {
		case r.Role == graph.SlotRole:
			for i, x := range slot(r.Name, t) {
				a.tie(x, y[i], at)
			}
		case t.Shape.Equal(q.Type.Shape):
			for i, x := range a.named[k] {
				a.tie(x, y[i], at)
			}
		default:
			for _, x := range y {
				x.hold(&Pin{Op: "result", Scope: name, Why: fmt.Sprintf("%q is shared by parameters", r.Name)})
			}
		}
	}
	return a.err
}

func shapeOf(axes []*axis) graph.Shape {
	s := make(graph.Shape, len(axes))
	for i, x := range axes {
		s[i] = x.find().dim
	}
	return s
}
