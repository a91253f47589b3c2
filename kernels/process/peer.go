package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// handler answers a call: it decodes data, and returns what to encode.
type handler func(ctx context.Context, data json.RawMessage, body []byte) (any, []byte, error)

// peer is one end of a connection: it makes calls and answers them.
type peer struct {
	conn     io.ReadWriteCloser
	handlers map[string]handler

	writing sync.Mutex
	out     *bufio.Writer
	heard   atomic.Int64 // when the other end last showed life, Unix nanoseconds

	mu      sync.Mutex
	next    uint64
	calls   map[uint64]chan answer
	serving map[uint64]context.CancelFunc
	err     error // why the connection ended
	done    chan struct{}
	work    sync.WaitGroup
}

type answer struct {
	h    *head
	body []byte
}

func newPeer(conn io.ReadWriteCloser, handlers map[string]handler) *peer {
	p := &peer{
		conn: conn, handlers: handlers, out: bufio.NewWriterSize(conn, 64<<10),
		calls: map[uint64]chan answer{}, serving: map[uint64]context.CancelFunc{}, done: make(chan struct{}),
	}
	p.alive()
	return p
}

func (p *peer) alive() { p.heard.Store(time.Now().UnixNano()) }

// silence returns how long nothing was heard of the other end.
func (p *peer) silence() time.Duration {
	return time.Duration(time.Now().UnixNano() - p.heard.Load())
}

// waiting reports whether calls are under way.
func (p *peer) waiting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.calls) > 0
}

// fail ends the connection: calls under way return err. The first reason stays.
func (p *peer) fail(err error) {
	p.mu.Lock()
	first := p.err == nil
	if first {
		p.err = err
		for _, cancel := range p.serving {
			cancel()
		}
		close(p.done)
	}
	p.mu.Unlock()
	if first {
		p.conn.Close()
	}
}

// read takes frames until the connection ends, and returns why it did.
func (p *peer) read() error {
	in := bufio.NewReaderSize(p.conn, 64<<10)
	for {
		h, body, err := readFrame(in, p.alive)
		if err != nil {
			p.fail(err)
			p.work.Wait()
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.err
		}
		p.alive()
		p.take(h, body)
	}
}

func (p *peer) take(h *head, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	switch {
	case h.Reply:
		if c, ok := p.calls[h.ID]; ok {
			delete(p.calls, h.ID)
			c <- answer{h, body}
		}
	case h.Method == "cancel":
		if cancel, ok := p.serving[h.ID]; ok {
			cancel()
		}
	case h.Method == "ping":
		p.work.Go(func() { p.send(&head{ID: h.ID, Reply: true}, nil) })
	default:
		ctx, cancel := context.WithCancel(context.Background())
		p.serving[h.ID] = cancel
		p.work.Go(func() { p.serve(ctx, h, body) })
	}
}

// serve answers one call.
func (p *peer) serve(ctx context.Context, h *head, body []byte) {
	reply := &head{ID: h.ID, Reply: true}
	var out []byte
	func() {
		defer func() {
			if r := recover(); r != nil {
				reply.Error = &wireError{Text: fmt.Sprintf("panic in %s: %v\n%s", h.Method, r, debug.Stack())}
			}
		}()
		f, ok := p.handlers[h.Method]
		if !ok {
			reply.Error = &wireError{Text: fmt.Sprintf("unknown method %q", h.Method)}
			return
		}
		var value any
		var err error
		value, out, err = f(ctx, h.Data, body)
		reply.Error = toWire(err)
		if value != nil {
			if reply.Data, err = json.Marshal(value); err != nil {
				reply.Error = toWire(err)
			}
		}
	}()
	p.mu.Lock()
	if cancel, ok := p.serving[h.ID]; ok {
		delete(p.serving, h.ID)
		cancel()
	}
	p.mu.Unlock()
	p.send(reply, out)
}

// send writes one frame whole. An error has ended the connection.
func (p *peer) send(h *head, body []byte) error {
	p.writing.Lock()
	defer p.writing.Unlock()
	select {
	case <-p.done:
		return p.err
	default:
	}
	err := writeFrame(p.out, h, body, p.alive)
	if err == nil {
		err = p.out.Flush()
	}
	if err != nil {
		p.fail(fmt.Errorf("writing: %w", err))
	}
	return err
}

// call asks the other end and waits for its answer. When ctx ends the other end
// is told, and its answer, which should come soon then, is still waited for, so
// that nothing goes on behind the caller's back.
func (p *peer) call(ctx context.Context, method string, in any, body []byte, out any) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h := &head{Method: method}
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		h.Data = data
	}
	c := make(chan answer, 1)
	p.mu.Lock()
	if p.err != nil {
		p.mu.Unlock()
		return nil, p.err
	}
	p.next++
	h.ID = p.next
	p.calls[h.ID] = c
	if len(p.calls) == 1 {
		p.alive() // nothing was asked before, so nothing was to be heard
	}
	p.mu.Unlock()
	if err := p.send(h, body); err != nil {
		return nil, p.reason()
	}
	canceled := ctx.Done()
	for {
		select {
		case a := <-c:
			if len(a.h.Data) > 0 && out != nil {
				if err := json.Unmarshal(a.h.Data, out); err != nil {
					return nil, fmt.Errorf("the answer to %s: %w", method, err)
				}
			}
			return a.body, fromWire(a.h.Error)
		case <-canceled:
			canceled = nil
			p.send(&head{ID: h.ID, Method: "cancel"}, nil)
		case <-p.done:
			select {
			case a := <-c: // it came just before the end
				c <- a
				continue
			default:
				return nil, p.reason()
			}
		}
	}
}

func (p *peer) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return errors.New("the connection is closed")
	}
	return p.err
}
