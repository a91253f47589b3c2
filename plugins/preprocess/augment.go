package preprocess

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// images are what the augmentations take: [height, width] or [height, width, channels].
type images struct{}

// Takes chooses columns of images.
func (images) Takes(c sdk.Column) bool {
	n := len(c.Type.Shape)
	return c.Kind == sdk.NumberColumn && !c.Target && (n == 3 || n == 4)
}

// check reports a column that holds no images.
func (i images) check(b *sdk.TransformBuilder, c sdk.Column) bool {
	if !i.Takes(c) {
		b.Failf("column %q is %v and holds no images, which are [height, width] or [height, width, channels]", c.Name, c.Type)
		return false
	}
	return true
}

// like gives a value [batch] as many axes as x has.
func like(v, x graph.Value) graph.Value {
	return v.BroadcastAlong([]int64{0}, x.Dims()...)
}

// RandomFlip mirrors images.
type RandomFlip struct {
	images
	Mode string `hone:"mode,default=horizontal_and_vertical,enum=horizontal|vertical|horizontal_and_vertical" doc:"In which directions an image may be mirrored, each with probability 1/2."`
}

// Doc describes the transform.
func (*RandomFlip) Doc() string { return "Mirrors training images at random, anew in each epoch." }

// Apply mirrors.
func (s *RandomFlip) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		if !s.check(b, c) {
			return
		}
		x := b.Elements(c)
		for _, d := range []struct {
			axis int
			mode string
		}{{2, "horizontal"}, {1, "vertical"}} {
			if s.Mode == d.mode || s.Mode == "horizontal_and_vertical" {
				flip := b.Uniform().Lt(b.Scalar(graph.F32, 0.5))
				x = like(flip, x).Select(x.Reverse(d.axis), x)
			}
		}
		b.Set(c, x)
	}
}

// RandomCrop shifts images.
type RandomCrop struct {
	images
	Padding int `hone:"padding,default=4,min=1,max=4096" doc:"Zeros added on every side before a part of the old size is cut out."`
}

// Doc describes the transform.
func (*RandomCrop) Doc() string {
	return "Adds zeros around training images and cuts out a part of the old size at random, anew in each epoch."
}

// Apply crops.
func (s *RandomCrop) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		if !s.check(b, c) {
			return
		}
		x := b.Elements(c)
		for _, axis := range []int{1, 2} {
			x = s.shift(b, x, axis)
		}
		b.Set(c, x)
	}
}

// shift moves each image along an axis by -padding to padding places.
func (s *RandomCrop) shift(b *sdk.TransformBuilder, x graph.Value, axis int) graph.Value {
	n := x.Dim(axis)
	draw := b.Uniform().Times(float64(2*s.Padding + 1)).Floor().Convert(graph.I32)
	draw = draw.Sub(b.Scalar(graph.I32, float64(s.Padding)))
	// from is the place that each place of the result takes its elements from.
	from := draw.Reshape(x.Dim(0), graph.E(1)).Add(b.Iota(graph.I32, 1, x.Dim(0), n))
	inside := from.Ge(b.Scalar(graph.I32, 0)).And(from.Lt(x.Size(axis).Convert(graph.I32)))
	perm := []int{0, 1, 2}
	if x.Rank() == 4 {
		perm = append(perm, 3)
	}
	perm[1], perm[axis] = perm[axis], perm[1]
	y := x.Transpose(perm...).Gather(1, 1, from)
	zero := b.Scalar(x.DType(), 0)
	return inside.BroadcastAlong([]int64{0, 1}, y.Dims()...).Select(y, zero).Transpose(perm...)
}
