package host

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/feed"
	"github.com/hone-ml/hone/host/internal/module"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Project is a spec, ready to be validated and trained.
type Project struct {
	o    Options
	spec *spec.Spec
}

// Load reads the spec at path: a file, or a folder of *.hone.hcl files. The
// error is Diagnostics; Project.Sources has the texts they speak of even then.
func Load(path string, o Options) (*Project, error) {
	s, diags := spec.Load(path, o.specOptions())
	p := &Project{o: o, spec: s}
	return p, diags.Err()
}

// Sources returns the texts of the spec's files, for showing diagnostics.
func (p *Project) Sources() map[string][]byte {
	if p == nil || p.spec == nil {
		return nil
	}
	return p.spec.Texts()
}

// Name returns the name of the model that the spec trains.
func (p *Project) Name() string {
	if m := p.spec.TheModel(); m != nil {
		return m.Name
	}
	return ""
}

// plugins returns a plugin host for the spec's required plugins.
func (p *Project) plugins() (*plugin.Host, error) {
	o := plugin.Options{Builtin: p.o.Builtin, Forbid: p.o.NoPlugins, Log: p.o.Log}
	var diags diag.Diagnostics
	for _, r := range p.spec.Hone.Plugins {
		path, ok := p.o.Plugins[r.Name]
		if !ok && isLocal(r.Source) {
			path, ok = p.spec.Resolve(r.Source).Resolved, true
		}
		if !ok {
			path, ok = installed(r.Source)
		}
		if !ok {
			d := diag.Errorf("missing_plugin", "the plugin %q (%s) is not installed", r.Name, r.Source).
				Hint("Give its binary with --plugin %s=PATH, name a local path as its source, or put it where hone finds it: %s.", r.Name, installedPath(r.Source))
			if r.Range.File != "" {
				d = d.At(r.Range)
			}
			diags.Append(d)
			continue
		}
		o.Plugins = append(o.Plugins, plugin.Source{Name: r.Name, Address: r.Source, Path: path})
	}
	for name, path := range p.o.Plugins {
		if !slices.ContainsFunc(p.spec.Hone.Plugins, func(r spec.RequiredPlugin) bool { return r.Name == name }) {
			o.Plugins = append(o.Plugins, plugin.Source{Name: name, Address: path, Path: path})
		}
	}
	if err := diags.Err(); err != nil {
		return nil, err
	}
	return plugin.New(o)
}

func isLocal(source string) bool {
	return strings.HasPrefix(source, "./") || strings.HasPrefix(source, "../") || filepath.IsAbs(source)
}

// installedPath is where the binary of a plugin with that source address lies.
func installedPath(source string) string {
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = "."
	}
	return filepath.Join(dir, "hone", "plugins", filepath.FromSlash(source))
}

func installed(source string) (string, bool) {
	p := installedPath(source)
	info, err := os.Stat(p)
	return p, err == nil && info.Mode().IsRegular()
}

// prepared is a project with its data read and its model assembled.
type prepared struct {
	model    *spec.Model
	data     *spec.Data
	parts    *feed.Parts
	pipeline *prep.Pipeline
	binding  *feed.Binding
	assembly *module.Assembly
}

// prepare reads data, fits transforms on the training rows, and assembles the
// model. Every plugin has stopped when it returns. The caller closes the parts.
func (p *Project) prepare(ctx context.Context, be kernels.Backend, seed uint64, needTrain bool) (*prepared, diag.Diagnostics) {
	var diags diag.Diagnostics
	whole := false // all went well
	s := p.spec
	if needTrain && s.Train == nil {
		return nil, diag.Diagnostics{diag.Errorf("missing_train", "the spec has no train block").Hint("Add train { epochs = 5 ... } with a loss and an optimizer.")}
	}
	out := &prepared{model: s.TheModel(), data: s.TheData()}
	if out.model == nil {
		return nil, diag.Diagnostics{diag.Errorf("missing_model", "the spec has no model to take").Hint("Add a model block, or say which one: train { model = model.NAME }.")}
	}
	if out.data == nil {
		return nil, diag.Diagnostics{diag.Errorf("missing_data", "the spec has no data to take").Hint("Add a data block, or say which one: train { data = data.NAME }.")}
	}
	h, err := p.plugins()
	if err != nil {
		return nil, diag.From(err)
	}
	defer h.Close()
	if out.parts, diags = loadParts(ctx, p.o, out.data, seed); diags.HasErrors() {
		return nil, diags
	}
	defer func() {
		if !whole {
			_ = out.parts.Close()
		}
	}()
	if s.Train != nil && s.Train.ValidationSplit > 0 && out.parts.Validation == nil {
		if err := out.parts.Holdout(s.Train.ValidationSplit, seed); err != nil {
			return nil, append(diags, diag.From(err)...)
		}
	}
	targets := targetsOf(s)
	if len(out.data.Transforms) > 0 {
		var aside []string
		if out.data.Weight != "" {
			aside = []string{out.data.Weight}
		}
		names := feed.Targets(out.data, out.parts.Train.Schema(), targets)
		pipe, ds := prep.Fit(ctx, h, out.data.Transforms, out.parts.Train, prep.Options{
			Backend: be, Targets: names, Aside: aside, Numbers: feed.Numbers(out.model, out.data, out.parts, names), Seed: seed, ExactValues: p.o.exactValues(),
		})
		ds = out.parts.Explain("train", out.parts.Train.Rows(), ds)
		diags.Append(module.Locate(ds, out.data.Node, "data."+out.data.Name)...)
		if ds.HasErrors() {
			return nil, diags
		}
		out.pipeline = pipe
	}
	var columns *data.Table
	err = placeParts(ctx, p.o, out.pipeline, out.parts)
	if err == nil {
		columns, err = columnsOf(ctx, out.parts.Train)
	}
	if err != nil {
		return nil, append(diags, module.Locate(diag.From(err), out.data.Node, "data."+out.data.Name)...)
	}
	b, ds := feed.Bind(out.model, out.data, columns, targets)
	ds = out.parts.Explain("train", -1, ds)
	diags.Append(ds...)
	if diags.HasErrors() {
		return nil, diags
	}
	if out.pipeline != nil {
		for i := range b.Targets {
			if names := out.pipeline.Labels(b.Targets[i].Name); names != nil {
				b.Targets[i].Classes, b.Targets[i].Numbered = names, true
			}
		}
	}
	b.Reading = out.parts.Reading()
	out.binding = b
	types, order := b.TargetTypes()
	a, ds := module.Assemble(ctx, h, module.Request{Model: out.model, Train: s.Train, Inputs: b.InputTypes(), Targets: types, TargetOrder: order})
	diags.Append(ds...)
	if diags.HasErrors() {
		return nil, diags
	}
	out.assembly = a
	b.Choose(a.Program.Indices())
	if err := fitsMachine(a.Program, machineMemory()); err != nil {
		return nil, append(diags, module.Locate(diag.From(err), out.model.Node, "model."+out.model.Name)...)
	}
	if s.Train != nil && s.Train.EMA != nil {
		a.Program.EMA = s.Train.EMA.Decay
	}
	whole = true
	return out, diags
}

func targetsOf(s *spec.Spec) []string {
	var out []string
	if s.Train == nil {
		return nil
	}
	for _, l := range s.Train.Losses {
		if l.Target != "" && !slices.Contains(out, l.Target) {
			out = append(out, l.Target)
		}
	}
	for _, m := range s.Train.Metrics {
		if m.Target != "" && !slices.Contains(out, m.Target) {
			out = append(out, m.Target)
		}
	}
	return out
}

// Layer is one row of a model's table.
type Layer = module.LayerInfo

// Inspection is what validation finds out about a project.
type Inspection struct {
	Model     string
	Layers    []Layer
	Signature Signature
	// Parameters are trainable, NonTrainable all others and states.
	Parameters, NonTrainable int64
	// Plan is that of a training step on the backend, zero without a train block.
	Plan     kernels.Plan
	Batch    int64
	Examples map[string]int
	Module   *graph.Module
	Warnings Diagnostics
}
