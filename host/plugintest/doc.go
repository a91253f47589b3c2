// Package plugintest checks the components of a plugin in the test's own
// process, with the real host's code: the same protocol, the same verifier, the
// same linking, the reference backend for numbers.
//
//	func TestConformance(t *testing.T) {
//		plugintest.Conform(t, myPlugin, plugintest.Case{
//			Kind: sdk.LayerKind, Type: "swish",
//			Inputs: []graph.Type{{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}}},
//		})
//	}
//
// [Conform] is all that most tests need; [New] gives a [Kit] for tests of
// numbers: trace a component, [Kit.Run] its functions, take a [Kit.Gradient].
package plugintest
