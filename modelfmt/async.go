package modelfmt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// AsyncWriter saves behind the caller's back: a [Snapshot] copies what is to be
// saved, and a goroutine compresses and writes it while the caller goes on. At
// most one save is under way, and one snapshot's memory is kept for reuse.
//
// A failed save changes nothing on disk. It is reported to the function given to
// [NewAsyncWriter] and by the next [AsyncWriter.Wait]; whether to stop or to go
// on is the caller's choice.
//
// Its methods are for one goroutine, which saves or discards a snapshot before it
// asks for the next or waits.
type AsyncWriter struct {
	report func(Saved)
	slots  chan *Snapshot // the one snapshot, when it is free
	errs   []error        // guarded by holding the snapshot
}

// Saved tells how a save ended.
type Saved struct {
	// Path was to be written.
	Path string
	// Root and Size describe the file when Err is nil.
	Root Digest
	Size int64
	// Err is why the file was not written; the former one is still there.
	Err error
}

// NewAsyncWriter returns a writer that calls report, unless it is nil, after each
// save, on the goroutine of the save.
func NewAsyncWriter(report func(Saved)) *AsyncWriter {
	a := &AsyncWriter{report: report, slots: make(chan *Snapshot, 1)}
	a.slots <- &Snapshot{owner: a}
	return a
}

// Busy reports whether a save is under way, so that [AsyncWriter.Snapshot] would
// wait.
func (a *AsyncWriter) Busy() bool { return len(a.slots) == 0 }

// Snapshot returns an empty snapshot, after the save under way has ended. The
// caller fills it and hands it to [Snapshot.Save] or [Snapshot.Discard].
func (a *AsyncWriter) Snapshot() *Snapshot {
	s := <-a.slots
	s.entries, s.manifest = s.entries[:0], s.manifest[:0]
	return s
}

// Wait waits for the save under way, and returns the failures since the last
// Wait. Call it before the process ends.
func (a *AsyncWriter) Wait() error {
	s := <-a.slots
	err := errors.Join(a.errs...)
	a.errs = nil
	a.slots <- s
	return err
}

// Snapshot is a checkpoint's content, copied into memory.
type Snapshot struct {
	owner    *AsyncWriter
	entries  []snapshotEntry
	manifest []manifestEntry
}

type snapshotEntry struct {
	blob bool
	info TensorInfo
	data []byte
}

type manifestEntry struct {
	section string
	value   json.RawMessage
}

// SetManifest is as [Writer.SetManifest]. Errors show when the save runs.
func (s *Snapshot) SetManifest(section string, value json.RawMessage) {
	s.manifest = append(s.manifest, manifestEntry{section, slices.Clone(value)})
}

// AddBlob copies the bytes of a blob.
func (s *Snapshot) AddBlob(name string, data []byte) {
	s.add(true, TensorInfo{Name: name}, data)
}

// AddTensor copies the dense bytes of a tensor, which may change as soon as it
// returns.
func (s *Snapshot) AddTensor(info TensorInfo, data []byte) {
	info.Shape = slices.Clone(info.Shape)
	s.add(false, info, data)
}

func (s *Snapshot) add(blob bool, info TensorInfo, data []byte) {
	// A training run saves the same tensors again and again: the memory of the
	// last snapshot's entry in this place mostly fits.
	n := len(s.entries)
	if n < cap(s.entries) {
		s.entries = s.entries[:n+1]
	} else {
		s.entries = append(s.entries, snapshotEntry{})
	}
	e := &s.entries[n]
	e.blob, e.info = blob, info
	e.data = append(e.data[:0], data...)
}

// Save starts writing the snapshot to path and returns at once. The snapshot must
// not be used afterwards.
func (s *Snapshot) Save(path string, opts WriterOptions) {
	a := s.owner
	go func() {
		done := Saved{Path: path}
		defer func() {
			if done.Err != nil {
				a.errs = append(a.errs, done.Err)
			}
			if a.report != nil {
				a.report(done)
			}
			a.slots <- s
		}()
		w, err := Create(path, opts)
		if err != nil {
			done.Err = err
			return
		}
		defer w.Abort()
		if done.Err = s.writeTo(w); done.Err != nil {
			done.Err = fmt.Errorf("write checkpoint %s: %w", path, done.Err)
			return
		}
		if done.Err = w.Commit(); done.Err == nil {
			done.Root, done.Size = w.Root(), w.Size()
		}
	}()
}

// Discard gives an unused snapshot back.
func (s *Snapshot) Discard() { s.owner.slots <- s }

func (s *Snapshot) writeTo(w *Writer) error {
	for _, m := range s.manifest {
		if err := w.SetManifest(m.section, m.value); err != nil {
			return err
		}
	}
	for _, e := range s.entries {
		var err error
		if e.blob {
			err = w.AddBlob(e.info.Name, e.data)
		} else {
			err = w.AddTensor(e.info, e.data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
