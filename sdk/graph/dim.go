package graph

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// BatchSymbol is the one dimension symbol that version 1 of the IR accepts.
const BatchSymbol = "batch"

// Dim is one extent of a shape: an affine expression Coef*symbol + Const. It
// is comparable; the zero Dim is the constant 0.
type Dim struct {
	sym  string
	coef int64
	k    int64
}

// Batch is the symbolic number of examples in a batch.
var Batch = Dim{sym: BatchSymbol, coef: 1}

// N returns the constant extent n.
func N(n int64) Dim { return Dim{k: n} }

// Affine returns coef*symbol + constant. A zero coefficient drops the symbol.
func Affine(symbol string, coef, constant int64) Dim {
	if coef == 0 || symbol == "" {
		return Dim{k: constant}
	}
	return Dim{sym: symbol, coef: coef, k: constant}
}

// Symbol returns the symbol's name, "" for a constant.
func (d Dim) Symbol() string { return d.sym }

// Coef returns the symbol's coefficient, 0 for a constant.
func (d Dim) Coef() int64 { return d.coef }

// Offset returns the constant part.
func (d Dim) Offset() int64 { return d.k }

// Const returns the extent and true when it holds no symbol.
func (d Dim) Const() (int64, bool) { return d.k, d.coef == 0 }

// Is reports whether d is the constant n.
func (d Dim) Is(n int64) bool { return d.coef == 0 && d.k == n }

// Add returns d + e. It fails where the two hold different symbols.
func (d Dim) Add(e Dim) (Dim, error) {
	if d.coef != 0 && e.coef != 0 && d.sym != e.sym {
		return Dim{}, fmt.Errorf("%v + %v mixes two symbols", d, e)
	}
	sym := d.sym
	if d.coef == 0 {
		sym = e.sym
	}
	c, ok1 := addOK(d.coef, e.coef)
	k, ok2 := addOK(d.k, e.k)
	if !ok1 || !ok2 {
		return Dim{}, fmt.Errorf("%v + %v overflows", d, e)
	}
	return Affine(sym, c, k), nil
}

// Mul returns d * e. It fails where both hold a symbol, since the product is
// not affine.
func (d Dim) Mul(e Dim) (Dim, error) {
	if d.coef != 0 && e.coef != 0 {
		return Dim{}, fmt.Errorf("%v * %v is not affine", d, e)
	}
	if d.coef == 0 {
		d, e = e, d
	}
	c, ok1 := mulOK(d.coef, e.k)
	k, ok2 := mulOK(d.k, e.k)
	if !ok1 || !ok2 {
		return Dim{}, fmt.Errorf("%v * %v overflows", d, e)
	}
	return Affine(d.sym, c, k), nil
}

// Div returns d / n, which must be exact.
func (d Dim) Div(n int64) (Dim, error) {
	if n <= 0 || d.coef%n != 0 || d.k%n != 0 {
		return Dim{}, fmt.Errorf("%v is not divisible by %d", d, n)
	}
	return Affine(d.sym, d.coef/n, d.k/n), nil
}

// Eval returns the extent with symbols replaced by their values.
func (d Dim) Eval(symbols map[string]int64) (int64, error) {
	if d.coef == 0 {
		return d.k, nil
	}
	v, ok := symbols[d.sym]
	if !ok {
		return 0, fmt.Errorf("no value for the dimension symbol %q", d.sym)
	}
	p, ok1 := mulOK(d.coef, v)
	s, ok2 := addOK(p, d.k)
	if !ok1 || !ok2 {
		return 0, fmt.Errorf("%v with %s = %d overflows", d, d.sym, v)
	}
	return s, nil
}

// String renders the extent as the text form does: 28, batch, 784*batch+2.
func (d Dim) String() string {
	if d.coef == 0 {
		return strconv.FormatInt(d.k, 10)
	}
	var b strings.Builder
	if d.coef != 1 {
		fmt.Fprintf(&b, "%d*", d.coef)
	}
	b.WriteString(d.sym)
	if d.k != 0 {
		fmt.Fprintf(&b, "%+d", d.k)
	}
	return b.String()
}

// Shape lists the extents of a tensor, outermost first; empty for a scalar.
type Shape []Dim

// ShapeOf returns the shape with the given constant extents.
func ShapeOf(extents ...int64) Shape {
	s := make(Shape, len(extents))
	for i, n := range extents {
		s[i] = N(n)
	}
	return s
}

// Equal reports whether both shapes have the same extents.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		if s[i] != t[i] {
			return false
		}
	}
	return true
}

// Clone returns a copy that shares nothing with s.
func (s Shape) Clone() Shape { return append(Shape(nil), s...) }

// String renders the shape as [batch, 28, 28].
func (s Shape) String() string {
	p := make([]string, len(s))
	for i, d := range s {
		p[i] = d.String()
	}
	return "[" + strings.Join(p, ", ") + "]"
}

// Eval returns the concrete extents. Negative extents are an error.
func (s Shape) Eval(symbols map[string]int64) ([]int64, error) {
	out := make([]int64, len(s))
	for i, d := range s {
		n, err := d.Eval(symbols)
		if err != nil {
			return nil, err
		}
		if n < 0 {
			return nil, fmt.Errorf("extent %v of axis %d is negative (%d)", d, i, n)
		}
		out[i] = n
	}
	return out, nil
}

// Const returns the extents and true when none of them is symbolic.
func (s Shape) Const() ([]int64, bool) {
	out := make([]int64, len(s))
	for i, d := range s {
		n, ok := d.Const()
		if !ok {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

// Type is the element type and shape of a value.
type Type struct {
	DType DType
	Shape Shape
}

// T is short for a Type with constant extents.
func T(d DType, extents ...int64) Type { return Type{DType: d, Shape: ShapeOf(extents...)} }

// Scalar returns the type of a scalar.
func Scalar(d DType) Type { return Type{DType: d} }

// Equal reports whether both types are the same.
func (t Type) Equal(u Type) bool { return t.DType == u.DType && t.Shape.Equal(u.Shape) }

// Rank returns the number of axes.
func (t Type) Rank() int { return len(t.Shape) }

// String renders the type as f32[batch, 784].
func (t Type) String() string { return t.DType.String() + t.Shape.String() }

// WithDType returns the same shape with another element type.
func (t Type) WithDType(d DType) Type { return Type{DType: d, Shape: t.Shape} }

// Bytes returns the memory a value of the type takes.
func (t Type) Bytes(symbols map[string]int64) (int64, error) {
	ext, err := t.Shape.Eval(symbols)
	if err != nil {
		return 0, err
	}
	return bytesOf(t.DType, ext)
}

func bytesOf(d DType, extents []int64) (int64, error) {
	n := int64(d.Size())
	for _, e := range extents {
		var ok bool
		if n, ok = mulOK(n, e); !ok {
			return 0, fmt.Errorf("a tensor of %s%v overflows", d, extents)
		}
	}
	return n, nil
}

// DimExpr is an extent computed from operand dimensions: Add plus the sum of
// its terms. A constant has no terms.
type DimExpr struct {
	Add   int64
	Terms []DimTerm
}

// DimTerm is Mul * dim(Factors[0]) * dim(Factors[1]) * ... / Div, where the
// division must be exact. Div is at least 1 and Factors is not empty.
type DimTerm struct {
	Mul, Div int64
	Factors  []DimRef
}

// DimRef names one axis of one operand.
type DimRef struct{ Operand, Axis int64 }

// ConstExpr returns the expression of the constant n.
func ConstExpr(n int64) DimExpr { return DimExpr{Add: n} }

// RefExpr returns the expression of one operand dimension.
func RefExpr(operand, axis int64) DimExpr {
	return DimExpr{Terms: []DimTerm{{Mul: 1, Div: 1, Factors: []DimRef{{operand, axis}}}}}
}

// ConstExprs returns the expressions of the given constants.
func ConstExprs(n ...int64) []DimExpr {
	e := make([]DimExpr, len(n))
	for i, v := range n {
		e[i] = ConstExpr(v)
	}
	return e
}

// Const returns the value and true where the expression names no operand.
func (e DimExpr) Const() (int64, bool) { return e.Add, len(e.Terms) == 0 }

// Plus returns e + f, both over the same operands.
func (e DimExpr) Plus(f DimExpr) DimExpr {
	return DimExpr{Add: e.Add + f.Add, Terms: append(append([]DimTerm(nil), e.Terms...), f.Terms...)}
}

// Neg returns -e.
func (e DimExpr) Neg() DimExpr {
	f := DimExpr{Add: -e.Add, Terms: append([]DimTerm(nil), e.Terms...)}
	for i := range f.Terms {
		f.Terms[i].Mul = -f.Terms[i].Mul
	}
	return f
}

// Remap returns the expression with operand i renumbered to to(i).
func (e DimExpr) Remap(to func(int64) int64) DimExpr {
	f := DimExpr{Add: e.Add, Terms: append([]DimTerm(nil), e.Terms...)}
	for i := range f.Terms {
		refs := append([]DimRef(nil), f.Terms[i].Factors...)
		for j := range refs {
			refs[j].Operand = to(refs[j].Operand)
		}
		f.Terms[i].Factors = refs
	}
	return f
}

// Eval computes the extent from the operands' types.
func (e DimExpr) Eval(operands []Type) (Dim, error) {
	sum := N(e.Add)
	for _, t := range e.Terms {
		d := N(t.Mul)
		for _, r := range t.Factors {
			if r.Operand < 0 || r.Operand >= int64(len(operands)) {
				return Dim{}, fmt.Errorf("dimension expression %v names operand %d of %d", e, r.Operand, len(operands))
			}
			s := operands[r.Operand].Shape
			if r.Axis < 0 || r.Axis >= int64(len(s)) {
				return Dim{}, fmt.Errorf("dimension expression %v names axis %d of %v", e, r.Axis, operands[r.Operand])
			}
			var err error
			if d, err = d.Mul(s[r.Axis]); err != nil {
				return Dim{}, err
			}
		}
		d, err := d.Div(t.Div)
		if err != nil {
			return Dim{}, err
		}
		if sum, err = sum.Add(d); err != nil {
			return Dim{}, err
		}
	}
	return sum, nil
}

// Equal reports whether both expressions are written alike.
func (e DimExpr) Equal(f DimExpr) bool {
	return e.Add == f.Add && slices.EqualFunc(e.Terms, f.Terms, func(a, b DimTerm) bool {
		return a.Mul == b.Mul && a.Div == b.Div && slices.Equal(a.Factors, b.Factors)
	})
}

// String renders the expression as the text form does: 28, d0.1*d0.2,
// 2*d1.0/4+d2.0-1.
func (e DimExpr) String() string {
	if len(e.Terms) == 0 {
		return strconv.FormatInt(e.Add, 10)
	}
	var b strings.Builder
	for i, t := range e.Terms {
		if i > 0 && t.Mul >= 0 {
			b.WriteByte('+')
		}
		switch {
		case t.Mul == -1:
			b.WriteByte('-')
		case t.Mul != 1:
			fmt.Fprintf(&b, "%d*", t.Mul)
		}
		for j, r := range t.Factors {
			if j > 0 {
				b.WriteByte('*')
			}
			fmt.Fprintf(&b, "d%d.%d", r.Operand, r.Axis)
		}
		if t.Div != 1 {
			fmt.Fprintf(&b, "/%d", t.Div)
		}
	}
	if e.Add != 0 {
		fmt.Fprintf(&b, "%+d", e.Add)
	}
	return b.String()
}

func addOK(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0)
}

func mulOK(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	if a == math.MinInt64 || b == math.MinInt64 {
		return 0, false
	}
	ua, ub := uint64(a), uint64(b)
	if a < 0 {
		ua = uint64(-a)
	}
	if b < 0 {
		ub = uint64(-b)
	}
	hi, lo := bits.Mul64(ua, ub)
	return a * b, hi == 0 && lo <= math.MaxInt64
}
