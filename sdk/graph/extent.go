package graph

import (
	"cmp"
	"fmt"
)

// Extent is a dimension of the function under construction: a constant, an
// axis of a value (Value.Dim), or sums and products of those. Reshape,
// broadcast and slice take extents, so that the traced function follows its
// operands' dimensions instead of freezing today's numbers.
type Extent struct {
	add   int64
	terms []extentTerm
	bad   string // the first mistake made with it
}

type extentTerm struct {
	mul, div int64
	factors  []extentRef
}

type extentRef struct {
	v    Value
	axis int64
}

// E returns the constant extent n.
func E(n int64) Extent { return Extent{add: n} }

// Es returns constant extents.
func Es(n ...int64) []Extent {
	e := make([]Extent, len(n))
	for i, v := range n {
		e[i] = E(v)
	}
	return e
}

// Plus returns e + f.
func (e Extent) Plus(f Extent) Extent {
	return Extent{add: e.add + f.add, terms: append(append([]extentTerm(nil), e.terms...), f.terms...), bad: cmp.Or(e.bad, f.bad)}
}

// Times returns e * f. Sums multiply out.
func (e Extent) Times(f Extent) Extent {
	r := Extent{add: e.add * f.add, bad: cmp.Or(e.bad, f.bad)}
	for _, t := range e.terms {
		if f.add != 0 {
			r.terms = append(r.terms, extentTerm{t.mul * f.add, t.div, t.factors})
		}
		for _, u := range f.terms {
			r.terms = append(r.terms, extentTerm{t.mul * u.mul, t.div * u.div, append(append([]extentRef(nil), t.factors...), u.factors...)})
		}
	}
	if e.add != 0 {
		for _, u := range f.terms {
			r.terms = append(r.terms, extentTerm{e.add * u.mul, u.div, u.factors})
		}
	}
	return r
}

// Over returns e / n; the division must be exact in every term, else the
// operation that takes the extent fails.
func (e Extent) Over(n int64) Extent {
	if n < 1 || e.add%n != 0 {
		return Extent{bad: cmp.Or(e.bad, fmt.Sprintf("an extent with the constant part %d is divided by %d", e.add, n))}
	}
	r := Extent{add: e.add / n, bad: e.bad}
	for _, t := range e.terms {
		r.terms = append(r.terms, extentTerm{t.mul, t.div * n, t.factors})
	}
	return r
}

// exprs turns extents into expressions over args, appending to args the values
// that they name and args lacks.
func (b *Builder) exprs(args []Value, extents []Extent) ([]DimExpr, []Value) {
	out := make([]DimExpr, len(extents))
	for i, e := range extents {
		if e.bad != "" {
			b.Failf("%s", e.bad)
			return out, args
		}
		d := DimExpr{Add: e.add}
		for _, t := range e.terms {
			// A dimension that does not depend on any other value's size is
			// still written as a reference: pruning must see it.
			u := DimTerm{Mul: t.mul, Div: t.div}
			for _, r := range t.factors {
				if !b.owns(r.v) {
					return out, args
				}
				k := -1
				for j, a := range args {
					if a.id == r.v.id {
						k = j
						break
					}
				}
				if k < 0 {
					args = append(args, r.v)
					k = len(args) - 1
				}
				u.Factors = append(u.Factors, DimRef{int64(k), r.axis})
			}
			d.Terms = append(d.Terms, u)
		}
		out[i] = d
	}
	return out, args
}
