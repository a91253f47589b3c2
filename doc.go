// Package hone is the root of a model-optimization host: it trains, prunes,
// fine-tunes and tunes deep-learning models whose layers, optimizers, schedules
// and data transforms come from out-of-process plugins.
//
// The packages to import are host (the Go API), sdk (what a plugin author
// needs), sdk/graph (the intermediate representation), kernels (what a backend
// is) and modelfmt (the checkpoint format). The command is cmd/hone. The
// picture of the whole is docs/architecture.md.
package hone
