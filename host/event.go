package host

import (
	"encoding/json"
	"math"
	"time"
)

// Event is one step of a run's progress, also one line of --json output. Fields
// are only ever added.
type Event interface{ EventName() string }

// Number is a float64 whose JSON form is "NaN", "Infinity" or "-Infinity" where
// it is not finite.
type Number float64

// MarshalJSON writes the number, or the name of what it is.
func (n Number) MarshalJSON() ([]byte, error) {
	switch v := float64(n); {
	case math.IsNaN(v):
		return []byte(`"NaN"`), nil
	case math.IsInf(v, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(v, -1):
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"NaN"`:
		*n = Number(math.NaN())
	case `"Infinity"`:
		*n = Number(math.Inf(1))
	case `"-Infinity"`:
		*n = Number(math.Inf(-1))
	default:
		return json.Unmarshal(b, (*float64)(n))
	}
	return nil
}

// StartEvent opens a run.
type StartEvent struct {
	Model      string         `json:"model"`
	Parameters int64          `json:"parameters"`
	Backend    string         `json:"backend"`
	Variant    string         `json:"variant,omitempty"`
	Threads    int            `json:"threads"`
	Seed       uint64         `json:"seed"`
	BatchSize  int64          `json:"batch_size"`
	Epochs     int            `json:"epochs"`
	Examples   map[string]int `json:"examples"`         // by part
	Staged     []string       `json:"staged,omitempty"` // parts that lie on disk, in order
	Resumed    string         `json:"resumed,omitempty"`
	PlanDigest string         `json:"plan_digest"`
}

// ProgressEvent comes several times a second while an epoch runs.
type ProgressEvent struct {
	Epoch             int    `json:"epoch"` // from 1
	Epochs            int    `json:"epochs"`
	Step              uint64 `json:"step"`
	Examples          int64  `json:"examples"` // of this epoch, done
	Total             int64  `json:"total"`
	Loss              Number `json:"loss"` // of the last step
	ExamplesPerSecond Number `json:"examples_per_second"`
}

// EpochEvent closes an epoch.
type EpochEvent struct {
	Epoch             int               `json:"epoch"`
	Epochs            int               `json:"epochs"`
	Step              uint64            `json:"step"`
	Metrics           map[string]Number `json:"metrics"` // loss, accuracy, val_loss, ...
	LearningRate      Number            `json:"learning_rate"`
	Seconds           Number            `json:"seconds"`
	ExamplesPerSecond Number            `json:"examples_per_second"`
	Best              bool              `json:"best,omitempty"` // by the monitored number
}

// CheckpointEvent says that a checkpoint has been written.
type CheckpointEvent struct {
	Path  string `json:"path"`
	Kind  string `json:"kind"` // last, best, or kept: one of an epoch that stays
	Epoch int    `json:"epoch"`
	Step  uint64 `json:"step"`
	Bytes int64  `json:"bytes"`
	Root  string `json:"root"`           // digest of what the checkpoint holds
	Base  string `json:"base,omitempty"` // digest of the checkpoint that it is a difference to
}

// WarningEvent carries what the user should know though the run goes on.
type WarningEvent struct {
	Diagnostics Diagnostics `json:"diagnostics"`
}

// StopEvent says why a run ends before its last epoch.
type StopEvent struct {
	Reason string `json:"reason"` // early_stopping, interrupted, not_finite
	Epoch  int    `json:"epoch"`
	Detail string `json:"detail,omitempty"`
}

// EventName returns start, progress, epoch, checkpoint, warning or stop.
func (StartEvent) EventName() string      { return "start" }
func (ProgressEvent) EventName() string   { return "progress" }
func (EpochEvent) EventName() string      { return "epoch" }
func (CheckpointEvent) EventName() string { return "checkpoint" }
func (WarningEvent) EventName() string    { return "warning" }
func (StopEvent) EventName() string       { return "stop" }

// Result is what a run amounts to.
type Result struct {
	Checkpoint        string            `json:"checkpoint"`
	Best              string            `json:"best,omitempty"` // path of the best checkpoint
	Epochs            int               `json:"epochs"`         // completed
	Loss              Number            `json:"loss"`
	Metrics           map[string]Number `json:"metrics"`
	ExamplesPerSecond Number            `json:"examples_per_second"` // of the best epoch
	Parameters        int64             `json:"parameters"`
	Backend           string            `json:"backend"`
	Seed              uint64            `json:"seed"`
	Stopped           string            `json:"stopped,omitempty"` // as StopEvent.Reason
	// Profile is the time by instruction of all steps, with TrainOptions.Profile.
	Profile []StepTimes `json:"-"`
}

// EventName returns result.
func (*Result) EventName() string { return "result" }

// MarshalEvent returns the event as one JSON object with v, event and time.
func MarshalEvent(e Event, at time.Time) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		V     int    `json:"v"`
		Event string `json:"event"`
		Time  string `json:"time"`
	}{1, e.EventName(), at.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return nil, err
	}
	if len(body) <= 2 {
		return head, nil
	}
	return append(append(head[:len(head)-1], ','), body[1:]...), nil
}
