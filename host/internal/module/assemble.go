package module

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/host/internal/axes"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// ModelFunc is the name of the model's function in an assembled module.
const ModelFunc = "model"

// Assembly is an assembled model with what trains it.
type Assembly struct {
	Program *train.Program
	// Layers describes the model's layers in the order of computation.
	Layers []LayerInfo
	// Frozen are the scopes of layers with trainable = false.
	Frozen []string
	// LowerIsBetter says of each metric, by name, whether smaller is better.
	LowerIsBetter map[string]bool
	// Pins are the plugins that took part, by local name.
	Pins []plugin.Info
}

// LayerInfo is one row of a model's table.
type LayerInfo struct {
	Name    string
	Type    string
	Inputs  []graph.Type
	Outputs []graph.Type
	// Params counts the elements of its trainable and other parameters and states.
	Params, NonTrainable int64
}

// Request is what to assemble.
type Request struct {
	Model  *spec.Model
	Train  *spec.Train // nil for a model alone
	Inputs map[string]graph.Type
	// Targets are the types of the data's targets; the first is the default.
	Targets     map[string]graph.Type
	TargetOrder []string
}

type assembler struct {
	ctx   context.Context
	h     *plugin.Host
	m     *graph.Module
	out   *Assembly
	diags diag.Diagnostics
	names map[*graph.Module]string // prefix under which a traced module was merged
	pins  map[string]bool
	fixed []string // scopes of layers whose graphs do not follow their channels
}

// Assemble traces and joins everything the request names.
func Assemble(ctx context.Context, h *plugin.Host, r Request) (*Assembly, diag.Diagnostics) {
	a := &assembler{
		ctx: ctx, h: h, m: graph.NewModule(), names: map[*graph.Module]string{}, pins: map[string]bool{},
		out: &Assembly{LowerIsBetter: map[string]bool{}},
	}
	path := "model." + r.Model.Name
	outputs := a.model(r.Model, path, r.Inputs)
	if a.diags.HasErrors() {
		return nil, a.diags
	}
	a.out.Program = &train.Program{Module: a.m, Model: ModelFunc, Fixed: a.fixed}
	if r.Train != nil {
		a.train(r, outputs)
	}
	if a.diags.HasErrors() {
		return nil, a.diags
	}
	a.pinOpaque()
	if err := graph.Verify(a.m, graph.Limits{}); err != nil {
		a.diags.Append(diag.Errorf("invalid_graph", "the assembled model is not valid: %v", err).
			Hint("One of its plugins traces a graph that does not fit the others; hone graph show prints them."))
		return nil, a.diags
	}
	return a.out, a.diags
}

// merge adds a traced module under a prefix, once, and returns the prefix.
func (a *assembler) merge(m *graph.Module, prefix string) (string, error) {
	if p, ok := a.names[m]; ok {
		return p, nil
	}
	prefix += "/"
	a.names[m] = prefix
	return prefix, a.m.Merge(m, func(n string) string { return prefix + n })
}

func (a *assembler) pin(kind sdk.Kind, t spec.TypeRef) {
	info, err := a.h.Pin(a.ctx, kind, Ref(t))
	if err != nil || a.pins[info.Name+info.SHA256] {
		return
	}
	a.pins[info.Name+info.SHA256] = true
	a.out.Pins = append(a.out.Pins, info)
}

// pinOpaque marks the plugins whose opaque components the model computes with.
func (a *assembler) pinOpaque() {
	for _, ref := range plugin.Opaque(a.m) {
		info, err := a.h.Pin(a.ctx, sdk.OpaqueKind, ref)
		if err != nil {
			a.diags.Append(diag.From(err)...)
			return
		}
		i := slices.IndexFunc(a.out.Pins, func(p plugin.Info) bool {
			return p.Name == info.Name && p.SHA256 == info.SHA256 && p.Builtin == info.Builtin
		})
		if i < 0 {
			i = len(a.out.Pins)
			a.out.Pins = append(a.out.Pins, info)
		}
		a.out.Pins[i].Needed = true
	}
}

// placed is a layer that stands in the model.
type placed struct {
	layer   *spec.Layer
	callee  string // function
	scope   string
	inputs  []spec.Ref
	outputs []string
	types   []graph.Type
}

// model builds the model's function for both modes and returns its outputs.
func (a *assembler) model(m *spec.Model, path string, inputs map[string]graph.Type) map[string]graph.Type {
	layers := a.layers(m, path, "", inputs)
	if a.diags.HasErrors() {
		return nil
	}
	if !a.function(m, ModelFunc, path, layers, inputs) {
		return nil
	}
	f := a.m.Resolve(ModelFunc, graph.Infer)
	outputs := map[string]graph.Type{}
	for _, r := range f.Results {
		if r.Role == graph.Output {
			outputs[r.Name] = f.Types[r.Value]
		}
	}
	return outputs
}

// layers traces the layers of a model or group, in the order of computation.
func (a *assembler) layers(m *spec.Model, path, scope string, inputs map[string]graph.Type) map[string]*placed {
	done := map[string]*placed{}
	for _, i := range m.Order() {
		l := &m.Layers[i]
		at := path + ".layer." + l.Name
		p := &placed{layer: l, scope: l.Name, inputs: m.Feeds(i)}
		if l.Share != nil {
			p.scope = l.Share.Name
			if j := m.Find(l.Share.Name); j >= 0 {
				shared := m.Layers[j]
				l = &spec.Layer{Node: m.Layers[i].Node, Type: shared.Type, Name: m.Layers[i].Name, Args: shared.Args, Group: shared.Group, Trainable: shared.Trainable}
			}
		}
		var types []graph.Type
		var from []string
		ok := true
		for _, r := range p.inputs {
			t, what, found := a.typeOf(r, done, inputs, at)
			ok = ok && found
			types = append(types, t)
			from = append(from, what)
		}
		if !ok {
			return done
		}
		full := graph.JoinPath(scope, p.scope)
		if l.Trainable != nil && !*l.Trainable {
			a.out.Frozen = append(a.out.Frozen, full)
		}
		if l.Group != nil {
			if !a.group(l, p, at, full, types) {
				return done
			}
		} else if !a.layer(l, p, at, full, types, from) {
			return done
		}
		done[m.Layers[i].Name] = p
	}
	return done
}

// typeOf returns the type that a reference stands for, and words for messages.
func (a *assembler) typeOf(r spec.Ref, done map[string]*placed, inputs map[string]graph.Type, path string) (graph.Type, string, bool) {
	fail := func(format string, args ...any) (graph.Type, string, bool) {
		d := diag.Errorf("unknown_output", format, args...).In(path)
		if r.Range.File != "" {
			d = d.At(r.Range)
		}
		a.diags.Append(d)
		return graph.Type{}, "", false
	}
	if r.Kind == spec.ToInput {
		t, ok := inputs[r.Name]
		if !ok {
			return fail("the input %q has no type", r.Name)
		}
		return t, fmt.Sprintf("input %q gives %v", r.Name, t), true
	}
	p, ok := done[r.Name]
	if !ok {
		return fail("the layer %q is not there yet", r.Name)
	}
	i := outputIndex(p, r.Output)
	if i < 0 {
		return fail("the layer %q has no output %q; it has %s", r.Name, r.Output, strings.Join(p.outputs, ", "))
	}
	where := ""
	if rg := p.layer.Range; rg.File != "" {
		where = fmt.Sprintf(" (%s:%d)", rg.File, rg.Start.Line)
	}
	return p.types[i], fmt.Sprintf("layer %q%s gives %v", r.Name, where, p.types[i]), true
}

func outputIndex(p *placed, name string) int {
	if name == "" {
		return 0
	}
	if i := slices.Index(p.outputs, name); i >= 0 {
		return i
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < len(p.outputs) {
		return n
	}
	return -1
}

// layer traces one layer and merges its functions.
func (a *assembler) layer(l *spec.Layer, p *placed, path, full string, types []graph.Type, from []string) bool {
	cfg, _, ds := Config(a.ctx, a.h, sdk.LayerKind, l.Type, l.Args, l.Node, path)
	a.diags.Append(ds...)
	if ds.HasErrors() {
		return false
	}
	m, err := a.h.TraceLayer(a.ctx, Ref(l.Type), cfg, types)
	if err != nil {
		ds := Locate(diag.From(err), l.Node, path)
		for i := range ds {
			ds[i].Summary = fmt.Sprintf("layer %q: %s", full, ds[i].Summary)
			ds[i].Detail = strings.TrimSpace(ds[i].Detail + "\nIts inputs: " + strings.Join(from, "; ") + ".")
		}
		a.diags.Append(ds...)
		return false
	}
	a.pin(sdk.LayerKind, l.Type)
	if !a.followsChannels(l, cfg, types, m) {
		a.fixed = append(a.fixed, full)
	}
	prefix, err := a.merge(m, "layer/"+full)
	if err != nil {
		a.diags.Append(Locate(diag.From(err), l.Node, path)...)
		return false
	}
	p.callee = prefix + "layer"
	a.describe(p, l.Type.String(), full, types)
	return true
}

// followsChannels reports whether a layer that has lost channels of its inputs is
// the layer traced for fewer. Those of first-party plugins are, which their tests
// prove; another one is traced once more, for inputs twice as wide.
func (a *assembler) followsChannels(l *spec.Layer, cfg plugin.Config, types []graph.Type, m *graph.Module) bool {
	if l.Type.Local == "" {
		return true
	}
	wide := slices.Clone(types)
	for i, t := range wide {
		if n := t.Rank() - 1; n > 0 {
			if d, err := t.Shape[n].Mul(graph.N(2)); err == nil {
				wide[i].Shape = slices.Clone(t.Shape)
				wide[i].Shape[n] = d
			}
		}
	}
	w, err := a.h.TraceLayer(a.ctx, Ref(l.Type), cfg, wide)
	if err != nil {
		return false // it takes no other number
	}
	var held *axes.HeldError
	err = axes.Follows(w, m, "layer")
	return err == nil || errors.As(err, &held) // what holds its channels is refused anyway
}

// group builds the functions of an instance of a block.
func (a *assembler) group(l *spec.Layer, p *placed, path, full string, types []graph.Type) bool {
	g := l.Group
	inputs := map[string]graph.Type{}
	if len(types) != len(g.Inputs) {
		a.diags.Append(Locate(diag.Diagnostics{diag.Errorf("group_inputs", "layer %q takes %d inputs, got %d", full, len(g.Inputs), len(types))}, l.Node, path)...)
		return false
	}
	for i, in := range g.Inputs {
		inputs[in.Name] = types[i]
	}
	layers := a.layers(g, path, full, inputs)
	if a.diags.HasErrors() {
		return false
	}
	p.callee = "group/" + full
	if !a.function(g, p.callee, path, layers, inputs) {
		return false
	}
	a.describe(p, l.Type.String(), full, types)
	// The inner layers are listed; their group would count them twice.
	a.out.Layers = a.out.Layers[:len(a.out.Layers)-1]
	return true
}

// describe reads a layer's outputs and counts its parameters.
func (a *assembler) describe(p *placed, typ, full string, types []graph.Type) {
	f := a.m.Resolve(p.callee, graph.Infer)
	for _, r := range f.Results {
		if r.Role == graph.Output {
			p.outputs = append(p.outputs, r.Name)
			p.types = append(p.types, f.Types[r.Value])
		}
	}
	info := LayerInfo{Name: full, Type: typ, Inputs: types, Outputs: p.types}
	for _, q := range f.Params {
		n := int64(1)
		for _, d := range q.Type.Shape {
			k, _ := d.Const()
			n *= k
		}
		switch {
		case q.Role == graph.StateRole, q.Role == graph.ParamRole && q.Decl != nil && q.Decl.NonTrainable:
			info.NonTrainable += n
		case q.Role == graph.ParamRole:
			info.Params += n
		}
	}
	a.out.Layers = append(a.out.Layers, info)
}

// function writes the function of a model or group for both modes.
func (a *assembler) function(m *spec.Model, name, path string, layers map[string]*placed, inputs map[string]graph.Type) bool {
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		b := graph.NewBuilder(a.m, name, mode)
		vals := map[string][]graph.Value{}
		ins := map[string]graph.Value{}
		for _, in := range m.Inputs {
			ins[in.Name] = b.Input(in.Name, inputs[in.Name])
		}
		value := func(r spec.Ref) graph.Value {
			if r.Kind == spec.ToInput {
				return ins[r.Name]
			}
			i := outputIndex(layers[r.Name], r.Output)
			if i < 0 || i >= len(vals[r.Name]) {
				return b.Failf("the layer %q has no output %q", r.Name, r.Output)
			}
			return vals[r.Name][i]
		}
		for _, i := range m.Order() {
			p := layers[m.Layers[i].Name]
			args := make([]graph.Value, len(p.inputs))
			for j, r := range p.inputs {
				args[j] = value(r)
			}
			vals[m.Layers[i].Name] = b.Call(p.callee, p.scope, args...)
		}
		for _, o := range m.Results() {
			b.Output(o.Name, value(o.From))
		}
		if _, err := b.Finish(); err != nil {
			a.diags.Append(Locate(diag.Diagnostics{diag.Errorf("assembly", "the model does not fit together: %v", err)}, m.Node, path)...)
			return false
		}
	}
	return true
}
