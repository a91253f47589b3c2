package host

import (
	"context"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// phase is a stretch of the training with its own settings. A training without
// phases has one.
type phase struct {
	name   string
	from   int // epochs before it
	epochs int
	batch  int64
	step   train.StepConfig
	change train.Phase
	rate   *float64
	total  uint64 // updates
}

// planPhases lays the phases out. It fails where a pattern fits no parameter.
func (r *run) planPhases() ([]phase, error) {
	t := r.p.spec.Train
	batch := int64(t.BatchSize)
	if batch == 0 {
		batch = DefaultBatchSize
	}
	base := train.StepConfig{ClipNorm: t.ClipNorm, ClipValue: t.ClipValue, Accumulate: int64(t.Accumulate)}
	examples := r.parts["train"].Examples
	updates := func(epochs int, batch int64) uint64 {
		n := uint64(epochs) * uint64((examples+batch-1)/batch)
		return n / uint64(max(t.Accumulate, 1))
	}
	plain := spec.Phase{Epochs: t.Epochs}
	list := t.Phases
	if len(list) == 0 {
		list = []spec.Phase{plain}
	}
	var out []phase
	from := 0
	for i := range list {
		s := &list[i]
		p := phase{name: s.Name, from: from, epochs: s.Epochs, batch: batch, step: base, rate: s.LearningRate}
		if s.BatchSize > 0 {
			p.batch = int64(s.BatchSize)
		}
		var err error
		if p.step.Frozen, p.step.FrozenParams, err = r.frozen(s); err != nil {
			return nil, err
		}
		if i < len(r.content.program.Phases) {
			p.change = r.content.program.Phases[i]
		}
		if s.LearningRate != nil && p.change.Schedule == nil {
			p.change.NoSchedule = true
		}
		p.total = updates(p.epochs, p.batch)
		if len(t.Phases) > 0 && s.Schedule == nil && (s.Optimizer == nil || s.Optimizer.Schedule == nil) {
			// The training's own schedule runs through all phases.
			p.total = 0
		}
		out = append(out, p)
		from += s.Epochs
	}
	whole := uint64(0)
	for _, p := range out {
		whole += updates(p.epochs, p.batch)
	}
	for i := range out {
		if out[i].total == 0 {
			out[i].total = whole
		}
	}
	return out, nil
}

// frozen returns the scopes and parameters that stay as they are in a phase:
// those of layers with trainable = false and those that freeze names, but for
// those that unfreeze names. A scope all of whose parameters are frozen takes
// its inference function, as a frozen batch normalization does in Keras.
func (r *run) frozen(s *spec.Phase) ([]string, map[string]bool, error) {
	params := r.content.program.Params()
	fits := func(pattern, path string) bool { return spec.MatchPath(pattern, path) }
	for _, list := range [][]string{s.Freeze, s.Unfreeze} {
		for _, pattern := range list {
			if !slices.ContainsFunc(params, func(q graph.Param) bool { return fits(pattern, q.Name) }) {
				var names []string
				for _, q := range params {
					names = append(names, q.Name)
				}
				d := diag.Errorf("unknown_pattern", "the phase %q names %q, which fits no parameter", s.Name, pattern).
					Hint("%sThe parameters are %s.", diag.DidYouMean(pattern, names), strings.Join(names[:min(len(names), 12)], ", "))
				if s.Range.File != "" {
					d = d.At(s.Range)
				}
				return nil, nil, d
			}
		}
	}
	stays := map[string]bool{}
	total, frozen := map[string]int{}, map[string]int{}
	for _, q := range params {
		if q.Role != graph.ParamRole || q.Decl != nil && q.Decl.NonTrainable {
			continue
		}
		owner := ""
		if i := strings.LastIndexByte(q.Name, '.'); i >= 0 {
			owner = q.Name[:i]
		}
		total[owner]++
		still := slices.ContainsFunc(r.content.model.Frozen, func(scope string) bool { return train.Under(q.Name, scope) }) ||
			slices.ContainsFunc(s.Freeze, func(p string) bool { return fits(p, q.Name) })
		if still && !slices.ContainsFunc(s.Unfreeze, func(p string) bool { return fits(p, q.Name) }) {
			stays[q.Name] = true
			frozen[owner]++
		}
	}
	var scopes []string
	for _, owner := range sortedKeys(total) {
		if owner != "" && frozen[owner] == total[owner] {
			scopes = append(scopes, owner)
		}
	}
	return scopes, stays, nil
}

// current returns the program in the phase in which the checkpoint was written.
func (s *saved) current() *train.Program {
	if i := s.run.Phase; i < len(s.program.Phases) {
		return s.program.InPhase(s.program.Phases[i])
	}
	return s.program
}

// phaseOf returns the phase of an epoch.
func (r *run) phaseOf(epoch int) int {
	for i, p := range r.phases {
		if epoch < p.from+p.epochs {
			return i
		}
	}
	return len(r.phases) - 1
}

// enter makes the trainer follow a phase. fresh starts the slots of an optimizer
// that changes, and remembers when the phase began.
func (r *run) enter(ctx context.Context, i int, fresh bool) error {
	p := &r.phases[i]
	r.state.Phase = i
	if fresh {
		r.state.PhaseStart = r.updates()
	}
	start := r.state.PhaseStart
	if p.change.Schedule == nil && p.change.Optimizer == nil {
		start = 0
	}
	r.state.BatchSize = p.batch
	r.trainer.SetBatchSize(p.batch)
	if err := r.trainer.SetPhase(ctx, p.step, p.change, start, p.total, fresh); err != nil {
		return err
	}
	if p.rate != nil {
		if err := r.trainer.SetHyper("optimizer:learning_rate", *p.rate); err != nil {
			return err
		}
	}
	if _, err := r.trainer.Compile(ctx); err != nil {
		return r.where("training step", err)
	}
	if p.name != "" {
		r.emit(PhaseEvent{Phase: p.name, Epoch: p.from + 1, Epochs: p.epochs, Frozen: len(p.step.FrozenParams)})
	}
	return nil
}

// updates returns how many updates have been made.
func (r *run) updates() uint64 {
	return r.state.Step / uint64(max(r.p.spec.Train.Accumulate, 1))
}

// PhaseEvent opens a phase of the training.
type PhaseEvent struct {
	Phase  string `json:"phase"`
	Epoch  int    `json:"epoch"` // its first, from 1
	Epochs int    `json:"epochs"`
	Frozen int    `json:"frozen"` // parameters that stay as they are
}

// EventName returns phase.
func (PhaseEvent) EventName() string { return "phase" }
