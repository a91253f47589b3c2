package axes

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// removal is a set of channels on their way out.
type removal struct {
	gone map[*axis][]bool // by leaf
}

// touches reports whether an axis loses anything.
func (r *removal) touches(a *axis) bool {
	a = a.find()
	if a.kind == leaf {
		return r.gone[a] != nil
	}
	return slices.ContainsFunc(a.parts, r.touches)
}

// dim returns the extent of an axis after the removal.
func (r *removal) dim(a *axis) graph.Dim {
	a = a.find()
	if !r.touches(a) {
		return a.dim
	}
	switch a.kind {
	case leaf:
		n := int64(0)
		for _, g := range r.gone[a] {
			if !g {
				n++
			}
		}
		return graph.N(n)
	case sum:
		n := int64(0)
		for _, p := range a.parts {
			k, _ := r.dim(p).Const()
			n += k
		}
		return graph.N(n)
	}
	d := graph.N(1)
	for _, p := range a.flat(product) {
		d, _ = d.Mul(r.dim(p)) // at most one factor is symbolic, as in the extent itself
	}
	return d
}

// mask says of every element of a constant axis whether it goes.
func (r *removal) mask(a *axis) []bool {
	a = a.find()
	n, _ := a.dim.Const()
	out := make([]bool, n)
	if !r.touches(a) {
		return out
	}
	switch a.kind {
	case leaf:
		return r.gone[a]
	case sum:
		out = out[:0]
		for _, p := range a.parts {
			out = append(out, r.mask(p)...)
		}
		return out
	}
	inner := n
	for _, p := range a.flat(product) {
		own := r.mask(p)
		inner /= int64(len(own))
		for i := range out {
			out[i] = out[i] || own[int64(i)/inner%int64(len(own))]
		}
	}
	return out
}

// kept returns the indices of an axis that stay; nil where all do.
func (r *removal) kept(a *axis) []int64 {
	if !r.touches(a) {
		return nil
	}
	out := []int64{}
	for i, gone := range r.mask(a) {
		if !gone {
			out = append(out, int64(i))
		}
	}
	return out
}

// shape returns the shape of axes after the removal; it fails where an axis
// would have nothing left.
func (r *removal) shape(axes []*axis) (graph.Shape, error) {
	s := make(graph.Shape, len(axes))
	for i, a := range axes {
		s[i] = r.dim(a)
		if s[i].Is(0) && !a.find().dim.Is(0) {
			return nil, fmt.Errorf("all %v channels of an axis would go; one has to stay", a.find().dim)
		}
	}
	return s, nil
}

// slice takes the kept part of a tensor along every axis; t itself where
// nothing goes.
func (r *removal) slice(t *graph.Tensor, axes []*axis) *graph.Tensor {
	for i, a := range axes {
		if rows := r.kept(a); rows != nil {
			t = takeRows(t, i, rows)
		}
	}
	return t
}

// takeRows gathers rows along an axis.
func takeRows(t *graph.Tensor, axis int, rows []int64) *graph.Tensor {
	outer, inner := int64(1), int64(t.DType.Size())
	for i, e := range t.Shape {
		switch {
		case i < axis:
			outer *= e
		case i > axis:
			inner *= e
		}
	}
	old := t.Shape[axis]
	shape := slices.Clone(t.Shape)
	shape[axis] = int64(len(rows))
	out := graph.NewTensor(t.DType, shape...)
	at := out.Data[:0]
	for o := range outer {
		for _, row := range rows {
			from := (o*old + row) * inner
			at = append(at, t.Data[from:from+inner]...)
		}
	}
	return out
}

// Remove returns the program and values of the model without the channels that
// the cuts name. Neither the receiver nor its program changes; to remove more,
// Follow the new program. The error is a *HeldError where something holds an
// axis fast.
func (a *Axes) Remove(values []train.Value, cuts ...Cut) (*train.Program, []train.Value, error) {
	r := &removal{gone: map[*axis][]bool{}}
	drop := func(l *axis, i int64) {
		if r.gone[l] == nil {
			n, _ := l.dim.Const()
			r.gone[l] = make([]bool, n)
		}
		r.gone[l][i] = true
	}
	for _, c := range cuts {
		for _, i := range c.index {
			l, err := (*axis)(nil), error(nil)
			switch {
			case c.group == nil:
				l, i, err = a.locate(c.param, c.axis, i)
			case i < 0 || i >= c.group.Size:
				err = fmt.Errorf("the group has %d channels, there is no %d", c.group.Size, i)
			default:
				l, err = a.find(c.group)
			}
			if err != nil {
				return nil, nil, err
			}
			drop(l, i)
		}
	}
	out := make([]train.Value, len(values))
	for i, v := range values {
		var err error
		if out[i], err = a.value(r, v); err != nil {
			return nil, nil, err
		}
	}
	p, err := a.rewrite(r)
	if err != nil {
		return nil, nil, fmt.Errorf("removing channels: %w", err)
	}
	return p, out, nil
}

// value returns what stays of a run's value.
func (a *Axes) value(r *removal, v train.Value) (train.Value, error) {
	axes := a.named[key{v.Role, v.Name}]
	if axes == nil {
		var name string
		// A mask, or a slot that the host itself keeps beside the parameter.
		if rest, ok := train.MaskOf(v.Name); ok && v.Role == graph.Input {
			name = rest
		} else if i := strings.LastIndexByte(v.Name, ':'); i > 0 && v.Role == graph.SlotRole {
			name = v.Name[:i]
		} else {
			return v, nil
		}
		k := key{graph.ParamRole, name}
		axes = a.named[k]
		if !slices.ContainsFunc(axes, r.touches) {
			return v, nil
		}
		if !v.Tensor.Type().Shape.Equal(a.params[k].Type.Shape) {
			return v, fmt.Errorf("removing channels: %v %q is %v, and what its axes mean is not known", v.Role, v.Name, v.Tensor.Type())
		}
	}
	if len(axes) != len(v.Tensor.Shape) {
		return v, fmt.Errorf("removing channels: %v %q is %v and should have %d axes", v.Role, v.Name, v.Tensor.Type(), len(axes))
	}
	for i, x := range axes {
		if !x.find().dim.Is(v.Tensor.Shape[i]) {
			return v, fmt.Errorf("removing channels: %v %q is %v, axis %d should have %v elements", v.Role, v.Name, v.Tensor.Type(), i, x.find().dim)
		}
	}
	if _, err := r.shape(axes); err != nil {
		return v, fmt.Errorf("removing channels: %v %q: %w", v.Role, v.Name, err)
	}
	v.Tensor = r.slice(v.Tensor, axes)
	return v, nil
}

// rewrite returns the program for what stays.
func (a *Axes) rewrite(r *removal) (*train.Program, error) {
	p, err := clone(a.program)
	if err != nil {
		return nil, err
	}
	e := newEmitter(a, r, p.Module)
	for _, m := range perParameter(p) {
		for _, param := range slices.Sorted(maps.Keys(m)) {
			in := a.attached[attachment{param, m[param]}]
			if in == nil {
				continue
			}
			if m[param], err = e.emit(map[graph.Mode]*instance{in.fn.Mode: in}); err != nil {
				return nil, fmt.Errorf("%q, which %q is trained with: %w", in.fn.Name, param, err)
			}
		}
	}
	if err := e.declarations(); err != nil {
		return nil, err
	}
	if p.Model, err = e.emit(a.roots); err != nil {
		return nil, err
	}
	if p.Model != a.program.Model {
		e.rename(p.Model, a.program.Model)
		p.Model = a.program.Model
	}
	if err := e.prune(p); err != nil {
		return nil, err
	}
	if err := graph.Verify(p.Module, graph.Limits{}); err != nil {
		return nil, fmt.Errorf("the model without them is not valid: %w", err)
	}
	return p, nil
}

// clone copies a program; what its module holds is shared.
func clone(p *train.Program) (*train.Program, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	out := &train.Program{}
	if err := json.Unmarshal(b, out); err != nil {
		return nil, err
	}
	out.Module = graph.NewModule()
	out.Module.Funcs = slices.Clone(p.Module.Funcs)
	maps.Copy(out.Module.Consts, p.Module.Consts)
	return out, nil
}
