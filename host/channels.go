package host

import (
	"errors"
	"fmt"

	"github.com/hone-ml/hone/host/internal/axes"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/modelfmt"
)

// ChannelGroup is a set of channels that can be removed from a model: filters of
// a convolution, units of a dense layer, with everything that is coupled to them.
type ChannelGroup = axes.Group

// ChannelCut says which channels to remove: of a group with
// [ChannelGroup.Channel], or by a place in a parameter with [Channel].
type ChannelCut = axes.Cut

// Channel says to remove the channels that stand at those indices along an axis
// of a parameter, such as "conv1.kernel", 3 for the filters of a convolution.
func Channel(param string, axis int, index ...int64) ChannelCut {
	return axes.Channel(param, axis, index...)
}

// Channels lists the groups of channels that can be removed from the model, in
// the order of its parameters. It reads the traced functions alone.
func (m *Model) Channels() ([]*ChannelGroup, error) {
	a, err := m.axes()
	if err != nil {
		return nil, err
	}
	return a.Groups(), nil
}

func (m *Model) axes() (*axes.Axes, error) {
	a, err := axes.Follow(m.s.program)
	if err != nil {
		return nil, diag.Errorf("axes", "the axes of %s cannot be followed: %w", m.path, err)
	}
	return a, nil
}

// RemoveChannels writes to path the model without some of its channels: the
// checkpoint of a smaller model that opens, predicts and trains on as any other,
// and says what the model built with fewer channels says with the same weights.
// Parameters, states, optimizer slots and masks shrink with the functions. What
// cannot be removed is refused with the op that holds it; path is written whole
// or not at all.
func (m *Model) RemoveChannels(path string, cuts ...ChannelCut) error {
	a, err := m.axes()
	if err != nil {
		return err
	}
	s := *m.s
	if s.program, s.values, err = a.Remove(m.s.values, cuts...); err != nil {
		d := diag.Errorf("channels", "%s: %w", m.path, err)
		var held *axes.HeldError
		if errors.As(err, &held) {
			return d.Hint("Remove channels of another axis: Channels lists those that can be removed.")
		}
		return d
	}
	s.model.Parameters, _ = countParams(s.program)
	s.run.Selection = nil // kernels were chosen for other shapes
	return s.write(path)
}

// write saves the content in a file of its own.
func (s *saved) write(path string) error {
	f, err := s.fixed()
	if err != nil {
		return err
	}
	lock, err := modelfmt.LockPath(path)
	if err != nil {
		return checkpointError(path, err)
	}
	defer func() { _ = lock.Unlock() }()
	async := modelfmt.NewAsyncWriter(nil)
	snap := async.Snapshot()
	if err := fill(snap, f, &saveSet{state: s.run, vals: s.values}); err != nil {
		snap.Discard()
		return fmt.Errorf("writing %s: %w", path, err)
	}
	snap.Run(func() error { return snap.Write(path, modelfmt.WriterOptions{Lock: lock}).Err })
	if err := async.Wait(); err != nil {
		return checkpointError(path, err)
	}
	return nil
}
