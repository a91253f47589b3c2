// Package plugin is the host's side of plugins: it finds their binaries, runs
// them, asks them for schemas and traced graphs, checks what they answer, and
// stops them.
//
// How the host uses it:
//
//	h, err := plugin.New(plugin.Options{Builtin: bundle, Plugins: sources, Log: log})
//	defer h.Close()
//	schema, err := h.Component(ctx, sdk.LayerKind, plugin.Ref{Type: "dense"})   // arguments, for decoding HCL
//	m, err := h.TraceLayer(ctx, ref, config, []graph.Type{x})                   // functions "layer", linked
//	m, err = h.TraceOptimizer(ctx, ref, config, paramType)                      // functions "init", "update", ...
//	h.Close()                                                                   // before the first step
//
// Every Trace method returns a verified module in which nothing is left open:
// component-valued arguments (an activation, an initializer) have been traced,
// wherever they come from, and linked. The names of the functions are those that
// package sdk gives for each kind. Modules are cached and shared: Clone before
// editing (Module.Merge does).
//
// An error is always a diag.Diagnostic or diag.Diagnostics; Path holds the
// argument at fault, below the component, such as kernel_initializer.gain. The
// package knows nothing of HCL, models or training.
//
// Start reading at Host (host.go), then trace.go and link.go for what is asked,
// process.go and runner.go for how processes live and die, check.go for what an
// answer must satisfy.
package plugin
