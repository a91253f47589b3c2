package preprocess

import "github.com/hone-ml/hone/sdk"

// Rescale multiplies its columns by a number and adds another.
type Rescale struct {
	Scale  float64 `hone:"scale,required" doc:"What the values are multiplied by, such as 1/255."`
	Offset float64 `hone:"offset,default=0" doc:"What is added then."`
}

// Doc describes the transform.
func (*Rescale) Doc() string { return "x * scale + offset." }

// Apply writes the transform.
func (r *Rescale) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		v := b.Number(c).Times(r.Scale)
		if r.Offset != 0 {
			v = v.Plus(r.Offset)
		}
		b.Set(c, v)
	}
}
