package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Options steer the suite. The zero value runs all that needs no help.
type Options struct {
	// WithThreads makes the backend with that many worker threads; results are
	// then compared bit by bit over several numbers. Nil skips that test.
	WithThreads func(t testing.TB, threads int) kernels.Backend
	// Seed starts the random graphs; 0 means 1.
	Seed uint64
	// Graphs is the number of random graphs of each kind; 0 means 300, and 5000
	// in the long tier.
	Graphs int
	// SkipOps leaves out the op-by-op tests, for a seam whose backend passes
	// the suite elsewhere.
	SkipOps bool
}

// Long reports whether the long tier was asked for: HONE_LONG=1.
func Long() bool { return os.Getenv("HONE_LONG") == "1" }

// Run tests the backend that newBackend makes. It is called once for each group
// of tests, with the test whose end ends the backend's life.
//
// What a backend refuses with *kernels.UnsupportedError, or says it refuses by
// Support, is skipped and listed; an op that Support calls native or inlined and
// that no case could run fails.
func Run(t *testing.T, newBackend func(t testing.TB) kernels.Backend, o Options) {
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Graphs == 0 {
		o.Graphs = 300
		if Long() {
			o.Graphs = 5000
		}
	}
	group := func(name string, f func(t *testing.T, h *harness)) {
		t.Run(name, func(t *testing.T) { f(t, &harness{backend: newBackend(t), options: o}) })
	}
	if !o.SkipOps {
		group("Ops", testOps)
		group("SpecialValues", testSpecialValues)
		group("Layouts", testLayouts)
		group("Composites", testComposites)
		group("Structure", testStructure)
	}
	group("RandomExact", func(t *testing.T, h *harness) { testRandom(t, h, exactGraphs) })
	group("RandomByNode", func(t *testing.T, h *harness) { testRandom(t, h, nodeGraphs) })
	group("RandomSmooth", func(t *testing.T, h *harness) { testRandom(t, h, smoothGraphs) })
	group("Steps", testSteps)
	group("Bindings", testBindings)
	group("Pool", testPool)
	group("Sessions", testSessions)
	group("Contexts", testContexts)
	group("Limits", testLimits)
	group("Data", testData)
	if o.WithThreads != nil {
		t.Run("Threads", func(t *testing.T) { testThreads(t, o) })
	}
}

// harness runs functions on the backend under test.
type harness struct {
	backend kernels.Backend
	options Options
	mu      sync.Mutex
	refused map[string]int
}

// refusal reports whether err says that the backend does not run something, and
// keeps what.
func (h *harness) refusal(err error) bool {
	var u *kernels.UnsupportedError
	if !errors.As(err, &u) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refused == nil {
		h.refused = map[string]int{}
	}
	h.refused[u.Op+": "+u.Reason]++
	return true
}

func (h *harness) listRefused(t *testing.T) {
	for op, n := range h.refused {
		t.Logf("refused, %d cases: %s", n, op)
	}
}

// run compiles the entry and runs it once. A panic is an error like any other,
// so that the cases behind it run too.
func (h *harness) run(ctx context.Context, m *graph.Module, entry string, o kernels.Options, args ...*graph.Tensor) (out []*graph.Tensor, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the backend panics: %v", r)
		}
	}()
	e, err := h.backend.Compile(ctx, m, entry, o)
	if err != nil {
		return nil, err
	}
	p, err := h.backend.NewPool("")
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return runOnce(ctx, e, p, args)
}

func runOnce(ctx context.Context, e kernels.Executable, p kernels.Pool, args []*graph.Tensor) ([]*graph.Tensor, error) {
	s, err := e.NewSession(p)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	b, err := bindAll(e, p, args)
	if err != nil {
		return nil, err
	}
	if n, err := s.Run(ctx, b, 1); err != nil || n != 1 {
		return nil, errors.Join(err, unlessOne(n, err))
	}
	return readAll(p, b.Results)
}

func unlessOne(n int, err error) error {
	if err == nil && n != 1 {
		return fmt.Errorf("one step was asked for, %d ran", n)
	}
	return nil
}

// bindAll puts the arguments into the pool and makes room for the results.
func bindAll(e kernels.Executable, p kernels.Pool, args []*graph.Tensor) (*kernels.Bindings, error) {
	b := &kernels.Bindings{}
	for i, t := range args {
		var h kernels.Handle
		var err error
		if i%2 == 0 {
			if h, err = p.New(t.DType, t.Shape); err == nil {
				err = p.Write(h, t.Data)
			}
		} else {
			h, err = p.Register(kernels.View{DType: t.DType, Shape: t.Shape, Data: slices.Clone(t.Data)})
		}
		if err != nil {
			return nil, err
		}
		b.Params = append(b.Params, h)
	}
	for _, v := range e.Results() {
		h, err := p.New(v.DType, v.Shape)
		if err != nil {
			return nil, err
		}
		b.Results = append(b.Results, h)
	}
	return b, nil
}

func read(p kernels.Pool, h kernels.Handle) (*graph.Tensor, error) {
	d, shape, err := p.Info(h)
	if err != nil {
		return nil, err
	}
	t := graph.NewTensor(d, shape...)
	return t, p.Read(h, t.Data)
}

func readAll(p kernels.Pool, hs []kernels.Handle) ([]*graph.Tensor, error) {
	out := make([]*graph.Tensor, len(hs))
	for i, h := range hs {
		var err error
		if out[i], err = read(p, h); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// opModule returns a module whose function f applies one op to its inputs.
func opModule(op graph.Op, attrs graph.Attrs, in []*graph.Tensor) (*graph.Module, error) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	args := make([]graph.Value, len(in))
	for i, t := range in {
		args[i] = b.Input(fmt.Sprint("x", i), t.Type())
	}
	for i, v := range applyOp(b, op, attrs, args) {
		b.Output(fmt.Sprint("y", i), v)
	}
	_, err := b.Finish()
	return m, err
}

// applyOp adds the node; large literals become named constants.
func applyOp(b *graph.Builder, op graph.Op, attrs graph.Attrs, args []graph.Value) []graph.Value {
	if a, ok := attrs.(*graph.ConstantAttrs); ok && a.Value != nil {
		return []graph.Value{b.Const(a.Value)}
	}
	return b.Apply(op, attrs, args...)
}

// checkOp runs one op on the backend and compares it with the reference. It
// reports whether the backend ran it.
func (h *harness) checkOp(t *testing.T, name string, op graph.Op, attrs graph.Attrs, in ...*graph.Tensor) bool {
	t.Helper()
	m, err := opModule(op, attrs, in)
	if err != nil {
		t.Fatalf("%s: the case is ill-typed: %v", name, err)
	}
	got, err := h.run(t.Context(), m, "f", kernels.Options{}, in...)
	if err != nil {
		if h.refusal(err) {
			return false
		}
		t.Errorf("%s: %v", name, err)
		return true
	}
	if err := CheckOp(t.Context(), op, attrs, in, got); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return true
}
