// Package norm normalizes columns over rows, as batch normalization does with
// the channels of pixels, and computes its gradient.
//
// It knows rows and columns of float32, not images, layers or running
// averages. Start with Kernels; the formulas of the coefficients are in
// coefficients.go.
//
// Sums are made of chunks of 128 rows in float32, each a chain in the order
// of the rows, added up in float64: a range of columns has the bits of the
// whole, and so has a range of rows that begins at a multiple of 128, if the
// sums of ranges are then added in order.
package norm
