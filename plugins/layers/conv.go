package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Images are [batch, height, width, channels].

// window is what convolutions and poolings share.
type window struct {
	padding string
	size    []int64 // of the window on the spatial axes
	strides []int64
	spread  []int64 // dilation
}

// pair repeats a single number for both spatial axes.
func pair(n []int) []int64 {
	if len(n) == 1 {
		return []int64{int64(n[0]), int64(n[0])}
	}
	return []int64{int64(n[0]), int64(n[1])}
}

// pads returns the elements added before and after each spatial axis: none for
// "valid"; for "same" as many as make the result ceil(extent / stride) long, the
// odd one at the end.
func (w window) pads(x graph.Value) (low, high []int64) {
	low, high = make([]int64, len(w.size)), make([]int64, len(w.size))
	if w.padding != "same" {
		return low, high
	}
	for i := range w.size {
		n := x.ConstDim(i + 1)
		out := (n + w.strides[i] - 1) / w.strides[i]
		total := max((out-1)*w.strides[i]+(w.size[i]-1)*w.spread[i]+1-n, 0)
		low[i], high[i] = total/2, total-total/2
	}
	return low, high
}

func (w window) conv(x, kernel graph.Value, groups int64) graph.Value {
	low, high := w.pads(x)
	return x.Conv(kernel, graph.ConvAttrs{
		Strides: w.strides, PadLow: low, PadHigh: high,
		InputDilation: []int64{1, 1}, FilterDilation: w.spread, Groups: groups,
	})
}

func (w window) reduce(x graph.Value, kind graph.ReduceKind, low, high []int64) graph.Value {
	around := func(v []int64, edge int64) []int64 { return []int64{edge, v[0], v[1], edge} }
	return x.ReduceWindow(graph.WindowAttrs{
		Kind: kind, Window: around(w.size, 1), Strides: around(w.strides, 1),
		PadLow: around(low, 0), PadHigh: around(high, 0), Dilation: []int64{1, 1, 1, 1},
	})
}

// wantImages refuses inputs that are no images of floats.
func wantImages(b *sdk.LayerBuilder, x graph.Value) bool {
	if !wantFloat(b, x, 1) {
		return false
	}
	if x.Rank() != 4 {
		b.Failf("the input %v is no batch of images [batch, height, width, channels]; put a reshape layer before", x.Type())
		return false
	}
	return true
}

// geometry is what convolutions share in their arguments.
type geometry struct {
	KernelSize   []int  `hone:"kernel_size,required,min=1,len=1..2" doc:"Height and width of the kernel, or one number for both."`
	Strides      []int  `hone:"strides,default=1,min=1,len=1..2" doc:"Steps between positions of the kernel."`
	Padding      string `hone:"padding,default=valid,enum=valid|same" doc:"same adds zeros so that the result is as large as the input divided by the strides; valid adds none."`
	DilationRate []int  `hone:"dilation_rate,default=1,min=1,len=1..2" doc:"Steps between the kernel's elements."`
}

// Validate refuses what Keras does.
func (g *geometry) Validate() error {
	s, d := pair(g.Strides), pair(g.DilationRate)
	if (s[0] > 1 || s[1] > 1) && (d[0] > 1 || d[1] > 1) {
		return sdk.Invalid("dilation_rate", "strides and dilation_rate cannot both be above 1")
	}
	return nil
}

func (g *geometry) window() window {
	return window{g.Padding, pair(g.KernelSize), pair(g.Strides), pair(g.DilationRate)}
}

// Conv2D convolves images with learned kernels.
type Conv2D struct {
	Filters int `hone:"filters,required,min=1" doc:"Number of output channels."`
	geometry
	Groups int `hone:"groups,default=1,min=1" doc:"Groups of channels that are convolved apart."`
	bias
	kernel
}

// Doc describes the layer.
func (*Conv2D) Doc() string {
	return "Convolves images [batch, height, width, channels] with learned kernels."
}

// Validate checks that the groups come out even.
func (c *Conv2D) Validate() error {
	if c.Groups > 0 && c.Filters%c.Groups != 0 {
		return sdk.Invalid("filters", "%d filters do not divide into %d groups", c.Filters, c.Groups)
	}
	return c.geometry.Validate()
}

// Build writes the layer.
func (c *Conv2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	w, groups, filters := c.window(), int64(c.Groups), int64(c.Filters)
	in := x.ConstDim(3)
	if in%groups != 0 {
		return b.Failf("the %d channels of %v do not divide into %d groups", in, x.Type(), groups)
	}
	k := b.Param("kernel", graph.T(x.DType(), w.size[0], w.size[1], in/groups, filters), c.param("spatial", "spatial", "in", "out"))
	return c.finish(b, w.conv(x, k, groups), filters)
}

// depthwise convolves every channel with kernels of its own, [h, w, channels,
// multiplier]; channel c gives the outputs c*multiplier and on.
func depthwise(w window, x, k graph.Value) graph.Value {
	k = k.Reshape(k.Dim(0), k.Dim(1), graph.E(1), k.Dim(2).Times(k.Dim(3)))
	return w.conv(x, k, x.ConstDim(3))
}

// depthwiseKernel is what the two layers with one share.
type depthwiseKernel struct {
	DepthMultiplier      int           `hone:"depth_multiplier,default=1,min=1" doc:"Outputs of each channel."`
	DepthwiseInitializer sdk.Component `hone:"depthwise_initializer,kind=initializer,default=glorot_uniform" doc:"First value of the depthwise kernel."`
	DepthwiseRegularizer sdk.Component `hone:"depthwise_regularizer,kind=regularizer" doc:"Penalty on the depthwise kernel."`
	DepthwiseConstraint  sdk.Component `hone:"depthwise_constraint,kind=constraint" doc:"What the depthwise kernel must satisfy after each update."`
}

func (d *depthwiseKernel) declare(b *sdk.LayerBuilder, path string, w window, x graph.Value) graph.Value {
	return b.Param(path, graph.T(x.DType(), w.size[0], w.size[1], x.ConstDim(3), int64(d.DepthMultiplier)), sdk.Param{
		Axes: []string{"spatial", "spatial", "in", "out"}, Tag: "kernel",
		Initializer: d.DepthwiseInitializer, Regularizer: d.DepthwiseRegularizer, Constraint: d.DepthwiseConstraint,
	})
}

// DepthwiseConv2D convolves every channel of images with kernels of its own.
type DepthwiseConv2D struct {
	geometry
	depthwiseKernel
	bias
}

// Doc describes the layer.
func (*DepthwiseConv2D) Doc() string {
	return "Convolves every channel of images with kernels of its own."
}

// Build writes the layer.
func (d *DepthwiseConv2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	w := d.window()
	k := d.declare(b, "kernel", w, x)
	return d.finish(b, depthwise(w, x, k), x.ConstDim(3)*int64(d.DepthMultiplier))
}

// SeparableConv2D is a depthwise convolution followed by one of size 1.
type SeparableConv2D struct {
	Filters int `hone:"filters,required,min=1" doc:"Number of output channels."`
	geometry
	depthwiseKernel
	PointwiseInitializer sdk.Component `hone:"pointwise_initializer,kind=initializer,default=glorot_uniform" doc:"First value of the pointwise kernel."`
	PointwiseRegularizer sdk.Component `hone:"pointwise_regularizer,kind=regularizer" doc:"Penalty on the pointwise kernel."`
	PointwiseConstraint  sdk.Component `hone:"pointwise_constraint,kind=constraint" doc:"What the pointwise kernel must satisfy after each update."`
	bias
}

// Doc describes the layer.
func (*SeparableConv2D) Doc() string {
	return "Convolves every channel by itself, then mixes the channels."
}

// Build writes the layer.
func (s *SeparableConv2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	w, filters := s.window(), int64(s.Filters)
	y := depthwise(w, x, s.declare(b, "depthwise_kernel", w, x))
	k := b.Param("pointwise_kernel", graph.T(x.DType(), 1, 1, y.ConstDim(3), filters), sdk.Param{
		Axes: []string{"spatial", "spatial", "in", "out"}, Tag: "kernel",
		Initializer: s.PointwiseInitializer, Regularizer: s.PointwiseRegularizer, Constraint: s.PointwiseConstraint,
	})
	one := window{"valid", []int64{1, 1}, []int64{1, 1}, []int64{1, 1}}
	return s.finish(b, one.conv(y, k, 1), filters)
}

// pool is what the poolings share.
type pool struct {
	PoolSize []int  `hone:"pool_size,default=2,min=1,len=1..2" doc:"Height and width of the window, or one number for both."`
	Strides  []int  `hone:"strides,optional,min=1,len=1..2" doc:"Steps between windows; the window's size where absent."`
	Padding  string `hone:"padding,default=valid,enum=valid|same" doc:"same goes over the edge so that the result is as large as the input divided by the strides; valid drops what is left over."`
}

func (p *pool) window() window {
	s := p.Strides
	if len(s) == 0 {
		s = p.PoolSize
	}
	return window{p.Padding, pair(p.PoolSize), pair(s), []int64{1, 1}}
}

// MaxPooling2D takes the largest value of each window.
type MaxPooling2D struct{ pool }

// Doc describes the layer.
func (*MaxPooling2D) Doc() string { return "Takes the largest value of each window of images." }

// Build writes the layer.
func (p *MaxPooling2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	w := p.window()
	low, high := w.pads(x)
	return w.reduce(x, graph.Max, low, high)
}

// AveragePooling2D averages each window; what lies beyond the edge does not count.
type AveragePooling2D struct{ pool }

// Doc describes the layer.
func (*AveragePooling2D) Doc() string {
	return "Averages each window of images; what lies beyond the edge does not count."
}

// Build writes the layer.
func (p *AveragePooling2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	w := p.window()
	low, high := w.pads(x)
	sum := w.reduce(x, graph.Sum, low, high)
	if low[0]+low[1]+high[0]+high[1] == 0 {
		return sum.Div(b.Scalar(x.DType(), float64(w.size[0]*w.size[1])))
	}
	ones := b.Full(x.DType(), 1, graph.E(1), x.Dim(1), x.Dim(2), graph.E(1))
	return sum.Div(w.reduce(ones, graph.Sum, low, high))
}

// global is what the global poolings share.
type global struct {
	KeepDims bool `hone:"keepdims,default=false" doc:"Keep the spatial axes, with an extent of 1."`
}

func (g *global) shape(x, y graph.Value) graph.Value {
	if g.KeepDims {
		return y.Unreduce(x, 1, 2)
	}
	return y
}

// GlobalAveragePooling2D averages each channel over the image.
type GlobalAveragePooling2D struct{ global }

// Doc describes the layer.
func (*GlobalAveragePooling2D) Doc() string { return "Averages each channel over the whole image." }

// Build writes the layer.
func (g *GlobalAveragePooling2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	return g.shape(x, x.Mean(1, 2))
}

// GlobalMaxPooling2D takes each channel's largest value over the image.
type GlobalMaxPooling2D struct{ global }

// Doc describes the layer.
func (*GlobalMaxPooling2D) Doc() string {
	return "Takes each channel's largest value over the whole image."
}

// Build writes the layer.
func (g *GlobalMaxPooling2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	return g.shape(x, x.Reduce(graph.Max, 1, 2))
}

// ZeroPadding2D adds zeros around images.
type ZeroPadding2D struct {
	Padding []int `hone:"padding,default=1,min=0,len=1..4" doc:"Rows and columns added: one number for all sides, two for height and width, four for top, bottom, left and right."`
}

// Doc describes the layer.
func (*ZeroPadding2D) Doc() string { return "Adds rows and columns of zeros around images." }

// Validate checks the length.
func (z *ZeroPadding2D) Validate() error {
	if len(z.Padding) == 3 {
		return sdk.Invalid("padding", "has 3 values, wanted 1, 2 or 4")
	}
	return nil
}

// Build writes the layer.
func (z *ZeroPadding2D) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if !wantImages(b, x) {
		return x
	}
	p := []int64{}
	for _, n := range z.Padding {
		p = append(p, int64(n))
	}
	switch len(p) {
	case 1:
		p = []int64{p[0], p[0], p[0], p[0]}
	case 2:
		p = []int64{p[0], p[0], p[1], p[1]}
	}
	return x.Pad(0, graph.Es(0, p[0], p[2], 0), graph.Es(0, p[1], p[3], 0), []int64{0, 0, 0, 0})
}
