package host

import (
	"context"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// Inspect reads the data, traces every component and compiles the training
// step, without running it.
func (p *Project) Inspect(ctx context.Context) (*Inspection, error) {
	be, err := p.o.backend()
	if err != nil {
		return nil, err
	}
	defer closeBackend(be)
	var seed uint64
	if p.spec.Train != nil && p.spec.Train.Seed != nil {
		seed = *p.spec.Train.Seed
	}
	pre, diags := p.prepare(ctx, be, seed, false)
	if diags.HasErrors() {
		return nil, diags
	}
	defer pre.parts.Close()
	in := &Inspection{
		Model: pre.model.Name, Layers: pre.assembly.Layers, Signature: signatureOf(pre.assembly.Program, pre.binding),
		Examples: map[string]int{}, Module: pre.assembly.Program.Module, Warnings: diags,
	}
	in.Parameters, in.NonTrainable = countParams(pre.assembly.Program)
	if pre.parts.Train != nil {
		in.Examples["train"] = pre.parts.Train.Rows()
	}
	if pre.parts.Validation != nil {
		in.Examples["validation"] = pre.parts.Validation.Rows()
	}
	if pre.parts.Test != nil {
		in.Examples["test"] = pre.parts.Test.Rows()
	}
	if p.spec.Train == nil || pre.assembly.Program.Optimizer == nil {
		return in, nil
	}
	a, ds := arraysOf(ctx, pre.binding, pre.assembly.Program, pre.parts, "train", pre.parts.Train)
	if ds.HasErrors() {
		return nil, ds
	}
	in.Batch = int64(p.spec.Train.BatchSize)
	if in.Batch == 0 {
		in.Batch = DefaultBatchSize
	}
	runs, h, err := computed(be, pre.assembly.Program.Module, false, p.plugins)
	if err != nil {
		return nil, diag.From(err)
	}
	if h != nil {
		defer h.Close()
	}
	t, err := train.New(ctx, pre.assembly.Program, train.Config{
		Backend: runs, Reference: reference.New(), BatchSize: in.Batch, Memory: p.o.Memory,
		Step: train.StepConfig{ClipNorm: p.spec.Train.ClipNorm, ClipValue: p.spec.Train.ClipValue, Frozen: pre.assembly.Frozen},
	})
	if err != nil {
		return nil, diag.From(err)
	}
	defer t.Close()
	if err := t.SetData(a); err != nil {
		return nil, diag.From(err)
	}
	if in.Plan, err = t.Compile(ctx); err != nil {
		return nil, diag.From(err)
	}
	return in, nil
}

// PluginInfo describes a plugin and its components.
type PluginInfo = plugin.Info

// ListPlugins describes the built-in plugins and those given in the options.
func ListPlugins(ctx context.Context, o Options) ([]PluginInfo, error) {
	po := plugin.Options{Builtin: o.Builtin, Log: o.Log}
	for _, name := range sortedKeys(o.Plugins) {
		po.Plugins = append(po.Plugins, plugin.Source{Name: name, Address: o.Plugins[name], Path: o.Plugins[name]})
	}
	h, err := plugin.New(po)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Plugins(ctx)
}

// OpSupport is one row of the table of ops by backend.
type OpSupport struct {
	Op      string
	Support map[string]kernels.Support // by backend
}

// Ops returns how every backend runs every primitive.
func Ops(backends []kernels.Backend) []OpSupport {
	var out []OpSupport
	for _, op := range graph.Ops() {
		row := OpSupport{Op: op.String(), Support: map[string]kernels.Support{}}
		for _, b := range backends {
			row.Support[b.Name()] = b.Support(op, "")
		}
		out = append(out, row)
	}
	return out
}
