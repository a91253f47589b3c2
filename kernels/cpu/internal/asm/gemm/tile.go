package gemm

import "unsafe"

// tile is the argument of the microkernels: count tiles of C, below one
// another, each of a fixed number of rows and one panel of columns.
//
//	for each of count tiles:
//		c = C if flags&1 else 0
//		for each of taps: for each of k:
//			c[i,j] += a[tab[tap] + i*aRow + k*aK] * b[j]; b += bK
//		C = epilogue(c)
//		a += aStep; C += cStep
//
// The taps let a convolution add up its filter's positions, each somewhere
// else in the image, without leaving the registers. All distances are in
// bytes. The generator knows the offsets of the fields.
type tile struct {
	a, b, c      unsafe.Pointer
	aRow, aK     int
	bK           int
	ldc          int
	k            int
	taps         int
	tab          *int
	count        int // consumed
	aStep, cStep int
	bias         unsafe.Pointer
	mask         uintptr
	flags        int
	aOff, cOff   int            // consumed: bytes to the current tile
	pack         unsafe.Pointer // where packing tiles write their panel of B
}

const (
	flagAccumulate = 1
	flagReLU       = 2
)

// tiles are the microkernels of an instruction set.
type tiles struct {
	rows, lanes, cols int // most rows; lanes of a vector; columns of a panel

	full [15]func(*tile) // by rows: two vectors of columns
	two  [15]func(*tile) // two vectors, the second with a mask
	one  [15]func(*tile) // one vector with a mask
	wide [4][]wide       // by rows, the widest first

	// Full, of the heights that many rows are split into, by the number of rows left
	// out: packing B on the way, and for both operands packed.
	pack, deep [3]func(*tile)

	mask      func(lanes int) uintptr
	copyPanel func(dst, src *float32, srcRow, k int)
	zeros     zeros
}

// wide is a microkernel of few rows, which takes more columns at once to have
// enough chains of multiply-adds.
type wide struct {
	cols   int
	kernel func(*tile)
}

// pick returns the kernel for a tile of rows x cols, at most a panel, and the
// mask it needs. deep says that both operands are packed.
func (ts *tiles) pick(rows, cols int, deep bool) (func(*tile), uintptr) {
	switch {
	case deep && cols == ts.cols && ts.rows-rows < len(ts.deep):
		return ts.deep[ts.rows-rows], 0
	case cols == ts.cols:
		return ts.full[rows], ts.mask(ts.lanes)
	case cols > ts.lanes:
		return ts.two[rows], ts.mask(cols - ts.lanes)
	}
	return ts.one[rows], ts.mask(cols)
}
