package axes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/sdk/graph"
)

// Group is a set of channels, each of which can be removed. Removing one removes
// it from every member.
type Group struct {
	Size    int64
	Members []Member
	leaf    *axis
}

// Member is an axis of a parameter or state along which the group's channels lie.
type Member struct {
	Role  graph.Role
	Path  string
	Axis  int
	place *axis
	nth   int // of the leaves of that axis: what finds the group in another Follow
}

// String lists the members: conv1.kernel[3], norm.gamma[0].
func (g *Group) String() string {
	var out []string
	for _, m := range g.Members {
		out = append(out, m.String())
	}
	return fmt.Sprintf("%d of %s", g.Size, strings.Join(out, ", "))
}

// String spells the member as PATH[AXIS].
func (m Member) String() string { return fmt.Sprintf("%s[%d]", m.Path, m.Axis) }

// Indices returns where, along the member's axis, the elements of one of the
// group's channels lie: one index, or several where the axis flattens others or
// holds the channel more than once.
func (g *Group) Indices(m Member, channel int64) []int64 {
	gone := make([]bool, g.Size)
	gone[channel] = true
	r := &removal{gone: map[*axis][]bool{g.leaf: gone}}
	var out []int64
	for i, hit := range r.mask(m.place) {
		if hit {
			out = append(out, int64(i))
		}
	}
	return out
}

// Channel says to remove channels of the group.
func (g *Group) Channel(index ...int64) Cut { return Cut{group: g, index: index} }

// Cut says what to remove.
type Cut struct {
	group *Group
	param string
	axis  int
	index []int64
}

// Channel says to remove the channels that stand at those places of an axis of a
// parameter or state, with all that is coupled to them, which may be further
// places of the same axis.
func Channel(param string, axis int, index ...int64) Cut {
	return Cut{param: param, axis: axis, index: index}
}

// leavesOf lists the leaves of a term, each once.
func leavesOf(a *axis) []*axis {
	a = a.find()
	if a.kind == leaf {
		return []*axis{a}
	}
	var out []*axis
	for _, p := range a.parts {
		for _, l := range leavesOf(p) {
			if !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	return out
}

// Groups lists what can be removed, in the order of the model's parameters.
func (a *Axes) Groups() []*Group {
	var out []*Group
	at := map[*axis]*Group{}
	alone := map[*axis]bool{}
	for _, k := range a.order {
		for i, x := range a.named[k] {
			for nth, l := range leavesOf(x) {
				n, ok := l.dim.Const()
				if l.pin != nil || !ok || n == 0 {
					continue
				}
				if at[l] == nil {
					at[l] = &Group{Size: n, leaf: l}
					out = append(out, at[l])
				}
				at[l].Members = append(at[l].Members, Member{k.role, k.name, i, x.find(), nth})
				alone[l] = alone[l] || x.find() == l
			}
		}
	}
	// The last channel of an axis stays.
	return slices.DeleteFunc(out, func(g *Group) bool { return g.Size == 1 && alone[g.leaf] })
}

// find returns the leaf of a group, which may be one that another Follow of the
// same program has found.
func (a *Axes) find(g *Group) (*axis, error) {
	m := g.Members[0]
	if terms := a.named[key{m.Role, m.Path}]; m.Axis < len(terms) {
		if l := leavesOf(terms[m.Axis]); m.nth < len(l) && l[m.nth].pin == nil && l[m.nth].dim.Is(g.Size) {
			return l[m.nth], nil
		}
	}
	return nil, fmt.Errorf("the model has no group %v; it is another model's", g)
}

// Group returns the group to which an index of a parameter's or state's axis
// belongs, and the channel that it is there. The error is a *HeldError where
// that index cannot be removed.
func (a *Axes) Group(param string, axis int, index int64) (*Group, int64, error) {
	l, i, err := a.locate(param, axis, index)
	if err != nil {
		return nil, 0, err
	}
	for _, g := range a.Groups() {
		if g.leaf == l {
			return g, i, nil
		}
	}
	return nil, 0, &HeldError{Path: param, Axis: axis, Pin: Pin{Op: "axis", Scope: param, Why: "has one channel alone"}}
}

// HeldError says that an axis cannot lose what was asked for.
type HeldError struct {
	Path string
	Axis int
	Pin
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("nothing can be removed from axis %d of %q: %v", e.Axis, e.Path, &e.Pin)
}

// locate finds the leaf that an index of a parameter's axis stands for.
func (a *Axes) locate(param string, n int, index int64) (*axis, int64, error) {
	terms := a.named[key{graph.ParamRole, param}]
	if terms == nil {
		terms = a.named[key{graph.StateRole, param}]
	}
	if terms == nil {
		terms = a.named[key{graph.Input, param}]
	}
	if terms == nil {
		return nil, 0, fmt.Errorf("the model has no parameter %q", param)
	}
	if n < 0 || n >= len(terms) {
		return nil, 0, fmt.Errorf("%q has %d axes, there is no axis %d", param, len(terms), n)
	}
	if size, _ := terms[n].find().dim.Const(); index < 0 || index >= size {
		return nil, 0, fmt.Errorf("axis %d of %q has %d elements, there is no %d", n, param, size, index)
	}
	type place struct {
		leaf  *axis
		index int64
	}
	var free []place
	var held *Pin
	var down func(x *axis, i int64)
	down = func(x *axis, i int64) {
		x = x.find()
		switch x.kind {
		case leaf:
			if x.pin == nil {
				free = append(free, place{x, i})
			} else if held == nil {
				held = x.pin
			}
		case sum:
			for _, p := range x.parts {
				k, _ := p.find().dim.Const()
				if i < k {
					down(p, i)
					return
				}
				i -= k
			}
		case product:
			inner, _ := x.dim.Const()
			for _, p := range x.flat(product) {
				k, _ := p.dim.Const()
				inner /= k
				down(p, i/inner)
				i %= inner
			}
		}
	}
	down(terms[n], index)
	switch {
	case len(free) == 1:
		return free[0].leaf, free[0].index, nil
	case len(free) == 0 && held != nil:
		return nil, 0, &HeldError{param, n, *held}
	}
	return nil, 0, fmt.Errorf("element %d of axis %d of %q belongs to %d groups of channels; name the group", index, n, param, len(free))
}
