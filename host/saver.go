package host

import (
	"errors"
	"os"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/train"
)

// saver writes checkpoints behind the training: at most one set is under way.
// The state and values it is given are copies that nothing else changes.
type saver struct {
	done chan []savedFile // nil where nothing is under way
}

type saveJob struct {
	path, kind string
	drop       string // older checkpoint that this one makes superfluous
}

type savedFile struct {
	saveJob
	epoch int
	step  uint64
	bytes int64
	err   error
}

// start begins to write; it waits for the set before.
func (s *saver) start(r *run, state runState, vals []train.Value, jobs []saveJob) error {
	if err := s.wait(r); err != nil {
		return err
	}
	state.History = append([]EpochEvent(nil), state.History...)
	metrics := map[string]Number{}
	for k, v := range state.Metrics {
		metrics[k] = v
	}
	state.Metrics = metrics
	done := make(chan []savedFile, 1)
	s.done = done
	fixed, locks := r.fixed, r.lockOf
	go func() {
		var out []savedFile
		for _, j := range jobs {
			n, err := writeCheckpoint(j.path, locks[j.path], fixed, state, vals)
			if err == nil && j.drop != "" {
				if rerr := os.Remove(j.drop); rerr != nil && !errors.Is(rerr, os.ErrNotExist) {
					err = rerr
				}
			}
			out = append(out, savedFile{j, state.Epoch, state.Step, n, err})
		}
		done <- out
	}()
	return nil
}

// wait returns when everything is durable and tells of it. A file that could not
// be written is an error; the former one is untouched.
func (s *saver) wait(r *run) error {
	if s.done == nil {
		return nil
	}
	var diags diag.Diagnostics
	for _, f := range <-s.done {
		if f.err != nil {
			diags.AppendErr(checkpointError(f.path, f.err))
			continue
		}
		r.emit(CheckpointEvent{Path: f.path, Kind: f.kind, Epoch: f.epoch, Step: f.step, Bytes: f.bytes})
	}
	s.done = nil
	if !diags.HasErrors() {
		return nil
	}
	if c := r.p.spec.Train.Checkpoint; c != nil && c.OnError == "continue" {
		for i := range diags {
			diags[i].Severity = diag.Warning
		}
		r.emit(WarningEvent{diags})
		return nil
	}
	return diags
}
