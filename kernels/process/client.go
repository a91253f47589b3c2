package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Config says how a backend in another process is watched. The zero value is
// what most callers want.
type Config struct {
	// Name stands for the backend in errors until it has said its own.
	Name string
	// Handshake is the time the other end has to answer the first call. 0 means
	// 20 seconds, which a driver may need to start.
	Handshake time.Duration
	// Silence is how long the other end may show no sign of life while calls
	// after the first wait for it; then it counts as dead. A long step is no
	// silence: pings are answered beside it. 0 means 30 seconds.
	Silence time.Duration
}

// Backend is a kernels.Backend in another process.
type Backend struct {
	peer  *peer
	hello hello
	name  string

	mu      sync.Mutex
	support map[supportIn]kernels.Support
	opaque  table[kernels.OpaqueCaller]

	// ended, where a process stands behind the connection, ends it and says how
	// it went.
	ended func(hangs bool) string
	once  sync.Once
	gone  *ClosedError
}

var _ kernels.Backend = (*Backend)(nil)

// Dial makes a backend of an open connection whose other end runs Serve. It
// takes conn over: Close closes it, and so does any failure.
func Dial(ctx context.Context, conn io.ReadWriteCloser, c Config) (*Backend, error) {
	return dial(ctx, conn, c, nil)
}

func dial(ctx context.Context, conn io.ReadWriteCloser, c Config, ended func(hangs bool) string) (*Backend, error) {
	if c.Handshake == 0 {
		c.Handshake = 20 * time.Second
	}
	if c.Silence == 0 {
		c.Silence = 30 * time.Second
	}
	if c.Name == "" {
		c.Name = "at the other end"
	}
	b := &Backend{name: c.Name, support: map[supportIn]kernels.Support{}, opaque: table[kernels.OpaqueCaller]{kind: "opaque caller"}, ended: ended}
	b.peer = newPeer(conn, map[string]handler{"opaque": handle(b.callOpaque)})
	go b.peer.read()
	// A deadline alone would wait for the answer to its cancellation.
	timer := time.AfterFunc(c.Handshake, func() {
		b.peer.fail(fmt.Errorf("it did not answer within %v (%w)", c.Handshake, errSilent))
	})
	stop := context.AfterFunc(ctx, func() { b.peer.fail(ctx.Err()) })
	_, err := b.call(context.Background(), "hello", hello{Protocol: Version, IR: graph.Version}, nil, &b.hello)
	timer.Stop()
	stop()
	switch {
	case err != nil:
		return nil, err
	case b.hello.Protocol != Version:
		err = fmt.Errorf("it speaks version %d of the backend protocol and this hone version %d; install the backend of this hone's version", b.hello.Protocol, Version)
	case b.hello.Name == "":
		err = errors.New("it has no name")
	case b.hello.IR < 1:
		err = fmt.Errorf("it reads IR version %d; the first one is 1", b.hello.IR)
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("the backend %s: %w", c.Name, err)
	}
	b.name = fmt.Sprintf("%q", b.hello.Name)
	go b.watch(c.Silence)
	return b, nil
}

var errSilent = errors.New("it showed no sign of life")

// watch pings while calls wait, and ends a connection that is silent too long.
func (b *Backend) watch(silence time.Duration) {
	tick := time.NewTicker(silence / 8)
	defer tick.Stop()
	for {
		select {
		case <-b.peer.done:
			return
		case <-tick.C:
		}
		if !b.peer.waiting() {
			continue
		}
		if b.peer.silence() > silence {
			b.peer.fail(fmt.Errorf("%w for %v", errSilent, silence))
			return
		}
		if b.peer.silence() > silence/8 && b.peer.writing.TryLock() {
			// Somebody who is writing learns by that whether the other end lives.
			b.peer.writing.Unlock()
			go b.peer.send(&head{Method: "ping"}, nil)
		}
	}
}

// call is peer.call with errors that name the backend.
func (b *Backend) call(ctx context.Context, method string, in any, body []byte, out any) ([]byte, error) {
	got, err := b.peer.call(ctx, method, in, body, out)
	if err == nil {
		return got, nil
	}
	select {
	case <-b.peer.done:
		var remote *remoteError
		if !errors.As(err, &remote) {
			return nil, b.closed()
		}
	default:
	}
	return nil, err
}

// closed says how the connection ended.
func (b *Backend) closed() error {
	b.once.Do(func() {
		reason := b.peer.reason()
		text := reason.Error()
		if errors.Is(reason, io.EOF) {
			text = "it closed the connection"
		}
		if b.ended != nil {
			if how := b.ended(errors.Is(reason, errSilent)); how != "" {
				text += "; " + how
			}
		}
		b.gone = &ClosedError{Backend: b.name, Reason: text, Err: reason}
	})
	return b.gone
}

// Close ends the connection, and the process that Start began.
func (b *Backend) Close() error {
	b.peer.fail(errors.New("it was closed"))
	b.closed()
	return nil
}

// Name returns what the other end calls itself.
func (b *Backend) Name() string { return b.hello.Name }

// Variant returns the kernel set in use at the other end.
func (b *Backend) Variant() string { return b.hello.Variant }

// Devices returns the devices of the other end.
func (b *Backend) Devices() []kernels.Device { return slices.Clone(b.hello.Devices) }

// Support asks once for every op and composite. A backend that is gone refuses.
func (b *Backend) Support(op graph.Op, composite string) kernels.Support {
	in := supportIn{Composite: composite}
	if composite == "" {
		if !op.Valid() {
			return kernels.Refused
		}
		in.Op, in.Version = op.String(), op.Def().Version
	}
	b.mu.Lock()
	s, ok := b.support[in]
	b.mu.Unlock()
	if ok {
		return s
	}
	if _, err := b.call(context.Background(), "support", in, nil, &s); err != nil || s > kernels.Native {
		return kernels.Refused
	}
	b.mu.Lock()
	b.support[in] = s
	b.mu.Unlock()
	return s
}

// NewPool opens a device of the other end.
func (b *Backend) NewPool(device string) (kernels.Pool, error) {
	var out object
	if _, err := b.call(context.Background(), "pool", poolIn{device}, nil, &out); err != nil {
		return nil, err
	}
	return &pool{b, out.ID}, nil
}

// Compile sends the module and has it compiled.
func (b *Backend) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	in := compileIn{
		Entry: entry, Mode: o.Mode, Frozen: o.Frozen, Symbols: o.Symbols, Donate: o.Donate, Selection: o.Selection, Limits: o.Limits, Memory: o.Memory, Profile: o.Profile,
	}
	module, err := graph.MarshalFor(m, b.hello.IR)
	if err != nil {
		return nil, fmt.Errorf("sending a module to the backend %s: %w", b.name, err)
	}
	body := module
	in.Parts = []int64{int64(len(module))}
	for _, name := range slices.Sorted(maps.Keys(m.Consts)) {
		c, err := graph.MarshalConst(name, m.Consts[name])
		if err != nil {
			return nil, fmt.Errorf("sending constant %q to the backend %s: %w", name, b.name, err)
		}
		in.Parts = append(in.Parts, int64(len(c)))
		body = append(body, c...)
	}
	if o.Opaque != nil {
		in.Opaque = b.opaque.add(o.Opaque)
	}
	var out compileOut
	if _, err := b.call(ctx, "compile", in, body, &out); err != nil {
		b.opaque.remove(in.Opaque)
		return nil, err
	}
	e := &executable{backend: b, id: out.Executable, plan: out.Plan, selection: out.Selection}
	if e.params, err = fromViews(out.Params); err == nil {
		e.results, err = fromViews(out.Results)
	}
	if err != nil {
		return nil, fmt.Errorf("the signature that the backend %s gives of %q: %w", b.name, entry, err)
	}
	runtime.AddCleanup(e, func(ids [2]uint64) {
		b.opaque.remove(ids[1])
		go b.peer.call(context.Background(), "release", object{ids[0]}, nil, nil)
	}, [2]uint64{e.id, in.Opaque})
	return e, nil
}

// callOpaque runs a component here for the other end.
func (b *Backend) callOpaque(ctx context.Context, in opaqueIn, body []byte) (any, []byte, error) {
	caller, err := b.opaque.get(in.Caller)
	if err != nil {
		return nil, nil, err
	}
	a := &graph.OpaqueAttrs{Component: in.Component, Config: in.Config, Gradient: in.Gradient}
	sizes, results := make([]int64, len(in.In)), make([]int64, len(in.Out))
	total := int64(0)
	for i, v := range in.In {
		if sizes[i], err = v.check(); err != nil {
			return nil, nil, err
		}
	}
	for i, v := range in.Out {
		if results[i], err = v.check(); err != nil {
			return nil, nil, err
		}
		if total += results[i]; total > maxBody || total < 0 {
			return nil, nil, fmt.Errorf("results of %d bytes", total)
		}
		a.Types = append(a.Types, graph.T(v.DType, v.Shape...))
	}
	parts, err := split(body, sizes)
	if err != nil {
		return nil, nil, err
	}
	args := make([]kernels.View, len(in.In))
	for i, v := range in.In {
		args[i] = kernels.View{DType: v.DType, Shape: v.Shape, Data: parts[i]}
	}
	reply := make([]byte, total)
	rest := reply
	out := make([]kernels.View, len(in.Out))
	for i, v := range in.Out {
		out[i] = kernels.View{DType: v.DType, Shape: v.Shape, Data: rest[:results[i]:results[i]]}
		rest = rest[results[i]:]
	}
	return nil, reply, caller.Call(ctx, a, args, out)
}

type executable struct {
	backend         *Backend
	id              uint64
	params, results []kernels.View
	plan            kernels.Plan
	selection       map[string]string
}

func (e *executable) Params() []kernels.View       { return slices.Clone(e.params) }
func (e *executable) Results() []kernels.View      { return slices.Clone(e.results) }
func (e *executable) Selection() map[string]string { return maps.Clone(e.selection) }

func (e *executable) Plan() kernels.Plan {
	p := e.plan
	p.Ops = slices.Clone(p.Ops)
	return p
}

func (e *executable) NewSession(p kernels.Pool) (kernels.Session, error) {
	own, ok := p.(*pool)
	if !ok || own.backend != e.backend {
		return nil, fmt.Errorf("the pool is not one of this backend %s", e.backend.name)
	}
	var out object
	if _, err := e.backend.call(context.Background(), "session", sessionIn{e.id, own.id}, nil, &out); err != nil {
		return nil, err
	}
	return &session{e, out.ID}, nil
}

type session struct {
	*executable // kept alive, with what it calls back
	id          uint64
}

func (s *session) Run(ctx context.Context, b *kernels.Bindings, steps int) (int, error) {
	var out runOut
	_, err := s.backend.call(ctx, "session.run", runIn{s.id, b, steps}, nil, &out)
	if out.Done < 0 || out.Done > max(steps, 0) || err == nil && out.Done != steps {
		return 0, errors.Join(err, fmt.Errorf("the backend %s says it ran %d of %d steps", s.backend.name, out.Done, steps))
	}
	return out.Done, err
}

func (s *session) Profile() []kernels.OpTime {
	var out profileOut
	if _, err := s.backend.call(context.Background(), "session.profile", object{s.id}, nil, &out); err != nil {
		return nil
	}
	return out.Times
}

func (s *session) Close() error {
	_, err := s.backend.call(context.Background(), "session.close", object{s.id}, nil, nil)
	return err
}

type pool struct {
	backend *Backend
	id      uint64
}

func (p *pool) call(method string, in poolCall, body []byte, out any) ([]byte, error) {
	in.Pool = p.id
	return p.backend.call(context.Background(), method, in, body, out)
}

func (p *pool) New(d graph.DType, shape []int64) (kernels.Handle, error) {
	var out handleOut
	_, err := p.call("pool.new", poolCall{Type: view{d, shape}}, nil, &out)
	return out.Handle, err
}

func (p *pool) Register(v kernels.View) (kernels.Handle, error) {
	var out handleOut
	_, err := p.call("pool.register", poolCall{Type: view{v.DType, v.Shape}}, v.Data, &out)
	return out.Handle, err
}

func (p *pool) Write(h kernels.Handle, data []byte) error {
	_, err := p.call("pool.write", poolCall{Handle: h}, data, nil)
	return err
}

func (p *pool) Read(h kernels.Handle, data []byte) error {
	body, err := p.call("pool.read", poolCall{Handle: h}, nil, nil)
	if err != nil {
		return err
	}
	if len(body) != len(data) {
		return fmt.Errorf("reading handle %d: it holds %d bytes, the buffer has %d", h, len(body), len(data))
	}
	copy(data, body)
	return nil
}

func (p *pool) Info(h kernels.Handle) (graph.DType, []int64, error) {
	var out view
	if _, err := p.call("pool.info", poolCall{Handle: h}, nil, &out); err != nil {
		return graph.Invalid, nil, err
	}
	if _, err := out.check(); err != nil {
		return graph.Invalid, nil, fmt.Errorf("handle %d of the backend %s: %w", h, p.backend.name, err)
	}
	return out.DType, out.Shape, nil
}

func (p *pool) Free(h kernels.Handle) error {
	_, err := p.call("pool.free", poolCall{Handle: h}, nil, nil)
	return err
}

func (p *pool) Snapshot(ctx context.Context, hs []kernels.Handle) ([][]byte, error) {
	var out snapshotOut
	body, err := p.backend.call(ctx, "pool.snapshot", poolCall{Pool: p.id, Handles: hs}, nil, &out)
	if err != nil {
		return nil, err
	}
	if len(out.Sizes) != len(hs) {
		return nil, fmt.Errorf("the backend %s gives %d values for %d handles", p.backend.name, len(out.Sizes), len(hs))
	}
	return split(body, out.Sizes)
}

func (p *pool) Close() error {
	_, err := p.call("pool.close", poolCall{}, nil, nil)
	return err
}
