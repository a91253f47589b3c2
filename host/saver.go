package host

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/modelfmt"
)

// saver writes a run's checkpoints behind the training: the last, the best, and
// the numbered ones of single epochs that the spec lets stay. The training waits
// for the copy of its values alone. While one state is being written a newer one
// waits, and takes the place of an older one that waits for the same files; only
// a state that nothing newer replaces, such as a numbered one, is waited for. So
// at most three copies of the state are in memory.
//
// Where epochs are short, writing each would take a core from the training for
// most of the time: after a write that took t, the next state that can be replaced
// is begun 9 t later, so that writing takes a tenth of a core at most. What a crash
// may lose is those 9 t; the end of the run, however it ends, writes what waits.
type saver struct {
	async     *modelfmt.AsyncWriter
	fs        modelfmt.FileSystem // nil but in tests
	every     int                 // epochs between two saves
	fullEvery int                 // saves between two whole numbered checkpoints
	rule      modelfmt.Retention  // for the numbered ones
	prefix    string              // of their names; empty where none stay
	bear      bool                // a failed write does not stop the training

	durable place     // of the last checkpoint that is on disk
	pace    float64   // rest after a write, in times that it took
	rest    time.Time // before which a state that can be replaced is not begun
	waiting *saveSet
	running bool

	// Of the goroutine that writes, while there is one.
	kept     []modelfmt.Kept // numbered checkpoints of this run
	replaced []string        // numbered checkpoints of a run that this one replaces, newest first
	files    []savedFile
	notes    diag.Diagnostics
}

// place is a state of the training in a file.
type place struct {
	path  string
	epoch int
	step  uint64
}

// saveSet is one state and the files that it goes to.
type saveSet struct {
	state runState
	vals  []train.Value
	jobs  []saveJob
}

type saveJob struct {
	path, kind string // kind as in CheckpointEvent
}

type savedFile struct {
	saveJob
	modelfmt.Saved
	base  modelfmt.Digest
	epoch int
	step  uint64
}

// prepareSaver reads what the spec says of checkpoints, and finds those that a
// former run of this name has left.
func (r *run) prepareSaver() error {
	s := &r.saver
	*s = saver{async: modelfmt.NewAsyncWriter(nil), fs: r.o.fs, pace: 9, every: 1}
	if r.o.pace != 0 {
		s.pace = r.o.pace
	}
	// What killed runs left goes with the next run in their folder. Where that
	// cannot be, nothing depends on it.
	_ = modelfmt.Sweep(filepath.Dir(r.last))
	if r.o.Resume != "" {
		s.durable = place{r.o.Resume, r.state.Epoch, r.state.Step}
		_ = modelfmt.Sweep(filepath.Dir(r.o.Resume))
		r.adoptBest()
	}
	c := r.p.spec.Train.Checkpoint
	if c == nil {
		return nil
	}
	s.every, s.fullEvery, s.bear = max(c.Every, 1), c.FullEvery, c.OnError == "continue"
	if !c.Numbered() {
		return nil
	}
	s.rule = modelfmt.Retention{Last: max(c.Keep, 1), Every: int64(c.KeepEvery), LowerIsBetter: r.mode == "min"}
	if c.Best != nil {
		s.rule.Best = c.Best.Keep
	}
	s.prefix = strings.TrimSuffix(r.last, ".hone") + ".epoch"
	if r.o.Out == "" {
		s.prefix = filepath.Join(filepath.Dir(r.last), "epoch")
	}
	return s.scan(r.o.Resume != "", r.state.Epoch)
}

// adoptBest makes the best checkpoint of the run that is resumed that of this one,
// where the two go to different files.
func (r *run) adoptBest() {
	if r.best == "" || r.state.BestEpoch == 0 || r.holdsBest(r.best) {
		return
	}
	dir, name := filepath.Split(r.o.Resume)
	name, _, _ = strings.Cut(strings.TrimSuffix(name, ".hone"), ".epoch")
	for _, path := range []string{r.o.Resume, filepath.Join(dir, name+".best.hone"), filepath.Join(dir, "best.hone")} {
		if path != r.best && r.holdsBest(path) {
			err := modelfmt.CopyFile(context.Background(), path, r.best, modelfmt.WriterOptions{Lock: r.lockOf[r.best]})
			if err == nil {
				return
			}
			r.saver.notes.AppendErr(checkpointError(r.best, err))
		}
	}
}

// holdsBest reports whether a file is the whole checkpoint of the best epoch of
// this very run.
func (r *run) holdsBest(path string) bool {
	f, err := modelfmt.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var s runState
	ok, err := f.Section(sectionRun, &s)
	_, delta := f.Base()
	return ok && err == nil && !delta && s.Cursor == 0 && s.Epoch == r.state.BestEpoch && s.Monitored == r.state.Best && s.Seed == r.state.Seed && s.DataDigest == r.state.DataDigest
}

// bestThere reports whether the best epoch's checkpoint can be restored.
func (r *run) bestThere() bool {
	if r.best == "" {
		return false
	}
	if !r.holdsBest(r.best) {
		r.emit(WarningEvent{Diagnostics{diag.Warnf("restore_best", "%s does not hold epoch %d, which was the best; the last epoch's weights stay", r.best, r.state.BestEpoch).
			Hint("Resume under the name of the first run, or with its best checkpoint beside.")}})
		return false
	}
	return true
}

func (s *saver) numbered(epoch int) string { return fmt.Sprintf("%s%04d.hone", s.prefix, epoch) }

// scan lists the numbered checkpoints on disk: a resumed run goes on with those
// up to its epoch, all others are of a run that this one replaces.
func (s *saver) scan(resumed bool, epoch int) error {
	dir, base := filepath.Dir(s.prefix), filepath.Base(s.prefix)
	list, err := os.ReadDir(dir)
	if err != nil {
		return diag.Errorf("checkpoint", "cannot list the checkpoints of %s: %v", dir, err)
	}
	for _, d := range slices.Backward(list) {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(d.Name(), base), ".hone"))
		if err != nil || n < 1 {
			continue
		}
		path := s.numbered(n)
		switch {
		case d.Name() != filepath.Base(path):
		case !resumed || n > epoch:
			s.replaced = append(s.replaced, path)
		default:
			k, err := describe(path, n)
			if err != nil {
				s.notes.Append(diag.Warnf("checkpoint", "%s does not open and is left alone: %v", path, err).Hint("hone checkpoint verify tells what is hit."))
				continue
			}
			s.kept = append(s.kept, k)
		}
	}
	return nil
}

func describe(path string, epoch int) (modelfmt.Kept, error) {
	r, err := modelfmt.Open(path)
	if err != nil {
		return modelfmt.Kept{}, err
	}
	defer r.Close()
	var state runState
	if _, err := r.Section(sectionRun, &state); err != nil {
		return modelfmt.Kept{}, err
	}
	k := modelfmt.Kept{Path: path, Step: int64(epoch), Score: float64(state.Monitored), Root: r.Root()}
	k.Base, _ = r.Base()
	return k, nil
}

// save writes the last checkpoint where it is due, the best one where this is it,
// and a numbered one where the spec lets it stay. With final set it returns when
// all is durable, and no failure is borne.
func (r *run) save(ctx context.Context, best, final bool) error {
	s := &r.saver
	r.state.Metrics = r.result.Metrics
	epoch := r.state.Epoch
	whole := r.state.Cursor == 0
	due := final || !whole || epoch%s.every == 0 || epoch >= r.epochs || r.state.Stopped
	var jobs []saveJob
	if s.prefix != "" && whole {
		stays := due
		if !due {
			// Whether it is among the best is known once those before it are written.
			if err := s.settle(r); err != nil {
				return err
			}
			stays = s.stays(epoch, float64(r.state.Monitored))
		}
		if stays {
			jobs = append(jobs, saveJob{s.numbered(epoch), "kept"})
		}
	}
	if best && r.best != "" {
		jobs = append(jobs, saveJob{r.best, "best"})
	}
	if due {
		jobs = append(jobs, saveJob{r.last, "last"})
	}
	if len(jobs) > 0 {
		vals, err := r.trainer.Snapshot(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		set := &saveSet{state: r.state, vals: vals, jobs: jobs}
		set.state.History = slices.Clone(r.state.History)
		set.state.Metrics = map[string]Number{}
		for k, v := range r.state.Metrics {
			set.state.Metrics[k] = v
		}
		if err := s.offer(r, set); err != nil {
			return err
		}
	}
	if final {
		s.bear = false
		return s.settle(r)
	}
	return nil
}

// stays reports whether an epoch on which no checkpoint is due has one that the
// rules keep for its own sake.
func (s *saver) stays(epoch int, score float64) bool {
	if s.rule.Every > 0 && int64(epoch)%s.rule.Every == 0 {
		return true
	}
	best := modelfmt.Retention{Best: s.rule.Best, LowerIsBetter: s.rule.LowerIsBetter}
	gone := best.Remove(append(slices.Clone(s.kept), modelfmt.Kept{Path: s.numbered(epoch), Step: int64(epoch), Score: score}))
	return s.rule.Best > 0 && !math.IsNaN(score) && !slices.ContainsFunc(gone, func(k modelfmt.Kept) bool { return k.Step == int64(epoch) })
}

// offer takes a state to write.
func (s *saver) offer(r *run, set *saveSet) error {
	err := s.poll(r)
	if w := s.waiting; w != nil && !set.replaces(w) && err == nil {
		err = s.next(r)
	}
	s.waiting = set
	if err != nil {
		return err
	}
	return s.poll(r)
}

// replaces reports whether all files of w get the newer state too.
func (set *saveSet) replaces(w *saveSet) bool {
	return !slices.ContainsFunc(w.jobs, func(j saveJob) bool { return !slices.Contains(set.jobs, j) })
}

// numbered reports whether the set has a file that no newer state replaces.
func (set *saveSet) numbered() bool {
	return slices.ContainsFunc(set.jobs, func(j saveJob) bool { return j.kind == "kept" })
}

// poll goes on where it need not wait for it: it tells of files that have been
// written, and starts the state that waits, unless it is too early for that.
func (s *saver) poll(r *run) error {
	if s.running && s.async.Busy() {
		return nil
	}
	err := s.tell(r)
	if w := s.waiting; w != nil && err == nil && !w.numbered() && time.Now().Before(s.rest) {
		return nil
	}
	return cmp.Or(err, s.start(r))
}

// next waits for the state being written, tells of it, and starts the one that
// waits, even where that failed.
func (s *saver) next(r *run) error {
	err, serr := s.tell(r), s.start(r)
	return cmp.Or(err, serr)
}

// settle returns when nothing is left to write.
func (s *saver) settle(r *run) error {
	var first error
	for s.running || s.waiting != nil {
		if err := s.next(r); first == nil {
			first = err
		}
	}
	return first
}

// tell waits for the state being written, and emits what became of it. A file
// that could not be written is an error, unless failures are borne; the former
// one is untouched.
func (s *saver) tell(r *run) error {
	if s.running {
		_ = s.async.Wait() // the errors are with the files
		s.running = false
	}
	notes := s.notes
	s.notes = nil
	var diags diag.Diagnostics
	for _, f := range s.files {
		if f.Err != nil {
			diags.AppendErr(checkpointError(f.path, f.Err))
			continue
		}
		e := CheckpointEvent{Path: f.path, Kind: f.kind, Epoch: f.epoch, Step: f.step, Bytes: f.Size, Root: f.Root.String()}
		if f.base != (modelfmt.Digest{}) {
			e.Base = f.base.String()
		}
		switch f.kind {
		case "last":
			s.durable = place{f.path, f.epoch, f.step}
		case "best":
			r.result.Best = f.path
		}
		r.emit(e)
	}
	s.files = nil
	if diags.HasErrors() && s.bear {
		for _, d := range diags {
			d.Severity = diag.Warning
			notes.Append(d)
		}
		diags = nil
	}
	if len(notes) > 0 {
		r.emit(WarningEvent{notes})
	}
	return diags.Err()
}

// start hands the state that waits, if any does, to the writer's goroutine.
func (s *saver) start(r *run) error {
	set := s.waiting
	if set == nil {
		return nil
	}
	s.waiting = nil
	snap := s.async.Snapshot()
	if err := fill(snap, r.fixed, set); err != nil {
		snap.Discard()
		return err
	}
	s.running = true
	locks := r.lockOf
	snap.Run(func() error {
		began := time.Now()
		s.write(snap, set, locks)
		now := time.Now()
		s.rest = now.Add(time.Duration(s.pace * float64(now.Sub(began))))
		return nil
	})
	return nil
}

func fill(snap *modelfmt.Snapshot, f *fixed, set *saveSet) error {
	for name, b := range f.sections {
		snap.SetManifest(name, b)
	}
	b, err := json.Marshal(set.state)
	if err != nil {
		return fmt.Errorf("checkpoint section %q: %w", sectionRun, err)
	}
	snap.SetManifest(sectionRun, b)
	for _, name := range sortedKeys(f.blobs) {
		snap.ShareBlob(name, f.blobs[name])
	}
	for _, v := range set.vals {
		d, err := modelfmt.ParseDType(v.Tensor.DType.String())
		if err != nil {
			return err
		}
		shape := make([]int, len(v.Tensor.Shape))
		for i, e := range v.Tensor.Shape {
			shape[i] = int(e)
		}
		snap.ShareTensor(modelfmt.TensorInfo{Name: v.Name, DType: d, Shape: shape, Role: roleNames[v.Role]}, v.Tensor.Data)
	}
	return nil
}

// write writes the files of a state, in their order, and then deletes what the
// rules no longer keep.
func (s *saver) write(snap *modelfmt.Snapshot, set *saveSet, locks map[string]*modelfmt.Lock) {
	epoch := set.state.Epoch
	for _, j := range set.jobs {
		f := savedFile{saveJob: j, epoch: epoch, step: set.state.Step}
		o := modelfmt.WriterOptions{Lock: locks[j.path], FS: s.fs}
		if j.kind == "kept" {
			if o.Base = s.base(epoch); o.Base != nil {
				f.base = o.Base.Root()
			}
		}
		f.Saved = snap.Write(j.path, o)
		if o.Base != nil {
			o.Base.Close()
		}
		s.files = append(s.files, f)
		if f.Err == nil && j.kind == "kept" {
			s.kept = slices.DeleteFunc(s.kept, func(k modelfmt.Kept) bool { return k.Path == j.path })
			s.kept = append(s.kept, modelfmt.Kept{Path: j.path, Step: int64(epoch), Score: float64(set.state.Monitored), Root: f.Root, Base: f.base})
			s.prune()
		}
	}
}

// base opens the whole checkpoint to which the numbered one of an epoch is to be a
// difference: the newest, unless the spec wants a whole one again.
func (s *saver) base(epoch int) *modelfmt.Reader {
	if s.fullEvery <= 1 {
		return nil
	}
	var newest *modelfmt.Kept
	for i, k := range s.kept {
		if k.Base == (modelfmt.Digest{}) && k.Step < int64(epoch) && (newest == nil || k.Step > newest.Step) {
			newest = &s.kept[i]
		}
	}
	if newest == nil || int64(epoch)-newest.Step >= int64(s.fullEvery)*int64(s.every) {
		return nil
	}
	r, err := modelfmt.Open(newest.Path)
	if err == nil && r.Root() != newest.Root {
		r.Close()
		err = &modelfmt.BaseError{Want: newest.Root, Got: r.Root()}
	}
	if err != nil {
		s.notes.Append(diag.Warnf("checkpoint", "%s can be no base, so %s is whole: %v", newest.Path, s.numbered(epoch), err))
		return nil
	}
	return r
}

// prune deletes the numbered checkpoints that no rule keeps, and those of a run
// that this one replaces.
func (s *saver) prune() {
	removed, err := s.rule.Prune(s.kept)
	s.kept = slices.DeleteFunc(s.kept, func(k modelfmt.Kept) bool { return slices.Contains(removed, k.Path) })
	for _, path := range s.replaced {
		if !slices.ContainsFunc(s.kept, func(k modelfmt.Kept) bool { return k.Path == path }) {
			if rerr := modelfmt.Remove(path); err == nil {
				err = rerr
			}
		}
	}
	s.replaced = nil
	if err != nil {
		s.notes.Append(diag.Warnf("checkpoint", "an old checkpoint stays: %v", err))
	}
}
