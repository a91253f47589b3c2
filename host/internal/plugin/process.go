package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	goplugin_runner "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk"
)

// process is a plugin in a process of its own.
type process struct {
	services
	in     *instance
	client *goplugin.Client
	runner *runner
}

// startProcess starts the image, or this binary again for a linked plugin.
func startProcess(ctx context.Context, in *instance, img *image) (connection, error) {
	base, err := socketBase()
	if err != nil {
		return nil, err
	}
	path, extra := "", []string{sdk.ChildEnv + "=1"}
	if img != nil {
		path = img.path
	} else {
		if path, err = selfPath(); err != nil {
			return nil, fmt.Errorf("finding this binary to serve the plugin %s: %w", in.name, err)
		}
		extra = append(extra, sdk.ServeEnv+"="+in.name)
	}
	p := &process{in: in}
	log := in.host.o.Log.With().Str("plugin", in.name).Logger()
	if in.source.Path != "" {
		log = log.With().Str("path", in.source.Path).Logger()
	}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          goplugin.PluginSet{"hone": &sdk.GRPCPlugin{}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         runtime.GOOS == "windows", // where there are no unix sockets it talks TCP
		SkipHostEnv:      true,
		StartTimeout:     in.host.o.StartTimeout,
		Logger:           hclogTo(log),
		SyncStdout:       &lineLogger{log: log, stream: "stdout"},
		SyncStderr:       io.Discard, // the runner reads the real one
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: base},
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(sdk.MaxMessageBytes), grpc.MaxCallSendMsgSize(sdk.MaxMessageBytes))},
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, dir string) (goplugin_runner.Runner, error) {
			cmd := exec.Command(path)
			cmd.Args = []string{filepath.Base(in.name)}
			cmd.Env = append(append(cmd.Env, spec.Env...), extra...)
			cmd.Env = append(cmd.Env, "TMPDIR="+dir)
			if runtime.GOOS == "windows" {
				cmd.Env = append(cmd.Env, "SystemRoot="+os.Getenv("SystemRoot"))
			}
			cmd.Dir = dir
			r, err := newRunner(in.name, cmd, log)
			p.runner = r
			return r, err
		},
	})
	rpc, err := p.client.Client()
	if err != nil {
		d := p.explainStart(err)
		_ = p.stop()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("starting the plugin %s: %w", in.name, ctx.Err())
		}
		return nil, d
	}
	raw, err := rpc.Dispense("hone")
	conn, ok := raw.(grpc.ClientConnInterface)
	if err != nil || !ok {
		_ = p.stop()
		return nil, fmt.Errorf("talking to the plugin %s: %w", in.name, err)
	}
	p.services = newServices(conn)
	return p, nil
}

// explain adds to a failed call what the process said when it ended.
func (p *process) explain(what string, err error) (diag.Diagnostic, bool) {
	d, dead := explainStatus(p.in.name, what, err)
	if d.Code == "plugin_died" {
		p.runner.awaitEnd()
		if end := p.runner.ending(); end != "" {
			d.Summary += ": " + end
		}
		if last := p.runner.lastWords(); last != "" {
			d.Detail = "Its last messages:\n" + last + "\n" + d.Detail
		}
	}
	return d, dead
}

// explainStart turns go-plugin's account of a failed start into a diagnostic.
func (p *process) explainStart(err error) diag.Diagnostic {
	name, text := p.in.name, err.Error()
	if p.runner == nil {
		return diag.Errorf("plugin_start", "the plugin %q cannot be started: %w", name, err).Hint("Check that the folder for temporary files is writable.")
	}
	if p.runner.startErr != nil {
		return diag.Errorf("plugin_start", "the plugin %q (%s) cannot be started: %w", name, p.in.source.Path, p.runner.startErr).
			Hint("Check that the file is a program for %s/%s and may be executed.", runtime.GOOS, runtime.GOARCH)
	}
	tail := ""
	if last := p.runner.lastWords(); last != "" {
		tail = "Its last messages:\n" + last + "\n"
	}
	printed := p.runner.printed()
	switch {
	case strings.Contains(text, "ncompatible"): // API or core protocol version
		return diag.Errorf("plugin_protocol", "the plugin %q speaks another version of the protocol than this hone (%s): %w", name, protocolName, err).
			Hint("Take a version of the plugin that is made for this hone, or upgrade hone.")
	case strings.Contains(text, "timeout while waiting"):
		return diag.Errorf("plugin_timeout", "the plugin %q did not say hello within %v of its start", name, p.in.host.o.StartTimeout).
			Hint("%sIt was stopped. Its main must call sdk.Serve at once; report it to the plugin's author.", tail)
	case strings.Contains(text, "Unrecognized remote plugin message") && printed != "":
		return diag.Errorf("plugin_stdout", "the plugin %q printed to standard output before its handshake: %q", name, printed).
			Hint("Standard output carries the handshake. A plugin prints to standard error, for example with package log; report it to its author.")
	}
	p.runner.awaitEnd()
	if end := p.runner.ending(); end != "" {
		return diag.Errorf("plugin_died", "the plugin %q ended before its handshake: %s", name, end).
			Hint("%sCheck that %q is a hone plugin, and report it to its author.", tail, p.in.source.Path)
	}
	return diag.Errorf("plugin_start", "the plugin %q gave no proper handshake: %w", name, errors.New(clean(text, 500))).
		Hint("%sCheck that %q is a hone plugin.", tail, p.in.source.Path)
}

const protocolName = "hone.plugin.v1"

// stop kills the process and its group: a plugin holds nothing that would need
// to be saved, so there is nothing to wait for.
func (p *process) stop() error {
	var err error
	if p.runner != nil {
		err = p.runner.kill()
	}
	p.client.Kill() // removes the socket's folder and ends the goroutines
	return err
}

// socketBase returns the folder for the socket's folder: the shortest writable
// one, since the path of a socket may have some 100 bytes only.
func socketBase() (string, error) {
	if runtime.GOOS == "windows" {
		return os.TempDir(), nil
	}
	const room = 100 - len("/plugin-dir0000000000/plugin0000000000")
	candidates := []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"}
	slices.SortStableFunc(candidates, func(a, b string) int { return len(a) - len(b) })
	for _, dir := range candidates {
		if dir == "" || len(dir) > room || !filepath.IsAbs(dir) {
			continue
		}
		if probe, err := os.MkdirTemp(dir, "h"); err == nil {
			_ = os.Remove(probe)
			return dir, nil
		}
	}
	return "", diag.Errorf("plugin_socket", "no folder for a plugin's socket is both writable and short").
		Hint("Tried %s. Set XDG_RUNTIME_DIR or TMPDIR to a writable folder whose path has at most %d bytes.", listOf(candidates), room)
}
