// Package asm is the root of the CPU backend's lowest layer: arithmetic over
// ranges of flat memory, each kernel in portable Go with assembly twins.
//
//	isa     which variant of the kernels runs: portable, avx2, avx512
//	gemm    matrix products, packed or not, with epilogues
//	vec     elementwise maps, reductions, softmax, conversions
//	philox  counter-based random bits and dropout masks
//	optim   optimizer steps
//	conv    convolution, depthwise convolution and pooling of NHWC images
//	norm    batch normalization
//	fpenv   flushing of denormal numbers
//	preempt where the garbage collector can stop a loop of calls
//
// Every package has a Kernels struct of functions and a For that returns the
// one of a level; nothing is selected behind the caller's back and nothing is
// kept in global variables. The portable functions say what a kernel means;
// the tests hold all variants to them and to float64 loops. The build tag
// noasm, and every processor but amd64, leaves the portable ones alone.
//
// The kernels know slices, strides and ranges. They must not know the graph,
// the plan or threads: a caller splits the work and calls from as many
// goroutines as it likes, each with its own Workspace where one is asked for.
// Splits never change bits, as each function says.
//
// A call into assembly lasts at most some tens of microseconds, and between
// two calls there is a stack check, so that the garbage collector is not kept
// waiting: see package preempt.
//
// The assembly is written by the generator in kernels/cpu/asmgen, a module of
// its own.
package asm

//go:generate go -C ../../asmgen run .
