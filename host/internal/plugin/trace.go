package plugin

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

const (
	maxRounds  = 1000 // answers of one component that need another
	maxNesting = 16   // components within components
)

// Input is what a component is applied to.
type Input struct {
	Name string
	Type graph.Type
	Axes []string // axis tags of a parameter
}

// TraceLayer traces a layer: functions "layer" for training and inference, or
// one for any mode, with the inputs x, x1, ... and the output y, then further ones.
func (h *Host) TraceLayer(ctx context.Context, ref Ref, c Config, inputs []graph.Type) (*graph.Module, error) {
	in := make([]Input, len(inputs))
	for i, t := range inputs {
		in[i] = Input{Name: sdk.InputName(i), Type: t}
	}
	return h.Trace(ctx, sdk.LayerKind, ref, c, in)
}

// TraceLoss traces a loss: function "loss" (output, target) -> one value per example.
func (h *Host) TraceLoss(ctx context.Context, ref Ref, c Config, output, target graph.Type) (*graph.Module, error) {
	return h.Trace(ctx, sdk.LossKind, ref, c, []Input{{Name: "output", Type: output}, {Name: "target", Type: target}})
}

// TraceMetric traces a metric: functions "init", "update", "merge", "result",
// and "exact" where the schema has that power. The weight is f32[batch].
func (h *Host) TraceMetric(ctx context.Context, ref Ref, c Config, output, target graph.Type) (*graph.Module, error) {
	if output.Rank() == 0 {
		return nil, diag.Errorf("invalid_output", "the output %v of the model has no batch axis, and metric %q needs one", output, ref.String()).
			Hint("Measure an output with one row for each example.")
	}
	weight := graph.Type{DType: graph.F32, Shape: graph.Shape{output.Shape[0]}}
	return h.Trace(ctx, sdk.MetricKind, ref, c, []Input{{Name: "output", Type: output}, {Name: "target", Type: target}, {Name: "weight", Type: weight}})
}

// TraceInitializer traces an initializer for a parameter: function "init".
func (h *Host) TraceInitializer(ctx context.Context, ref Ref, c Config, param graph.Type, axes []string) (*graph.Module, error) {
	return h.Trace(ctx, sdk.InitializerKind, ref, c, []Input{{"value", param, axes}})
}

// TraceRegularizer traces a regularizer for a parameter: function "penalty".
func (h *Host) TraceRegularizer(ctx context.Context, ref Ref, c Config, param graph.Type, axes []string) (*graph.Module, error) {
	return h.Trace(ctx, sdk.RegularizerKind, ref, c, []Input{{"value", param, axes}})
}

// TraceConstraint traces a constraint for a parameter: function "constrain".
func (h *Host) TraceConstraint(ctx context.Context, ref Ref, c Config, param graph.Type, axes []string) (*graph.Module, error) {
	return h.Trace(ctx, sdk.ConstraintKind, ref, c, []Input{{"value", param, axes}})
}

// TraceOptimizer traces an optimizer for a parameter: functions "init" and
// "update", and those of its powers. A type of f32[batch] stands for a flat run
// of parameters of any length, where the optimizer allows it.
func (h *Host) TraceOptimizer(ctx context.Context, ref Ref, c Config, param graph.Type) (*graph.Module, error) {
	return h.Trace(ctx, sdk.OptimizerKind, ref, c, []Input{{Name: "param", Type: param}})
}

// TraceSchedule traces a schedule: function "schedule".
func (h *Host) TraceSchedule(ctx context.Context, ref Ref, c Config) (*graph.Module, error) {
	return h.Trace(ctx, sdk.ScheduleKind, ref, c, nil)
}

// Trace is what the methods above are made of.
func (h *Host) Trace(ctx context.Context, kind sdk.Kind, ref Ref, c Config, inputs []Input) (*graph.Module, error) {
	return h.trace(ctx, kind, Component{ref, c}, inputs, 0)
}

func (h *Host) trace(ctx context.Context, kind sdk.Kind, c Component, inputs []Input, depth int) (*graph.Module, error) {
	if depth > maxNesting {
		return nil, diag.Errorf("nested_components", "components are nested deeper than %d", maxNesting).
			Hint("Give the innermost ones in a layer of their own.")
	}
	in, err := h.find(kind, c.Ref)
	if err != nil {
		return nil, err
	}
	schema, err := h.Component(ctx, kind, c.Ref)
	if err != nil {
		return nil, err
	}
	b, err := bind(schema, c.Config)
	if err != nil {
		return nil, err
	}
	if err := h.checkComponents(ctx, b, depth); err != nil {
		return nil, err
	}
	d, err := in.describe(ctx)
	if err != nil {
		return nil, err
	}
	req := &pluginpb.TraceRequest{Kind: kind.Proto(), Type: c.Ref.Type, Config: b.values, IrVersion: d.irVersion()}
	for _, i := range inputs {
		req.Inputs = append(req.Inputs, &pluginpb.Input{Name: i.Name, Type: sdk.TypeProto(i.Type), Axes: i.Axes})
	}
	key, err := h.key(in, d, b, req)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	m := h.cache[key]
	h.mu.Unlock()
	if m != nil {
		return m, nil
	}
	t := &tracing{host: h, in: in, schema: schema, bound: b, req: req, inputs: inputs, depth: depth}
	if m, err = t.run(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.cache) > 10_000 {
		clear(h.cache)
	}
	h.cache[key] = m
	return m, nil
}

// checkComponents checks the components among the arguments, whether or not
// tracing comes to them.
func (h *Host) checkComponents(ctx context.Context, b *bound, depth int) error {
	if depth > maxNesting {
		return diag.Errorf("nested_components", "components are nested deeper than %d", maxNesting).
			Hint("Give the innermost ones in a layer of their own.")
	}
	for _, name := range keys(b.components) {
		c := b.components[name]
		s, err := h.Component(ctx, b.schema.Parameter(name).Kind, c.Ref)
		if err == nil {
			var inner *bound
			if inner, err = bind(s, c.Config); err == nil {
				err = h.checkComponents(ctx, inner, depth+1)
			}
		}
		if err != nil {
			return below(name, err)
		}
	}
	return nil
}

// key identifies a trace by all that it depends on: the plugin's bytes, the
// component, its arguments with those of the components among them, the types
// and the IR version.
func (h *Host) key(in *instance, d *description, b *bound, req *pluginpb.TraceRequest) (string, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return "", fmt.Errorf("writing a trace request: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %s\n", in.name, d.version, d.digest)
	sum.Write(data)
	for _, name := range keys(b.components) {
		c := b.components[name]
		fmt.Fprintf(sum, "\n%s %s ", name, c.Ref)
		writeConfig(sum, c.Config)
	}
	return string(sum.Sum(nil)), nil
}

func writeConfig(w interface{ Write([]byte) (int, error) }, c Config) {
	for _, k := range keys(c) {
		switch v := c[k].(type) {
		case Component:
			fmt.Fprintf(w, "%s=%s(", k, v.Ref)
			writeConfig(w, v.Config)
			fmt.Fprint(w, ")")
		case *Component:
			fmt.Fprintf(w, "%s=%s(", k, v.Ref)
			writeConfig(w, v.Config)
			fmt.Fprint(w, ")")
		default:
			fmt.Fprintf(w, "%s=%T %v;", k, v, v)
		}
	}
}

// tracing is one component being traced.
type tracing struct {
	host   *Host
	in     *instance
	schema *Schema
	bound  *bound
	req    *pluginpb.TraceRequest
	inputs []Input
	depth  int
	// foreign are the opaque components of other plugins among what was supplied.
	foreign []string
}

// run asks the plugin until it needs nothing more, then links and checks.
func (t *tracing) run(ctx context.Context) (*graph.Module, error) {
	d, err := t.in.describe(ctx)
	if err != nil {
		return nil, err
	}
	for range maxRounds {
		resp, err := call(ctx, t.in, fmt.Sprintf("tracing the %s %q", t.schema.Kind, t.schema.Type),
			func(c pluginpb.PluginClient, ctx context.Context, r *pluginpb.TraceRequest) (*pluginpb.TraceResponse, error) {
				return c.Trace(ctx, r)
			}, t.req)
		if err != nil {
			return nil, err
		}
		if err := t.complaints(resp.Diagnostics); err != nil {
			return nil, err
		}
		if len(resp.Needs) > 0 {
			if err := t.supply(ctx, resp.Needs); err != nil {
				return nil, err
			}
			continue
		}
		m, err := t.decode(resp)
		if err != nil {
			return nil, t.invalid(err)
		}
		if err := t.qualify(m, d); err != nil {
			return nil, t.invalid(err)
		}
		if err := t.link(ctx, m); err != nil {
			return nil, err
		}
		if err := t.check(m); err != nil {
			return nil, t.invalid(err)
		}
		return m, nil
	}
	return nil, t.invalid(fmt.Errorf("it needs more than %d components", maxRounds))
}

func (t *tracing) what() string { return fmt.Sprintf("%s %q", t.schema.Kind, t.schema.Type) }

// invalid blames the plugin for an answer that breaks the rules.
func (t *tracing) invalid(err error) error {
	return diag.Errorf("plugin_graph", "the plugin %q answered an invalid graph for the %s: %w", t.in.name, t.what(), err).
		Hint("This is a mistake in the plugin: report it to its author, or pin another version.")
}

// complaints turns the plugin's diagnostics into ours.
func (t *tracing) complaints(ds []*pluginpb.Diagnostic) error {
	var out diag.Diagnostics
	for i, d := range ds {
		if i == 100 {
			break
		}
		x := diag.Diagnostic{Code: "component", Summary: clean(d.Summary, 1000), Detail: clean(d.Detail, 4000), Path: clean(d.Attribute, 200)}
		if t.in.linked == nil {
			x.Summary = fmt.Sprintf("plugin %q: %s", t.in.name, x.Summary)
		}
		if d.Severity == pluginpb.Severity_SEVERITY_WARNING {
			x.Severity = diag.Warning
			t.in.host.o.Log.Warn().Str("plugin", t.in.name).Msg(x.Error())
		}
		out.Append(x)
	}
	return out.Err()
}

// clean makes text from a plugin fit for a terminal.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
}

// supply traces what the plugin needs and adds it to the request.
func (t *tracing) supply(ctx context.Context, needs []*pluginpb.Need) error {
	for _, n := range needs {
		kind := sdk.KindFromProto(n.Kind)
		if kind != sdk.LayerKind && kind != sdk.ScheduleKind && kind != sdk.OptimizerKind {
			return t.invalid(fmt.Errorf("it needs a component of kind %v", n.Kind))
		}
		for _, s := range t.req.Supplied {
			if proto.Equal(s.Need, n) {
				return t.invalid(fmt.Errorf("it needs %s although it was supplied", clean(n.Reference, 200)))
			}
		}
		c, arg, err := t.resolve(kind, n.Reference)
		if err != nil {
			return err
		}
		var inputs []Input
		for i, p := range n.Inputs {
			typ, err := sdk.TypeFromProto(p)
			if err != nil {
				return t.invalid(err)
			}
			name := sdk.InputName(i)
			if kind == sdk.OptimizerKind {
				name = "param"
			}
			inputs = append(inputs, Input{Name: name, Type: typ})
		}
		m, err := t.host.trace(ctx, kind, c, inputs, t.depth+1)
		if err != nil {
			return below(arg, err)
		}
		t.supplied(m)
		s := &pluginpb.Supplied{Need: n}
		if s.Module, err = graph.MarshalFor(m, int(t.req.IrVersion)); err != nil {
			return t.invalid(err)
		}
		for _, name := range keys(m.Consts) {
			k, err := graph.MarshalConst(name, m.Consts[name])
			if err != nil {
				return fmt.Errorf("writing a constant: %w", err)
			}
			s.Constants = append(s.Constants, k)
		}
		t.req.Supplied = append(t.req.Supplied, s)
	}
	return nil
}

// resolve finds the component that a reference means, and the argument that
// gives it, "" for none.
func (t *tracing) resolve(kind sdk.Kind, reference string) (Component, string, error) {
	if name, ok := strings.CutPrefix(reference, "arg:"); ok {
		p := t.schema.Parameter(name)
		c, given := t.bound.components[name]
		if p == nil || p.Kind != kind || !given {
			return Component{}, "", t.invalid(fmt.Errorf("it refers to the argument %q, which holds no %s", clean(name, 100), kind))
		}
		return c, name, nil
	}
	if typ, ok := strings.CutPrefix(reference, "type:"); ok {
		return Component{Ref: Ref{Type: typ}}, "", nil
	}
	return Component{}, "", t.invalid(fmt.Errorf("it refers to %q", clean(reference, 100)))
}

// below puts the diagnostics of a component under the argument that gave it.
func below(argument string, err error) error {
	ds := diag.From(err)
	if argument == "" {
		return err
	}
	out := slices.Clone(ds)
	for i := range out {
		if out[i].Path == "" {
			out[i].Path = argument
		} else {
			out[i].Path = argument + "." + out[i].Path
		}
	}
	return out
}

func (t *tracing) decode(resp *pluginpb.TraceResponse) (*graph.Module, error) {
	limits := t.host.o.Limits
	m, err := graph.Unmarshal(resp.Module, limits)
	if err != nil {
		return nil, err
	}
	for _, data := range resp.Constants {
		name, k, err := graph.UnmarshalConst(data, limits)
		if err != nil {
			return nil, err
		}
		if m.Consts[name] != nil {
			return nil, fmt.Errorf("two constants are called %q", name)
		}
		m.Consts[name] = k
	}
	return m, nil
}
