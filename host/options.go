package host

import (
	"context"
	"os/exec"
	"runtime"
	"strings"

	"github.com/rs/zerolog"

	"github.com/hone-ml/hone/host/internal/compile"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu"
	"github.com/hone-ml/hone/kernels/process"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk"
)

// Diagnostic says what is wrong, where, and what to do. Errors of this package
// are Diagnostics, or wrap them.
type Diagnostic = diag.Diagnostic

// Diagnostics is a list of them, an error where one is.
type Diagnostics = diag.Diagnostics

// Options are what a project or model needs of its surroundings. The zero value
// has no built-in components and runs on the default backend.
type Options struct {
	// Builtin are the plugins linked into the program: builtin.Main() of the
	// plugins/builtin package, or sdk.Main with others.
	Builtin sdk.Bundle
	// Plugins gives the binaries of required plugins, by local name.
	Plugins map[string]string
	// NoPlugins forbids to start or serve any plugin: checkpoints need none.
	NoPlugins bool
	// Vars are values of variables, VarFiles files of such; HONE_VAR_x is
	// looked up with Env (os.LookupEnv); Vars win over files, files over Env.
	Vars     []string
	VarFiles []string
	Env      func(string) (string, bool)
	// Backend is cpu (the default), reference, or the path of a backend's binary,
	// one that calls process.ServeStdio: it then computes in a process of its own.
	Backend string
	// Engine, where not nil, is what computes instead, for several projects and
	// models together.
	Engine *Engine
	// Threads is the size of the backend's team; 0 takes all processors.
	Threads int
	// DataMemory is the most bytes that examples may take in memory. Larger data
	// lies on disk, in the folder of TMPDIR, and is read ahead of the steps that
	// take it; results are the same to the bit. 0 takes half of what the machine has.
	DataMemory int64
	// Memory is the most bytes that a training step may take: parameters, slots,
	// resident examples and intermediate values. Where it is short, activations
	// are computed again on the way back instead of being kept; results are the
	// same to the bit. 0 is no bound.
	Memory int64
	// Log takes what plugins and the run log; the zero Logger discards it.
	Log zerolog.Logger
}

// Backends lists the backends that this build has, the default first.
func Backends(o Options) ([]kernels.Backend, error) {
	c, err := cpu.New(cpu.Config{Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	return []kernels.Backend{c, reference.New()}, nil
}

// DefaultBackend is the backend taken where none is named.
const DefaultBackend = "cpu"

// backend returns what computes; closeBackend ends it.
func (o Options) backend() (kernels.Backend, error) {
	if o.Engine != nil {
		return o.Engine.cache, nil
	}
	be, err := o.bare()
	if err != nil {
		return nil, err
	}
	return closing{compile.New(be), be}, nil
}

// closing is a cache that ends the backend under it, too.
type closing struct {
	*compile.Cache
	under kernels.Backend
}

func (c closing) Close() error {
	closeBackend(c.under)
	return nil
}

func (o Options) bare() (kernels.Backend, error) {
	switch o.Backend {
	case "", "cpu":
		b, err := cpu.New(cpu.Config{Threads: o.Threads})
		if err != nil {
			return nil, diag.Errorf("backend", "the cpu backend does not start: %v", err)
		}
		return b, nil
	case "reference":
		return reference.New(), nil
	}
	if strings.ContainsAny(o.Backend, `/\\`) {
		b, err := process.Start(context.Background(), exec.Command(o.Backend), process.Config{})
		if err != nil {
			return nil, diag.Errorf("backend", "the backend %s does not start: %w", o.Backend, err).
				Hint("Give the path of a program that serves a backend with kernels/process.")
		}
		return b, nil
	}
	return nil, diag.Errorf("unknown_backend", "there is no backend %q", o.Backend).
		Hint("%sThose known are cpu and reference, which hone backend list shows, and any by the path of its binary.", diag.DidYouMean(o.Backend, []string{"cpu", "reference"}))
}

func closeBackend(b kernels.Backend) {
	if c, ok := b.(interface{ Close() error }); ok {
		_ = c.Close()
	}
}

func (o Options) threads() int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.GOMAXPROCS(0)
}

func (o Options) dataMemory() int64 {
	if o.DataMemory > 0 {
		return o.DataMemory
	}
	return machineMemory() / 2
}

func (o Options) specOptions() spec.Options {
	return spec.Options{Vars: o.Vars, VarFiles: o.VarFiles, Env: o.Env, Version: Version}
}
