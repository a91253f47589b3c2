package reference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

type session struct {
	*executable
	pool    *pool
	closed  atomic.Bool
	running atomic.Bool
	times   []kernels.OpTime
}

func (e *executable) NewSession(p kernels.Pool) (kernels.Session, error) {
	own, ok := p.(*pool)
	if !ok {
		return nil, fmt.Errorf("the pool is %T, not one of the backend %q", p, name)
	}
	s := &session{executable: e, pool: own}
	if e.options.Profile {
		for _, op := range e.plan.Ops {
			s.times = append(s.times, kernels.OpTime{Name: op.Name, Scope: op.Scope, FLOPs: op.FLOPs, Bytes: op.Bytes})
		}
	}
	return s, nil
}

// Run executes the steps. A step writes its results when all of them are
// computed: one that fails or is cancelled leaves every value as it was.
func (s *session) Run(ctx context.Context, b *kernels.Bindings, steps int) (int, error) {
	if !s.running.CompareAndSwap(false, true) {
		return 0, errors.New("the session is already running; each goroutine needs a session of its own")
	}
	defer s.running.Store(false)
	if s.closed.Load() {
		return 0, errors.New("the session is closed")
	}
	if steps < 0 {
		return 0, fmt.Errorf("cannot run %d steps", steps)
	}
	targets, err := s.bind(b)
	if err != nil {
		return 0, err
	}
	m := &machine{ctx: ctx, opaque: s.options.Opaque}
	if s.times != nil {
		m.around = s.measure
	}
	args := make([]*graph.Tensor, len(b.Params))
	for done := range steps {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		for i, h := range b.Params {
			if args[i], err = s.pool.get(h); err != nil {
				return done, err
			}
		}
		results, err := m.run(s.program, [][]*graph.Tensor{args})
		if err != nil {
			return done, err
		}
		for i, h := range targets {
			s.pool.set(h, results[0][i])
		}
	}
	return steps, nil
}

// bind checks the bindings and returns the handle that each result is written to.
func (s *session) bind(b *kernels.Bindings) ([]kernels.Handle, error) {
	p := s.program
	if b == nil || len(b.Params) != len(p.Params) {
		n := 0
		if b != nil {
			n = len(b.Params)
		}
		return nil, fmt.Errorf("%q takes %d parameters, %d are bound", p.Name, len(p.Params), n)
	}
	if len(b.Results) != len(p.Results) {
		return nil, fmt.Errorf("%q gives %d results, %d are bound", p.Name, len(p.Results), len(b.Results))
	}
	check := func(h kernels.Handle, t graph.Type, role graph.Role, name string) error {
		v, err := s.pool.get(h)
		if err != nil {
			return fmt.Errorf("%v %q: %w", role, name, err)
		}
		if !v.Type().Equal(t) {
			return fmt.Errorf("%v %q is %v, the handle bound to it holds %v", role, name, t, v.Type())
		}
		return nil
	}
	for i, q := range p.Params {
		if err := check(b.Params[i], q.Type, q.Role, q.Name); err != nil {
			return nil, err
		}
	}
	targets := make([]kernels.Handle, len(p.Results))
	written := map[kernels.Handle]bool{}
	for i, r := range p.Results {
		h := b.Results[i]
		if k := s.donate[i]; k >= 0 {
			h = b.Params[k]
			if n := count(b.Params, h); n > 1 {
				return nil, fmt.Errorf("%v %q is replaced by this function, and its handle is bound to %d parameters", p.Params[k].Role, p.Params[k].Name, n)
			}
		} else {
			if err := check(h, p.Types[r.Value], r.Role, r.Name); err != nil {
				return nil, err
			}
			if slices.Contains(b.Params, h) {
				return nil, fmt.Errorf("the handle of %v %q is also bound to a parameter; donate the parameter to write in place", r.Role, r.Name)
			}
		}
		if written[h] {
			return nil, fmt.Errorf("the handle of %v %q is bound to two results", r.Role, r.Name)
		}
		written[h] = true
		targets[i] = h
	}
	return targets, nil
}

func count(hs []kernels.Handle, h kernels.Handle) int {
	n := 0
	for _, x := range hs {
		if x == h {
			n++
		}
	}
	return n
}

func (s *session) measure(node int, run func() error) error {
	start := time.Now()
	err := run()
	s.times[node].Nanos += time.Since(start).Nanoseconds()
	s.times[node].Calls++
	return err
}

func (s *session) Profile() []kernels.OpTime { return slices.Clone(s.times) }

func (s *session) Close() error {
	s.closed.Store(true)
	return nil
}
