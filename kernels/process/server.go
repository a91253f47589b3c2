package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Serve offers b over conn until the other end closes it, which gives nil, or
// ctx ends. It closes conn, and with it every pool and session that the other
// end left open.
func Serve(ctx context.Context, conn io.ReadWriteCloser, b kernels.Backend) error {
	s := &server{
		backend: b, pools: table[kernels.Pool]{kind: "pool"}, executables: table[kernels.Executable]{kind: "executable"}, sessions: table[kernels.Session]{kind: "session"},
	}
	s.peer = newPeer(conn, map[string]handler{
		"hello":   handle(s.hello),
		"support": handle(s.support),
		"compile": handle(s.compile), "release": handle(s.release),
		"pool": handle(s.newPool), "pool.new": handle(s.newValue), "pool.register": handle(s.register), "pool.write": handle(s.write), "pool.read": handle(s.read),
		"pool.info": handle(s.info), "pool.free": handle(s.free), "pool.snapshot": handle(s.snapshot), "pool.close": handle(s.closePool),
		"session": handle(s.newSession), "session.run": handle(s.run), "session.profile": handle(s.profile), "session.close": handle(s.closeSession),
	})
	stop := context.AfterFunc(ctx, func() { s.peer.fail(ctx.Err()) })
	defer stop()
	err := s.peer.read()
	for _, ses := range s.sessions.all() {
		ses.Close()
	}
	for _, p := range s.pools.all() {
		p.Close()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ServeStdio serves b on the standard input and output of this process, as
// Start expects it. What the process prints goes to standard error from here on.
func ServeStdio(ctx context.Context, b kernels.Backend) error {
	conn := &stdio{os.Stdin, os.Stdout}
	os.Stdout = os.Stderr
	return Serve(ctx, conn, b)
}

type stdio struct {
	io.ReadCloser
	w io.WriteCloser
}

func (s *stdio) Write(b []byte) (int, error) { return s.w.Write(b) }

func (s *stdio) Close() error { return errors.Join(s.w.Close(), s.ReadCloser.Close()) }

type server struct {
	backend     kernels.Backend
	peer        *peer
	pools       table[kernels.Pool]
	executables table[kernels.Executable]
	sessions    table[kernels.Session]
}

// table numbers objects.
type table[T any] struct {
	kind string
	mu   sync.Mutex
	last uint64
	m    map[uint64]T
}

func (t *table[T]) add(v T) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = map[uint64]T{}
	}
	t.last++
	t.m[t.last] = v
	return t.last
}

func (t *table[T]) get(id uint64) (T, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.m[id]
	if !ok {
		return v, fmt.Errorf("there is no %s %d here", t.kind, id)
	}
	return v, nil
}

func (t *table[T]) remove(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.m, id)
}

func (t *table[T]) all() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]T, 0, len(t.m))
	for _, v := range t.m {
		out = append(out, v)
	}
	return out
}

// handle makes a handler of a function of decoded data.
func handle[In any](f func(ctx context.Context, in In, body []byte) (any, []byte, error)) handler {
	return func(ctx context.Context, data json.RawMessage, body []byte) (any, []byte, error) {
		var in In
		if len(data) > 0 {
			if err := json.Unmarshal(data, &in); err != nil {
				return nil, nil, fmt.Errorf("reading a call: %w", err)
			}
		}
		return f(ctx, in, body)
	}
}

func (s *server) hello(_ context.Context, in hello, _ []byte) (any, []byte, error) {
	own := hello{Protocol: Version, IR: graph.Version}
	if in.Protocol == Version {
		own.Name, own.Variant, own.Devices = s.backend.Name(), s.backend.Variant(), s.backend.Devices()
	}
	return own, nil, nil
}

func (s *server) support(_ context.Context, in supportIn, _ []byte) (any, []byte, error) {
	op := graph.OpInvalid
	if in.Composite == "" {
		var err error
		if op, err = graph.LookupOp(in.Op, in.Version); err != nil {
			return kernels.Refused, nil, nil
		}
	}
	return s.backend.Support(op, in.Composite), nil, nil
}

func (s *server) compile(ctx context.Context, in compileIn, body []byte) (any, []byte, error) {
	parts, err := split(body, in.Parts)
	if err != nil {
		return nil, nil, err
	}
	if len(parts) == 0 {
		return nil, nil, errors.New("no module to compile")
	}
	// The host has verified the module; here its form is checked, and Compile
	// checks what it needs.
	m, err := graph.Unmarshal(parts[0], graph.Limits{MessageBytes: maxBody, Nodes: 1 << 30, Funcs: 1 << 30})
	if err != nil {
		return nil, nil, err
	}
	for _, part := range parts[1:] {
		name, t, err := graph.UnmarshalConst(part, graph.Limits{ConstBytes: maxBody})
		if err != nil {
			return nil, nil, err
		}
		m.Consts[name] = t
	}
	o := kernels.Options{
		Mode: in.Mode, Frozen: in.Frozen, Symbols: in.Symbols, Donate: in.Donate, Selection: in.Selection, Limits: in.Limits, Memory: in.Memory, Profile: in.Profile,
	}
	if in.Opaque != 0 {
		o.Opaque = &callback{s.peer, in.Opaque}
	}
	e, err := s.backend.Compile(ctx, m, in.Entry, o)
	if err != nil {
		return nil, nil, err
	}
	return compileOut{s.executables.add(e), toViews(e.Params()), toViews(e.Results()), e.Plan(), e.Selection()}, nil, nil
}

// callback runs opaque components at the other end.
type callback struct {
	peer   *peer
	caller uint64
}

func (c *callback) Call(ctx context.Context, a *graph.OpaqueAttrs, in, out []kernels.View) error {
	call := opaqueIn{Caller: c.caller, Component: a.Component, Config: a.Config, Gradient: a.Gradient, In: toViews(in), Out: toViews(out)}
	var body []byte
	for _, v := range in {
		body = append(body, v.Data...)
	}
	got, err := c.peer.call(ctx, "opaque", call, body, nil)
	if err != nil {
		return err
	}
	sizes := make([]int64, len(out))
	for i, v := range out {
		sizes[i] = int64(len(v.Data))
	}
	parts, err := split(got, sizes)
	if err != nil {
		return err
	}
	for i, v := range out {
		copy(v.Data, parts[i])
	}
	return nil
}

func (s *server) release(_ context.Context, in object, _ []byte) (any, []byte, error) {
	s.executables.remove(in.ID)
	return nil, nil, nil
}

func (s *server) newPool(_ context.Context, in poolIn, _ []byte) (any, []byte, error) {
	p, err := s.backend.NewPool(in.Device)
	if err != nil {
		return nil, nil, err
	}
	return object{s.pools.add(p)}, nil, nil
}

func (s *server) newValue(_ context.Context, in poolCall, _ []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	h, err := p.New(in.Type.DType, in.Type.Shape)
	return handleOut{h}, nil, err
}

// register keeps the body, which nobody else holds.
func (s *server) register(_ context.Context, in poolCall, body []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	h, err := p.Register(kernels.View{DType: in.Type.DType, Shape: in.Type.Shape, Data: body})
	return handleOut{h}, nil, err
}

func (s *server) write(_ context.Context, in poolCall, body []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, p.Write(in.Handle, body)
}

func (s *server) read(_ context.Context, in poolCall, _ []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	d, shape, err := p.Info(in.Handle)
	if err != nil {
		return nil, nil, err
	}
	n, err := view{d, shape}.check()
	if err != nil {
		return nil, nil, err
	}
	body := make([]byte, n)
	return nil, body, p.Read(in.Handle, body)
}

func (s *server) info(_ context.Context, in poolCall, _ []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	d, shape, err := p.Info(in.Handle)
	return view{d, shape}, nil, err
}

func (s *server) free(_ context.Context, in poolCall, _ []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, p.Free(in.Handle)
}

func (s *server) snapshot(ctx context.Context, in poolCall, _ []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	parts, err := p.Snapshot(ctx, in.Handles)
	if err != nil {
		return nil, nil, err
	}
	out := snapshotOut{Sizes: make([]int64, len(parts))}
	var body []byte
	for i, b := range parts {
		out.Sizes[i] = int64(len(b))
		body = append(body, b...)
	}
	return out, body, nil
}

func (s *server) closePool(_ context.Context, in poolCall, _ []byte) (any, []byte, error) {
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, p.Close() // it stays, to say that it is closed
}

func (s *server) newSession(_ context.Context, in sessionIn, _ []byte) (any, []byte, error) {
	e, err := s.executables.get(in.Executable)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.pools.get(in.Pool)
	if err != nil {
		return nil, nil, err
	}
	ses, err := e.NewSession(p)
	if err != nil {
		return nil, nil, err
	}
	return object{s.sessions.add(ses)}, nil, nil
}

func (s *server) run(ctx context.Context, in runIn, _ []byte) (any, []byte, error) {
	ses, err := s.sessions.get(in.Session)
	if err != nil {
		return nil, nil, err
	}
	n, err := ses.Run(ctx, in.Bindings, in.Steps)
	return runOut{n}, nil, err
}

func (s *server) profile(_ context.Context, in object, _ []byte) (any, []byte, error) {
	ses, err := s.sessions.get(in.ID)
	if err != nil {
		return nil, nil, err
	}
	return profileOut{ses.Profile()}, nil, nil
}

func (s *server) closeSession(_ context.Context, in object, _ []byte) (any, []byte, error) {
	ses, err := s.sessions.get(in.ID)
	if err != nil {
		return nil, nil, err
	}
	s.sessions.remove(in.ID)
	return nil, nil, ses.Close()
}
