package preprocess

import "github.com/hone-ml/hone/sdk"

// Rescale computes x*scale + offset.
type Rescale struct {
	Scale  float64 `hone:"scale,required" doc:"Factor, such as 1/255 for images of bytes."`
	Offset float64 `hone:"offset,default=0" doc:"Added after scaling."`
}

// Doc describes the transform.
func (*Rescale) Doc() string { return "Multiplies numbers by scale and adds offset." }

// Apply rescales every column.
func (r *Rescale) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		x := b.Number(c).Times(r.Scale)
		if r.Offset != 0 {
			x = x.Plus(r.Offset)
		}
		b.Set(c, x)
	}
}
