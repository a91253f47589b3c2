package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Opaque lists the opaque components that a module computes with, each once.
func Opaque(m *graph.Module) []Ref {
	var out []Ref
	eachOpaque(m, func(a *graph.OpaqueAttrs) {
		if name, _, err := sdk.SplitOpaque(a.Component); err == nil && !slices.Contains(out, opaqueRef(name)) {
			out = append(out, opaqueRef(name))
		}
	})
	return out
}

// opaqueRef reads what Ref.String writes.
func opaqueRef(name string) Ref {
	if plugin, typ, ok := strings.Cut(name, "."); ok {
		return Ref{plugin, typ}
	}
	return Ref{Type: name}
}

func eachOpaque(m *graph.Module, f func(a *graph.OpaqueAttrs)) {
	for _, fn := range m.Funcs {
		for i := range fn.Nodes {
			if a, ok := fn.Nodes[i].Attrs.(*graph.OpaqueAttrs); ok {
				f(a)
			}
		}
	}
}

// qualify puts the plugin's name before its opaque components in a module that
// it has traced. Those of other plugins it can only have from what it was supplied.
func (t *tracing) qualify(m *graph.Module, d *description) error {
	of := Ref{Plugin: t.in.name}
	if t.in.linked != nil {
		of.Plugin = ""
	}
	name := func(s string) (string, error) {
		if s == "" || slices.Contains(t.foreign, s) {
			return s, nil
		}
		own, ok := strings.CutPrefix(s, sdk.OwnOpaque)
		typ, _, err := sdk.SplitOpaque(own)
		if !ok || err != nil || d.schemas[sdk.OpaqueKind][typ] == nil {
			return "", fmt.Errorf("it names the opaque component %q, which the plugin does not have", clean(s, 200))
		}
		return Ref{of.Plugin, own}.String(), nil
	}
	for _, fn := range m.Funcs {
		for i := range fn.Nodes {
			a, ok := fn.Nodes[i].Attrs.(*graph.OpaqueAttrs)
			if !ok {
				continue
			}
			c := *a
			var err error
			if c.Component, err = name(a.Component); err == nil {
				c.Gradient, err = name(a.Gradient)
			}
			if err != nil {
				return err
			}
			fn.Nodes[i].Attrs = &c
		}
	}
	return nil
}

// supplied notes the opaque components of a module given to the plugin.
func (t *tracing) supplied(m *graph.Module) {
	eachOpaque(m, func(a *graph.OpaqueAttrs) { t.foreign = append(t.foreign, a.Component, a.Gradient) })
}

// Call computes an opaque component in its plugin's process, which lives until
// the host is closed: *Host is a kernels.OpaqueCaller. A process that ends
// meanwhile is started again and asked once more, since the component is a
// function of its operands; a second end is the component's mistake.
func (h *Host) Call(ctx context.Context, a *graph.OpaqueAttrs, in, out []kernels.View) error {
	name, gradientOf, err := sdk.SplitOpaque(a.Component)
	if err != nil {
		return err
	}
	ref := opaqueRef(name)
	p, err := h.find(sdk.OpaqueKind, ref)
	if err != nil {
		return err
	}
	req := &pluginpb.ComputeRequest{Type: ref.Type, Config: a.Config, GradientOf: uint32(gradientOf)}
	total := int64(0)
	for _, v := range in {
		req.Arrays = append(req.Arrays, &pluginpb.Array{Type: sdk.TypeProto(graph.T(v.DType, v.Shape...)), Data: v.Data})
		total += int64(len(v.Data))
	}
	answer := int64(0)
	for _, v := range out {
		req.Results = append(req.Results, sdk.TypeProto(graph.T(v.DType, v.Shape...)))
		answer += int64(len(v.Data))
	}
	const room = sdk.MaxMessageBytes - 1<<20
	if n := max(total, answer); n > room {
		return diag.Errorf("opaque_size", "the opaque component %q takes or gives %d MiB a batch, and a message has %d at most", name, n>>20, room>>20).
			Hint("Make the batch smaller.")
	}
	what := fmt.Sprintf("computing the opaque component %q", ref.Type)
	if gradientOf > 0 {
		what = fmt.Sprintf("computing the gradient of the opaque component %q", ref.Type)
	}
	compute := func() (*pluginpb.ComputeResponse, error) {
		return callWithin(ctx, p, h.o.ComputeTimeout, what, func(c pluginpb.PluginClient, ctx context.Context, r *pluginpb.ComputeRequest) (*pluginpb.ComputeResponse, error) {
			return c.(pluginpb.OpaquesClient).Compute(ctx, r)
		}, req)
	}
	resp, err := compute()
	if d, ok := err.(diag.Diagnostic); ok && d.Code == "plugin_died" && ctx.Err() == nil {
		h.o.Log.Warn().Str("plugin", p.name).Msg(d.Summary + "; it is started again")
		resp, err = compute()
		if d, ok := err.(diag.Diagnostic); ok && d.Code == "plugin_died" {
			return d.Hint("%s\nIt was started again, and ended again on the same batch. Report it to the plugin's author with that batch.", d.Detail)
		}
	}
	if err != nil {
		return err
	}
	if len(resp.Results) != len(out) {
		return fmt.Errorf("the plugin %q answers %d results and not %d while %s", p.name, len(resp.Results), len(out), what)
	}
	for i, data := range resp.Results {
		if len(data) != len(out[i].Data) {
			return fmt.Errorf("the plugin %q answers %d bytes and not %d as result %d while %s", p.name, len(data), len(out[i].Data), i, what)
		}
		copy(out[i].Data, data)
	}
	return nil
}
