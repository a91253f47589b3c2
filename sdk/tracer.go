package sdk

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// maxSubLayers bounds the distinct sub-layers of one component.
const maxSubLayers = 10_000

// tracer builds one module. It keeps what sub-components have been traced.
type tracer struct {
	m        *graph.Module
	supplied []supply
	needs    []need
	traced   []subLayer
	nesting  int
	opaques  Opaques // of the plugin
	err      error   // the first mistake that no builder could record
}

func (t *tracer) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// need is a component that only the host can trace.
type need struct {
	ref    string
	kind   Kind
	inputs []graph.Type
}

func (n need) equal(o need) bool {
	return n.ref == o.ref && n.kind == o.kind && slices.EqualFunc(n.inputs, o.inputs, graph.Type.Equal)
}

// supply is a component that the host has traced.
type supply struct {
	need
	module *graph.Module
	merged string // prefix of its functions in the module, "" until they are there
}

type subLayer struct {
	layer  any
	inputs []graph.Type
	name   string
}

var errNeeds = errors.New("a component that the host has still to supply")

// supply returns the name of the function that computes a component given by
// reference, or errNeeds after noting that the host must supply it.
func (t *tracer) supply(kind Kind, c Component, inputs []graph.Type) (string, error) {
	n := need{c.ref, kind, inputs}
	for i := range t.supplied {
		s := &t.supplied[i]
		if !s.equal(n) {
			continue
		}
		if s.merged == "" {
			_, name, _ := strings.Cut(c.ref, ":")
			prefix := fmt.Sprintf("%s#%d/", name, i)
			if err := t.m.Merge(s.module, func(f string) string { return prefix + f }); err != nil {
				return "", err
			}
			s.merged = prefix
		}
		return s.merged + string(kind), nil
	}
	if !slices.ContainsFunc(t.needs, n.equal) {
		t.needs = append(t.needs, n)
	}
	return "", errNeeds
}

// subLayer returns the name of the function that computes l, traced at need.
func (t *tracer) subLayer(l Layer, inputs []graph.Type) (string, error) {
	for _, s := range t.traced {
		if slices.EqualFunc(s.inputs, inputs, graph.Type.Equal) && reflect.DeepEqual(s.layer, any(l)) {
			return s.name, nil
		}
	}
	if len(t.traced) >= maxSubLayers || t.nesting >= 100 {
		return "", fmt.Errorf("more than %d sub-layers, or nested deeper than 100", maxSubLayers)
	}
	if err := validate(l); err != nil {
		return "", err
	}
	name := t.freeName(strings.ToLower(reflect.Indirect(reflect.ValueOf(l)).Type().Name()))
	t.nesting++
	err := t.layer(name, l, inputs)
	t.nesting--
	if err != nil {
		return "", err
	}
	// The copy keeps the memory from following what the author does to l later.
	t.traced = append(t.traced, subLayer{shallowCopy(l), inputs, name})
	return name, nil
}

func shallowCopy(v any) any {
	r := reflect.ValueOf(v)
	if r.Kind() != reflect.Pointer {
		return v
	}
	c := reflect.New(r.Type().Elem())
	c.Elem().Set(r.Elem())
	return c.Interface()
}

func (t *tracer) freeName(base string) string {
	if base == "" {
		base = "sublayer"
	}
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s#%d", base, i)
		if t.m.Func(name, graph.Any) == nil && t.m.Func(name, graph.Train) == nil {
			return name
		}
	}
}

// attach returns the text for a parameter's declaration: a reference for the
// host to link, or the name of a function traced here.
func (t *tracer) attach(kind Kind, c Component, typ graph.Type, axes []string) string {
	if c.own == nil {
		return c.ref
	}
	name := t.freeName(strings.ToLower(reflect.Indirect(reflect.ValueOf(c.own)).Type().Name()))
	if err := t.parameterFunc(kind, name, c.own, typ, axes); err != nil {
		t.fail(fmt.Errorf("%s %T: %w", kind, c.own, err))
		return ""
	}
	return name
}

// joinModes gives the function's two modes one signature, and makes them one
// where they compute the same.
func joinModes(m *graph.Module, name string) error {
	train, infer := m.Func(name, graph.Train), m.Func(name, graph.Infer)
	if err := sameOutputs(train, infer); err != nil {
		return fmt.Errorf("function %q: %w", name, err)
	}
	params := slices.Clone(train.Params)
	for _, p := range infer.Params {
		i := train.Param(p.Role, p.Name)
		switch {
		case i < 0:
			params = append(params, p)
		case !train.Params[i].Type.Equal(p.Type):
			return fmt.Errorf("function %q: %v %q is %v in training and %v in inference", name, p.Role, p.Name, train.Params[i].Type, p.Type)
		}
	}
	renumber(train, params)
	renumber(infer, params)
	results := slices.Clone(train.Results)
	for _, r := range infer.Results {
		if train.Result(r.Role, r.Name) < 0 {
			results = append(results, r)
		}
	}
	alignResults(train, results)
	alignResults(infer, results)
	if !sameBody(m, train, infer) {
		return nil
	}
	train.Mode = graph.Any
	m.Funcs = slices.DeleteFunc(m.Funcs, func(f *graph.Func) bool { return f == infer })
	return nil
}

func sameOutputs(train, infer *graph.Func) error {
	for _, pair := range [][2]*graph.Func{{train, infer}, {infer, train}} {
		for _, r := range pair[0].Results {
			if r.Role != graph.Output {
				continue
			}
			i := pair[1].Result(graph.Output, r.Name)
			if i < 0 {
				return fmt.Errorf("the output %q exists in %v alone", r.Name, pair[0].Mode)
			}
			if a, b := pair[0].TypeOf(r.Value), pair[1].TypeOf(pair[1].Results[i].Value); !a.Equal(b) {
				return fmt.Errorf("the output %q is %v in %v and %v in %v", r.Name, a, pair[0].Mode, b, pair[1].Mode)
			}
		}
	}
	return nil
}

// renumber gives f the parameters params, which include its own.
func renumber(f *graph.Func, params []graph.Param) {
	to := make([]graph.ValueID, len(f.Types))
	types := make([]graph.Type, len(params), len(params)+len(f.Types))
	for i, p := range params {
		types[i] = p.Type
		if j := f.Param(p.Role, p.Name); j >= 0 {
			to[j] = graph.ValueID(i)
		}
	}
	for i := len(f.Params); i < len(f.Types); i++ {
		to[i] = graph.ValueID(len(types))
		types = append(types, f.Types[i])
	}
	f.Params, f.Types = slices.Clone(params), types
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for j, a := range n.Args {
			n.Args[j] = to[a]
		}
		if n.NumOut > 0 {
			n.Out = to[n.Out]
		}
	}
	for i := range f.Results {
		f.Results[i].Value = to[f.Results[i].Value]
	}
}

// alignResults gives f the given results; a state that it does not replace it
// returns as it is.
func alignResults(f *graph.Func, results []graph.Result) {
	out := slices.Clone(results)
	for i, r := range results {
		if j := f.Result(r.Role, r.Name); j >= 0 {
			out[i].Value = f.Results[j].Value
		} else {
			out[i].Value = graph.ValueID(f.Param(r.Role, r.Name))
		}
	}
	f.Results = out
}

// sameBody reports whether both compute the same whatever the mode.
func sameBody(m *graph.Module, a, b *graph.Func) bool {
	if !reflect.DeepEqual(a.Nodes, b.Nodes) || !reflect.DeepEqual(a.Results, b.Results) || !reflect.DeepEqual(a.Params, b.Params) {
		return false
	}
	for _, n := range a.Nodes {
		callee := ""
		switch x := n.Attrs.(type) {
		case *graph.CallAttrs:
			callee = x.Callee
		case *graph.ScanAttrs:
			callee = x.Callee
		default:
			continue
		}
		if m.Func(callee, graph.Any) == nil && !joinBodies(m, callee) {
			return false
		}
	}
	return true
}

// joinBodies makes one function of the two modes of a scan's body, where they
// compute the same.
func joinBodies(m *graph.Module, name string) bool {
	train, infer := m.Func(name, graph.Train), m.Func(name, graph.Infer)
	if train == nil || infer == nil || !sameBody(m, train, infer) {
		return false
	}
	train.Mode = graph.Any
	m.Funcs = slices.DeleteFunc(m.Funcs, func(f *graph.Func) bool { return f == infer })
	return true
}

// bindRuntime puts the values of runtime arguments into the hypers of the
// module, and finds arguments that were taken as plain numbers.
func bindRuntime(m *graph.Module, values map[string]float64) error {
	if len(values) == 0 {
		return nil
	}
	names := make([]string, 0, len(values))
	for n := range values {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, f := range m.Funcs {
		for i, p := range f.Params {
			if p.Role != graph.HyperRole || p.Decl == nil || !math.IsNaN(p.Decl.Default) {
				continue
			}
			v, ok := values[p.Name]
			if !ok {
				return fmt.Errorf("the hyper %q takes its value from a runtime argument of another name; name it like the argument, or drop runtime from the argument's tag and leave it to the sub-layer", p.Name)
			}
			d := *p.Decl
			d.Default = v
			f.Params[i].Decl = &d
		}
		for _, n := range f.Nodes {
			c, ok := n.Attrs.(*graph.ConstantAttrs)
			if !ok || c.Value == nil || !c.Value.DType.IsFloat() {
				continue
			}
			for i := range c.Value.Len() {
				if math.IsNaN(c.Value.Float(i)) {
					return fmt.Errorf("a runtime argument (%s) is used as a plain number; take it with Hyper(name, field), so that it can change between steps", strings.Join(names, ", "))
				}
			}
		}
	}
	return nil
}

func (n need) proto() *pluginpb.Need {
	p := &pluginpb.Need{Reference: n.ref, Kind: n.kind.Proto()}
	for _, t := range n.inputs {
		p.Inputs = append(p.Inputs, TypeProto(t))
	}
	return p
}
