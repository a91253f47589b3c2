// Package philox makes random bits with Philox4x32-10, a keyed function of a
// counter: whoever knows the key and the index of an element knows its bits,
// on every processor and however the work is split.
//
// It knows neither seeds nor distributions beyond a uniform one. Start with Block, the function itself; Kernels apply it to ranges.
// All variants give the same bits.
//
// Reference: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
// 1, 2, 3", SC11.
package philox
