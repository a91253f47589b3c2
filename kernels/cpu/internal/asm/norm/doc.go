// Package norm computes what batch normalization sums over rows for each
// column, such as a channel of pixels: the moments, and those of the gradient.
//
// It knows rows and columns of float32, not images, layers or running
// averages. Start with Kernels.
//
// Sums are made of chunks of 128 rows in float32, each a chain in the order
// of the rows, added up in float64: a range of columns has the bits of the
// whole, and so has a range of rows that begins at a multiple of 128, if the
// sums of ranges are then added in order.
package norm
