package seams

import (
	"context"
	"sync"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// counter is a backend that counts what it compiles.
type counter struct {
	kernels.Backend
	mu sync.Mutex
	n  int
}

func (c *counter) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
	return c.Backend.Compile(ctx, m, entry, o)
}

// since returns how many compilations there were since it was asked last.
func (c *counter) since() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

// counted returns options that count compilations.
func counted() (*counter, host.Options) {
	c := &counter{Backend: reference.New()}
	return c, host.Options{Engine: host.NewEngineOn(c)}
}
