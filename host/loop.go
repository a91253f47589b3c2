package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/feed"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/modelfmt"
)

// progressEvery is the least time between two progress events.
const progressEvery = 100 * time.Millisecond

// epochsLoop runs the epochs that are left.
func (r *run) epochsLoop(ctx context.Context) (*Result, error) {
	for _, e := range r.state.History {
		r.bestSpeed = max(r.bestSpeed, float64(e.ExamplesPerSecond))
	}
	r.fill()
	if r.state.Stopped && !r.shouldStop() {
		r.state.Stopped = false // the spec now allows to go on
	}
	for r.state.Epoch < r.epochs && !r.state.Stopped {
		if i := r.phaseOf(r.state.Epoch); i != r.state.Phase && r.state.Cursor == 0 {
			if err := r.enter(ctx, i, true); err != nil {
				return r.finish(ctx, err)
			}
		}
		if err := r.epoch(ctx); err != nil {
			return r.finish(ctx, err)
		}
	}
	return r.finish(ctx, nil)
}

// epoch trains on one epoch, or on the rest of it, and evaluates.
func (r *run) epoch(ctx context.Context) error {
	pos := train.Position{Epoch: r.state.Epoch, Cursor: r.state.Cursor, Step: r.state.Step}
	if err := r.trainer.SetMonitored(float64(r.state.Monitored)); err != nil {
		return err
	}
	if err := r.augment(ctx); err != nil {
		return err
	}
	if err := r.trainer.BeginEpoch(ctx, pos); err != nil {
		return err
	}
	first := pos.Cursor
	start := time.Now()
	told := start
	var seconds float64
	reached, err := r.trainer.RunEpoch(ctx, pos, r.o.stopAfter, func(at train.Position) error {
		if n := r.o.stopAfter; n > 0 && at.Step >= n {
			return context.Canceled
		}
		if err := r.saver.poll(r); err != nil {
			return err
		}
		now := time.Now()
		if now.Sub(told) < progressEvery {
			return nil
		}
		told = now
		loss, err := r.trainer.LastLoss()
		if err != nil {
			return err
		}
		r.emit(ProgressEvent{
			Epoch: at.Epoch + 1, Epochs: r.epochs, Step: at.Step, Examples: at.Cursor, Total: r.parts["train"].Examples, Loss: Number(loss),
			ExamplesPerSecond: Number(float64(at.Cursor-first) / now.Sub(start).Seconds()),
		})
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return ErrNotFinite
		}
		return nil
	})
	seconds = time.Since(start).Seconds()
	r.state.Cursor, r.state.Step = reached.Cursor, reached.Step
	if err != nil {
		return err
	}
	sums, err := r.trainer.Sums(ctx)
	if err != nil {
		return err
	}
	if math.IsNaN(sums.Loss) || math.IsInf(sums.Loss, 0) {
		return ErrNotFinite
	}
	e := EpochEvent{
		Epoch: r.state.Epoch + 1, Epochs: r.epochs, Step: reached.Step, Metrics: map[string]Number{}, LearningRate: Number(sums.Rate),
		Seconds: Number(seconds), ExamplesPerSecond: Number(float64(reached.Cursor-first) / seconds),
	}
	addMetrics(e.Metrics, "", sums)
	if r.val != nil {
		v, err := r.trainer.Evaluate(ctx, r.val)
		if err != nil {
			return err
		}
		addMetrics(e.Metrics, "val_", v)
		r.warnOnce(approximate(v, "validation"))
	}
	r.state.Monitored = e.Metrics[r.monitor]
	r.state.Epoch++
	r.state.Cursor = 0
	if e.Best = r.improved(); e.Best {
		r.state.Best, r.state.BestEpoch, r.state.Waited = r.state.Monitored, r.state.Epoch, 0
	} else {
		r.state.Waited++
	}
	r.state.History = append(r.state.History, e)
	r.bestSpeed = max(r.bestSpeed, float64(e.ExamplesPerSecond))
	r.fill()
	r.emit(e)
	r.state.Stopped = r.shouldStop()
	return r.save(ctx, e.Best, false)
}

// approximate warns of metrics that were counted in bins, the part being too large
// for what they are exactly.
func approximate(s train.Sums, part string) Diagnostics {
	if len(s.Approximate) == 0 {
		return nil
	}
	return Diagnostics{diag.Warnf("approximate_metric", "the %s data has too many scores to be kept (%d MiB at most): %s is counted in bins", part, train.DefaultExactBytes>>20, strings.Join(s.Approximate, ", ")).
		Hint("Its error is that of scores which fall into one bin, less than 1%% apart in their odds. Evaluate fewer rows to have it exactly.")}
}

// warnOnce emits warnings that hold for the whole run.
func (r *run) warnOnce(ds Diagnostics) {
	for _, d := range ds {
		if r.warned == nil {
			r.warned = map[string]bool{}
		}
		if !r.warned[d.Summary] {
			r.warned[d.Summary] = true
			r.emit(WarningEvent{Diagnostics{d}})
		}
	}
}

func addMetrics(to map[string]Number, prefix string, s train.Sums) {
	to[prefix+"loss"] = Number(s.Loss)
	for n, v := range s.Losses {
		to[prefix+"loss_"+n] = Number(v)
	}
	for n, v := range s.Metrics {
		to[prefix+n] = Number(v)
	}
}

// improved reports whether the monitored number is the best so far.
func (r *run) improved() bool {
	now, best := float64(r.state.Monitored), float64(r.state.Best)
	delta := 0.0
	if e := r.p.spec.Train.EarlyStopping; e != nil {
		delta = e.MinDelta
	}
	switch {
	case math.IsNaN(now):
		return false
	case math.IsNaN(best):
		return true
	case r.mode == "min":
		return now < best-delta
	}
	return now > best+delta
}

func (r *run) shouldStop() bool {
	e := r.p.spec.Train.EarlyStopping
	return e != nil && r.state.Waited > 0 && r.state.Waited >= max(e.Patience, 1)
}

// fill brings the result up to the last epoch.
func (r *run) fill() {
	r.result.Epochs = r.state.Epoch
	r.result.ExamplesPerSecond = Number(r.bestSpeed)
	if n := len(r.state.History); n > 0 {
		for k, v := range r.state.History[n-1].Metrics {
			r.result.Metrics[k] = v
		}
		r.result.Loss = r.result.Metrics["loss"]
	}
}

// finish ends the run: after its last epoch, a stop, or an error.
func (r *run) finish(ctx context.Context, err error) (*Result, error) {
	res := r.result
	// What is being written is finished first: no file is left half done.
	if werr := r.saver.settle(r); err == nil {
		err = werr
	}
	for _, t := range r.trainer.Profile() {
		res.Profile = append(res.Profile, StepTimes(t))
	}
	switch {
	case err == nil:
	case interrupts(err):
		err := r.interrupted(r.state.Epoch + 1)
		if serr := r.ensureSaved(ctx); serr != nil {
			return res, serr
		}
		return res, err
	case errors.Is(err, ErrNotFinite):
		res.Stopped = "not_finite"
		good := r.saver.durable
		res.Checkpoint = good.path
		detail := "no checkpoint had been written yet"
		if good.path != "" {
			detail = fmt.Sprintf("the checkpoint of epoch %d is kept: %s", good.epoch, good.path)
		}
		r.emit(StopEvent{Reason: "not_finite", Epoch: r.state.Epoch + 1, Detail: detail})
		d := diag.Errorf("not_finite", "the loss is not finite in epoch %d; %s", r.state.Epoch+1, detail).
			Hint("Lower the learning rate, set clip_norm, or look for extreme values in the data.")
		d.Cause = ErrNotFinite
		if o := r.p.spec.Train.Optimizer; o != nil && o.Range.File != "" {
			d = d.At(o.Range)
		}
		return res, d
	default:
		res.Checkpoint = r.saver.durable.path
		return res, err
	}
	if r.state.Stopped {
		res.Stopped = "early_stopping"
		r.emit(StopEvent{Reason: "early_stopping", Epoch: r.state.Epoch, Detail: fmt.Sprintf("%s has not improved on epoch %d for %d epochs", r.monitor, r.state.BestEpoch, r.state.Waited)})
	}
	if e := r.p.spec.Train.EarlyStopping; e != nil && e.RestoreBest && r.state.BestEpoch != r.state.Epoch && r.bestThere() {
		if err := r.restoreBest(ctx); err != nil {
			return res, err
		}
	} else if err := r.ensureSaved(ctx); err != nil {
		res.Checkpoint = r.saver.durable.path
		return res, err
	}
	if r.test != nil {
		s, err := r.trainer.Evaluate(ctx, r.test)
		if interrupts(err) {
			return res, r.interrupted(r.state.Epoch)
		}
		if err != nil {
			return res, err
		}
		addMetrics(res.Metrics, "test_", s)
		r.warnOnce(approximate(s, "test"))
	}
	return res, nil
}

func interrupts(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// interrupted tells of the end of a run before its time.
func (r *run) interrupted(epoch int) error {
	r.emit(StopEvent{Reason: "interrupted", Epoch: epoch, Detail: fmt.Sprintf("after %d steps", r.state.Step)})
	r.result.Stopped = "interrupted"
	return fmt.Errorf("%w: %s holds the run; go on with --resume %s", ErrInterrupted, r.last, r.last)
}

// ensureSaved returns when the last checkpoint holds this very state: it writes
// what a failure that was borne, or a resumed run with nothing left to do, has
// not written.
func (r *run) ensureSaved(ctx context.Context) error {
	if r.saver.durable == (place{r.last, r.state.Epoch, r.state.Step}) {
		return nil
	}
	return r.save(ctx, false, true)
}

// restoreBest makes the best checkpoint the final one and loads it for the
// test. The best holds the run as it stood then, so that it too can be resumed.
func (r *run) restoreBest(ctx context.Context) error {
	s, err := openCheckpoint(r.best, r.be)
	if err != nil {
		return err
	}
	if err := r.trainer.Restore(s.values); err != nil {
		return checkpointError(r.best, err)
	}
	if r.o.Out == "" {
		r.result.Checkpoint = r.best
	} else {
		if err := modelfmt.CopyFile(context.WithoutCancel(ctx), r.best, r.last, modelfmt.WriterOptions{Lock: r.lockOf[r.last]}); err != nil {
			return checkpointError(r.last, err)
		}
	}
	for k, v := range s.run.Metrics {
		r.result.Metrics[k] = v
	}
	r.result.Loss = r.result.Metrics["loss"]
	return nil
}

// augment draws this epoch's variants of the training examples, where the
// pipeline has augmentations: at once, or where examples are staged batch by
// batch. What is drawn depends on the example and the epoch alone.
func (r *run) augment(ctx context.Context) error {
	pipe := r.content.pipeline
	if pipe == nil || !pipe.Augments() {
		return nil
	}
	epoch := uint64(r.state.Epoch)
	if s, ok := r.parts["train"].Source.(*feed.Staged); ok {
		s.Change = func(ctx context.Context, t *data.Table, rows []int64) (*data.Table, error) {
			return pipe.Augment(ctx, t, rows, epoch)
		}
		return nil
	}
	table := r.rows.Train.(*data.Table)
	rows := make([]int64, table.Rows())
	for i := range rows {
		rows[i] = int64(i)
	}
	t, err := pipe.Augment(ctx, table, rows, epoch)
	if err != nil {
		return fmt.Errorf("augmenting epoch %d: %w", r.state.Epoch+1, err)
	}
	a, diags := r.content.binding.Arrays(t, true)
	if diags.HasErrors() {
		return diags
	}
	a.Weights = r.parts["train"].Weights
	return r.trainer.ReplaceData(a)
}
