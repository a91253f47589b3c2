package gemm

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// Layout says which operands are stored transposed.
type Layout int

const (
	NN Layout = iota // A is M x K, B is K x N
	TN               // A is stored K x M
	NT               // B is stored N x K
)

// Op is a matrix product with its epilogue:
//
//	C[i,j] = act(C0 + sum over k of A[i,k]*B[k,j] + Bias[j])
//
// where C0 is C[i,j] with Accumulate and zero without it. All matrices are
// row-major; LDA, LDB and LDC are the distances between stored rows in
// elements.
type Op struct {
	Layout  Layout
	M, N, K int

	A   []float32
	LDA int

	// B, or BPacked as PackB made it, in which case B, LDB and the B side of
	// Layout are not used.
	B       []float32
	LDB     int
	BPacked []float32

	C   []float32
	LDC int

	Accumulate bool
	Bias       []float32 // of N elements, or nil
	ReLU       bool

	// Zeros, where the left operand may be mostly zeros: then it is looked at.
	Zeros *Zeros
}

// Workspace holds what one thread needs while it multiplies. Its buffers grow
// with the first calls and are then kept. The zero value is ready to use.
type Workspace struct {
	t    tile
	zero [1]int // the tap table of a plain product
	a, b []float32

	// What is not zero of A: bits, or indices and their number by rows.
	bits, index, counts []uint32
}

// Kernels multiplies on one instruction set.
type Kernels struct {
	tiles  *tiles // nil: portable
	level  isa.Level
	blockK int // steps of k between two visits of C
	blockM int // rows of A kept in the second-level cache
	blockN int // columns of B packed at once
	deepK  int // blockK and blockM where both operands are packed
	deepM  int
}

// For returns the kernels of a level, or the best ones below it that the
// build has.
func For(level isa.Level) *Kernels { return forLevel(level) }

// PanelWidth is the number of columns of a packed panel: with BPacked, ranges
// of columns start at a multiple of it.
func (k *Kernels) PanelWidth() int {
	if k.tiles == nil {
		return 1
	}
	return k.tiles.cols
}

// TileRows is the largest number of rows that the kernels compute at once;
// ranges of a multiple of it waste nothing.
func (k *Kernels) TileRows() int {
	if k.tiles == nil {
		return 1
	}
	return k.tiles.rows
}

// Run computes rows m0 to m1 and columns n0 to n1 of C. Within a variant the
// bits of an element depend neither on the range nor on packing nor on the
// shape of the tiles: it is one chain over k, of fused multiply-adds in the
// assembly variants and of multiplications and additions in the portable one.
//
// Sizes and strides that do not fit the slices panic, as an index would.
func (k *Kernels) Run(op *Op, m0, m1, n0, n1 int, ws *Workspace) {
	op.check(k, m0, m1, n0, n1)
	if m0 == m1 || n0 == n1 {
		return
	}
	if k.tiles == nil || op.K == 0 {
		runPortable(op, m0, m1, n0, n1)
		return
	}
	k.tiles.run(k, op, m0, m1, n0, n1, ws)
}

func (op *Op) check(k *Kernels, m0, m1, n0, n1 int) {
	if m0 < 0 || m1 < m0 || op.M < m1 || n0 < 0 || n1 < n0 || op.N < n1 || op.K < 0 {
		panic(fmt.Sprintf("gemm: range [%d:%d, %d:%d] of a %dx%dx%d product", m0, m1, n0, n1, op.M, op.N, op.K))
	}
	aRows, aCols, bRows, bCols := op.M, op.K, op.K, op.N
	if op.Layout == TN {
		aRows, aCols = aCols, aRows
	}
	if op.Layout == NT {
		bRows, bCols = bCols, bRows
	}
	checkMatrix("A", len(op.A), aRows, aCols, op.LDA)
	checkMatrix("C", len(op.C), op.M, op.N, op.LDC)
	if op.BPacked == nil {
		checkMatrix("B", len(op.B), bRows, bCols, op.LDB)
	} else if need := k.PackedLen(op.K, op.N); len(op.BPacked) < need || n0%k.PanelWidth() != 0 {
		panic(fmt.Sprintf("gemm: packed B of %d elements for %d, columns from %d with panels of %d", len(op.BPacked), need, n0, k.PanelWidth()))
	}
	if op.Bias != nil && len(op.Bias) < op.N {
		panic(fmt.Sprintf("gemm: bias of %d elements for %d columns", len(op.Bias), op.N))
	}
}

func checkMatrix(name string, length, rows, cols, ld int) {
	if rows > 0 && cols > 0 && (ld < cols || length < (rows-1)*ld+cols) {
		panic(fmt.Sprintf("gemm: %s of %d elements is no %dx%d matrix with rows %d apart", name, length, rows, cols, ld))
	}
}

// PackedLen is the length of a packed K x N matrix B.
func (k *Kernels) PackedLen(K, N int) int {
	w := k.PanelWidth()
	return (N + w - 1) / w * w * K
}

// PackB writes columns n0 to n1 of the K x N matrix B into dst, a buffer of
// PackedLen, in the order in which Run reads them. transposed says that B is
// stored N x K. n0 is a multiple of PanelWidth, so that threads can share the
// work.
func (k *Kernels) PackB(dst, b []float32, ldb int, transposed bool, K, N, n0, n1 int) {
	w := k.PanelWidth()
	if n0 < 0 || n1 < n0 || N < n1 || n0%w != 0 || len(dst) < k.PackedLen(K, N) {
		panic(fmt.Sprintf("gemm: packing columns [%d:%d] of a %dx%d matrix, panels of %d, into %d elements", n0, n1, K, N, w, len(dst)))
	}
	rows, cols := K, N
	if transposed {
		rows, cols = N, K
	}
	checkMatrix("B", len(b), rows, cols, ldb)
	if K == 0 {
		return
	}
	for j := n0; j < n1; j += w {
		if k.tiles == nil {
			packColumnPortable(dst[j*K:], b, ldb, transposed, K, j)
		} else {
			k.tiles.packPanel(dst[j*K:], b, ldb, transposed, 0, K, j, min(j+w, n1))
		}
	}
}
