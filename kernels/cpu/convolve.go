package cpu

import (
	"slices"
	"unsafe"

	"github.com/hone-ml/hone/kernels/cpu/internal/asm/conv"
	"github.com/hone-ml/hone/sdk/graph"
)

// Winograd's algorithm is faster than the direct one from this number of
// channels on both sides, and from this product of both.
const (
	winogradChannels       = 32
	winogradProduct        = 2048
	winogradFilterChannels = 32 // for the filter's gradient
)

// imageConv brings a convolution over one or two spatial axes to the geometry
// of package conv; ok is false for those that it does not compute.
func imageConv(a *graph.ConvAttrs, x, w, y []int) (g conv.Geometry, ok bool) {
	r := len(x)
	if r != 3 && r != 4 {
		return g, false
	}
	for _, e := range [][]int{x, w, y} {
		if prod(e) == 0 {
			return g, false
		}
	}
	for i := range r - 2 {
		if a.InputDilation[i] != 1 {
			return g, false
		}
	}
	g = conv.Geometry{
		N: x[0], H: 1, W: x[r-2], C: x[r-1], K: w[r-1], R: 1, S: w[r-3], Groups: int(a.Groups),
		StrideH: 1, StrideW: int(a.Strides[r-3]), DilationH: 1, DilationW: int(a.FilterDilation[r-3]),
		PadLeft: int(a.PadLow[r-3]), PadRight: int(a.PadHigh[r-3]),
	}
	if r == 4 {
		g.H, g.R, g.StrideH, g.DilationH = x[1], w[0], int(a.Strides[0]), int(a.FilterDilation[0])
		g.PadTop, g.PadBottom = int(a.PadLow[0]), int(a.PadHigh[0])
	}
	if g.Check() != nil {
		return g, false
	}
	top, bottom, left, right := g.GradPadding()
	out := y[1]
	if r == 3 {
		out = 1
	}
	return g, top >= 0 && bottom >= 0 && left >= 0 && right >= 0 && g.OutH() == out && g.OutW() == y[r-2]
}

func depthwise(g *conv.Geometry) bool { return g.Groups == g.C && g.K == g.C && g.C > 1 }

func winograd(g *conv.Geometry) bool {
	return g.Winograd() && g.C >= winogradChannels && g.K >= winogradChannels && g.C*g.K >= winogradProduct
}

// bordered gives the images of a value a border of zeros, in scratch memory
// that the pad function fills; without a border both are the images themselves.
func (c *nodeContext) bordered(t tensorAt, n, h, w, ch, top, bottom, left, right int) (view func(x *execution) conv.View, pad func(x *execution, tid, threads int)) {
	plain := func(x *execution) conv.View { return conv.NHWC(at[float32](x, t), n, h, w, ch) }
	if top|bottom|left|right == 0 {
		return plain, nil
	}
	ph, pw := h+top+bottom, w+left+right
	s := c.scratch(n * ph * pw * ch * 4)
	view = func(x *execution) conv.View { return conv.NHWC(f32s(x.ptr(s), n*ph*pw*ch), n, ph, pw, ch) }
	pad = func(x *execution, tid, threads int) {
		if lo, hi := span(n*h, 1, tid, threads); lo < hi {
			conv.Pad(view(x), plain(x), top, bottom, left, right, lo, hi)
		}
	}
	return view, pad
}

// packed reserves the memory of a packed filter, which is kept from one run to
// the next where the filter is a parameter that the program does not replace.
func (c *nodeContext) packed(w tensorAt, n int) func(x *execution) []float32 {
	c.l.prog.packs++
	s := c.reserve(w, n*4)
	return func(x *execution) []float32 { return f32s(x.ptr(s), n) }
}

// reserve is scratch for what is made of a filter alone.
func (c *nodeContext) reserve(w tensorAt, bytes int) slot {
	if c.l.fixedParam(w.slot) < 0 {
		return c.scratch(bytes)
	}
	s := c.l.keep(int64(bytes))
	c.access = append(c.access, access{slot: s, write: true})
	return s
}

// parts splits rows among the threads, or channels where there are few rows.
func parts(rows, channels, unit, tid, threads int) (r0, r1, c0, c1 int) {
	if rows >= 4*threads || channels < unit*threads {
		r0, r1 = span(rows, 1, tid, threads)
		return r0, r1, 0, channels
	}
	c0, c1 = span(channels, unit, tid, threads)
	return 0, rows, c0, c1
}

// overRows returns an instruction that computes rows and channels of a
// convolution. Threads take rows in chunks, at least some of them at once, and
// take over what others are late with; where there are few, they share the
// channels.
func (c *nodeContext) overRows(rows, least, channels, unit int, compute func(x *execution, tid, r0, r1, c0, c1 int)) func(x *execution, tid, threads int) {
	first := c.l.prog.queues
	c.l.prog.queues += c.l.b.team.size
	return func(x *execution, tid, threads int) {
		chunk := max(least, rows/(chunksOfThread*threads))
		if threads == 1 || rows < 4*threads || rows >= 1<<queueBits {
			if r0, r1, c0, c1 := parts(rows, channels, unit, tid, threads); r0 < r1 && c0 < c1 {
				compute(x, tid, r0, r1, c0, c1)
			}
			return
		}
		x.eachChunk(first, rows, chunk, chunk, tid, threads, func(from, to int) { compute(x, tid, from, to, 0, channels) })
	}
}

// chunksOfThread is the number of chunks of a thread's rows where they are many.
const chunksOfThread = 8

// leastPixels is the number of pixels from which it does not matter that each
// chunk reads the whole filter.
const leastPixels = 196

// atLeast is the number of rows of width that have n pixels or more, atMost that
// of rows of tiles, one at least, that have no more than n.
func atLeast(n, width int) int { return (n + width - 1) / width }
func atMost(n, width int) int  { return max(1, n/width) }

// prepare adds the instructions that pack the filter and pad the image, where
// there is something to do.
func (c *nodeContext) prepare(w tensorAt, pad, pack func(x *execution, tid, threads int)) {
	fixed := c.l.fixedParam(w.slot)
	switch {
	case pack == nil && pad == nil:
	case pack == nil:
		c.add(pad)
	case pad == nil:
		c.add(pack)
		c.once(fixed)
	case fixed >= 0:
		c.add(pack)
		c.once(fixed)
		c.add(pad)
	default:
		c.add(func(x *execution, tid, threads int) {
			pack(x, tid, threads)
			pad(x, tid, threads)
		})
	}
}

// filterPieces is the number of pieces in which a filter is looked at.
const filterPieces = 64

// guard leaves the step to the plain kernel where the filter holds what is not
// finite: a border of zeros would make NaN of it. looked is what packing the
// filter has to do for it.
func (c *nodeContext) guard(border int, w tensorAt, pack func(x *execution, tid, threads int), plain func(c *nodeContext), run func(x *execution, tid, threads int)) (looking func(x *execution, tid, threads int), guarded func(x *execution, tid, threads int)) {
	if border == 0 {
		return pack, run
	}
	found := c.reserve(w, filterPieces*4)
	flags := func(x *execution) []uint32 { return unsafe.Slice((*uint32)(x.ptr(found)), filterPieces) }
	k := c.l.b.vec
	looking = func(x *execution, tid, threads int) {
		f, flag := at[float32](x, w), flags(x)
		lo, hi := span(filterPieces, 1, tid, threads)
		for i := lo; i < hi; i++ {
			flag[i] = 0
			if from, to := len(f)*i/filterPieces, len(f)*(i+1)/filterPieces; from < to {
				if low, high := k.MinOf(f[from:to]), k.MaxOf(f[from:to]); low-low != 0 || high-high != 0 {
					flag[i] = 1
				}
			}
		}
		if pack != nil {
			pack(x, tid, threads)
		}
	}
	other := &nodeContext{l: c.l, n: c.n, in: c.in, out: c.out, at: c.at}
	plain(other)
	guarded = func(x *execution, tid, threads int) {
		if slices.Contains(flags(x), 1) {
			other.code[0](x, tid, threads)
			return
		}
		run(x, tid, threads)
	}
	return looking, guarded
}

func convolveForward(c *nodeContext, g conv.Geometry) {
	k := c.l.b.conv
	relu := false
	if a, ok := c.n.Attrs.(*convAttrs); ok {
		relu = a.relu
	}
	epilogue := func(x *execution) (e conv.Epilogue) {
		if e.ReLU = relu; len(c.in) == 3 {
			e.Bias = at[float32](x, c.in[2])
		}
		return e
	}
	oh, ow := g.OutH(), g.OutW()
	unit, kg := k.ChannelUnit(), g.K/g.Groups
	x, w, y := c.in[0], c.in[1], c.out[0]
	image, pad := c.bordered(x, g.N, g.H, g.W, g.C, g.PadTop, g.PadBottom, g.PadLeft, g.PadRight)
	out := func(x *execution) conv.View { return conv.NHWC(at[float32](x, y), g.N, oh, ow, g.K) }
	// compute adds the instructions, of which pack may be nil.
	compute := func(pack, run func(x *execution, tid, threads int)) {
		pack, run = c.guard(g.PadTop+g.PadBottom+g.PadLeft+g.PadRight, w, pack, func(c *nodeContext) {
			convForward[float32, float32, float32](c, convOf(convOfNode(c.n), x.shape, w.shape, y.shape))
			plain := c.code[0]
			c.code[0] = func(x *execution, tid, threads int) {
				plain(x, tid, threads)
				if lo, hi := span(g.N*oh*ow, 1, tid, threads); lo < hi {
					finish(at[float32](x, y)[lo*g.K:hi*g.K], epilogue(x))
				}
			}
		}, run)
		c.prepare(w, pad, pack)
		c.add(run)
	}
	switch {
	case depthwise(&g):
		compute(nil, c.overRows(g.N*oh, 1, g.C, 16, func(x *execution, tid, r0, r1, c0, c1 int) {
			k.Depthwise(&g, image(x), at[float32](x, w), out(x), epilogue(x), r0, r1, c0, c1, &x.threads[tid].conv)
		}))
	case winograd(&g):
		filter := c.packed(w, k.WinogradLen(&g))
		compute(func(x *execution, tid, threads int) {
			if lo, hi := span(g.K, unit, tid, threads); lo < hi {
				k.WinogradPack(filter(x), at[float32](x, w), &g, lo, hi, &x.threads[tid].conv)
			}
		}, c.overRows(g.N*((oh+1)/2), atMost(conv.MostTiles, (ow+1)/2), g.K, unit, func(x *execution, tid, r0, r1, c0, c1 int) {
			k.WinogradForward(&g, image(x), filter(x), out(x), epilogue(x), r0, r1, c0, c1, &x.threads[tid].conv)
		}))
	default:
		filter := c.packed(w, k.PackedLen(&g))
		compute(func(x *execution, tid, threads int) {
			if lo, hi := span(kg, unit, tid, threads); lo < hi {
				k.Pack(filter(x), at[float32](x, w), &g, lo, hi)
			}
		}, c.overRows(g.N*oh, atLeast(leastPixels, ow), kg, unit, func(x *execution, tid, r0, r1, c0, c1 int) {
			k.Forward(&g, image(x), filter(x), out(x), epilogue(x), r0, r1, c0, c1, &x.threads[tid].conv)
		}))
	}
}

// finish applies an epilogue to pixels that the plain kernel has computed.
func finish(pixels []float32, e conv.Epilogue) {
	for i := range pixels {
		if e.Bias != nil {
			pixels[i] += e.Bias[i%len(e.Bias)]
		}
		if e.ReLU {
			pixels[i] = max(pixels[i], 0)
		}
	}
}

func convolveInputGrad(c *nodeContext, g conv.Geometry) {
	k := c.l.b.conv
	unit, cg := k.ChannelUnit(), g.C/g.Groups
	dy, w, dx := c.in[0], c.in[1], c.out[0]
	top, bottom, left, right := g.GradPadding()
	image, pad := c.bordered(dy, g.N, g.OutH(), g.OutW(), g.K, top, bottom, left, right)
	out := func(x *execution) conv.View { return conv.NHWC(at[float32](x, dx), g.N, g.H, g.W, g.C) }
	compute := func(pack, run func(x *execution, tid, threads int)) {
		pack, run = c.guard(top+bottom+left+right, w, pack, func(c *nodeContext) {
			a := c.n.Attrs.(*graph.ConvAttrs)
			convInputGrad[float32, float32, float32](c, convOf(a, dx.shape, w.shape, dy.shape))
		}, run)
		c.prepare(w, pad, pack)
		c.add(run)
	}
	switch {
	case depthwise(&g):
		compute(nil, c.overRows(g.N*g.H, 1, g.C, 16, func(x *execution, tid, r0, r1, c0, c1 int) {
			k.DepthwiseData(&g, image(x), at[float32](x, w), out(x), r0, r1, c0, c1, &x.threads[tid].conv)
		}))
	case winograd(&g):
		filter := c.packed(w, k.WinogradDataLen(&g))
		compute(func(x *execution, tid, threads int) {
			if lo, hi := span(g.C, unit, tid, threads); lo < hi {
				k.WinogradPackData(filter(x), at[float32](x, w), &g, lo, hi, &x.threads[tid].conv)
			}
		}, c.overRows(g.N*((g.H+1)/2), atMost(conv.MostTiles, (g.W+1)/2), g.C, unit, func(x *execution, tid, r0, r1, c0, c1 int) {
			k.WinogradData(&g, image(x), filter(x), out(x), r0, r1, c0, c1, &x.threads[tid].conv)
		}))
	default:
		filter := c.packed(w, k.PackedDataLen(&g))
		compute(func(x *execution, tid, threads int) {
			if lo, hi := span(cg, unit, tid, threads); lo < hi {
				k.PackData(filter(x), at[float32](x, w), &g, lo, hi)
			}
		}, c.overRows(g.N*g.H, atLeast(leastPixels, g.W), cg, unit, func(x *execution, tid, r0, r1, c0, c1 int) {
			k.BackwardData(&g, image(x), filter(x), out(x), r0, r1, c0, c1, &x.threads[tid].conv)
		}))
	}
}

func convolveFilterGrad(c *nodeContext, g conv.Geometry) {
	k := c.l.b.conv
	oh, ow := g.OutH(), g.OutW()
	unit, kg := k.ChannelUnit(), g.K/g.Groups
	x, dy, dw := c.in[0], c.in[1], c.out[0]
	image, pad := c.bordered(x, g.N, g.H, g.W, g.C, g.PadTop, g.PadBottom, g.PadLeft, g.PadRight)
	up := func(x *execution) conv.View { return conv.NHWC(at[float32](x, dy), g.N, oh, ow, g.K) }
	if pad != nil {
		c.add(pad)
	}
	if depthwise(&g) {
		c.add(func(x *execution, tid, threads int) {
			if lo, hi := span(g.C, 8, tid, threads); lo < hi {
				k.DepthwiseFilter(&g, image(x), up(x), at[float32](x, dw), false, lo, hi, &x.threads[tid].conv)
			}
		})
		return
	}
	if winograd(&g) && min(g.C, g.K) >= winogradFilterChannels {
		sums := c.scratch(k.WinogradFilterLen(&g) * 4)
		c.add(func(x *execution, tid, threads int) {
			c0, c1, k0, k1 := 0, g.C, 0, g.K
			if g.K > g.C {
				k0, k1 = span(g.K, unit, tid, threads)
			} else {
				c0, c1 = span(g.C, 6, tid, threads)
			}
			if c0 < c1 && k0 < k1 {
				k.WinogradBackwardFilter(&g, image(x), up(x), at[float32](x, dw), f32s(x.ptr(sums), k.WinogradFilterLen(&g)), c0, c1, k0, k1, &x.threads[tid].conv)
			}
		})
		return
	}
	rows := g.R * g.S * g.C / g.Groups
	if pieces := min(g.N, mostPieces); pieces >= leastPieces && 2*pieces*rows*g.K <= g.N*oh*ow*min(g.C, g.K) {
		c.filterByImages(g, pieces, image, up, dw)
		return
	}
	c.add(func(x *execution, tid, threads int) {
		i0, i1, k0, k1 := 0, rows, 0, kg
		if kg >= 4*unit*threads && kg >= rows { // each thread reads all of the narrower side
			k0, k1 = span(kg, unit, tid, threads)
		} else {
			i0, i1 = span(rows, 1, tid, threads)
		}
		if i0 < i1 && k0 < k1 {
			k.BackwardFilter(&g, image(x), up(x), at[float32](x, dw), false, i0, i1, k0, k1, &x.threads[tid].conv)
		}
	})
}

// A small filter's gradient is summed over groups of images apart, of which there
// are as many as these say: that neither operand is read by more than one thread
// is worth more than adding up.
const leastPieces, mostPieces = 4, 16

// filterByImages computes the gradient of a filter for pieces groups of images,
// which the threads share, and adds them up.
func (c *nodeContext) filterByImages(g conv.Geometry, pieces int, image, up func(x *execution) conv.View, dw tensorAt) {
	k := c.l.b.conv
	size, rows, kg := dw.numel(), g.R*g.S*g.C/g.Groups, g.K/g.Groups
	sums := c.scratch(pieces * size * 4)
	first := c.l.prog.queues
	c.l.prog.queues += c.l.b.team.size
	compute := func(x *execution, tid, piece, k0, k1 int) {
		n0, n1 := piece*g.N/pieces, (piece+1)*g.N/pieces
		part, in, grad := g, image(x), up(x)
		part.N = n1 - n0
		for _, v := range []*conv.View{&in, &grad} {
			v.N, v.Data = part.N, v.Data[n0*v.Image:]
		}
		k.BackwardFilter(&part, in, grad, f32s(x.ptr(sums), pieces*size)[piece*size:], false, 0, rows, k0, k1, &x.threads[tid].conv)
	}
	c.add(func(x *execution, tid, threads int) {
		if threads == 1 {
			for i := range pieces {
				compute(x, tid, i, 0, kg)
			}
			return
		}
		// More threads than pieces share their channels.
		across := (threads + pieces - 1) / pieces
		x.eachChunk(first, pieces*across, 1, 1, tid, threads, func(from, to int) {
			if k0, k1 := span(kg, k.ChannelUnit(), from%across, across); k0 < k1 {
				compute(x, tid, from/across, k0, k1)
			}
		})
	})
	add := c.l.b.vec.Add
	c.add(func(x *execution, tid, threads int) {
		lo, hi := span(size, 16, tid, threads)
		all, out := f32s(x.ptr(sums), pieces*size), at[float32](x, dw)
		for ; lo < hi; lo += block {
			end := min(lo+block, hi)
			add(out[lo:end], all[lo:end], all[size+lo:size+end])
			for i := 2; i < pieces; i++ {
				add(out[lo:end], out[lo:end], all[i*size+lo:i*size+end])
			}
		}
	})
}

// imagePool is imageConv for windows over the two middle axes.
func imagePool(a *graph.WindowAttrs, x, y []int) (g conv.Geometry, ok bool) {
	if len(x) != 4 || prod(x) == 0 || prod(y) == 0 {
		return g, false
	}
	for _, i := range []int{0, 3} {
		if a.Window[i] != 1 || a.Strides[i] != 1 || a.PadLow[i] != 0 || a.PadHigh[i] != 0 {
			return g, false
		}
	}
	g = conv.Geometry{
		N: x[0], H: x[1], W: x[2], C: x[3], K: x[3], R: int(a.Window[1]), S: int(a.Window[2]), Groups: 1,
		StrideH: int(a.Strides[1]), StrideW: int(a.Strides[2]), DilationH: int(a.Dilation[1]), DilationW: int(a.Dilation[2]),
		PadTop: int(a.PadLow[1]), PadBottom: int(a.PadHigh[1]), PadLeft: int(a.PadLow[2]), PadRight: int(a.PadHigh[2]),
	}
	return g, g.Check() == nil && g.OutH() == y[1] && g.OutW() == y[2]
}

func maxPool(c *nodeContext, g conv.Geometry) {
	k := c.l.b.conv
	oh, ow := g.OutH(), g.OutW()
	src, dst := c.in[0], c.out[0]
	c.add(func(x *execution, tid, threads int) {
		if lo, hi := span(g.N*oh, 1, tid, threads); lo < hi {
			k.MaxPool(&g, conv.NHWC(at[float32](x, src), g.N, g.H, g.W, g.C), conv.NHWC(at[float32](x, dst), g.N, oh, ow, g.C), lo, hi, &x.threads[tid].conv)
		}
	})
}

// maxPoolGrad gives each maximum its gradient. Where the third operand, the
// maxima, is missing, it computes those of an image again.
func maxPoolGrad(c *nodeContext, g conv.Geometry) {
	k := c.l.b.conv
	oh, ow := g.OutH(), g.OutW()
	src, up, dst := c.in[0], c.in[1], c.out[0]
	tops := slot(-1)
	if len(c.in) == 3 {
		tops = c.in[2].slot
	} else {
		tops = c.scratch(g.N * oh * ow * g.C * 4)
	}
	c.add(func(x *execution, tid, threads int) {
		image, grad := conv.NHWC(at[float32](x, src), g.N, g.H, g.W, g.C), conv.NHWC(at[float32](x, up), g.N, oh, ow, g.C)
		top := conv.NHWC(f32s(x.ptr(tops), g.N*oh*ow*g.C), g.N, oh, ow, g.C)
		dx := conv.NHWC(at[float32](x, dst), g.N, g.H, g.W, g.C)
		lo, hi := span(g.N, 1, tid, threads)
		for n := lo; n < hi; n++ {
			if len(c.in) == 2 {
				k.MaxPool(&g, image, top, n*oh, (n+1)*oh, &x.threads[tid].conv)
			}
			k.MaxPoolGrad(&g, image, top, grad, dx, n, n+1, 0, g.C, &x.threads[tid].conv)
		}
	})
}

// sumPool adds the pixels of a window, row by row of channels.
func sumPool(c *nodeContext, g conv.Geometry) {
	add := c.l.b.vec.Add
	oh, ow := g.OutH(), g.OutW()
	src, dst := c.in[0], c.out[0]
	c.add(func(x *execution, tid, threads int) {
		in, out := at[float32](x, src), at[float32](x, dst)
		lo, hi := span(g.N*oh*ow, 8, tid, threads)
		for i := lo; i < hi; i++ {
			acc := out[i*g.C:][:g.C]
			clear(acc)
			eachPixel(&g, i, func(p int) { add(acc, acc, in[p*g.C:][:g.C]) })
		}
	})
}

// sumPoolGrad adds each gradient to the pixels of its window.
func sumPoolGrad(c *nodeContext, g conv.Geometry) {
	add := c.l.b.vec.Add
	per := g.OutH() * g.OutW()
	up, dst := c.in[1], c.out[0]
	c.add(func(x *execution, tid, threads int) {
		dy, dx := at[float32](x, up), at[float32](x, dst)
		lo, hi := span(g.N, 1, tid, threads)
		clear(dx[lo*g.H*g.W*g.C : max(lo, hi)*g.H*g.W*g.C])
		for i := lo * per; i < hi*per; i++ {
			grad := dy[i*g.C:][:g.C]
			eachPixel(&g, i, func(p int) { to := dx[p*g.C:][:g.C]; add(to, to, grad) })
		}
	})
}

// eachPixel visits the pixels of the image in the window of output pixel i.
func eachPixel(g *conv.Geometry, i int, visit func(p int)) {
	oh, ow := g.OutH(), g.OutW()
	n, h, w := i/ow/oh, i/ow%oh, i%ow
	for r := range g.R {
		y := h*g.StrideH + r*g.DilationH - g.PadTop
		if y < 0 || y >= g.H {
			continue
		}
		for s := range g.S {
			if z := w*g.StrideW + s*g.DilationW - g.PadLeft; z >= 0 && z < g.W {
				visit((n*g.H+y)*g.W + z)
			}
		}
	}
}
