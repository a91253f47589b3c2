package plugin

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// blamed is a connection that records whether it was blamed and stopped.
type blamed struct {
	connection
	stopped bool
}

func (b *blamed) explain(what string, err error) (diag.Diagnostic, bool) {
	return explainStatus("x", what, err)
}

func (b *blamed) stop() error {
	b.stopped = true
	return nil
}

// The plugin's side of a call may see the deadline pass before ours does. Whose
// deadline it was decides who is blamed, not whose timer fired first.
func TestWhoseDeadlinePassed(t *testing.T) {
	late := func(pluginpb.PluginClient, context.Context, int) (int, error) {
		return 0, status.Error(codes.DeadlineExceeded, "too late")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for _, c := range []struct {
		limit   time.Duration
		callers bool
	}{{time.Minute, false}, {2 * time.Hour, true}} {
		b := &blamed{}
		_, err := callWithin(ctx, &instance{conn: b}, c.limit, "asking", late, 0)
		if got := errors.Is(err, context.DeadlineExceeded); got != c.callers || b.stopped == c.callers {
			t.Errorf("within %v: %v, plugin stopped: %v", c.limit, err, b.stopped)
		}
	}
}
