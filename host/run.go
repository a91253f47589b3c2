package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/feed"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/sdk/graph"
)

// DefaultBatchSize is taken where neither spec nor options give one.
const DefaultBatchSize = 32

// TrainOptions steer one run.
type TrainOptions struct {
	// Out is the checkpoint's path; empty makes a folder runs/MODEL-TIME with
	// best.hone, last.hone and events.jsonl.
	Out string
	// Resume continues the run that this checkpoint interrupted. The model, its
	// transforms and its seed are the checkpoint's; no plugin is started.
	Resume string
	// Seed overrides the spec's; nil takes that, or 0.
	Seed *uint64
	// Events is told what happens, in order, from one goroutine.
	Events func(Event)
	// Profile measures every op; Result.Profile has the times.
	Profile bool
	// Masks hold parameters, by path, at zero where the tensor of their shape is
	// zero: from the first step on, slots too. Checkpoints keep them, --resume and
	// init_from go on with them.
	Masks map[string]*Tensor
	// Hypers set runtime numbers without compiling anew (see Engine): those of
	// layers by their path (drop.rate), others as optimizer:learning_rate,
	// optimizer:momentum, schedule:initial_learning_rate. Checkpoints keep them.
	Hypers map[string]float64

	stopAfter uint64              // for tests: interrupt once so many steps are done
	fs        modelfmt.FileSystem // for tests: where checkpoints are written
	pace      float64             // for tests: rest after a write, in times that it took; negative for none
}

// ErrInterrupted is wrapped by the error of a run whose context was cancelled;
// its checkpoint has been written.
var ErrInterrupted = errors.New("interrupted")

// ErrNotFinite is wrapped by the error of a run whose loss became NaN or infinite.
var ErrNotFinite = errors.New("the loss is not finite")

// run is one training in progress.
type run struct {
	p      *Project
	o      TrainOptions
	be     kernels.Backend
	events func(Event)

	content *saved
	fixed   *fixed
	parts   map[string]*train.Arrays
	rows    *feed.Parts
	warned  map[string]bool
	state   runState
	trainer *train.Trainer
	val     *train.Part
	test    *train.Part

	saver      saver
	last, best string // paths
	locks      []*modelfmt.Lock
	lockOf     map[string]*modelfmt.Lock
	log        *os.File
	opaque     *plugin.Host // computes opaque components; nil for a model without

	epochs    int
	phases    []phase
	batch     int64
	monitor   string
	mode      string
	bestSpeed float64
	result    *Result
}

// Train runs the spec's training. The error is Diagnostics, or wraps
// ErrInterrupted or ErrNotFinite; the result is not nil where a run began.
func (p *Project) Train(ctx context.Context, o TrainOptions) (*Result, error) {
	if p.spec == nil || p.spec.Train == nil {
		return nil, diag.Diagnostics{diag.Errorf("missing_train", "the spec has no train block").Hint("Add train { epochs = 5 ... } with a loss and an optimizer.")}
	}
	be, err := p.o.backend()
	if err != nil {
		return nil, err
	}
	defer closeBackend(be)
	r := &run{p: p, o: o, be: be, events: o.Events, lockOf: map[string]*modelfmt.Lock{}}
	if r.events == nil {
		r.events = func(Event) {}
	}
	defer r.close()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r.train(ctx)
}

func (r *run) close() {
	if r.result != nil {
		_ = r.saver.settle(r)
	}
	if r.trainer != nil {
		_ = r.trainer.Close()
	}
	if r.opaque != nil {
		_ = r.opaque.Close()
	}
	if r.rows != nil {
		_ = r.rows.Close()
	}
	for _, l := range r.locks {
		_ = l.Unlock()
	}
	if r.log != nil {
		_ = r.log.Close()
	}
}

// emit tells the caller and the run's own log.
func (r *run) emit(e Event) {
	if _, progress := e.(ProgressEvent); r.log != nil && !progress {
		if b, err := MarshalEvent(e, time.Now()); err == nil {
			_, _ = r.log.Write(append(b, '\n'))
		}
	}
	r.events(e)
}

// prepare makes the content: from the spec and its plugins, or from the
// checkpoint to resume.
func (r *run) prepare(ctx context.Context) error {
	t := r.p.spec.Train
	r.state.Seed = 0
	if t.Seed != nil {
		r.state.Seed = *t.Seed
	}
	if r.o.Seed != nil {
		r.state.Seed = *r.o.Seed
	}
	if r.o.Resume != "" {
		return r.prepareResume(ctx)
	}
	pre, diags := r.p.prepare(ctx, r.be, r.state.Seed, true)
	if err := diags.Err(); err != nil {
		return diags
	}
	if len(diags) > 0 {
		r.emit(WarningEvent{diags})
	}
	r.rows = pre.parts
	r.state.DataDigest = pre.parts.Digest
	r.content = &saved{
		program: pre.assembly.Program, binding: pre.binding, pipeline: pre.pipeline, plugins: pinsOf(pre.assembly.Pins),
		model: modelSection{Name: pre.model.Name, Frozen: pre.assembly.Frozen}, signature: signatureOf(pre.assembly.Program, pre.binding),
		spec: r.p.provenance(),
	}
	for _, n := range sortedKeys(pre.assembly.LowerIsBetter) {
		if pre.assembly.LowerIsBetter[n] {
			r.content.model.LowerIsBetter = append(r.content.model.LowerIsBetter, n)
		}
	}
	r.content.model.Parameters, _ = countParams(r.content.program)
	return r.arrays(ctx)
}

// prepareResume reads the checkpoint; the spec gives the data, and how long and
// how to go on.
func (r *run) prepareResume(ctx context.Context) error {
	s, err := openCheckpoint(r.o.Resume, r.be)
	if err != nil {
		return err
	}
	if s.program.Optimizer == nil {
		return diag.Errorf("resume", "%s holds no training to resume", r.o.Resume).Hint("Train anew, with init_from for its weights.")
	}
	if r.o.Seed != nil && *r.o.Seed != s.run.Seed {
		return diag.Errorf("resume_seed", "%s was trained with the seed %d, and %d is asked for", r.o.Resume, s.run.Seed, *r.o.Seed).Hint("Leave --seed out.")
	}
	d := r.p.spec.TheData()
	if d == nil {
		return diag.Errorf("missing_data", "the spec has no data to take").Hint("Add a data block.")
	}
	parts, diags := loadParts(ctx, r.p.o, d, s.run.Seed)
	if diags.HasErrors() {
		return diags
	}
	r.rows = parts
	if v := r.p.spec.Train.ValidationSplit; v > 0 && parts.Validation == nil {
		if err := parts.Holdout(v, s.run.Seed); err != nil {
			return err
		}
	}
	if parts.Digest != s.run.DataDigest {
		diags.Append(diag.Warnf("resume_data", "the data is not what %s was trained on", r.o.Resume).
			Hint("The run goes on with the new data; its result is not that of an unbroken run."))
	}
	if s.run.Backend != backendName(r.be) {
		diags.Append(diag.Warnf("resume_backend", "%s was trained on %s, and goes on with %s", r.o.Resume, s.run.Backend, backendName(r.be)).
			Hint("The numbers will agree closely, not to the bit."))
	}
	if now := r.p.provenance(); s.spec.Files != nil && now.Files != nil && !sameTexts(s.spec.Files, now.Files) {
		diags.Append(diag.Warnf("resume_spec", "the spec has changed since %s was written", r.o.Resume).
			Hint("The model, its loss, optimizer and transforms are the checkpoint's; epochs, stopping and data are the spec's."))
	}
	if len(diags) > 0 {
		r.emit(WarningEvent{diags})
	}
	if err := placeParts(ctx, r.p.o, s.pipeline, parts); err != nil {
		return err
	}
	r.content, r.state = s, s.run
	return r.arrays(ctx)
}

func sameTexts(a, b map[string]string) bool {
	ta, tb := make([]string, 0, len(a)), make([]string, 0, len(b))
	for _, t := range a {
		ta = append(ta, t)
	}
	for _, t := range b {
		tb = append(tb, t)
	}
	slices.Sort(ta)
	slices.Sort(tb)
	return slices.Equal(ta, tb)
}

func backendName(b kernels.Backend) string {
	if v := b.Variant(); v != "" {
		return b.Name() + "/" + v
	}
	return b.Name()
}

func (p *Project) provenance() provenance {
	v := provenance{Dir: p.spec.Dir}
	if abs, err := filepath.Abs(p.spec.Dir); err == nil {
		v.Dir = abs
	}
	pr := p.spec.Provenance()
	for _, s := range pr.Sources {
		if v.Files == nil {
			v.Files = map[string]string{}
		}
		v.Files[filepath.Base(s.Name)] = string(s.Text)
	}
	for k, x := range pr.Variables {
		if v.Variables == nil {
			v.Variables = map[string]string{}
		}
		v.Variables[k] = fmt.Sprint(x)
	}
	return v
}

// arrays binds the run's rows and checks what no model can take.
func (r *run) arrays(ctx context.Context) error {
	parts := r.rows
	r.parts = map[string]*train.Arrays{}
	var diags diag.Diagnostics
	_ = parts.Named(func(name string, t *data.Dataset) error {
		a, ds := arraysOf(ctx, r.content.binding, r.content.program, parts, name, *t)
		diags.Append(ds...)
		if !ds.HasErrors() {
			r.parts[name] = a
		}
		return nil
	})
	if err := diags.Err(); err != nil {
		return diags
	}
	// Tables have become arrays, and make room; augmentations begin with the table.
	if pipe := r.content.pipeline; pipe == nil || !pipe.Augments() {
		parts.Train = nil
	}
	parts.Validation, parts.Test = nil, nil
	w := r.p.spec.Train.ClassWeight
	if w == nil || len(r.content.program.Losses) == 0 {
		return nil
	}
	target := r.content.program.Losses[0].Target
	for _, tb := range r.content.binding.Targets {
		if tb.Name == target {
			if err := weighClasses(ctx, r.parts["train"], w, &tb); err != nil {
				return err
			}
		}
	}
	return nil
}

func countParams(p *train.Program) (trainable, rest int64) {
	for _, q := range p.Params() {
		if q.Decl != nil && q.Decl.Alias != "" {
			continue
		}
		n := int64(1)
		for _, d := range q.Type.Shape {
			k, _ := d.Const()
			n *= k
		}
		if q.Role == graph.ParamRole && (q.Decl == nil || !q.Decl.NonTrainable) {
			trainable += n
		} else {
			rest += n
		}
	}
	return trainable, rest
}

// open settles the paths, takes their locks and starts the log.
func (r *run) open() error {
	t := r.p.spec.Train
	keepBest := t.EarlyStopping != nil || t.Checkpoint != nil && t.Checkpoint.Best != nil
	switch {
	case r.o.Out != "":
		r.last = r.o.Out
		if keepBest {
			r.best = strings.TrimSuffix(r.o.Out, ".hone") + ".best.hone"
		}
	default:
		dir := filepath.Join("runs", r.content.model.Name+"-"+time.Now().Format("20060102-150405"))
		for i := 2; ; i++ {
			err := os.MkdirAll(filepath.Dir(dir), 0o755)
			if err == nil {
				err = os.Mkdir(dir, 0o755)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, os.ErrExist) || i > 100 {
				return diag.Errorf("run_folder", "cannot make the run's folder: %v", err).Hint("Say where the checkpoint goes: --out FILE.")
			}
			dir = filepath.Join("runs", fmt.Sprintf("%s-%s-%d", r.content.model.Name, time.Now().Format("20060102-150405"), i))
		}
		r.last, r.best = filepath.Join(dir, "last.hone"), filepath.Join(dir, "best.hone")
		f, err := os.OpenFile(filepath.Join(dir, "events.jsonl"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return diag.Errorf("run_folder", "cannot write the run's log: %v", err)
		}
		r.log = f
	}
	for _, path := range []string{r.last, r.best} {
		if path == "" {
			continue
		}
		l, err := modelfmt.LockPath(path)
		if err != nil {
			return checkpointError(path, err)
		}
		r.locks = append(r.locks, l)
		r.lockOf[path] = l
		if st, err := os.Stat(path); err == nil && st.Size() > 0 && !IsCheckpoint(path) {
			return diag.Errorf("not_a_checkpoint", "%s exists and is no checkpoint, so it is not replaced", path).
				Hint("Give another path, or remove the file.")
		}
	}
	r.monitor = "val_loss"
	if r.parts["validation"] == nil {
		r.monitor = "loss"
	}
	// Where both say one, they say the same.
	if e := t.EarlyStopping; e != nil {
		r.monitor, r.mode = cmp.Or(e.Monitor, r.monitor), e.Mode
	}
	if c := t.Checkpoint; c != nil && c.Best != nil {
		r.monitor, r.mode = cmp.Or(c.Best.Monitor, r.monitor), cmp.Or(c.Best.Mode, r.mode)
	}
	names := []string{"loss"}
	for _, m := range r.content.program.Metrics {
		names = append(names, m.Name)
	}
	if r.parts["validation"] != nil {
		for _, n := range slices.Clone(names) {
			names = append(names, "val_"+n)
		}
	}
	if !slices.Contains(names, r.monitor) {
		d := diag.Errorf("unknown_monitor", "there is no number %q to monitor", r.monitor).Hint("%sThis run has %s.", diag.DidYouMean(r.monitor, names), strings.Join(names, ", "))
		if t.EarlyStopping != nil && t.EarlyStopping.Range.File != "" {
			d = d.At(t.EarlyStopping.At("monitor"))
		}
		return d
	}
	if r.mode == "" {
		base := strings.TrimPrefix(r.monitor, "val_")
		r.mode = "max"
		if base == "loss" || strings.HasPrefix(base, "loss_") || slices.Contains(r.content.model.LowerIsBetter, base) {
			r.mode = "min"
		}
	}
	return r.prepareSaver()
}

func (r *run) train(ctx context.Context) (*Result, error) {
	t := r.p.spec.Train
	var err error
	for _, name := range sortedKeys(r.o.Hypers) {
		if r.content.program, err = r.content.program.SetHyper(name, r.o.Hypers[name]); err != nil {
			return nil, diag.Errorf("hyper", "%v", err).In("hypers." + name).Hint("TrainOptions.Hypers takes the numbers that components mark as runtime.")
		}
	}
	if r.phases, err = r.planPhases(); err != nil {
		return nil, err
	}
	for _, p := range r.phases {
		r.epochs += p.epochs
	}
	r.batch = r.phases[min(r.state.Phase, len(r.phases)-1)].batch
	if r.o.Resume != "" && r.batch != r.state.BatchSize {
		return nil, diag.Errorf("resume_batch", "%s was trained with a batch size of %d, the spec says %d", r.o.Resume, r.state.BatchSize, r.batch).Hint("Set batch_size = %d to go on.", r.state.BatchSize)
	}
	r.state.BatchSize = r.batch
	a := r.parts["train"]
	be, err := r.compute(ctx)
	if err != nil {
		return nil, err
	}
	cfg := train.Config{
		Backend: be, Reference: reference.New(), Seed: r.state.Seed, BatchSize: r.batch,
		NoShuffle: t.Shuffle != nil && !*t.Shuffle, Step: r.phases[0].step, Permutation: data.Permutation, Profile: r.o.Profile, Memory: r.p.o.Memory,
	}
	if r.o.Resume != "" && r.state.Backend == backendName(r.be) {
		cfg.Selection = r.state.Selection
	}
	if r.trainer, err = train.New(ctx, r.content.program, cfg); err != nil {
		return nil, r.where("training step", err)
	}
	if err := r.trainer.SetData(a); err != nil {
		return nil, err
	}
	if r.o.Resume != "" {
		if err := r.masks(true); err != nil {
			return nil, err
		}
		if err := r.enter(ctx, min(r.state.Phase, len(r.phases)-1), false); err != nil {
			return nil, err
		}
		if err := r.trainer.Restore(r.content.values); err != nil {
			return nil, checkpointError(r.o.Resume, err)
		}
		if err := r.masks(false); err != nil {
			return nil, err
		}
		r.content.values = nil
	} else {
		r.state.Best, r.state.Monitored = Number(math.NaN()), Number(math.NaN())
		if f := t.InitFrom; f != nil {
			if err := r.initFrom(ctx, f); err != nil {
				return nil, err
			}
		}
		if err := r.masks(false); err != nil {
			return nil, err
		}
		if err := r.enter(ctx, 0, true); err != nil {
			return nil, err
		}
	}
	plan, err := r.trainer.Compile(ctx)
	if err != nil {
		return nil, r.where("training step", err)
	}
	if v := r.parts["validation"]; v != nil {
		if r.val, err = r.trainer.PlacePart("validation", v); err != nil {
			return nil, err
		}
	}
	if v := r.parts["test"]; v != nil {
		if r.test, err = r.trainer.PlacePart("test", v); err != nil {
			return nil, err
		}
	}
	if r.p.o.Memory > 0 {
		for _, part := range []*train.Part{r.val, r.test} {
			if part == nil {
				continue
			}
			if err := r.trainer.FitEvaluation(ctx, part); err != nil {
				return nil, r.where("evaluation", err)
			}
		}
	}
	r.state.Backend, r.state.Selection = backendName(r.be), r.trainer.Selection()
	if r.fixed, err = r.content.fixed(); err != nil {
		return nil, err
	}
	r.result = &Result{Checkpoint: r.last, Parameters: r.content.model.Parameters, Backend: r.be.Name(), Seed: r.state.Seed, Metrics: map[string]Number{}, Loss: Number(math.NaN())}
	start := StartEvent{
		Model: r.content.model.Name, Parameters: r.content.model.Parameters, Backend: r.be.Name(), Variant: r.be.Variant(), Threads: r.p.o.threads(),
		Seed: r.state.Seed, BatchSize: r.batch, Epochs: r.epochs, Examples: map[string]int{}, Resumed: r.o.Resume, PlanDigest: plan.Digest,
	}
	for name, a := range r.parts {
		start.Examples[name] = int(a.Examples)
	}
	for _, name := range []string{"train", "validation", "test"} {
		if a := r.parts[name]; a != nil && a.Source != nil {
			start.Staged = append(start.Staged, name)
		}
	}
	r.emit(start)
	return r.epochsLoop(ctx)
}

// where gives an error of the engine the place of the train block.
func (r *run) where(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w before the first step", ErrInterrupted)
	}
	d := diag.Errorf("step", "the %s cannot be made: %v", what, err)
	d.Cause = err
	if t := r.p.spec.Train; t.Range.File != "" {
		d = d.At(t.Range)
	}
	return d
}
