package cpu

import (
	"unsafe"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/norm"
	"github.com/hone-ml/hone/sdk/graph"
)

// The sums of batch normalization over all rows of a matrix of pixels by
// channels are kernels; what is left of it are elementwise ops, which join the
// loops around them.

// maskMoments lets the sums of a gradient that passed a relu read it from
// before the relu, so that what the relu lets pass need not be in memory.
func (r *rewriter) maskMoments() {
	users := map[graph.ValueID][]int{}
	for i := range r.out.Nodes {
		for _, a := range r.out.Nodes[i].Args {
			users[a] = append(users[a], i)
		}
	}
	for _, res := range r.out.Results {
		users[res.Value] = append(users[res.Value], -1)
	}
	for i := range r.out.Nodes {
		n := &r.out.Nodes[i]
		if k := nativeNode(n); k == nil || k.name != gradientMoments || len(n.Args) != 3 {
			continue
		}
		masked := n.Args[0]
		d, y, ok := r.passedRelu(masked)
		if !ok {
			continue
		}
		// Worth it where only loops read the masked gradient, and the other is
		// in memory anyway.
		if k := r.def[d]; k >= 0 && r.out.Nodes[k].Op.Def().Class == graph.Elementwise {
			continue
		}
		for _, u := range users[masked] {
			if u < 0 || u != i && r.out.Nodes[u].Op.Def().Class != graph.Elementwise {
				ok = false
			}
		}
		if ok {
			n.Args = []graph.ValueID{d, n.Args[1], n.Args[2], y}
		}
	}
}

// passedRelu takes select(y > 0, d, 0) apart.
func (r *rewriter) passedRelu(v graph.ValueID) (d, y graph.ValueID, ok bool) {
	s := r.maker(v, graph.OpSelect)
	if s == nil || !r.isLiteral(s.Args[2], 0) {
		return 0, 0, false
	}
	c := r.maker(s.Args[0], graph.OpCompare)
	if c == nil || c.Attrs.(*graph.CompareAttrs).Direction != graph.Gt || !r.isLiteral(c.Args[1], 0) {
		return 0, 0, false
	}
	return s.Args[1], c.Args[0], true
}

// isLiteral reports whether v is a known number, repeated or not.
func (r *rewriter) isLiteral(v graph.ValueID, want float64) bool {
	if b := r.maker(v, graph.OpBroadcast); b != nil {
		v = b.Args[0]
	}
	c := r.consts[v]
	return c != nil && c.Len() == 1 && c.Float(0) == want
}

// buildMoments and buildGradientMoments add up what the kinds of those names say.
func buildMoments(c *nodeContext) {
	rows, channels := rowsAndColumns(c.in[0])
	c.flops = 3 * int64(c.in[0].numel())
	c.sumRows(rows, channels, func(x *execution, sum, products []float64, r0, r1, c0, c1 int, ws *norm.Workspace) {
		m := matrixAt(x, c.in[0], channels, r0, c0)
		pivot := pivots(m0(x, c.in[0], channels, c0), rows, ws.Columns(c1-c0))
		c.l.b.norm.Moments(sum, products, m, r1-r0, pivot, ws)
	}, func(x *execution, sum, products []float64, c0, c1 int, ws *norm.Workspace) {
		pivot := pivots(m0(x, c.in[0], channels, c0), rows, ws.Columns(c1-c0))
		norm.Statistics(at[float32](x, c.out[0])[c0:c1], at[float32](x, c.out[1])[c0:c1], sum, products, pivot, rows)
	})
}

func buildGradientMoments(c *nodeContext) {
	rows, channels := rowsAndColumns(c.in[0])
	c.flops = 4 * int64(c.in[0].numel())
	c.sumRows(rows, channels, func(x *execution, sum, products []float64, r0, r1, c0, c1 int, ws *norm.Workspace) {
		var mask *norm.Matrix
		if len(c.in) == 4 {
			y := matrixAt(x, c.in[3], channels, r0, c0)
			mask = &y
		}
		c.l.b.norm.GradMoments(sum, products, matrixAt(x, c.in[0], channels, r0, c0), matrixAt(x, c.in[1], channels, r0, c0), mask, r1-r0, at[float32](x, c.in[2])[c0:c1], ws)
	}, func(x *execution, sum, products []float64, c0, c1 int, _ *norm.Workspace) {
		s, p := at[float32](x, c.out[0]), at[float32](x, c.out[1])
		for i := c0; i < c1; i++ {
			s[i], p[i] = float32(sum[i-c0]), float32(products[i-c0])
		}
	})
}

// matrixAt is the part of a matrix of channels columns from (row, column) on.
func matrixAt(x *execution, t tensorAt, channels, row, column int) norm.Matrix {
	return norm.Matrix{Data: at[float32](x, t)[row*channels+column:], LD: channels}
}

func m0(x *execution, t tensorAt, channels, column int) norm.Matrix {
	if t.numel() == 0 {
		return norm.Matrix{}
	}
	return matrixAt(x, t, channels, 0, column)
}

// pivots averages some rows from all over the matrix, so that variances are
// taken of numbers near their mean.
func pivots(m norm.Matrix, rows int, out []float32) []float32 {
	clear(out)
	n := min(rows, 32)
	for i := range n {
		row := m.Data[i*rows/n*m.LD:][:len(out)]
		for j, v := range row {
			out[j] += v
		}
	}
	for j := range out {
		out[j] /= float32(max(n, 1))
	}
	return out
}

// sumColumns is the number of channels that are summed together.
const sumColumns = 512

// sumRows adds up two sums over the rows of each channel in pieces that the
// shape alone decides, and gives what finish makes of the totals.
func (c *nodeContext) sumRows(rows, channels int, part func(x *execution, sum, products []float64, r0, r1, c0, c1 int, ws *norm.Workspace), finish func(x *execution, sum, products []float64, c0, c1 int, ws *norm.Workspace)) {
	width := min(channels, sumColumns)
	across := (channels + width - 1) / width
	// Pieces of whole chunks, of some 32 Ki elements and no more than 64.
	step := max(1, (1<<15)/(width*norm.ChunkRows), (rows+64*norm.ChunkRows-1)/(64*norm.ChunkRows)) * norm.ChunkRows
	down := max(1, (rows+step-1)/step)
	sums := c.scratch(2 * down * channels * 8)
	// Of each piece the sums of all channels, then their products.
	partial := func(x *execution, i, c0, c1 int) (sum, products []float64) {
		p := unsafe.Slice((*float64)(x.ptr(sums)), 2*down*channels)[2*i*channels:]
		return p[c0:c1], p[channels+c0 : channels+c1]
	}
	c.add(func(x *execution, tid, threads int) {
		lo, hi := span(down*across, 1, tid, threads)
		for u := lo; u < hi; u++ {
			i, c0 := u%down, u/down*width
			c1 := min(c0+width, channels)
			sum, products := partial(x, i, c0, c1)
			clear(sum)
			clear(products)
			if rows > 0 {
				part(x, sum, products, i*step, min((i+1)*step, rows), c0, c1, &x.threads[tid].norm)
			}
		}
	})
	c.add(func(x *execution, tid, threads int) {
		c0, c1 := span(channels, 16, tid, threads)
		if c0 >= c1 {
			return
		}
		sum, products := partial(x, 0, c0, c1)
		for i := 1; i < down; i++ {
			s, p := partial(x, i, c0, c1)
			for j := range sum {
				sum[j] += s[j]
				products[j] += p[j]
			}
		}
		finish(x, sum, products, c0, c1, &x.threads[tid].norm)
	})
}
