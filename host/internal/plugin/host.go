package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Ref names a component's type: a built-in, or that of the plugin with a local name.
type Ref struct {
	Plugin string // "" for a built-in
	Type   string
}

// String spells the type as users do: dense, acme.swish.
func (r Ref) String() string {
	if r.Plugin == "" {
		return r.Type
	}
	return r.Plugin + "." + r.Type
}

// Source is a plugin that the user requires.
type Source struct {
	Name    string // local name
	Address string // where it comes from, such as github.com/acme/hone-layers; for messages and pins
	Path    string // of the binary
	// SHA256 pins the binary, in hexadecimal; "" takes what is there.
	SHA256 string
}

// Options configure a Host. Zero fields take the defaults given.
type Options struct {
	// Builtin are the plugins linked into this binary; their types need no prefix.
	Builtin sdk.Bundle
	// Plugins are the user's.
	Plugins []Source
	// Forbid refuses to start any process and to serve any plugin.
	Forbid bool
	// Log takes what plugins log. The zero Logger discards it.
	Log zerolog.Logger
	// StartTimeout bounds the time from starting a binary to its handshake.
	// Default 10 s.
	StartTimeout time.Duration
	// CallTimeout bounds each call. Default 30 s.
	CallTimeout time.Duration
	// ComputeTimeout bounds each call of an opaque component. Default 10 min.
	ComputeTimeout time.Duration
	// Limits bound the modules that plugins answer with.
	Limits graph.Limits
}

// Host runs plugins and asks them. Its methods may be called from several
// goroutines.
type Host struct {
	o       Options
	plugins map[string]*instance              // by local name; built-ins by "builtin NAME"
	builtin map[sdk.Kind]map[string]*instance // which built-in plugin has a type

	mu     sync.Mutex
	closed bool
	cache  map[string]*graph.Module
}

// New returns a host. It starts nothing: plugins start when they are first asked.
func New(o Options) (*Host, error) {
	if o.StartTimeout == 0 {
		o.StartTimeout = 10 * time.Second
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = 30 * time.Second
	}
	if o.ComputeTimeout == 0 {
		o.ComputeTimeout = 10 * time.Minute
	}
	h := &Host{o: o, plugins: map[string]*instance{}, builtin: map[sdk.Kind]map[string]*instance{}, cache: map[string]*graph.Module{}}
	for _, s := range o.Plugins {
		if h.plugins[s.Name] != nil {
			return nil, diag.Errorf("plugin_duplicate", "two plugins have the local name %q", s.Name).
				Hint("Give one of them another name in required_plugins.")
		}
		h.plugins[s.Name] = &instance{host: h, name: s.Name, source: s}
	}
	for i := range o.Builtin.Plugins {
		p := &o.Builtin.Plugins[i]
		in := &instance{host: h, name: p.Name, linked: p}
		types, err := p.Types()
		if err != nil {
			return nil, fmt.Errorf("a plugin linked into this binary is malformed: %w", err)
		}
		for kind, names := range types {
			if h.builtin[kind] == nil {
				h.builtin[kind] = map[string]*instance{}
			}
			for _, t := range names {
				if o := h.builtin[kind][t]; o != nil {
					return nil, fmt.Errorf("the linked plugins %s and %s both have the %s %q", o.name, p.Name, kind, t)
				}
				h.builtin[kind][t] = in
			}
		}
		h.plugins["builtin "+p.Name] = in
	}
	return h, nil
}

// find returns the plugin that serves a type.
func (h *Host) find(kind sdk.Kind, ref Ref) (*instance, error) {
	if ref.Plugin != "" {
		if in := h.plugins[ref.Plugin]; in != nil {
			return in, nil
		}
		names := make([]string, 0, len(h.o.Plugins))
		for _, s := range h.o.Plugins {
			names = append(names, s.Name)
		}
		return nil, diag.Errorf("unknown_plugin", "the spec requires no plugin called %q", ref.Plugin).
			Hint("%sAdd %s = { source = \"...\" } to required_plugins.", diag.DidYouMean(ref.Plugin, names), ref.Plugin)
	}
	if in := h.builtin[kind][ref.Type]; in != nil {
		return in, nil
	}
	return nil, unknownType(kind, ref, keys(h.builtin[kind]))
}

func unknownType(kind sdk.Kind, ref Ref, have []string) diag.Diagnostic {
	d := diag.Errorf("unknown_"+string(kind), "there is no %s %q", kind, ref.String())
	if len(have) == 0 {
		return d.Hint("No plugin at hand has components of that kind.")
	}
	return d.Hint("%sThose known are %s.", diag.DidYouMean(ref.Type, have), listOf(have))
}

// Component returns the schema of a type.
func (h *Host) Component(ctx context.Context, kind sdk.Kind, ref Ref) (*Schema, error) {
	in, err := h.find(kind, ref)
	if err != nil {
		return nil, err
	}
	d, err := in.describe(ctx)
	if err != nil {
		return nil, err
	}
	if s := d.schemas[kind][ref.Type]; s != nil {
		return s, nil
	}
	return nil, unknownType(kind, ref, keys(d.schemas[kind]))
}

// Types lists the types of a kind: the built-ins, then those of each plugin,
// each in order. It starts the user's plugins.
func (h *Host) Types(ctx context.Context, kind sdk.Kind) ([]Ref, error) {
	var refs []Ref
	for _, t := range keys(h.builtin[kind]) {
		refs = append(refs, Ref{Type: t})
	}
	for _, s := range h.o.Plugins {
		d, err := h.plugins[s.Name].describe(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range keys(d.schemas[kind]) {
			refs = append(refs, Ref{s.Name, t})
		}
	}
	return refs, nil
}

// Info describes a plugin.
type Info struct {
	Name    string // local name; of a built-in its own
	Version string
	Source  Source // zero for a built-in
	SHA256  string // of the bytes executed; "" where the plugin is linked in
	Builtin bool
	// Needed says of a plugin of a model that the model does not run without it.
	Needed  bool
	Schemas []*Schema
}

// Plugins describes all plugins, built-ins first. It starts those of the user.
func (h *Host) Plugins(ctx context.Context) ([]Info, error) {
	var out []Info
	for _, name := range keys(h.plugins) {
		in := h.plugins[name]
		d, err := in.describe(ctx)
		if err != nil {
			return nil, err
		}
		i := Info{Name: in.name, Version: d.version, Source: in.source, SHA256: d.digest, Builtin: in.linked != nil}
		for _, kind := range sdk.Kinds() {
			for _, t := range keys(d.schemas[kind]) {
				i.Schemas = append(i.Schemas, d.schemas[kind][t])
			}
		}
		out = append(out, i)
	}
	slices.SortStableFunc(out, func(a, b Info) int {
		switch {
		case a.Builtin == b.Builtin:
			return 0
		case a.Builtin:
			return -1
		}
		return 1
	})
	return out, nil
}

// Pin returns what identifies the plugin that serves a type: its name, version
// and digest, for a checkpoint to record. Schemas are nil.
func (h *Host) Pin(ctx context.Context, kind sdk.Kind, ref Ref) (Info, error) {
	in, err := h.find(kind, ref)
	if err != nil {
		return Info{}, err
	}
	d, err := in.describe(ctx)
	if err != nil {
		return Info{}, err
	}
	return Info{Name: in.name, Version: d.version, Source: in.source, SHA256: d.digest, Builtin: in.linked != nil}, nil
}

// Close stops every plugin: when it returns, no process of theirs is left. What
// has been traced stays available, anything else fails from then on. Closing
// twice is harmless.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	var wg sync.WaitGroup
	errs := make([]error, len(h.plugins))
	for i, name := range keys(h.plugins) {
		wg.Go(func() { errs[i] = h.plugins[name].close() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// mayStart says why no plugin may be started now, if so.
func (h *Host) mayStart(in *instance) error {
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	switch {
	case closed:
		return diag.Errorf("plugin_stopped", "the plugin %q is needed after all plugins were stopped", in.name).
			Hint("This is a mistake in hone; please report it with the spec.")
	case h.o.Forbid:
		return diag.Errorf("plugin_forbidden", "the plugin %q is needed, but plugins are forbidden", in.name).
			Hint("What is stored in a checkpoint needs none; allow plugins to trace something new.")
	case os.Getenv(sdk.ChildEnv) != "":
		return diag.Errorf("plugin_nested", "a plugin tries to start the plugin %q", in.name).
			Hint("Plugins start no plugins. A component uses another one through a component-valued argument.")
	}
	return nil
}
