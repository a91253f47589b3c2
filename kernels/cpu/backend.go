package cpu

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/conv"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/isa"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/norm"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/optim"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/philox"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/vec"
	"github.com/hone-ml/hone/sdk/graph"
)

// Config says how the backend runs. The zero value is the default.
type Config struct {
	// Threads is the size of the team; 0 takes GOMAXPROCS.
	Threads int
	// Variant forces a kernel set: portable, avx2, avx512. Empty takes the
	// environment variable HONE_CPU, else the best that the processor runs.
	Variant string

	shareAll bool // for tests: small programs are shared among the threads too
}

// Backend runs graphs on the processor.
type Backend struct {
	level  isa.Level
	small  int // work below which the first thread does everything
	team   *team
	gemm   *gemm.Kernels
	vec    *vec.Kernels
	philox *philox.Kernels
	optim  *optim.Kernels
	conv   *conv.Kernels
	norm   *norm.Kernels
	early  int64 // earlyBytes, but for tests
}

var _ kernels.Backend = (*Backend)(nil)

// New starts a backend with its team of threads. Close ends them.
func New(c Config) (*Backend, error) {
	if c.Variant == "" {
		c.Variant = os.Getenv(isa.EnvVar)
	}
	level, err := isa.Select(c.Variant)
	if err != nil {
		return nil, err
	}
	if c.Threads < 0 || c.Threads > maxTeam {
		return nil, fmt.Errorf("%d threads; use 1 to %d, or 0 for all processors", c.Threads, maxTeam)
	}
	if c.Threads == 0 {
		c.Threads = min(runtime.GOMAXPROCS(0), maxTeam)
	}
	small := smallProgram
	if c.shareAll {
		small = 0
	}
	return &Backend{
		small: small, level: level, team: newTeam(c.Threads), gemm: gemm.For(level), vec: vec.For(level), philox: philox.For(level),
		optim: optim.For(level), conv: conv.For(level), norm: norm.For(level), early: earlyBytes,
	}, nil
}

// Close ends the team's threads. Sessions must not run afterwards.
func (b *Backend) Close() error {
	b.team.close()
	return nil
}

// Name returns cpu.
func (b *Backend) Name() string { return "cpu" }

// Variant returns the kernel set in use.
func (b *Backend) Variant() string { return b.level.String() }

// Peak measures the multiply-adds of one core, in floating-point operations a
// second; 0 for the portable kernels, which have no such measure.
func (b *Backend) Peak() float64 {
	best := 0.0
	for range 50 {
		start := time.Now()
		n := gemm.PeakFMA(b.level, 2000)
		if d := time.Since(start).Seconds(); d > 0 {
			best = max(best, float64(n)/d)
		}
	}
	return best
}

// Devices returns the processor.
func (b *Backend) Devices() []kernels.Device {
	return []kernels.Device{{Name: "cpu", Description: runtime.GOARCH + " processor", Threads: b.team.size}}
}

// Support reports every primitive as native but multi-replica all_reduce, which
// compile refuses, and the composites that have kernels; others run as their
// bodies.
func (b *Backend) Support(op graph.Op, composite string) kernels.Support {
	if op == graph.OpCall || composite != "" {
		if nativeOf(composite) == nil {
			return kernels.Inlined
		}
	}
	return kernels.Native
}

// NewPool opens the device, which is called cpu.
func (b *Backend) NewPool(device string) (kernels.Pool, error) {
	if device != "" && device != "cpu" {
		return nil, fmt.Errorf("the cpu backend has one device, cpu, not %q", device)
	}
	return newPool(), nil
}

// Compile lowers the entry to a program.
func (b *Backend) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	return compile(ctx, b, m, entry, o)
}
