package reference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// pool keeps values as tensors. The tensor behind a handle is replaced, never
// changed, so that readers need no lock beyond the lookup.
type pool struct {
	mu     sync.RWMutex
	last   kernels.Handle
	values map[kernels.Handle]*graph.Tensor
	closed bool
}

func newPool() *pool { return &pool{values: map[kernels.Handle]*graph.Tensor{}} }

var errClosed = errors.New("the pool is closed")

func (p *pool) add(t *graph.Tensor) (kernels.Handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, errClosed
	}
	p.last++
	p.values[p.last] = t
	return p.last, nil
}

func (p *pool) get(h kernels.Handle) (*graph.Tensor, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return nil, errClosed
	}
	t, ok := p.values[h]
	if !ok {
		return nil, fmt.Errorf("the pool has no value with handle %d", h)
	}
	return t, nil
}

func checkType(d graph.DType, shape []int64) (int64, error) {
	if !d.Valid() {
		return 0, fmt.Errorf("%v is no element type", d)
	}
	if len(shape) > graph.MaxRank {
		return 0, fmt.Errorf("%d axes, at most %d are allowed", len(shape), graph.MaxRank)
	}
	for _, e := range shape {
		if e < 0 {
			return 0, fmt.Errorf("the shape %v has a negative extent", shape)
		}
	}
	bytes, err := graph.T(d, shape...).Bytes(nil)
	if err == nil && bytes > limitBytes {
		err = &kernels.LimitError{What: "bytes for one value", Got: bytes, Limit: limitBytes}
	}
	return bytes, err
}

func (p *pool) New(d graph.DType, shape []int64) (kernels.Handle, error) {
	if _, err := checkType(d, shape); err != nil {
		return 0, fmt.Errorf("allocating a value: %w", err)
	}
	return p.add(graph.NewTensor(d, shape...))
}

// Register copies: values here are replaced by runs, and a caller's memory is
// not to change.
func (p *pool) Register(v kernels.View) (kernels.Handle, error) {
	bytes, err := checkType(v.DType, v.Shape)
	if err != nil {
		return 0, fmt.Errorf("registering a value: %w", err)
	}
	if int64(len(v.Data)) != bytes {
		return 0, fmt.Errorf("registering a value: %v%v takes %d bytes, got %d", v.DType, v.Shape, bytes, len(v.Data))
	}
	return p.add(&graph.Tensor{DType: v.DType, Shape: slices.Clone(v.Shape), Data: normal(v.DType, v.Data)})
}

// normal copies data, with every true bool as 1.
func normal(d graph.DType, data []byte) []byte {
	out := slices.Clone(data)
	if d == graph.Bool {
		for i, b := range out {
			if b != 0 {
				out[i] = 1
			}
		}
	}
	return out
}

func (p *pool) Write(h kernels.Handle, data []byte) error {
	t, err := p.get(h)
	if err != nil {
		return err
	}
	if len(data) != len(t.Data) {
		return fmt.Errorf("writing handle %d: %v takes %d bytes, got %d", h, t.Type(), len(t.Data), len(data))
	}
	p.set(h, &graph.Tensor{DType: t.DType, Shape: t.Shape, Data: normal(t.DType, data)})
	return nil
}

// set replaces the value of a handle that is still alive.
func (p *pool) set(h kernels.Handle, t *graph.Tensor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.values[h]; ok && !p.closed {
		p.values[h] = t
	}
}

func (p *pool) Read(h kernels.Handle, data []byte) error {
	t, err := p.get(h)
	if err != nil {
		return err
	}
	if len(data) != len(t.Data) {
		return fmt.Errorf("reading handle %d: %v gives %d bytes, the buffer has %d", h, t.Type(), len(t.Data), len(data))
	}
	copy(data, t.Data)
	return nil
}

func (p *pool) Info(h kernels.Handle) (graph.DType, []int64, error) {
	t, err := p.get(h)
	if err != nil {
		return graph.Invalid, nil, err
	}
	return t.DType, slices.Clone(t.Shape), nil
}

func (p *pool) Free(h kernels.Handle) error {
	if _, err := p.get(h); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.values, h)
	return nil
}

func (p *pool) Snapshot(ctx context.Context, hs []kernels.Handle) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return nil, errClosed
	}
	out := make([][]byte, len(hs))
	for i, h := range hs {
		t, ok := p.values[h]
		if !ok {
			return nil, fmt.Errorf("the pool has no value with handle %d", h)
		}
		out[i] = slices.Clone(t.Data)
	}
	return out, nil
}

func (p *pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.values = true, nil
	return nil
}
