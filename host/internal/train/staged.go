package train

import (
	"context"
	"fmt"
	"sync"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Source reads the examples of a part that does not lie in memory.
type Source interface {
	// Batch writes the examples of the given numbers, in that order, into fields,
	// whose buffers are named as Arrays.Fields are, and their weights into
	// weights where that is not nil. It is called from one goroutine at a time,
	// not always the same.
	Batch(ctx context.Context, rows []int64, fields map[string][]byte, weights []float32) error
}

// resident returns the extent of the arrays on the device: none where batches are staged.
func (a *Arrays) resident() int64 {
	if a.Source != nil {
		return 0
	}
	return a.Examples
}

func (a *Arrays) weighted() bool { return a.Weights != nil || a.Source != nil && a.Weighted }

// ringDepth is how many batches the host is ahead of the step at most.
const ringDepth = 3

// hostBatch is one batch in host memory.
type hostBatch struct {
	n       int64
	fields  map[string][]byte
	weights []float32
	err     error
}

// ring reads batches ahead of the steps that take them: while a step runs, the
// batches after it are gathered. What a batch holds depends on its place in the
// epoch alone, never on how far the ring is ahead.
type ring struct {
	full, free chan *hostBatch
	stop       context.CancelFunc
	done       sync.WaitGroup
}

// newRing begins to read the examples of order from place at on, in batches of
// size and a last one of the rest. order nil is the order of the numbers.
func newRing(ctx context.Context, a *Arrays, order []int64, at, size int64) *ring {
	r := &ring{full: make(chan *hostBatch, ringDepth), free: make(chan *hostBatch, ringDepth)}
	for range ringDepth {
		b := &hostBatch{fields: map[string][]byte{}}
		for name, v := range a.Fields {
			b.fields[name] = make([]byte, size*exampleBytes(v))
		}
		if a.Weighted {
			b.weights = make([]float32, size)
		}
		r.free <- b
	}
	ctx, r.stop = context.WithCancel(ctx)
	r.done.Go(func() {
		defer close(r.full)
		var rows []int64
		for ; at < a.Examples; at += size {
			var b *hostBatch
			select {
			case b = <-r.free:
			case <-ctx.Done():
				return
			}
			b.n = min(size, a.Examples-at)
			if order != nil {
				rows = order[at : at+b.n]
			} else {
				rows = rows[:0]
				for i := range b.n {
					rows = append(rows, at+i)
				}
			}
			b.err = a.Source.Batch(ctx, rows, b.view(a), b.weightView())
			r.full <- b // never blocks: there is room for every batch
			if b.err != nil {
				return
			}
		}
	})
	return r
}

// close stops reading and waits until the source is left alone.
func (r *ring) close() {
	r.stop()
	r.done.Wait()
}

// next returns the next batch, which the caller gives back to free; nil after the last.
func (r *ring) next(ctx context.Context) (*hostBatch, error) {
	select {
	case b, ok := <-r.full:
		if !ok {
			return nil, ctx.Err()
		}
		return b, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// view is the part of the buffers that the batch fills.
func (b *hostBatch) view(a *Arrays) map[string][]byte {
	out := make(map[string][]byte, len(b.fields))
	for name, buf := range b.fields {
		out[name] = buf[:b.n*exampleBytes(a.Fields[name])]
	}
	return out
}

func (b *hostBatch) weightView() []float32 {
	if b.weights == nil {
		return nil
	}
	return b.weights[:b.n]
}

// exampleBytes is what one example of a field takes.
func exampleBytes(v kernels.View) int64 {
	n := int64(v.DType.Size())
	for _, e := range v.Shape[1:] {
		n *= e
	}
	return n
}

// stage is where an executable finds its batch on the device.
type stage struct {
	bind    *kernels.Bindings
	fields  map[string]kernels.Handle
	weights kernels.Handle
}

// stage allocates the values of a batch and binds the executable to them. part
// tells the values of several parts apart.
func (t *Trainer) stage(c *compiled, part string, fields []DataField, a *Arrays, rename map[string]string) (*stage, error) {
	s := &stage{fields: map[string]kernels.Handle{}}
	place := func(name string, v *graph.Tensor) (kernels.Handle, error) {
		at := fmt.Sprintf("staged:%s:%d:%s", part, c.batch, name)
		rename[key(graph.Input, name)] = key(graph.Input, at)
		if !t.vals.has(graph.Input, at) {
			if err := t.vals.put(graph.Input, at, v); err != nil {
				return 0, err
			}
		}
		return t.vals.handles[key(graph.Input, at)], nil
	}
	var err error
	for _, f := range fields {
		v := a.Fields[f.key()]
		shape := append([]int64{c.batch}, v.Shape[1:]...)
		if s.fields[f.key()], err = place("data:"+f.key(), graph.NewTensor(v.DType, shape...)); err != nil {
			return nil, err
		}
	}
	if a.Weighted {
		if s.weights, err = place(weightName, graph.NewTensor(graph.F32, c.batch)); err != nil {
			return nil, err
		}
	}
	s.bind, err = t.vals.bind(c.fn, c.donate, rename)
	return s, err
}

// load puts a batch onto the device.
func (t *Trainer) load(s *stage, b *hostBatch, a *Arrays) error {
	view := b.view(a)
	for name, h := range s.fields {
		if err := t.pool.Write(h, view[name]); err != nil {
			return fmt.Errorf("staging %q: %w", name, err)
		}
	}
	if s.weights != 0 {
		w := graph.Float32s(b.weightView(), b.n)
		if err := t.pool.Write(s.weights, w.Data); err != nil {
			return fmt.Errorf("staging the weights: %w", err)
		}
	}
	return nil
}

// runStaged is RunEpoch for staged examples: a batch is put into the step's place
// before each step, while the host gathers those that follow.
func (t *Trainer) runStaged(ctx context.Context, full, rest *compiled, pos Position, progress func(Position) error) (Position, error) {
	r := newRing(ctx, t.data, t.order, pos.Cursor, t.cfg.BatchSize)
	defer r.close()
	stages := map[*compiled]*stage{}
	for {
		b, err := r.next(ctx)
		if b == nil || err != nil {
			return pos, err
		}
		c := full
		if c == nil || b.n < c.batch {
			c = rest
		}
		s := stages[c]
		if s == nil {
			rename, err := t.vals.index(c.batch)
			if err != nil {
				return pos, err
			}
			if s, err = t.stage(c, "train", t.fields, t.data, rename); err != nil {
				return pos, err
			}
			stages[c] = s
		}
		if err := t.load(s, b, t.data); err != nil {
			return pos, err
		}
		r.free <- b
		done, err := c.session.Run(ctx, s.bind, 1)
		pos.Cursor += int64(done) * c.batch
		pos.Step += uint64(done)
		if err != nil {
			return pos, err
		}
		// As a resident step leaves it: checkpoints do not tell where the examples lay.
		if err := t.vals.put(graph.StateRole, cursorName, scalarI64(pos.Cursor)); err != nil {
			return pos, err
		}
		if err := progress(pos); err != nil {
			return pos, err
		}
	}
}
