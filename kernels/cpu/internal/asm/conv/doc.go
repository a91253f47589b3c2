// Package conv computes convolutions on images in NHWC order, by ranges of
// rows and channels: forward, and the gradients of the image and the filter.
//
// It knows views of float32 memory; padding is the caller's: an image comes
// with its border of zeros, in a buffer that Pad fills or in which the layer
// before has written its result. It must not know the graph or threads. Start
// with Geometry, then Kernels.
//
// There is no im2col: the taps of the filter are offsets that the
// microkernels of package gemm add up without leaving the registers. Strides
// in the gradient of the image become one dense convolution per phase.
//
// Each result is a chain in a fixed order of taps and channels (of rows and
// columns of the image for the gradient of the filter), so ranges never
// change bits.
package conv
