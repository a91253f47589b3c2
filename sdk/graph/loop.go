package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Loop says how often a scan runs and in which order.
type Loop struct {
	// Reverse goes from the last element to the first.
	Reverse bool
	// Length is the number of steps where there are no sequences.
	Length int64
}

// ScanBody traces body as a function of its own and scans it over the leading
// axis of xs: from the carries, the constants and one element of each sequence
// it makes the next carries and the step's results. It returns the last carries
// and the results of all steps, stacked.
//
// The body sees no values of b but those it is given. Parameters, hypers, keys
// and the like that it declares are those of b, the same in every step: a key
// draws the same numbers each time. It can have no state, since the carries are
// what passes from step to step.
func (b *Builder) ScanBody(name string, l Loop, carries, consts, xs []Value, body func(s *Builder, carries, consts, x []Value) (next, out []Value)) (last, outs []Value) {
	failed := func() ([]Value, []Value) {
		none := make([]Value, max(len(carries), 16))
		for i := range none {
			none[i] = Value{b: b, id: -1}
		}
		return none[:len(carries)], none
	}
	if !b.owns(slices.Concat(carries, consts, xs)...) {
		return failed()
	}
	s := NewBuilder(b.module, b.freeName(name), b.fn.Mode)
	declare := func(kind string, vs []Value, slice bool) []Value {
		in := make([]Value, len(vs))
		for i, v := range vs {
			t := v.Type()
			if slice && t.Rank() > 0 {
				t.Shape = t.Shape[1:]
			} else if slice {
				b.Failf("sequence %d of a scan is a scalar", i)
			}
			in[i] = s.Input(fmt.Sprintf("%s%d", kind, i), t)
		}
		return in
	}
	c, k := declare("carry", carries, false), declare("const", consts, false)
	x := declare("x", xs, true)
	next, out := body(s, c, k, x)
	if s.err == nil && len(next) != len(carries) {
		s.Failf("the body of a scan with %d carries gives %d", len(carries), len(next))
	}
	for i, v := range next {
		if s.err == nil && i < len(c) && s.owns(v) && !v.Type().Equal(c[i].Type()) {
			s.Failf("carry %d goes in as %v and comes out as %v", i, c[i].Type(), v.Type())
		}
		s.Output(fmt.Sprintf("carry%d", i), v)
	}
	for i, v := range out {
		s.Output(fmt.Sprintf("y%d", i), v)
	}
	consts = append(slices.Clone(consts), b.lift(s, len(carries)+len(consts), len(xs))...)
	if b.err != nil {
		return failed()
	}
	f, err := s.Finish()
	if err != nil {
		b.Failf("%v", err)
		return failed()
	}
	res := b.Scan(f.Name, l.Reverse, l.Length, carries, consts, xs)
	if b.err != nil {
		return failed()
	}
	return res[:len(carries)], res[len(carries):]
}

// freeName returns name#n with the first n that no function of this mode has.
func (b *Builder) freeName(name string) string {
	for n := 0; ; n++ {
		s := fmt.Sprintf("%s/%s#%d", b.fn.Name, name, n)
		if b.module.Func(s, b.fn.Mode) == nil && b.module.Func(s, Any) == nil {
			return s
		}
	}
}

// lift makes what the body of a scan has declared behind its first parameters
// and sequences into constants of the scan, and returns their values in b.
func (b *Builder) lift(s *Builder, fixed, sequences int) []Value {
	var outer []Value
	own := s.fn.Params[fixed+sequences:]
	for i := range own {
		p := &own[i]
		var v Value
		switch p.Role {
		case StateRole:
			b.Failf("the body of a scan has the state %q; what passes from step to step is a carry", p.Name)
			return nil
		case StepRole, IndexRole:
			v = b.ambient(p.Role, p.Type)
		case KeyRole:
			q := *p
			if b.fn.Param(KeyRole, q.Name) >= 0 {
				q.Name = fmt.Sprintf("%s%d", q.Name[:strings.LastIndexByte(q.Name, '#')+1], b.countKeys(q.Name))
			}
			v = b.addParam(q)
			b.keys++
		default:
			if j := b.fn.Param(p.Role, p.Name); j >= 0 {
				v = b.paramValue(j)
			} else {
				v = b.addParam(*p)
			}
		}
		outer = append(outer, v)
		*p = Param{Name: p.Role.String() + " " + p.Name, Role: Input, Type: p.Type}
	}
	// The sequences come last.
	n := len(own)
	params := slices.Concat(s.fn.Params[:fixed], own, s.fn.Params[fixed:fixed+sequences])
	for i, p := range s.isPar {
		switch {
		case p >= fixed+sequences:
			s.isPar[i] = p - sequences
		case p >= fixed:
			s.isPar[i] = p + n
		}
	}
	s.fn.Params = params
	return outer
}
