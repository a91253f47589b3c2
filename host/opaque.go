package host

import (
	"context"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// A model with opaque components needs their plugins while it runs: they compute
// in processes of their own, which live as long as the run or the opened model.

// computing is a backend whose executables have their opaque calls computed by
// plugins.
type computing struct {
	kernels.Backend
	by kernels.OpaqueCaller
}

// Compile gives every compilation the plugins.
func (c computing) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	o.Opaque = c.by
	return c.Backend.Compile(ctx, m, entry, o)
}

// computed returns the backend on which to run a module, and the plugins that
// compute its opaque components, to be closed; nil where it has none. start is
// asked for them.
func computed(be kernels.Backend, m *graph.Module, forbidden bool, start func() (*plugin.Host, error)) (kernels.Backend, *plugin.Host, error) {
	refs := plugin.Opaque(m)
	if len(refs) == 0 {
		return be, nil, nil
	}
	var names []string
	for _, r := range refs {
		names = append(names, r.String())
	}
	if forbidden {
		return nil, nil, diag.Errorf("opaque_plugin", "the model computes with %s outside the graph, and plugins are forbidden", strings.Join(names, ", ")).
			Hint("Allow plugins: this model is one of the few that need theirs to run. A component that is traced needs none.")
	}
	h, err := start()
	if err != nil {
		return nil, nil, err
	}
	return computing{be, h}, h, nil
}

// compute readies the backend of a run and starts the plugins that it needs, so
// that one which is missing or too old is found before the first step.
func (r *run) compute(ctx context.Context) (kernels.Backend, error) {
	be, h, err := computed(r.be, r.content.program.Module, r.p.o.NoPlugins, r.p.plugins)
	if err != nil || h == nil {
		return be, err
	}
	r.opaque = h
	for _, ref := range plugin.Opaque(r.content.program.Module) {
		if _, err := h.Component(ctx, sdk.OpaqueKind, ref); err != nil {
			return nil, err
		}
		info, err := h.Pin(ctx, sdk.OpaqueKind, ref)
		if err != nil {
			return nil, err
		}
		for _, pin := range r.content.plugins {
			if pin.Name == info.Name && pin.Builtin == info.Builtin && (pin.SHA256 != info.SHA256 || pin.Version != info.Version) {
				r.emit(WarningEvent{Diagnostics{diag.Warnf("opaque_plugin", "the plugin %q, which computes %s, is %s and not the %s that the model was made with", info.Name, ref, buildOf(info.Version, info.SHA256), buildOf(pin.Version, pin.SHA256)).
					Hint("The numbers may differ from those of an unbroken run.")}})
			}
		}
	}
	return be, nil
}

func buildOf(version, sha string) string {
	if len(sha) > 12 {
		return version + " (" + sha[:12] + ")"
	}
	return version
}

// compute readies the backend of an opened model. Plugins start when they are
// first needed.
func (m *Model) compute(o Options) (kernels.Backend, error) {
	var err error
	forbidden := o.NoPlugins
	start := func() (*plugin.Host, error) {
		p := plugin.Options{Builtin: o.Builtin, Forbid: forbidden, Log: o.Log}
		for _, pin := range m.s.plugins {
			if !pin.Needed || pin.Builtin {
				continue
			}
			path, ok := o.Plugins[pin.Name]
			if !ok {
				path, ok = installed(pin.Source)
			}
			if !ok && isLocal(pin.Source) {
				path = pin.Source
			}
			p.Plugins = append(p.Plugins, plugin.Source{Name: pin.Name, Address: pin.Source, Path: path})
		}
		return plugin.New(p)
	}
	// What is forbidden is refused when it is asked for: the rest of the model
	// can be looked at.
	be, h, err := computed(m.be, m.s.program.Module, false, start)
	m.opaque = h
	return be, err
}
