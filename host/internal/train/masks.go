package train

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hone-ml/hone/sdk/graph"
)

// A mask is a bool of a parameter's shape, false where the parameter is held at
// zero. The step takes it as a value, so that another mask of the same parameter
// needs no compilation. Held means: the gradient is zero there before norms are
// taken of it, and the parameter and every slot of its shape are zero there
// after each update, whatever the optimizer writes, NaN included. The program
// knows nothing of masks; a run and its checkpoint do.

// maskPrefix precedes the path of a parameter in the name of its mask.
const maskPrefix = "mask:"

// MaskName is the name under which a parameter's mask lives and is saved.
func MaskName(param string) string { return maskPrefix + param }

// MaskOf returns the parameter whose mask has that name.
func MaskOf(name string) (param string, ok bool) { return strings.CutPrefix(name, maskPrefix) }

// mask holds a value of a parameter's shape at zero where its mask says so.
func (s *step) mask(q graph.Param, v graph.Value) graph.Value {
	if !s.cfg.Masked[q.Name] || s.failed() || !v.Valid() || !v.Type().Shape.Equal(q.Type.Shape) {
		return v
	}
	m := s.read(graph.Input, MaskName(q.Name), graph.Type{DType: graph.Bool, Shape: q.Type.Shape})
	return m.Select(v, s.b.Scalar(v.DType(), 0).BroadcastTo(v.Dims()...))
}

// SetMask gives a parameter a mask, or another one, and holds it at once: the
// parameter and its slots become zero where keep is false. keep has the
// parameter's shape and any type; what is not zero keeps. Where the parameter had
// a mask before, the same executables go on.
func (t *Trainer) SetMask(param string, keep *graph.Tensor) error {
	i := slices.IndexFunc(t.p.Params(), func(q graph.Param) bool { return q.Role == graph.ParamRole && q.Name == param })
	if i < 0 {
		return fmt.Errorf("there is no parameter %q to mask", param)
	}
	q := t.p.Params()[i]
	if name := storage(q); name != param {
		return fmt.Errorf("the parameter %q shares the values of %q: mask that one", param, name)
	}
	shape, _ := q.Type.Shape.Const()
	if !slices.Equal(shape, keep.Shape) {
		return fmt.Errorf("the mask of %q has the shape %v, the parameter %v", param, keep.Shape, shape)
	}
	m := graph.NewTensor(graph.Bool, shape...)
	for i := range keep.Len() {
		if keep.DType.IsFloat() && keep.Float(i) != 0 || !keep.DType.IsFloat() && keep.Int(i) != 0 {
			m.Data[i] = 1
		}
	}
	if err := t.vals.put(graph.Input, MaskName(param), m); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(t.vals.types)) {
		v := t.vals.types[k]
		slot, ok := strings.CutPrefix(v.Name, SlotName(param, ""))
		if (v.Role == graph.ParamRole && v.Name == param || v.Role == graph.SlotRole && ok && slot != "") && v.Type.Shape.Equal(q.Type.Shape) {
			if err := t.hold(v, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// hold zeroes a value where the mask is false.
func (t *Trainer) hold(q graph.Param, mask *graph.Tensor) error {
	v, err := t.vals.get(q.Role, q.Name)
	if err != nil {
		return err
	}
	size := v.DType.Size()
	for i, keep := range mask.Data {
		if keep == 0 {
			clear(v.Data[i*size : (i+1)*size])
		}
	}
	return t.vals.put(q.Role, q.Name, v)
}

// masked returns the parameters that have a mask.
func (t *Trainer) masked() map[string]bool {
	out := map[string]bool{}
	for _, q := range t.vals.types {
		if param, ok := MaskOf(q.Name); ok && q.Role == graph.Input {
			out[param] = true
		}
	}
	return out
}
