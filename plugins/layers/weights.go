package layers

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// L1 penalizes the sum of the magnitudes.
type L1 struct {
	L1 float64 `hone:"l1,default=0.01,min=0" doc:"Factor of the penalty."`
}

// Doc describes the regularizer.
func (*L1) Doc() string { return "l1 times the sum of the magnitudes." }

// Penalty writes the regularizer.
func (r *L1) Penalty(_ *graph.Builder, w graph.Value) graph.Value { return w.Abs().Sum().Times(r.L1) }

// L2 penalizes the sum of the squares.
type L2 struct {
	L2 float64 `hone:"l2,default=0.01,min=0" doc:"Factor of the penalty."`
}

// Doc describes the regularizer.
func (*L2) Doc() string { return "l2 times the sum of the squares." }

// Penalty writes the regularizer.
func (r *L2) Penalty(_ *graph.Builder, w graph.Value) graph.Value {
	return w.Square().Sum().Times(r.L2)
}

// L1L2 penalizes both.
type L1L2 struct {
	L1 float64 `hone:"l1,default=0,min=0" doc:"Factor of the sum of the magnitudes."`
	L2 float64 `hone:"l2,default=0,min=0" doc:"Factor of the sum of the squares."`
}

// Doc describes the regularizer.
func (*L1L2) Doc() string {
	return "l1 times the sum of the magnitudes plus l2 times that of the squares."
}

// Penalty writes the regularizer.
func (r *L1L2) Penalty(_ *graph.Builder, w graph.Value) graph.Value {
	return w.Abs().Sum().Times(r.L1).Add(w.Square().Sum().Times(r.L2))
}

// norm is what the constraints on a norm share.
type norm struct {
	Axis []int `hone:"axis,default=0" doc:"Axes over which a norm is taken: 0 for the inputs of a dense unit, [0, 1, 2] for a filter of a convolution."`
}

func (n *norm) of(w graph.Value) graph.Value {
	return w.Square().Sum(n.Axis...).Unreduce(w, n.Axis...).Sqrt()
}

// normEpsilon is the number that Keras adds to a norm before dividing by it.
const normEpsilon = 1e-7

// MaxNorm bounds the norm of each unit's weights.
type MaxNorm struct {
	MaxValue float64 `hone:"max_value,default=2,min=0" doc:"Largest norm."`
	norm
}

// Doc describes the constraint.
func (*MaxNorm) Doc() string { return "The norm of each unit's weights is at most max_value." }

// Constrain writes the constraint.
func (m *MaxNorm) Constrain(b *graph.Builder, w graph.Value) graph.Value {
	n := m.of(w)
	wanted := n.Max(b.Scalar(w.DType(), 0)).Min(b.Scalar(w.DType(), m.MaxValue))
	return w.Mul(wanted.Div(n.Plus(normEpsilon)))
}

// UnitNorm makes the norm of each unit's weights 1.
type UnitNorm struct{ norm }

// Doc describes the constraint.
func (*UnitNorm) Doc() string { return "The norm of each unit's weights is 1." }

// Constrain writes the constraint.
func (u *UnitNorm) Constrain(_ *graph.Builder, w graph.Value) graph.Value {
	return w.Div(u.of(w).Plus(normEpsilon))
}

// MinMaxNorm keeps the norm of each unit's weights in a range.
type MinMaxNorm struct {
	MinValue float64 `hone:"min_value,default=0,min=0" doc:"Smallest norm."`
	MaxValue float64 `hone:"max_value,default=1,min=0" doc:"Largest norm."`
	Rate     float64 `hone:"rate,default=1,min=0,max=1" doc:"How far an update goes towards the range: 1 is all the way."`
	norm
}

// Doc describes the constraint.
func (*MinMaxNorm) Doc() string { return "The norm of each unit's weights lies in a range." }

// Validate checks the range.
func (m *MinMaxNorm) Validate() error {
	if m.MaxValue < m.MinValue {
		return sdk.Invalid("max_value", "%v is below min_value, %v", m.MaxValue, m.MinValue)
	}
	return nil
}

// Constrain writes the constraint.
func (m *MinMaxNorm) Constrain(b *graph.Builder, w graph.Value) graph.Value {
	n := m.of(w)
	wanted := n.Max(b.Scalar(w.DType(), m.MinValue)).Min(b.Scalar(w.DType(), m.MaxValue)).Times(m.Rate).Add(n.Times(1 - m.Rate))
	return w.Mul(wanted.Div(n.Plus(normEpsilon)))
}

// NonNeg sets negative weights to 0.
type NonNeg struct{}

// Doc describes the constraint.
func (*NonNeg) Doc() string { return "Weights are not negative." }

// Constrain writes the constraint.
func (*NonNeg) Constrain(b *graph.Builder, w graph.Value) graph.Value {
	return w.Ge(b.Scalar(w.DType(), 0)).Select(w, b.Scalar(w.DType(), 0))
}
