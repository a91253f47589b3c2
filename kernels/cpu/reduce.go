package cpu

import (
	"math"
	"slices"
	"sort"
	"unsafe"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/vec"
	"github.com/hone-ml/hone/sdk/graph"
)

// A reduction's order of additions is fixed by its shape: rows are summed in
// pieces of chunkLen elements, columns in pieces of chunkRows rows, and the
// pieces in order. Threads share pieces, never the inside of one.
const (
	chunkLen  = 4096
	chunkRows = 256
)

// reduceShape brings a reduction to [outer, n, inner]: n elements, inner apart,
// make each of outer*inner results. ok is false where the axes are scattered.
func reduceShape(shape []int, axes []int64) (outer, n, inner int, ok bool) {
	outer, n, inner = 1, 1, 1
	state := 0
	for i, e := range shape {
		reduced := slices.Contains(axes, int64(i))
		switch {
		case e == 1:
		case !reduced && state == 0:
			outer *= e
		case reduced && state <= 1:
			state = 1
			n *= e
		case !reduced:
			state = 2
			inner *= e
		default:
			return 0, 0, 0, false
		}
	}
	return outer, n, inner, true
}

type reducer[T any] struct {
	identity T
	row      func(p unsafe.Pointer, n int) T        // of contiguous elements
	rows     func(acc []T, p unsafe.Pointer, n int) // acc[j] = acc[j] op p[j]
	join     func(a, b T) T
	// columns is rows for whole matrices: acc = acc op each of rows rows, ld
	// elements apart; nil where there is no faster way.
	columns func(acc, p unsafe.Pointer, ld, rows, n int)
	// short is row for many rows of at most pieceLen elements; nil where there is
	// no faster way.
	short func(dst, p unsafe.Pointer, rows, n int)
}

func buildReduce(c *nodeContext, _ int) error {
	a := c.n.Attrs.(*graph.ReduceAttrs)
	c.flops = int64(c.in[0].numel())
	switch c.in[0].dtype {
	case graph.F64:
		return reduceNode(c, a, reducerOf(a.Kind, math.Inf(-1), math.Inf(1)))
	case graph.F32:
		r := reducerOf(a.Kind, float32(math.Inf(-1)), float32(math.Inf(1)))
		k := c.l.b.vec
		switch a.Kind {
		case graph.Sum:
			r.row = func(p unsafe.Pointer, n int) float32 { return sumF32(k, p, n) }
			r.columns = func(acc, p unsafe.Pointer, ld, rows, n int) {
				k.ColSums(f32s(acc, n), f32s(p, (rows-1)*ld+n), ld, rows, true)
			}
			r.short = func(dst, p unsafe.Pointer, rows, n int) { k.RowSums(f32s(dst, rows), f32s(p, rows*n), rows, n) }
		case graph.Max:
			r.row = func(p unsafe.Pointer, n int) float32 { return k.MaxOf(f32s(p, n)) }
			r.columns = byRow(k.Max)
			r.short = func(dst, p unsafe.Pointer, rows, n int) { k.RowMaxima(f32s(dst, rows), f32s(p, rows*n), rows, n) }
		case graph.Min:
			r.row = func(p unsafe.Pointer, n int) float32 { return k.MinOf(f32s(p, n)) }
			r.columns = byRow(k.Min)
		case graph.Prod:
			r.columns = byRow(k.Mul)
		}
		return reduceNode(c, a, r)
	case graph.I64:
		return reduceNode(c, a, reducerOf[int64](a.Kind, math.MinInt64, math.MaxInt64))
	case graph.I32:
		return reduceNode(c, a, reducerOf[int32](a.Kind, math.MinInt32, math.MaxInt32))
	case graph.I8:
		return reduceNode(c, a, reducerOf[int8](a.Kind, math.MinInt8, math.MaxInt8))
	case graph.U64:
		return reduceNode(c, a, reducerOf[uint64](a.Kind, 0, math.MaxUint64))
	case graph.U32:
		return reduceNode(c, a, reducerOf[uint32](a.Kind, 0, math.MaxUint32))
	}
	if c.in[0].dtype == graph.Bool {
		kind := graph.Min
		if a.Kind == graph.Some {
			kind = graph.Max
		}
		return reduceNode(c, a, reducerOf[uint8](kind, 0, 1))
	}
	return reduceNode(c, a, reducerOf[uint8](a.Kind, 0, math.MaxUint8))
}

// byRow is columns by an op on rows.
func byRow(f vec.Binary) func(acc, p unsafe.Pointer, ld, rows, n int) {
	return func(acc, p unsafe.Pointer, ld, rows, n int) {
		for i := range rows {
			f(f32s(acc, n), f32s(acc, n), f32s(unsafe.Add(p, i*ld*4), n))
		}
	}
}

// pieceLen is the number of elements that are summed in float32.
const pieceLen = 512

// sumF32 adds pieces of a row with the kernel set's own order, and the pieces
// in float64.
func sumF32(k *vec.Kernels, p unsafe.Pointer, n int) float32 {
	x := f32s(p, n)
	if n <= pieceLen {
		return k.Sum(x)
	}
	var total float64
	for len(x) > 0 {
		part := x[:min(len(x), pieceLen)]
		x = x[len(part):]
		total += float64(k.Sum(part))
	}
	return float32(total)
}

func reducerOf[T number](kind graph.ReduceKind, lowest, highest T) reducer[T] {
	fold := func(identity T, join func(a, b T) T) reducer[T] {
		return reducer[T]{
			identity: identity, join: join,
			row: func(p unsafe.Pointer, n int) T {
				acc := identity
				for _, v := range unsafe.Slice((*T)(p), n) {
					acc = join(acc, v)
				}
				return acc
			},
			rows: func(acc []T, p unsafe.Pointer, n int) {
				x := unsafe.Slice((*T)(p), n)
				for j, v := range x {
					acc[j] = join(acc[j], v)
				}
			},
		}
	}
	switch kind {
	case graph.Sum:
		r := fold(0, func(a, b T) T { return a + b })
		r.rows = func(acc []T, p unsafe.Pointer, n int) {
			x := unsafe.Slice((*T)(p), n)
			acc = acc[:n]
			for j := range acc {
				acc[j] += x[j]
			}
		}
		return r
	case graph.Prod:
		return fold(1, func(a, b T) T { return a * b })
	case graph.Max:
		return fold(lowest, func(a, b T) T { return max(a, b) })
	}
	return fold(highest, func(a, b T) T { return min(a, b) })
}

func reduceNode[T any](c *nodeContext, a *graph.ReduceAttrs, r reducer[T]) error {
	src, dst := c.in[0], c.out[0]
	size := src.dtype.Size()
	if src.numel() == 0 {
		n := dst.numel()
		c.add(func(x *execution, tid, threads int) {
			lo, hi := span(n, 1024, tid, threads)
			for i := lo; i < hi; i++ {
				at[T](x, dst)[i] = r.identity
			}
		})
		return nil
	}
	outer, n, inner, ok := reduceShape(src.shape, a.Axes)
	switch {
	case !ok:
		c.reduceScattered(a, size, func(x *execution, out int, each func(visit func(p unsafe.Pointer, n int))) {
			acc := r.identity
			each(func(p unsafe.Pointer, n int) { acc = r.join(acc, r.row(p, n)) })
			at[T](x, dst)[out] = acc
		})
	case inner == 1 && n <= 2*chunkLen:
		part := c.share(outer, max(1, 2048/n))
		c.add(func(x *execution, tid, threads int) {
			lo, hi := part.span(tid, threads)
			p, d := x.ptr(src.slot), at[T](x, dst)
			if r.short != nil && n <= pieceLen && lo < hi {
				r.short(unsafe.Pointer(&d[lo]), unsafe.Add(p, lo*n*size), hi-lo, n)
				return
			}
			for i := lo; i < hi; i++ {
				d[i] = r.row(unsafe.Add(p, i*n*size), n)
			}
		})
	case inner == 1:
		pieces := (n + chunkLen - 1) / chunkLen
		part := c.scratch(outer * pieces * size)
		c.add(func(x *execution, tid, threads int) {
			lo, hi := span(outer*pieces, 1, tid, threads)
			p, d := x.ptr(src.slot), unsafe.Slice((*T)(x.ptr(part)), outer*pieces)
			for i := lo; i < hi; i++ {
				from := i % pieces * chunkLen
				d[i] = r.row(unsafe.Add(p, (i/pieces*n+from)*size), min(chunkLen, n-from))
			}
		})
		c.add(func(x *execution, tid, threads int) {
			lo, hi := span(outer, 1, tid, threads)
			p, d := unsafe.Slice((*T)(x.ptr(part)), outer*pieces), at[T](x, dst)
			for i := lo; i < hi; i++ {
				acc := r.identity
				for _, v := range p[i*pieces : (i+1)*pieces] {
					acc = r.join(acc, v)
				}
				d[i] = acc
			}
		})
	default:
		columns := r.columns
		if columns == nil {
			columns = func(acc, p unsafe.Pointer, ld, rows, n int) {
				for i := range rows {
					r.rows(unsafe.Slice((*T)(acc), n), unsafe.Add(p, i*ld*size), n)
				}
			}
		}
		c.reduceColumns(src, dst, outer, n, inner, size, r.identityBytes(), columns)
	}
	return nil
}

func (r reducer[T]) identityBytes() []byte {
	v := r.identity
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&v)), int(unsafe.Sizeof(v))))
}

// reduceColumns adds rows of inner elements in pieces of chunkRows rows, then
// the pieces.
func (c *nodeContext) reduceColumns(src, dst tensorAt, outer, n, inner, size int, identity []byte, columns func(acc, p unsafe.Pointer, ld, rows, n int)) {
	fill := func(p unsafe.Pointer, n int) { fillElements(p, unsafe.Pointer(&identity[0]), n, size) }
	pieces := (n + chunkRows - 1) / chunkRows
	if pieces == 1 || inner >= 1024 {
		// Threads share the columns; the order is by pieces all the same.
		var part slot
		if pieces > 1 {
			part = c.scratch(outer * inner * size)
		}
		c.add(func(x *execution, tid, threads int) {
			lo, hi := span(inner, 16, tid, threads)
			if lo >= hi {
				return
			}
			for o := range outer {
				d := unsafe.Add(x.ptr(dst.slot), (o*inner+lo)*size)
				fill(d, hi-lo)
				for k := range pieces {
					acc := d
					if pieces > 1 {
						acc = unsafe.Add(x.ptr(part), (o*inner+lo)*size)
						fill(acc, hi-lo)
					}
					row := k * chunkRows
					columns(acc, unsafe.Add(x.ptr(src.slot), ((o*n+row)*inner+lo)*size), inner, min(chunkRows, n-row), hi-lo)
					if pieces > 1 {
						columns(d, acc, hi-lo, 1, hi-lo)
					}
				}
			}
		})
		return
	}
	part := c.scratch(outer * pieces * inner * size)
	c.add(func(x *execution, tid, threads int) {
		lo, hi := span(outer*pieces, 1, tid, threads)
		for i := lo; i < hi; i++ {
			acc := unsafe.Add(x.ptr(part), i*inner*size)
			fill(acc, inner)
			o, k := i/pieces, i%pieces
			row := k * chunkRows
			columns(acc, unsafe.Add(x.ptr(src.slot), (o*n+row)*inner*size), inner, min(chunkRows, n-row), inner)
		}
	})
	c.add(func(x *execution, tid, threads int) {
		lo, hi := span(inner, 16, tid, threads)
		if lo >= hi {
			return
		}
		for o := range outer {
			d := unsafe.Add(x.ptr(dst.slot), (o*inner+lo)*size)
			fill(d, hi-lo)
			columns(d, unsafe.Add(x.ptr(part), (o*pieces*inner+lo)*size), inner, pieces, hi-lo)
		}
	})
}

// reduceScattered visits, for every result, its elements as runs of contiguous
// memory in row-major order.
func (c *nodeContext) reduceScattered(a *graph.ReduceAttrs, size int, result func(x *execution, out int, each func(visit func(p unsafe.Pointer, n int)))) {
	src, dst := c.in[0], c.out[0]
	strides := src.strides()
	var kept, keptStride, red, redStride []int
	for i, e := range src.shape {
		if slices.Contains(a.Axes, int64(i)) {
			red, redStride = append(red, e), append(redStride, strides[i])
		} else {
			kept, keptStride = append(kept, e), append(keptStride, strides[i])
		}
	}
	run := 1
	if k := len(red) - 1; k >= 0 && redStride[k] == 1 {
		run = red[k]
		red, redStride = red[:k], redStride[:k]
	}
	count := 1
	for _, e := range red {
		count *= e
	}
	n := dst.numel()
	c.add(func(x *execution, tid, threads int) {
		lo, hi := span(n, max(1, 1024/max(count*run, 1)), tid, threads)
		for out := lo; out < hi; out++ {
			base, rest := 0, out
			for i := len(kept) - 1; i >= 0; i-- {
				base += rest % kept[i] * keptStride[i]
				rest /= kept[i]
			}
			result(x, out, func(visit func(p unsafe.Pointer, n int)) {
				var idx [graph.MaxRank]int
				pos := base
				for range count {
					visit(unsafe.Add(x.ptr(src.slot), pos*size), run)
					for i := len(red) - 1; i >= 0; i-- {
						pos += redStride[i]
						if idx[i]++; idx[i] < red[i] {
							break
						}
						pos -= idx[i] * redStride[i]
						idx[i] = 0
					}
				}
			})
		}
	})
}

// lines calls each for every line along axis of a tensor: the offset of its
// first element and the distance between elements. Threads share the lines.
func lines(t tensorAt, axis int, tid, threads int, each func(offset, stride int)) {
	inner := 1
	for _, e := range t.shape[axis+1:] {
		inner *= e
	}
	outer := 1
	for _, e := range t.shape[:axis] {
		outer *= e
	}
	n := t.shape[axis]
	lo, hi := span(outer*inner, max(1, 1024/max(n, 1)), tid, threads)
	for i := lo; i < hi; i++ {
		each(i/inner*n*inner+i%inner, inner)
	}
}

// keyOf returns a function that orders two elements of a type, NaN last
// whatever the direction; bits decide between -0 and 0 nowhere.
func lessOf(d graph.DType, descending bool) func(p unsafe.Pointer, i, j int) bool {
	switch d {
	case graph.F64:
		return lessT[float64](descending)
	case graph.F32:
		return lessT[float32](descending)
	case graph.I64:
		return lessT[int64](descending)
	case graph.I32:
		return lessT[int32](descending)
	case graph.I8:
		return lessT[int8](descending)
	case graph.U64:
		return lessT[uint64](descending)
	case graph.U32:
		return lessT[uint32](descending)
	case graph.BF16:
		return lessHalf(func(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }, descending)
	case graph.F16:
		return lessHalf(graph.HalfToFloat32, descending)
	}
	return lessT[uint8](descending)
}

func lessT[T number](descending bool) func(p unsafe.Pointer, i, j int) bool {
	var e T
	size := int(unsafe.Sizeof(e))
	return func(p unsafe.Pointer, i, j int) bool {
		x, y := *(*T)(unsafe.Add(p, i*size)), *(*T)(unsafe.Add(p, j*size))
		if x != x || y != y {
			return x == x && y != y
		}
		if descending {
			return x > y
		}
		return x < y
	}
}

func lessHalf(widen func(uint16) float32, descending bool) func(p unsafe.Pointer, i, j int) bool {
	return func(p unsafe.Pointer, i, j int) bool {
		x, y := widen(*(*uint16)(unsafe.Add(p, i*2))), widen(*(*uint16)(unsafe.Add(p, j*2)))
		if x != x || y != y {
			return x == x && y != y
		}
		if descending {
			return x > y
		}
		return x < y
	}
}

func buildArgReduce(c *nodeContext, _ int) error {
	a := c.n.Attrs.(*graph.ArgAttrs)
	src, dst := c.in[0], c.out[0]
	axis := int(a.Axis)
	n := src.shape[axis]
	isNaN := nanOf(src.dtype)
	less := lessOf(src.dtype, a.Kind == graph.Max)
	inner := 1
	for _, e := range src.shape[axis+1:] {
		inner *= e
	}
	part := c.share(dst.numel(), max(1, 1024/max(n, 1)))
	if inner == 1 && a.Kind == graph.Max && src.dtype == graph.F32 && n > 0 {
		c.add(func(x *execution, tid, threads int) {
			v, d := at[float32](x, src), at[int32](x, dst)
			lo, hi := part.span(tid, threads)
			for i := lo; i < hi; i++ {
				d[i] = int32(argMax(v[i*n : (i+1)*n]))
			}
		})
		return nil
	}
	c.add(func(x *execution, tid, threads int) {
		p, d := x.ptr(src.slot), at[int32](x, dst)
		lines(src, axis, tid, threads, func(offset, stride int) {
			best := 0
			for k := 1; k < n && !isNaN(p, offset+best*stride); k++ {
				if i := offset + k*stride; isNaN(p, i) || less(p, i, offset+best*stride) {
					best = k
				}
			}
			d[offset/(n*inner)*inner+offset%inner] = int32(best)
		})
	})
	return nil
}

// argMax returns the first of the largest elements, or the first NaN.
func argMax(v []float32) int {
	best, top := 0, v[0]
	for i, x := range v {
		if x > top || x != x {
			best, top = i, x
			if x != x {
				break
			}
		}
	}
	return best
}

func nanOf(d graph.DType) func(p unsafe.Pointer, i int) bool {
	switch d {
	case graph.F64:
		return func(p unsafe.Pointer, i int) bool { v := *(*float64)(unsafe.Add(p, i*8)); return v != v }
	case graph.F32:
		return func(p unsafe.Pointer, i int) bool { v := *(*float32)(unsafe.Add(p, i*4)); return v != v }
	}
	return func(unsafe.Pointer, int) bool { return false }
}

func buildSort(c *nodeContext, _ int) error {
	a := c.n.Attrs.(*graph.SortAttrs)
	axis := int(a.Axis)
	n := c.in[0].shape[axis]
	less := lessOf(c.in[0].dtype, a.Descending)
	c.add(func(x *execution, tid, threads int) {
		order := make([]int, n)
		lines(c.in[0], axis, tid, threads, func(offset, stride int) {
			for i := range order {
				order[i] = offset + i*stride
			}
			p := x.ptr(c.in[0].slot)
			sort.SliceStable(order, func(i, j int) bool { return less(p, order[i], order[j]) })
			for k, src := range c.in {
				size := src.dtype.Size()
				s, d := x.ptr(src.slot), x.ptr(c.out[k].slot)
				for i, from := range order {
					copyOne(unsafe.Add(d, (offset+i*stride)*size), unsafe.Add(s, from*size), size)
				}
			}
		})
	})
	return nil
}

func buildTopK(c *nodeContext, _ int) error {
	k := int(c.n.Attrs.(*graph.TopKAttrs).K)
	src := c.in[0]
	axis := len(src.shape) - 1
	n := src.shape[axis]
	size := src.dtype.Size()
	less := lessOf(src.dtype, true)
	c.add(func(x *execution, tid, threads int) {
		order := make([]int, n)
		p, v, idx := x.ptr(src.slot), x.ptr(c.out[0].slot), x.ptr(c.out[1].slot)
		lines(src, axis, tid, threads, func(offset, _ int) {
			for i := range order {
				order[i] = offset + i
			}
			sort.SliceStable(order, func(i, j int) bool { return less(p, order[i], order[j]) })
			row := offset / max(n, 1) * k
			for i, from := range order[:k] {
				copyOne(unsafe.Add(v, (row+i)*size), unsafe.Add(p, from*size), size)
				*(*int32)(unsafe.Add(idx, (row+i)*4)) = int32(from - offset)
			}
		})
	})
	return nil
}

func buildCumSum(c *nodeContext, _ int) error {
	switch c.in[0].dtype {
	case graph.F64:
		cumSum[float64, float64](c)
	case graph.F32:
		cumSum[float32, float64](c)
	case graph.I64, graph.U64:
		cumSum[int64, int64](c)
	case graph.I32, graph.U32:
		cumSum[int32, int32](c)
	default:
		cumSum[int8, int8](c)
	}
	return nil
}

func cumSum[T, A number](c *nodeContext) {
	a := c.n.Attrs.(*graph.CumSumAttrs)
	axis := int(a.Axis)
	n := c.in[0].shape[axis]
	c.add(func(x *execution, tid, threads int) {
		s, d := at[T](x, c.in[0]), at[T](x, c.out[0])
		lines(c.in[0], axis, tid, threads, func(offset, stride int) {
			var acc A
			for k := range n {
				i := offset + k*stride
				if a.Reverse {
					i = offset + (n-1-k)*stride
				}
				if a.Exclusive {
					v := s[i]
					d[i] = T(acc)
					acc += A(v)
				} else {
					acc += A(s[i])
					d[i] = T(acc)
				}
			}
		})
	})
}
