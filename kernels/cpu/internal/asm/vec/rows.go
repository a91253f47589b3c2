package vec

import (
	"fmt"
	"math"
)

// Softmax writes exp(x - max) / sum of each row of cols elements; rows are
// xLD and dstLD apart. most and sums, of rows elements each, receive the
// maximum of each row and the sum of the exponentials.
func (k *Kernels) Softmax(dst []float32, dstLD int, x []float32, xLD, rows, cols int, most, sums []float32) {
	checkRows("dst", dst, dstLD, rows, cols)
	checkRows("x", x, xLD, rows, cols)
	if rows > 0 && cols > 0 {
		k.softmaxRows(dst, x, most[:rows], sums[:rows], rows, cols, dstLD, xLD, 1)
	}
}

// LogSoftmax writes x - max - log(sum); the arguments are those of Softmax,
// and sums receives the logarithms.
func (k *Kernels) LogSoftmax(dst []float32, dstLD int, x []float32, xLD, rows, cols int, most, sums []float32) {
	checkRows("dst", dst, dstLD, rows, cols)
	checkRows("x", x, xLD, rows, cols)
	if rows == 0 || cols == 0 {
		return
	}
	k.rowStats(x, most[:rows], sums[:rows], rows, cols, xLD)
	k.Log(sums[:rows], sums)
	for i := range rows {
		k.SubTwo(dst[i*dstLD:][:cols], x[i*xLD:], most[i], sums[i])
	}
}

// CrossEntropy is the softmax cross entropy of rows of logits against integer
// labels, with its gradient:
//
//	loss[i] = log(sum over j of exp(x[i,j])) - x[i,label[i]]
//	grad[i,j] = scale * (softmax(x)[i,j] - (1 if j == label[i] else 0))
//
// grad may be the logits, or nil for the loss alone. A label that is no
// column makes the loss of its row NaN and leaves the gradient of no class
// reduced. most and sums are scratch of rows elements.
func CrossEntropy[L int32 | int64 | uint8](k *Kernels, loss []float32, grad []float32, gradLD int, x []float32, xLD, rows, cols int, labels []L, scale float32, most, sums []float32) {
	checkRows("x", x, xLD, rows, cols)
	if rows == 0 || cols == 0 {
		return
	}
	loss, labels, most, sums = loss[:rows], labels[:rows], most[:rows], sums[:rows]
	for i, l := range labels {
		loss[i] = float32(math.NaN())
		if int64(l) >= 0 && int64(l) < int64(cols) {
			loss[i] = x[i*xLD+int(l)]
		}
	}
	if grad == nil {
		k.rowStats(x, most, sums, rows, cols, xLD)
	} else {
		checkRows("grad", grad, gradLD, rows, cols)
		k.softmaxRows(grad, x, most, sums, rows, cols, gradLD, xLD, scale)
		for i, l := range labels {
			if int64(l) >= 0 && int64(l) < int64(cols) {
				grad[i*gradLD+int(l)] -= scale
			}
		}
	}
	k.Log(sums, sums)
	for i, at := range loss {
		loss[i] = (most[i] - at) + sums[i]
	}
}

// ColSums writes, or with accumulate adds to dst, the sum of each column of x,
// rows of len(dst) elements xLD apart. Each is a chain in the order of the
// rows, whatever the range of columns.
func (k *Kernels) ColSums(dst, x []float32, xLD, rows int, accumulate bool) {
	checkRows("x", x, xLD, rows, len(dst))
	if !accumulate {
		clear(dst)
	}
	if len(dst) == 0 {
		return
	}
	// Short calls, for the garbage collector's sake.
	step := max(1, 1<<16/len(dst))
	for i := 0; i < rows; i += step {
		k.colSums(dst, x[i*xLD:], min(step, rows-i), xLD)
	}
}

// Transpose writes the transpose of the rows x cols matrix src into dst.
func (k *Kernels) Transpose(dst []float32, dstLD int, src []float32, srcLD, rows, cols int) {
	checkRows("src", src, srcLD, rows, cols)
	checkRows("dst", dst, dstLD, cols, rows)
	if rows > 0 && cols > 0 {
		k.transpose(dst, dstLD, src, srcLD, rows, cols)
	}
}

// Gather copies rows of cols elements of src, picked by index and srcLD
// apart, to dst, dstLD apart, times scale. An index that is no row of the
// rows src has is clamped.
func Gather[I int32 | int64](k *Kernels, dst []float32, dstLD int, src []float32, srcLD, srcRows, cols int, index []I, scale float32) {
	checkRows("src", src, srcLD, srcRows, cols)
	checkRows("dst", dst, dstLD, len(index), cols)
	for i, at := range index {
		row := src[clamp(at, srcRows)*srcLD:][:cols]
		out := dst[i*dstLD:][:cols]
		if scale == 1 {
			copy(out, row)
		} else {
			k.MulScalar(out, row, scale)
		}
	}
}

// GatherU8 is Gather from rows of bytes.
func GatherU8[I int32 | int64](k *Kernels, dst []float32, dstLD int, src []uint8, srcLD, srcRows, cols int, index []I, scale float32) {
	checkRows("src", src, srcLD, srcRows, cols)
	checkRows("dst", dst, dstLD, len(index), cols)
	for i, at := range index {
		k.FromU8(dst[i*dstLD:][:cols], src[clamp(at, srcRows)*srcLD:], scale)
	}
}

func clamp[I int32 | int64](i I, n int) int { return int(max(0, min(int64(i), int64(n)-1))) }

func checkRows[T any](name string, s []T, ld, rows, cols int) {
	if rows < 0 || cols < 0 || rows > 0 && cols > 0 && (ld < cols || len(s) < (rows-1)*ld+cols) {
		panic(fmt.Sprintf("vec: %s of %d elements has no %d rows of %d, %d apart", name, len(s), rows, cols, ld))
	}
}
