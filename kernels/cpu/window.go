package cpu

import (
	"math"

	"github.com/hone-ml/hone/sdk/graph"
)

// convShape is a convolution over two spatial axes or fewer or more, in
// extents: the plain form that all its three directions share.
type convShape struct {
	n, groups     int
	in, out, win  []int // spatial
	cin, cout     int   // channels of one group
	stride        []int
	low           []int
	inDil, winDil []int
}

func convOf(a *graph.ConvAttrs, x, w, y []int) convShape {
	r := len(x)
	s := convShape{n: x[0], groups: int(a.Groups), in: x[1 : r-1], out: y[1 : r-1], win: w[:r-2], cin: w[r-2], cout: w[r-1] / int(a.Groups)}
	for i := range s.in {
		s.stride = append(s.stride, int(a.Strides[i]))
		s.low = append(s.low, int(a.PadLow[i]))
		s.inDil = append(s.inDil, int(a.InputDilation[i]))
		s.winDil = append(s.winDil, int(a.FilterDilation[i]))
	}
	return s
}

func prod(v []int) int {
	n := 1
	for _, e := range v {
		n *= e
	}
	return n
}

// input returns the flat spatial position that output position o and window
// position w read, or false where it lies in padding or between elements.
func (s *convShape) input(o, w int) (int, bool) {
	pos, step := 0, 1
	for i := len(s.in) - 1; i >= 0; i-- {
		p := o%s.out[i]*s.stride[i] + w%s.win[i]*s.winDil[i] - s.low[i]
		o /= s.out[i]
		w /= s.win[i]
		if p < 0 || p%s.inDil[i] != 0 {
			return 0, false
		}
		if p /= s.inDil[i]; p >= s.in[i] {
			return 0, false
		}
		pos += p * step
		step *= s.in[i]
	}
	return pos, true
}

func (s *convShape) flops() int64 {
	return 2 * int64(s.n) * int64(prod(s.out)) * int64(prod(s.win)) * int64(s.cin) * int64(s.cout) * int64(s.groups)
}

// element is a type that convolutions know, and accumulator what they add in.
func buildConvKind(c *nodeContext, kind int) error {
	a := convOfNode(c.n)
	if c.in[0].dtype == graph.F32 && c.out[0].dtype == graph.F32 && (a.Accum == graph.Invalid || a.Accum == graph.F32) {
		if convolve(c, a, kind) {
			return nil
		}
		convNode[float32, float32, float32](c, a, kind)
		return nil
	}
	if _, err := contractFunc(c.in[0].dtype, a.Accum, c.out[0].dtype); err != nil {
		return err
	}
	switch [2]graph.DType{c.in[0].dtype, c.out[0].dtype} {
	case [2]graph.DType{graph.F32, graph.F32}:
		convNode[float32, float64, float32](c, a, kind)
	case [2]graph.DType{graph.F32, graph.F64}:
		convNode[float32, float64, float64](c, a, kind)
	case [2]graph.DType{graph.F64, graph.F64}:
		convNode[float64, float64, float64](c, a, kind)
	case [2]graph.DType{graph.I8, graph.I32}:
		convNode[int8, int32, int32](c, a, kind)
	case [2]graph.DType{graph.I8, graph.I8}:
		convNode[int8, int8, int8](c, a, kind)
	case [2]graph.DType{graph.U8, graph.I32}:
		convNode[uint8, int32, int32](c, a, kind)
	case [2]graph.DType{graph.U8, graph.U8}:
		convNode[uint8, uint8, uint8](c, a, kind)
	case [2]graph.DType{graph.U8, graph.U32}:
		convNode[uint8, uint32, uint32](c, a, kind)
	case [2]graph.DType{graph.I32, graph.I32}:
		convNode[int32, int32, int32](c, a, kind)
	case [2]graph.DType{graph.I32, graph.I64}:
		convNode[int32, int64, int64](c, a, kind)
	case [2]graph.DType{graph.U32, graph.U32}:
		convNode[uint32, uint32, uint32](c, a, kind)
	case [2]graph.DType{graph.U64, graph.U64}:
		convNode[uint64, uint64, uint64](c, a, kind)
	default:
		convNode[int64, int64, int64](c, a, kind)
	}
	return nil
}

// convolve takes the kernels of package conv where they compute the node.
func convolve(c *nodeContext, a *graph.ConvAttrs, kind int) bool {
	x, w, y := c.in[0], c.in[1], c.out[0]
	build := convolveForward
	switch kind {
	case 1:
		x, y, build = c.out[0], c.in[0], convolveInputGrad
	case 2:
		w, y, build = c.out[0], c.in[1], convolveFilterGrad
	}
	g, ok := imageConv(a, x.shape, w.shape, y.shape)
	if !ok {
		return false
	}
	shape := convOf(a, x.shape, w.shape, y.shape)
	c.flops = shape.flops()
	build(c, g)
	return true
}

func buildConv(c *nodeContext, _ int) error           { return buildConvKind(c, 0) }
func buildConvInputGrad(c *nodeContext, _ int) error  { return buildConvKind(c, 1) }
func buildConvFilterGrad(c *nodeContext, _ int) error { return buildConvKind(c, 2) }

func convNode[T, A, R number](c *nodeContext, a *graph.ConvAttrs, kind int) {
	switch kind {
	case 0:
		s := convOf(a, c.in[0].shape, c.in[1].shape, c.out[0].shape)
		c.flops = s.flops()
		convForward[T, A, R](c, s)
	case 1:
		s := convOf(a, c.out[0].shape, c.in[1].shape, c.in[0].shape)
		c.flops = s.flops()
		convInputGrad[T, A, R](c, s)
	default:
		s := convOf(a, c.in[0].shape, c.out[0].shape, c.in[1].shape)
		c.flops = s.flops()
		convFilterGrad[T, A, R](c, s)
	}
}

func convForward[T, A, R number](c *nodeContext, s convShape) {
	x, w, y := c.in[0], c.in[1], c.out[0]
	no, nw, ni := prod(s.out), prod(s.win), prod(s.in)
	ci, co := s.cin, s.cout
	c.add(func(ex *execution, tid, threads int) {
		X, W, Y := at[T](ex, x), at[T](ex, w), at[R](ex, y)
		acc := make([]A, co)
		lo, hi := span(s.n*no, 1, tid, threads)
		for i := lo; i < hi; i++ {
			n, o := i/no, i%no
			for g := range s.groups {
				clear(acc)
				for k := range nw {
					p, ok := s.input(o, k)
					if !ok {
						continue
					}
					in := X[((n*ni+p)*s.groups+g)*ci:][:ci]
					for q, v := range in {
						f := W[((k*ci+q)*s.groups+g)*co:][:co]
						for j, b := range f {
							acc[j] += A(v) * A(b)
						}
					}
				}
				out := Y[(i*s.groups+g)*co:][:co]
				for j, v := range acc {
					out[j] = R(v)
				}
			}
		}
	})
}

func convInputGrad[T, A, R number](c *nodeContext, s convShape) {
	dy, w, dx := c.in[0], c.in[1], c.out[0]
	no, nw, ni := prod(s.out), prod(s.win), prod(s.in)
	ci, co := s.cin, s.cout
	c.add(func(ex *execution, tid, threads int) {
		DY, W, DX := at[T](ex, dy), at[T](ex, w), at[R](ex, dx)
		acc := make([]A, ni*s.groups*ci)
		lo, hi := span(s.n, 1, tid, threads)
		for n := lo; n < hi; n++ {
			clear(acc)
			for o := range no {
				for k := range nw {
					p, ok := s.input(o, k)
					if !ok {
						continue
					}
					for g := range s.groups {
						up := DY[((n*no+o)*s.groups+g)*co:][:co]
						to := acc[(p*s.groups+g)*ci:][:ci]
						for q := range to {
							f := W[((k*ci+q)*s.groups+g)*co:][:co]
							var sum A
							for j, b := range f {
								sum += A(up[j]) * A(b)
							}
							to[q] += sum
						}
					}
				}
			}
			out := DX[n*len(acc):][:len(acc)]
			for j, v := range acc {
				out[j] = R(v)
			}
		}
	})
}

func convFilterGrad[T, A, R number](c *nodeContext, s convShape) {
	x, dy, dw := c.in[0], c.in[1], c.out[0]
	no, nw, ni := prod(s.out), prod(s.win), prod(s.in)
	ci, co := s.cin, s.cout
	c.add(func(ex *execution, tid, threads int) {
		X, DY, DW := at[T](ex, x), at[T](ex, dy), at[R](ex, dw)
		acc := make([]A, co)
		// One result row, of window position, input channel and group, at a time.
		lo, hi := span(nw*ci*s.groups, 1, tid, threads)
		for i := lo; i < hi; i++ {
			g, q, k := i%s.groups, i/s.groups%ci, i/s.groups/ci
			clear(acc)
			for n := range s.n {
				for o := range no {
					p, ok := s.input(o, k)
					if !ok {
						continue
					}
					v := A(X[((n*ni+p)*s.groups+g)*ci+q])
					for j, b := range DY[((n*no+o)*s.groups+g)*co:][:co] {
						acc[j] += v * A(b)
					}
				}
			}
			out := DW[i*co:][:co]
			for j, v := range acc {
				out[j] = R(v)
			}
		}
	})
}

// windowWalk visits, for every result element, the operand elements of its
// window in row-major order.
type windowWalk struct {
	in, out, win, stride, low, dil []int
}

func walkOf(a *graph.WindowAttrs, in, out []int) *windowWalk {
	w := &windowWalk{in: in, out: out}
	for i := range in {
		w.win = append(w.win, int(a.Window[i]))
		w.stride = append(w.stride, int(a.Strides[i]))
		w.low = append(w.low, int(a.PadLow[i]))
		w.dil = append(w.dil, int(a.Dilation[i]))
	}
	return w
}

func (w *windowWalk) each(o int, visit func(p int)) {
	r := len(w.in)
	var base, idx [graph.MaxRank]int
	for i := r - 1; i >= 0; i-- {
		base[i] = o%w.out[i]*w.stride[i] - w.low[i]
		o /= w.out[i]
	}
	for {
		p, ok := 0, true
		for i := range r {
			q := base[i] + idx[i]*w.dil[i]
			if q < 0 || q >= w.in[i] {
				ok = false
				break
			}
			p = p*w.in[i] + q
		}
		if ok {
			visit(p)
		}
		i := r - 1
		for ; i >= 0; i-- {
			if idx[i]++; idx[i] < w.win[i] {
				break
			}
			idx[i] = 0
		}
		if i < 0 {
			return
		}
	}
}

func buildReduceWindow(c *nodeContext, _ int) error {
	switch c.in[0].dtype {
	case graph.F64:
		reduceWindow(c, math.Inf(-1), math.Inf(1))
	case graph.F32:
		a := c.n.Attrs.(*graph.WindowAttrs)
		if g, ok := imagePool(a, c.in[0].shape, c.out[0].shape); ok && a.Kind != graph.Min {
			c.flops = int64(c.out[0].numel()) * int64(g.R*g.S)
			if a.Kind == graph.Max {
				maxPool(c, g)
			} else {
				sumPool(c, g)
			}
			return nil
		}
		reduceWindow(c, float32(math.Inf(-1)), float32(math.Inf(1)))
	case graph.I64:
		reduceWindow[int64](c, math.MinInt64, math.MaxInt64)
	case graph.I32:
		reduceWindow[int32](c, math.MinInt32, math.MaxInt32)
	case graph.I8:
		reduceWindow[int8](c, math.MinInt8, math.MaxInt8)
	case graph.U64:
		reduceWindow[uint64](c, 0, math.MaxUint64)
	case graph.U32:
		reduceWindow[uint32](c, 0, math.MaxUint32)
	default:
		reduceWindow[uint8](c, 0, math.MaxUint8)
	}
	return nil
}

func reduceWindow[T number](c *nodeContext, lowest, highest T) {
	a := c.n.Attrs.(*graph.WindowAttrs)
	w := walkOf(a, c.in[0].shape, c.out[0].shape)
	n := c.out[0].numel()
	c.flops = int64(n) * int64(prod(w.win))
	c.add(func(x *execution, tid, threads int) {
		X, Y := at[T](x, c.in[0]), at[T](x, c.out[0])
		lo, hi := span(n, 64, tid, threads)
		for o := lo; o < hi; o++ {
			switch a.Kind {
			case graph.Sum:
				var acc T
				w.each(o, func(p int) { acc += X[p] })
				Y[o] = acc
			case graph.Max:
				acc := lowest
				w.each(o, func(p int) { acc = max(acc, X[p]) })
				Y[o] = acc
			default:
				acc := highest
				w.each(o, func(p int) { acc = min(acc, X[p]) })
				Y[o] = acc
			}
		}
	})
}

func buildReduceWindowGrad(c *nodeContext, _ int) error {
	switch c.in[0].dtype {
	case graph.F64:
		reduceWindowGrad[float64](c)
	case graph.F32:
		a := c.n.Attrs.(*graph.WindowAttrs)
		if g, ok := imagePool(a, c.in[0].shape, c.in[1].shape); ok && a.Kind != graph.Min {
			c.flops = int64(c.in[1].numel()) * int64(g.R*g.S)
			if a.Kind == graph.Max {
				maxPoolGrad(c, g)
			} else {
				sumPoolGrad(c, g)
			}
			return nil
		}
		reduceWindowGrad[float32](c)
	case graph.I64:
		reduceWindowGrad[int64](c)
	case graph.I32:
		reduceWindowGrad[int32](c)
	case graph.I8:
		reduceWindowGrad[int8](c)
	case graph.U64:
		reduceWindowGrad[uint64](c)
	case graph.U32:
		reduceWindowGrad[uint32](c)
	default:
		reduceWindowGrad[uint8](c)
	}
	return nil
}

// reduceWindowGrad gives every gradient to its window's elements: all of them
// for a sum, the first largest or smallest (or NaN) otherwise. The first axis is
// shared by threads where windows do not cross it.
func reduceWindowGrad[T number](c *nodeContext) {
	a := c.n.Attrs.(*graph.WindowAttrs)
	src, up, dst := c.in[0], c.in[1], c.out[0]
	w := walkOf(a, src.shape, up.shape)
	shared := len(src.shape) > 0 && w.win[0] == 1 && w.stride[0] == 1 && w.low[0] == 0 && src.shape[0] == up.shape[0]
	rows := 1
	if shared {
		rows = src.shape[0]
	}
	c.flops = int64(up.numel()) * int64(prod(w.win))
	c.add(func(x *execution, tid, threads int) {
		X, U, D := at[T](x, src), at[T](x, up), at[T](x, dst)
		lo, hi := span(rows, 1, tid, threads)
		if rows == 0 || lo >= hi {
			return
		}
		per, perUp := len(X)/rows, len(U)/rows
		clear(D[lo*per : hi*per])
		for o := lo * perUp; o < hi*perUp; o++ {
			if a.Kind == graph.Sum {
				w.each(o, func(p int) { D[p] += U[o] })
				continue
			}
			best := -1
			w.each(o, func(p int) {
				switch {
				case best < 0:
					best = p
				case X[best] != X[best]:
				case X[p] != X[p], a.Kind == graph.Max && X[p] > X[best], a.Kind == graph.Min && X[p] < X[best]:
					best = p
				}
			})
			if best >= 0 {
				D[best] += U[o]
			}
		}
	})
}
