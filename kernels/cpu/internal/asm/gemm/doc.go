// Package gemm multiplies float32 matrices, whole or by ranges of rows and
// columns, and packs operands that are used again.
//
// It knows row-major memory, not tensors, plans or threads. Start with Op,
// then Kernels.Run; tile is what the assembly does.
package gemm
