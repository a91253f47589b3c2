package plugin

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/grpc"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// services are what a plugin serves.
type services struct {
	pluginpb.PluginClient
	pluginpb.TransformsClient
	pluginpb.OpaquesClient
}

func newServices(c grpc.ClientConnInterface) services {
	return services{pluginpb.NewPluginClient(c), pluginpb.NewTransformsClient(c), pluginpb.NewOpaquesClient(c)}
}

// FitTransform asks a transform what it needs to know of the training rows, or,
// once the request's passes hold that, for the fitted transform. The request's
// type, arguments and IR version are filled in here. The module is verified; that
// its functions fit the answer is for the caller to check.
func (h *Host) FitTransform(ctx context.Context, ref Ref, c Config, req *pluginpb.FitRequest) (*pluginpb.FitResponse, *graph.Module, error) {
	in, err := h.find(sdk.TransformKind, ref)
	if err != nil {
		return nil, nil, err
	}
	schema, err := h.Component(ctx, sdk.TransformKind, ref)
	if err != nil {
		return nil, nil, err
	}
	b, err := bind(schema, textOf(schema, c))
	if err != nil {
		return nil, nil, err
	}
	d, err := in.describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	req.Type, req.Config, req.IrVersion = ref.Type, b.values, d.irVersion()
	resp, err := call(ctx, in, fmt.Sprintf("fitting the transform %q", ref.Type),
		func(c pluginpb.PluginClient, ctx context.Context, r *pluginpb.FitRequest) (*pluginpb.FitResponse, error) {
			return c.(pluginpb.TransformsClient).Fit(ctx, r)
		}, req)
	if err != nil {
		return nil, nil, err
	}
	t := &tracing{host: h, in: in, schema: schema}
	if err := t.complaints(resp.Diagnostics); err != nil {
		return nil, nil, err
	}
	m, err := t.decode(&pluginpb.TraceResponse{Module: resp.Module, Constants: resp.Constants})
	if err == nil {
		err = graph.Verify(m, h.o.Limits)
	}
	if err != nil {
		return nil, nil, t.invalid(err)
	}
	return resp, m, nil
}

// textOf writes numbers as text where an argument is one: impute's fill_value may be
// either, and HCL converts as readily.
func textOf(s *Schema, c Config) Config {
	out := Config{}
	for name, v := range c {
		if p := s.Parameter(name); p != nil && p.Type == String && !p.List {
			if x, ok := v.(float64); ok {
				v = strconv.FormatFloat(x, 'g', -1, 64)
			}
		}
		out[name] = v
	}
	return out
}
