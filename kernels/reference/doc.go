// Package reference is the executable meaning of every op of the IR: plain Go,
// one goroutine, float64 accumulators, one rounding to the result's type.
// The words are those of sdk/graph/SPEC.md; where another backend differs by more
// than the bounds given there, the other backend is wrong.
//
// [EvalOp] applies one op, [Eval] runs a function of a module, [Lockstep] runs
// one function on several replicas that meet at all_reduce, and [Backend] does
// the same behind the interfaces of package kernels. Start reading at table.go,
// which names the code of each op.
//
// Clarity goes before speed: the package is what others are compared with. It
// knows nothing of gradients, fusion or layout.
package reference
