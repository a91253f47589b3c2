// Package sdk is what the author of a hone plugin imports.
//
// A plugin offers components: layers, losses, metrics, initializers,
// regularizers, constraints, optimizers, schedules and transforms, and as the
// exception [Opaque] computations. A component
// is a struct whose tagged fields are its arguments and whose one method writes
// a graph; it never sees a tensor. The smallest plugin is
//
//	type Swish struct {
//		Beta float64 `hone:"beta,default=1" doc:"Steepness."`
//	}
//
//	func (s *Swish) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
//		return x.Mul(x.Times(s.Beta).Sigmoid())
//	}
//
//	func main() {
//		sdk.Serve(sdk.Plugin{Name: "acme", Version: "1.0.0", Layers: sdk.Layers{
//			"swish": func() sdk.Layer { return &Swish{} },
//		}})
//	}
//
// hone starts the plugin's process, asks it to trace the components that a
// model names, stops it before the first training step, and then
// differentiates, compiles and runs the graphs on its own kernels.
//
// Read next: [Plugin] and [Serve]; [Layer] and the interfaces of the other
// kinds, each in a file of its own; schema.go for the field tags; [Component]
// for arguments that are themselves components. Optional powers are optional
// interfaces, found when the component is described: [MultiInput],
// [ExactMetric], [GlobalsOptimizer], [Perturber], [EvalParamser], [Differentiable], [Fitter], [Taker], [Validator].
//
// A component must be pure: the same arguments and types give the same graph.
// The host may trace it again at any time and compares the answers.
package sdk
