// Package layers is hone's first-party plugin of layers, activations,
// initializers, regularizers, constraints, losses and metrics. Names, arguments,
// defaults and formulas are those of Keras 3; where a number of Keras is an
// approximation (the area under a curve), the exact one is computed.
//
// It is an ordinary plugin: it imports the SDK alone, and hone knows nothing of
// it beyond the protocol. Start reading at Plugin (plugin.go), then dense.go.
package layers
