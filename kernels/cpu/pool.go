package cpu

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// lineBytes is the alignment of every value: a cache line, and the widest vector.
const lineBytes = 64

// alignedBytes allocates zeroed memory that begins on a cache line.
func alignedBytes(n int64) []byte {
	b := make([]byte, n+lineBytes)
	off := (lineBytes - int64(uintptr(unsafe.Pointer(&b[0]))%lineBytes)) % lineBytes
	return b[off : off+n : off+n+1]
}

type value struct {
	dtype graph.DType
	shape []int64
	data  []byte // of at least one byte, so that it has an address
	bytes int64
	// version counts what has written to it.
	version atomic.Uint64
}

// pool holds values in the process's memory.
type pool struct {
	mu     sync.Mutex
	values map[kernels.Handle]*value
	next   kernels.Handle
	closed bool
}

func newPool() *pool { return &pool{values: map[kernels.Handle]*value{}} }

func byteLen(d graph.DType, shape []int64) (int64, error) {
	if !d.Valid() {
		return 0, fmt.Errorf("invalid element type")
	}
	if len(shape) > graph.MaxRank {
		return 0, fmt.Errorf("%d axes; a value has at most %d", len(shape), graph.MaxRank)
	}
	for _, e := range shape {
		if e < 0 {
			return 0, fmt.Errorf("negative extent in %v", shape)
		}
	}
	return graph.Type{DType: d, Shape: graph.ShapeOf(shape...)}.Bytes(nil)
}

func (p *pool) add(v *value) (kernels.Handle, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, fmt.Errorf("the pool is closed")
	}
	p.next++
	p.values[p.next] = v
	return p.next, nil
}

func (p *pool) New(d graph.DType, shape []int64) (kernels.Handle, error) {
	n, err := byteLen(d, shape)
	if err != nil {
		return 0, err
	}
	return p.add(&value{dtype: d, shape: slices.Clone(shape), data: alignedBytes(max(n, 1)), bytes: n})
}

func (p *pool) Register(v kernels.View) (kernels.Handle, error) {
	n, err := byteLen(v.DType, v.Shape)
	if err != nil {
		return 0, err
	}
	if n != int64(len(v.Data)) {
		return 0, fmt.Errorf("%v%v takes %d bytes, got %d", v.DType, v.Shape, n, len(v.Data))
	}
	data := v.Data
	// The kernels read elements at their natural alignment.
	if n == 0 || uintptr(unsafe.Pointer(&data[0]))%uintptr(v.DType.Size()) != 0 {
		data = alignedBytes(max(n, 1))
		copy(data, v.Data)
	}
	return p.add(&value{dtype: v.DType, shape: slices.Clone(v.Shape), data: data, bytes: n})
}

func (p *pool) get(h kernels.Handle) (*value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.values[h]
	if !ok {
		return nil, fmt.Errorf("there is no value %d", h)
	}
	return v, nil
}

func (p *pool) Write(h kernels.Handle, data []byte) error {
	v, err := p.get(h)
	if err != nil {
		return err
	}
	if int64(len(data)) != v.bytes {
		return fmt.Errorf("%v%v takes %d bytes, got %d", v.dtype, v.shape, v.bytes, len(data))
	}
	copy(v.data, data)
	v.version.Add(1)
	return nil
}

func (p *pool) Read(h kernels.Handle, data []byte) error {
	v, err := p.get(h)
	if err != nil {
		return err
	}
	if int64(len(data)) != v.bytes {
		return fmt.Errorf("%v%v has %d bytes, the buffer %d", v.dtype, v.shape, v.bytes, len(data))
	}
	copy(data, v.data)
	return nil
}

func (p *pool) Info(h kernels.Handle) (graph.DType, []int64, error) {
	v, err := p.get(h)
	if err != nil {
		return graph.Invalid, nil, err
	}
	return v.dtype, slices.Clone(v.shape), nil
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
	out := make([][]byte, len(hs))
	for i, h := range hs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := p.get(h)
		if err != nil {
			return nil, err
		}
		out[i] = slices.Clone(v.data[:v.bytes])
	}
	return out, nil
}

func (p *pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	clear(p.values)
	return nil
}
