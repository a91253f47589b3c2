package cpu

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/vec"
	"github.com/hone-ml/hone/sdk/graph"
)

// nodeKernel returns the builder of the instructions of an op that is no loop.
func nodeKernel(op graph.Op) (func(c *nodeContext, node int) error, bool) {
	build, ok := map[graph.Op]func(c *nodeContext, node int) error{
		graph.OpReduce:             buildReduce,
		graph.OpArgReduce:          buildArgReduce,
		graph.OpSort:               buildSort,
		graph.OpTopK:               buildTopK,
		graph.OpCumSum:             buildCumSum,
		graph.OpTranspose:          buildTranspose,
		graph.OpSlice:              buildSlice,
		graph.OpDynamicSlice:       buildDynamicSlice,
		graph.OpDynamicUpdateSlice: buildDynamicUpdateSlice,
		graph.OpPad:                buildPad,
		graph.OpReverse:            buildReverse,
		graph.OpConcat:             buildConcat,
		graph.OpGather:             buildGather,
		graph.OpScatterAdd:         buildScatterAdd,
		graph.OpDot:                buildDot,
		graph.OpConv:               buildConv,
		graph.OpConvInputGrad:      buildConvInputGrad,
		graph.OpConvFilterGrad:     buildConvFilterGrad,
		graph.OpReduceWindow:       buildReduceWindow,
		graph.OpReduceWindowGrad:   buildReduceWindowGrad,
		graph.OpScan:               buildScan,
		graph.OpOpaque:             buildOpaque,
		graph.OpCall:               buildNative,
	}[op]
	return build, ok
}

// strided copies a box of memory element by element: dims are its extents, with
// the strides, in elements, on either side. Threads share the outermost axis.
type strided struct {
	dims     []int
	to, from []int
	size     int
}

// run copies a thread's part; the threads share the runs along the last axis.
func (s *strided) run(dst, src unsafe.Pointer, tid, threads int) {
	dims := s.dims
	total := 1
	for _, d := range dims {
		total *= d
	}
	if total == 0 {
		return
	}
	last := len(dims) - 1
	if last < 0 {
		if tid == 0 {
			copyOne(dst, src, s.size)
		}
		return
	}
	rows := total / dims[last]
	grain := max(1, 2048/max(dims[last], 1))
	lo, hi := span(rows, grain, tid, threads)
	var idx [graph.MaxRank + 1]int
	pd, ps, rest := 0, 0, lo
	for i := last - 1; i >= 0; i-- {
		idx[i] = rest % dims[i]
		rest /= dims[i]
		pd += idx[i] * s.to[i]
		ps += idx[i] * s.from[i]
	}
	for lo < hi {
		// The runs along the last axis but one.
		count, td, ts := 1, 0, 0
		if last > 0 {
			count, td, ts = min(hi-lo, dims[last-1]-idx[last-1]), s.to[last-1], s.from[last-1]
		}
		copyRuns(unsafe.Add(dst, pd*s.size), unsafe.Add(src, ps*s.size), count, td*s.size, ts*s.size, dims[last], s.to[last], s.from[last], s.size)
		if lo += count; lo == hi || last == 0 {
			return
		}
		pd += (count - 1) * td
		ps += (count - 1) * ts
		idx[last-1] += count - 1
		for i := last - 1; i >= 0; i-- {
			pd += s.to[i]
			ps += s.from[i]
			if idx[i]++; idx[i] < dims[i] {
				break
			}
			pd -= idx[i] * s.to[i]
			ps -= idx[i] * s.from[i]
			idx[i] = 0
		}
	}
}

func copyOne(dst, src unsafe.Pointer, size int) {
	copy(unsafe.Slice((*byte)(dst), size), unsafe.Slice((*byte)(src), size))
}

// copyRuns copies runs of n elements, toStep and fromStep bytes apart, whose
// elements are td and ts elements apart.
func copyRuns(dst, src unsafe.Pointer, runs, toStep, fromStep, n, td, ts, size int) {
	if td == 1 && ts == 1 {
		for i := range runs {
			copy(unsafe.Slice((*byte)(unsafe.Add(dst, i*toStep)), n*size), unsafe.Slice((*byte)(unsafe.Add(src, i*fromStep)), n*size))
		}
		return
	}
	run := copyStrided[uint8]
	switch size {
	case 2:
		run = copyStrided[uint16]
	case 4:
		run = copyStrided[uint32]
	case 8:
		run = copyStrided[uint64]
	case 16:
		run = copyStrided[[2]uint64]
	case 32:
		run = copyStrided[[4]uint64]
	}
	for i := range runs {
		run(unsafe.Add(dst, i*toStep), unsafe.Add(src, i*fromStep), n, td, ts)
	}
}

func copyStrided[T any](dst, src unsafe.Pointer, n, td, ts int) {
	size := int(unsafe.Sizeof(*new(T)))
	// Addresses are computed from the first element, so that none beyond the
	// last is ever formed.
	to, from := 0, 0
	if td == 1 {
		out := unsafe.Slice((*T)(dst), n)
		for i := range out {
			out[i] = *(*T)(unsafe.Add(src, from))
			from += ts * size
		}
		return
	}
	for range n {
		*(*T)(unsafe.Add(dst, to)) = *(*T)(unsafe.Add(src, from))
		to, from = to+td*size, from+ts*size
	}
}

// compact drops axes of extent 1 and joins those that are contiguous on both sides.
func (s *strided) compact() *strided {
	var d, to, from []int
	for i, e := range s.dims {
		if e == 1 {
			continue
		}
		if k := len(d) - 1; k >= 0 && to[k] == s.to[i]*e && from[k] == s.from[i]*e {
			d[k], to[k], from[k] = d[k]*e, s.to[i], s.from[i]
			continue
		}
		d, to, from = append(d, e), append(to, s.to[i]), append(from, s.from[i])
	}
	return &strided{d, to, from, s.size}
}

// widen takes short runs that are contiguous on both sides for one element.
func (s *strided) widen() *strided {
	k := len(s.dims) - 1
	if k < 1 || s.to[k] != 1 || s.from[k] != 1 {
		return s
	}
	n := s.dims[k]
	switch n * s.size {
	case 2, 4, 8, 16, 32:
	default:
		return s
	}
	w := &strided{dims: s.dims[:k], size: n * s.size}
	for i := range k {
		if s.to[i]%n != 0 || s.from[i]%n != 0 {
			return s
		}
		w.to, w.from = append(w.to, s.to[i]/n), append(w.from, s.from[i]/n)
	}
	return w
}

func (c *nodeContext) copyBox(dst, src tensorAt, toOff, fromOff int, dims, to, from []int) {
	if c.rows > 0 {
		s := (&strided{dims[1:], to[1:], from[1:], src.dtype.Size()}).compact()
		part := c.share(dims[0], 1)
		c.add(func(x *execution, tid, threads int) {
			d, f := x.ptr(dst.slot), x.ptr(src.slot)
			for lo, hi := part.span(tid, threads); lo < hi; lo++ {
				s.run(unsafe.Add(d, (toOff+lo*to[0])*s.size), unsafe.Add(f, (fromOff+lo*from[0])*s.size), 0, 1)
			}
		})
		return
	}
	s := (&strided{dims, to, from, src.dtype.Size()}).compact()
	c.add(func(x *execution, tid, threads int) {
		s.run(unsafe.Add(x.ptr(dst.slot), toOff*s.size), unsafe.Add(x.ptr(src.slot), fromOff*s.size), tid, threads)
	})
}

func buildTranspose(c *nodeContext, _ int) error {
	src, dst := c.in[0], c.out[0]
	if dst.numel() == 0 {
		return nil
	}
	in := src.strides()
	from := make([]int, len(in))
	for i, p := range c.n.Attrs.(*graph.TransposeAttrs).Perm {
		from[i] = in[p]
	}
	s := (&strided{dst.shape, dst.strides(), from, src.dtype.Size()}).compact().widen()
	if k := len(s.dims); k >= 2 && s.from[k-1] != 1 {
		// The axis that is contiguous in the operand: transpose in tiles.
		for i := k - 2; i >= 0; i-- {
			if s.from[i] == 1 {
				c.add(tiledTranspose(s, i, dst.slot, src.slot, transposeFunc(c.l.b.vec, s.size)))
				return nil
			}
		}
	}
	c.add(func(x *execution, tid, threads int) { s.run(x.ptr(dst.slot), x.ptr(src.slot), tid, threads) })
	return nil
}

// tiledTranspose copies with tiles, shared by the threads, over the last axis, contiguous in the
// result, and axis inner, contiguous in the operand.
func tiledTranspose(s *strided, inner int, dst, src slot, turn func(dst, src unsafe.Pointer, dstLD, srcLD, rows, cols int)) func(x *execution, tid, threads int) {
	const width, height = 128, 4096 // columns and rows of the operand
	last := len(s.dims) - 1
	m, n := s.dims[inner], s.dims[last]
	rest := &strided{size: s.size}
	outer := 1
	for i := range s.dims {
		if i != inner && i != last {
			rest.dims, rest.to, rest.from = append(rest.dims, s.dims[i]), append(rest.to, s.to[i]), append(rest.from, s.from[i])
			outer *= s.dims[i]
		}
	}
	across, down := (m+width-1)/width, (n+height-1)/height
	td, ts := s.to[inner], s.from[last]
	return func(x *execution, tid, threads int) {
		lo, hi := span(outer*across*down, 1, tid, threads)
		for u := lo; u < hi; u++ {
			o, i0, j0 := u/(across*down), u/down%across*width, u%down*height
			pd, ps := 0, 0
			for i := len(rest.dims) - 1; i >= 0; i-- {
				k := o % rest.dims[i]
				o /= rest.dims[i]
				pd += k * rest.to[i]
				ps += k * rest.from[i]
			}
			turn(unsafe.Add(x.ptr(dst), (pd+i0*td+j0)*s.size), unsafe.Add(x.ptr(src), (ps+i0+j0*ts)*s.size), td, ts, min(height, n-j0), min(width, m-i0))
		}
	}
}

// transposeFunc returns the transpose of rows rows of cols elements of a size.
func transposeFunc(k *vec.Kernels, size int) func(dst, src unsafe.Pointer, dstLD, srcLD, rows, cols int) {
	switch size {
	case 1:
		return transposeT[uint8]
	case 2:
		return transposeT[uint16]
	case 4:
		return func(dst, src unsafe.Pointer, dstLD, srcLD, rows, cols int) {
			k.Transpose(f32s(dst, (cols-1)*dstLD+rows), dstLD, f32s(src, (rows-1)*srcLD+cols), srcLD, rows, cols)
		}
	case 8:
		return transposeT[uint64]
	case 16:
		return transposeT[[2]uint64]
	}
	return transposeT[[4]uint64]
}

func transposeT[T any](dst, src unsafe.Pointer, dstLD, srcLD, rows, cols int) {
	const tile = 16
	d, s := unsafe.Slice((*T)(dst), (cols-1)*dstLD+rows), unsafe.Slice((*T)(src), (rows-1)*srcLD+cols)
	for i0 := 0; i0 < rows; i0 += tile {
		i1 := min(i0+tile, rows)
		for j := range cols {
			out := d[j*dstLD+i0 : j*dstLD+i1]
			at := i0*srcLD + j
			for i := range out {
				out[i] = s[at]
				at += srcLD
			}
		}
	}
}

func constOf(e graph.DimExpr) int {
	k, _ := e.Const()
	return int(k)
}

func buildSlice(c *nodeContext, _ int) error {
	a := c.n.Attrs.(*graph.SliceAttrs)
	src, dst := c.in[0], c.out[0]
	in := src.strides()
	off := 0
	from := make([]int, len(in))
	for i := range in {
		off += constOf(a.Start[i]) * in[i]
		from[i] = in[i] * int(a.Stride[i])
	}
	c.copyBox(dst, src, 0, off, dst.shape, dst.strides(), from)
	return nil
}

func intAt(x *execution, t tensorAt) int64 {
	p := x.ptr(t.slot)
	switch t.dtype {
	case graph.I64:
		return *(*int64)(p)
	case graph.U64:
		return int64(min(*(*uint64)(p), 1<<62))
	case graph.I32:
		return int64(*(*int32)(p))
	case graph.U32:
		return int64(*(*uint32)(p))
	case graph.I8:
		return int64(*(*int8)(p))
	}
	return int64(*(*uint8)(p))
}

// blockOffset returns the offset of a block of the given extents at run-time
// starts, clamped so that it lies inside.
func blockOffset(x *execution, starts []tensorAt, outer tensorAt, strides, size []int) int {
	off := 0
	for i, s := range starts {
		k := min(max(intAt(x, s), 0), int64(outer.shape[i]-size[i]))
		off += int(k) * strides[i]
	}
	return off
}

func buildDynamicSlice(c *nodeContext, _ int) error {
	src, dst := c.in[0], c.out[0]
	in := src.strides()
	s := (&strided{dst.shape, dst.strides(), in, src.dtype.Size()}).compact()
	c.add(func(x *execution, tid, threads int) {
		off := blockOffset(x, c.in[1:], src, in, dst.shape)
		s.run(x.ptr(dst.slot), unsafe.Add(x.ptr(src.slot), off*s.size), tid, threads)
	})
	return nil
}

// copyAll copies a whole value unless both are one piece of memory.
func (c *nodeContext) copyAll(dst, src tensorAt) {
	if dst.slot == src.slot {
		return
	}
	n := src.numel() * src.dtype.Size()
	c.add(func(x *execution, tid, threads int) {
		if x.ptr(dst.slot) == x.ptr(src.slot) {
			return
		}
		lo, hi := span(n, 4096, tid, threads)
		if lo < hi {
			copy(unsafe.Slice((*byte)(unsafe.Add(x.ptr(dst.slot), lo)), hi-lo), unsafe.Slice((*byte)(unsafe.Add(x.ptr(src.slot), lo)), hi-lo))
		}
	})
}

func buildDynamicUpdateSlice(c *nodeContext, _ int) error {
	src, upd, dst := c.in[0], c.in[1], c.out[0]
	c.copyAll(dst, src)
	out := dst.strides()
	s := (&strided{upd.shape, out, upd.strides(), src.dtype.Size()}).compact()
	c.add(func(x *execution, tid, threads int) {
		off := blockOffset(x, c.in[2:], dst, out, upd.shape)
		s.run(unsafe.Add(x.ptr(dst.slot), off*s.size), x.ptr(upd.slot), tid, threads)
	})
	return nil
}

func buildPad(c *nodeContext, _ int) error {
	a := c.n.Attrs.(*graph.PadAttrs)
	src, value, dst := c.in[0], c.in[1], c.out[0]
	size := src.dtype.Size()
	n := dst.numel()
	c.add(func(x *execution, tid, threads int) {
		if lo, hi := span(n, 1024, tid, threads); lo < hi {
			fillElements(unsafe.Add(x.ptr(dst.slot), lo*size), x.ptr(value.slot), hi-lo, size)
		}
	})
	// The part of the operand that lands inside.
	in, out := src.strides(), dst.strides()
	dims, to := make([]int, len(in)), make([]int, len(in))
	fromOff, toOff := 0, 0
	for i := range in {
		step := int(a.Interior[i]) + 1
		low := constOf(a.Low[i])
		first := 0
		if low < 0 {
			first = (-low + step - 1) / step
		}
		end := 0 // past the last element i with low + i*step < extent
		if room := dst.shape[i] - low; room > 0 {
			end = min((room+step-1)/step, src.shape[i])
		}
		dims[i] = max(end-first, 0)
		to[i] = out[i] * step
		fromOff += first * in[i]
		toOff += (low + first*step) * out[i]
		if dims[i] == 0 {
			return nil
		}
	}
	c.copyBox(dst, src, toOff, fromOff, dims, to, in)
	return nil
}

func buildReverse(c *nodeContext, _ int) error {
	src, dst := c.in[0], c.out[0]
	from := src.strides()
	off := 0
	if src.numel() > 0 {
		for _, x := range c.n.Attrs.(*graph.ReverseAttrs).Axes {
			off += (src.shape[x] - 1) * from[x]
			from[x] = -from[x]
		}
	}
	c.copyBox(dst, src, 0, off, dst.shape, dst.strides(), from)
	return nil
}

func buildConcat(c *nodeContext, _ int) error {
	axis := c.n.Attrs.(*graph.ConcatAttrs).Axis
	dst := c.out[0]
	out := dst.strides()
	type piece struct {
		s    *strided
		slot slot
		off  int
	}
	var pieces []piece
	off := 0
	if c.rows > 0 {
		// A thread copies its rows of every operand.
		for _, src := range c.in {
			c.copyBox(dst, src, off*out[axis], 0, src.shape, out, src.strides())
			off += src.shape[axis]
		}
		code := c.code
		c.code = nil
		c.add(func(x *execution, tid, threads int) {
			for _, run := range code {
				run(x, tid, threads)
			}
		})
		return nil
	}
	for _, src := range c.in {
		pieces = append(pieces, piece{(&strided{src.shape, out, src.strides(), src.dtype.Size()}).compact(), src.slot, off * out[axis]})
		off += src.shape[axis]
	}
	c.add(func(x *execution, tid, threads int) {
		for i := range pieces {
			p := &pieces[i]
			p.s.run(unsafe.Add(x.ptr(dst.slot), p.off*p.s.size), x.ptr(p.slot), tid, threads)
		}
	})
	return nil
}

// gatherSizes returns the extents of a gather: batch positions, rows outside of
// the axis, indices of a batch position, extent of the axis and elements of a row.
func gatherSizes(x, idx tensorAt, a *graph.GatherAttrs) (batch, outer, indices, extent, row int) {
	batch, outer, indices, row = 1, 1, 1, 1
	b := int(a.BatchDims)
	for _, e := range x.shape[:b] {
		batch *= e
	}
	for _, e := range x.shape[b:a.Axis] {
		outer *= e
	}
	for _, e := range idx.shape[b:] {
		indices *= e
	}
	extent = x.shape[a.Axis]
	for _, e := range x.shape[a.Axis+1:] {
		row *= e
	}
	return
}

func indexAt(t tensorAt, p unsafe.Pointer, i int) int64 {
	switch t.dtype {
	case graph.I64:
		return *(*int64)(unsafe.Add(p, i*8))
	case graph.U64:
		return int64(min(*(*uint64)(unsafe.Add(p, i*8)), 1<<62))
	case graph.I32:
		return int64(*(*int32)(unsafe.Add(p, i*4)))
	case graph.U32:
		return int64(*(*uint32)(unsafe.Add(p, i*4)))
	case graph.I8:
		return int64(*(*int8)(unsafe.Add(p, i)))
	}
	return int64(*(*uint8)(unsafe.Add(p, i)))
}

func buildGather(c *nodeContext, _ int) error {
	src, idx, dst := c.in[0], c.in[1], c.out[0]
	batch, outer, indices, extent, row := gatherSizes(src, idx, c.n.Attrs.(*graph.GatherAttrs))
	rowBytes := row * src.dtype.Size()
	n := batch * outer * indices
	part := c.share(n, max(1, 4096/max(rowBytes, 1)))
	rows := gatherFunc(idx.dtype, rowBytes)
	c.add(func(x *execution, tid, threads int) {
		lo, hi := part.span(tid, threads)
		s, p, d := x.ptr(src.slot), x.ptr(idx.slot), x.ptr(dst.slot)
		if rows != nil && batch*outer == 1 {
			rows(d, s, p, lo, hi, extent)
			return
		}
		for i := lo; i < hi; i++ {
			bo, k := i/indices, i%indices
			j := int(min(max(indexAt(idx, p, bo/outer*indices+k), 0), int64(extent-1)))
			copy(unsafe.Slice((*byte)(unsafe.Add(d, i*rowBytes)), rowBytes), unsafe.Slice((*byte)(unsafe.Add(s, (bo*extent+j)*rowBytes)), rowBytes))
		}
	})
	return nil
}

// gatherFunc returns the gather of rows by indices of a type, nil where there is
// no faster way: results lo to hi of those that the indices pick of extent rows.
func gatherFunc(index graph.DType, rowBytes int) func(dst, src, idx unsafe.Pointer, lo, hi, extent int) {
	switch index {
	case graph.I32:
		return gatherBy[int32](rowBytes)
	case graph.I64:
		return gatherBy[int64](rowBytes)
	}
	return nil
}

func gatherBy[I int32 | int64](rowBytes int) func(dst, src, idx unsafe.Pointer, lo, hi, extent int) {
	switch rowBytes {
	case 4:
		return gatherOne[uint32, I]
	case 8:
		return gatherOne[uint64, I]
	}
	return func(dst, src, idx unsafe.Pointer, lo, hi, extent int) {
		for i := lo; i < hi; i++ {
			at := min(max(int(*(*I)(unsafe.Add(idx, i*int(unsafe.Sizeof(I(0)))))), 0), extent-1)
			copy(unsafe.Slice((*byte)(unsafe.Add(dst, i*rowBytes)), rowBytes), unsafe.Slice((*byte)(unsafe.Add(src, at*rowBytes)), rowBytes))
		}
	}
}

func gatherOne[T any, I int32 | int64](dst, src, idx unsafe.Pointer, lo, hi, extent int) {
	if lo >= hi {
		return
	}
	d, s, p := unsafe.Slice((*T)(dst), hi)[lo:], unsafe.Slice((*T)(src), extent), unsafe.Slice((*I)(idx), hi)[lo:]
	for i, at := range p {
		d[i] = s[min(max(int(at), 0), extent-1)]
	}
}

func buildScatterAdd(c *nodeContext, _ int) error {
	src, idx, upd, dst := c.in[0], c.in[1], c.in[2], c.out[0]
	batch, outer, indices, extent, row := gatherSizes(src, idx, c.n.Attrs.(*graph.GatherAttrs))
	c.copyAll(dst, src)
	add := loopFuncs[graph.OpAdd].of(src.dtype)
	if src.dtype == graph.F32 && row >= 8 {
		add = vec2(c.l.b.vec.Add)
	}
	if add == nil {
		// 16-bit floats were widened before.
		return &kernels.UnsupportedError{Backend: "cpu", Op: "scatter_add of " + src.dtype.String(), Reason: "it has no kernel for the element type"}
	}
	size := src.dtype.Size()
	// Threads share the columns of long rows, the rows, or whole positions, so that
	// each element is the sum in the order of the indices whatever their number.
	byColumns := row >= 1024
	byRows := !byColumns && batch*outer == 1
	// Rows go to threads in turn, those of a line of the cache together.
	shift := 0
	for 2*row*size<<shift <= lineBytes && shift < 6 {
		shift++
	}
	single := src.dtype == graph.F32 && row == 1 && batch*outer == 1
	c.add(func(x *execution, tid, threads int) {
		p, u, d := x.ptr(idx.slot), x.ptr(upd.slot), x.ptr(dst.slot)
		r0, r1, b0, b1 := 0, row, 0, batch*outer
		switch {
		case byColumns:
			r0, r1 = span(row, 16, tid, threads)
		case !byRows:
			b0, b1 = span(batch*outer, 1, tid, threads)
		}
		if r0 >= r1 {
			return
		}
		if single { // which of them is whose would take longer to tell
			if tid == 0 {
				scatterOne(f32s(d, extent), f32s(u, indices), idx, p)
			}
			return
		}
		for bo := b0; bo < b1; bo++ {
			for k := range indices {
				j := indexAt(idx, p, bo/outer*indices+k)
				if j < 0 || j >= int64(extent) || byRows && threads > 1 && uint32(j>>shift)%uint32(threads) != uint32(tid) {
					continue
				}
				to := unsafe.Add(d, ((bo*extent+int(j))*row+r0)*size)
				add(to, to, unsafe.Add(u, ((bo*indices+k)*row+r0)*size), nil, r1-r0)
			}
		}
	})
	return nil
}

// scatterOne adds elements one by one, in order.
func scatterOne(d, u []float32, idx tensorAt, p unsafe.Pointer) {
	switch idx.dtype {
	case graph.I32:
		scatterIn(d, u, unsafe.Slice((*int32)(p), len(u)))
	case graph.I64:
		scatterIn(d, u, unsafe.Slice((*int64)(p), len(u)))
	default:
		for k, v := range u {
			if j := indexAt(idx, p, k); j >= 0 && j < int64(len(d)) {
				d[j] += v
			}
		}
	}
}

func scatterIn[I int32 | int64](d, u []float32, index []I) {
	for k, j := range index {
		if uint64(j) < uint64(len(d)) {
			d[j] += u[k]
		}
	}
}

func buildScan(c *nodeContext, node int) error {
	a := c.n.Attrs.(*graph.ScanAttrs)
	flat := c.l.r.body[node]
	if flat == nil {
		return fmt.Errorf("the scan of %q has no body", a.Callee)
	}
	inner, err := lower(context.Background(), c.l.b, c.l.r.module, flat, kernels.Options{Limits: c.l.o.Limits, Opaque: c.l.o.Opaque}, 0, c.l.keeps)
	if err != nil {
		return fmt.Errorf("body of the scan %q: %w", a.Callee, err)
	}
	k := len(c.l.prog.inner)
	c.l.prog.inner = append(c.l.prog.inner, inner)
	length := int(a.Length)
	carries, fixed := int(a.Carries), int(a.Carries+a.Consts)
	if len(c.in) > fixed {
		length = c.in[fixed].shape[0]
	}
	c.flops = inner.plan.FLOPs * int64(length)
	// Two sets of carries, so that a step never writes what it reads.
	var carry [2][]slot
	for i := range carries {
		n := max(c.in[i].numel()*c.in[i].dtype.Size(), 1)
		carry[0] = append(carry[0], c.scratch(n))
		carry[1] = append(carry[1], c.scratch(n))
	}
	in, out := c.in, c.out
	bytesOf := func(t tensorAt) int { return t.numel() * t.dtype.Size() }
	rowBytes := func(t tensorAt) int {
		if t.shape[0] == 0 {
			return 0
		}
		return bytesOf(t) / t.shape[0]
	}
	team := c.l.b.team
	c.add(func(x *execution, tid, threads int) {
		y := x.inner[k]
		copyTo := func(dst, src unsafe.Pointer, n int) {
			copy(unsafe.Slice((*byte)(dst), n), unsafe.Slice((*byte)(src), n))
		}
		for s := range length {
			at := s
			if a.Reverse {
				at = length - 1 - s
			}
			if tid == 0 {
				y.ctx = x.ctx
				for i, info := range inner.slots {
					switch info.kind {
					case paramSlot:
						switch j := info.index; {
						case j < carries && s == 0:
							y.ptrs[i] = x.ptr(in[j].slot)
						case j < carries:
							y.ptrs[i] = x.ptr(carry[(s+1)&1][j])
						case j < fixed:
							y.ptrs[i] = x.ptr(in[j].slot)
						default:
							y.ptrs[i] = unsafe.Add(x.ptr(in[j].slot), at*rowBytes(in[j]))
						}
					case resultSlot:
						if j := info.index; j < carries {
							y.ptrs[i] = x.ptr(carry[s&1][j])
						} else {
							y.ptrs[i] = unsafe.Add(x.ptr(out[j].slot), at*rowBytes(out[j]))
						}
					}
				}
			}
			team.barrier(threads)
			y.step(tid, threads)
		}
		if tid == 0 {
			for i := range carries {
				if length == 0 {
					copyTo(x.ptr(out[i].slot), x.ptr(in[i].slot), bytesOf(out[i]))
				} else {
					copyTo(x.ptr(out[i].slot), x.ptr(carry[(length-1)&1][i]), bytesOf(out[i]))
				}
			}
			if y.err != nil && x.err == nil {
				x.err = y.err
			}
		}
	})
	return nil
}

func buildOpaque(c *nodeContext, _ int) error {
	a := c.n.Attrs.(*graph.OpaqueAttrs)
	caller := c.l.o.Opaque
	if caller == nil {
		return &kernels.UnsupportedError{Backend: "cpu", Op: fmt.Sprintf("opaque_call of %q", a.Component), Reason: "nothing runs opaque components here"}
	}
	view := func(x *execution, t tensorAt) kernels.View {
		s := make([]int64, len(t.shape))
		for i, e := range t.shape {
			s[i] = int64(e)
		}
		return kernels.View{DType: t.dtype, Shape: s, Data: unsafe.Slice((*byte)(x.ptr(t.slot)), t.numel()*t.dtype.Size())}
	}
	c.add(func(x *execution, tid, _ int) {
		if tid != 0 || x.err != nil {
			return
		}
		var in, out []kernels.View
		for _, t := range c.in {
			in = append(in, view(x, t))
		}
		for _, t := range c.out {
			out = append(out, view(x, t))
		}
		if err := caller.Call(x.ctx, a, in, out); err != nil {
			x.err = fmt.Errorf("opaque component %q: %w", a.Component, err)
		}
	})
	return nil
}
