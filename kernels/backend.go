package kernels

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// Backend compiles graph functions for the devices of one kind.
type Backend interface {
	// Name is the name users select it by: cpu, reference, cuda.
	Name() string
	// Variant names the kernel set in use, such as avx2; "" where there is one.
	Variant() string
	// Devices lists what this machine has, the default first.
	Devices() []Device
	// Support says how the backend runs an op, or a composite when name is its
	// namespace/name@version.
	Support(op graph.Op, composite string) Support
	// NewPool opens a device, "" for the default.
	NewPool(device string) (Pool, error)
	// Compile turns the function entry of m, resolved in o.Mode, into an
	// executable. It honours ctx and o.Limits, and refuses what it cannot run
	// with an *UnsupportedError.
	Compile(ctx context.Context, m *graph.Module, entry string, o Options) (Executable, error)
}

// Device describes one device of a backend.
type Device struct {
	Name        string // cpu, cuda:1
	Description string // the processor's own words
	Memory      int64  // bytes; 0 where unknown
	Threads     int    // worker threads; 0 where it does not apply
}

// Support says how a backend runs an op or composite.
type Support uint8

const (
	// Refused ops fail at compile, by name.
	Refused Support = iota
	// Inlined composites run as the primitives of their body.
	Inlined
	// Native ops and composites have a kernel of their own.
	Native
)

// String returns refused, inlined or native.
func (s Support) String() string { return [...]string{"refused", "inlined", "native"}[s] }

// UnsupportedError reports an op that a backend does not run.
type UnsupportedError struct {
	Backend string
	Op      string // the op with its types
	Reason  string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("the backend %q does not run %s: %s; choose another with --backend", e.Backend, e.Op, e.Reason)
}

// LimitError reports a graph that exceeds what the options allow.
type LimitError struct {
	What       string // nodes, arena bytes, operations
	Got, Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the graph needs %d %s, the limit is %d; raise the limit or make the model or batch smaller", e.Got, e.What, e.Limit)
}

// Limits bound what a graph may ask for; zero fields mean no bound beyond what
// integers can count.
type Limits struct {
	Nodes      int64 // after calls are expanded
	ArenaBytes int64 // intermediate values
	FLOPs      int64 // floating-point operations of one run
}

// Options steer a compilation. All but Opaque is data.
type Options struct {
	// Mode resolves the entry and its calls.
	Mode graph.Mode
	// Frozen lists scopes whose calls resolve in Infer mode, with all below them.
	Frozen []string
	// Symbols gives every dimension symbol its value.
	Symbols map[string]int64
	// Donate says, for every result of the entry, which parameter it replaces:
	// the result is written into that parameter's handle and the next step
	// reads it. -1 or a short list: the result has a handle of its own.
	Donate []int
	// Selection is a kernel selection to reproduce, as Executable.Selection
	// gave it; nil lets the backend choose.
	Selection map[string]string
	Limits    Limits
	// Memory bounds the bytes of parameters and intermediate values together;
	// 0 is no bound. Where they would take more, a backend computes values again
	// instead of keeping them, which changes no bit of any result, and refuses
	// with a *LimitError that names the least possible where that is not enough.
	Memory int64
	// Opaque runs the opaque calls of the graph; nil refuses graphs with any.
	Opaque OpaqueCaller
	// Profile makes sessions measure each op (Session.Profile).
	Profile bool
}

// OpaqueCaller runs components that compute outside the graph. in and out are
// host views, valid during the call alone.
type OpaqueCaller interface {
	Call(ctx context.Context, attrs *graph.OpaqueAttrs, in, out []View) error
}

// View is a tensor in host memory: row-major, little-endian.
type View struct {
	DType graph.DType
	Shape []int64
	Data  []byte
}

// Handle names a device value of a pool. The zero Handle names none.
type Handle uint64

// Pool holds the device values that executables share: parameters and data
// stay in it across executables, epochs and phases. Its methods may be called
// from several goroutines, but not on a handle that a running session uses.
type Pool interface {
	// New allocates a zeroed value.
	New(dtype graph.DType, shape []int64) (Handle, error)
	// Register wraps host memory without copying where the device can read it,
	// else copies it; the caller must not change it while the handle lives.
	Register(v View) (Handle, error)
	// Write replaces the value's bytes; Read copies them out.
	Write(h Handle, data []byte) error
	Read(h Handle, data []byte) error
	// Info returns the value's type and extents.
	Info(h Handle) (graph.DType, []int64, error)
	// Free gives the value back.
	Free(h Handle) error
	// Snapshot copies several values at one moment between steps.
	Snapshot(ctx context.Context, hs []Handle) ([][]byte, error)
	// Close frees everything.
	Close() error
}

// Executable is a compiled function: immutable, shared by any number of sessions.
type Executable interface {
	// Params and Results are the entry's signature with concrete shapes.
	Params() []View // Data is nil
	Results() []View
	// Plan describes memory and cost.
	Plan() Plan
	// Selection records the choices that decide bits: kernel variants and tiles.
	Selection() map[string]string
	// NewSession makes a runner over the values of pool.
	NewSession(pool Pool) (Session, error)
}

// Session runs an executable. It owns its arena; one goroutine at a time.
type Session interface {
	// Run executes the function steps times over the bindings. Between steps
	// it honours ctx and returns the number of steps completed. Donated
	// results feed the next step. The bindings may be changed between calls.
	Run(ctx context.Context, b *Bindings, steps int) (int, error)
	// Profile returns the time by op since the session began; nil without
	// Options.Profile.
	Profile() []OpTime
	Close() error
}

// Bindings name the values of one run, in the order of the signature. The
// handle of a donated result is ignored.
type Bindings struct {
	Params  []Handle
	Results []Handle
}

// OpTime is the time one node of the plan took.
type OpTime struct {
	Name  string // op or fused group
	Scope string // path of the layer it came from, "" for none
	Nanos int64
	Calls int64
	FLOPs int64 // of one call
	Bytes int64 // of one call
}

// Plan describes an executable: what it needs and what it does. It is data.
type Plan struct {
	ArenaBytes int64
	ParamBytes int64
	FLOPs      int64
	Ops        []PlanOp
	// Passes says what was done to the graph, in order.
	Passes []PassReport
	// Digest identifies the plan: equal digests run the same kernels on the
	// same layout.
	Digest string
}

// PassReport says what one pass of a compilation did; nothing where it found
// nothing to do.
type PassReport struct {
	Name string
	Did  []Count
}

// Count is a number of things of one kind.
type Count struct {
	What string
	N    int64
}

// PlanOp is one node of a plan.
type PlanOp struct {
	Name   string
	Scope  string
	Types  []string // operands -> results
	FLOPs  int64
	Bytes  int64
	Native bool
}
