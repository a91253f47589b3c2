package sdk

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// MaxMessageBytes bounds a message of the protocol either way.
const MaxMessageBytes = 256 << 20

// server answers the protocol for one plugin.
type server struct {
	pluginpb.UnimplementedPluginServer
	plugin     Plugin
	components []*component
}

// Register makes s serve p. The error names the component whose description is
// malformed. Authors of plugins call [Serve]; this is for hosts that serve a
// plugin linked into them.
func Register(s grpc.ServiceRegistrar, p Plugin) error {
	all, err := p.components()
	if err != nil {
		return err
	}
	pluginpb.RegisterPluginServer(s, &server{plugin: p, components: all})
	pluginpb.RegisterTransformsServer(s, &transforms{components: all})
	pluginpb.RegisterOpaquesServer(s, &opaques{components: all})
	return nil
}

func (s *server) Schema(context.Context, *pluginpb.SchemaRequest) (*pluginpb.SchemaResponse, error) {
	r := &pluginpb.SchemaResponse{Name: s.plugin.Name, Version: s.plugin.Version, IrVersion: graph.Version}
	for _, c := range s.components {
		r.Components = append(r.Components, c.schema)
	}
	return r, nil
}

func (s *server) Trace(_ context.Context, req *pluginpb.TraceRequest) (*pluginpb.TraceResponse, error) {
	kind := KindFromProto(req.Kind)
	for _, c := range s.components {
		if c.kind == kind && c.typ == req.Type {
			return c.trace(req), nil
		}
	}
	if kind == "" {
		return nil, status.Error(codes.Unimplemented, fmt.Sprintf("this plugin's SDK knows no component kind %v", req.Kind))
	}
	return nil, status.Error(codes.NotFound, fmt.Sprintf("there is no %s %q", kind, req.Type))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
