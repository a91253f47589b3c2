//go:build amd64 && !noasm

package vec

import "github.com/hone-ml/hone/kernels/cpu/internal/asm/preempt"

// The functions below make kernels of assembly functions, called in chunks
// that take some microseconds.

// mapChunk is the number of elements of a call.
const mapChunk = 1 << 14

func vectorUnary(f func(dst, x *float32, n int)) Unary {
	return func(dst, x []float32) {
		x = x[:len(dst)]
		for len(dst) > 0 {
			preempt.Point()
			n := min(len(dst), mapChunk)
			f(&dst[0], &x[0], n)
			dst, x = dst[n:], x[n:]
		}
	}
}

func vectorBinary(f func(dst, x, y *float32, n int)) Binary {
	return func(dst, x, y []float32) {
		x, y = x[:len(dst)], y[:len(dst)]
		for len(dst) > 0 {
			preempt.Point()
			n := min(len(dst), mapChunk)
			f(&dst[0], &x[0], &y[0], n)
			dst, x, y = dst[n:], x[n:], y[n:]
		}
	}
}

func vectorChoice(f func(dst, x, y, a, b *float32, n int)) func(dst, x, y, a, b []float32) {
	return func(dst, x, y, a, b []float32) {
		n := len(dst)
		x, y, a, b = x[:n], y[:n], a[:n], b[:n]
		for i := 0; i < n; i += mapChunk {
			preempt.Point()
			f(&dst[i], &x[i], &y[i], &a[i], &b[i], min(n-i, mapChunk))
		}
	}
}

func vectorScalar(f func(dst, x *float32, n int, s float32)) Scalar {
	return func(dst, x []float32, s float32) {
		x = x[:len(dst)]
		for len(dst) > 0 {
			preempt.Point()
			n := min(len(dst), mapChunk)
			f(&dst[0], &x[0], n, s)
			dst, x = dst[n:], x[n:]
		}
	}
}

func vectorScalar2(f func(dst, x *float32, n int, a, b float32)) Scalar2 {
	return func(dst, x []float32, a, b float32) {
		x = x[:len(dst)]
		for len(dst) > 0 {
			preempt.Point()
			n := min(len(dst), mapChunk)
			f(&dst[0], &x[0], n, a, b)
			dst, x = dst[n:], x[n:]
		}
	}
}

func vectorReduce(f func(x *float32, n int) float32) Reduce {
	return func(x []float32) float32 {
		if len(x) == 0 {
			return 0
		}
		return f(&x[0], len(x))
	}
}

func vectorExtreme(f func(x *float32, n int) float32, identity float64, combine func(x, y float32) float32) Reduce {
	return func(x []float32) float32 {
		best := float32(identity)
		for len(x) > 0 {
			preempt.Point()
			n := min(len(x), mapChunk)
			best = combine(f(&x[0], n), best)
			x = x[n:]
		}
		return best
	}
}

// The conversions do whole vectors in assembly and leave the rest to the kernel
// of the level below, whose bits are the same.

func vectorConvert[D, S any](f func(dst *D, x *S, n int), rest func(dst []D, x []S), lanes int) func(dst []D, x []S) {
	return func(dst []D, x []S) {
		x = x[:len(dst)]
		for len(dst) >= lanes {
			preempt.Point()
			n := min(len(dst), mapChunk) / lanes * lanes
			f(&dst[0], &x[0], n)
			dst, x = dst[n:], x[n:]
		}
		rest(dst, x)
	}
}

func vectorCompare(f func(dst *uint8, x, y *float32, n int), rest Compare, lanes int) Compare {
	return func(dst []uint8, x, y []float32) {
		x, y = x[:len(dst)], y[:len(dst)]
		for len(dst) >= lanes {
			preempt.Point()
			n := min(len(dst), mapChunk) / lanes * lanes
			f(&dst[0], &x[0], &y[0], n)
			dst, x, y = dst[n:], x[n:], y[n:]
		}
		rest(dst, x, y)
	}
}

func vectorSelect(f func(dst *float32, cond *uint8, x, y *float32, n int), rest func(dst []float32, cond []uint8, x, y []float32), lanes int) func(dst []float32, cond []uint8, x, y []float32) {
	return func(dst []float32, cond []uint8, x, y []float32) {
		cond, x, y = cond[:len(dst)], x[:len(dst)], y[:len(dst)]
		for len(dst) >= lanes {
			preempt.Point()
			n := min(len(dst), mapChunk) / lanes * lanes
			f(&dst[0], &cond[0], &x[0], &y[0], n)
			dst, cond, x, y = dst[n:], cond[n:], x[n:], y[n:]
		}
		rest(dst, cond, x, y)
	}
}

func vectorSoftmax(f func(dst, x, most, sums *float32, rows, cols, dstStep, xStep int)) func(dst, x, most, sums []float32, rows, cols, dstLD, xLD int) {
	return func(dst, x, most, sums []float32, rows, cols, dstLD, xLD int) {
		step := max(1, mapChunk/cols)
		for i := 0; i < rows; i += step {
			preempt.Point()
			f(&dst[i*dstLD], &x[i*xLD], &most[i], &sums[i], min(step, rows-i), cols, 4*dstLD, 4*xLD)
		}
	}
}

func vectorStats(f func(x, most, sums *float32, rows, cols, xStep int)) func(x, most, sums []float32, rows, cols, xLD int) {
	return func(x, most, sums []float32, rows, cols, xLD int) {
		step := max(1, mapChunk/cols)
		for i := 0; i < rows; i += step {
			preempt.Point()
			f(&x[i*xLD], &most[i], &sums[i], min(step, rows-i), cols, 4*xLD)
		}
	}
}

func vectorShortRows(f func(dst, x *float32, rows, cols int)) func(dst, x []float32, rows, cols int) {
	return func(dst, x []float32, rows, cols int) {
		for i := 0; i < rows; i += mapChunk / shortRow {
			preempt.Point()
			f(&dst[i], &x[i*cols], min(mapChunk/shortRow, rows-i), cols)
		}
	}
}

func vectorColSums(f func(dst, x *float32, rows, cols, xStep int)) func(dst, x []float32, rows, ld int) {
	return func(dst, x []float32, rows, ld int) {
		f(&dst[0], &x[0], rows, len(dst), 4*ld)
	}
}

// vectorTranspose transposes bands of 16 rows, which are whole lines of dst, a
// block of columns at a time.
func vectorTranspose(dst []float32, dstLD int, src []float32, srcLD, rows, cols int) {
	const block = 256
	wholeRows, wholeCols := rows&^7, cols&^7
	for i := 0; i < wholeRows; i += 16 {
		for j := 0; j < wholeCols; j += block {
			preempt.Point()
			band := transpose16
			if i+16 > wholeRows {
				band = transpose8
			}
			band(&dst[j*dstLD+i], 4*dstLD, &src[i*srcLD+j], 4*srcLD, min(block, wholeCols-j))
		}
	}
	for i := range rows {
		from := wholeCols
		if i >= wholeRows {
			from = 0
		}
		for j := from; j < cols; j++ {
			dst[j*dstLD+i] = src[i*srcLD+j]
		}
	}
}
