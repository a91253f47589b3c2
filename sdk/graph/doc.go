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
// its shape rule (infer.go). The meaning of each op is fixed by SPEC.md.
//
// A module has two forms, both read and written through the one attribute codec
// of codec.go: text ([Module.String], [ParseText]) and protobuf ([Marshal],
// [Unmarshal]). Its identity is [Digest], taken of the canonical form in
// canon.go. What comes from elsewhere goes through [Verify] with [Limits], and
// [Demote] takes hone's names from composites that do not deserve them.
//
// The package knows nothing of training, of plugins or of any backend.
package graph
