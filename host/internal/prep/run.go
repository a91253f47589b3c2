package prep

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"unsafe"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// runner executes one function on batches of any size. It compiles for whole
// chunks, and for powers of two for the rest, which is filled up with zeros:
// a function's rows do not see each other.
type runner struct {
	backend kernels.Backend
	module  *graph.Module
	fn      *graph.Func
	limits  kernels.Limits
	exact   bool // never fill up: the function adds up rows

	mu    sync.Mutex // one run at a time: sessions are reused
	pool  kernels.Pool
	sizes map[int]*sized
}

// sized is the function compiled for one batch size, with the values it runs on.
type sized struct {
	exe     kernels.Executable
	session kernels.Session
	b       kernels.Bindings
}

const smallestBatch = 16

func (r *runner) size(n int) int {
	if r.exact || n >= data.ChunkRows {
		return n
	}
	return max(smallestBatch, 1<<bits.Len(uint(n-1)))
}

// run executes the function for n rows. in and the results hold the bytes of the
// parameters and results in order; those of fewer rows than the batch are filled up.
func (r *runner) run(ctx context.Context, n int, in [][]byte) ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, err := r.at(ctx, r.size(n))
	if err != nil {
		return nil, err
	}
	for i, p := range s.exe.Params() {
		if err := r.write(s.b.Params[i], p, in[i]); err != nil {
			return nil, err
		}
	}
	if _, err := s.session.Run(ctx, &s.b, 1); err != nil {
		return nil, fmt.Errorf("running a transform: %w", err)
	}
	out := make([][]byte, len(s.b.Results))
	for i, v := range s.exe.Results() {
		out[i] = alignedBytes(byteSize(v))
		if err := r.pool.Read(s.b.Results[i], out[i]); err != nil {
			return nil, fmt.Errorf("reading a transform's result: %w", err)
		}
	}
	return out, nil
}

func (r *runner) write(h kernels.Handle, v kernels.View, b []byte) error {
	if want := byteSize(v); len(b) < want {
		full := make([]byte, want)
		copy(full, b)
		b = full
	}
	if err := r.pool.Write(h, b); err != nil {
		return fmt.Errorf("writing a transform's input: %w", err)
	}
	return nil
}

func byteSize(v kernels.View) int {
	n := int64(v.DType.Size())
	for _, d := range v.Shape {
		n *= d
	}
	return int(n)
}

// at returns the function compiled for a batch size.
func (r *runner) at(ctx context.Context, size int) (*sized, error) {
	if s := r.sizes[size]; s != nil {
		return s, nil
	}
	if r.pool == nil {
		pool, err := r.backend.NewPool("")
		if err != nil {
			return nil, fmt.Errorf("opening a device for transforms: %w", err)
		}
		r.pool = pool
	}
	if r.exact {
		r.drop() // sizes other than the chunk's come once
	}
	exe, err := r.backend.Compile(ctx, r.module, r.fn.Name, kernels.Options{
		Mode: graph.Infer, Symbols: map[string]int64{graph.BatchSymbol: int64(size)}, Limits: r.limits,
	})
	if err != nil {
		return nil, fmt.Errorf("compiling a transform: %w", err)
	}
	s := &sized{exe: exe}
	if s.session, err = exe.NewSession(r.pool); err != nil {
		return nil, fmt.Errorf("preparing a transform: %w", err)
	}
	for _, side := range []struct {
		views []kernels.View
		to    *[]kernels.Handle
	}{{exe.Params(), &s.b.Params}, {exe.Results(), &s.b.Results}} {
		for _, v := range side.views {
			h, err := r.pool.New(v.DType, v.Shape)
			if err != nil {
				return nil, fmt.Errorf("allocating for a transform: %w", err)
			}
			*side.to = append(*side.to, h)
		}
	}
	if r.sizes == nil {
		r.sizes = map[int]*sized{}
	}
	r.sizes[size] = s
	return s, nil
}

func (r *runner) drop() {
	for n, s := range r.sizes {
		_ = s.session.Close()
		for _, h := range append(s.b.Params, s.b.Results...) {
			_ = r.pool.Free(h)
		}
		delete(r.sizes, n)
	}
}

func (r *runner) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pool != nil {
		r.drop()
		_ = r.pool.Close()
		r.pool = nil
	}
}

// alignedBytes returns n bytes that may be seen as elements of any type.
func alignedBytes(n int) []byte {
	if n == 0 {
		return nil
	}
	words := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), n)
}

// bytesOf sees elements as bytes. All platforms that hone runs on are
// little-endian, as tensors are.
func bytesOf[T data.Element | uint64](v []T) []byte {
	if len(v) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
}

// seen sees the first n elements in bytes from alignedBytes.
func seen[T data.Element](b []byte, n int) []T {
	if n == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
}

// columnBytes returns the elements of a column of numbers or truth values.
func columnBytes(c *data.Column) []byte {
	switch c.Type {
	case data.F64:
		return bytesOf(data.Values[float64](c))
	case data.F32:
		return bytesOf(data.Values[float32](c))
	case data.I64:
		return bytesOf(data.Values[int64](c))
	case data.I32:
		return bytesOf(data.Values[int32](c))
	case data.I8:
		return bytesOf(data.Values[int8](c))
	case data.U8:
		return bytesOf(data.Values[uint8](c))
	case data.Bool:
		return bytesOf(data.Values[bool](c))
	}
	return nil
}

// columnOf makes a column of the first rows in bytes from alignedBytes. Under the
// mark floats are NaN and other values zero.
func columnOf(f data.Field, rows int, b []byte, mask data.Bitmap) *data.Column {
	width := 1
	for _, d := range f.Shape {
		width *= d
	}
	n := rows * width
	var c *data.Column
	switch f.Type {
	case data.F64:
		c = data.NewColumn(f.Name, f.Shape, seen[float64](b, n))
	case data.F32:
		c = data.NewColumn(f.Name, f.Shape, seen[float32](b, n))
	case data.I64:
		c = data.NewColumn(f.Name, f.Shape, seen[int64](b, n))
	case data.I32:
		c = data.NewColumn(f.Name, f.Shape, seen[int32](b, n))
	case data.I8:
		c = data.NewColumn(f.Name, f.Shape, seen[int8](b, n))
	case data.U8:
		c = data.NewColumn(f.Name, f.Shape, seen[uint8](b, n))
	default:
		c = data.NewColumn(f.Name, f.Shape, seen[bool](b, n))
	}
	if mask == nil {
		return c
	}
	size := width * f.Type.Size()
	for row := range rows {
		if mask.Get(row) {
			clear(b[row*size : (row+1)*size])
			c.SetMissing(row)
		}
	}
	return c
}

// maskBytes returns a bitmap as bools.
func maskBytes(m data.Bitmap, rows int) []byte {
	b := make([]byte, rows)
	for i := range rows {
		if m.Get(i) {
			b[i] = 1
		}
	}
	return b
}

// maskOf returns bools as a bitmap, nil where none holds.
func maskOf(b []byte, rows int) data.Bitmap {
	var m data.Bitmap
	for i := range rows {
		if b[i] != 0 {
			if m == nil {
				m = data.NewBitmap(rows)
			}
			m.Set(i)
		}
	}
	return m
}
