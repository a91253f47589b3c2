package sdk

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/graphpb"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// trace answers one request. It never panics: an author's panic becomes a
// diagnostic with the line that caused it.
func (c *component) trace(req *pluginpb.TraceRequest) (resp *pluginpb.TraceResponse) {
	t := &tracer{m: graph.NewModule(), opaques: c.opaques}
	defer func() {
		r := recover()
		switch {
		case r == nil:
		case len(t.needs) > 0:
			// The author's code went on with a value that is still to come.
			resp = t.unmet()
		default:
			resp = c.failure(fmt.Errorf("panicked: %v%s", r, panicPosition()))
		}
	}()
	for _, s := range req.Supplied {
		m, err := graph.Unmarshal(s.Module, graph.Limits{})
		if err != nil {
			return c.failure(fmt.Errorf("reading the component supplied as %s: %w", s.Need.GetReference(), err))
		}
		for _, k := range s.Constants {
			name, v, err := graph.UnmarshalConst(k, graph.Limits{})
			if err != nil {
				return c.failure(err)
			}
			m.Consts[name] = v
		}
		n := need{ref: s.Need.GetReference(), kind: KindFromProto(s.Need.GetKind())}
		if n.inputs, err = typesFromProto(s.Need.GetInputs()); err != nil {
			return c.failure(err)
		}
		t.supplied = append(t.supplied, supply{need: n, module: m})
	}
	v, runtimeValues, err := c.configure(req.Config)
	if err != nil {
		return c.failure(err)
	}
	if err := t.component(c.kind, v, req.Inputs); err != nil || len(t.needs) > 0 {
		if len(t.needs) > 0 {
			return t.unmet()
		}
		return c.failure(err)
	}
	if t.err != nil {
		return c.failure(t.err)
	}
	if err := bindRuntime(t.m, runtimeValues); err != nil {
		return c.failure(err)
	}
	resp = &pluginpb.TraceResponse{}
	if resp.Module, err = graph.MarshalFor(t.m, int(req.IrVersion)); err != nil {
		return c.failure(err)
	}
	for _, name := range sortedKeys(t.m.Consts) {
		k, err := graph.MarshalConst(name, t.m.Consts[name])
		if err != nil {
			return c.failure(err)
		}
		resp.Constants = append(resp.Constants, k)
	}
	return resp
}

// component traces v, whatever its kind.
func (t *tracer) component(kind Kind, v any, inputs []*pluginpb.Input) error {
	types := make([]graph.Type, len(inputs))
	names := make([]string, len(inputs))
	for i, in := range inputs {
		var err error
		if types[i], err = TypeFromProto(in.GetType()); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		names[i] = in.GetName()
	}
	want := map[Kind]int{LossKind: 2, MetricKind: 3, InitializerKind: 1, RegularizerKind: 1, ConstraintKind: 1, OptimizerKind: 1}
	if n, ok := want[kind]; ok && len(inputs) != n {
		return fmt.Errorf("the host sent %d inputs to a %s, which takes %d", len(inputs), kind, n)
	}
	switch kind {
	case LayerKind:
		return t.layer(string(LayerKind), v.(Layer), types)
	case LossKind:
		return t.loss(v.(Loss), types[0], types[1])
	case MetricKind:
		return t.metric(v.(Metric), types)
	case InitializerKind:
		return t.parameterFunc(kind, "init", v, types[0], inputs[0].Axes)
	case RegularizerKind:
		return t.parameterFunc(kind, "penalty", v, types[0], inputs[0].Axes)
	case ConstraintKind:
		return t.parameterFunc(kind, "constrain", v, types[0], inputs[0].Axes)
	case OptimizerKind:
		return t.optimizer("", v.(Optimizer), types[0])
	case ScheduleKind:
		return t.schedule(string(ScheduleKind), v.(Schedule))
	case TransformKind:
		return errors.New("transforms are fitted, not traced: the host must call Fit")
	case OpaqueKind:
		return errors.New("opaque components are computed, not traced: the host must call Compute")
	}
	return fmt.Errorf("unknown kind %q", kind)
}

func (t *tracer) unmet() *pluginpb.TraceResponse {
	resp := &pluginpb.TraceResponse{}
	for _, n := range t.needs {
		resp.Needs = append(resp.Needs, n.proto())
	}
	return resp
}

func (c *component) failure(err error) *pluginpb.TraceResponse {
	d := &pluginpb.Diagnostic{Summary: fmt.Sprintf("%s %q: %v", c.kind, c.typ, err)}
	var a *AttributeError
	if errors.As(err, &a) {
		d.Attribute, d.Summary, d.Detail = a.Attribute, a.Attribute+": "+a.Summary, a.Detail
	}
	return &pluginpb.TraceResponse{Diagnostics: []*pluginpb.Diagnostic{d}}
}

// panicPosition finds the author's line on the stack of a panic being recovered.
func panicPosition() string {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	for {
		f, more := frames.Next()
		own := strings.HasPrefix(f.Function, "github.com/hone-ml/hone/sdk") && !strings.HasSuffix(f.File, "_test.go")
		if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") && !own {
			return fmt.Sprintf(" (%s:%d)", path.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}

// TypeProto returns the wire form of a type.
func TypeProto(t graph.Type) *graphpb.Type {
	p := &graphpb.Type{Dtype: graphpb.DType(t.DType)}
	for _, d := range t.Shape {
		p.Dims = append(p.Dims, &graphpb.Dim{Symbol: d.Symbol(), Coef: d.Coef(), Offset: d.Offset()})
	}
	return p
}

// TypeFromProto reads what TypeProto wrote.
func TypeFromProto(p *graphpb.Type) (graph.Type, error) {
	t := graph.Type{DType: graph.DType(p.GetDtype())}
	if !t.DType.Valid() || p.GetDtype() > 255 {
		return graph.Type{}, fmt.Errorf("the element type %v is unknown", p.GetDtype())
	}
	if len(p.GetDims()) > graph.MaxRank {
		return graph.Type{}, fmt.Errorf("%d axes; at most %d are possible", len(p.GetDims()), graph.MaxRank)
	}
	for _, d := range p.GetDims() {
		if d.GetSymbol() != "" && d.GetSymbol() != graph.BatchSymbol || d.GetCoef() < 0 || d.GetCoef() == 0 && d.GetOffset() < 0 {
			return graph.Type{}, fmt.Errorf("the extent %v is not valid", d)
		}
		t.Shape = append(t.Shape, graph.Affine(d.GetSymbol(), d.GetCoef(), d.GetOffset()))
	}
	return t, nil
}

func typesFromProto(ps []*graphpb.Type) ([]graph.Type, error) {
	var out []graph.Type
	for _, p := range ps {
		t, err := TypeFromProto(p)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
