package plugin

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// check verifies a linked module, and that it holds the functions of its kind
// with the signatures that the kind asks for.
func (t *tracing) check(m *graph.Module) error {
	if err := graph.Verify(m, t.host.o.Limits); err != nil {
		return err
	}
	if err := checkAttached(m); err != nil {
		return err
	}
	for _, want := range t.wanted(m) {
		modes := []graph.Mode{graph.Any}
		if m.Func(want.name, graph.Any) == nil {
			if t.schema.Kind != sdk.LayerKind {
				return fmt.Errorf("there is no function %q", want.name)
			}
			modes = []graph.Mode{graph.Train, graph.Infer}
		}
		for _, mode := range modes {
			f := m.Func(want.name, mode)
			if f == nil {
				return fmt.Errorf("there is no function %q for mode %v", want.name, mode)
			}
			if err := want.fits(f); err != nil {
				return fmt.Errorf("function %q (%v): %w", want.name, mode, err)
			}
		}
		if len(modes) == 2 {
			if err := sameSignature(m.Func(want.name, graph.Train), m.Func(want.name, graph.Infer)); err != nil {
				return fmt.Errorf("function %q: %w", want.name, err)
			}
		}
	}
	return nil
}

// checkAttached checks that what declarations name is there and fits: every
// parameter and state of a layer can be initialized, and so on.
func checkAttached(m *graph.Module) error {
	for _, f := range m.Funcs {
		for _, p := range f.Params {
			if p.Decl == nil || p.Role != graph.ParamRole && p.Role != graph.StateRole {
				continue
			}
			value := Input{Name: "value", Type: p.Type}
			scalar := graph.Scalar(p.Type.DType)
			for _, s := range []signature{
				{name: p.Decl.Initializer, inputs: []Input{}, params: []graph.Role{graph.KeyRole}, output: "value", typ: &p.Type},
				{name: p.Decl.Regularizer, inputs: []Input{value}, output: "penalty", typ: &scalar},
				{name: p.Decl.Constraint, inputs: []Input{value}, output: "value", typ: &p.Type},
			} {
				if s.name == "" {
					continue
				}
				s.results = []graph.Role{graph.Output}
				g := m.Func(s.name, graph.Any)
				if g == nil {
					return fmt.Errorf("function %q: %v %q names the function %q, which is not there", f.Name, p.Role, p.Name, s.name)
				}
				if err := s.fits(g); err != nil {
					return fmt.Errorf("function %q, named by %v %q: %w", s.name, p.Role, p.Name, err)
				}
			}
		}
	}
	return nil
}

// signature says what one function of a kind must look like.
type signature struct {
	name    string
	inputs  []Input      // exactly these, in order; nil leaves them open
	params  []graph.Role // other roles that parameters may have
	results []graph.Role // roles that results may have
	output  string       // the first output; "" for none
	typ     *graph.Type  // its type, where it is fixed
}

func (t *tracing) wanted(m *graph.Module) []signature {
	none := []Input{}
	out := []graph.Role{graph.Output}
	fixed := func(typ graph.Type) *graph.Type { return &typ }
	switch t.schema.Kind {
	case sdk.LayerKind:
		return []signature{{name: "layer", inputs: t.inputs, output: "y",
			params:  []graph.Role{graph.ParamRole, graph.StateRole, graph.HyperRole, graph.KeyRole, graph.StepRole, graph.IndexRole},
			results: []graph.Role{graph.Output, graph.StateRole}}}
	case sdk.LossKind:
		return []signature{{name: "loss", inputs: t.inputs, output: "loss", params: []graph.Role{graph.HyperRole}, results: out}}
	case sdk.MetricKind:
		state, value := []graph.Role{graph.StateRole}, fixed(graph.Scalar(graph.F64))
		s := []signature{
			{name: "init", inputs: none, results: out},
			{name: "update", inputs: t.inputs, params: state, results: state},
			{name: "merge", params: state, results: state},
			{name: "result", inputs: none, params: state, results: out, output: "value", typ: value},
		}
		if t.schema.Has("exact") {
			s = append(s, signature{name: "exact", inputs: t.inputs, results: out, output: "value", typ: value})
		}
		return s
	case sdk.InitializerKind:
		return []signature{{name: "init", inputs: none, params: []graph.Role{graph.KeyRole}, results: out, output: "value", typ: &t.inputs[0].Type}}
	case sdk.RegularizerKind:
		return []signature{{name: "penalty", inputs: t.inputs, results: out, output: "penalty", typ: fixed(graph.Scalar(t.inputs[0].Type.DType))}}
	case sdk.ConstraintKind:
		return []signature{{name: "constrain", inputs: t.inputs, results: out, output: "value", typ: &t.inputs[0].Type}}
	case sdk.OptimizerKind:
		param := t.inputs[0]
		grad := Input{Name: "grad", Type: param.Type}
		full := []graph.Role{graph.SlotRole, graph.GlobalRole, graph.HyperRole, graph.StepRole}
		// An optimizer has the powers of those that its arguments put into it.
		has := func(power string) bool { return t.schema.Has(power) || m.Func(power, graph.Any) != nil }
		s := []signature{
			{name: "init", inputs: t.inputs, results: []graph.Role{graph.SlotRole}},
			{name: "update", inputs: []Input{param, grad}, params: full, results: []graph.Role{graph.Output, graph.SlotRole}, output: "param", typ: &param.Type},
		}
		if has("partial") {
			few := []graph.Role{graph.HyperRole, graph.StepRole, graph.SlotRole}
			s = append(s, signature{name: "partial", inputs: []Input{param, grad}, params: few, results: out},
				signature{name: "combine", results: out},
				signature{name: "finish", params: few[:2], results: []graph.Role{graph.GlobalRole}})
		}
		if has("perturb") {
			s = append(s, signature{name: "perturb", inputs: []Input{param, grad}, params: full, results: out, output: "param", typ: &param.Type})
		}
		if has("eval_params") {
			s = append(s, signature{name: "eval_params", inputs: t.inputs, params: full, results: out, output: "param", typ: &param.Type})
		}
		return s
	case sdk.ScheduleKind:
		u64 := graph.Scalar(graph.U64)
		return []signature{{name: "schedule", output: "rate", typ: fixed(graph.Scalar(graph.F32)),
			inputs: []Input{{Name: "step", Type: u64}, {Name: "epoch", Type: u64}, {Name: "total", Type: u64}, {Name: "monitored", Type: graph.Scalar(graph.F32)}},
			params: []graph.Role{graph.StateRole, graph.HyperRole}, results: []graph.Role{graph.Output, graph.StateRole}}}
	}
	return nil
}

func (s signature) fits(f *graph.Func) error {
	var inputs []graph.Param
	for _, p := range f.Params {
		switch {
		case p.Role == graph.Input:
			inputs = append(inputs, p)
		case !slices.Contains(s.params, p.Role):
			return fmt.Errorf("it takes a %v %q, which a function of its kind does not", p.Role, p.Name)
		case p.Role == graph.HyperRole && (p.Decl == nil || !p.Type.Equal(graph.Scalar(graph.F32))):
			return fmt.Errorf("the hyper %q must be %v with a declaration, got %v", p.Name, graph.Scalar(graph.F32), p.Type)
		}
	}
	if s.inputs != nil {
		if len(inputs) != len(s.inputs) {
			return fmt.Errorf("it takes %d inputs, wanted %d", len(inputs), len(s.inputs))
		}
		for i, p := range inputs {
			if w := s.inputs[i]; p.Name != w.Name || !p.Type.Equal(w.Type) {
				return fmt.Errorf("input %d is %s %v, wanted %s %v", i, p.Name, p.Type, w.Name, w.Type)
			}
		}
	}
	for _, r := range f.Results {
		if !slices.Contains(s.results, r.Role) {
			return fmt.Errorf("it returns a %v %q, which a function of its kind does not", r.Role, r.Name)
		}
	}
	if s.output == "" {
		return nil
	}
	if len(f.Results) == 0 || f.Results[0].Role != graph.Output || f.Results[0].Name != s.output {
		return fmt.Errorf("its first result must be the output %q", s.output)
	}
	if got := f.TypeOf(f.Results[0].Value); s.typ != nil && !got.Equal(*s.typ) {
		return fmt.Errorf("the output %q is %v, wanted %v", s.output, got, *s.typ)
	}
	return nil
}

// sameSignature checks that a caller can take either mode.
func sameSignature(train, infer *graph.Func) error {
	if len(train.Params) != len(infer.Params) || len(train.Results) != len(infer.Results) {
		return fmt.Errorf("the signatures of training and inference differ in length")
	}
	for i, p := range train.Params {
		if q := infer.Params[i]; p.Name != q.Name || p.Role != q.Role || !p.Type.Equal(q.Type) {
			return fmt.Errorf("parameter %d is %v %s %v in training and %v %s %v in inference", i, p.Role, p.Name, p.Type, q.Role, q.Name, q.Type)
		}
	}
	for i, r := range train.Results {
		q := infer.Results[i]
		if a, b := train.TypeOf(r.Value), infer.TypeOf(q.Value); r.Name != q.Name || r.Role != q.Role || !a.Equal(b) {
			return fmt.Errorf("result %d is %v %s %v in training and %v %s %v in inference", i, r.Role, r.Name, a, q.Role, q.Name, b)
		}
	}
	return nil
}
