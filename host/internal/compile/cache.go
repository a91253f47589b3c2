package compile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// kept is the number of executables that a cache holds at most; the one not
// asked for longest goes first.
const kept = 256

// Cache is a backend that remembers its executables. It may be used from several
// goroutines.
type Cache struct {
	kernels.Backend

	mu    sync.Mutex
	execs map[[32]byte]*entry
	clock int64
}

type entry struct {
	used int64
	done chan struct{} // closed once exec is there, or the compilation has failed
	exec kernels.Executable
}

// New returns a cache over a backend, whose life it does not end.
func New(be kernels.Backend) *Cache { return &Cache{Backend: be, execs: map[[32]byte]*entry{}} }

// Compile returns the executable of an equal function with the same options, or
// compiles one. Functions are equal where their digests are, whatever their
// names. What is profiled, frozen by scope or calls out of the graph is compiled
// each time.
func (c *Cache) Compile(ctx context.Context, m *graph.Module, name string, o kernels.Options) (kernels.Executable, error) {
	f := m.Resolve(name, o.Mode)
	if f == nil || o.Profile || o.Opaque != nil || len(o.Frozen) > 0 {
		return c.Backend.Compile(ctx, m, name, o)
	}
	k := key(m, f, o)
	for {
		c.mu.Lock()
		c.clock++
		e := c.execs[k]
		if e == nil {
			e = &entry{used: c.clock, done: make(chan struct{})}
			c.makeRoom()
			c.execs[k] = e
			c.mu.Unlock()
			return c.fill(ctx, k, e, m, name, o)
		}
		e.used = c.clock
		c.mu.Unlock()
		select {
		case <-e.done:
			if e.exec != nil {
				return e.exec, nil
			}
			// It failed for whoever asked first, whose context may have ended.
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Cache) fill(ctx context.Context, k [32]byte, e *entry, m *graph.Module, name string, o kernels.Options) (kernels.Executable, error) {
	exec, err := c.Backend.Compile(ctx, m, name, o)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		delete(c.execs, k)
	} else {
		e.exec = exec
	}
	close(e.done)
	return exec, err
}

// makeRoom forgets the executable not asked for longest, where there are many.
func (c *Cache) makeRoom() {
	if len(c.execs) < kept {
		return
	}
	var oldest [32]byte
	least := int64(-1)
	for k, e := range c.execs {
		if e.exec != nil && (least < 0 || e.used < least) {
			oldest, least = k, e.used
		}
	}
	if least >= 0 {
		delete(c.execs, oldest)
	}
}

// key identifies a compilation by all that it depends on.
func key(m *graph.Module, f *graph.Func, o kernels.Options) [32]byte {
	h := sha256.New()
	d := graph.FuncDigest(m, f)
	h.Write(d[:])
	fmt.Fprintf(h, "\n%v %v %v %v", o.Mode, o.Donate, o.Limits, o.Memory)
	for _, s := range slices.Sorted(maps.Keys(o.Symbols)) {
		fmt.Fprintf(h, " %q=%d", s, o.Symbols[s])
	}
	for _, s := range slices.Sorted(maps.Keys(o.Selection)) {
		fmt.Fprintf(h, " %q=%q", s, o.Selection[s])
	}
	return [32]byte(h.Sum(nil))
}
