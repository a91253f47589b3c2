// Package graph is hone's intermediate representation: what a plugin traces, a
// checkpoint stores and a backend compiles.
//
// A [Module] holds functions ([Func]) in typed static single assignment form.
// A function's signature is role-marked (input, param, state, slot, hyper, key,
// step, index); its body is a list of primitive ops ([Op]) and calls. Shapes
// hold [Dim]s, affine in named symbols, so that one module serves any batch
// size, and the targets of reshapes and broadcasts are expressions over operand
// dimensions ([DimExpr]), so that it survives losing channels.
//
// Start with [Builder] and [Value], with which authors write bodies; then the
// op table in ops.go, which declares every primitive with its attributes and
// its shape rule. The meaning of each op is fixed by SPEC.md.
//
// The package knows nothing of training, of plugins or of any backend.
package graph
