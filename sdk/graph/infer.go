package graph

import (
	"cmp"
	"fmt"
	"slices"
)

// MaxRank bounds the axes of a value.
const MaxRank = 8

// inferContext is what a shape rule may look at beside the operands.
type inferContext struct {
	module  *Module
	mode    Mode
	resolve func(name string, mode Mode) *Func // nil without a module
}

// InferTypes returns the result types of op applied to operands of types in,
// or an error that says which rule they break. The module and mode are needed
// for calls and named constants alone and may be nil and Any otherwise.
func InferTypes(m *Module, mode Mode, op Op, in []Type, a Attrs) ([]Type, error) {
	c := inferContext{module: m, mode: mode}
	if m != nil {
		c.resolve = m.Resolve
	}
	return c.infer(op, in, a)
}

func (c *inferContext) infer(op Op, in []Type, a Attrs) ([]Type, error) {
	if !op.Valid() {
		return nil, fmt.Errorf("unknown op %d", op)
	}
	d := op.Def()
	if len(in) < d.MinArgs || d.MaxArgs >= 0 && len(in) > d.MaxArgs {
		return nil, fmt.Errorf("%s takes %s, got %d", d.Name, arity(d), len(in))
	}
	if (d.NewAttrs == nil) != (a == nil) {
		return nil, fmt.Errorf("%s: attributes given: %v, wanted: %v", d.Name, a != nil, d.NewAttrs != nil)
	}
	for i, t := range in {
		if !t.DType.Valid() {
			return nil, fmt.Errorf("%s: operand %d has no valid element type", d.Name, i)
		}
	}
	out, err := d.infer(c, in, a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Name, err)
	}
	for _, t := range out {
		if len(t.Shape) > MaxRank {
			return nil, fmt.Errorf("%s: result %v has more than %d axes", d.Name, t, MaxRank)
		}
		for _, e := range t.Shape {
			if n, ok := e.Const(); ok && n < 0 || !ok && e.Coef() < 0 {
				return nil, fmt.Errorf("%s: result %v has a negative extent", d.Name, t)
			}
		}
	}
	return out, nil
}

func arity(d *OpDef) string {
	switch {
	case d.MaxArgs == d.MinArgs:
		return fmt.Sprintf("%d operands", d.MinArgs)
	case d.MaxArgs < 0:
		return fmt.Sprintf("at least %d operands", d.MinArgs)
	}
	return fmt.Sprintf("%d to %d operands", d.MinArgs, d.MaxArgs)
}

func one(t Type) []Type { return []Type{t} }

func inferFloatUnary(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if !in[0].DType.IsFloat() {
		return nil, fmt.Errorf("needs a floating-point operand, got %v; convert it first", in[0])
	}
	return one(in[0]), nil
}

func inferNumberUnary(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if in[0].DType == Bool {
		return nil, fmt.Errorf("needs a number, got %v", in[0])
	}
	return one(in[0]), nil
}

func inferIsFinite(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if !in[0].DType.IsFloat() {
		return nil, fmt.Errorf("needs a floating-point operand, got %v", in[0])
	}
	return one(in[0].WithDType(Bool)), nil
}

func inferBits(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if in[0].DType.IsFloat() {
		return nil, fmt.Errorf("needs integers or bools, got %v", in[0])
	}
	return sameTypes(in)
}

func inferShift(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if !in[0].DType.IsInt() {
		return nil, fmt.Errorf("needs integers, got %v", in[0])
	}
	return sameTypes(in)
}

func sameTypes(in []Type) ([]Type, error) {
	for _, t := range in[1:] {
		if !t.Equal(in[0]) {
			return nil, fmt.Errorf("operands differ: %v and %v", in[0], t)
		}
	}
	return one(in[0]), nil
}

func inferNumberBinary(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if in[0].DType == Bool {
		return nil, fmt.Errorf("needs numbers, got %v", in[0])
	}
	return sameTypes(in)
}

func inferCompare(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	switch a.(*CompareAttrs).Direction {
	case Eq, Ne, Lt, Le, Gt, Ge:
	default:
		return nil, fmt.Errorf("unknown direction %q", a.(*CompareAttrs).Direction)
	}
	if _, err := sameTypes(in); err != nil {
		return nil, err
	}
	return one(in[0].WithDType(Bool)), nil
}

func inferSelect(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if in[0].DType != Bool || !in[0].Shape.Equal(in[1].Shape) {
		return nil, fmt.Errorf("the first operand must be bool%v, got %v", in[1].Shape, in[0])
	}
	return sameTypes(in[1:])
}

func inferConvert(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	to := a.(*ConvertAttrs).To
	if !to.Valid() {
		return nil, fmt.Errorf("invalid target type")
	}
	return one(in[0].WithDType(to)), nil
}

func inferBitcast(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	to := a.(*ConvertAttrs).To
	if !to.Valid() || to == Bool || in[0].DType == Bool || to.Size() != in[0].DType.Size() {
		return nil, fmt.Errorf("cannot reinterpret %v as %v: the sizes differ or one is bool", in[0].DType, to)
	}
	return one(in[0].WithDType(to)), nil
}

func inferConstant(c *inferContext, _ []Type, a Attrs) ([]Type, error) {
	k := a.(*ConstantAttrs)
	if k.Ref != "" {
		if k.Value != nil {
			return nil, fmt.Errorf("holds both a literal and the name %q", k.Ref)
		}
		t := T(k.To, k.Dims...)
		if c.module != nil {
			if v, ok := c.module.Consts[k.Ref]; ok && !v.Type().Equal(t) {
				return nil, fmt.Errorf("the constant %q is %v, declared %v", k.Ref, v.Type(), t)
			}
		}
		if !k.To.Valid() {
			return nil, fmt.Errorf("the constant %q has no valid type", k.Ref)
		}
		return one(t), nil
	}
	v := k.Value
	if v == nil || !v.DType.Valid() {
		return nil, fmt.Errorf("holds neither a literal nor a name")
	}
	if len(v.Shape) > MaxRank {
		return nil, fmt.Errorf("literal of more than %d axes", MaxRank)
	}
	for _, e := range v.Shape {
		if e < 0 {
			return nil, fmt.Errorf("literal with a negative extent")
		}
	}
	n, err := bytesOf(v.DType, v.Shape)
	if err != nil {
		return nil, err
	}
	if n != int64(len(v.Data)) {
		return nil, fmt.Errorf("literal %v holds %d bytes, wanted %d", v.Type(), len(v.Data), n)
	}
	return one(v.Type()), nil
}

func evalShape(exprs []DimExpr, operands []Type) (Shape, error) {
	if len(exprs) > MaxRank {
		return nil, fmt.Errorf("more than %d axes", MaxRank)
	}
	s := make(Shape, len(exprs))
	for i, e := range exprs {
		for _, t := range e.Terms {
			if t.Div < 1 || len(t.Factors) == 0 || len(t.Factors) > 2*MaxRank {
				return nil, fmt.Errorf("malformed dimension expression %v", e)
			}
		}
		d, err := e.Eval(operands)
		if err != nil {
			return nil, fmt.Errorf("axis %d: %w", i, err)
		}
		s[i] = d
	}
	return s, nil
}

func inferIota(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*IotaAttrs)
	s, err := evalShape(k.Shape, in)
	if err != nil {
		return nil, err
	}
	if k.Axis < 0 || k.Axis >= int64(len(s)) {
		return nil, fmt.Errorf("axis %d of %v", k.Axis, s)
	}
	if !k.To.Valid() || k.To == Bool {
		return nil, fmt.Errorf("needs a number type")
	}
	return one(Type{k.To, s}), nil
}

func inferSize(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	if err := checkAxis(a.(*SizeAttrs).Axis, in[0]); err != nil {
		return nil, err
	}
	return one(Scalar(I64)), nil
}

func inferRandomBits(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	if !in[0].Equal(Scalar(U64)) || !in[1].Equal(Scalar(U64)) {
		return nil, fmt.Errorf("key and step must be u64[], got %v and %v", in[0], in[1])
	}
	if in[2].DType != I64 || in[2].Rank() != 1 {
		return nil, fmt.Errorf("the index must be i64[n], got %v", in[2])
	}
	s, err := evalShape(a.(*RandomBitsAttrs).Shape, in)
	if err != nil {
		return nil, err
	}
	return one(Type{U32, append(Shape{in[2].Shape[0]}, s...)}), nil
}

func checkAxis(axis int64, t Type) error {
	if axis < 0 || axis >= int64(t.Rank()) {
		return fmt.Errorf("axis %d of %v, which has %d axes", axis, t, t.Rank())
	}
	return nil
}

func removeAxes(s Shape, axes []int64) (Shape, error) {
	out := Shape{}
	for i, a := range axes {
		if a < 0 || a >= int64(len(s)) || i > 0 && axes[i-1] >= a {
			return nil, fmt.Errorf("axes %v of %v must be ascending and within it", axes, s)
		}
	}
	for i, d := range s {
		if !slices.Contains(axes, int64(i)) {
			out = append(out, d)
		}
	}
	return out, nil
}

func inferReduce(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*ReduceAttrs)
	switch k.Kind {
	case Sum, Prod, Max, Min:
		if in[0].DType == Bool {
			return nil, fmt.Errorf("%s of %v", k.Kind, in[0])
		}
	case All, Some:
		if in[0].DType != Bool {
			return nil, fmt.Errorf("%s of %v needs bools", k.Kind, in[0])
		}
	default:
		return nil, fmt.Errorf("unknown kind %q", k.Kind)
	}
	s, err := removeAxes(in[0].Shape, k.Axes)
	if err != nil {
		return nil, err
	}
	return one(Type{in[0].DType, s}), nil
}

func inferArg(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*ArgAttrs)
	if k.Kind != Max && k.Kind != Min {
		return nil, fmt.Errorf("kind %q; max and min are known", k.Kind)
	}
	if err := checkAxis(k.Axis, in[0]); err != nil {
		return nil, err
	}
	if in[0].Shape[k.Axis].Is(0) {
		return nil, fmt.Errorf("axis %d of %v is empty", k.Axis, in[0])
	}
	s, err := removeAxes(in[0].Shape, []int64{k.Axis})
	return one(Type{I32, s}), err
}

func inferSort(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	if err := checkAxis(a.(*SortAttrs).Axis, in[0]); err != nil {
		return nil, err
	}
	for _, t := range in[1:] {
		if !t.Shape.Equal(in[0].Shape) {
			return nil, fmt.Errorf("operands differ in shape: %v and %v", in[0], t)
		}
	}
	return slices.Clone(in), nil
}

func inferTopK(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*TopKAttrs).K
	if in[0].Rank() == 0 || in[0].DType == Bool {
		return nil, fmt.Errorf("needs numbers with at least one axis, got %v", in[0])
	}
	last := in[0].Rank() - 1
	if n, ok := in[0].Shape[last].Const(); !ok || k < 0 || k > n {
		return nil, fmt.Errorf("k = %d of the last axis of %v", k, in[0])
	}
	s := in[0].Shape.Clone()
	s[last] = N(k)
	return []Type{{in[0].DType, s}, {I32, s}}, nil
}

func inferCumSum(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	if in[0].DType == Bool {
		return nil, fmt.Errorf("needs numbers, got %v", in[0])
	}
	return one(in[0]), checkAxis(a.(*CumSumAttrs).Axis, in[0])
}

// elements returns the number of elements as a constant times symbolic factors,
// each without a common divisor, sorted, so that equal numbers are written alike
// even where their product is not affine.
func elements(s Shape) (int64, []Dim, error) {
	n, factors := int64(1), []Dim{}
	for _, d := range s {
		g := d.k
		if d.coef != 0 {
			g = gcd(d.coef, d.k)
			factors = append(factors, Dim{d.sym, d.coef / g, d.k / g})
		}
		var ok bool
		if n, ok = mulOK(n, g); !ok {
			return 0, nil, fmt.Errorf("%v has too many elements", s)
		}
	}
	if n == 0 {
		factors = nil
	}
	slices.SortFunc(factors, func(a, b Dim) int {
		return cmp.Or(cmp.Compare(a.sym, b.sym), cmp.Compare(a.coef, b.coef), cmp.Compare(a.k, b.k))
	})
	return n, factors, nil
}

// gcd returns the greatest common divisor, 1 where it would overflow.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	if a < 0 {
		a = -a
	}
	return max(a, 1)
}

func inferReshape(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	s, err := evalShape(a.(*ReshapeAttrs).Shape, in)
	if err != nil {
		return nil, err
	}
	n, from, err := elements(in[0].Shape)
	if err != nil {
		return nil, err
	}
	k, to, err := elements(s)
	if err != nil {
		return nil, err
	}
	if n != k || !slices.Equal(from, to) {
		return nil, fmt.Errorf("%v and %v differ in their number of elements", in[0], Type{in[0].DType, s})
	}
	return one(Type{in[0].DType, s}), nil
}

func inferTranspose(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	perm := a.(*TransposeAttrs).Perm
	if len(perm) != in[0].Rank() {
		return nil, fmt.Errorf("permutation %v of %v", perm, in[0])
	}
	s := make(Shape, len(perm))
	seen := make([]bool, len(perm))
	for i, p := range perm {
		if p < 0 || p >= int64(len(perm)) || seen[p] {
			return nil, fmt.Errorf("%v is no permutation of the axes of %v", perm, in[0])
		}
		seen[p] = true
		s[i] = in[0].Shape[p]
	}
	return one(Type{in[0].DType, s}), nil
}

func inferBroadcast(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*BroadcastAttrs)
	s, err := evalShape(k.Shape, in)
	if err != nil {
		return nil, err
	}
	if len(k.Dims) != in[0].Rank() {
		return nil, fmt.Errorf("%d axes mapped of %v", len(k.Dims), in[0])
	}
	for i, d := range k.Dims {
		if d < 0 || d >= int64(len(s)) || i > 0 && k.Dims[i-1] >= d {
			return nil, fmt.Errorf("axes %v of the result %v must be ascending and within it", k.Dims, s)
		}
		if e := in[0].Shape[i]; e != s[d] && !e.Is(1) {
			return nil, fmt.Errorf("axis %d of %v cannot become %v", i, in[0], s[d])
		}
	}
	return one(Type{in[0].DType, s}), nil
}

func inferSlice(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*SliceAttrs)
	r := in[0].Rank()
	if len(k.Start) != r || len(k.Limit) != r || len(k.Stride) != r {
		return nil, fmt.Errorf("start, limit and stride need %d entries", r)
	}
	start, err := evalShape(k.Start, in)
	if err != nil {
		return nil, err
	}
	limit, err := evalShape(k.Limit, in)
	if err != nil {
		return nil, err
	}
	s := make(Shape, r)
	for i := range s {
		if k.Stride[i] < 1 {
			return nil, fmt.Errorf("stride %d of axis %d", k.Stride[i], i)
		}
		n, err := limit[i].Add(Affine(start[i].sym, -start[i].coef, -start[i].k))
		if err != nil {
			return nil, err
		}
		if v, ok := start[i].Const(); ok && v < 0 {
			return nil, fmt.Errorf("start %d of axis %d", v, i)
		}
		if l, ok := limit[i].Const(); ok {
			if v, ok := in[0].Shape[i].Const(); ok && l > v {
				return nil, fmt.Errorf("limit %d of axis %d, which has %d", l, i, v)
			}
		}
		if st := k.Stride[i]; st != 1 {
			v, ok := n.Const()
			if !ok {
				if n, err = n.Div(st); err != nil {
					return nil, fmt.Errorf("axis %d: a strided slice of a symbolic extent: %w", i, err)
				}
			} else {
				n = N(v/st + min(v%st, 1))
			}
		}
		if v, ok := n.Const(); ok && v < 0 {
			return nil, fmt.Errorf("axis %d: limit %v stands before start %v", i, limit[i], start[i])
		}
		s[i] = n
	}
	return one(Type{in[0].DType, s}), nil
}

func checkStarts(starts []Type, rank int) error {
	if len(starts) != rank {
		return fmt.Errorf("%d start indices for %d axes", len(starts), rank)
	}
	for _, t := range starts {
		if !t.DType.IsInt() || t.Rank() != 0 {
			return fmt.Errorf("start indices must be integer scalars, got %v", t)
		}
	}
	return nil
}

func inferDynamicSlice(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	if err := checkStarts(in[1:], in[0].Rank()); err != nil {
		return nil, err
	}
	s, err := evalShape(a.(*DynamicSliceAttrs).Sizes, in)
	if err != nil {
		return nil, err
	}
	if len(s) != in[0].Rank() {
		return nil, fmt.Errorf("%d sizes for %v", len(s), in[0])
	}
	return one(Type{in[0].DType, s}), fits(s, in[0].Shape)
}

func fits(small, large Shape) error {
	for i := range small {
		a, ok1 := small[i].Const()
		b, ok2 := large[i].Const()
		if ok1 && ok2 && a > b {
			return fmt.Errorf("extent %d of axis %d is larger than %d", a, i, b)
		}
	}
	return nil
}

func inferDynamicUpdateSlice(_ *inferContext, in []Type, _ Attrs) ([]Type, error) {
	if in[1].DType != in[0].DType || in[1].Rank() != in[0].Rank() {
		return nil, fmt.Errorf("cannot put %v into %v", in[1], in[0])
	}
	if err := checkStarts(in[2:], in[0].Rank()); err != nil {
		return nil, err
	}
	return one(in[0]), fits(in[1].Shape, in[0].Shape)
}

func inferPad(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*PadAttrs)
	r := in[0].Rank()
	if !in[1].Equal(Scalar(in[0].DType)) {
		return nil, fmt.Errorf("the padding value must be %v, got %v", Scalar(in[0].DType), in[1])
	}
	if len(k.Low) != r || len(k.High) != r || len(k.Interior) != r {
		return nil, fmt.Errorf("low, high and interior need %d entries", r)
	}
	low, err := evalShape(k.Low, in)
	if err != nil {
		return nil, err
	}
	high, err := evalShape(k.High, in)
	if err != nil {
		return nil, err
	}
	s := make(Shape, r)
	for i := range s {
		if k.Interior[i] < 0 {
			return nil, fmt.Errorf("interior %d of axis %d", k.Interior[i], i)
		}
		n := in[0].Shape[i]
		if k.Interior[i] > 0 && !n.Is(0) {
			if n, err = n.Mul(N(k.Interior[i] + 1)); err != nil {
				return nil, err
			}
			if n, err = n.Add(N(-k.Interior[i])); err != nil {
				return nil, err
			}
		}
		if n, err = n.Add(low[i]); err != nil {
			return nil, err
		}
		if n, err = n.Add(high[i]); err != nil {
			return nil, err
		}
		s[i] = n
	}
	return one(Type{in[0].DType, s}), nil
}

func inferReverse(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	_, err := removeAxes(in[0].Shape, a.(*ReverseAttrs).Axes)
	return one(in[0]), err
}

func inferConcat(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	axis := a.(*ConcatAttrs).Axis
	if err := checkAxis(axis, in[0]); err != nil {
		return nil, err
	}
	s := in[0].Shape.Clone()
	for _, t := range in[1:] {
		if t.DType != in[0].DType || t.Rank() != in[0].Rank() {
			return nil, fmt.Errorf("operands differ: %v and %v", in[0], t)
		}
		for i := range s {
			if int64(i) == axis {
				d, err := s[i].Add(t.Shape[i])
				if err != nil {
					return nil, err
				}
				s[i] = d
			} else if t.Shape[i] != s[i] {
				return nil, fmt.Errorf("operands %v and %v differ on axis %d, and are joined on axis %d", in[0], t, i, axis)
			}
		}
	}
	return one(Type{in[0].DType, s}), nil
}

func gatherShape(x, idx Type, k *GatherAttrs) (Shape, error) {
	if !idx.DType.IsInt() {
		return nil, fmt.Errorf("indices must be integers, got %v", idx)
	}
	if err := checkAxis(k.Axis, x); err != nil {
		return nil, err
	}
	b := k.BatchDims
	if b < 0 || b > k.Axis || b > int64(idx.Rank()) {
		return nil, fmt.Errorf("%d batch axes with axis %d and indices %v", b, k.Axis, idx)
	}
	if !x.Shape[:b].Equal(idx.Shape[:b]) {
		return nil, fmt.Errorf("the batch axes of %v and %v differ", x, idx)
	}
	s := append(x.Shape[:k.Axis].Clone(), idx.Shape[b:]...)
	return append(s, x.Shape[k.Axis+1:]...), nil
}

func inferGather(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*GatherAttrs)
	s, err := gatherShape(in[0], in[1], k)
	if err != nil {
		return nil, err
	}
	if in[0].Shape[k.Axis].Is(0) {
		return nil, fmt.Errorf("axis %d of %v is empty", k.Axis, in[0])
	}
	return one(Type{in[0].DType, s}), nil
}

func inferScatterAdd(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	s, err := gatherShape(in[0], in[1], a.(*GatherAttrs))
	if err != nil {
		return nil, err
	}
	if want := (Type{in[0].DType, s}); !in[2].Equal(want) {
		return nil, fmt.Errorf("updates must be %v, got %v", want, in[2])
	}
	if in[0].DType == Bool {
		return nil, fmt.Errorf("cannot add bools")
	}
	return one(in[0]), nil
}

func contractTypes(in []Type, accum, out DType) (DType, error) {
	if in[0].DType != in[1].DType || in[0].DType == Bool {
		return Invalid, fmt.Errorf("operands must share a number type, got %v and %v", in[0], in[1])
	}
	if out == Invalid {
		out = in[0].DType
	}
	if accum == Invalid {
		accum = out
	}
	if out.IsFloat() != in[0].DType.IsFloat() || accum.IsFloat() != in[0].DType.IsFloat() || !accum.Valid() || !out.Valid() || accum == Bool || out == Bool {
		return Invalid, fmt.Errorf("accumulating %v in %v to %v", in[0].DType, accum, out)
	}
	return out, nil
}

func checkPrecision(p Precision) error {
	if p != Default && p != Fast && p != Highest {
		return fmt.Errorf("unknown precision %q", p)
	}
	return nil
}

func inferDot(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*DotAttrs)
	out, err := contractTypes(in, k.Accum, k.Out)
	if err != nil {
		return nil, err
	}
	if err := checkPrecision(k.Precision); err != nil {
		return nil, err
	}
	if len(k.LeftBatch) != len(k.RightBatch) || len(k.LeftContract) != len(k.RightContract) {
		return nil, fmt.Errorf("the two sides list different numbers of axes")
	}
	s := Shape{}
	taken := func(t Type, lists ...[]int64) ([]bool, error) {
		seen := make([]bool, t.Rank())
		for _, l := range lists {
			for _, x := range l {
				if x < 0 || x >= int64(t.Rank()) || seen[x] {
					return nil, fmt.Errorf("axis %d of %v is out of range or listed twice", x, t)
				}
				seen[x] = true
			}
		}
		return seen, nil
	}
	left, err := taken(in[0], k.LeftBatch, k.LeftContract)
	if err != nil {
		return nil, err
	}
	right, err := taken(in[1], k.RightBatch, k.RightContract)
	if err != nil {
		return nil, err
	}
	for i, l := range k.LeftBatch {
		if d := in[0].Shape[l]; d != in[1].Shape[k.RightBatch[i]] {
			return nil, fmt.Errorf("batch axes differ: %v and %v", in[0], in[1])
		}
		s = append(s, in[0].Shape[l])
	}
	for i, l := range k.LeftContract {
		if in[0].Shape[l] != in[1].Shape[k.RightContract[i]] {
			return nil, fmt.Errorf("cannot multiply %v by %v: axis %d has %v, axis %d has %v", in[0], in[1], l, in[0].Shape[l], k.RightContract[i], in[1].Shape[k.RightContract[i]])
		}
	}
	for i, d := range in[0].Shape {
		if !left[i] {
			s = append(s, d)
		}
	}
	for i, d := range in[1].Shape {
		if !right[i] {
			s = append(s, d)
		}
	}
	return one(Type{out, s}), nil
}

// windowExtent returns the number of positions of a window on one axis.
func windowExtent(n Dim, inner, window, dilation, stride, low, high int64) (Dim, error) {
	if window < 1 || stride < 1 || dilation < 1 || inner < 1 {
		return Dim{}, fmt.Errorf("window %d, stride %d and dilations %d, %d must be at least 1", window, stride, inner, dilation)
	}
	if n == N(0) {
		inner = 1
	}
	var err error
	if inner > 1 {
		if n, err = n.Mul(N(inner)); err != nil {
			return Dim{}, err
		}
		if n, err = n.Add(N(1 - inner)); err != nil {
			return Dim{}, err
		}
	}
	span, ok := mulOK(window-1, dilation)
	if !ok {
		return Dim{}, fmt.Errorf("window %d with dilation %d overflows", window, dilation)
	}
	if n, err = n.Add(N(low)); err != nil {
		return Dim{}, err
	}
	if n, err = n.Add(N(high)); err != nil {
		return Dim{}, err
	}
	if n, err = n.Add(N(-span - 1)); err != nil {
		return Dim{}, err
	}
	v, isConst := n.Const()
	if isConst {
		if v < 0 {
			return Dim{}, fmt.Errorf("the window (%d, dilation %d) is larger than the padded extent %d", window, dilation, v+span+1)
		}
		return N(v/stride + 1), nil
	}
	if n, err = n.Div(stride); err != nil {
		return Dim{}, fmt.Errorf("a strided window over a symbolic extent: %w", err)
	}
	return n.Add(N(1))
}

func convAxes(k *ConvAttrs, rank int) error {
	n := rank - 2
	if n < 1 {
		return fmt.Errorf("needs [n, spatial..., c], got %d axes", rank)
	}
	for _, l := range [][]int64{k.Strides, k.PadLow, k.PadHigh, k.InputDilation, k.FilterDilation} {
		if len(l) != n {
			return fmt.Errorf("strides, paddings and dilations need %d entries", n)
		}
	}
	if k.Groups < 1 {
		return fmt.Errorf("groups = %d", k.Groups)
	}
	return checkPrecision(k.Precision)
}

func inferConv(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*ConvAttrs)
	out, err := contractTypes(in[:2], k.Accum, k.Out)
	if err != nil {
		return nil, err
	}
	s, err := convShape(in[0].Shape, in[1].Shape, k)
	if err != nil {
		return nil, err
	}
	return one(Type{out, s}), nil
}

func convShape(x, w Shape, k *ConvAttrs) (Shape, error) {
	if err := convAxes(k, len(x)); err != nil {
		return nil, err
	}
	if len(w) != len(x) {
		return nil, fmt.Errorf("filter %v for input %v: ranks differ", w, x)
	}
	last := len(x) - 1
	c, ok1 := x[last].Const()
	ci, ok2 := w[last-1].Const()
	o, ok3 := w[last].Const()
	if !ok1 || !ok2 || !ok3 {
		return nil, fmt.Errorf("channels must be constant, got %v and %v", x, w)
	}
	if c%k.Groups != 0 || o%k.Groups != 0 || ci != c/k.Groups {
		return nil, fmt.Errorf("input %v has %d channels; filter %v with %d groups takes %d", x, c, w, k.Groups, ci*k.Groups)
	}
	s := Shape{x[0]}
	for i := 0; i < last-1; i++ {
		win, ok := w[i].Const()
		if !ok {
			return nil, fmt.Errorf("filter extents must be constant, got %v", w)
		}
		d, err := windowExtent(x[i+1], k.InputDilation[i], win, k.FilterDilation[i], k.Strides[i], k.PadLow[i], k.PadHigh[i])
		if err != nil {
			return nil, fmt.Errorf("spatial axis %d of %v: %w", i, x, err)
		}
		s = append(s, d)
	}
	return append(s, w[last]), nil
}

func inferConvInputGrad(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*ConvAttrs)
	out, err := contractTypes(in[:2], k.Accum, k.Out)
	if err != nil {
		return nil, err
	}
	s, err := convShape(in[2].Shape, in[1].Shape, k)
	if err != nil {
		return nil, err
	}
	if !s.Equal(in[0].Shape) {
		return nil, fmt.Errorf("the output gradient must be %v, got %v", s, in[0])
	}
	return one(Type{out, in[2].Shape}), nil
}

func inferConvFilterGrad(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*ConvAttrs)
	out, err := contractTypes(in[:2], k.Accum, k.Out)
	if err != nil {
		return nil, err
	}
	s, err := convShape(in[0].Shape, in[2].Shape, k)
	if err != nil {
		return nil, err
	}
	if !s.Equal(in[1].Shape) {
		return nil, fmt.Errorf("the output gradient must be %v, got %v", s, in[1])
	}
	return one(Type{out, in[2].Shape}), nil
}

func windowShape(x Type, k *WindowAttrs) (Shape, error) {
	switch k.Kind {
	case Sum, Max, Min:
	default:
		return nil, fmt.Errorf("kind %q; sum, max and min are known", k.Kind)
	}
	if x.DType == Bool {
		return nil, fmt.Errorf("needs numbers, got %v", x)
	}
	r := x.Rank()
	for _, l := range [][]int64{k.Window, k.Strides, k.PadLow, k.PadHigh, k.Dilation} {
		if len(l) != r {
			return nil, fmt.Errorf("window, strides, paddings and dilation need %d entries", r)
		}
	}
	s := make(Shape, r)
	for i := range s {
		d, err := windowExtent(x.Shape[i], 1, k.Window[i], k.Dilation[i], k.Strides[i], k.PadLow[i], k.PadHigh[i])
		if err != nil {
			return nil, fmt.Errorf("axis %d of %v: %w", i, x, err)
		}
		s[i] = d
	}
	return s, nil
}

func inferWindow(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	s, err := windowShape(in[0], a.(*WindowAttrs))
	return one(Type{in[0].DType, s}), err
}

func inferWindowGrad(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	s, err := windowShape(in[0], a.(*WindowAttrs))
	if err != nil {
		return nil, err
	}
	if want := (Type{in[0].DType, s}); !in[1].Equal(want) {
		return nil, fmt.Errorf("the output gradient must be %v, got %v", want, in[1])
	}
	return one(in[0]), nil
}

func (c *inferContext) callee(name string) (*Func, error) {
	if c.resolve == nil {
		return nil, fmt.Errorf("calls %q without a module", name)
	}
	f := c.resolve(name, c.mode)
	if f == nil {
		return nil, fmt.Errorf("calls %q, which the module lacks for mode %v", name, c.mode)
	}
	return f, nil
}

func resultTypes(f *Func) []Type {
	out := make([]Type, len(f.Results))
	for i, r := range f.Results {
		out[i] = f.Types[r.Value]
	}
	return out
}

func inferCall(c *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*CallAttrs)
	f, err := c.callee(k.Callee)
	if err != nil {
		return nil, err
	}
	if len(in) != len(f.Params) {
		return nil, fmt.Errorf("%q takes %d operands, got %d", k.Callee, len(f.Params), len(in))
	}
	for i, p := range f.Params {
		if !in[i].Equal(p.Type) {
			return nil, fmt.Errorf("%q takes %s %s %v, got %v", k.Callee, p.Role, p.Name, p.Type, in[i])
		}
	}
	return resultTypes(f), nil
}

func inferScan(c *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*ScanAttrs)
	f, err := c.callee(k.Callee)
	if err != nil {
		return nil, err
	}
	fixed := k.Carries + k.Consts
	if k.Carries < 0 || k.Consts < 0 || k.Carries > int64(len(in)) || k.Consts > int64(len(in)) || int64(len(in)) < fixed || len(in) != len(f.Params) || int64(len(f.Results)) < k.Carries {
		return nil, fmt.Errorf("%q with %d carries and %d constants does not fit %d operands", k.Callee, k.Carries, k.Consts, len(in))
	}
	length := N(k.Length)
	if k.Length < 0 {
		return nil, fmt.Errorf("length %d", k.Length)
	}
	for i, t := range in {
		want := f.Params[i].Type
		if int64(i) >= fixed {
			if t.Rank() == 0 {
				return nil, fmt.Errorf("sequence %d is a scalar", int64(i)-fixed)
			}
			if int64(i) == fixed {
				length = t.Shape[0]
			} else if t.Shape[0] != length {
				return nil, fmt.Errorf("sequences of different lengths %v and %v", length, t.Shape[0])
			}
			t = Type{t.DType, t.Shape[1:]}
		}
		if !t.Equal(want) {
			return nil, fmt.Errorf("%q takes %v as operand %d, got %v", k.Callee, want, i, t)
		}
	}
	out := resultTypes(f)
	for i := range out {
		if int64(i) < k.Carries {
			if !out[i].Equal(in[i]) {
				return nil, fmt.Errorf("carry %d goes in as %v and comes out as %v", i, in[i], out[i])
			}
			continue
		}
		out[i] = Type{out[i].DType, append(Shape{length}, out[i].Shape...)}
	}
	return out, nil
}

func inferAllReduce(_ *inferContext, in []Type, a Attrs) ([]Type, error) {
	k := a.(*AllReduceAttrs)
	if k.Kind != Sum && k.Kind != Max && k.Kind != Min || in[0].DType == Bool {
		return nil, fmt.Errorf("%s of %v", k.Kind, in[0])
	}
	if k.Shards < 1 || k.Group < 0 || k.Group > 0 && k.Shards%k.Group != 0 {
		return nil, fmt.Errorf("%d shards in groups of %d", k.Shards, k.Group)
	}
	if k.Order != "tree" && k.Order != "any" {
		return nil, fmt.Errorf("order %q; tree and any are known", k.Order)
	}
	return one(in[0]), nil
}

func inferOpaque(_ *inferContext, _ []Type, a Attrs) ([]Type, error) {
	k := a.(*OpaqueAttrs)
	if k.Component == "" {
		return nil, fmt.Errorf("names no component")
	}
	for _, t := range k.Types {
		if !t.DType.Valid() {
			return nil, fmt.Errorf("a result has no valid element type")
		}
	}
	return slices.Clone(k.Types), nil
}
