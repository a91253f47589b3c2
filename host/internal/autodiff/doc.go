// Package autodiff differentiates graph functions in reverse mode.
//
// [Gradient] derives, from a function with a scalar result, one that also gives
// the gradient of that result with respect to some parameters; [VJP] does the
// same for results of any shape and gradients given for them. What they make is
// an ordinary function of the module: shapes stay expressions over operand
// dimensions, so it is as valid for other batch sizes as the function it came
// from, and it can be differentiated again.
//
// Reading starts at tape.go: a [tape] replays the function into a builder,
// notes which nodes depend on what is differentiated, and walks them backwards.
// The rule of each op hangs in the table of rules.go; a test fails where an op
// has none. Composites of hone and of plugins may bring their own gradient;
// others are differentiated through their bodies, as are calls.
//
// The package knows the graph alone, neither training nor backends.
package autodiff
