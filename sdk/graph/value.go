package graph

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

func (v Value) ok() bool { return v.b != nil && v.id >= 0 && v.b.err == nil }

// Valid reports whether the value came from an operation that succeeded.
func (v Value) Valid() bool { return v.ok() }

// Builder returns the builder of the function the value belongs to.
func (v Value) Builder() *Builder { return v.b }

// Type returns the value's type; the zero Type for a failed value.
func (v Value) Type() Type {
	if v.b == nil || v.id < 0 {
		return Type{}
	}
	return v.b.types[v.id]
}

// DType returns the value's element type.
func (v Value) DType() DType { return v.Type().DType }

// Rank returns the number of axes.
func (v Value) Rank() int { return v.Type().Rank() }

// axis turns a possibly negative axis into 0..rank-1.
func (v Value) axis(a int) (int64, bool) {
	r := v.Rank()
	if a < 0 {
		a += r
	}
	if v.ok() && (a < 0 || a >= r) {
		v.b.Failf("axis %d of %v, which has %d axes", a, v.Type(), r)
		return 0, false
	}
	return int64(a), v.ok()
}

func (v Value) axes(axes []int) ([]int64, bool) {
	out := make([]int64, 0, len(axes))
	for _, a := range axes {
		x, ok := v.axis(a)
		if !ok {
			return nil, false
		}
		out = append(out, x)
	}
	slices.Sort(out)
	return slices.Compact(out), true
}

// Dim returns the extent of an axis; negative axes count from the last.
func (v Value) Dim(axis int) Extent {
	a, ok := v.axis(axis)
	if !ok {
		return E(1)
	}
	return Extent{terms: []extentTerm{{1, 1, []extentRef{{v, a}}}}}
}

// Dims returns the extents of all axes.
func (v Value) Dims() []Extent {
	out := make([]Extent, v.Rank())
	for i := range out {
		out[i] = v.Dim(i)
	}
	return out
}

// ConstDim returns the extent of an axis that must be constant.
func (v Value) ConstDim(axis int) int64 {
	a, ok := v.axis(axis)
	if !ok {
		return 1
	}
	n, isConst := v.Type().Shape[a].Const()
	if !isConst {
		v.b.Failf("axis %d of %v must be constant", axis, v.Type())
	}
	return n
}

// Const returns a constant: a literal up to MaxLiteral bytes, beyond that a
// named tensor of the module, whose name comes from its contents.
func (b *Builder) Const(t *Tensor) Value {
	if t == nil || len(t.Data) <= MaxLiteral {
		return b.apply1(OpConstant, &ConstantAttrs{Value: t})
	}
	w := canonWriter{}
	w.tensor(t)
	sum := sha256.Sum256(w.b)
	name := fmt.Sprintf("const.%x", sum[:12])
	b.module.Consts[name] = t
	return b.apply1(OpConstant, &ConstantAttrs{Ref: name, To: t.DType, Dims: slices.Clone(t.Shape)})
}

// Scalar returns a scalar literal of type d.
func (b *Builder) Scalar(d DType, x float64) Value {
	if !d.Valid() {
		return Value{b: b, id: -1}
	}
	return b.Const(ScalarOf(d, x))
}

// Full returns a value of type d and the given extents, filled with x.
func (b *Builder) Full(d DType, x float64, extents ...Extent) Value {
	return b.Scalar(d, x).BroadcastTo(extents...)
}

// Iota counts 0, 1, 2, ... along axis.
func (b *Builder) Iota(d DType, axis int, extents ...Extent) Value {
	e, refs := b.exprs(nil, extents)
	return b.apply1(OpIota, &IotaAttrs{To: d, Axis: int64(axis), Shape: e}, refs...)
}

func (v Value) unary(op Op) Value {
	if v.b == nil {
		return v
	}
	return v.b.apply1(op, nil, v)
}

// Neg returns -v.
func (v Value) Neg() Value { return v.unary(OpNeg) }

// Abs returns |v|.
func (v Value) Abs() Value { return v.unary(OpAbs) }

// Sign returns -1, 0 or 1; NaN for NaN.
func (v Value) Sign() Value { return v.unary(OpSign) }

// Exp returns e^v.
func (v Value) Exp() Value { return v.unary(OpExp) }

// Expm1 returns e^v - 1.
func (v Value) Expm1() Value { return v.unary(OpExpm1) }

// Log returns the natural logarithm.
func (v Value) Log() Value { return v.unary(OpLog) }

// Log1p returns log(1 + v).
func (v Value) Log1p() Value { return v.unary(OpLog1p) }

// Sqrt returns the square root.
func (v Value) Sqrt() Value { return v.unary(OpSqrt) }

// Rsqrt returns 1/sqrt(v).
func (v Value) Rsqrt() Value { return v.unary(OpRsqrt) }

// Tanh returns the hyperbolic tangent.
func (v Value) Tanh() Value { return v.unary(OpTanh) }

// Sigmoid returns 1/(1 + e^-v).
func (v Value) Sigmoid() Value { return v.unary(OpSigmoid) }

// Erf returns the error function.
func (v Value) Erf() Value { return v.unary(OpErf) }

// Sin returns the sine.
func (v Value) Sin() Value { return v.unary(OpSin) }

// Cos returns the cosine.
func (v Value) Cos() Value { return v.unary(OpCos) }

// Floor rounds down.
func (v Value) Floor() Value { return v.unary(OpFloor) }

// Ceil rounds up.
func (v Value) Ceil() Value { return v.unary(OpCeil) }

// Round rounds to nearest, ties to even.
func (v Value) Round() Value { return v.unary(OpRound) }

// IsFinite is true where v is neither infinite nor NaN.
func (v Value) IsFinite() Value { return v.unary(OpIsFinite) }

// Not is the logical or bitwise complement.
func (v Value) Not() Value { return v.unary(OpNot) }

// Square returns v*v.
func (v Value) Square() Value { return v.Mul(v) }

// align broadcasts both operands to their common shape: axes are matched from
// the last, an extent of 1 stretches.
func align(v, w Value) (Value, Value) {
	if v.b == nil || !v.b.owns(v, w) {
		return v, w
	}
	s, t := v.Type().Shape, w.Type().Shape
	if s.Equal(t) {
		return v, w
	}
	rank := max(len(s), len(t))
	target := make([]Extent, rank)
	vFull, wFull := len(s) == rank, len(t) == rank
	for i := range rank {
		a, c := i-(rank-len(s)), i-(rank-len(t))
		switch {
		case a < 0:
			target[i], vFull = w.Dim(c), false
		case c < 0:
			target[i], wFull = v.Dim(a), false
		case s[a] == t[c]:
			target[i] = v.Dim(a)
		case s[a].Is(1):
			target[i], vFull = w.Dim(c), false
		case t[c].Is(1):
			target[i], wFull = v.Dim(a), false
		default:
			v.b.Failf("cannot broadcast %v with %v: axis %d has %v and %v", v.Type(), w.Type(), i, s[a], t[c])
			return v, w
		}
	}
	if !vFull {
		if wFull {
			target = w.Dims()
		}
		v = v.BroadcastTo(target...)
	}
	if !wFull {
		if vFull {
			target = v.Dims()
		}
		w = w.BroadcastTo(target...)
	}
	return v, w
}

func (v Value) binary(op Op, a Attrs, w Value) Value {
	if v.b == nil {
		return w
	}
	v, w = align(v, w)
	return v.b.apply1(op, a, v, w)
}

// Add returns v + w. Like all two-operand methods it broadcasts: axes are
// matched from the last, an extent of 1 stretches.
func (v Value) Add(w Value) Value { return v.binary(OpAdd, nil, w) }

// Sub returns v - w.
func (v Value) Sub(w Value) Value { return v.binary(OpSub, nil, w) }

// Mul returns v * w.
func (v Value) Mul(w Value) Value { return v.binary(OpMul, nil, w) }

// Div returns v / w.
func (v Value) Div(w Value) Value { return v.binary(OpDiv, nil, w) }

// Rem returns the remainder of v / w with the sign of v.
func (v Value) Rem(w Value) Value { return v.binary(OpRem, nil, w) }

// Pow returns v^w.
func (v Value) Pow(w Value) Value { return v.binary(OpPow, nil, w) }

// Max returns the larger; NaN where either is NaN.
func (v Value) Max(w Value) Value { return v.binary(OpMax, nil, w) }

// Min returns the smaller; NaN where either is NaN.
func (v Value) Min(w Value) Value { return v.binary(OpMin, nil, w) }

// And is the logical or bitwise and.
func (v Value) And(w Value) Value { return v.binary(OpAnd, nil, w) }

// Or is the logical or bitwise or.
func (v Value) Or(w Value) Value { return v.binary(OpOr, nil, w) }

// Xor is the logical or bitwise exclusive or.
func (v Value) Xor(w Value) Value { return v.binary(OpXor, nil, w) }

// Shl shifts left; 0 from the width on.
func (v Value) Shl(w Value) Value { return v.binary(OpShl, nil, w) }

// Shr shifts right, arithmetically for signed types.
func (v Value) Shr(w Value) Value { return v.binary(OpShr, nil, w) }

// Compare returns the bools of one comparison.
func (v Value) Compare(d Direction, w Value) Value {
	return v.binary(OpCompare, &CompareAttrs{Direction: d}, w)
}

// Eq is Compare(Eq, w).
func (v Value) Eq(w Value) Value { return v.Compare(Eq, w) }

// Gt is Compare(Gt, w).
func (v Value) Gt(w Value) Value { return v.Compare(Gt, w) }

// Ge is Compare(Ge, w).
func (v Value) Ge(w Value) Value { return v.Compare(Ge, w) }

// Lt is Compare(Lt, w).
func (v Value) Lt(w Value) Value { return v.Compare(Lt, w) }

// Le is Compare(Le, w).
func (v Value) Le(w Value) Value { return v.Compare(Le, w) }

// Plus returns v + x.
func (v Value) Plus(x float64) Value { return v.Add(v.lit(x)) }

// Times returns v * x.
func (v Value) Times(x float64) Value { return v.Mul(v.lit(x)) }

// lit returns x as a scalar of v's element type.
func (v Value) lit(x float64) Value {
	if v.b == nil {
		return v
	}
	return v.b.Scalar(v.DType(), x)
}

// Select returns yes where the bools v hold, no elsewhere; all broadcast.
func (v Value) Select(yes, no Value) Value {
	if v.b == nil {
		return v
	}
	yes, no = align(yes, no)
	v, yes = align(v, yes)
	v, no = align(v, no)
	return v.b.apply1(OpSelect, nil, v, yes, no)
}

// Convert returns v as another element type.
func (v Value) Convert(d DType) Value {
	if v.b == nil || v.ok() && v.DType() == d {
		return v
	}
	return v.b.apply1(OpConvert, &ConvertAttrs{To: d}, v)
}

// Bitcast reinterprets the bits as another element type of the same size.
func (v Value) Bitcast(d DType) Value {
	if v.b == nil {
		return v
	}
	return v.b.apply1(OpBitcast, &ConvertAttrs{To: d}, v)
}

// Size returns the extent of an axis as an i64 scalar.
func (v Value) Size(axis int) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	return v.b.apply1(OpSize, &SizeAttrs{Axis: a}, v)
}

// Reduce combines the elements along the axes, which are removed; all axes
// where none are given.
func (v Value) Reduce(kind ReduceKind, axes ...int) Value {
	if len(axes) == 0 {
		for i := range v.Rank() {
			axes = append(axes, i)
		}
	}
	a, ok := v.axes(axes)
	if !ok {
		return v
	}
	return v.b.apply1(OpReduce, &ReduceAttrs{Kind: kind, Axes: a}, v)
}

// Sum adds the elements along the axes (all where none are given).
func (v Value) Sum(axes ...int) Value { return v.Reduce(Sum, axes...) }

// Mean averages the elements along the axes (all where none are given).
func (v Value) Mean(axes ...int) Value {
	if len(axes) == 0 {
		for i := range v.Rank() {
			axes = append(axes, i)
		}
	}
	if _, ok := v.axes(axes); !ok {
		return v
	}
	return v.Reduce(Sum, axes...).Div(v.count(axes))
}

// count returns the number of elements along axes, in v's type.
func (v Value) count(axes []int) Value {
	a, ok := v.axes(axes)
	if !ok {
		return v
	}
	n := v.b.Scalar(I64, 1)
	for _, x := range a {
		n = n.Mul(v.Size(int(x)))
	}
	return n.Convert(v.DType())
}

// Unreduce puts back, as extents of 1, the axes that a reduction of like removed.
func (v Value) Unreduce(like Value, axes ...int) Value {
	if len(axes) == 0 {
		for i := range like.Rank() {
			axes = append(axes, i)
		}
	}
	a, ok := like.axes(axes)
	if !ok {
		return v
	}
	ext := make([]Extent, 0, like.Rank())
	j := 0
	for i := range like.Rank() {
		if slices.Contains(a, int64(i)) {
			ext = append(ext, E(1))
		} else {
			ext = append(ext, v.Dim(j))
			j++
		}
	}
	return v.Reshape(ext...)
}

// ArgMax returns the first index of the largest element along axis, i32.
func (v Value) ArgMax(axis int) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	return v.b.apply1(OpArgReduce, &ArgAttrs{Kind: Max, Axis: a}, v)
}

// CumSum returns the running sum along axis.
func (v Value) CumSum(axis int, exclusive, reverse bool) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	return v.b.apply1(OpCumSum, &CumSumAttrs{Axis: a, Exclusive: exclusive, Reverse: reverse}, v)
}

// TopK returns the k largest elements along the last axis and their indices.
func (v Value) TopK(k int64) (values, indices Value) {
	if v.b == nil {
		return v, v
	}
	r := v.b.Apply(OpTopK, &TopKAttrs{K: k}, v)
	return r[0], r[1]
}

// Sort sorts along axis by v, carrying others along; stable.
func (v Value) Sort(axis int, descending bool, others ...Value) []Value {
	a, ok := v.axis(axis)
	if !ok {
		return append([]Value{v}, others...)
	}
	return v.b.Apply(OpSort, &SortAttrs{Axis: a, Descending: descending}, append([]Value{v}, others...)...)
}

// Reshape gives the elements, in row-major order, another shape.
func (v Value) Reshape(extents ...Extent) Value {
	if v.b == nil || !v.b.owns(v) {
		return v
	}
	e, args := v.b.exprs([]Value{v}, extents)
	return v.b.apply1(OpReshape, &ReshapeAttrs{Shape: e}, args...)
}

// Flatten joins all axes from axis on into one.
func (v Value) Flatten(axis int) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	ext := v.Dims()[:a]
	last := E(1)
	for i := int(a); i < v.Rank(); i++ {
		last = last.Times(v.Dim(i))
	}
	return v.Reshape(append(ext, last)...)
}

// Transpose permutes the axes; axis i of the result is axis perm[i] of v.
func (v Value) Transpose(perm ...int) Value {
	if v.b == nil {
		return v
	}
	p := make([]int64, len(perm))
	for i, a := range perm {
		p[i] = int64(a)
	}
	return v.b.apply1(OpTranspose, &TransposeAttrs{Perm: p}, v)
}

// BroadcastTo stretches v to the given extents, axes matched from the last.
func (v Value) BroadcastTo(extents ...Extent) Value {
	if v.b == nil || !v.b.owns(v) {
		return v
	}
	off := len(extents) - v.Rank()
	if off < 0 {
		return v.b.Failf("cannot broadcast %v to %d axes", v.Type(), len(extents))
	}
	dims := make([]int64, v.Rank())
	for i := range dims {
		dims[i] = int64(off + i)
	}
	return v.BroadcastAlong(dims, extents...)
}

// BroadcastAlong stretches v to the given extents; axis i of v becomes axis
// dims[i] of the result.
func (v Value) BroadcastAlong(dims []int64, extents ...Extent) Value {
	if v.b == nil || !v.b.owns(v) {
		return v
	}
	e, args := v.b.exprs([]Value{v}, extents)
	return v.b.apply1(OpBroadcast, &BroadcastAttrs{Dims: dims, Shape: e}, args...)
}

// BroadcastLike stretches v to the shape of w.
func (v Value) BroadcastLike(w Value) Value {
	if v.ok() && w.ok() && v.Type().Shape.Equal(w.Type().Shape) {
		return v
	}
	return v.BroadcastTo(w.Dims()...)
}

// SliceAxis returns elements [start, limit) of one axis.
func (v Value) SliceAxis(axis int, start, limit Extent) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	starts, limits := make([]Extent, v.Rank()), v.Dims()
	stride := make([]int64, v.Rank())
	for i := range stride {
		stride[i] = 1
	}
	starts[a], limits[a] = start, limit
	return v.Slice(starts, limits, stride)
}

// Slice returns elements start, start+stride, ... below limit of every axis.
func (v Value) Slice(start, limit []Extent, stride []int64) Value {
	if v.b == nil || !v.b.owns(v) {
		return v
	}
	s, args := v.b.exprs([]Value{v}, start)
	l, args := v.b.exprs(args, limit)
	return v.b.apply1(OpSlice, &SliceAttrs{Start: s, Limit: l, Stride: stride}, args...)
}

// DynamicSlice returns the block of the given extents at run-time indices,
// which are clamped so that the block lies inside.
func (v Value) DynamicSlice(start []Value, sizes ...Extent) Value {
	if v.b == nil || !v.b.owns(v) {
		return v
	}
	e := make([]DimExpr, len(sizes))
	for i, s := range sizes {
		x, args := v.b.exprs([]Value{v}, []Extent{s})
		if len(args) > 1 {
			return v.b.Failf("the extents of a dynamic slice may name its operand alone")
		}
		e[i] = x[0]
	}
	return v.b.apply1(OpDynamicSlice, &DynamicSliceAttrs{Sizes: e}, append([]Value{v}, start...)...)
}

// DynamicUpdateSlice returns v with the block at the run-time indices replaced.
func (v Value) DynamicUpdateSlice(update Value, start ...Value) Value {
	if v.b == nil {
		return v
	}
	return v.b.apply1(OpDynamicUpdateSlice, nil, append([]Value{v, update}, start...)...)
}

// Pad adds low, high and interior elements of value on every axis.
func (v Value) Pad(value float64, low, high []Extent, interior []int64) Value {
	if v.b == nil || !v.b.owns(v) {
		return v
	}
	args := []Value{v, v.lit(value)}
	l, args := v.b.exprs(args, low)
	h, args := v.b.exprs(args, high)
	return v.b.apply1(OpPad, &PadAttrs{Low: l, High: h, Interior: interior}, args...)
}

// Reverse reverses the order along the axes.
func (v Value) Reverse(axes ...int) Value {
	a, ok := v.axes(axes)
	if !ok {
		return v
	}
	return v.b.apply1(OpReverse, &ReverseAttrs{Axes: a}, v)
}

// Concat joins values along axis.
func (b *Builder) Concat(axis int, vs ...Value) Value {
	if len(vs) == 0 {
		return b.Failf("nothing to join")
	}
	a, ok := vs[0].axis(axis)
	if !ok {
		return vs[0]
	}
	return b.apply1(OpConcat, &ConcatAttrs{Axis: a}, vs...)
}

// Gather takes the rows idx of axis; the first batchDims axes of both run
// together. Indices out of range are clamped.
func (v Value) Gather(axis, batchDims int, idx Value) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	return v.b.apply1(OpGather, &GatherAttrs{Axis: a, BatchDims: int64(batchDims)}, v, idx)
}

// ScatterAdd returns v with updates added at the rows idx of axis. Indices out
// of range are dropped.
func (v Value) ScatterAdd(axis, batchDims int, idx, updates Value) Value {
	a, ok := v.axis(axis)
	if !ok {
		return v
	}
	return v.b.apply1(OpScatterAdd, &GatherAttrs{Axis: a, BatchDims: int64(batchDims)}, v, idx, updates)
}

// MatMul contracts the last axis of v with the second last (or only) axis of
// w; where w has more than two axes, leading axes of both are batch axes.
func (v Value) MatMul(w Value) Value {
	if v.b == nil || !v.b.owns(v, w) {
		return v
	}
	if v.Rank() < 1 || w.Rank() < 1 {
		return v.b.Failf("cannot multiply %v by %v", v.Type(), w.Type())
	}
	a := &DotAttrs{LeftContract: []int64{int64(v.Rank() - 1)}, RightContract: []int64{int64(max(w.Rank()-2, 0))}}
	for i := range max(w.Rank()-2, 0) {
		a.LeftBatch = append(a.LeftBatch, int64(i))
		a.RightBatch = append(a.RightBatch, int64(i))
	}
	return v.b.apply1(OpDot, a, v, w)
}

// Dot is the general contraction.
func (v Value) Dot(w Value, a DotAttrs) Value {
	if v.b == nil {
		return v
	}
	return v.b.apply1(OpDot, &a, v, w)
}

// Conv convolves v [n, spatial..., c] with w [spatial..., c/groups, o].
func (v Value) Conv(w Value, a ConvAttrs) Value {
	if v.b == nil {
		return v
	}
	return v.b.apply1(OpConv, &a, v, w)
}

// ReduceWindow reduces windows; one entry of every attribute list per axis.
func (v Value) ReduceWindow(a WindowAttrs) Value {
	if v.b == nil {
		return v
	}
	return v.b.apply1(OpReduceWindow, &a, v)
}

// RandomBits draws u32 words: for every example of this function's batch the
// given extents, from the next key of this function.
func (b *Builder) RandomBits(extents ...Extent) Value {
	args := []Value{b.Key(), b.Step(), b.Index()}
	e, args := b.exprs(args, extents)
	return b.apply1(OpRandomBits, &RandomBitsAttrs{Shape: e}, args...)
}

// RandomBitsAt draws u32 words for explicit key, step and index values.
func (b *Builder) RandomBitsAt(key, step, index Value, extents ...Extent) Value {
	e, args := b.exprs([]Value{key, step, index}, extents)
	return b.apply1(OpRandomBits, &RandomBitsAttrs{Shape: e}, args...)
}

// Uniform draws f32 numbers in [0, 1): the upper 24 of 32 random bits, times
// 2^-24. The leading axis is the batch.
func (b *Builder) Uniform(extents ...Extent) Value {
	return ToUniform(b.RandomBits(extents...))
}

// ToUniform maps u32 words to f32 numbers in [0, 1).
func ToUniform(words Value) Value {
	if words.b == nil {
		return words
	}
	return words.Shr(words.lit(8)).Convert(F32).Times(1.0 / (1 << 24))
}

// Scan calls callee once for every element of the leading axis of xs.
// See ScanAttrs for the callee's signature.
func (b *Builder) Scan(callee string, reverse bool, length int64, carries, consts, xs []Value) []Value {
	args := append(append(append([]Value(nil), carries...), consts...), xs...)
	return b.Apply(OpScan, &ScanAttrs{Callee: callee, Carries: int64(len(carries)), Consts: int64(len(consts)), Length: length, Reverse: reverse}, args...)
}

// String describes the value for error messages.
func (v Value) String() string {
	if v.b == nil || v.id < 0 {
		return "failed value"
	}
	return fmt.Sprintf("%%%d %v", v.id, v.Type())
}
