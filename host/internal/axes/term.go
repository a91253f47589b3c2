package axes

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// kind says how an axis is made up.
type kind uint8

const (
	leaf    kind = iota // a set of channels of its own
	product             // mixed radix: the first part varies slowest
	sum                 // the parts stand one behind the other
)

// axis is the term of one axis. Axes that are the same share one leaf.
type axis struct {
	to    *axis // what it was found to equal; nil for itself
	dim   graph.Dim
	kind  kind
	parts []*axis
	pin   *Pin // of a leaf: why nothing can be removed; nil where it can
}

// Pin says what holds an axis fast.
type Pin struct {
	Op    string // the op, or input, output, global
	Scope string // of the layer it stands in; "" at the top of the model
	Why   string
}

// String tells it in words.
func (p *Pin) String() string {
	at := ""
	if p.Scope != "" {
		at = fmt.Sprintf(" in %q", p.Scope)
	}
	return fmt.Sprintf("%s%s: %s", p.Op, at, p.Why)
}

func newLeaf(d graph.Dim) *axis { return &axis{dim: d} }

func (a *axis) find() *axis {
	for a.to != nil {
		if a.to.to != nil {
			a.to = a.to.to
		}
		a = a.to
	}
	return a
}

// flat returns the parts of a term of that kind, nested ones spread out and
// those left out that add nothing; another term is its own only part.
func (a *axis) flat(k kind) []*axis {
	a = a.find()
	if k == product && a.dim.Is(1) || k == sum && a.dim.Is(0) {
		return nil
	}
	if a.kind != k {
		return []*axis{a}
	}
	var out []*axis
	for _, p := range a.parts {
		out = append(out, p.flat(k)...)
	}
	return out
}

// join makes a product or sum.
func join(k kind, dim graph.Dim, parts ...*axis) *axis {
	a := &axis{dim: dim, kind: k, parts: parts}
	switch f := a.flat(k); len(f) {
	case 0:
		return newLeaf(dim)
	case 1:
		return f[0]
	default:
		a.parts = f
	}
	return a
}

// hold pins all leaves of a term.
func (a *axis) hold(p *Pin) {
	a = a.find()
	if a.kind == leaf {
		if a.pin == nil {
			a.pin = p
		}
		return
	}
	for _, q := range a.parts {
		q.hold(p)
	}
}

// maxParts bounds the parts that a term is spread into: beyond it the axis is
// held fast instead.
const maxParts = 4096

// solver unifies axes. Its first error is a mistake in a rule or module, not in
// what the user asked for.
type solver struct{ err error }

func (s *solver) failf(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// tie makes two axes one. Where they divide in ways that have no common
// refinement, both are held fast, at being to blame.
func (s *solver) tie(a, b *axis, at *Pin) {
	a, b = a.find(), b.find()
	switch {
	case a == b:
	case a.dim != b.dim:
		s.failf("%v: axes of %v and %v are tied", at, a.dim, b.dim)
	case a.kind == leaf:
		if a.pin != nil {
			b.hold(a.pin)
		}
		a.to = b
	case b.kind == leaf:
		s.tie(b, a, at)
	case a.kind == product && b.kind == product:
		s.products(a, b, at)
	case a.kind == sum && b.kind == sum:
		s.sums(a, b, at)
	case a.kind == sum:
		s.tie(b, a, at)
	default:
		if parts := spread(a, at); parts != nil {
			a.kind, a.parts = sum, parts
			s.sums(a, b, at)
			return
		}
		a.hold(at)
		b.hold(at)
	}
}

// spread turns a product into the sum of as many copies of its inner factors
// as the outermost one has; that one is held fast. nil where there are too many.
func spread(a *axis, at *Pin) []*axis {
	f := a.flat(product)
	n, ok := f[0].dim.Const()
	inner, exact := divide(a.dim, f[0].dim)
	if !ok || n > maxParts || !exact {
		return nil
	}
	f[0].hold(at)
	rest := join(product, inner, f[1:]...)
	parts := make([]*axis, n)
	for i := range parts {
		parts[i] = rest
	}
	return parts
}

func (s *solver) products(a, b *axis, at *Pin) {
	x, y := a.flat(product), b.flat(product)
	for len(x) > 0 && len(y) > 0 {
		p, q := x[0].find(), y[0].find()
		if p.kind == product {
			x = append(p.flat(product), x[1:]...)
			continue
		}
		if q.kind == product {
			y = append(q.flat(product), y[1:]...)
			continue
		}
		if p.dim == q.dim {
			s.tie(p, q, at)
			x, y = x[1:], y[1:]
			continue
		}
		if split(p, q.dim) || split(q, p.dim) {
			continue
		}
		if rest, ok := s.gathered(p, y, at); ok { // p is a sum
			x, y = x[1:], rest
			continue
		}
		if rest, ok := s.gathered(q, x, at); ok {
			x, y = rest, y[1:]
			continue
		}
		for _, r := range append(x, y...) {
			r.hold(at)
		}
		return
	}
	a.to = b
}

// split refines a leaf into an outer factor of extent d and the rest.
func split(a *axis, d graph.Dim) bool {
	rest, ok := divide(a.dim, d)
	if !ok || a.kind != leaf {
		return false
	}
	outer, inner := newLeaf(d), newLeaf(rest)
	outer.pin, inner.pin = a.pin, a.pin
	a.kind, a.parts, a.pin = product, []*axis{outer, inner}, nil
	return true
}

// gathered ties a sum with as many of the factors as make up its extent, and
// returns the others.
func (s *solver) gathered(a *axis, factors []*axis, at *Pin) ([]*axis, bool) {
	if a.kind != sum {
		return nil, false
	}
	d := graph.N(1)
	for i, f := range factors {
		var err error
		if d, err = d.Mul(f.find().dim); err != nil {
			return nil, false
		}
		if d == a.dim {
			s.tie(join(product, d, factors[:i+1]...), a, at)
			return factors[i+1:], true
		}
	}
	return nil, false
}

func (s *solver) sums(a, b *axis, at *Pin) {
	x, y := a.flat(sum), b.flat(sum)
	for len(x) > 0 && len(y) > 0 {
		p, q := x[0].find(), y[0].find()
		if p.kind == sum {
			x = append(p.flat(sum), x[1:]...)
			continue
		}
		if q.kind == sum {
			y = append(q.flat(sum), y[1:]...)
			continue
		}
		if p.dim == q.dim {
			s.tie(p, q, at)
			x, y = x[1:], y[1:]
			continue
		}
		m, ok1 := p.dim.Const()
		n, ok2 := q.dim.Const()
		if ok1 && ok2 && (m > n && cut(p, n, at) || m < n && cut(q, m, at)) {
			continue
		}
		for _, r := range append(x, y...) {
			r.hold(at)
		}
		return
	}
	a.to = b
}

// cut refines a leaf or product into its first n channels and the others, or
// into more parts than that.
func cut(a *axis, n int64, at *Pin) bool {
	if a.kind == product {
		parts := spread(a, at)
		if parts != nil {
			a.kind, a.parts = sum, parts
		}
		return parts != nil
	}
	whole, _ := a.dim.Const()
	first, rest := newLeaf(graph.N(n)), newLeaf(graph.N(whole-n))
	first.pin, rest.pin = a.pin, a.pin
	a.kind, a.parts, a.pin = sum, []*axis{first, rest}, nil
	return true
}

// singles refines a term into one part for each channel; nil where there are
// too many.
func singles(a *axis, at *Pin) []*axis {
	a = a.find()
	n, ok := a.dim.Const()
	if !ok || n > maxParts {
		return nil
	}
	var out []*axis
	for _, p := range a.flat(sum) {
		switch {
		case p.dim.Is(1):
			out = append(out, p)
		case p.kind == product:
			parts := spread(p, at)
			if parts == nil {
				return nil
			}
			p.kind, p.parts = sum, parts
			more := singles(p, at)
			if more == nil {
				return nil
			}
			out = append(out, more...)
		default:
			k, _ := p.dim.Const()
			for range k {
				one := newLeaf(graph.N(1))
				one.pin = p.pin
				p.parts = append(p.parts, one)
			}
			p.kind, p.pin = sum, nil
			out = append(out, p.parts...)
		}
	}
	return out
}

// divide returns d / e where that is whole.
func divide(d, e graph.Dim) (graph.Dim, bool) {
	if n, ok := e.Const(); ok {
		q, err := d.Div(n)
		return q, err == nil
	}
	if d.Symbol() != e.Symbol() || e.Coef() == 0 || d.Coef()%e.Coef() != 0 {
		return graph.Dim{}, false
	}
	q := d.Coef() / e.Coef()
	return graph.N(q), d.Offset() == q*e.Offset()
}
