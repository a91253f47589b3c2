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

// ParseNumber reads text as numbers.
type ParseNumber struct {
	Strict bool `hone:"strict,default=false" doc:"Text that is no number is an error; otherwise it is a missing value."`
}

// Doc describes the transform.
func (*ParseNumber) Doc() string { return "Reads columns of text as decimal numbers." }

// Takes chooses text.
func (*ParseNumber) Takes(c sdk.Column) bool { return c.Kind == sdk.TextColumn && !c.Target }

// Apply reads every column.
func (s *ParseNumber) Apply(b *sdk.TransformBuilder) {
	for _, c := range b.Columns() {
		x := b.ParseNumber(c, s.Strict)
		b.Output(sdk.Output{Name: c.Name, Value: x, Missing: x.Eq(x).Not()})
	}
}
