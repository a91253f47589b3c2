package layers

import (
	"math"

	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Zeros starts a parameter at 0.
type Zeros struct{}

// Doc describes the initializer.
func (*Zeros) Doc() string { return "Zeros." }

// Init writes the initializer.
func (*Zeros) Init(b *sdk.InitBuilder) graph.Value { return b.Full(0) }

// Ones starts a parameter at 1.
type Ones struct{}

// Doc describes the initializer.
func (*Ones) Doc() string { return "Ones." }

// Init writes the initializer.
func (*Ones) Init(b *sdk.InitBuilder) graph.Value { return b.Full(1) }

// Constant starts a parameter at a number.
type Constant struct {
	Value float64 `hone:"value,default=0" doc:"The number."`
}

// Doc describes the initializer.
func (*Constant) Doc() string { return "The same number everywhere." }

// Init writes the initializer.
func (c *Constant) Init(b *sdk.InitBuilder) graph.Value { return b.Full(c.Value) }

// RandomUniform draws from a range, evenly.
type RandomUniform struct {
	MinVal float64 `hone:"minval,default=-0.05" doc:"Lower end."`
	MaxVal float64 `hone:"maxval,default=0.05" doc:"Upper end, not reached."`
}

// Doc describes the initializer.
func (*RandomUniform) Doc() string { return "Uniform between two numbers." }

// Validate checks the order of the ends.
func (u *RandomUniform) Validate() error {
	if u.MaxVal < u.MinVal {
		return sdk.Invalid("maxval", "%v is below minval, %v", u.MaxVal, u.MinVal)
	}
	return nil
}

// Init writes the initializer.
func (u *RandomUniform) Init(b *sdk.InitBuilder) graph.Value { return b.Uniform(u.MinVal, u.MaxVal) }

// normal is what the two normal distributions share.
type normal struct {
	Mean   float64 `hone:"mean,default=0" doc:"Mean."`
	Stddev float64 `hone:"stddev,default=0.05,min=0" doc:"Standard deviation."`
}

// RandomNormal draws from a normal distribution.
type RandomNormal struct{ normal }

// Doc describes the initializer.
func (*RandomNormal) Doc() string { return "Normal." }

// Init writes the initializer.
func (n *RandomNormal) Init(b *sdk.InitBuilder) graph.Value { return b.Normal(n.Mean, n.Stddev) }

// TruncatedNormal draws from a normal distribution cut at two standard deviations.
type TruncatedNormal struct{ normal }

// Doc describes the initializer.
func (*TruncatedNormal) Doc() string {
	return "Normal, with what lies more than two standard deviations from the mean drawn again."
}

// Init writes the initializer.
func (n *TruncatedNormal) Init(b *sdk.InitBuilder) graph.Value {
	return b.TruncatedNormal(n.Mean, n.Stddev)
}

// The number that variance scaling divides by.
const (
	fanIn  = "fan_in"
	fanOut = "fan_out"
	fanAvg = "fan_avg"
)

// VarianceScaling draws with a variance of scale / n, where n counts the
// connections of a unit.
type VarianceScaling struct {
	Scale        float64 `hone:"scale,default=1,above=0" doc:"Factor of the variance."`
	Mode         string  `hone:"mode,default=fan_in,enum=fan_in|fan_out|fan_avg" doc:"Connections counted: inputs, outputs, or their average."`
	Distribution string  `hone:"distribution,default=truncated_normal,enum=truncated_normal|untruncated_normal|uniform" doc:"Shape of the distribution."`
}

// Doc describes the initializer.
func (*VarianceScaling) Doc() string {
	return "Random with a variance of scale divided by the number of connections."
}

// Init writes the initializer.
func (v *VarianceScaling) Init(b *sdk.InitBuilder) graph.Value {
	in, out := b.Fans()
	n := float64(in)
	switch v.Mode {
	case fanOut:
		n = float64(out)
	case fanAvg:
		n = float64(in+out) / 2
	}
	variance := v.Scale / math.Max(1, n)
	switch v.Distribution {
	case "uniform":
		limit := math.Sqrt(3 * variance)
		return b.Uniform(-limit, limit)
	case "untruncated_normal":
		return b.Normal(0, math.Sqrt(variance))
	}
	// Truncation takes from the variance what is given here beforehand.
	const truncated = 0.87962566103423978
	return b.TruncatedNormal(0, math.Sqrt(variance)/truncated)
}

// scaled is variance scaling with fixed arguments: the schemes of Glorot and
// Bengio (2010), He and others (2015), LeCun and others (1998).
type scaled struct {
	scale  float64
	mode   string
	normal bool
}

// Doc describes the initializer.
func (s *scaled) Doc() string {
	n := map[string]string{fanIn: "inputs", fanAvg: "inputs and outputs, averaged"}[s.mode]
	if s.normal {
		return "Truncated normal, its variance scaled by the number of " + n + "."
	}
	return "Uniform, its variance scaled by the number of " + n + "."
}

// Init writes the initializer.
func (s *scaled) Init(b *sdk.InitBuilder) graph.Value {
	v := &VarianceScaling{Scale: s.scale, Mode: s.mode, Distribution: "uniform"}
	if s.normal {
		v.Distribution = "truncated_normal"
	}
	return v.Init(b)
}

// Orthogonal draws a matrix with orthonormal rows or columns, whichever are
// fewer (Saxe and others, 2014): normal numbers made orthogonal one after the
// other, which is their QR decomposition with a positive diagonal.
type Orthogonal struct {
	Gain float64 `hone:"gain,default=1" doc:"Factor of the matrix."`
}

// Doc describes the initializer.
func (*Orthogonal) Doc() string {
	return "A random orthogonal matrix; all axes but the last count as rows."
}

// Init writes the initializer.
func (o *Orthogonal) Init(b *sdk.InitBuilder) graph.Value {
	ext := b.Extents()
	if len(ext) < 2 {
		return b.Failf("a parameter of %d axes is no matrix", len(ext))
	}
	rows, cols := int64(1), ext[len(ext)-1]
	for _, e := range ext[:len(ext)-1] {
		rows *= e
	}
	long, few := max(rows, cols), min(rows, cols)
	vectors := b.Normal(0, 1).Convert(graph.F64).Reshape(graph.Es(long, few)...).Transpose(1, 0)
	last, _ := b.ScanBody("gram_schmidt", graph.Loop{},
		[]graph.Value{b.Builder.Full(graph.F64, 0, graph.Es(few, long)...), b.Scalar(graph.I64, 0)}, nil, []graph.Value{vectors},
		func(s *graph.Builder, done, _, v []graph.Value) (next, out []graph.Value) {
			q, i, u := done[0], done[1], v[0]
			for range 2 { // the second time for what rounding has left
				u = u.Sub(q.MatMul(u).MatMul(q))
			}
			u = u.Div(u.Square().Sum().Sqrt())
			return []graph.Value{q.DynamicUpdateSlice(u.Reshape(graph.E(1), u.Dim(0)), i, s.Scalar(graph.I64, 0)), i.Plus(1)}, nil
		})
	m := last[0]
	if rows >= cols {
		m = m.Transpose(1, 0)
	}
	return m.Times(o.Gain).Convert(b.Type().DType).Reshape(graph.Es(ext...)...)
}
