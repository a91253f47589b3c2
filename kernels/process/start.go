package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// lastWords is how much of a process's standard error an error quotes.
const lastWords = 2 << 10

// Start runs cmd, whose process is to call ServeStdio, and gives the backend
// that it serves. Path, arguments and environment are the caller's to choose;
// Stdin and Stdout must be free, Stderr may be set and is then written to as
// well. Close, or the death of this process, ends the other: its standard input
// closes. Where it does not go it is killed after 5 seconds.
func Start(ctx context.Context, cmd *exec.Cmd, c Config) (*Backend, error) {
	if c.Name == "" {
		c.Name = fmt.Sprintf("%q", cmd.Path)
	}
	if cmd.Stdin != nil || cmd.Stdout != nil {
		return nil, fmt.Errorf("starting the backend %s: its standard input and output carry the protocol", c.Name)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting the backend %s: %w", c.Name, err)
	}
	// A pipe of our own: Wait would close the command's before all is read.
	out, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting the backend %s: %w", c.Name, err)
	}
	cmd.Stdout = w
	tail := &tail{also: cmd.Stderr}
	cmd.Stderr = tail
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Start()
	w.Close()
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("starting the backend %s: %w", c.Name, err)
	}
	p := &child{cmd: cmd, tail: tail, exited: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return dial(ctx, &pipes{in, out}, c, p.end)
}

type pipes struct {
	w io.WriteCloser
	r *os.File
}

func (p *pipes) Read(b []byte) (int, error)  { return p.r.Read(b) }
func (p *pipes) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p *pipes) Close() error                { return errors.Join(p.w.Close(), p.r.Close()) }

type child struct {
	cmd    *exec.Cmd
	tail   *tail
	exited chan struct{}
	err    error
}

// end waits for the process, kills it where it lingers, and says how it went.
// A process that is known to hang is given no time.
func (p *child) end(hangs bool) string {
	grace := 5 * time.Second
	if hangs {
		grace = 0
	}
	select {
	case <-p.exited:
	case <-time.After(grace):
		p.cmd.Process.Kill()
		<-p.exited
		return "its process did not end and was killed" + p.tail.quote()
	}
	if p.err == nil {
		return ""
	}
	return "its process ended with " + p.err.Error() + p.tail.quote()
}

// tail keeps the end of what is written to it.
type tail struct {
	also io.Writer
	mu   sync.Mutex
	last []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if over := len(t.last) - lastWords; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	if t.also != nil {
		return t.also.Write(b)
	}
	return len(b), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(bytes.ToValidUTF8(t.last, nil)))
	if text == "" {
		return ""
	}
	return "; its last words: " + text
}
