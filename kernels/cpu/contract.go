package cpu

import (
	"fmt"
	"unsafe"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
	"github.com/hone-ml/hone/sdk/graph"
)

// buildDot multiplies matrices. The rewriter has put the axes in order: batch,
// then free and contracted in either order.
func buildDot(c *nodeContext, _ int) error {
	a := dotOfNode(c.n)
	left, right, dst := c.in[0], c.in[1], c.out[0]
	nb, nc := len(a.LeftBatch), len(a.LeftContract)
	batch, m, n, k := 1, 1, 1, 1
	for _, e := range left.shape[:nb] {
		batch *= e
	}
	for _, x := range a.LeftContract {
		k *= left.shape[x]
	}
	if batch > 0 && k > 0 {
		m = left.numel() / (batch * k)
		n = right.numel() / (batch * k)
	}
	tn := nc > 0 && int(a.LeftContract[0]) == nb && len(left.shape) > nb+nc
	nt := nc > 0 && len(right.shape) > nb+nc && int(a.RightContract[0]) == len(right.shape)-nc
	if dst.numel() == 0 {
		return nil
	}
	if left.numel() == 0 || right.numel() == 0 {
		c.add(func(x *execution, tid, _ int) {
			if tid == 0 {
				clear(unsafe.Slice((*byte)(x.ptr(dst.slot)), dst.numel()*dst.dtype.Size()))
			}
		})
		return nil
	}
	c.flops = 2 * int64(batch) * int64(m) * int64(n) * int64(k)
	if left.dtype == graph.F32 && dst.dtype == graph.F32 && (a.Accum == graph.Invalid || a.Accum == graph.F32) {
		if batch == 1 && n == 1 && tn {
			c.transposed(m, k)
			return nil
		}
		if k == 1 {
			// One row or one column lies alike either way.
			tn, nt = false, false
		}
		layout := gemm.NN
		op := gemm.Op{M: m, N: n, K: k, LDA: k, LDB: n, LDC: n}
		switch {
		case tn && nt:
			// Both stored the other way: compute the transpose of the left first.
			return c.dotTT(batch, m, n, k)
		case tn:
			layout, op.LDA = gemm.TN, m
		case nt:
			layout, op.LDB = gemm.NT, k
		}
		op.Layout = layout
		g := c.l.b.gemm
		if c.rows > 0 && c.l.inDepths(c.n) {
			c.inDepths(m, n, k)
			return nil
		}
		if _, epilogue := c.n.Attrs.(*dotAttrs); c.rows > 0 && nt && !epilogue && m <= n && 4*m*n <= turnedBytes {
			c.turned(m, n, k)
			return nil
		}
		if c.rows > 0 {
			kept := false
			zeros := c.zeros()
			c.addParts(c.share(m, 1), func(x *execution, tid, lo, hi int) {
				o := &x.threads[tid].product
				*o = op
				o.A, o.B, o.Zeros = at[float32](x, left), at[float32](x, right), zeros.of(tid)
				c.epilogue(x, o)
				if kept {
					o.A, o.M, o.C = o.A[lo:], hi-lo, f32s(unsafe.Pointer(&x.threads[tid].kept[0]), (hi-lo)*n)
					g.Run(o, 0, hi-lo, 0, n, &x.threads[tid].gemm)
					return
				}
				o.C = at[float32](x, dst)
				g.Run(o, lo, hi, 0, n, &x.threads[tid].gemm)
			})
			if tn {
				c.keep = func(s slot) { kept = s == dst.slot }
			}
			return nil
		}
		byColumns := n >= m
		c.add(func(x *execution, tid, threads int) {
			A, B, C := at[float32](x, left), at[float32](x, right), at[float32](x, dst)
			ws := &x.threads[tid].gemm
			if batch > 1 && batch >= threads {
				lo, hi := span(batch, 1, tid, threads)
				for i := lo; i < hi; i++ {
					o := op
					o.A, o.B, o.C = A[i*m*k:(i+1)*m*k], B[i*k*n:(i+1)*k*n], C[i*m*n:(i+1)*m*n]
					g.Run(&o, 0, m, 0, n, ws)
				}
				return
			}
			for i := range batch {
				o := op
				o.A, o.B, o.C = A[i*m*k:(i+1)*m*k], B[i*k*n:(i+1)*k*n], C[i*m*n:(i+1)*m*n]
				c.epilogue(x, &o)
				if byColumns {
					if lo, hi := span(n, 16, tid, threads); lo < hi {
						g.Run(&o, 0, m, lo, hi, ws)
					}
				} else if lo, hi := span(m, 6, tid, threads); lo < hi {
					g.Run(&o, lo, hi, 0, n, ws)
				}
			}
		})
		return nil
	}
	run, err := dotFunc(left.dtype, a, dst.dtype)
	if err != nil {
		return err
	}
	la := [2]int{k, 1}
	if tn {
		la = [2]int{1, m}
	}
	lb := [2]int{n, 1}
	if nt {
		lb = [2]int{1, k}
	}
	part := c.share(batch*m, 1)
	c.add(func(x *execution, tid, threads int) {
		lo, hi := part.span(tid, threads)
		ls, rs, ds := left.dtype.Size(), right.dtype.Size(), dst.dtype.Size()
		for i := lo; i < hi; i++ {
			b, row := i/m, i%m
			run(unsafe.Add(x.ptr(dst.slot), i*n*ds), unsafe.Add(x.ptr(left.slot), (b*m*k+row*la[0])*ls), unsafe.Add(x.ptr(right.slot), b*k*n*rs), n, k, la[1], lb[0], lb[1])
		}
	})
	return nil
}

// epilogue gives a product what it does with its result: adds the third operand
// and applies relu. Only products of one batch have any.
func (c *nodeContext) epilogue(x *execution, o *gemm.Op) {
	a, ok := c.n.Attrs.(*dotAttrs)
	if !ok {
		return
	}
	o.Bias, o.ReLU = at[float32](x, c.in[2]), a.relu
}

// inDepths multiplies in pieces along k, and adds the pieces.
func (c *nodeContext) inDepths(m, n, k int) {
	left, right, dst := c.in[0], c.in[1], c.out[0]
	parts := c.scratch(depths * m * n * 4)
	op := gemm.Op{M: m, N: n, LDA: k, LDB: n, LDC: n}
	g, add, relu := c.l.b.gemm, c.l.b.vec.Add, c.l.b.vec.ReLU
	zeros := c.zeros()
	c.add(func(x *execution, tid, threads int) {
		A, B, C := at[float32](x, left), at[float32](x, right), f32s(x.ptr(parts), depths*m*n)
		o := &x.threads[tid].product
		for lo, hi := span(depths, 1, tid, threads); lo < hi; lo++ {
			from, to := span(k, 1, lo, depths)
			*o = op
			o.Zeros = zeros.of(tid)
			o.K, o.A, o.B, o.C = to-from, A[from:], B[from*n:], C[lo*m*n:]
			g.Run(o, 0, m, 0, n, &x.threads[tid].gemm)
		}
	})
	rows := c.share(m*n, 1)
	c.add(func(x *execution, tid, threads int) {
		C, d := f32s(x.ptr(parts), depths*m*n), at[float32](x, dst)
		lo, hi := rows.span(tid, threads)
		d = d[lo:hi]
		for i := 1; i < depths; i++ {
			first := d
			if i == 1 {
				first = C[lo:hi]
			}
			add(d, first, C[i*m*n+lo:i*m*n+hi])
		}
		var e gemm.Op
		if c.epilogue(x, &e); e.Bias != nil {
			for at := lo; at < hi; {
				col := at % n
				row := d[at-lo : min(at-col+n, hi)-lo]
				add(row, row, e.Bias[col:col+len(row)])
				at += len(row)
			}
		}
		if e.ReLU {
			relu(d, d)
		}
	})
}

// transposed computes a result of one column, of a left operand that is stored
// transposed, as the row that it also is: right^T times left, read along.
func (c *nodeContext) transposed(m, k int) {
	left, right, dst := c.in[0], c.in[1], c.out[0]
	op := gemm.Op{M: 1, N: m, K: k, LDA: k, LDB: m, LDC: m}
	g := c.l.b.gemm
	c.addParts(c.share(m, 16), func(x *execution, tid, lo, hi int) {
		o := &x.threads[tid].product
		*o = op
		o.A, o.B, o.C = at[float32](x, right), at[float32](x, left), at[float32](x, dst)
		g.Run(o, 0, 1, lo, hi, &x.threads[tid].gemm)
	})
}

// turnedBytes bounds the result of a product that is computed the other way around.
const turnedBytes = 128 << 10

// turned computes rows of a product with a transposed right operand, such as a
// gradient with the weights, as columns of the transposed product: what has to be
// packed then is the few rows of the batch instead of the weights.
func (c *nodeContext) turned(m, n, k int) {
	left, right, dst := c.in[0], c.in[1], c.out[0]
	g, transpose := c.l.b.gemm, c.l.b.vec.Transpose
	c.l.prog.regs = max(c.l.prog.regs, (4*m*n+block*8-1)/(block*8))
	c.addParts(c.share(m, 1), func(x *execution, tid, lo, hi int) {
		t := f32s(x.registers(tid), n*(hi-lo))
		o := &x.threads[tid].product
		*o = gemm.Op{Layout: gemm.NT, M: n, N: hi - lo, K: k, LDA: k, LDB: k, LDC: hi - lo}
		o.A, o.B, o.C = at[float32](x, right), at[float32](x, left)[lo*k:hi*k], t
		g.Run(o, 0, n, 0, hi-lo, &x.threads[tid].gemm)
		transpose(at[float32](x, dst)[lo*n:hi*n], n, t, hi-lo, n, hi-lo)
	})
}

// dotTT multiplies where both operands are stored transposed, through a copy of
// the left.
func (c *nodeContext) dotTT(batch, m, n, k int) error {
	left, right, dst := c.in[0], c.in[1], c.out[0]
	tmp := c.scratch(batch * m * k * 4)
	s := &strided{dims: []int{batch, m, k}, to: []int{m * k, k, 1}, from: []int{m * k, 1, m}, size: 4}
	c.add(func(x *execution, tid, threads int) { s.run(x.ptr(tmp), x.ptr(left.slot), tid, threads) })
	op := gemm.Op{Layout: gemm.NT, M: m, N: n, K: k, LDA: k, LDB: k, LDC: n}
	g := c.l.b.gemm
	c.add(func(x *execution, tid, threads int) {
		A, B, C := unsafe.Slice((*float32)(x.ptr(tmp)), batch*m*k), at[float32](x, right), at[float32](x, dst)
		lo, hi := span(n, 16, tid, threads)
		if lo >= hi {
			return
		}
		for i := range batch {
			o := op
			o.A, o.B, o.C = A[i*m*k:(i+1)*m*k], B[i*k*n:(i+1)*k*n], C[i*m*n:(i+1)*m*n]
			g.Run(&o, 0, m, lo, hi, &x.threads[tid].gemm)
		}
	})
	return nil
}

// dotRow computes one row of a product: dst[j] = sum over i of a[i*sa]*b[i*sk+j*sn].
type dotRow func(dst, a, b unsafe.Pointer, n, k, sa, sk, sn int)

func dotRowT[T, A, R number](dst, a, b unsafe.Pointer, n, k, sa, sk, sn int) {
	var e T
	size := int(unsafe.Sizeof(e))
	out := unsafe.Slice((*R)(dst), n)
	for j := range out {
		var acc A
		p, q := a, unsafe.Add(b, j*sn*size)
		for i := range k {
			acc += A(*(*T)(unsafe.Add(p, i*sa*size))) * A(*(*T)(unsafe.Add(q, i*sk*size)))
		}
		out[j] = R(acc)
	}
}

func dotFunc(in graph.DType, a *graph.DotAttrs, out graph.DType) (dotRow, error) {
	return contractFunc(in, a.Accum, out)
}

// contractFunc picks the row function by operand and result type. Integers wrap
// in the accumulator; floats are accumulated in float64.
func contractFunc(in, accum, out graph.DType) (dotRow, error) {
	if accum == graph.Invalid {
		accum = out
	}
	type key struct{ in, accum, out graph.DType }
	switch (key{in, accum, out}) {
	case key{graph.F32, graph.F32, graph.F32}, key{graph.F32, graph.F64, graph.F32}:
		return dotRowT[float32, float64, float32], nil
	case key{graph.F32, graph.F64, graph.F64}, key{graph.F32, graph.F32, graph.F64}:
		return dotRowT[float32, float64, float64], nil
	case key{graph.F64, graph.F64, graph.F64}:
		return dotRowT[float64, float64, float64], nil
	case key{graph.I8, graph.I32, graph.I32}:
		return dotRowT[int8, int32, int32], nil
	case key{graph.I8, graph.I8, graph.I8}:
		return dotRowT[int8, int8, int8], nil
	case key{graph.U8, graph.I32, graph.I32}:
		return dotRowT[uint8, int32, int32], nil
	case key{graph.U8, graph.U8, graph.U8}:
		return dotRowT[uint8, uint8, uint8], nil
	case key{graph.U8, graph.U32, graph.U32}:
		return dotRowT[uint8, uint32, uint32], nil
	case key{graph.I32, graph.I32, graph.I32}:
		return dotRowT[int32, int32, int32], nil
	case key{graph.I32, graph.I64, graph.I64}:
		return dotRowT[int32, int64, int64], nil
	case key{graph.I64, graph.I64, graph.I64}:
		return dotRowT[int64, int64, int64], nil
	case key{graph.U32, graph.U32, graph.U32}:
		return dotRowT[uint32, uint32, uint32], nil
	case key{graph.U64, graph.U64, graph.U64}:
		return dotRowT[uint64, uint64, uint64], nil
	}
	return nil, &kernels.UnsupportedError{Backend: "cpu", Op: fmt.Sprintf("a contraction of %v accumulated in %v to %v", in, accum, out), Reason: "it has no kernel for these types"}
}

// threadZeros are what the threads of the team know of a left operand's zeros.
type threadZeros []struct {
	gemm.Zeros
	_ [lineBytes]byte
}

func (c *nodeContext) zeros() threadZeros { return make(threadZeros, c.l.b.team.size) }

func (z threadZeros) of(tid int) *gemm.Zeros { return &z[tid].Zeros }
