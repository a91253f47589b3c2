// Package passes rewrites flat functions before a backend lowers them: what is
// computed twice is computed once, what nobody reads is dropped, what is known
// is a constant, and where memory is short, values are computed again instead of
// being kept.
//
// A [Pass] takes a [Graph] and says what it did. [Run] applies several in order
// and returns their reports, which a backend puts into its plan beside those of
// its own passes; hone graph show --passes prints them. Every pass stands in a
// file of its own and can be applied alone.
//
// No pass but [FoldNorms] changes a bit of any result, so long as a backend's
// op gives the same bits for the same operands wherever it stands: Fold computes
// with the backend's own kernels, Algebra knows only rules that hold for every
// number including NaN and the zeros, and Recompute runs the same ops on the same
// operands again. FoldNorms multiplies the weights instead of the results, which
// rounds otherwise; its bound is stated there.
//
// The package knows nothing of any backend. Start reading at pass.go.
package passes
