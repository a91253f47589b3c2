package process_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/kerneltest"
	"github.com/hone-ml/hone/kernels/process"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// roleVar makes the test's binary play a backend's process.
const roleVar = "HONE_TEST_BACKEND"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVar)
	if role == "" {
		os.Exit(m.Run())
	}
	switch role {
	case "exit":
		fmt.Fprintln(os.Stderr, "no driver found")
		os.Exit(4)
	case "stray":
		fmt.Println("Welcome to the driver, version 9")
	case "mute":
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	if err := process.ServeStdio(context.Background(), tricky{reference.New()}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// tricky is the reference, but for entries that do harm.
type tricky struct{ reference.Backend }

func (t tricky) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	switch entry {
	case "exit":
		fmt.Fprintln(os.Stderr, "the device fell off the bus")
		os.Exit(7)
	case "print":
		fmt.Println("a careless print")
		entry = "f"
	case "panic":
		panic("a bug in the backend")
	case "stall":
		<-ctx.Done()
		return nil, ctx.Err()
	case "stop":
		stopSelf()
		<-ctx.Done() // where the signal takes its time
	}
	return t.Backend.Compile(ctx, m, entry, o)
}

func command(t testing.TB, role string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	return cmd
}

func start(t testing.TB, c process.Config) (*process.Backend, *exec.Cmd) {
	cmd := command(t, "server")
	if c.Handshake == 0 {
		c.Handshake = 5 * time.Minute // however busy the machine
	}
	b, err := process.Start(context.Background(), cmd, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, cmd
}

// TestConformance runs the suite on the reference in another process.
func TestConformance(t *testing.T) {
	kerneltest.Run(t, func(t testing.TB) kernels.Backend {
		b, _ := start(t, process.Config{})
		return b
	}, kerneltest.Options{Graphs: 20, SkipOps: !kerneltest.Long()})
}

// TestOverASocket serves several hosts one after the other on a unix socket.
func TestOverASocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go process.Serve(context.Background(), c, reference.New())
		}
	}()
	for range 2 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := process.Dial(t.Context(), c, process.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if b.Name() != "reference" || b.Support(graph.OpAdd, "") != kernels.Native || b.Support(0, "hone/relu@1") != kernels.Inlined {
			t.Errorf("%s, add %v, relu %v", b.Name(), b.Support(graph.OpAdd, ""), b.Support(0, "hone/relu@1"))
		}
		double(t, b, "f")
		b.Close()
	}
}

func module(t testing.TB) *graph.Module {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.T(graph.F32, 3))
	b.Output("x", x.Add(x))
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	return m
}

// double runs f(x) = 2x three times.
func double(t testing.TB, b kernels.Backend, entry string) {
	t.Helper()
	e, err := b.Compile(context.Background(), module(t), entry, kernels.Options{Donate: []int{0}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.Register(kernels.View{DType: graph.F32, Shape: []int64{3}, Data: graph.Float32s([]float32{1, 2, 3}, 3).Data})
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.NewSession(p)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.Run(context.Background(), &kernels.Bindings{Params: []kernels.Handle{x}, Results: []kernels.Handle{0}}, 3); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, 12)
	if err := p.Read(x, got); err != nil || !bytes.Equal(got, graph.Float32s([]float32{8, 16, 24}, 3).Data) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := errors.Join(s.Close(), p.Close()); err != nil {
		t.Error(err)
	}
}

func TestACrashedProcessIsAnErrorForEveryCall(t *testing.T) {
	b, _ := start(t, process.Config{})
	p, err := b.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	h, err := p.New(graph.F32, []int64{2})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // another call under way while it dies
		_, err := b.Compile(context.Background(), module(t), "stall", kernels.Options{})
		wantGone(t, err)
	})
	time.Sleep(10 * time.Millisecond)
	_, err = b.Compile(context.Background(), module(t), "exit", kernels.Options{})
	wantGone(t, err)
	for _, part := range []string{`"reference"`, "exit status 7", "the device fell off the bus"} {
		if err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
	wg.Wait()
	wantGone(t, p.Write(h, make([]byte, 8)))
	wantGone(t, p.Read(h, make([]byte, 8)))
	if _, err := b.NewPool(""); err == nil {
		t.Error("a dead backend makes pools")
	}
	if b.Support(graph.OpNeg, "") != kernels.Refused {
		t.Error("a dead backend supports ops")
	}
}

func wantGone(t *testing.T, err error) {
	t.Helper()
	var gone *process.ClosedError
	if !errors.As(err, &gone) {
		t.Errorf("got %v, want a *process.ClosedError", err)
	}
}

func TestAKilledProcessIsAnError(t *testing.T) {
	b, cmd := start(t, process.Config{})
	time.AfterFunc(20*time.Millisecond, func() { cmd.Process.Kill() })
	_, err := b.Compile(context.Background(), module(t), "stall", kernels.Options{})
	wantGone(t, err)
}

func TestASilentProcessIsAnError(t *testing.T) {
	if !canStop {
		t.Skip("no SIGSTOP here")
	}
	b, cmd := start(t, process.Config{Silence: 400 * time.Millisecond})
	_, err := b.Compile(context.Background(), module(t), "stop", kernels.Options{})
	wantGone(t, err)
	if err != nil && !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("%v does not say why", err)
	}
	if cmd.ProcessState == nil {
		t.Error("the process is left behind")
	}
}

func TestALongCallIsNoSilence(t *testing.T) {
	// A busy machine may take long to let a sign of life through.
	for silence := time.Second; ; silence *= 4 {
		b, _ := start(t, process.Config{Silence: silence})
		ctx, cancel := context.WithTimeout(t.Context(), 2*silence)
		_, err := b.Compile(ctx, module(t), "stall", kernels.Options{})
		cancel()
		var gone *process.ClosedError
		if errors.As(err, &gone) && silence < time.Minute {
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		double(t, b, "f") // and it goes on
		return
	}
}

// A driver may need longer to start than it may be silent afterwards.
func TestASlowStartIsNoSilence(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		time.Sleep(200 * time.Millisecond)
		process.Serve(t.Context(), there, reference.New())
	}()
	b, err := process.Dial(t.Context(), here, process.Config{Handshake: 5 * time.Minute, Silence: 40 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

func TestAPanicIsAnErrorAndNotTheEnd(t *testing.T) {
	b, _ := start(t, process.Config{})
	if _, err := b.Compile(t.Context(), module(t), "panic", kernels.Options{}); err == nil || !strings.Contains(err.Error(), "a bug in the backend") {
		t.Errorf("got %v", err)
	}
	double(t, b, "print") // printing to standard output does no harm
}

func TestStartSaysWhyItFails(t *testing.T) {
	for role, want := range map[string]string{
		"exit":  "no driver found",
		"stray": "Welcome to the",
		"mute":  "did not answer",
	} {
		handshake := 5 * time.Minute
		if role == "mute" {
			handshake = 200 * time.Millisecond
		}
		_, err := process.Start(t.Context(), command(t, role), process.Config{Name: `"toaster"`, Handshake: handshake})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "toaster") {
			t.Errorf("%s: %v, want %q", role, err, want)
		}
	}
	if _, err := process.Start(t.Context(), exec.Command(filepath.Join(t.TempDir(), "missing")), process.Config{}); err == nil {
		t.Error("a missing command starts")
	}
}

// TestHostileAnswers gives the client what no server sends.
func TestHostileAnswers(t *testing.T) {
	frame := func(size uint32, body uint64, text string) []byte {
		b := append([]byte("hone"), make([]byte, 12)...)
		binary.LittleEndian.PutUint32(b[4:], size)
		binary.LittleEndian.PutUint64(b[8:], body)
		return append(b, text...)
	}
	whole := func(text string) []byte { return frame(uint32(len(text)), 0, text) }
	for name, answer := range map[string][]byte{
		"huge head":     frame(1<<31, 0, ""),
		"huge body":     frame(2, 1<<62, "{}"),
		"large and cut": frame(2, 1<<39, "{}x"),
		"no JSON":       whole("hello"),
		"other version": whole(`{"id":1,"reply":true,"data":{"Protocol":99,"IR":1,"Name":"x"}}`),
		"no name":       whole(`{"id":1,"reply":true,"data":{"Protocol":1,"IR":1}}`),
		"no IR":         whole(`{"id":1,"reply":true,"data":{"Protocol":1,"Name":"x"}}`),
		"wrong type":    whole(`{"id":1,"reply":true,"data":[1]}`),
		"empty":         {},
		"half a frame":  []byte("hone\x01"),
		"garbage":       bytes.Repeat([]byte("no"), 100),
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			go func() {
				go io.Copy(io.Discard, there)
				there.Write(answer)
				there.Close()
			}()
			if b, err := process.Dial(t.Context(), here, process.Config{Handshake: 5 * time.Second}); err == nil {
				b.Close()
				t.Error("it passes for a backend")
			}
		})
	}
}

// FuzzServe throws bytes at the server: it must end with an error, not a panic
// or a hang.
func FuzzServe(f *testing.F) {
	f.Add([]byte("hone"))
	text := `{"id":1,"method":"compile","data":{"Parts":[3,9223372036854775807]}}`
	b := append([]byte("hone"), make([]byte, 12)...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(text)))
	binary.LittleEndian.PutUint64(b[8:], 3)
	f.Add(append(append(b, text...), 1, 2, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		here, there := net.Pipe()
		go func() {
			go io.Copy(io.Discard, there)
			there.Write(data)
			there.Close()
		}()
		process.Serve(t.Context(), here, reference.New())
	})
}

func BenchmarkRun(b *testing.B) {
	backend, _ := start(b, process.Config{})
	e, err := backend.Compile(context.Background(), module(b), "f", kernels.Options{Donate: []int{0}})
	if err != nil {
		b.Fatal(err)
	}
	p, err := backend.NewPool("")
	if err != nil {
		b.Fatal(err)
	}
	x, err := p.New(graph.F32, []int64{3})
	if err != nil {
		b.Fatal(err)
	}
	s, err := e.NewSession(p)
	if err != nil {
		b.Fatal(err)
	}
	for _, steps := range []int{1, 100} {
		b.Run(fmt.Sprint(steps), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Run(context.Background(), &kernels.Bindings{Params: []kernels.Handle{x}, Results: []kernels.Handle{0}}, steps); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
