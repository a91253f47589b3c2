package train

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Arrays are the examples of one part of the data: the fields that the program
// reads, each with the examples on its leading axis. They are resident in host
// memory, or staged: read in batches from a Source.
type Arrays struct {
	Examples int64
	Fields   map[string]kernels.View // by DataField.Name, targets as target:NAME; of a staged part types and shapes alone
	Weights  []float32               // one an example; nil weighs all alike
	// Source gives the examples of a staged part, Weighted says that it gives
	// weights as well.
	Source   Source
	Weighted bool
}

// Config says how a Trainer runs.
type Config struct {
	Backend kernels.Backend
	// Reference computes initial values: one portable path, so that a seed means
	// the same weights on every machine.
	Reference kernels.Backend
	Device    string
	Seed      uint64
	BatchSize int64
	// TotalSteps is what schedules see as the length of the run.
	TotalSteps int64
	NoShuffle  bool
	Step       StepConfig // Examples and Fields are filled in
	Selection  map[string]string
	Limits     kernels.Limits
	// Memory bounds the bytes that a step takes; see kernels.Options.
	Memory  int64
	Profile bool
	// Permutation returns the order of an epoch's examples.
	Permutation func(seed uint64, epoch, n int) []int64
	// ExactBytes bounds the scores, targets and weights of an evaluation that are
	// kept for metrics which are exact over a whole set alone; beyond, such a
	// metric is what its accumulators tell. 0 is DefaultExactBytes.
	ExactBytes int64
}

// Trainer owns the values of a run and steps through epochs.
type Trainer struct {
	p     *Program
	whole *Program // as it was before any phase
	cfg   Config
	pool  kernels.Pool
	vals  *values

	fields  []DataField
	data    *Arrays
	order   []int64 // of the epoch's examples, where they are staged
	execs   map[string]*compiled
	metrics *compiled
}

type compiled struct {
	fn      *graph.Func
	donate  []int
	exec    kernels.Executable
	session kernels.Session
	batch   int64
	what    string // it is, for people
	order   int    // of compilation
}

// New opens the device and places the run's values: parameters and states by
// their initializers, slots by the optimizer's.
func New(ctx context.Context, p *Program, cfg Config) (*Trainer, error) {
	pool, err := cfg.Backend.NewPool(cfg.Device)
	if err != nil {
		return nil, err
	}
	t := &Trainer{p: p, cfg: cfg, pool: pool, vals: newValues(pool), execs: map[string]*compiled{}}
	if err := t.initialize(ctx); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close frees the device's memory.
func (t *Trainer) Close() error {
	for _, c := range t.execs {
		c.session.Close()
	}
	if t.metrics != nil {
		t.metrics.session.Close()
	}
	return t.pool.Close()
}

// initialize gives every parameter, state and slot its first value.
func (t *Trainer) initialize(ctx context.Context) error {
	params := t.p.Params()
	for _, q := range params {
		if q.Decl != nil && q.Decl.Alias != "" {
			continue
		}
		v, err := t.first(ctx, q)
		if err != nil {
			return err
		}
		if err := t.vals.put(q.Role, q.Name, v); err != nil {
			return err
		}
	}
	for _, q := range params {
		if name := storage(q); name != q.Name && !t.vals.has(q.Role, name) {
			return fmt.Errorf("%s %q shares the values of %q, which does not exist", q.Role, q.Name, name)
		}
	}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		f, err := t.p.model(mode)
		if err != nil {
			return err
		}
		for _, q := range f.Params {
			switch {
			case q.Role == graph.KeyRole:
				path, ordinal := splitKey(q.Name)
				err = t.vals.put(q.Role, q.Name, u64(graph.DeriveKey(t.cfg.Seed, path, ordinal)))
			case q.Role == graph.HyperRole:
				v := 0.0
				if q.Decl != nil {
					v = q.Decl.Default
				}
				err = t.vals.put(q.Role, q.Name, graph.ScalarOf(graph.F32, v))
			}
			if err != nil {
				return err
			}
		}
	}
	if t.p.Optimizer == nil {
		return nil
	}
	if err := t.initOptimizer(ctx); err != nil {
		return err
	}
	for _, s := range []struct {
		role graph.Role
		name string
		t    *graph.Tensor
	}{
		{graph.StateRole, cursorName, graph.Int64s([]int64{0})},
		{graph.StateRole, stepName, u64(0)},
		{graph.StateRole, rateName, graph.ScalarOf(graph.F32, 0)},
		{graph.StateRole, lastName, graph.ScalarOf(graph.F32, 0)},
		{graph.Input, epochName, u64(0)},
		{graph.Input, totalName, u64(uint64(t.cfg.TotalSteps))},
		{graph.Input, startName, u64(0)},
		{graph.StateRole, updateName, u64(0)},
		{graph.Input, monitorName, graph.ScalarOf(graph.F32, math.NaN())},
	} {
		if s.t.DType == graph.I64 {
			s.t.Shape = nil
		}
		if err := t.vals.put(s.role, s.name, s.t); err != nil {
			return err
		}
	}
	return nil
}

// initOptimizer places slots, runtime scalars and the schedule's state.
func (t *Trainer) initOptimizer(ctx context.Context) error {
	for _, q := range t.p.Params() {
		if q.Role != graph.ParamRole || !t.p.trains(q, StepConfig{}) || t.p.Optimizer.Update[q.Name] == "" {
			continue
		}
		if err := t.initSlots(ctx, q); err != nil {
			return err
		}
	}
	if err := t.optimizerHypers(); err != nil {
		return err
	}
	if s := t.p.Schedule; s != nil {
		if err := t.hypers(s.Func, "schedule:"); err != nil {
			return err
		}
		for _, q := range t.p.Module.Resolve(s.Func, graph.Any).Params {
			if q.Role != graph.StateRole {
				continue
			}
			v, err := t.first(ctx, q)
			if err != nil {
				return err
			}
			if err := t.vals.put(graph.StateRole, "schedule:"+q.Name, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// SetPhase changes what the steps from here on do: which parameters they move,
// and where not nil the optimizer, whose slots start anew, and the schedule,
// which sees total updates and begins at updates. Executables that stay the
// same are not compiled again.
func (t *Trainer) SetPhase(ctx context.Context, cfg StepConfig, ph Phase, updates, total uint64, fresh bool) error {
	t.cfg.Step = cfg
	if t.whole == nil {
		t.whole = t.p
	}
	p := t.whole.InPhase(ph)
	changed := p.Optimizer != t.p.Optimizer || p.Schedule != t.p.Schedule && p.Schedule != nil
	t.p = p
	if changed && fresh || p.Optimizer != t.whole.Optimizer && !fresh {
		if err := t.initOptimizer(ctx); err != nil {
			return err
		}
	}
	if err := t.vals.put(graph.Input, startName, u64(updates)); err != nil {
		return err
	}
	return t.vals.put(graph.Input, totalName, u64(total))
}

// SetBatchSize changes the examples of a step.
func (t *Trainer) SetBatchSize(n int64) { t.cfg.BatchSize = n }

// first computes the first value of a parameter or state by its initializer.
func (t *Trainer) first(ctx context.Context, q graph.Param) (*graph.Tensor, error) {
	if q.Decl == nil || q.Decl.Initializer == "" {
		return nil, fmt.Errorf("%s %q has no initializer", q.Role, q.Name)
	}
	v, err := t.evaluate(ctx, q.Decl.Initializer, func(p graph.Param) (*graph.Tensor, error) {
		switch p.Role {
		case graph.KeyRole:
			_, ordinal := splitKey(p.Name)
			return u64(graph.DeriveKey(t.cfg.Seed, q.Name, ordinal)), nil
		case graph.HyperRole:
			return graph.ScalarOf(graph.F32, p.Decl.Default), nil
		case graph.StepRole:
			return u64(0), nil
		}
		return nil, fmt.Errorf("the initializer %q takes %s %q", q.Decl.Initializer, p.Role, p.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("initial value of %q: %w", q.Name, err)
	}
	if len(v) != 1 || !v[0].Type().Equal(q.Type) {
		return nil, fmt.Errorf("the initializer of %q does not make %v", q.Name, q.Type)
	}
	return v[0], nil
}

// hypers places the runtime scalars of a function at their configured values.
func (t *Trainer) hypers(fn, prefix string) error {
	list, err := hypersOf(t.p.Module, fn)
	if err != nil {
		return err
	}
	for _, h := range list {
		if err := t.SetHyper(prefix+h.name, h.value); err != nil {
			return err
		}
	}
	return nil
}

// optimizerHypers places those of the optimizer.
func (t *Trainer) optimizerHypers() error {
	values, err := t.p.Optimizer.hypers(t.p.Module)
	if err != nil {
		return err
	}
	for name, v := range values {
		if err := t.SetHyper(name, v); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trainer) initSlots(ctx context.Context, q graph.Param) error {
	init := t.p.Optimizer.Init[q.Name]
	if init != "" {
		f := t.p.Module.Resolve(init, graph.Any)
		if f == nil {
			return fmt.Errorf("the module has no function %q", init)
		}
		v, err := t.evaluate(ctx, init, func(graph.Param) (*graph.Tensor, error) { return t.vals.get(graph.ParamRole, q.Name) })
		if err != nil {
			return fmt.Errorf("optimizer slots of %q: %w", q.Name, err)
		}
		for i, r := range f.Results {
			if err := t.vals.put(graph.SlotRole, SlotName(q.Name, r.Name), v[i]); err != nil {
				return err
			}
		}
	}
	if m, err := t.vals.get(graph.Input, MaskName(q.Name)); err == nil {
		if err := t.SetMask(q.Name, m); err != nil {
			return err
		}
	}
	if t.cfg.Step.Accumulate > 1 {
		shape, _ := q.Type.Shape.Const()
		if err := t.vals.put(graph.SlotRole, SlotName(q.Name, GradientSlot), graph.NewTensor(q.Type.DType, shape...)); err != nil {
			return err
		}
	}
	if t.p.EMA > 0 && !t.vals.has(graph.SlotRole, SlotName(q.Name, EMASlot)) {
		v, err := t.vals.get(graph.ParamRole, q.Name)
		if err != nil {
			return err
		}
		return t.vals.put(graph.SlotRole, SlotName(q.Name, EMASlot), v)
	}
	return nil
}

// initState puts the results of a function without parameters as states.
func (t *Trainer) initState(ctx context.Context, fn string, name func(string) string) error {
	f := t.p.Module.Resolve(fn, graph.Any)
	if f == nil {
		return fmt.Errorf("the module has no function %q", fn)
	}
	v, err := t.evaluate(ctx, fn, func(q graph.Param) (*graph.Tensor, error) {
		return nil, fmt.Errorf("%q takes %s %q", fn, q.Role, q.Name)
	})
	if err != nil {
		return err
	}
	for i, r := range f.Results {
		if err := t.vals.put(graph.StateRole, name(r.Name), v[i]); err != nil {
			return err
		}
	}
	return nil
}

// evaluate runs a function once on the reference backend.
func (t *Trainer) evaluate(ctx context.Context, fn string, arg func(graph.Param) (*graph.Tensor, error)) ([]*graph.Tensor, error) {
	return Evaluate(ctx, t.cfg.Reference, t.p.Module, fn, graph.Any, nil, arg)
}

// Evaluate runs a function once on a backend, with its arguments from host memory.
func Evaluate(ctx context.Context, be kernels.Backend, m *graph.Module, fn string, mode graph.Mode, symbols map[string]int64, arg func(graph.Param) (*graph.Tensor, error)) ([]*graph.Tensor, error) {
	f := m.Resolve(fn, mode)
	if f == nil {
		return nil, fmt.Errorf("the module has no function %q for mode %v", fn, mode)
	}
	exec, err := be.Compile(ctx, m, fn, kernels.Options{Mode: mode, Symbols: symbols})
	if err != nil {
		return nil, err
	}
	pool, err := be.NewPool("")
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	session, err := exec.NewSession(pool)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	b := &kernels.Bindings{}
	for _, q := range f.Params {
		v, err := arg(q)
		if err != nil {
			return nil, err
		}
		h, err := pool.Register(kernels.View{DType: v.DType, Shape: v.Shape, Data: v.Data})
		if err != nil {
			return nil, err
		}
		b.Params = append(b.Params, h)
	}
	for _, r := range exec.Results() {
		h, err := pool.New(r.DType, r.Shape)
		if err != nil {
			return nil, err
		}
		b.Results = append(b.Results, h)
	}
	if _, err := session.Run(ctx, b, 1); err != nil {
		return nil, err
	}
	out := make([]*graph.Tensor, len(b.Results))
	for i, r := range exec.Results() {
		out[i] = graph.NewTensor(r.DType, r.Shape...)
		if err := pool.Read(b.Results[i], out[i].Data); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// splitKey returns the path and ordinal of a key's name PATH#ORDINAL.
func splitKey(name string) (string, int) {
	i := strings.LastIndexByte(name, '#')
	if i < 0 {
		return name, 0
	}
	n, err := strconv.Atoi(name[i+1:])
	if err != nil {
		return name, 0
	}
	return name[:i], n
}

func u64(v uint64) *graph.Tensor {
	t := graph.NewTensor(graph.U64)
	t.SetInt(0, int64(v))
	return t
}

// SetHyper changes a runtime scalar between steps.
func (t *Trainer) SetHyper(name string, v float64) error {
	return t.vals.put(graph.HyperRole, name, graph.ScalarOf(graph.F32, v))
}

// SetMonitored tells schedules the monitored number of the last epoch.
func (t *Trainer) SetMonitored(v float64) error {
	return t.vals.put(graph.Input, monitorName, graph.ScalarOf(graph.F32, v))
}

// SetData places the training examples. It may be called once.
func (t *Trainer) SetData(a *Arrays) error {
	fields, err := t.place("data:", weightName, a)
	if err != nil {
		return err
	}
	t.fields, t.data = fields, a
	return nil
}

// ReplaceData replaces the training examples by as many others of the same types.
func (t *Trainer) ReplaceData(a *Arrays) error {
	if a.Examples != t.data.Examples {
		return fmt.Errorf("%d examples take the place of %d", a.Examples, t.data.Examples)
	}
	if a.Source != nil {
		return fmt.Errorf("staged examples cannot be replaced")
	}
	if _, err := t.place("data:", weightName, a); err != nil {
		return err
	}
	t.data = a
	return nil
}

// place registers a part's arrays under a prefix and returns its fields.
func (t *Trainer) place(prefix, weights string, a *Arrays) ([]DataField, error) {
	fields, err := t.p.Fields(a)
	if err != nil || a.Source != nil {
		return fields, err
	}
	for _, f := range fields {
		if err := t.vals.register(graph.Input, prefix+f.key(), a.Fields[f.key()]); err != nil {
			return nil, err
		}
	}
	if a.Weights != nil {
		w := graph.Float32s(a.Weights, int64(len(a.Weights)))
		if err := t.vals.register(graph.Input, weights, kernels.View{DType: w.DType, Shape: w.Shape, Data: w.Data}); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// Fields returns the arrays that the program reads of a, inputs first, in their
// types with a symbolic leading extent.
func (p *Program) Fields(a *Arrays) ([]DataField, error) {
	var out []DataField
	add := func(name string, input bool, want *graph.Type) error {
		full := name
		if !input {
			full = "target:" + name
		}
		v, ok := a.Fields[full]
		if !ok {
			return fmt.Errorf("the data has no array for %q", full)
		}
		if len(v.Shape) == 0 || v.Shape[0] != a.Examples {
			return fmt.Errorf("the array %q is %v%v, not %d examples", full, v.DType, v.Shape, a.Examples)
		}
		t := graph.Type{DType: v.DType, Shape: append(graph.Shape{graph.Batch}, graph.ShapeOf(v.Shape[1:]...)...)}
		if want != nil && !t.Equal(*want) {
			return fmt.Errorf("the input %q takes %v, the data gives %v", name, *want, t)
		}
		out = append(out, DataField{Name: name, Type: t, Input: input})
		return nil
	}
	for _, q := range p.Inputs() {
		if err := add(q.Name, true, &q.Type); err != nil {
			return nil, err
		}
	}
	for _, target := range p.Targets() {
		if err := add(target, false, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Targets returns the names of the targets that losses and metrics read.
func (p *Program) Targets() []string {
	var out []string
	for _, l := range p.Losses {
		if !slices.Contains(out, l.Target) {
			out = append(out, l.Target)
		}
	}
	for _, m := range p.Metrics {
		if !slices.Contains(out, m.Target) {
			out = append(out, m.Target)
		}
	}
	return out
}

// compile builds, compiles and keeps the executable of one kind, whose name says
// all that it depends on, and batch size; what is for messages.
func (t *Trainer) compile(ctx context.Context, what, name string, batch int64, build func() (*Built, error)) (*compiled, error) {
	k := name + "/" + strconv.FormatInt(batch, 10)
	if c, ok := t.execs[k]; ok {
		return c, nil
	}
	built, err := build()
	if err != nil {
		return nil, err
	}
	exec, err := t.executable(ctx, what, built, batch)
	if err != nil {
		return nil, err
	}
	session, err := exec.NewSession(t.pool)
	if err != nil {
		return nil, err
	}
	c := &compiled{fn: built.Module.Func(built.Entry, graph.Any), donate: built.Donate, exec: exec, session: session, batch: batch, what: what, order: len(t.execs)}
	t.execs[k] = c
	return c, nil
}

func (t *Trainer) executable(ctx context.Context, what string, built *Built, batch int64) (kernels.Executable, error) {
	exec, err := t.cfg.Backend.Compile(ctx, built.Module, built.Entry, kernels.Options{
		Mode: graph.Any, Symbols: map[string]int64{graph.BatchSymbol: batch}, Donate: built.Donate,
		Selection: t.cfg.Selection, Limits: t.cfg.Limits, Memory: t.cfg.Memory, Profile: t.cfg.Profile,
	})
	if err != nil {
		return nil, fmt.Errorf("compiling the %s for a batch of %d: %w", what, batch, err)
	}
	return exec, nil
}

// Position is where a run stands.
type Position struct {
	Epoch  int    // epochs completed
	Cursor int64  // examples of the current epoch done
	Step   uint64 // batches done
}

// Sums are what an epoch, or the part of it that is done, amounts to.
type Sums struct {
	Loss     float64            // mean over the examples
	Losses   map[string]float64 // by loss, where there are several
	Metrics  map[string]float64
	Examples float64
	Rate     float64 // learning rate of the last step
	Last     float64 // loss of the last step
	// Approximate names the metrics that would be exact over a whole set, which
	// was too large.
	Approximate []string
}

// Compile prepares the steps of an epoch and returns the plan of the full batch.
func (t *Trainer) Compile(ctx context.Context) (kernels.Plan, error) {
	full, rest, err := t.steps(ctx)
	if err != nil {
		return kernels.Plan{}, err
	}
	if full == nil {
		full = rest
	}
	return full.exec.Plan(), nil
}

// Selection returns the kernel selection of the compiled steps.
func (t *Trainer) Selection() map[string]string {
	out := map[string]string{}
	for _, c := range t.execs {
		for k, v := range c.exec.Selection() {
			out[k] = v
		}
	}
	return out
}

func (t *Trainer) steps(ctx context.Context) (full, rest *compiled, err error) {
	cfg := t.cfg.Step
	cfg.Masked = t.masked()
	cfg.Examples, cfg.Fields, cfg.Weighted = t.data.resident(), t.fields, t.data.weighted()
	var built *Built
	build := func() (*Built, error) {
		if built == nil {
			var err error
			if built, err = BuildStep(ctx, t.p, cfg); err != nil {
				return nil, err
			}
		}
		return built, nil
	}
	name := fmt.Sprintf("step %v %v %v %p %p", cfg.Frozen, slices.Sorted(mapsKeys(cfg.FrozenParams)), slices.Sorted(mapsKeys(cfg.Masked)), t.p.Optimizer, t.p.Schedule)
	n, b := t.data.Examples, t.cfg.BatchSize
	if n >= b {
		if full, err = t.compile(ctx, "step", name, b, build); err != nil {
			return nil, nil, err
		}
	}
	if r := n % b; r > 0 {
		if rest, err = t.compile(ctx, "step", name, r, build); err != nil {
			return nil, nil, err
		}
	}
	return full, rest, nil
}

// BeginEpoch sets the order of the epoch's examples and, where it starts at its
// first example, clears the sums.
func (t *Trainer) BeginEpoch(ctx context.Context, pos Position) error {
	n := int(t.data.Examples)
	var perm []int64
	if t.cfg.NoShuffle {
		perm = make([]int64, n)
		for i := range perm {
			perm[i] = int64(i)
		}
	} else {
		perm = t.cfg.Permutation(t.cfg.Seed, pos.Epoch, n)
	}
	if t.data.Source != nil {
		t.order = perm
	} else if err := t.vals.put(graph.Input, permName, graph.Int64s(perm, int64(n))); err != nil {
		return err
	}
	if err := t.vals.put(graph.Input, epochName, u64(uint64(pos.Epoch))); err != nil {
		return err
	}
	if err := t.vals.put(graph.StateRole, cursorName, scalarI64(pos.Cursor)); err != nil {
		return err
	}
	if pos.Cursor > 0 {
		return nil
	}
	return t.clearSums(ctx)
}

func scalarI64(v int64) *graph.Tensor {
	t := graph.NewTensor(graph.I64)
	t.SetInt(0, v)
	return t
}

func (t *Trainer) clearSums(ctx context.Context) error {
	names := []string{lossSumName, countName}
	if len(t.p.Losses) > 1 {
		for _, l := range t.p.Losses {
			names = append(names, lossSumName+":"+l.Name)
		}
	}
	for _, n := range names {
		if err := t.vals.put(graph.StateRole, n, graph.ScalarOf(graph.F64, 0)); err != nil {
			return err
		}
	}
	for _, m := range t.p.Metrics {
		if err := t.initState(ctx, m.Init, func(n string) string { return MetricState(m.Name, n) }); err != nil {
			return fmt.Errorf("metric %q: %w", m.Name, err)
		}
	}
	return nil
}

// chunk is how long the steps of one call to the backend should take: short
// enough for progress and interruption, long enough to cost nothing.
const chunk = 50 * time.Millisecond

// RunEpoch trains on the rest of the epoch from pos on. progress is called
// between chunks with the position reached, and after step number at where that
// is not 0; an error of it, or of ctx, stops the run between two steps. The
// position reached is returned in any case.
func (t *Trainer) RunEpoch(ctx context.Context, pos Position, at uint64, progress func(Position) error) (Position, error) {
	full, rest, err := t.steps(ctx)
	if err != nil {
		return pos, err
	}
	if t.data.Source != nil {
		return t.runStaged(ctx, full, rest, pos, progress)
	}
	n, b := t.data.Examples, t.cfg.BatchSize
	steps := 1
	for full != nil && pos.Cursor+b <= n {
		left := int((n - pos.Cursor) / b)
		if at > pos.Step {
			left = min(left, int(at-pos.Step))
		}
		start := time.Now()
		done, err := t.run(ctx, full, min(steps, left))
		pos.Cursor += int64(done) * b
		pos.Step += uint64(done)
		if err != nil {
			return pos, err
		}
		if err := progress(pos); err != nil {
			return pos, err
		}
		if took := time.Since(start); took < chunk {
			steps = min(2*steps, 1<<16)
		} else if took > 2*chunk {
			steps = max(steps/2, 1)
		}
	}
	if rest != nil && pos.Cursor < n {
		done, err := t.run(ctx, rest, 1)
		pos.Cursor += int64(done) * rest.batch
		pos.Step += uint64(done)
		if err != nil {
			return pos, err
		}
		if err := progress(pos); err != nil {
			return pos, err
		}
	}
	return pos, nil
}

// RunStep trains on one batch from pos on.
func (t *Trainer) RunStep(ctx context.Context, pos Position) (Position, error) {
	full, rest, err := t.steps(ctx)
	if err != nil {
		return pos, err
	}
	c := full
	if c == nil || pos.Cursor+c.batch > t.data.Examples {
		c = rest
	}
	if c == nil || pos.Cursor >= t.data.Examples {
		return pos, fmt.Errorf("the epoch is over")
	}
	if t.data.Source != nil {
		over := errors.New("one step")
		now, err := t.runStaged(ctx, full, rest, pos, func(Position) error { return over })
		if errors.Is(err, over) {
			err = nil
		}
		return now, err
	}
	done, err := t.run(ctx, c, 1)
	pos.Cursor += int64(done) * c.batch
	pos.Step += uint64(done)
	return pos, err
}

func (t *Trainer) run(ctx context.Context, c *compiled, steps int) (int, error) {
	rename, err := t.vals.index(c.batch)
	if err != nil {
		return 0, err
	}
	b, err := t.vals.bind(c.fn, c.donate, rename)
	if err != nil {
		return 0, err
	}
	return c.session.Run(ctx, b, steps)
}

// Sums reads the sums of the current epoch.
func (t *Trainer) Sums(ctx context.Context) (Sums, error) { return t.sums(ctx, nil) }

// sums reads the sums, but for metrics that are not counted.
func (t *Trainer) sums(ctx context.Context, without map[string]bool) (Sums, error) {
	s := Sums{}
	read := func(name string, to *float64) error {
		v, err := t.vals.get(graph.StateRole, name)
		if err != nil {
			return err
		}
		*to = v.Float(0)
		return nil
	}
	var loss float64
	if err := read(countName, &s.Examples); err != nil {
		return s, err
	}
	if len(t.p.Losses) > 0 {
		if err := read(lossSumName, &loss); err != nil {
			return s, err
		}
		s.Loss = loss / s.Examples
	}
	if len(t.p.Losses) > 1 {
		s.Losses = map[string]float64{}
		for _, l := range t.p.Losses {
			if err := read(lossSumName+":"+l.Name, &loss); err != nil {
				return s, err
			}
			s.Losses[l.Name] = loss / s.Examples
		}
	}
	if t.vals.has(graph.StateRole, rateName) {
		if err := read(rateName, &s.Rate); err != nil {
			return s, err
		}
		if err := read(lastName, &s.Last); err != nil {
			return s, err
		}
	}
	s.Metrics = map[string]float64{}
	for _, m := range t.p.Metrics {
		if without[m.Name] {
			continue
		}
		v, err := t.evaluate(ctx, m.Result, func(q graph.Param) (*graph.Tensor, error) {
			return t.vals.get(graph.StateRole, MetricState(m.Name, q.Name))
		})
		if err != nil {
			return s, fmt.Errorf("metric %q: %w", m.Name, err)
		}
		s.Metrics[m.Name] = v[0].Float(0)
	}
	return s, nil
}

// LastLoss reads the loss of the last step.
func (t *Trainer) LastLoss() (float64, error) {
	v, err := t.vals.get(graph.StateRole, lastName)
	if err != nil {
		return 0, err
	}
	return v.Float(0), nil
}

// Snapshot copies everything that a checkpoint must hold.
func (t *Trainer) Snapshot(ctx context.Context) ([]Value, error) { return t.vals.snapshot(ctx) }

// Restore puts back values of a snapshot. Values the run does not know are an
// error; those that it has and the snapshot lacks keep their first value. A
// snapshot without a count of updates comes from a hone that counted them only
// where several batches made one: there every step was an update.
func (t *Trainer) Restore(vals []Value) error {
	var steps *graph.Tensor
	counted := false
	for _, v := range vals {
		if err := t.vals.put(v.Role, v.Name, v.Tensor); err != nil {
			return err
		}
		if v.Role == graph.StateRole {
			counted = counted || v.Name == updateName
			if v.Name == stepName {
				steps = v.Tensor
			}
		}
	}
	if counted || steps == nil {
		return nil
	}
	return t.vals.put(graph.StateRole, updateName, steps)
}

// StepTimes is the time by op of all steps of one kind and number of examples.
type StepTimes struct {
	What  string // step, evaluation or parameters of evaluation
	Batch int64
	Ops   []kernels.OpTime
}

// Profile returns the time of all steps and evaluations so far, in the order in
// which they were compiled.
func (t *Trainer) Profile() []StepTimes {
	var out []StepTimes
	for _, c := range slices.SortedFunc(maps.Values(t.execs), func(a, b *compiled) int { return a.order - b.order }) {
		if p := c.session.Profile(); len(p) > 0 && p[0].Calls > 0 {
			out = append(out, StepTimes{c.what, c.batch, p})
		}
	}
	return out
}

func mapsKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k, on := range m {
			if on && !yield(k) {
				return
			}
		}
	}
}
