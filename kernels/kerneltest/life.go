package kerneltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// setup compiles a function and binds arguments in a pool of its own.
type setup struct {
	exe  kernels.Executable
	pool kernels.Pool
	ses  kernels.Session
	b    *kernels.Bindings
}

func (h *harness) setup(t *testing.T, m *graph.Module, o kernels.Options, args ...*graph.Tensor) *setup {
	t.Helper()
	if o.Symbols == nil {
		o.Symbols = map[string]int64{}
	}
	s := &setup{}
	var err error
	if s.exe, err = h.backend.Compile(t.Context(), m, "f", o); err != nil {
		if h.refusal(err) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	if s.pool, err = h.backend.NewPool(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.pool.Close() })
	if s.ses, err = s.exe.NewSession(s.pool); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ses.Close() })
	if s.b, err = bindAll(s.exe, s.pool, args); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *setup) run(t *testing.T, steps int) {
	t.Helper()
	if n, err := s.ses.Run(t.Context(), s.b, steps); err != nil || n != steps {
		t.Fatalf("%d of %d steps: %v", n, steps, err)
	}
}

// want compares the value of a handle with f32 or integer elements.
func (s *setup) want(t *testing.T, what string, h kernels.Handle, v ...float64) {
	t.Helper()
	got, err := read(s.pool, h)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float64, got.Len())
	for i := range out {
		out[i] = got.Float(i)
	}
	if !slices.Equal(out, v) {
		t.Errorf("%s is %v, want %v", what, out, v)
	}
}

func function(t *testing.T, build func(b *graph.Builder)) *graph.Module {
	t.Helper()
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	build(b)
	must(t, b)
	return m
}

func vec(v ...float32) *graph.Tensor { return graph.Float32s(v, int64(len(v))) }

// testBindings checks that wrong options and bindings are errors.
func testBindings(t *testing.T, h *harness) {
	v3 := graph.T(graph.F32, 3)
	m := function(t, func(b *graph.Builder) {
		x, acc := b.Input("x", v3), b.Input("acc", v3)
		b.Output("acc", acc.Add(x))
		b.Output("y", x.Neg())
		b.Output("i", b.Const(graph.Int32s([]int32{1, 2}, 2)))
	})
	compile := func(entry string, o kernels.Options) (err error) {
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("compiling %q with %v donated panics: %v", entry, o.Donate, r)
				err = errors.New("panic")
			}
		}()
		_, err = h.backend.Compile(t.Context(), m, entry, o)
		return err
	}
	for name, donate := range map[string][]int{
		"a parameter that is not": {7}, "a negative parameter": {-2}, "one parameter twice": {1, 1}, "another type": {-1, -1, 0}, "more than results": {1, -1, -1, 0},
	} {
		if compile("f", kernels.Options{Donate: donate}) == nil {
			t.Errorf("donating to %s compiles", name)
		}
	}
	for name, entry := range map[string]string{"a missing entry": "g", "an empty entry": ""} {
		if compile(entry, kernels.Options{}) == nil {
			t.Errorf("%s compiles", name)
		}
	}
	s := h.setup(t, m, kernels.Options{Donate: []int{1}}, vec(1, 2, 3), vec(0, 0, 0))
	wrong := func(d graph.DType, shape ...int64) kernels.Handle {
		h, err := s.pool.New(d, shape)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	freed := wrong(graph.F32, 3)
	if err := s.pool.Free(freed); err != nil {
		t.Fatal(err)
	}
	p, r := s.b.Params, s.b.Results
	try := func(name string, b *kernels.Bindings, steps int) {
		t.Helper()
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("%s: the backend panics: %v", name, r)
			}
		}()
		if n, err := s.ses.Run(t.Context(), b, steps); err == nil || n != 0 {
			t.Errorf("%s: %d steps ran, error %v", name, n, err)
		}
	}
	try("no bindings", nil, 1)
	try("too few parameters", &kernels.Bindings{Params: p[:1], Results: r}, 1)
	try("too many parameters", &kernels.Bindings{Params: append(slices.Clone(p), p[0]), Results: r}, 1)
	try("too few results", &kernels.Bindings{Params: p, Results: r[:2]}, 1)
	for name, h := range map[string]kernels.Handle{
		"the zero handle": 0, "a handle of nothing": math.MaxUint64, "a freed handle": freed,
		"another type": wrong(graph.I32, 3), "another extent": wrong(graph.F32, 4), "another rank": wrong(graph.F32, 3, 1),
	} {
		try(name+" as a parameter", &kernels.Bindings{Params: []kernels.Handle{h, p[1]}, Results: r}, 1)
		try(name+" as a donated parameter", &kernels.Bindings{Params: []kernels.Handle{p[0], h}, Results: r}, 1)
		try(name+" as a result", &kernels.Bindings{Params: p, Results: []kernels.Handle{0, h, r[2]}}, 1)
	}
	try("one handle for two parameters, one of them donated", &kernels.Bindings{Params: []kernels.Handle{p[1], p[1]}, Results: r}, 1)
	try("one handle for a result and a parameter", &kernels.Bindings{Params: p, Results: []kernels.Handle{0, p[0], r[2]}}, 1)
	try("negative steps", s.b, -1)
	s.run(t, 1)
	s.want(t, "acc after all that", p[1], 1, 2, 3)
	other, err := h.backend.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.ses.Close(); err != nil {
		t.Errorf("closing a session: %v", err)
	}
	try("a closed session", s.b, 1)
}

// testPool checks the values of a pool.
func testPool(t *testing.T, h *harness) {
	for _, d := range h.backend.Devices() {
		p, err := h.backend.NewPool(d.Name)
		if err != nil {
			t.Errorf("device %q: %v", d.Name, err)
			continue
		}
		p.Close()
	}
	if len(h.backend.Devices()) == 0 {
		t.Error("no devices")
	}
	if _, err := h.backend.NewPool("toaster:7"); err == nil {
		t.Error("a device that is not opens")
	}
	p, err := h.backend.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	r := newDice(3)
	for _, d := range allTypes {
		for _, shape := range shapes {
			want := r.uniform(d, 0, 0, shape...)
			if d.IsFloat() {
				want = r.uniform(d, -1, 1, shape...)
			}
			v, err := p.New(d, shape)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := read(p, v); err != nil || !bytes.Equal(got.Data, make([]byte, len(want.Data))) || !got.Type().Equal(want.Type()) {
				t.Errorf("a new value of %v is %v, %v; want zeros", want.Type(), got, err)
			}
			if err := p.Write(v, want.Data); err != nil {
				t.Error(err)
			}
			reg, err := p.Register(kernels.View{DType: d, Shape: shape, Data: slices.Clone(want.Data)})
			if err != nil {
				t.Error(err)
			}
			for _, x := range []kernels.Handle{v, reg} {
				if got, err := read(p, x); err != nil || !bytes.Equal(got.Data, want.Data) {
					t.Errorf("%v comes back otherwise: %v", want.Type(), err)
				}
			}
			if err := p.Write(v, append(slices.Clone(want.Data), 0)); err == nil {
				t.Errorf("writing a byte too much to %v passes", want.Type())
			}
			if err := p.Read(v, make([]byte, len(want.Data)+1)); err == nil {
				t.Errorf("reading a byte too much of %v passes", want.Type())
			}
			if err := errors.Join(p.Free(v), p.Free(reg)); err != nil {
				t.Error(err)
			}
			for name, err := range map[string]error{"write": p.Write(v, want.Data), "read": p.Read(v, want.Data), "free": p.Free(v)} {
				if err == nil {
					t.Errorf("%s of a freed handle passes", name)
				}
			}
			if _, _, err := p.Info(v); err == nil {
				t.Error("info of a freed handle passes")
			}
		}
	}
	for name, f := range map[string]func() (kernels.Handle, error){
		"no type":         func() (kernels.Handle, error) { return p.New(graph.Invalid, []int64{1}) },
		"negative extent": func() (kernels.Handle, error) { return p.New(graph.F32, []int64{-1}) },
		"overflow":        func() (kernels.Handle, error) { return p.New(graph.F32, []int64{1 << 40, 1 << 40}) },
		"short data": func() (kernels.Handle, error) {
			return p.Register(kernels.View{DType: graph.F32, Shape: []int64{2}, Data: make([]byte, 7)})
		},
		"more axes than any value has": func() (kernels.Handle, error) { return p.New(graph.F32, ones(graph.MaxRank+1)) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: a value is made", name)
		}
	}
	a, err := p.Register(kernels.View{DType: graph.F32, Shape: []int64{2}, Data: vec(1, 2).Data})
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.New(graph.I8, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Snapshot(t.Context(), []kernels.Handle{b, a, b})
	if err != nil || len(got) != 3 || !bytes.Equal(got[0], []byte{0}) || !bytes.Equal(got[1], vec(1, 2).Data) || !bytes.Equal(got[2], []byte{0}) {
		t.Errorf("the snapshot is %v, %v", got, err)
	}
	if err := p.Write(a, vec(3, 4).Data); err != nil || !bytes.Equal(got[1], vec(1, 2).Data) {
		t.Errorf("a snapshot changes with its value: %v", err)
	}
	if _, err := p.Snapshot(t.Context(), []kernels.Handle{0}); err == nil {
		t.Error("a snapshot of the zero handle passes")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.New(graph.F32, nil); err == nil {
		t.Error("a closed pool makes values")
	}
	if err := p.Read(a, make([]byte, 8)); err == nil {
		t.Error("a closed pool reads")
	}
}

// testSessions runs two sessions of one executable at the same time.
func testSessions(t *testing.T, h *harness) {
	r := newDice(h.options.Seed + 4)
	m := function(t, func(b *graph.Builder) {
		x, w, n := b.Input("x", graph.T(graph.F32, 33, 47)), b.Input("w", graph.T(graph.F32, 47, 47)), b.Input("n", graph.Scalar(graph.I64))
		b.Output("x", x.MatMul(w).Tanh())
		b.Output("n", n.Add(b.Scalar(graph.I64, 1)))
		b.Output("sum", x.Sum(0))
	})
	o := kernels.Options{Donate: []int{0, 2}}
	const steps = 25
	args := []*graph.Tensor{r.normal(graph.F32, 33, 47), r.normal(graph.F32, 47, 47), scalarInt(graph.I64, 0)}
	once := func(e kernels.Executable) ([]*graph.Tensor, error) {
		p, err := h.backend.NewPool("")
		if err != nil {
			return nil, err
		}
		defer p.Close()
		s, err := e.NewSession(p)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		b, err := bindAll(e, p, args)
		if err != nil {
			return nil, err
		}
		for done := 0; done < steps; {
			n, err := s.Run(t.Context(), b, min(7, steps-done))
			if err != nil {
				return nil, err
			}
			done += n
		}
		return readAll(p, append(slices.Clone(b.Params), b.Results[2]))
	}
	e, err := h.backend.Compile(t.Context(), m, "f", o)
	if err != nil {
		t.Fatal(err)
	}
	want, err := once(e)
	if err != nil {
		t.Fatal(err)
	}
	if want[2].Int(0) != steps {
		t.Errorf("%d steps counted, want %d", want[2].Int(0), steps)
	}
	var wg sync.WaitGroup
	results, errs := make([][]*graph.Tensor, 4), make([]error, 4)
	for i := range results {
		wg.Go(func() {
			exe := e
			if i == 3 { // compiling may go on beside
				if exe, errs[i] = h.backend.Compile(t.Context(), m, "f", o); errs[i] != nil {
					return
				}
			}
			results[i], errs[i] = once(exe)
		})
	}
	wg.Wait()
	for i, got := range results {
		if errs[i] != nil {
			t.Errorf("session %d: %v", i, errs[i])
			continue
		}
		for k := range want {
			if !bytes.Equal(got[k].Data, want[k].Data) {
				t.Errorf("session %d beside others gives other bits in value %d", i, k)
			}
		}
	}
}

// testContexts cancels compiling and running.
func testContexts(t *testing.T, h *harness) {
	v3 := graph.T(graph.F32, 3)
	m := function(t, func(b *graph.Builder) {
		n, x := b.Input("n", graph.Scalar(graph.I64)), b.Input("x", v3)
		b.Output("n", n.Add(b.Scalar(graph.I64, 1)))
		b.Output("y", x.Exp())
	})
	s := h.setup(t, m, kernels.Options{Donate: []int{0}}, scalarInt(graph.I64, 0), vec(1, 2, 3))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.backend.Compile(gone, m, "f", kernels.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("compiling under a cancelled context: %v", err)
	}
	if n, err := s.ses.Run(gone, s.b, 5); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("running under a cancelled context: %d steps, %v", n, err)
	}
	if _, err := s.pool.Snapshot(gone, s.b.Params); !errors.Is(err, context.Canceled) {
		t.Errorf("a snapshot under a cancelled context: %v", err)
	}
	s.want(t, "n", s.b.Params[0], 0)
	ctx, stop := context.WithCancel(t.Context())
	timer := time.AfterFunc(20*time.Millisecond, stop)
	defer timer.Stop()
	n, err := s.ses.Run(ctx, s.b, math.MaxInt)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while running: %v", err)
	}
	s.want(t, "n after being cancelled", s.b.Params[0], float64(n))
	s.run(t, 2) // the session goes on
	s.want(t, "n", s.b.Params[0], float64(n+2))
}

// testLimits checks that hostile graphs are refused before memory is taken.
func testLimits(t *testing.T, h *harness) {
	m := function(t, func(b *graph.Builder) {
		x := b.Input("x", graph.T(graph.F32, 100, 100))
		for range 20 {
			x = x.MatMul(x).Tanh()
		}
		b.Output("y", x)
	})
	var limit *kernels.LimitError
	for name, l := range map[string]kernels.Limits{"nodes": {Nodes: 10}, "bytes": {ArenaBytes: 1000}, "operations": {FLOPs: 1000}} {
		if _, err := h.backend.Compile(t.Context(), m, "f", kernels.Options{Limits: l}); !errors.As(err, &limit) {
			t.Errorf("a limit on %s: %v, want a *kernels.LimitError", name, err)
		}
	}
	if _, err := h.backend.Compile(t.Context(), m, "f", kernels.Options{Limits: kernels.Limits{Nodes: 1000, ArenaBytes: 1 << 30, FLOPs: 1 << 40}}); err != nil {
		t.Errorf("generous limits: %v", err)
	}
	// What a refusal names as the least is enough.
	short := &kernels.LimitError{}
	if _, err := h.backend.Compile(t.Context(), m, "f", kernels.Options{Memory: 1}); !errors.As(err, &short) || short.Limit != 1 || short.Got <= 1 {
		t.Errorf("a byte of memory: %v, want a *kernels.LimitError that names the least", err)
	} else if e, err := h.backend.Compile(t.Context(), m, "f", kernels.Options{Memory: short.Got}); err != nil {
		t.Errorf("the least memory, %d bytes: %v", short.Got, err)
	} else if need := e.Plan().ParamBytes + e.Plan().ArenaBytes; need > short.Got {
		t.Errorf("within %d bytes of memory, a plan takes %d", short.Got, need)
	}
	big := function(t, func(b *graph.Builder) {
		x := b.Input("x", graph.Scalar(graph.F32)).BroadcastTo(graph.Es(1<<20, 1<<20, 1<<10)...)
		b.Output("y", x.Exp().Sum())
	})
	if _, err := h.backend.Compile(t.Context(), big, "f", kernels.Options{Limits: kernels.Limits{ArenaBytes: 1 << 20, FLOPs: 1 << 40}}); !errors.As(err, &limit) {
		t.Errorf("a value of petabytes: %v, want a *kernels.LimitError", err)
	}
	deep := graph.NewModule()
	for i := range 64 {
		b := graph.NewBuilder(deep, fmt.Sprint("g", i), graph.Any)
		x := b.Input("x", graph.Scalar(graph.F32))
		if i == 0 {
			x = x.Neg()
		} else {
			x = b.Call(fmt.Sprint("g", i-1), "a", b.Call(fmt.Sprint("g", i-1), "b", x)[0])[0]
		}
		b.Output("y", x)
		must(t, b)
	}
	if _, err := h.backend.Compile(t.Context(), deep, "g63", kernels.Options{Limits: kernels.Limits{Nodes: 1 << 20}}); !errors.As(err, &limit) {
		t.Errorf("2^63 nodes: %v, want a *kernels.LimitError", err)
	}
}

// testData checks what an executable says of itself.
func testData(t *testing.T, h *harness) {
	build := func(units int64) *graph.Module {
		return function(t, func(b *graph.Builder) {
			x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(20)}})
			w := b.Param("kernel", graph.T(graph.F32, 20, units), graph.Decl{})
			b.Output("y", x.MatMul(w).Relu().Softmax(-1))
			b.Output("loss", x.Sum().Convert(graph.F64))
		})
	}
	compile := func(m *graph.Module, batch int64, o kernels.Options) kernels.Executable {
		o.Symbols = map[string]int64{graph.BatchSymbol: batch}
		e, err := h.backend.Compile(t.Context(), m, "f", o)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := compile(build(7), 5, kernels.Options{})
	sign := func(views []kernels.View) (out []string) {
		for _, v := range views {
			if v.Data != nil {
				t.Error("a signature holds data")
			}
			out = append(out, graph.T(v.DType, v.Shape...).String())
		}
		return out
	}
	if got := sign(e.Params()); !slices.Equal(got, []string{"f32[5, 20]", "f32[20, 7]"}) {
		t.Errorf("the parameters are %v", got)
	}
	if got := sign(e.Results()); !slices.Equal(got, []string{"f32[5, 7]", "f64[]"}) {
		t.Errorf("the results are %v", got)
	}
	p := e.Plan()
	if p.FLOPs < 2*5*20*7 || p.ParamBytes != 4*(5*20+20*7) || len(p.Ops) == 0 || p.Digest == "" || p.ArenaBytes < 0 {
		t.Errorf("the plan is %+v", p)
	}
	if again := compile(build(7), 5, kernels.Options{}).Plan(); again.Digest != p.Digest {
		t.Error("the plan's digest changes from one compilation to the next")
	}
	for name, q := range map[string]kernels.Plan{"another width": compile(build(8), 5, kernels.Options{}).Plan(), "another batch": compile(build(7), 6, kernels.Options{}).Plan()} {
		if q.Digest == p.Digest {
			t.Errorf("%s has the same digest", name)
		}
	}
	if sel := e.Selection(); len(sel) > 0 {
		// A selection can be given back, and leads to the same plan.
		if again := compile(build(7), 5, kernels.Options{Selection: sel}).Plan(); again.Digest != p.Digest {
			t.Error("the recorded selection leads to another plan")
		}
	}
	if h.backend.Name() == "" {
		t.Error("the backend has no name")
	}
	r := newDice(9)
	s := h.setup(t, build(7), kernels.Options{Profile: true, Symbols: map[string]int64{graph.BatchSymbol: 5}}, r.normal(graph.F32, 5, 20), r.normal(graph.F32, 20, 7))
	s.run(t, 3)
	times := s.ses.Profile()
	if len(times) == 0 {
		t.Error("a session with Profile measures nothing")
	}
	for _, op := range times {
		if op.Calls != 3 || op.Nanos < 0 || op.Name == "" {
			t.Errorf("the profile says %+v after 3 steps", op)
		}
	}
	q := h.setup(t, build(7), kernels.Options{Symbols: map[string]int64{graph.BatchSymbol: 5}}, r.normal(graph.F32, 5, 20), r.normal(graph.F32, 20, 7))
	q.run(t, 1)
	if q.ses.Profile() != nil {
		t.Error("a session without Profile gives one")
	}
}
