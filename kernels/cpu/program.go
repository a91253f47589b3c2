package cpu

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/conv"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/gemm"
	"github.com/hone-ml/hone/kernels/cpu/internal/asm/norm"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/kernels/passes"
	"github.com/hone-ml/hone/sdk/graph"
)

// program is a compiled function: instructions over slots. It is immutable.
type program struct {
	backend *Backend
	params  []kernels.View
	results []kernels.View
	donate  []int
	slots   []slotInfo
	arena   int64
	regs    int  // registers that the largest loop needs
	serial  bool // the first thread runs all of it
	code    []instr
	queues  int        // of groups, one for each thread
	kept    int        // bytes that a group keeps for each thread
	inner   []*program // bodies of scans
	opaque  kernels.OpaqueCaller
	profile bool
	levels  int // see rewriter
	joined  int // groups of several instructions
	packs   int // filters that are packed where they change
	keeps   int // buffers that last from one run to the next
	plan    kernels.Plan
}

func compile(ctx context.Context, b *Backend, m *graph.Module, entry string, o kernels.Options) (*program, error) {
	if o.Symbols == nil {
		o.Symbols = map[string]int64{}
	}
	flat, err := inline.Flatten(ctx, m, entry, o, keepNative(m))
	if err != nil {
		return nil, err
	}
	return lowerWithin(ctx, b, m, flat, o)
}

// lowerWithin lowers a function so that it takes at most o.Memory, with as
// little recomputation as that needs: of packed filters before all else.
func lowerWithin(ctx context.Context, b *Backend, m *graph.Module, flat *inline.Flat, o kernels.Options) (*program, error) {
	least := int64(math.MaxInt64)
	keep := true
	for level, levels := 0, 1; level <= levels; {
		p, err := lower(ctx, b, m, flat, o, level, keep)
		if err != nil {
			return nil, err
		}
		need := p.plan.ParamBytes + p.arena
		if o.Memory == 0 || need <= o.Memory {
			return p, nil
		}
		least, levels = min(least, need), max(levels, p.levels)
		if !keep || p.keeps == 0 {
			level++
		}
		keep = false
	}
	return nil, &kernels.LimitError{What: "bytes of memory though all is computed again that can be", Got: least, Limit: o.Memory}
}

func viewOf(t graph.Type) kernels.View {
	s, _ := t.Shape.Const()
	return kernels.View{DType: t.DType, Shape: s}
}

// lower turns a flat function into a program; keep lets it hold packed filters
// from one run to the next.
func lower(ctx context.Context, b *Backend, m *graph.Module, flat *inline.Flat, o kernels.Options, recompute int, keep bool) (*program, error) {
	p := &program{backend: b, opaque: o.Opaque, profile: o.Profile}
	for i, d := range o.Donate {
		if d == -1 {
			continue
		}
		if d < 0 || i >= len(flat.Results) || d >= len(flat.Params) {
			return nil, fmt.Errorf("result %d cannot be donated parameter %d", i, d)
		}
		if r, q := flat.Types[flat.Results[i].Value], flat.Params[d].Type; !r.Equal(q) {
			return nil, fmt.Errorf("result %q is %v and cannot replace the parameter %q, which is %v", flat.Results[i].Name, r, flat.Params[d].Name, q)
		}
		if slices.Index(o.Donate[:i], d) >= 0 {
			return nil, fmt.Errorf("two results replace the parameter %q", flat.Params[d].Name)
		}
	}
	p.donate = slices.Clone(o.Donate)
	r, err := rewrite(ctx, m, flat, b.early, recompute)
	if err != nil {
		return nil, err
	}
	p.levels = r.levels
	for _, q := range r.out.Params {
		p.params = append(p.params, viewOf(q.Type))
		n, err := q.Type.Bytes(nil)
		if err != nil {
			return nil, err
		}
		p.plan.ParamBytes += n
	}
	for _, q := range r.out.Results {
		p.results = append(p.results, viewOf(r.out.Types[q.Value]))
	}
	for v, t := range r.out.Types {
		if _, err := t.Bytes(nil); err != nil {
			return nil, fmt.Errorf("value %d: %w", v, err)
		}
	}
	l := &lowering{b: b, r: r, f: r.out, o: o, prog: p, keeps: keep}
	if err := l.build(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.schedule(); err != nil {
		return nil, err
	}
	l.place()
	if err := l.emit(ctx); err != nil {
		return nil, err
	}
	l.arena()
	if limit := o.Limits.ArenaBytes; limit > 0 && p.arena > limit {
		return nil, &kernels.LimitError{What: "bytes of intermediate values", Got: p.arena, Limit: limit}
	}
	p.barriers()
	p.plan.ArenaBytes = p.arena
	digest := sha256.New()
	fmt.Fprintln(digest, "cpu", b.Variant(), p.arena)
	for _, in := range p.code {
		p.plan.FLOPs += in.flops
		p.plan.Ops = append(p.plan.Ops, kernels.PlanOp{Name: in.name, Scope: in.scope, Types: in.types, FLOPs: in.flops, Bytes: in.bytes, Native: true})
		fmt.Fprintln(digest, in.name, in.types, in.flops, in.bytes)
	}
	for _, s := range p.slots {
		fmt.Fprintln(digest, s.kind, s.index, s.offset, s.bytes, s.data)
	}
	if !p.profile && p.join(l.batch) {
		p.barriers()
	}
	for i := range p.code {
		p.code[i].access = nil
	}
	p.plan.Passes = passes.Merge(r.reports, l.report()...)
	p.plan.Digest = hex.EncodeToString(digest.Sum(nil))
	if limit := o.Limits.FLOPs; limit > 0 && p.plan.FLOPs > limit {
		return nil, &kernels.LimitError{What: "floating-point operations", Got: p.plan.FLOPs, Limit: limit}
	}
	return p, nil
}

func (p *program) Params() []kernels.View  { return slices.Clone(p.params) }
func (p *program) Results() []kernels.View { return slices.Clone(p.results) }
func (p *program) Plan() kernels.Plan      { return p.plan }

// Selection records the kernel set; tiles follow from it and from the shapes.
func (p *program) Selection() map[string]string {
	return map[string]string{"cpu": p.backend.Variant()}
}

// NewSession allocates the arena.
func (p *program) NewSession(pl kernels.Pool) (kernels.Session, error) {
	q, ok := pl.(*pool)
	if !ok {
		return nil, fmt.Errorf("the cpu backend runs on its own pools, not on a %T", pl)
	}
	return &session{program: p, pool: q, x: newExecution(p)}, nil
}

// execution is the memory of a program while it runs: one address for each slot.
type execution struct {
	program *program
	arena   arena
	ptrs    []unsafe.Pointer
	threads []threadState
	queues  []queue
	inner   []*execution
	ctx     context.Context
	err     error
	nanos   []int64
	calls   int64
	// made says of the parameters that what depends on them alone is there.
	made []bool
}

type threadState struct {
	step     uint16 // number of the step, the same for all threads
	regs     []byte
	operands [maxLoopOperands]unsafe.Pointer // of the loop that runs
	group    [16]unsafe.Pointer              // and of its group
	gemm     gemm.Workspace
	product  gemm.Op
	kept     []byte // of the group that runs
	conv     conv.Workspace
	norm     norm.Workspace
	stats    [2 * statsRows]float32
	_        [lineBytes]byte
}

func newExecution(p *program) *execution {
	x := &execution{
		program: p,
		ptrs:    make([]unsafe.Pointer, len(p.slots)), threads: make([]threadState, p.backend.team.size),
		nanos: make([]int64, len(p.code)), made: make([]bool, len(p.params)), queues: make([]queue, p.queues),
	}
	x.arena = newArena(x, max(p.arena, 1))
	for i, s := range p.slots {
		switch s.kind {
		case arenaSlot:
			x.ptrs[i] = unsafe.Pointer(&x.arena.data[s.offset])
		case constSlot:
			x.ptrs[i] = unsafe.Pointer(&s.data[0])
		}
	}
	for i := range x.threads {
		x.threads[i].regs = alignedBytes(int64(max(p.regs, 1)) * block * 8)
		x.threads[i].kept = alignedBytes(int64(p.kept))
	}
	for _, q := range p.inner {
		x.inner = append(x.inner, newExecution(q))
	}
	return x
}

// release gives back the memory of an execution that will not run again.
func (x *execution) release() {
	clear(x.ptrs)
	x.arena.release()
	for _, y := range x.inner {
		y.release()
	}
}

func (x *execution) ptr(s slot) unsafe.Pointer { return x.ptrs[s] }

func (x *execution) registers(tid int) unsafe.Pointer { return unsafe.Pointer(&x.threads[tid].regs[0]) }

// step runs the program once on the calling threads.
func (x *execution) step(tid, threads int) {
	p := x.program
	if p.profile {
		x.measured(tid, threads)
		return
	}
	team := p.backend.team
	if threads > 1 {
		x.threads[tid].step++
	}
	for i := range p.code {
		in := &p.code[i]
		if in.meet {
			team.barrier(threads)
		}
		if in.fixed > 0 && x.made[in.fixed-1] {
			continue
		}
		if !in.first {
			in.run(x, tid, threads)
		} else if tid == 0 {
			in.run(x, 0, 1)
		}
	}
	team.barrier(threads)
}

// align gives all threads the step number of the first, which takes part in
// every run.
func (x *execution) align() {
	for i := range x.threads {
		x.threads[i].step = x.threads[0].step
	}
	for _, y := range x.inner {
		y.align()
	}
}

// measured is step with the time of each instruction. Threads meet after each that
// they share, and before it where the first one has been busy alone: what they wait
// for there is no part of it.
func (x *execution) measured(tid, threads int) {
	p, team := x.program, x.program.backend.team
	if threads > 1 {
		x.threads[tid].step++
	}
	alone := false
	for i := range p.code {
		in := &p.code[i]
		if in.fixed > 0 && x.made[in.fixed-1] {
			continue
		}
		if in.first {
			if alone = true; tid != 0 {
				continue
			}
			start := time.Now()
			in.run(x, 0, 1)
			x.nanos[i] += int64(time.Since(start))
			continue
		}
		if alone {
			team.barrier(threads)
			alone = false
		}
		start := time.Now()
		in.run(x, tid, threads)
		team.barrier(threads)
		if tid == 0 {
			x.nanos[i] += int64(time.Since(start))
		}
	}
	if tid == 0 {
		x.calls++
	}
	team.barrier(threads)
}

type session struct {
	program *program
	pool    *pool
	x       *execution
	bound   kernels.Bindings
	closed  bool
	values  []*value // keeps bound memory alive
	params  []*value
	written []*value // by the program
	seen    []uint64 // versions of params for which x.made holds
	steps   int      // of the present call of part
	pace    pace
}

// part runs one thread's part of some steps.
func (s *session) part(tid, threads int) {
	for range s.steps {
		s.x.step(tid, threads)
	}
}

func sameHandles(a, b *kernels.Bindings) bool {
	return slices.Equal(a.Params, b.Params) && slices.Equal(a.Results, b.Results)
}

// bind points the parameter and result slots at the values.
func (s *session) bind(b *kernels.Bindings) error {
	p := s.program
	if len(b.Params) != len(p.params) || len(b.Results) != len(p.results) {
		return fmt.Errorf("the program takes %d parameters and gives %d results, bound are %d and %d", len(p.params), len(p.results), len(b.Params), len(b.Results))
	}
	s.values = s.values[:0]
	check := func(h kernels.Handle, want kernels.View, what string, i int) (*value, error) {
		v, err := s.pool.get(h)
		if err != nil {
			return nil, fmt.Errorf("%s %d: %w", what, i, err)
		}
		if v.dtype != want.DType || !slices.Equal(v.shape, want.Shape) {
			return nil, fmt.Errorf("%s %d is %v%v, bound is %v%v", what, i, want.DType, want.Shape, v.dtype, v.shape)
		}
		s.values = append(s.values, v)
		return v, nil
	}
	params := make([]*value, len(p.params))
	for i, h := range b.Params {
		v, err := check(h, p.params[i], "parameter", i)
		if err != nil {
			return err
		}
		params[i] = v
	}
	results := make([]*value, len(p.results))
	for i, h := range b.Results {
		if i < len(p.donate) && p.donate[i] >= 0 {
			continue
		}
		v, err := check(h, p.results[i], "result", i)
		if err != nil {
			return err
		}
		results[i] = v
	}
	written := map[*value]bool{}
	for i, v := range results {
		d := v
		if i < len(p.donate) && p.donate[i] >= 0 {
			d = params[p.donate[i]]
		}
		if written[d] {
			return fmt.Errorf("result %d is written to the same value as another result", i)
		}
		written[d] = true
		if v != nil && slices.Contains(params, v) {
			return fmt.Errorf("result %d is written over a parameter without being donated to it", i)
		}
	}
	for i, q := range params {
		if j := slices.Index(params[:i], q); j >= 0 && written[q] {
			return fmt.Errorf("parameters %d and %d are one value, which a result replaces", j, i)
		}
	}
	for i, info := range p.slots {
		switch info.kind {
		case paramSlot:
			s.x.ptrs[i] = unsafe.Pointer(&params[info.index].data[0])
		case resultSlot:
			s.x.ptrs[i] = unsafe.Pointer(&results[info.index].data[0])
		}
	}
	s.params, s.seen = params, make([]uint64, len(params))
	s.written = slices.Collect(maps.Keys(written))
	clear(s.x.made)
	s.bound = kernels.Bindings{Params: slices.Clone(b.Params), Results: slices.Clone(b.Results)}
	return nil
}

// runFor is how many steps run between two looks at the context, at most.
const runFor = 64

func (s *session) Run(ctx context.Context, b *kernels.Bindings, steps int) (int, error) {
	if s.closed {
		return 0, fmt.Errorf("the session is closed")
	}
	if b == nil {
		return 0, fmt.Errorf("no bindings")
	}
	if steps < 0 {
		return 0, fmt.Errorf("%d steps", steps)
	}
	if !sameHandles(&s.bound, b) || len(s.values) == 0 {
		if err := s.bind(b); err != nil {
			return 0, err
		}
	}
	x, team := s.x, s.program.backend.team
	team.mu.Lock()
	defer team.mu.Unlock()
	x.ctx, x.err = ctx, nil
	x.align()
	for i, v := range s.params {
		version := v.version.Load()
		x.made[i] = x.made[i] && s.seen[i] == version
		s.seen[i] = version
	}
	for _, v := range s.written {
		v.version.Add(1)
	}
	done := 0
	var per time.Duration
	for done < steps {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		// As many steps at once as take about a millisecond.
		n := 1
		if done > 0 {
			n = int(min(time.Millisecond/max(per, 1)+1, runFor))
		}
		s.steps = min(n, steps-done)
		threads := s.pace.threads(team.size)
		if s.program.serial {
			threads = 1
		}
		start := time.Now()
		team.run(threads, s)
		per = time.Since(start) / time.Duration(s.steps)
		s.pace.ran(per)
		if x.err != nil {
			return done, x.err
		}
		for i := range x.made {
			x.made[i] = true
		}
		done += s.steps
	}
	return done, nil
}

func (s *session) Profile() []kernels.OpTime {
	if !s.program.profile {
		return nil
	}
	var out []kernels.OpTime
	for i, in := range s.program.code {
		out = append(out, kernels.OpTime{Name: in.name, Scope: in.scope, Nanos: s.x.nanos[i], Calls: s.x.calls, FLOPs: in.flops, Bytes: in.bytes})
	}
	return out
}

func (s *session) Close() error {
	if !s.closed {
		team := s.program.backend.team
		team.mu.Lock() // until no thread runs the program
		s.x.release()
		team.mu.Unlock()
	}
	s.closed = true
	s.values = nil
	return nil
}
