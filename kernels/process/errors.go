package process

import (
	"context"
	"errors"

	"github.com/hone-ml/hone/kernels"
)

// wireError is an error on its way: its text, and the kind that callers ask for
// with errors.Is and errors.As.
type wireError struct {
	Text        string                    `json:"text"`
	Unsupported *kernels.UnsupportedError `json:"unsupported,omitempty"`
	Limit       *kernels.LimitError       `json:"limit,omitempty"`
	Context     string                    `json:"context,omitempty"` // canceled or deadline
}

func toWire(err error) *wireError {
	if err == nil {
		return nil
	}
	w := &wireError{Text: err.Error()}
	errors.As(err, &w.Unsupported)
	errors.As(err, &w.Limit)
	switch {
	case errors.Is(err, context.Canceled):
		w.Context = "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		w.Context = "deadline"
	}
	return w
}

// remoteError is an error of the other end.
type remoteError struct {
	text  string
	cause error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.cause }

func fromWire(w *wireError) error {
	if w == nil {
		return nil
	}
	e := &remoteError{text: w.Text}
	switch {
	case w.Unsupported != nil:
		e.cause = w.Unsupported
	case w.Limit != nil:
		e.cause = w.Limit
	case w.Context == "canceled":
		e.cause = context.Canceled
	case w.Context == "deadline":
		e.cause = context.DeadlineExceeded
	}
	return e
}

// ClosedError says that the other end is gone: every call that was under way,
// and every later one, gets it.
type ClosedError struct {
	Backend string // its name, or the command where it never said one
	Reason  string // how it ended
	Err     error
}

func (e *ClosedError) Error() string {
	return "the backend " + e.Backend + " is gone: " + e.Reason + "; what its devices held is lost, so start again from the last checkpoint"
}

func (e *ClosedError) Unwrap() error { return e.Err }
