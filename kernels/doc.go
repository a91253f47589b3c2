// Package kernels defines what hone's backends are: a [Backend] compiles a
// function of a graph module for concrete sizes into an [Executable]; sessions
// of it run whole training steps over device values that live in a [Pool].
//
// Everything that crosses these interfaces is either data that can be
// serialized (modules, options, plans) or a [Handle], so that a backend may be
// another process. The package knows graphs and bytes; it knows nothing of
// training, plugins or checkpoints. The suite that every backend passes is in
// kernels/kerneltest; kernels/reference is the executable meaning of every op.
package kernels
