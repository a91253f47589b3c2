package cpu

import (
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/vec"
	"github.com/hone-ml/hone/sdk/graph"
)

// Softmax and its cross entropy with labels, row by row.

// statsRows is the number of rows for which a thread keeps a maximum and a sum.
const statsRows = 64

// byRows adds an instruction that computes rows lo to hi of the first operand,
// columns numbers each; most and sums are scratch.
func (c *nodeContext) byRows(f func(x *execution, lo, hi, columns int, most, sums []float32)) {
	rows, columns := rowsAndColumns(c.in[0])
	c.flops = 4 * int64(c.in[0].numel())
	c.addParts(c.share(rows, max(1, 2048/max(columns, 1))), func(x *execution, tid, lo, hi int) {
		s := &x.threads[tid].stats
		for ; lo < hi; lo += statsRows {
			f(x, lo, min(lo+statsRows, hi), columns, s[:statsRows], s[statsRows:])
		}
	})
}

func buildSoftmax(c *nodeContext) {
	k := c.l.b.vec
	c.byRows(func(x *execution, lo, hi, n int, most, sums []float32) {
		k.Softmax(at[float32](x, c.out[0])[lo*n:], n, at[float32](x, c.in[0])[lo*n:], n, hi-lo, n, most, sums)
	})
}

func buildLogSoftmax(c *nodeContext) {
	k := c.l.b.vec
	c.byRows(func(x *execution, lo, hi, n int, most, sums []float32) {
		k.LogSoftmax(at[float32](x, c.out[0])[lo*n:], n, at[float32](x, c.in[0])[lo*n:], n, hi-lo, n, most, sums)
	})
}

func buildCrossEntropy(c *nodeContext) {
	if c.in[1].dtype == graph.I64 {
		crossEntropy[int64](c)
	} else {
		crossEntropy[int32](c)
	}
}

func crossEntropy[L int32 | int64](c *nodeContext) {
	k := c.l.b.vec
	c.byRows(func(x *execution, lo, hi, n int, most, sums []float32) {
		vec.CrossEntropy(k, at[float32](x, c.out[0])[lo:], at[float32](x, c.in[0])[lo*n:], n, hi-lo, n, at[L](x, c.in[1])[lo:], most, sums)
	})
}

func buildCrossEntropyGrad(c *nodeContext) {
	if c.in[1].dtype == graph.I64 {
		crossEntropyGrad[int64](c)
	} else {
		crossEntropyGrad[int32](c)
	}
}

func crossEntropyGrad[L int32 | int64](c *nodeContext) {
	k := c.l.b.vec
	c.byRows(func(x *execution, lo, hi, n int, most, sums []float32) {
		vec.CrossEntropyGrad(k, at[float32](x, c.out[0])[lo*n:], n, at[float32](x, c.in[0])[lo*n:], n, hi-lo, n, at[L](x, c.in[1])[lo:], at[float32](x, c.in[2])[lo:], most, sums)
	})
}
