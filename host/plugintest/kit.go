package plugintest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hone-ml/hone/host/internal/autodiff"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

type (
	// Config holds arguments by name: bool, int, float64, string, a slice of
	// such, nil, or a Component. A string where a component is wanted names its type.
	Config = plugin.Config
	// Component is a component given as an argument.
	Component = plugin.Component
	// Ref names a component's type; that of a plugin under test has no prefix.
	Ref = plugin.Ref
)

// Kit is a host with plugins served in the test's process.
type Kit struct {
	t    testing.TB
	host *plugin.Host
	name string // local name of the plugin whose types are traced; "" for those linked in
}

// New serves the plugins until the test ends. All their types are known without
// a prefix, so that a component may use those of the others.
func New(t testing.TB, plugins ...sdk.Plugin) *Kit {
	t.Helper()
	return Serve(t, sdk.Bundle{Plugins: plugins})
}

// Serve is New for a bundle, whose plugins run in processes of their own where
// TestMain has called sdk.Main.
func Serve(t testing.TB, b sdk.Bundle) *Kit {
	t.Helper()
	h, err := plugin.New(plugin.Options{Builtin: b})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Kit{t: t, host: h}
}

// Binary serves a plugin from its binary, in a process of its own, under a local
// name. Types to trace are that plugin's; arguments may name those of the bundle.
func Binary(t testing.TB, name, path string, b sdk.Bundle) *Kit {
	t.Helper()
	h, err := plugin.New(plugin.Options{Builtin: b, Plugins: []plugin.Source{{Name: name, Path: path}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Kit{t: t, host: h, name: name}
}

// Has reports whether the plugin has a component.
func (k *Kit) Has(kind sdk.Kind, typ string) bool {
	_, err := k.host.Component(k.t.Context(), kind, Ref{Plugin: k.name, Type: typ})
	return err == nil
}

// Trace traces a component as the host does; inputs are, in order, a layer's
// inputs; output and target of a loss or metric; the parameter of an
// initializer, regularizer, constraint or optimizer; none for a schedule.
func (k *Kit) Trace(kind sdk.Kind, typ string, c Config, inputs ...graph.Type) (*graph.Module, error) {
	ctx, ref := k.t.Context(), Ref{Plugin: k.name, Type: typ}
	want := map[sdk.Kind]int{sdk.LossKind: 2, sdk.MetricKind: 2, sdk.InitializerKind: 1, sdk.RegularizerKind: 1, sdk.ConstraintKind: 1, sdk.OptimizerKind: 1, sdk.ScheduleKind: 0}
	if n, ok := want[kind]; ok && len(inputs) != n {
		return nil, fmt.Errorf("a %s is traced for %d types, got %d", kind, n, len(inputs))
	}
	switch kind {
	case sdk.LayerKind:
		return k.host.TraceLayer(ctx, ref, c, inputs)
	case sdk.LossKind:
		return k.host.TraceLoss(ctx, ref, c, inputs[0], inputs[1])
	case sdk.MetricKind:
		return k.host.TraceMetric(ctx, ref, c, inputs[0], inputs[1])
	case sdk.InitializerKind:
		return k.host.TraceInitializer(ctx, ref, c, inputs[0], nil)
	case sdk.RegularizerKind:
		return k.host.TraceRegularizer(ctx, ref, c, inputs[0], nil)
	case sdk.ConstraintKind:
		return k.host.TraceConstraint(ctx, ref, c, inputs[0], nil)
	case sdk.OptimizerKind:
		return k.host.TraceOptimizer(ctx, ref, c, inputs[0])
	case sdk.ScheduleKind:
		return k.host.TraceSchedule(ctx, ref, c)
	}
	return nil, fmt.Errorf("a %s cannot be traced by the kit", kind)
}

// MustTrace is Trace for tests in which it succeeds.
func (k *Kit) MustTrace(kind sdk.Kind, typ string, c Config, inputs ...graph.Type) *graph.Module {
	k.t.Helper()
	m, err := k.Trace(kind, typ, c, inputs...)
	if err != nil {
		k.t.Fatal(err)
	}
	return m
}

// Values are arguments or results of a function, by name. An argument may be
// told from one of the same name by its role: "input:total", "hyper:momentum".
type Values map[string]*graph.Tensor

// of returns the value of a parameter. Hypers go by role and name alone, since
// optimizers like to call slots after them.
func (v Values) of(p graph.Param) *graph.Tensor {
	if t := v[p.Role.String()+":"+p.Name]; t != nil || p.Role == graph.HyperRole {
		return t
	}
	return v[p.Name]
}

// Run applies a function of a traced module. Hypers that are absent from the
// arguments have the values of the configuration, keys are drawn from the
// seed 0, the step is 0 and the examples are numbered from 0.
func (k *Kit) Run(m *graph.Module, function string, mode graph.Mode, args Values) Values {
	k.t.Helper()
	f := m.Resolve(function, mode)
	if f == nil {
		k.t.Fatalf("there is no function %q for mode %v", function, mode)
	}
	out := k.eval(m, f, mode, args, nil)
	results := Values{}
	for i, r := range f.Results {
		results[r.Name] = out[i]
	}
	return results
}

// Gradient returns the gradients of the sum of outputs times cotangents with
// respect to the arguments named.
func (k *Kit) Gradient(m *graph.Module, function string, mode graph.Mode, args, cotangents Values, wrt ...string) Values {
	k.t.Helper()
	f := m.Resolve(function, mode)
	if f == nil {
		k.t.Fatalf("there is no function %q for mode %v", function, mode)
	}
	m = m.Clone()
	var params, results []int
	for _, name := range wrt {
		i := slices.IndexFunc(f.Params, func(p graph.Param) bool { return p.Name == name })
		if i < 0 {
			k.t.Fatalf("%q has no parameter %q", function, name)
		}
		params = append(params, i)
	}
	var seeds []*graph.Tensor
	for i, r := range f.Results {
		if c, ok := cotangents[r.Name]; ok {
			results, seeds = append(results, i), append(seeds, c)
		}
	}
	g, err := autodiff.VJP(m, f, params, results)
	if err != nil {
		k.t.Fatal(err)
	}
	out := k.eval(m, g, mode, args, seeds)
	grads := Values{}
	for i, name := range wrt {
		grads[name] = out[len(f.Results)+i]
	}
	return grads
}

// eval runs f; its last parameters are the seeds, the others go by name.
func (k *Kit) eval(m *graph.Module, f *graph.Func, mode graph.Mode, args Values, seeds []*graph.Tensor) []*graph.Tensor {
	k.t.Helper()
	batch := int64(1)
	for _, p := range f.Params {
		if v := args.of(p); v != nil && len(p.Type.Shape) > 0 && p.Type.Shape[0] == graph.Batch {
			batch = v.Shape[0]
		}
	}
	in := make([]*graph.Tensor, len(f.Params))
	for i, p := range f.Params {
		switch v := args.of(p); {
		case i >= len(f.Params)-len(seeds):
			in[i] = seeds[i-(len(f.Params)-len(seeds))]
		case v != nil:
			in[i] = v
		case p.Role == graph.HyperRole:
			in[i] = graph.ScalarOf(graph.F32, p.Decl.Default)
		case p.Role == graph.KeyRole:
			key := graph.NewTensor(graph.U64)
			key.SetInt(0, int64(graph.DeriveKey(0, p.Name, 0)))
			in[i] = key
		case p.Role == graph.StepRole:
			in[i] = graph.NewTensor(graph.U64)
		case p.Role == graph.IndexRole:
			in[i] = graph.NewTensor(graph.I64, batch)
			for j := range int(batch) {
				in[i].SetInt(j, int64(j))
			}
		default:
			k.t.Fatalf("%q needs the %v %q, %v", f.Name, p.Role, p.Name, p.Type)
		}
	}
	out, err := reference.Eval(k.t.Context(), m, f.Name, kernels.Options{Mode: mode, Symbols: map[string]int64{graph.BatchSymbol: batch}}, in...)
	if err != nil {
		k.t.Fatal(err)
	}
	return out
}
