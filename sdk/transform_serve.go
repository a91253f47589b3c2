package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// transforms answers the part of the protocol that fits transforms.
type transforms struct {
	pluginpb.UnimplementedTransformsServer
	components []*component
}

func (s *transforms) Fit(_ context.Context, req *pluginpb.FitRequest) (*pluginpb.FitResponse, error) {
	for _, c := range s.components {
		if c.kind == TransformKind && c.typ == req.Type {
			return c.fit(req), nil
		}
	}
	return nil, status.Error(codes.NotFound, fmt.Sprintf("there is no %s %q", TransformKind, req.Type))
}

// fit answers one request. It never panics: an author's panic becomes a
// diagnostic with the line that caused it.
func (c *component) fit(req *pluginpb.FitRequest) (resp *pluginpb.FitResponse) {
	f := &Fit{t: &tracer{m: graph.NewModule()}, known: req.Passes, learned: map[string]any{}}
	fail := func(err error) *pluginpb.FitResponse {
		return &pluginpb.FitResponse{Diagnostics: c.failure(err).Diagnostics}
	}
	asked := func() *pluginpb.FitResponse {
		resp := &pluginpb.FitResponse{Asks: f.asks}
		var err error
		if resp.Module, resp.Constants, err = moduleProto(f.t.m, req.IrVersion); err != nil {
			return fail(err)
		}
		return resp
	}
	defer func() {
		if r := recover(); r != nil {
			if f.waiting && f.err == nil {
				// The author's code went on with statistics that are still to come.
				resp = asked()
				return
			}
			resp = fail(fmt.Errorf("panicked: %v%s", r, panicPosition()))
		}
	}()
	v, runtimeValues, err := c.configure(req.Config)
	if err != nil {
		return fail(err)
	}
	if len(runtimeValues) > 0 {
		return fail(errors.New("a transform has no runtime arguments"))
	}
	taken, passed, err := chooseColumns(v, req)
	if err != nil {
		return fail(err)
	}
	f.columns = taken
	if fitter, ok := v.(Fitter); ok {
		err := fitter.Fit(f)
		switch {
		case f.err != nil:
			return fail(f.err)
		case f.waiting:
			return asked()
		case err != nil:
			return fail(err)
		case len(f.asks) > 0:
			return fail(errAsksWithoutPass)
		}
	}
	f.t.m = graph.NewModule()
	b := &TransformBuilder{Builder: graph.NewBuilder(f.t.m, "apply", graph.Any), columns: taken, fitted: &pluginpb.Fitted{}}
	b.feed = newFeed(b.Builder)
	v.(Transform).Apply(b)
	for _, c := range passed {
		b.Pass(c)
	}
	if len(taken) == 0 && b.Err() == nil {
		b.Warn("the transform %q found no column to work on; name its columns", c.typ)
	}
	if err := b.finish(taken); err != nil {
		return fail(err)
	}
	resp = &pluginpb.FitResponse{Fitted: b.fitted}
	if len(f.learned) > 0 {
		text, err := json.Marshal(plain(f.learned))
		if err != nil {
			return fail(fmt.Errorf("writing what was learned: %w", err))
		}
		b.fitted.Learned = string(text)
	}
	if resp.Module, resp.Constants, err = moduleProto(f.t.m, req.IrVersion); err != nil {
		return fail(err)
	}
	return resp
}

// chooseColumns divides the request's columns into those that the transform takes
// and those that it lets pass.
func chooseColumns(v any, req *pluginpb.FitRequest) (taken, passed []Column, err error) {
	takes := func(c Column) bool { return c.Kind == NumberColumn && !c.Target }
	if t, ok := v.(Taker); ok {
		takes = t.Takes
	}
	for i, p := range req.Columns {
		c := Column{Name: p.Name, Kind: ColumnKind(p.Kind), Target: p.Target, Features: p.Features, index: i}
		if c.Kind < NumberColumn || c.Kind > TextColumn {
			return nil, nil, fmt.Errorf("the host sent column %q with the kind %v", p.Name, p.Kind)
		}
		if c.Kind == TextColumn {
			c.Type = graph.Type{Shape: batch}
		} else if c.Type, err = TypeFromProto(p.Type); err != nil {
			return nil, nil, fmt.Errorf("column %q: %w", p.Name, err)
		}
		if len(c.Type.Shape) == 0 || c.Type.Shape[0] != graph.Batch {
			return nil, nil, fmt.Errorf("the host sent column %q as %v, without a batch", p.Name, c.Type)
		}
		if req.Named || takes(c) {
			taken = append(taken, c)
		} else {
			passed = append(passed, c)
		}
	}
	return taken, passed, nil
}

// finish ends the function apply and checks what an augmentation may do.
func (b *TransformBuilder) finish(taken []Column) error {
	b.fitted.Entries = b.entries
	fn, err := b.Builder.Finish()
	if err != nil {
		return err
	}
	random := false
	for _, p := range fn.Params {
		random = random || p.Role == graph.KeyRole
	}
	if !random {
		return nil
	}
	if b.fitted.Filter || b.fitted.Sample != nil {
		return errors.New("an augmentation, which draws random bits, neither filters nor samples rows")
	}
	for _, f := range b.fitted.Columns {
		o, ok := f.From.(*pluginpb.FittedColumn_Output)
		if !ok {
			continue
		}
		same := false
		for _, c := range taken {
			i := fn.Result(graph.Output, fmt.Sprintf("y%d", o.Output))
			same = same || c.Name == f.Name && fn.TypeOf(fn.Results[i].Value).Equal(c.Type)
		}
		if !same {
			return fmt.Errorf("an augmentation makes the column %q, or changes its type; since evaluation goes without it, it must keep both", f.Name)
		}
	}
	return nil
}

func moduleProto(m *graph.Module, ir uint32) (module []byte, constants [][]byte, err error) {
	if module, err = graph.MarshalFor(m, int(ir)); err != nil {
		return nil, nil, err
	}
	for _, name := range sortedKeys(m.Consts) {
		k, err := graph.MarshalConst(name, m.Consts[name])
		if err != nil {
			return nil, nil, err
		}
		constants = append(constants, k)
	}
	return module, constants, nil
}

// plain replaces numbers that JSON does not have by their names.
func plain(v any) any {
	switch x := v.(type) {
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return map[bool]string{true: "NaN", false: map[bool]string{true: "Infinity", false: "-Infinity"}[x > 0]}[x != x]
		}
	case []float64:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = plain(e)
		}
		return out
	case [][]float64:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = plain(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = plain(e)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			out[k] = plain(e)
		}
		return out
	}
	return v
}

func numberText(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
