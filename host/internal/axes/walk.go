package axes

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// instance is a function as it is met on one way through the model: functions
// that are called twice are followed twice, since their channels may part.
type instance struct {
	fn    *graph.Func
	scope string
	axes  [][]*axis // of every value
	// calls holds the callee of a call or scan, by node, and twins the function
	// that a frozen scope takes instead of it.
	calls, twins map[int]*instance
	segments     map[int][]*axis
	gradient     *instance // of a composite that has one
}

// maxInstances bounds the functions met, calls expanded.
const maxInstances = 1_000_000

// key names what lives outside of functions.
type key struct {
	role graph.Role
	name string
}

// Axes is what has been found out about a model's axes.
type Axes struct {
	solver
	program *train.Program
	open    bool // inputs and outputs may change: it is no whole model
	met     int
	roots   map[graph.Mode]*instance
	order   []key           // params and states, in the model's order
	named   map[key][]*axis // params, states, and slots by train.SlotName
	params  map[key]graph.Param
	// attached are the functions traced for one parameter, by the parameter and
	// the function's name.
	attached map[attachment]*instance
}

type attachment struct{ param, function string }

// Follow follows every axis of a program's model, in training and inference,
// and of the functions that its parameters are trained with.
func Follow(p *train.Program) (*Axes, error) { return follow(p, false) }

func follow(p *train.Program, open bool) (*Axes, error) {
	a := &Axes{
		program: p, open: open, roots: map[graph.Mode]*instance{}, named: map[key][]*axis{}, params: map[key]graph.Param{},
		attached: map[attachment]*instance{},
	}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		f := p.Module.Resolve(p.Model, mode)
		if f == nil {
			return nil, fmt.Errorf("the module has no function %q for mode %v", p.Model, mode)
		}
		if err := a.model(f, mode); err != nil {
			return nil, fmt.Errorf("following the axes of %q (%v): %w", p.Model, mode, err)
		}
	}
	for _, k := range a.order {
		q := a.params[k]
		if q.Decl == nil || q.Decl.Alias == "" {
			continue
		}
		other := a.named[key{k.role, q.Decl.Alias}]
		if len(other) != len(a.named[k]) {
			return nil, fmt.Errorf("the %v %q shares the values of %q, which has another shape", k.role, k.name, q.Decl.Alias)
		}
		for i, x := range a.named[k] {
			a.tie(x, other[i], &Pin{Op: "alias", Scope: k.name, Why: "shares the values of " + q.Decl.Alias})
		}
	}
	if err := a.attach(); err != nil {
		return nil, err
	}
	return a, a.err
}

// leaves returns leaves for the axes of a type. Symbolic extents cannot change.
func leaves(t graph.Type) []*axis {
	out := make([]*axis, len(t.Shape))
	for i, d := range t.Shape {
		out[i] = newLeaf(d)
		if d.Coef() != 0 {
			out[i].pin = &Pin{Op: "axis", Why: "the examples of a batch lie along it"}
		}
	}
	return out
}

// model follows the model's function in one mode.
func (a *Axes) model(f *graph.Func, mode graph.Mode) error {
	args := make([][]*axis, len(f.Params))
	for i, q := range f.Params {
		switch q.Role {
		case graph.ParamRole, graph.StateRole:
			k := key{q.Role, q.Name}
			if a.named[k] == nil {
				a.named[k], a.params[k] = leaves(q.Type), q
				a.order = append(a.order, k)
			}
			args[i] = a.named[k]
		case graph.Input:
			k := key{q.Role, q.Name}
			if a.named[k] == nil {
				a.named[k] = leaves(q.Type)
			}
			if args[i] = a.named[k]; a.open {
				continue
			}
			fallthrough
		default:
			if args[i] == nil {
				args[i] = leaves(q.Type)
			}
			for _, x := range args[i] {
				x.hold(&Pin{Op: q.Role.String(), Why: fmt.Sprintf("%q enters the model with this axis", q.Name)})
			}
		}
	}
	in, err := a.walk(f, args, "", 0)
	if err != nil {
		return err
	}
	a.roots[mode] = in
	for _, r := range f.Results {
		for i, x := range in.axes[r.Value] {
			if r.Role == graph.StateRole {
				a.tie(x, a.named[key{r.Role, r.Name}][i], &Pin{Op: "state", Scope: r.Name, Why: "is replaced by a value that divides the axis in another way"})
			} else if a.open {
				k := key{r.Role, r.Name}
				if a.named[k] == nil {
					a.named[k] = leaves(f.Types[r.Value])
				}
				a.tie(x, a.named[k][i], &Pin{Op: "output", Why: "differs between training and inference"})
			} else {
				x.hold(&Pin{Op: "output", Why: fmt.Sprintf("%q leaves the model with this axis", r.Name)})
			}
		}
	}
	return nil
}

// walk follows one function applied to axes.
func (a *Axes) walk(f *graph.Func, args [][]*axis, scope string, depth int) (*instance, error) {
	if a.met++; a.met > maxInstances || depth > 1000 {
		return nil, fmt.Errorf("the model calls more functions than can be followed, or nests them too deep")
	}
	in := &instance{fn: f, scope: scope, axes: make([][]*axis, len(f.Types)), calls: map[int]*instance{}, twins: map[int]*instance{}, segments: map[int][]*axis{}}
	copy(in.axes, args)
	for i := range f.Nodes {
		n := &f.Nodes[i]
		s := &site{solver: &a.solver, op: n.Op, attrs: n.Attrs, at: Pin{Op: n.Op.String(), Scope: scope, Why: "divides the axis in another way than what is tied to it"}}
		for _, v := range n.Args {
			s.in, s.types = append(s.in, in.axes[v]), append(s.types, f.Types[v])
		}
		for j := range n.NumOut {
			v := n.Out + graph.ValueID(j)
			in.axes[v] = leaves(f.Types[v])
			s.out = append(s.out, in.axes[v])
		}
		switch r := rules[n.Op]; {
		case n.Op == graph.OpCall:
			k := n.Attrs.(*graph.CallAttrs)
			below := graph.JoinPath(scope, k.Scope)
			if k.Scope != "" && slices.Contains(a.program.Fixed, below) {
				s.at.Op, s.at.Scope = "layer", below
				hold := s.hold("it is another layer for another number of channels, as its plugin traces it")
				for _, v := range append(slices.Clone(s.in), s.out...) {
					hold(v...)
				}
			}
			if err := a.call(in, i, s, k.Callee, below, s.in, depth); err != nil {
				return nil, err
			}
		case n.Op == graph.OpScan:
			if err := a.scan(in, i, s, depth); err != nil {
				return nil, err
			}
		case r == nil:
			return nil, fmt.Errorf("%v has no rule for axes", n.Op)
		default:
			r(s)
			if s.segments != nil {
				in.segments[i] = s.segments
			}
		}
		if a.err != nil {
			return nil, fmt.Errorf("function %q (%v), node %d: %w", f.Name, f.Mode, i, a.err)
		}
	}
	return in, nil
}

// call follows the callee, the function that a frozen scope would take in its
// place, and the gradient of a composite.
func (a *Axes) call(in *instance, node int, s *site, name, scope string, args [][]*axis, depth int) error {
	f := a.program.Module.Resolve(name, in.fn.Mode)
	if f == nil {
		return fmt.Errorf("calls %q, which the module lacks for mode %v", name, in.fn.Mode)
	}
	c, err := a.walk(f, args, scope, depth+1)
	if err != nil {
		return err
	}
	in.calls[node] = c
	if s.op == graph.OpCall {
		for i, r := range f.Results {
			s.all(c.axes[r.Value], s.out[i])
		}
	}
	if f.Composite != nil && f.Composite.Gradient != "" {
		if err := a.gradient(c, s, depth); err != nil {
			return err
		}
	}
	twin := a.program.Module.Func(name, graph.Infer)
	if f.Mode != graph.Train || twin == nil {
		return nil
	}
	theirs := make([][]*axis, len(twin.Params))
	for i, q := range twin.Params {
		if j := f.Param(q.Role, q.Name); j >= 0 {
			theirs[i] = args[j]
		} else {
			theirs[i] = leaves(q.Type)
		}
	}
	t, err := a.walk(twin, theirs, scope, depth+1)
	if err != nil {
		return err
	}
	in.twins[node] = t
	for _, r := range twin.Results {
		if j := f.Result(r.Role, r.Name); j >= 0 {
			s.all(t.axes[r.Value], c.axes[f.Results[j].Value])
		}
	}
	return nil
}

// gradient follows the function that a composite names as its gradient: from
// inputs, outputs and gradients of the floating-point outputs to gradients of
// the floating-point inputs.
func (a *Axes) gradient(c *instance, s *site, depth int) error {
	f := c.fn
	g := a.program.Module.Resolve(f.Composite.Gradient, graph.Any)
	if g == nil {
		return fmt.Errorf("the composite %q names the gradient %q, which the module lacks", f.Name, f.Composite.Gradient)
	}
	var args [][]*axis
	for i := range f.Params {
		args = append(args, c.axes[i])
	}
	var douts [][]*axis
	for _, r := range f.Results {
		args = append(args, c.axes[r.Value])
		if f.Types[r.Value].DType.IsFloat() {
			douts = append(douts, c.axes[r.Value])
		}
	}
	args = append(args, douts...)
	in, err := a.walk(g, args, c.scope, depth+1)
	if err != nil {
		return err
	}
	c.gradient = in
	k := 0
	for i, q := range f.Params {
		if q.Type.DType.IsFloat() && k < len(g.Results) {
			s.all(c.axes[i], in.axes[g.Results[k].Value])
			k++
		}
	}
	return nil
}

// scan follows the body of a scan once: what a step gives, the next one takes.
func (a *Axes) scan(in *instance, node int, s *site, depth int) error {
	k := s.attrs.(*graph.ScanAttrs)
	carries, fixed := int(k.Carries), int(k.Carries+k.Consts)
	args := make([][]*axis, len(s.in))
	var time *axis
	along := func(x *axis) {
		if time == nil {
			time = x
		}
		s.equal(time, x)
	}
	for i, x := range s.in {
		args[i] = x
		if i >= fixed {
			along(x[0])
			args[i] = x[1:]
		}
	}
	if err := a.call(in, node, s, k.Callee, in.scope, args, depth); err != nil {
		return err
	}
	body := in.calls[node]
	for i, r := range body.fn.Results {
		y := body.axes[r.Value]
		if i < carries {
			s.all(y, s.in[i])
			s.all(y, s.out[i])
			continue
		}
		along(s.out[i][0])
		s.all(y, s.out[i][1:])
	}
	if len(s.in) == fixed && time != nil {
		s.hold("runs a fixed number of steps")(time)
	}
	return nil
}
