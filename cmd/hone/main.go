// Command hone trains, evaluates and runs models whose layers, optimizers and
// transforms come from plugins.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rs/zerolog"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/plugins/builtin"
	"github.com/hone-ml/hone/sdk"
)

// cli is the grammar: one field a verb, each in a file of its own.
type cli struct {
	LogLevel  string `help:"Least level of logs on stderr: debug, info, warn, error." default:"warn" enum:"debug,info,warn,error"`
	LogFormat string `help:"Form of logs on stderr: text or json." default:"text" enum:"text,json"`

	Train      trainCmd      `cmd:"" help:"Train a model as a spec says."`
	Eval       evalCmd       `cmd:"" help:"Evaluate a checkpoint."`
	Predict    predictCmd    `cmd:"" help:"Predict with a checkpoint."`
	Validate   validateCmd   `cmd:"" help:"Check a spec: trace its model, show layers, shapes, parameters, memory."`
	Fmt        fmtCmd        `cmd:"" help:"Format specs."`
	New        newCmd        `cmd:"" help:"Write an example out, ready to train."`
	Data       dataCmd       `cmd:"" help:"Look at data."`
	Plugin     pluginCmd     `cmd:"" help:"Look at plugins."`
	Backend    backendCmd    `cmd:"" help:"Look at backends."`
	Checkpoint checkpointCmd `cmd:"" help:"Look at checkpoints and convert them."`
	Graph      graphCmd      `cmd:"" help:"Look at graphs."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitGoal        = 3
	exitInterrupted = 130
	exitTerminated  = 143
)

// app is what verbs share.
type app struct {
	ctx     context.Context
	bundle  sdk.Bundle
	log     zerolog.Logger
	stdout  io.Writer
	stderr  io.Writer
	signal  func() os.Signal         // that cancelled ctx, or nil
	sources func() map[string][]byte // texts that diagnostics speak of
	clock   func() time.Time         // nil is time.Now
	wrote   bool                     // what was to be written to files has been
}

func main() {
	bundle := builtin.Main()
	os.Exit(run(bundle, os.Args[1:], os.Stdout, os.Stderr))
}

func run(bundle sdk.Bundle, args []string, stdout, stderr io.Writer) int {
	var c cli
	code := -1
	parser, err := kong.New(&c,
		kong.Name("hone"),
		kong.Description("Trains, prunes, fine-tunes and tunes models made of plugins."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(n int) {
			if code < 0 {
				code = n
			}
		}),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if code >= 0 { // --help
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "hone: %v\nTry: hone --help\n", err)
		return exitUsage
	}
	ctx, stop, signalled := interruptible(stderr)
	defer stop()
	a := &app{ctx: ctx, bundle: bundle, log: c.logger(stderr), stdout: stdout, stderr: stderr, signal: signalled, sources: func() map[string][]byte { return nil }}
	err = k.Run(a)
	return a.exit(err)
}

func (c *cli) logger(w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.WarnLevel
	}
	if c.LogFormat == "text" {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// interruptible returns a context that the first SIGINT or SIGTERM cancels; the
// second ends the process at once.
func interruptible(stderr io.Writer) (context.Context, func(), func() os.Signal) {
	ctx, cancel := context.WithCancel(context.Background())
	// A reader that goes away must not end a training: writes fail instead.
	signal.Ignore(syscall.SIGPIPE)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	got := make(chan os.Signal, 1)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-ch:
			got <- s
			fmt.Fprintln(stderr, "\nstopping after this step; press Ctrl-C again to stop at once")
			cancel()
			select {
			case s := <-ch:
				os.Exit(codeOf(s))
			case <-done:
			}
		case <-done:
		}
	}()
	return ctx, func() { close(done); signal.Stop(ch); cancel() }, func() os.Signal {
		select {
		case s := <-got:
			return s
		default:
			return nil
		}
	}
}

func codeOf(s os.Signal) int {
	if s == syscall.SIGTERM {
		return exitTerminated
	}
	return exitInterrupted
}

// usageError marks an error that is the caller's: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exit prints an error and returns the process's exit code.
func (a *app) exit(err error) int {
	if err == nil {
		return 0
	}
	var told toldError
	switch {
	case errors.Is(err, syscall.EPIPE):
		text := "hone: who read the output has gone"
		if a.wrote {
			text += "; what was to be written to files has been"
		}
		fmt.Fprintln(a.stderr, text)
		return exitFailed
	case !errors.As(err, &told):
		a.show(err)
	}
	switch {
	case errors.Is(err, host.ErrInterrupted), errors.Is(err, context.Canceled):
		if s := a.signal(); s != nil {
			return codeOf(s)
		}
		return exitInterrupted
	case errors.Is(err, host.ErrNotFinite):
		return exitFailed
	}
	var goal goalError
	if errors.As(err, &goal) {
		return exitGoal
	}
	var usage usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

// toldError marks an error that has been shown already.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }
