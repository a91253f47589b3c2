package conv

import "fmt"

// Geometry is a convolution. The filter is in HWIO order: R x S x C/Groups x
// K, group g of the input channels making group g of the K output channels.
type Geometry struct {
	N, H, W, C int // images, without padding
	K          int // output channels
	R, S       int // filter

	StrideH, StrideW     int
	DilationH, DilationW int
	Groups               int

	PadTop, PadBottom, PadLeft, PadRight int
}

// OutH is the height of the output.
func (g *Geometry) OutH() int {
	return (g.H+g.PadTop+g.PadBottom-g.DilationH*(g.R-1)-1)/g.StrideH + 1
}

// OutW is the width of the output.
func (g *Geometry) OutW() int {
	return (g.W+g.PadLeft+g.PadRight-g.DilationW*(g.S-1)-1)/g.StrideW + 1
}

// Check returns an error that names what is wrong.
func (g *Geometry) Check() error {
	switch {
	case g.N < 1 || g.H < 1 || g.W < 1 || g.C < 1 || g.K < 1 || g.R < 1 || g.S < 1:
		return fmt.Errorf("conv: empty dimension in %+v", *g)
	case g.StrideH < 1 || g.StrideW < 1 || g.DilationH < 1 || g.DilationW < 1:
		return fmt.Errorf("conv: stride %dx%d, dilation %dx%d: must be at least 1", g.StrideH, g.StrideW, g.DilationH, g.DilationW)
	case g.PadTop < 0 || g.PadBottom < 0 || g.PadLeft < 0 || g.PadRight < 0:
		return fmt.Errorf("conv: negative padding in %+v", *g)
	case g.Groups < 1 || g.C%g.Groups != 0 || g.K%g.Groups != 0:
		return fmt.Errorf("conv: %d groups divide neither or not both of %d and %d channels", g.Groups, g.C, g.K)
	case g.H+g.PadTop+g.PadBottom <= g.DilationH*(g.R-1) || g.W+g.PadLeft+g.PadRight <= g.DilationW*(g.S-1):
		return fmt.Errorf("conv: filter %dx%d with dilation %dx%d is larger than the padded image", g.R, g.S, g.DilationH, g.DilationW)
	}
	return nil
}

// GradPadding is the border of zeros that the gradient of the output needs
// for the gradient of the image.
func (g *Geometry) GradPadding() (top, bottom, left, right int) {
	top, bottom = gradPadding(g.H, g.OutH(), g.R, g.StrideH, g.DilationH, g.PadTop)
	left, right = gradPadding(g.W, g.OutW(), g.S, g.StrideW, g.DilationW, g.PadLeft)
	return top, bottom, left, right
}

// gradPadding goes through the output positions o = (i+pad-r*dilation)/stride
// that the first and last inputs of each phase take part in.
func gradPadding(size, out, filter, stride, dilation, pad int) (before, after int) {
	for phase := range min(stride, size) {
		last := (size - 1 - phase) / stride
		for r := range filter {
			at := phase + pad - r*dilation
			if at%stride != 0 {
				continue
			}
			before = max(before, -at/stride)
			after = max(after, at/stride+last-(out-1))
		}
	}
	return before, after
}

// View is a batch of images somewhere in memory: element (n, h, w, c) is
// Data[n*Image + h*Row + w*Pixel + c].
type View struct {
	Data       []float32
	N, H, W, C int

	Image, Row, Pixel int
}

// NHWC is the view of dense memory.
func NHWC(data []float32, n, h, w, c int) View {
	return View{Data: data[:n*h*w*c], N: n, H: h, W: w, C: c, Image: h * w * c, Row: w * c, Pixel: c}
}

// Inset is the part of each image that begins at (top, left).
func (v View) Inset(top, left, h, w int) View {
	v.Data = v.Data[top*v.Row+left*v.Pixel:]
	v.H, v.W = h, w
	return v
}

// dense reports whether pixels follow one another through the whole batch.
func (v *View) dense() bool { return v.Row == v.W*v.Pixel && v.Image == v.H*v.Row }

// check panics unless the view holds n images of h x w x c.
func (v *View) check(name string, n, h, w, c int) {
	if v.N != n || v.H != h || v.W != w || v.C != c {
		panic(fmt.Sprintf("conv: %s is %dx%dx%dx%d, want %dx%dx%dx%d", name, v.N, v.H, v.W, v.C, n, h, w, c))
	}
	if need := (n-1)*v.Image + (h-1)*v.Row + (w-1)*v.Pixel + c; len(v.Data) < need || v.Pixel < c {
		panic(fmt.Sprintf("conv: %s has %d elements of the %d it spans", name, len(v.Data), need))
	}
}

// Pad copies rows r0 to r1 of x (row n*H+h) into dst, a view of images with
// top, bottom, left and right more pixels of zeros, and the zeros with them:
// those above with an image's first row and those below with its last.
func Pad(dst, x View, top, bottom, left, right, r0, r1 int) {
	dst.check("padded image", x.N, x.H+top+bottom, x.W+left+right, x.C)
	x.check("image", x.N, x.H, x.W, x.C)
	for row := r0; row < r1; row++ {
		n, h := row/x.H, row%x.H
		from := top + h
		if h == 0 {
			from = 0
		}
		to := top + h + 1
		if h == x.H-1 {
			to += bottom
		}
		for i := from; i < to; i++ {
			out := dst.Data[n*dst.Image+i*dst.Row:]
			if i != top+h {
				fill(out, dst.W, &dst)
				continue
			}
			fill(out, left, &dst)
			copyPixels(out[left*dst.Pixel:], x.Data[n*x.Image+h*x.Row:], &dst, &x)
			if right > 0 {
				fill(out[(left+x.W)*dst.Pixel:], right, &dst)
			}
		}
	}
}

func fill(out []float32, pixels int, v *View) {
	if v.Pixel == v.C {
		clear(out[:pixels*v.C])
		return
	}
	for w := range pixels {
		clear(out[w*v.Pixel:][:v.C])
	}
}

func copyPixels(out, in []float32, dst, x *View) {
	if dst.Pixel == x.C && x.Pixel == x.C {
		copy(out[:x.W*x.C], in)
		return
	}
	for w := range x.W {
		copy(out[w*dst.Pixel:][:x.C], in[w*x.Pixel:])
	}
}
