package plugin

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// maxStarts bounds how often a plugin that dies is started again.
const maxStarts = 3

// instance is one plugin, running or not.
type instance struct {
	host   *Host
	name   string
	source Source
	linked *sdk.Plugin // of a built-in

	mu     sync.Mutex // serializes starting, stopping, and calls that find it dead
	conn   connection // nil while not running
	image  *image     // the bytes executed; nil for a built-in
	starts int
	desc   *description
}

// connection is a running plugin.
type connection interface {
	pluginpb.PluginClient
	pluginpb.TransformsClient
	pluginpb.OpaquesClient
	// explain turns the failure of a call into a diagnostic; dead says that the
	// plugin must be considered gone.
	explain(call string, err error) (d diag.Diagnostic, dead bool)
	stop() error
}

// description is what a plugin says of itself.
type description struct {
	version string
	digest  string
	ir      int
	schemas map[sdk.Kind]map[string]*Schema
}

// connect returns the running plugin, starting it at need.
func (in *instance) connect(ctx context.Context) (connection, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.conn != nil {
		return in.conn, nil
	}
	if err := in.host.mayStart(in); err != nil {
		return nil, err
	}
	if in.starts >= maxStarts {
		return nil, diag.Errorf("plugin_died", "the plugin %q ended %d times", in.name, in.starts).
			Hint("It is not started again. See its messages above, and report them to its author.")
	}
	in.starts++
	c, err := in.start(ctx)
	if err != nil {
		return nil, err
	}
	in.conn = c
	return c, nil
}

func (in *instance) start(ctx context.Context) (connection, error) {
	if in.linked != nil {
		if in.host.o.Builtin.SelfExec {
			return startProcess(ctx, in, nil)
		}
		return startLinked(in)
	}
	if in.image == nil {
		img, err := loadImage(in.source)
		if err != nil {
			return nil, err
		}
		in.image = img
	}
	return startProcess(ctx, in, in.image)
}

// call makes one call with a deadline and explains its failure.
func call[Req, Resp any](ctx context.Context, in *instance, what string, f func(pluginpb.PluginClient, context.Context, Req) (Resp, error), req Req) (Resp, error) {
	return callWithin(ctx, in, in.host.o.CallTimeout, what, f, req)
}

// callWithin is call with a deadline of its own.
func callWithin[Req, Resp any](ctx context.Context, in *instance, limit time.Duration, what string, f func(pluginpb.PluginClient, context.Context, Req) (Resp, error), req Req) (Resp, error) {
	var none Resp
	c, err := in.connect(ctx)
	if err != nil {
		return none, err
	}
	own := time.Now().Add(limit)
	limited, cancel := context.WithDeadline(ctx, own)
	defer cancel()
	resp, err := f(c, limited, req)
	if err == nil {
		return resp, nil
	}
	if ctx.Err() != nil {
		return none, fmt.Errorf("%s: %w", what, ctx.Err())
	}
	// The plugin keeps the deadline by its own clock and may see it pass first.
	if by, ok := ctx.Deadline(); ok && by.Before(own) && status.Code(err) == codes.DeadlineExceeded {
		return none, fmt.Errorf("%s: %w", what, context.DeadlineExceeded)
	}
	d, dead := c.explain(what, err)
	if dead {
		in.drop(c)
	}
	return none, d
}

// drop stops a plugin that failed.
func (in *instance) drop(c connection) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.conn == c {
		in.conn = nil
	}
	_ = c.stop()
}

func (in *instance) close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	var err error
	if in.conn != nil {
		err = in.conn.stop()
		in.conn = nil
	}
	if in.image != nil {
		in.image.close()
		in.image = nil
	}
	return err
}

// describe returns the plugin's schemas, asking once.
func (in *instance) describe(ctx context.Context) (*description, error) {
	in.mu.Lock()
	d := in.desc
	in.mu.Unlock()
	if d != nil {
		return d, nil
	}
	resp, err := call(ctx, in, "describing its components", func(c pluginpb.PluginClient, ctx context.Context, r *pluginpb.SchemaRequest) (*pluginpb.SchemaResponse, error) {
		return c.Schema(ctx, r)
	}, &pluginpb.SchemaRequest{})
	if err != nil {
		return nil, err
	}
	d, err = in.read(resp)
	if err != nil {
		return nil, diag.Errorf("plugin_schema", "the plugin %q describes itself wrongly: %w", in.name, err).
			Hint("Report this to the plugin's author; the SDK's checks find it.")
	}
	in.mu.Lock()
	in.desc = d
	in.mu.Unlock()
	return d, nil
}

func (in *instance) read(r *pluginpb.SchemaResponse) (*description, error) {
	d := &description{version: r.Version, ir: int(r.IrVersion), schemas: map[sdk.Kind]map[string]*Schema{}}
	in.mu.Lock()
	if in.image != nil {
		d.digest = hex.EncodeToString(in.image.digest[:])
	}
	in.mu.Unlock()
	if d.ir < 1 {
		return nil, fmt.Errorf("IR version %d", d.ir)
	}
	if len(r.Components) > 10_000 {
		return nil, fmt.Errorf("%d components", len(r.Components))
	}
	for _, c := range r.Components {
		s, err := readSchema(c)
		if err != nil {
			return nil, fmt.Errorf("component %q: %w", c.Type, err)
		}
		s.Plugin = in.name
		if s.Kind == "" {
			continue // of a kind that a later minor version of the protocol adds
		}
		if d.schemas[s.Kind] == nil {
			d.schemas[s.Kind] = map[string]*Schema{}
		}
		if d.schemas[s.Kind][s.Type] != nil {
			return nil, fmt.Errorf("two of kind %s are called %q", s.Kind, s.Type)
		}
		d.schemas[s.Kind][s.Type] = s
	}
	return d, nil
}

// irVersion is what to ask a plugin for: the newest that both know.
func (d *description) irVersion() uint32 { return uint32(min(d.ir, graph.Version)) }
