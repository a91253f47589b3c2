package norm

import (
	"fmt"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
)

// ChunkRows is the number of rows that are summed in float32.
const ChunkRows = 128

// Matrix is rows of a matrix, LD elements apart.
type Matrix struct {
	Data []float32
	LD   int
}

// Workspace holds what one thread needs. Its buffer grows with the first
// calls and is then kept. The zero value is ready to use.
type Workspace struct{ partial, columns []float32 }

// Columns is memory for n columns, for the caller.
func (ws *Workspace) Columns(n int) []float32 {
	if cap(ws.columns) < n {
		ws.columns = make([]float32, n)
	}
	return ws.columns[:n]
}

// sums are two accumulators of n columns, zeroed.
func (ws *Workspace) sums(n int) (a, b []float32) {
	if cap(ws.partial) < 2*n {
		ws.partial = make([]float32, 2*n)
	}
	p := ws.partial[:2*n]
	clear(p)
	return p[:n], p[n:]
}

// Kernels normalize on one instruction set. The number of columns is the
// length of the per-column arguments.
type Kernels struct {
	Level isa.Level
	f     *functions
}

// For returns the kernels of a level, or the best ones below it that the
// build has.
func For(level isa.Level) *Kernels { return &Kernels{Level: level, f: functionsFor(level)} }

// Moments adds to sum and squares, for each column, the sums over rows of
// x - pivot and of its square. A pivot near the mean keeps the variance exact.
func (k *Kernels) Moments(sum, squares []float64, x Matrix, rows int, pivot []float32, ws *Workspace) {
	cols := len(pivot)
	x.check("x", rows, cols)
	sum, squares = sum[:cols], squares[:cols]
	if cols == 0 {
		return
	}
	for i := 0; i < rows; i += ChunkRows {
		s, q := ws.sums(cols)
		k.f.moments(s, q, pivot, x.from(i), min(ChunkRows, rows-i))
		addTo(sum, s)
		addTo(squares, q)
	}
}

// GradMoments adds to sum and products, for each column, the sums over rows
// of dy and of dy*(x-mean). With y, the output of the relu that follows the
// normalization, dy counts where y > 0.
func (k *Kernels) GradMoments(sum, products []float64, dy, x Matrix, y *Matrix, rows int, mean []float32, ws *Workspace) {
	cols := len(mean)
	dy.check("dy", rows, cols)
	x.check("x", rows, cols)
	sum, products = sum[:cols], products[:cols]
	if y != nil {
		y.check("y", rows, cols)
	}
	if cols == 0 {
		return
	}
	for i := 0; i < rows; i += ChunkRows {
		s, p := ws.sums(cols)
		n := min(ChunkRows, rows-i)
		if y == nil {
			k.f.gradMoments(s, p, mean, dy.from(i), x.from(i), n)
		} else {
			k.f.gradMomentsReLU(s, p, mean, dy.from(i), x.from(i), y.from(i), n)
		}
		addTo(sum, s)
		addTo(products, p)
	}
}

func (m Matrix) from(row int) Matrix { return Matrix{m.Data[row*m.LD:], m.LD} }

func (m Matrix) check(name string, rows, cols int) {
	if rows > 0 && cols > 0 && (m.LD < cols || len(m.Data) < (rows-1)*m.LD+cols) {
		panic(fmt.Sprintf("norm: %s of %d elements has no %d rows of %d, %d apart", name, len(m.Data), rows, cols, m.LD))
	}
}

func addTo(sum []float64, part []float32) {
	for i, v := range part {
		sum[i] += float64(v)
	}
}
