package axes

import (
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/sdk/graph"
)

func TestEveryOpHasARule(t *testing.T) {
	for _, op := range graph.Ops() {
		if has := rules[op] != nil; has == structural[op] {
			t.Errorf("%v: a rule: %v, followed by the walk: %v; add one to rules (there is no default)", op, has, structural[op])
		}
	}
}

// spell writes a term with letters for its leaves, in order of appearance;
// held ones are followed by a mark.
func spell(terms ...*axis) string {
	var leaves []*axis
	var one func(a *axis) string
	one = func(a *axis) string {
		a = a.find()
		if a.kind == leaf {
			i := slices.Index(leaves, a)
			if i < 0 {
				i = len(leaves)
				leaves = append(leaves, a)
			}
			s := string(rune('a'+i)) + a.dim.String()
			if a.pin != nil {
				s += "!"
			}
			return s
		}
		var parts []string
		for _, p := range a.flat(a.kind) {
			parts = append(parts, one(p))
		}
		return "(" + strings.Join(parts, map[kind]string{product: "*", sum: "+"}[a.kind]) + ")"
	}
	var out []string
	for _, a := range terms {
		out = append(out, one(a))
	}
	return strings.Join(out, " ")
}

func TestTermsAreRefined(t *testing.T) {
	n := func(k int64) *axis { return newLeaf(graph.N(k)) }
	times := func(parts ...*axis) *axis {
		d := graph.N(1)
		for _, p := range parts {
			d, _ = d.Mul(p.dim)
		}
		return join(product, d, parts...)
	}
	plus := func(parts ...*axis) *axis {
		d := graph.N(0)
		for _, p := range parts {
			d, _ = d.Add(p.dim)
		}
		return join(sum, d, parts...)
	}
	batch := newLeaf(graph.Batch)
	twice := n(3)
	for _, c := range []struct {
		name string
		a, b *axis
		want string
	}{
		{"leaves", n(4), n(4), "a4 a4"},
		{"a leaf is divided", times(n(2), n(3)), n(6), "(a2*b3) (a2*b3)"},
		{"products with a common refinement", times(n(2), n(6)), times(n(4), n(3)), "(a2*b2*c3) (a2*b2*c3)"},
		{"products without one", times(n(6), n(4)), times(n(4), n(6)), "(a6!*b4!) (c4!*d6!)"},
		{"ones say nothing", times(n(1), n(6), n(1)), times(n(6), n(1)), "a6 a6"},
		{"sums", plus(n(2), n(3), n(4)), plus(n(5), n(4)), "(a2+b3+c4) (a2+b3+c4)"},
		{"one part twice", plus(twice, twice), plus(n(1), n(2), n(3)), "(a1+b2+a1+b2) (a1+b2+a1+b2)"},
		{"a product of sums", times(n(2), n(3)), plus(n(3), n(3)), "(a3+a3) (a3+a3)"},
		{"a product cut within a row", times(n(2), n(3)), plus(n(2), n(4)), "(a2+b1+a2+b1) (a2+b1+a2+b1)"},
		{"the batch among factors", times(batch, n(3)), newLeaf(graph.Affine("batch", 3, 0)), "(abatch*b3) (abatch*b3)"},
		{"a sum as a factor", times(plus(n(1), n(2)), n(2)), times(n(3), n(2)), "((a1+b2)*c2) ((a1+b2)*c2)"},
	} {
		s := &solver{}
		s.tie(c.a, c.b, &Pin{Op: "test", Why: "is tested"})
		if got := spell(c.a, c.b); got != c.want || s.err != nil {
			t.Errorf("%s: %s (%v), wanted %s", c.name, got, s.err, c.want)
		}
	}
	// What is held stays held, however it is divided.
	held := n(6)
	held.hold(&Pin{Op: "test"})
	s := &solver{}
	s.tie(held, times(n(2), n(3)), &Pin{})
	if got := spell(held); got != "(a2!*b3!)" {
		t.Errorf("a held leaf becomes %s", got)
	}
	// Removing from a product removes from each of its rows, from a part that
	// stands twice at both places.
	a := n(3)
	r := &removal{gone: map[*axis][]bool{a: {false, true, false}}}
	for want, x := range map[string]*axis{"[0 2]": a, "[0 2 3 5]": times(n(2), a), "[0 1 4 5]": times(a, n(2)), "[0 2 3 4 5 7]": plus(a, n(2), a)} {
		if got := spellInts(r.kept(x)); got != want || !r.dim(x).Is(int64(len(r.kept(x)))) {
			t.Errorf("%s keeps %s of %v, wanted %s", spell(x), got, r.dim(x), want)
		}
	}
}

func spellInts(v []int64) string {
	var out []string
	for _, x := range v {
		out = append(out, graph.N(x).String())
	}
	return "[" + strings.Join(out, " ") + "]"
}
