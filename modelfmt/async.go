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
// Its methods are for one goroutine, which saves, runs or discards a snapshot
// before it asks for the next or waits.
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
	s.entries, s.manifest, s.whole = s.entries[:0], s.manifest[:0], ""
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
	whole    string // a file that has been written, with no base
}

type snapshotEntry struct {
	blob bool
	info TensorInfo
	data []byte
	own  []byte // memory for a copy, kept from one snapshot to the next
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
	s.add(true, TensorInfo{Name: name}).copy(data)
}

// AddTensor copies the dense bytes of a tensor, which may change as soon as it
// returns.
func (s *Snapshot) AddTensor(info TensorInfo, data []byte) {
	s.add(false, info).copy(data)
}

// ShareBlob adds a blob without a copy: data must not change until the save ends.
func (s *Snapshot) ShareBlob(name string, data []byte) {
	s.add(true, TensorInfo{Name: name}).data = data
}

// ShareTensor adds a tensor without a copy: data must not change until the save
// ends.
func (s *Snapshot) ShareTensor(info TensorInfo, data []byte) {
	s.add(false, info).data = data
}

func (s *Snapshot) add(blob bool, info TensorInfo) *snapshotEntry {
	// A training run saves the same tensors again and again: the memory of the
	// last snapshot's entry in this place mostly fits.
	n := len(s.entries)
	if n < cap(s.entries) {
		s.entries = s.entries[:n+1]
	} else {
		s.entries = append(s.entries, snapshotEntry{})
	}
	e := &s.entries[n]
	info.Shape = slices.Clone(info.Shape)
	e.blob, e.info = blob, info
	return e
}

func (e *snapshotEntry) copy(data []byte) {
	e.own = append(e.own[:0], data...)
	e.data = e.own
}

// Save starts writing the snapshot to path and returns at once. The snapshot must
// not be used afterwards.
func (s *Snapshot) Save(path string, opts WriterOptions) {
	s.Run(func() error { return s.Write(path, opts).Err })
}

// Run calls f on a goroutine and returns at once. f writes the snapshot with
// [Snapshot.Write], to as many files as it likes; its error is what Wait returns.
// The caller must not use the snapshot afterwards.
func (s *Snapshot) Run(f func() error) {
	a := s.owner
	go func() {
		if err := f(); err != nil {
			a.errs = append(a.errs, err)
		}
		for i := range s.entries {
			s.entries[i].data = nil // what was shared is no longer held
		}
		a.slots <- s
	}()
}

// Write writes the snapshot to path, and returns when the file is durable. The
// second whole file of a snapshot is a copy of the first, byte for byte, and not
// compressed anew.
func (s *Snapshot) Write(path string, opts WriterOptions) Saved {
	done := Saved{Path: path}
	if s.whole != "" && opts.Base == nil && opts.ChunkSize == 0 {
		if done.Root, done.Size, done.Err = copyFile(s.whole, path, opts); done.Err == nil {
			return s.told(done)
		}
		done = Saved{Path: path} // the first may have gone meanwhile
	}
	w, err := Create(path, opts)
	if err != nil {
		done.Err = err
		return s.told(done)
	}
	defer w.Abort()
	if done.Err = s.writeTo(w); done.Err != nil {
		done.Err = fmt.Errorf("write checkpoint %s: %w", path, done.Err)
		return s.told(done)
	}
	if done.Err = w.Commit(); done.Err == nil {
		done.Root, done.Size = w.Root(), w.Size()
		if opts.Base == nil && opts.ChunkSize == 0 {
			s.whole = path
		}
	}
	return s.told(done)
}

func (s *Snapshot) told(done Saved) Saved {
	if s.owner.report != nil {
		s.owner.report(done)
	}
	return done
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
