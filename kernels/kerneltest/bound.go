package kerneltest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// The bounds are those of sdk/graph/SPEC.md, section 3; sums of narrow floats are
// held to f32 accumulators.

// format describes a float type: bits of significand and exponent of the
// smallest normal number and of the largest power of two.
type format struct{ bits, low, high int }

var formats = map[graph.DType]format{
	graph.F64: {53, -1022, 1023}, graph.F32: {24, -126, 127}, graph.BF16: {8, -126, 127}, graph.F16: {11, -14, 15},
}

func (f format) smallest() float64 { return math.Ldexp(1, f.low) }

// ulp returns the unit in the last place of x.
func (f format) ulp(x float64) float64 {
	if x == 0 || math.IsInf(x, 0) || x != x {
		return f.smallest() * math.Ldexp(1, 1-f.bits)
	}
	_, e := math.Frexp(x)
	return math.Ldexp(1, max(e-1, f.low)+1-f.bits)
}

// finite maps infinity to the number that would follow the largest finite one,
// so that rounding up to it is an error like any other.
func (f format) finite(x float64) float64 {
	if math.IsInf(x, 0) && f.high < 1023 {
		return math.Copysign(math.Ldexp(1, f.high+1), x)
	}
	return x
}

// ulps gives, for each function, how many units a result may be off.
var ulps = map[graph.Op]float64{
	graph.OpDiv: 1, graph.OpSqrt: 1, graph.OpRsqrt: 2, graph.OpExp: 2, graph.OpLog: 2,
	graph.OpExpm1: 4, graph.OpLog1p: 4, graph.OpTanh: 4, graph.OpSigmoid: 4, graph.OpErf: 4,
	graph.OpSin: 4, graph.OpCos: 4, graph.OpPow: 16,
}

// computes tells the ops whose results may be off at all.
func computes(op graph.Op) bool {
	switch op {
	case graph.OpAdd, graph.OpSub, graph.OpMul, graph.OpReduce, graph.OpCumSum, graph.OpDot, graph.OpConv, graph.OpConvInputGrad,
		graph.OpConvFilterGrad, graph.OpReduceWindow, graph.OpReduceWindowGrad, graph.OpScatterAdd, graph.OpAllReduce:
		return true
	}
	return ulps[op] > 0
}

// moves tells the ops that copy elements: their results have the same bits.
func moves(op graph.Op) bool {
	return op.Def().Class == graph.Movement && op != graph.OpScatterAdd || op == graph.OpSelect || op == graph.OpConstant || op == graph.OpBitcast
}

// bound returns how far each element of result k may be from want: nil means
// not at all.
func bound(op graph.Op, attrs graph.Attrs, in []*graph.Tensor, want *graph.Tensor) ([]float64, error) {
	f, isFloat := formats[want.DType]
	if !isFloat || !computes(op) {
		return nil, nil
	}
	units := ulps[op]
	if want.DType == graph.BF16 || want.DType == graph.F16 {
		units++
	}
	out := make([]float64, want.Len())
	for i := range out {
		out[i] = units * f.ulp(want.Float(i))
	}
	switch op {
	case graph.OpAdd, graph.OpSub:
		// Contraction leaves out the rounding of an operand that is a product.
		for i := range out {
			out[i] += math.Max(f.ulp(in[0].Float(i)), f.ulp(in[1].Float(i)))
		}
	case graph.OpSin, graph.OpCos:
		for i := range out {
			out[i] = math.Max(out[i], math.Ldexp(1, -f.bits))
			if math.Abs(in[0].Float(i)) > 1<<15 {
				out[i] = 2
			}
		}
	case graph.OpReduce:
		if a := attrs.(*graph.ReduceAttrs); a.Kind == graph.Prod {
			return productBound(a, in[0], want, out)
		}
	}
	terms := sumLength(op, attrs, in, want)
	if terms == 0 {
		return out, nil
	}
	size, err := magnitude(op, attrs, in)
	if err != nil {
		return nil, err
	}
	sum := accumulator(want.DType)
	for i := range out {
		// Each term may also have been flushed.
		out[i] += (8+2*math.Sqrt(terms))*math.Ldexp(size.Float(i), -sum.bits) + terms*f.smallest() + f.ulp(want.Float(i))/2
		if fast(attrs) {
			out[i] += 2 * math.Ldexp(size.Float(i), -8)
		}
		if size.Float(i) > math.Ldexp(1, sum.high) {
			out[i] = math.Inf(1) // partial sums may leave the range
		}
	}
	return out, nil
}

// accumulator returns the narrowest type that sums and products of d are made in.
func accumulator(d graph.DType) format {
	if d == graph.F64 {
		return formats[d]
	}
	return formats[graph.F32]
}

// productBound bounds a product of n factors by n units, and not at all where
// some of the factors together leave the range on either side: the order is the
// backend's.
func productBound(a *graph.ReduceAttrs, x, want *graph.Tensor, out []float64) ([]float64, error) {
	f, product := formats[want.DType], accumulator(want.DType)
	n := float64(x.Len()) / float64(max(1, want.Len()))
	logs := func(keep func(l float64) bool) (*graph.Tensor, error) {
		t := graph.NewTensor(graph.F64, x.Shape...)
		for i := range x.Len() {
			if l := math.Log2(math.Abs(x.Float(i))); keep(l) && !math.IsInf(l, 0) {
				t.SetFloat(i, l)
			}
		}
		sum, err := reference.EvalOp(context.Background(), graph.OpReduce, &graph.ReduceAttrs{Kind: graph.Sum, Axes: a.Axes}, t)
		if err != nil {
			return nil, fmt.Errorf("measuring the factors: %w", err)
		}
		return sum[0], nil
	}
	large, err := logs(func(l float64) bool { return l > 0 })
	if err != nil {
		return nil, err
	}
	small, err := logs(func(l float64) bool { return l < 0 })
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i] += n * f.ulp(want.Float(i))
		if large.Float(i) > float64(product.high) || small.Float(i) < float64(product.low) {
			out[i] = math.Inf(1)
		}
	}
	return out, nil
}

func fast(a graph.Attrs) bool {
	switch a := a.(type) {
	case *graph.DotAttrs:
		return a.Precision == graph.Fast
	case *graph.ConvAttrs:
		return a.Precision == graph.Fast
	}
	return false
}

// sumLength returns how many terms at most stand behind an element, 0 where the
// op sums nothing.
func sumLength(op graph.Op, attrs graph.Attrs, in []*graph.Tensor, want *graph.Tensor) float64 {
	product := func(n []int64) float64 {
		p := 1.0
		for _, e := range n {
			p *= float64(e)
		}
		return p
	}
	switch a := attrs.(type) {
	case *graph.ReduceAttrs:
		if a.Kind == graph.Sum {
			return math.Max(1, float64(in[0].Len())/float64(max(1, want.Len())))
		}
	case *graph.CumSumAttrs:
		return float64(in[0].Shape[a.Axis])
	case *graph.DotAttrs:
		n := 1.0
		for _, k := range a.LeftContract {
			n *= float64(in[0].Shape[k])
		}
		return n
	case *graph.ConvAttrs:
		switch op {
		case graph.OpConv:
			return product(in[1].Shape[:len(in[1].Shape)-1])
		case graph.OpConvInputGrad:
			w := in[1].Shape
			return product(w[:len(w)-2]) * float64(w[len(w)-1])
		}
		return product(in[1].Shape[:len(in[1].Shape)-1])
	case *graph.WindowAttrs:
		if op == graph.OpReduceWindowGrad || a.Kind == graph.Sum {
			return product(a.Window)
		}
	case *graph.GatherAttrs:
		if op == graph.OpScatterAdd {
			return 1 + float64(in[1].Len())
		}
	}
	return 0
}

// magnitude returns the sum of the absolute terms behind each element, in f64.
func magnitude(op graph.Op, attrs graph.Attrs, in []*graph.Tensor) (*graph.Tensor, error) {
	abs := make([]*graph.Tensor, len(in))
	for i, t := range in {
		abs[i] = t
		if !t.DType.IsFloat() {
			continue
		}
		signed := op == graph.OpReduceWindowGrad && i == 0 // decides where, not how much
		abs[i] = graph.NewTensor(graph.F64, t.Shape...)
		for j := range t.Len() {
			x := t.Float(j)
			if !signed {
				x = math.Abs(x)
			}
			abs[i].SetFloat(j, x)
		}
	}
	switch a := attrs.(type) {
	case *graph.DotAttrs:
		b := *a
		b.Accum, b.Out = graph.F64, graph.F64
		attrs = &b
	case *graph.ConvAttrs:
		b := *a
		b.Accum, b.Out = graph.F64, graph.F64
		attrs = &b
	}
	out, err := reference.EvalOp(context.Background(), op, attrs, abs...)
	if err != nil {
		return nil, fmt.Errorf("measuring the terms of %v: %w", op, err)
	}
	return out[0], nil
}

// CheckOp compares what a backend computed for one op from operands in with
// what the reference computes from the same operands. It returns the first
// element that is further off than the op's bound.
func CheckOp(ctx context.Context, op graph.Op, attrs graph.Attrs, in, got []*graph.Tensor) error {
	// Denormal operands may be read as zero, each in each place, so there may be
	// several right answers.
	var answers []answer
	add := func(in []*graph.Tensor, flushed bool) error {
		want, err := reference.EvalOp(ctx, op, attrs, in...)
		if err != nil {
			return fmt.Errorf("reference: %w", err)
		}
		tols := make([][]float64, len(want))
		for k := range want {
			if tols[k], err = bound(op, attrs, in, want[k]); err != nil {
				return err
			}
		}
		answers = append(answers, answer{want, tols, flushed})
		return nil
	}
	if err := add(in, false); err != nil {
		return err
	}
	if !moves(op) && hasDenormals(in...) {
		all := make([]*graph.Tensor, len(in))
		for i, t := range in {
			all[i] = flush(t)
			if len(in) > 1 && hasDenormals(t) {
				one := slices.Clone(in)
				one[i] = all[i]
				if err := add(one, true); err != nil {
					return err
				}
			}
		}
		if err := add(all, true); err != nil {
			return err
		}
	}
	return checkResults(op, got, answers)
}

// answer is what an op may give, and how far off.
type answer struct {
	want    []*graph.Tensor
	tols    [][]float64
	flushed bool // denormal operands were read as zero; one may still come out whole
}

func hasDenormals(in ...*graph.Tensor) bool {
	for _, t := range in {
		for i := range t.Len() {
			if isDenormal(t, i) {
				return true
			}
		}
	}
	return false
}

func isDenormal(t *graph.Tensor, i int) bool {
	f, ok := formats[t.DType]
	if !ok {
		return false
	}
	x := math.Abs(t.Float(i))
	return x != 0 && x < f.smallest()
}

// flush returns t with denormals replaced by zeros of their sign.
func flush(t *graph.Tensor) *graph.Tensor {
	if !hasDenormals(t) {
		return t
	}
	f := formats[t.DType]
	u := &graph.Tensor{DType: t.DType, Shape: t.Shape, Data: bytes.Clone(t.Data)}
	for i := range t.Len() {
		if x := t.Float(i); math.Abs(x) < f.smallest() {
			u.SetFloat(i, math.Copysign(0, x))
		}
	}
	return u
}

func checkResults(op graph.Op, got []*graph.Tensor, answers []answer) error {
	first := answers[0].want
	if len(got) != len(first) {
		return fmt.Errorf("%v gives %d results, want %d", op, len(got), len(first))
	}
	for k, want := range first {
		if !got[k].Type().Equal(want.Type()) {
			return fmt.Errorf("%v: result %d is %v, want %v", op, k, got[k].Type(), want.Type())
		}
		if moves(op) {
			if i := firstDifference(got[k].Data, want.Data); i >= 0 {
				i /= want.DType.Size()
				return fmt.Errorf("%v: result %d, element %d of %v has other bits: %s, want %s", op, k, i, want.Type(), element(got[k], i), element(want, i))
			}
			continue
		}
	elements:
		for i := range want.Len() {
			var err error
			for _, a := range answers {
				tol := 0.0
				if a.tols[k] != nil {
					tol = a.tols[k][i]
				}
				e := near(got[k], a.want[k], i, tol, keepsSign(op))
				if e == nil || a.flushed && isDenormal(got[k], i) && a.want[k].Float(i) == 0 {
					continue elements
				}
				if err == nil {
					err = e
				}
			}
			return fmt.Errorf("%v: result %d: %w", op, k, err)
		}
	}
	return nil
}

func firstDifference(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}

func keepsSign(op graph.Op) bool {
	return op == graph.OpNeg || op == graph.OpAbs || op == graph.OpConvert
}

// within compares elements; a nil tol asks for equality.
func within(got, want *graph.Tensor, tol []float64, signs bool) error {
	for i := range want.Len() {
		t := 0.0
		if tol != nil {
			t = tol[i]
		}
		if err := near(got, want, i, t, signs); err != nil {
			return err
		}
	}
	return nil
}

// near compares one element. Zeros are equal unless signs are kept, NaNs are
// equal, and a denormal may have become zero.
func near(got, want *graph.Tensor, i int, tol float64, signs bool) error {
	f, isFloat := formats[want.DType]
	if !isFloat {
		if got.Int(i) == want.Int(i) {
			return nil
		}
		return fmt.Errorf("element %d of %v is %s, want %s", i, want.Type(), element(got, i), element(want, i))
	}
	g, w := got.Float(i), want.Float(i)
	ok := g == w || g != g && w != w || math.IsInf(tol, 1) ||
		math.Abs(f.finite(g)-f.finite(w)) <= tol ||
		g == 0 && math.Abs(w) <= f.smallest()*(1+1.0/128)
	if ok && signs && g == 0 && w == 0 {
		ok = math.Signbit(g) == math.Signbit(w)
	}
	if ok {
		return nil
	}
	return fmt.Errorf("element %d of %v is %s, want %s (off by %.3g, allowed %.3g)", i, want.Type(), element(got, i), element(want, i), math.Abs(g-w), tol)
}

func element(t *graph.Tensor, i int) string {
	switch {
	case t.DType == graph.U64:
		return fmt.Sprint(uint64(t.Int(i)))
	case t.DType.IsFloat():
		return fmt.Sprintf("%.9g", t.Float(i))
	}
	return fmt.Sprint(t.Int(i))
}
