package vec

import "fmt"

// Softmax writes exp(x - max) / sum of each row of cols elements; rows are
// xLD and dstLD apart. most and sums, of rows elements each, receive the
// maximum of each row and the sum of the exponentials.
func (k *Kernels) Softmax(dst []float32, dstLD int, x []float32, xLD, rows, cols int, most, sums []float32) {
	checkRows("dst", dst, dstLD, rows, cols)
	checkRows("x", x, xLD, rows, cols)
	if rows > 0 && cols > 0 {
		k.softmaxRows(dst, x, most[:rows], sums[:rows], rows, cols, dstLD, xLD)
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

// CrossEntropy writes the cross entropy of each row's softmax against its label:
//
//	loss[i] = log(sum over j of exp(x[i,j])) - x[i,label[i]]
//
// A label that is no column gives 0. most and sums are scratch of rows elements.
func CrossEntropy[L int32 | int64](k *Kernels, loss, x []float32, xLD, rows, cols int, labels []L, most, sums []float32) {
	checkRows("x", x, xLD, rows, cols)
	loss, labels = loss[:rows], labels[:rows]
	if rows == 0 || cols == 0 {
		clear(loss)
		return
	}
	k.rowStats(x, most[:rows], sums[:rows], rows, cols, xLD)
	k.Log(sums[:rows], sums)
	for i, l := range labels {
		loss[i] = 0
		if column(l, cols) {
			loss[i] = (most[i] - x[i*xLD+int(l)]) + sums[i]
		}
	}
}

// CrossEntropyGrad writes what CrossEntropy gives the rows of the gradient d of
// the losses:
//
//	grad[i,j] = d[i] * (softmax(x)[i,j] - (1 if j == label[i] else 0))
//
// A label that is no column gives 0. grad may be x.
func CrossEntropyGrad[L int32 | int64](k *Kernels, grad []float32, gradLD int, x []float32, xLD, rows, cols int, labels []L, d, most, sums []float32) {
	k.Softmax(grad, gradLD, x, xLD, rows, cols, most, sums)
	if cols == 0 {
		return
	}
	for i, l := range labels[:rows] {
		row, scale := grad[i*gradLD:][:cols], float32(0)
		if column(l, cols) {
			row[l]--
			scale = d[i]
		}
		if cols > 16 {
			k.MulScalar(row, row, scale)
			continue
		}
		for j := range row { // a call would take longer
			row[j] *= scale
		}
	}
}

func column[L int32 | int64](l L, cols int) bool { return l >= 0 && int64(l) < int64(cols) }

// shortRow is the length of the longest rows that are reduced without a call each.
const shortRow = 32

// RowSums writes the Sum of each row of cols elements.
func (k *Kernels) RowSums(dst, x []float32, rows, cols int) {
	k.reduceRows(dst, x, rows, cols, k.sumShortRows, k.Sum)
}

// RowMaxima writes the MaxOf of each row of cols elements.
func (k *Kernels) RowMaxima(dst, x []float32, rows, cols int) {
	k.reduceRows(dst, x, rows, cols, k.maxShortRows, k.MaxOf)
}

func (k *Kernels) reduceRows(dst, x []float32, rows, cols int, short func(dst, x []float32, rows, cols int), long Reduce) {
	checkRows("x", x, cols, rows, cols)
	dst = dst[:rows]
	if cols > 0 && cols <= shortRow && rows > 0 {
		short(dst, x, rows, cols)
		return
	}
	for i := range dst {
		dst[i] = long(x[i*cols:][:cols])
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

func checkRows[T any](name string, s []T, ld, rows, cols int) {
	if rows < 0 || cols < 0 || rows > 0 && cols > 0 && (ld < cols || len(s) < (rows-1)*ld+cols) {
		panic(fmt.Sprintf("vec: %s of %d elements has no %d rows of %d, %d apart", name, len(s), rows, cols, ld))
	}
}
