// Package cpu is the fast backend for processors: Go and Go assembly, no cgo.
//
// Compile lowers a flat function to a program, an array of instructions over
// slots of memory (lower.go): loops, in which chains of elementwise ops run
// together over blocks that stay in the first-level cache (loop.go), matrix
// products, and kernels for everything else. One team of threads runs a whole
// program, each its fixed part of every instruction, with a barrier only where
// one reads what others wrote (team.go); no memory is allocated while it runs.
// Where a network is computed on a batch, threads own rows of it through all its
// layers (rows.go), and rows of the weights from the gradient to the update
// (group.go), so that they seldom meet.
// The split of work never decides bits: a result does not depend on the number
// of threads.
//
// The package knows graphs and memory; it knows nothing of training. Start with
// New (backend.go), then lower.go.
package cpu
