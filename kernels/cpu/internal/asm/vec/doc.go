// Package vec computes over flat ranges of float32: elementwise maps,
// reductions, softmax, conversions.
//
// It knows slices and row strides, not tensors. Start with Kernels, whose
// fields are the kernels of one instruction set; portable.go says in plain Go
// what each means.
//
// # Bits
//
// A map treats its elements alike, so splitting a range never changes bits.
// The assembly variants agree with one another to the bit, everywhere. The
// portable variant agrees with them to the bit in arithmetic, comparison,
// selection, conversion, and sums and extremes of ranges, rows and columns; in
// the functions below it differs within their bounds.
//
// # Accuracy
//
// The assembly's largest errors, in units of the last place of the float32
// result, on normal numbers (the tests hold them):
//
//	exp 1.5, expm1 2, log 1.5, log1p 2.5, tanh 3, sigmoid 2.5, erf 2
//
// The portable variant rounds the float64 functions of package math: 0.51.
// Denormal results may be zero.
package vec
