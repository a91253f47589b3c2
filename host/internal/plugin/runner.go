package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/hone-ml/hone/sdk"
)

// runner runs one process for go-plugin. Beyond what go-plugin's own does it
// puts the process into a group and kills the whole group, never by a number that
// may have been given to another process; keeps the last messages for
// diagnostics; and is not held up by a grandchild that keeps the pipes open.
type runner struct {
	name string
	cmd  *exec.Cmd
	log  zerolog.Logger

	stdout, stderr   *os.File // our ends
	lifeline         *os.File // our end; the process sees it close when we end
	childEnds        []*os.File
	startErr         error
	done, stderrDone chan struct{}

	mu     sync.Mutex
	reaped bool
	first  []byte   // of standard output
	last   []string // lines of standard error
}

func newRunner(name string, cmd *exec.Cmd, log zerolog.Logger) (*runner, error) {
	r := &runner{name: name, cmd: cmd, log: log, done: make(chan struct{}), stderrDone: make(chan struct{})}
	pipe := func(ours **os.File, write bool) (*os.File, error) {
		rd, wr, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("making a pipe: %w", err)
		}
		theirs := wr
		*ours = rd
		if write {
			*ours, theirs = wr, rd
		}
		r.childEnds = append(r.childEnds, theirs)
		return theirs, nil
	}
	var err error
	var out, errs, life *os.File
	if out, err = pipe(&r.stdout, false); err == nil {
		if errs, err = pipe(&r.stderr, false); err == nil && canPassFiles {
			life, err = pipe(&r.lifeline, true)
		}
	}
	if err != nil {
		r.closeFiles()
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, out, errs
	if life != nil {
		cmd.ExtraFiles = []*os.File{life}
		cmd.Env = append(cmd.Env, sdk.LifelineEnv+"=3")
	}
	setGroup(cmd)
	return r, nil
}

func (r *runner) closeFiles() {
	for _, f := range append(r.childEnds, r.stdout, r.stderr, r.lifeline) {
		if f != nil {
			_ = f.Close()
		}
	}
	r.childEnds = nil
}

// Start starts the process and the goroutine that waits for its end.
func (r *runner) Start(context.Context) error {
	err := r.cmd.Start()
	for _, f := range r.childEnds {
		_ = f.Close()
	}
	r.childEnds = nil
	if err != nil {
		r.startErr = err
		r.closeFiles()
		close(r.done)
		close(r.stderrDone)
		return err
	}
	r.log = r.log.With().Int("pid", r.cmd.Process.Pid).Logger()
	go r.readStderr()
	go r.reap()
	return nil
}

// reap waits for the end, kills what is left of the group while the process is
// still there to vouch for its number, and unblocks the pipes' readers.
func (r *runner) reap() {
	awaitExit(r.cmd.Process.Pid)
	r.mu.Lock()
	killGroup(r.cmd.Process)
	_ = r.cmd.Wait()
	r.reaped = true
	r.mu.Unlock()
	soon := time.Now().Add(200 * time.Millisecond) // for what is buffered in the pipes
	_ = r.stdout.SetReadDeadline(soon)
	_ = r.stderr.SetReadDeadline(soon)
	<-r.stderrDone
	if r.lifeline != nil {
		_ = r.lifeline.Close()
	}
	close(r.done)
}

// kill ends the group and waits until the process is gone.
func (r *runner) kill() error {
	r.mu.Lock()
	if r.cmd.Process != nil && !r.reaped {
		killGroup(r.cmd.Process)
	}
	r.mu.Unlock()
	select {
	case <-r.done:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the plugin %s does not end although it was killed", r.name)
	}
}

// awaitEnd waits a moment for a process that seems to have ended.
func (r *runner) awaitEnd() {
	select {
	case <-r.done:
	case <-time.After(3 * time.Second):
	}
}

// ending says how the process ended; "" while it runs.
func (r *runner) ending() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reaped || r.cmd.ProcessState == nil {
		return ""
	}
	return r.cmd.ProcessState.String()
}

// lastWords returns the last lines of standard error, indented.
func (r *runner) lastWords() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.last) == 0 {
		return ""
	}
	return "  " + strings.Join(r.last, "\n  ")
}

// printed returns the beginning of standard output.
func (r *runner) printed() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	line, _, _ := strings.Cut(string(r.first), "\n")
	return clean(line, 200)
}

const (
	keptLines  = 20
	keptLength = 400
	maxLine    = 64 << 10
)

func (r *runner) readStderr() {
	defer close(r.stderrDone)
	in := bufio.NewReaderSize(r.stderr, maxLine)
	for {
		line, tooLong, err := in.ReadLine()
		if len(line) > 0 {
			text := logLine(r.log, line)
			r.mu.Lock()
			r.last = append(r.last, clean(text, keptLength))
			if len(r.last) > keptLines {
				r.last = r.last[1:]
			}
			r.mu.Unlock()
		}
		if err != nil {
			return
		}
		_ = tooLong // the rest of a long line comes as further lines
	}
}

// Stdout is read by go-plugin: the first line is the handshake.
func (r *runner) Stdout() io.ReadCloser { return (*runnerStdout)(r) }

type runnerStdout runner

func (s *runnerStdout) Read(p []byte) (int, error) {
	n, err := s.stdout.Read(p)
	s.mu.Lock()
	if room := 200 - len(s.first); n > 0 && room > 0 {
		s.first = append(s.first, p[:min(n, room)]...)
	}
	s.mu.Unlock()
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	return n, err
}

func (s *runnerStdout) Close() error { return s.stdout.Close() }

// Stderr gives go-plugin nothing: readStderr reads it, with less trust.
func (r *runner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Wait waits for the process's end.
func (r *runner) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill ends the group.
func (r *runner) Kill(context.Context) error { return r.kill() }

// Name is the plugin's.
func (r *runner) Name() string { return r.name }

// ID is the process's number, for messages.
func (r *runner) ID() string {
	if r.cmd.Process == nil {
		return ""
	}
	return fmt.Sprint(r.cmd.Process.Pid)
}

// Diagnose has nothing to add to go-plugin's own words.
func (r *runner) Diagnose(context.Context) string { return "" }

// PluginToHost leaves addresses as they are.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin leaves addresses as they are.
func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
