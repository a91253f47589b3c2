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
// # Arguments
//
// The fields of a component are its arguments. They are tagged
//
//	hone:"name,option,..." doc:"One sentence for users."
//
// and exactly one option of required, optional and default=V says what happens
// when the user leaves the argument out. The others:
//
//	min=N max=N      bounds of a number; above=N, below=N exclude the bound itself
//	enum=a|b|c       the words that a string may be
//	len=2, len=1..2  the length of a list; a single value stands for a list of one
//	runtime          a float that may change between steps without tracing anew:
//	                 the graph must take it with Hyper(name, field), never as a number
//	kind=K           the kind of a Component
//
// Types: bool, int, float64, string, slices of int, float64 and string, [Component],
// and pointers to scalars, which are nil where an optional argument is absent.
// Lists' defaults are separated by |. An embedded struct adds its fields.
//
// # Where to read on
//
// [Plugin] and [Serve]; [Layer] and the interfaces of the other kinds, each in a
// file of its own; [Component] for arguments that are themselves components. Optional powers are optional
// interfaces, found when the component is described: [MultiInput],
// [ExactMetric], [GlobalsOptimizer], [Perturber], [EvalParamser], [Differentiable], [Fitter], [Taker], [Validator].
//
// A component must be pure: the same arguments and types give the same graph.
// The host may trace it again at any time and relies on it; tests of the package
// host/plugintest find out where it does not hold.
package sdk
