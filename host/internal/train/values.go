package train

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// values are the device values of a run, by role and name. Executables of any
// batch size and phase are bound to the same handles.
type values struct {
	pool    kernels.Pool
	handles map[string]kernels.Handle
	types   map[string]graph.Param
}

func newValues(pool kernels.Pool) *values {
	return &values{pool: pool, handles: map[string]kernels.Handle{}, types: map[string]graph.Param{}}
}

// put stores a value, allocating its handle on first use.
func (v *values) put(role graph.Role, name string, t *graph.Tensor) error {
	k := key(role, name)
	h, ok := v.handles[k]
	if !ok {
		var err error
		if h, err = v.pool.New(t.DType, t.Shape); err != nil {
			return fmt.Errorf("allocating %s %q: %w", role, name, err)
		}
		v.handles[k] = h
		v.types[k] = graph.Param{Name: name, Role: role, Type: t.Type()}
	} else if !v.types[k].Type.Equal(t.Type()) {
		return fmt.Errorf("%s %q is %v and cannot become %v", role, name, v.types[k].Type, t.Type())
	}
	if err := v.pool.Write(h, t.Data); err != nil {
		return fmt.Errorf("writing %s %q: %w", role, name, err)
	}
	return nil
}

// register stores host memory that the caller will not change, in place where
// the device can read it.
func (v *values) register(role graph.Role, name string, view kernels.View) error {
	h, err := v.pool.Register(view)
	if err != nil {
		return fmt.Errorf("registering %s %q: %w", role, name, err)
	}
	k := key(role, name)
	if old, ok := v.handles[k]; ok {
		if err := v.pool.Free(old); err != nil {
			return err
		}
	}
	v.handles[k] = h
	v.types[k] = graph.Param{Name: name, Role: role, Type: graph.Type{DType: view.DType, Shape: graph.ShapeOf(view.Shape...)}}
	return nil
}

// has reports whether the value exists.
func (v *values) has(role graph.Role, name string) bool {
	_, ok := v.handles[key(role, name)]
	return ok
}

// get copies a value out.
func (v *values) get(role graph.Role, name string) (*graph.Tensor, error) {
	k := key(role, name)
	h, ok := v.handles[k]
	if !ok {
		return nil, fmt.Errorf("there is no %s %q", role, name)
	}
	shape, _ := v.types[k].Type.Shape.Const()
	t := graph.NewTensor(v.types[k].Type.DType, shape...)
	return t, v.pool.Read(h, t.Data)
}

// bind returns the handles of a function's signature, in order. Values that the
// map renames are taken under their other name.
func (v *values) bind(f *graph.Func, donate []int, rename map[string]string) (*kernels.Bindings, error) {
	b := &kernels.Bindings{Results: make([]kernels.Handle, len(f.Results))}
	for _, q := range f.Params {
		k := key(q.Role, q.Name)
		if r, ok := rename[k]; ok {
			k = r
		}
		h, ok := v.handles[k]
		if !ok {
			return nil, fmt.Errorf("the function %q reads %s %q, which the run does not have", f.Name, q.Role, q.Name)
		}
		b.Params = append(b.Params, h)
	}
	for i, r := range f.Results {
		if i < len(donate) && donate[i] >= 0 {
			b.Results[i] = b.Params[donate[i]]
			continue
		}
		k := key(r.Role, r.Name)
		if other, ok := rename[k]; ok {
			k = other
		}
		h, ok := v.handles[k]
		if !ok {
			return nil, fmt.Errorf("the function %q makes %s %q, which has no place", f.Name, r.Role, r.Name)
		}
		b.Results[i] = h
	}
	return b, nil
}

// index puts the index of each example of a batch.
func (v *values) index(batch int64) (map[string]string, error) {
	name := fmt.Sprintf("index:%d", batch)
	if !v.has(graph.IndexRole, name) {
		idx := make([]int64, batch)
		for i := range idx {
			idx[i] = int64(i)
		}
		if err := v.put(graph.IndexRole, name, graph.Int64s(idx, batch)); err != nil {
			return nil, err
		}
	}
	return map[string]string{key(graph.IndexRole, "index"): key(graph.IndexRole, name)}, nil
}

// Value is one named tensor of a run's state.
type Value struct {
	Role   graph.Role
	Name   string
	Tensor *graph.Tensor
}

// persistent reports whether a checkpoint holds the value: all that changes
// from step to step. Data, keys, hypers and the order of examples are remade.
func persistent(q graph.Param) bool {
	switch q.Role {
	case graph.ParamRole, graph.SlotRole, graph.GlobalRole, graph.StateRole:
		return !strings.HasPrefix(q.Name, "eval:")
	}
	return strings.HasPrefix(q.Name, "mask:")
}

// snapshot copies the persistent values at one moment between steps, sorted by
// role and name.
func (v *values) snapshot(ctx context.Context) ([]Value, error) {
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(v.handles)) {
		if persistent(v.types[k]) {
			keys = append(keys, k)
		}
	}
	handles := make([]kernels.Handle, len(keys))
	for i, k := range keys {
		handles[i] = v.handles[k]
	}
	data, err := v.pool.Snapshot(ctx, handles)
	if err != nil {
		return nil, fmt.Errorf("taking a snapshot: %w", err)
	}
	out := make([]Value, len(keys))
	for i, k := range keys {
		q := v.types[k]
		shape, _ := q.Type.Shape.Const()
		out[i] = Value{q.Role, q.Name, &graph.Tensor{DType: q.Type.DType, Shape: shape, Data: data[i]}}
	}
	return out, nil
}
