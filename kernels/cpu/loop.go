package cpu

import (
	"unsafe"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/philox"
	"github.com/hone-ml/hone/sdk/graph"
)

// block is the number of elements that a loop computes at a time: its
// registers, one block each, stay in the first-level cache.
const block = 1024

// loop is a chain of elementwise ops over one index space of n elements,
// computed block by block.
type loop struct {
	n        int
	ops      []loopOp
	operands []operand
	regs     int  // registers used; each has room for block 8-byte elements
	grain    int  // elements that a thread's part is a multiple of
	rows     int  // the threads share rows instead
	whole    bool // one op over memory alone, which needs no blocks
}

// operand is where an op of a loop reads or writes: a register, or memory that
// runs along with the loop's index.
type operand struct {
	reg  int  // register number, or -1
	slot slot // memory
	size int  // bytes an element
	kept bool // instead: the room of a thread for the range that it computes
}

// loopFunc computes n elements.
type loopFunc func(dst, a, b, c unsafe.Pointer, n int)

// loopOp is one step of a loop: a function over operands, or a source that
// makes the elements from start on.
type loopOp struct {
	fn        loopFunc
	dst       int
	a, b, c   int
	source    loopSource // instead of fn
	invariant bool       // the source gives the same block every time
	single    bool       // and only its first element is read
	rows      *rowSource // instead of fn: moves dst's pointer
	group     *loopGroup // instead of fn
}

// loopGroup is several ops that one kernel computes.
type loopGroup struct {
	outs, ins []int
	run       func(outs, ins []unsafe.Pointer, n int)
}

// compute takes the pointers from ptr; args is room for those of the group.
func (g *loopGroup) compute(ptr, args []unsafe.Pointer, n int) {
	outs, ins := args[:len(g.outs)], args[len(g.outs):len(g.outs)+len(g.ins)]
	for i, o := range g.outs {
		outs[i] = ptr[o]
	}
	for i, o := range g.ins {
		ins[i] = ptr[o]
	}
	g.run(outs, ins, n)
}

// loopSource fills dst with elements start..start+n of something.
type loopSource interface {
	fill(x *execution, dst unsafe.Pointer, start, n int)
}

const maxLoopOperands = 256

// needsNoBlocks reports whether the loop is one op whose operands are memory or
// single elements: its kernel goes through all of it.
func (l *loop) needsNoBlocks() bool {
	single := map[int]bool{}
	var body []*loopOp
	for i := range l.ops {
		switch op := &l.ops[i]; {
		case op.single:
			single[op.dst] = true
		case op.invariant || op.rows != nil || op.source != nil:
			return false
		default:
			body = append(body, op)
		}
	}
	if len(body) != 1 {
		return false
	}
	used := []int{body[0].dst, body[0].a, body[0].b, body[0].c}
	if g := body[0].group; g != nil {
		used = append(append([]int{}, g.outs...), g.ins...)
	}
	for _, o := range used {
		if l.operands[o].reg >= 0 && !single[o] {
			return false
		}
	}
	return true
}

func (l *loop) keep(s slot) {
	for i := range l.operands {
		if o := &l.operands[i]; o.reg < 0 && o.slot == s {
			o.kept = true
		}
	}
}

func (l *loop) share() share { return share{l.rows, l.n, l.grain} }

func (l *loop) run(x *execution, tid, threads int) {
	if lo, hi := l.share().span(tid, threads); lo < hi {
		l.part(x, tid, lo, hi)
	}
}

// part computes elements lo to hi.
func (l *loop) part(x *execution, tid, lo, hi int) {
	ptr := x.threads[tid].operands[:len(l.operands)]
	regs := x.registers(tid)
	for i, o := range l.operands {
		if o.reg >= 0 {
			ptr[i] = unsafe.Add(regs, o.reg*block*8)
		} else if o.kept {
			ptr[i] = unsafe.Pointer(&x.threads[tid].kept[0])
		} else {
			ptr[i] = unsafe.Add(x.ptr(o.slot), lo*o.size)
		}
	}
	for i := range l.ops {
		if op := &l.ops[i]; op.invariant {
			n := min(block, hi-lo)
			if op.single {
				n = 1
			}
			op.source.fill(x, ptr[op.dst], lo, n)
		}
	}
	for i := range l.ops {
		if op := &l.ops[i]; op.rows != nil && op.rows.repeats(hi-lo) {
			op.rows.fill(x, ptr[op.dst], 0, op.rows.width+block)
		}
	}
	size := block
	if l.whole {
		size = hi - lo
	}
	for at := lo; at < hi; at += size {
		n := min(size, hi-at)
		for i := range l.ops {
			switch op := &l.ops[i]; {
			case op.rows != nil:
				ptr[op.dst] = op.rows.at(x, unsafe.Add(regs, l.operands[op.dst].reg*block*8), at, n, hi-lo)
			case op.group != nil:
				op.group.compute(ptr, x.threads[tid].group[:], n)
			case op.fn != nil:
				op.fn(ptr[op.dst], ptr[op.a], ptr[op.b], ptr[op.c], n)
			case !op.invariant:
				op.source.fill(x, ptr[op.dst], at, n)
			}
		}
		if at+size >= hi {
			break // no pointer may leave its memory
		}
		for i := range l.operands {
			if o := &l.operands[i]; o.reg < 0 {
				ptr[i] = unsafe.Add(ptr[i], block*o.size)
			}
		}
	}
}

// scalarSource repeats one element of memory.
type scalarSource struct {
	slot slot
	size int
}

func (s scalarSource) fill(x *execution, dst unsafe.Pointer, _, n int) {
	fillElements(dst, x.ptr(s.slot), n, s.size)
}

// literalSource repeats one constant.
type literalSource struct {
	bits [8]byte
	size int
}

func (s *literalSource) fill(_ *execution, dst unsafe.Pointer, _, n int) {
	fillElements(dst, unsafe.Pointer(&s.bits), n, s.size)
}

func fillElements(dst, src unsafe.Pointer, n, size int) {
	switch size {
	case 1:
		fillT(dst, *(*uint8)(src), n)
	case 2:
		fillT(dst, *(*uint16)(src), n)
	case 4:
		fillT(dst, *(*uint32)(src), n)
	case 8:
		fillT(dst, *(*uint64)(src), n)
	}
}

func fillT[T any](dst unsafe.Pointer, v T, n int) {
	d := unsafe.Slice((*T)(dst), n)
	k := min(n, 32)
	for i := range d[:k] {
		d[i] = v
	}
	for ; k < n; k *= 2 {
		copy(d[k:], d[:k])
	}
}

// stridedSource reads memory through a mapping from the loop's index: dims are
// the extents of the index space, outermost first, with the stride, in
// elements, that each has in memory.
type stridedSource struct {
	slot   slot
	size   int
	offset int
	dims   []int
	stride []int
}

func (s *stridedSource) fill(x *execution, dst unsafe.Pointer, start, n int) {
	src := unsafe.Add(x.ptr(s.slot), s.offset*s.size)
	switch s.size {
	case 1:
		fillStrided[uint8](s, dst, src, start, n)
	case 2:
		fillStrided[uint16](s, dst, src, start, n)
	case 4:
		fillStrided[uint32](s, dst, src, start, n)
	case 8:
		fillStrided[uint64](s, dst, src, start, n)
	}
}

func fillStrided[T any](s *stridedSource, dst, src unsafe.Pointer, start, n int) {
	var idx [graph.MaxRank]int
	var size T
	es := int(unsafe.Sizeof(size))
	last := len(s.dims) - 1
	pos := 0
	rest := start
	for i := last; i >= 0; i-- {
		idx[i] = rest % s.dims[i]
		rest /= s.dims[i]
		pos += idx[i] * s.stride[i]
	}
	out := unsafe.Slice((*T)(dst), n)
	inner, step := s.dims[last], s.stride[last]
	for len(out) > 0 {
		run := min(inner-idx[last], len(out))
		switch p := unsafe.Add(src, pos*es); step {
		case 0:
			if v := *(*T)(p); run > 32 {
				fillT(unsafe.Pointer(unsafe.SliceData(out)), v, run)
			} else {
				for i := range out[:run] {
					out[i] = v
				}
			}
		case 1:
			copy(out[:run], unsafe.Slice((*T)(p), run))
		default:
			for i := range out[:run] {
				out[i] = *(*T)(unsafe.Add(p, i*step*es))
			}
		}
		out = out[run:]
		// To the start of the next run.
		pos -= idx[last] * step
		idx[last] = 0
		for i := last - 1; i >= 0; i-- {
			pos += s.stride[i]
			if idx[i]++; idx[i] < s.dims[i] {
				break
			}
			pos -= idx[i] * s.stride[i]
			idx[i] = 0
		}
	}
}

// rowSource repeats one row of memory, width elements that lie side by side.
// What fits into a register once and a block more is laid there at the start,
// and every block of a long loop reads from where it stands in the row.
type rowSource struct {
	stridedSource
	width int
}

// rowsOf returns a strided source as a repeated row, nil if it is none.
func rowsOf(s *stridedSource) *rowSource {
	if k := len(s.dims); s.offset == 0 && k <= 2 && s.stride[k-1] == 1 && (k == 1 || s.stride[0] == 0) {
		return &rowSource{*s, s.dims[k-1]}
	}
	return nil
}

func (s *rowSource) repeats(n int) bool {
	return (s.width+block)*s.size <= block*8 && n > s.width+block
}

// at returns where elements start to start+n stand, in memory or in the
// register.
func (s *rowSource) at(x *execution, reg unsafe.Pointer, start, n, all int) unsafe.Pointer {
	off := start % s.width
	switch {
	case s.repeats(all):
		return unsafe.Add(reg, off*s.size)
	case off+n <= s.width:
		return unsafe.Add(x.ptr(s.slot), off*s.size)
	}
	s.fill(x, reg, start, n)
	return reg
}

// collapse joins adjacent dimensions that one stride covers and drops extents
// of 1.
func collapse(dims, stride []int) ([]int, []int) {
	var d, s []int
	for i := range dims {
		if dims[i] == 1 {
			continue
		}
		if k := len(d) - 1; k >= 0 && s[k] == stride[i]*dims[i] {
			d[k], s[k] = d[k]*dims[i], stride[i]
			continue
		}
		d, s = append(d, dims[i]), append(s, stride[i])
	}
	if len(d) == 0 {
		return []int{1}, []int{0}
	}
	return d, s
}

// iotaSource counts along one axis: element i is i/inner mod extent.
type iotaSource struct {
	dtype         graph.DType
	extent, inner int
}

func (s *iotaSource) fill(_ *execution, dst unsafe.Pointer, start, n int) {
	switch s.dtype {
	case graph.F64:
		iotaT[float64](s, dst, start, n)
	case graph.F32:
		iotaT[float32](s, dst, start, n)
	case graph.I64:
		iotaT[int64](s, dst, start, n)
	case graph.U64:
		iotaT[uint64](s, dst, start, n)
	case graph.I32:
		iotaT[int32](s, dst, start, n)
	case graph.U32:
		iotaT[uint32](s, dst, start, n)
	case graph.I8:
		iotaT[int8](s, dst, start, n)
	case graph.U8:
		iotaT[uint8](s, dst, start, n)
	}
}

func iotaT[T number](s *iotaSource, dst unsafe.Pointer, start, n int) {
	d := unsafe.Slice((*T)(dst), n)
	k, r := start/s.inner%s.extent, start%s.inner
	for i := range d {
		d[i] = T(k)
		if r++; r == s.inner {
			r = 0
			if k++; k == s.extent {
				k = 0
			}
		}
	}
}

// randomSource draws words of Philox: row i of the index space is the example
// index[i], each with width words.
type randomSource struct {
	key, step, index slot
	width            int
	uniform          bool // multiples of 2^-24 in [0, 1) instead of words
}

func (s *randomSource) fill(x *execution, dst unsafe.Pointer, start, n int) {
	key := graph.SplitKey(*(*uint64)(x.ptr(s.key)))
	step := *(*uint64)(x.ptr(s.step))
	index := x.ptr(s.index)
	k := x.program.backend.philox
	for at := 0; at < n; {
		row, e := start/s.width, start%s.width
		run := min(s.width-e, n-at)
		counter := graph.RandomCounter(uint32(e>>2), *(*uint64)(unsafe.Add(index, row*8)), step)
		d := unsafe.Add(dst, at*4)
		// A part that begins inside of a block of four words takes its rest first.
		if rest := e & 3; rest != 0 {
			run = min(run, 4-rest)
			w := philox.Block(key, counter)
			for i := range run {
				if s.uniform {
					*(*float32)(unsafe.Add(d, i*4)) = float32(w[rest+i]>>8) * (1.0 / (1 << 24))
				} else {
					*(*uint32)(unsafe.Add(d, i*4)) = w[rest+i]
				}
			}
		} else if s.uniform {
			k.Uniform(f32s(d, run), key, counter)
		} else {
			k.Fill(unsafe.Slice((*uint32)(d), run), key, counter)
		}
		at += run
		start += run
	}
}
