// Package optim updates parameters from gradients: the elementwise steps of
// the optimizers, with Keras's formulas, over flat ranges.
//
// It knows neither schedules nor parameter groups: rates and corrections come
// as numbers. Start with Kernels; portable.go is the meaning. Splitting a
// range never changes bits, and the assembly variants agree to the bit; the
// portable one rounds products and sums separately.
package optim
