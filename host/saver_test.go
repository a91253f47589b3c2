package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hone-ml/hone/modelfmt"
)

// files lists a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range list {
		out = append(out, d.Name())
	}
	return out
}

// sound opens a checkpoint, with its base from its folder, checks every byte and
// returns the digest of its base.
func sound(t *testing.T, path string) (root, base modelfmt.Digest) {
	t.Helper()
	r, err := modelfmt.OpenWith(path, modelfmt.ReaderOptions{Base: modelfmt.BaseFolder(filepath.Dir(path))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.VerifyDeep(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	base, _ = r.Base()
	return r.Root(), base
}

func TestCheckpointsThatStay(t *testing.T) {
	const epochs = 9
	for _, c := range []struct {
		name, block             string
		last, best, every, full int
		due                     int
	}{
		{"last three", "keep = 3", 3, 0, 0, 1, 1},
		{"best two", "best {\n keep = 2\n }", 1, 2, 0, 1, 1},
		{"every fourth", "keep_every = 4", 1, 0, 4, 1, 1},
		{"all rules, differences", "keep = 2\n keep_every = 5\n full_every = 3\n best {\n keep = 2\n }", 2, 2, 5, 3, 1},
		{"seldom, differences", "every = 3\n keep = 2\n full_every = 4\n keep_every = 4\n best {\n keep = 1\n }", 2, 1, 4, 4, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "m.hone")
			var score []float64 // of the epochs
			kinds := map[int]string{}
			trainTo(t, digits(fmt.Sprint(epochs), "checkpoint {\n"+c.block+"\n}"), out, TrainOptions{Events: func(e Event) {
				switch e := e.(type) {
				case EpochEvent:
					score = append(score, float64(e.Metrics["val_loss"]))
				case CheckpointEvent:
					if e.Kind == "kept" {
						kinds[e.Epoch] = "whole"
						if e.Base != "" {
							kinds[e.Epoch] = "difference"
						}
					}
				}
			}})

			// What the rules say, epoch by epoch, as one would with pencil and paper.
			stays := map[int]bool{}
			base := map[int]int{} // of an epoch's difference
			whole := 0
			for e := 1; e <= epochs; e++ {
				set := append([]int{}, e)
				for k := range stays {
					set = append(set, k)
				}
				top := func(n int) []int {
					s := slices.Clone(set)
					sort.Slice(s, func(i, j int) bool { return score[s[i]-1] < score[s[j]-1] })
					return s[:min(n, len(s))]
				}
				due := e%c.due == 0 || e == epochs || c.every > 0 && e%c.every == 0
				if !due && !slices.Contains(top(c.best), e) {
					continue
				}
				if c.full > 1 && whole > 0 && e-whole < c.full*c.due {
					base[e] = whole
				} else {
					whole = e
				}
				sort.Ints(set)
				next := map[int]bool{}
				for _, k := range set[max(len(set)-c.last, 0):] {
					next[k] = true
				}
				for _, k := range top(c.best) {
					next[k] = true
				}
				for _, k := range set {
					if c.every > 0 && k%c.every == 0 {
						next[k] = true
					}
				}
				for k := range next {
					if base[k] != 0 {
						next[base[k]] = true
					}
				}
				stays = next
			}
			want := []string{"m.hone"}
			if strings.Contains(c.block, "best") {
				want = append(want, "m.best.hone")
			}
			for e := range stays {
				want = append(want, fmt.Sprintf("m.epoch%04d.hone", e))
			}
			sort.Strings(want)
			got := files(t, dir)
			if !slices.Equal(got, want) {
				t.Fatalf("the folder has %v\nwanted %v", got, want)
			}
			roots := map[int]modelfmt.Digest{}
			for e := range stays {
				root, _ := sound(t, filepath.Join(dir, fmt.Sprintf("m.epoch%04d.hone", e)))
				roots[e] = root
			}
			for e := range stays {
				_, b := sound(t, filepath.Join(dir, fmt.Sprintf("m.epoch%04d.hone", e)))
				if b != roots[base[e]] {
					t.Errorf("epoch %d has the base %s, wanted that of epoch %d", e, b, base[e])
				}
				if (kinds[e] == "difference") != (base[e] != 0) {
					t.Errorf("the event of epoch %d tells of a %s checkpoint", e, kinds[e])
				}
			}
			if root, b := sound(t, out); root != roots[epochs] || b != (modelfmt.Digest{}) {
				t.Error("the last checkpoint is not the last epoch's, whole")
			}
		})
	}
}

func TestResumeFromADifference(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	keep := "checkpoint {\n keep = 3\n full_every = 4\n }"
	whole := at("whole.hone")
	trainTo(t, digits("6", keep), whole, TrainOptions{})
	delta := at("whole.epoch0006.hone")
	if _, b := sound(t, delta); b == (modelfmt.Digest{}) {
		t.Fatalf("%s is no difference: %v", delta, files(t, dir))
	}

	// A run that stopped after its fourth epoch goes on from the difference of its second.
	text := digits("6", keep)
	out := at("part.hone")
	_, err := load(t, text, Options{}).Train(context.Background(), TrainOptions{Out: out, stopAfter: 3 * 41})
	if !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	second := at("part.epoch0002.hone")
	if _, b := sound(t, second); b == (modelfmt.Digest{}) {
		t.Fatal("the second epoch's checkpoint is whole")
	}
	trainTo(t, text, at("part.hone"), TrainOptions{Resume: second})
	sameTensors(t, whole, out)
	for _, f := range files(t, dir) {
		sound(t, at(f))
	}

	// Without its base it says which one it needs; with another in its place too.
	_, want := sound(t, delta)
	if err := os.Rename(at("whole.epoch0005.hone"), at("elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"absent", "another"} {
		if name == "another" {
			b, err := os.ReadFile(at("part.epoch0005.hone"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at("whole.epoch0005.hone"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		_, err = load(t, text, Options{}).Train(context.Background(), TrainOptions{Out: at("x.hone"), Resume: delta})
		if err == nil || !strings.Contains(err.Error(), want.String()) || !strings.Contains(err.Error(), delta) {
			t.Errorf("%s base: %v", name, err)
		}
	}
}

// TestANewRunReplacesTheOldOnesCheckpoints trains twice under one name: nothing of
// the first run stays to be taken for the second's.
func TestANewRunReplacesTheOldOnesCheckpoints(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "m.hone")
	trainTo(t, digits("5", "checkpoint {\n keep = 4\n full_every = 4\n }"), out, TrainOptions{})
	// What a killed writer leaves.
	for _, name := range []string{".m.epoch0009.hone.tmp-0123456789abcdef", ".m.epoch0009.hone.lock"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	foreign := filepath.Join(dir, "m.epochs.hone")
	if err := os.WriteFile(foreign, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	trainTo(t, digits("2", "checkpoint {\n keep = 2\n }"), out, TrainOptions{})
	want := []string{"m.epoch0001.hone", "m.epoch0002.hone", "m.epochs.hone", "m.hone"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("the folder has %v, wanted %v", got, want)
	}
}

// TestResumeElsewhereTakesTheBestAlong restores a best epoch that lies before the
// interruption, under another name, and never one of another run.
func TestResumeElsewhereTakesTheBestAlong(t *testing.T) {
	text := digits("30", "early_stopping {\n patience = 2\n min_delta = 0.05\n restore_best = true\n }")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	whole := trainTo(t, text, at("whole.hone"), TrainOptions{})
	if whole.Stopped != "early_stopping" {
		t.Fatalf("%+v", whole)
	}
	// The run's best epoch is two before its last: stop in between.
	stop := uint64(whole.Epochs-1)*41 + 5
	if _, err := load(t, text, Options{}).Train(context.Background(), TrainOptions{Out: at("part.hone"), stopAfter: stop}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	// A stranger's best checkpoint lies where the resumed run's will.
	other := strings.Replace(text, "train {", "train {\n seed = 9\n", 1)
	trainTo(t, other, at("again.hone"), TrainOptions{})
	trainTo(t, text, at("again.hone"), TrainOptions{Resume: at("part.hone")})
	sameTensors(t, at("whole.hone"), at("again.hone"))
	sameTensors(t, at("whole.best.hone"), at("again.best.hone"))

	// Where it is nowhere, the run says so and keeps its last epoch.
	if err := os.Remove(at("part.best.hone")); err != nil {
		t.Fatal(err)
	}
	warned := false
	r := trainTo(t, text, at("lone.hone"), TrainOptions{Resume: at("part.hone"), Events: func(e Event) {
		if w, ok := e.(WarningEvent); ok && len(w.Diagnostics) > 0 && w.Diagnostics[0].Code == "restore_best" {
			warned = true
		}
	}})
	if !warned || r.Checkpoint != at("lone.hone") {
		t.Errorf("warned %v, %+v", warned, r)
	}
	sound(t, at("lone.hone"))
}

// TestCheckpointsInTheWorkingFolder names the checkpoint without a folder.
func TestCheckpointsInTheWorkingFolder(t *testing.T) {
	p := load(t, digits("3", "checkpoint {\n keep = 2\n full_every = 3\n }"), Options{})
	t.Chdir(t.TempDir())
	if _, err := p.Train(context.Background(), TrainOptions{Out: "m.hone"}); err != nil {
		t.Fatal(err)
	}
	if got, want := files(t, "."), []string{"m.epoch0001.hone", "m.epoch0002.hone", "m.epoch0003.hone", "m.hone"}; !slices.Equal(got, want) {
		t.Errorf("the folder has %v, wanted %v", got, want)
	}
	m, err := Open("m.epoch0003.hone", Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if _, err := p.Train(context.Background(), TrainOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := filepath.Glob("runs/net-*/epoch000[123].hone"); err != nil || len(got) != 3 {
		t.Errorf("the run's folder has %v", got)
	}
}

// disk is the real file system, with hooks where tests want them.
type disk struct {
	create func(name string) error
	sync   func(name string)
}

func (d disk) CreateNew(name string, mode fs.FileMode) (modelfmt.File, error) {
	if d.create != nil {
		if err := d.create(name); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	return diskFile{f, d}, err
}
func (disk) Stat(name string) (fs.FileInfo, error)     { return os.Stat(name) }
func (disk) Rename(a, b string) error                  { return os.Rename(a, b) }
func (disk) Remove(name string) error                  { return os.Remove(name) }
func (disk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }
func (disk) SyncDir(string) error                      { return nil }

type diskFile struct {
	*os.File
	d disk
}

func (f diskFile) Sync() error {
	if f.d.sync != nil {
		f.d.sync(f.Name())
	}
	return f.File.Sync()
}

var errNoSpace = errors.New("no space left on device")

func TestAFailingWriteStopsTheTraining(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "m.hone")
	var n atomic.Int32
	var epochs int
	o := TrainOptions{Out: out, pace: -1, fs: disk{create: func(string) error {
		if n.Add(1) == 3 {
			return errNoSpace
		}
		return nil
	}}, Events: func(e Event) {
		if _, ok := e.(EpochEvent); ok {
			epochs++
		}
	}}
	r, err := load(t, digits("12", ""), Options{}).Train(context.Background(), o)
	if !errors.Is(err, errNoSpace) || !strings.Contains(err.Error(), out) {
		t.Fatalf("got %v", err)
	}
	if epochs >= 12 {
		t.Error("the training went on to its end")
	}
	sound(t, out)
	if r == nil || r.Checkpoint != out {
		t.Errorf("result %+v", r)
	}
	if got := files(t, dir); !slices.Equal(got, []string{"m.hone"}) {
		t.Errorf("the folder has %v", got)
	}
}

func TestAFailingWriteIsBorne(t *testing.T) {
	dir := t.TempDir()
	out, plain := filepath.Join(dir, "m.hone"), filepath.Join(dir, "plain.hone")
	bear := "checkpoint {\n on_error = \"continue\"\n keep = 2\n full_every = 3\n }"
	var n atomic.Int32
	fails := 0
	trainTo(t, digits("8", bear), out, TrainOptions{fs: disk{create: func(string) error {
		if k := n.Add(1); k > 2 && k < 9 {
			return errNoSpace
		}
		return nil
	}}, Events: func(e Event) {
		if w, ok := e.(WarningEvent); ok && errors.Is(w.Diagnostics, errNoSpace) {
			fails++
		}
	}})
	if fails == 0 {
		t.Error("no failure was reported")
	}
	trainTo(t, digits("8", ""), plain, TrainOptions{})
	sameTensors(t, plain, out)
	for _, f := range files(t, dir) {
		sound(t, filepath.Join(dir, f))
	}
}

// TestTheLastWriteIsNotBorne has a disk that stays full: a run whose result is
// nowhere has failed, whatever on_error says.
func TestTheLastWriteIsNotBorne(t *testing.T) {
	dir := t.TempDir()
	o := TrainOptions{Out: filepath.Join(dir, "m.hone"), fs: disk{create: func(string) error { return errNoSpace }}}
	r, err := load(t, digits("2", "checkpoint {\n on_error = \"continue\"\n }"), Options{}).Train(context.Background(), o)
	if !errors.Is(err, errNoSpace) {
		t.Fatalf("got %v", err)
	}
	if r == nil || r.Checkpoint != "" || r.Epochs != 2 {
		t.Errorf("result %+v", r)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("the folder has %v", got)
	}
}

// TestASlowDiskDoesNotHoldTheTrainingUp has a disk that finishes the first
// checkpoint only when the training has gone five epochs further.
func TestASlowDiskDoesNotHoldTheTrainingUp(t *testing.T) {
	out := filepath.Join(t.TempDir(), "m.hone")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	release := make(chan struct{})
	var syncs atomic.Int32
	o := TrainOptions{Out: out, fs: disk{sync: func(string) {
		if syncs.Add(1) == 1 {
			<-release
		}
	}}, Events: func(e Event) {
		if e, ok := e.(EpochEvent); ok && e.Epoch == 6 {
			close(release)
		}
	}}
	if _, err := load(t, digits("9", ""), Options{}).Train(ctx, o); err != nil {
		t.Fatal(err)
	}
	if n := syncs.Load(); n > 6 {
		t.Errorf("%d checkpoints were written, though five were passed over", n)
	}
	whole := filepath.Join(t.TempDir(), "w.hone")
	trainTo(t, digits("9", ""), whole, TrainOptions{})
	sameTensors(t, whole, out)
}

// TestWritingRests has a run that rests after its first write for as long as it
// lasts: what waits is written when it ends, and numbered checkpoints do not wait.
func TestWritingRests(t *testing.T) {
	for _, c := range []struct {
		name, block string
		last, kept  []int
	}{
		{"one file", "", []int{1, 7}, nil},
		{"numbered", "checkpoint {\n keep_every = 3\n every = 3\n}", []int{3, 6, 7}, []int{3, 6, 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			var last, kept []int
			trainTo(t, digits("7", c.block), filepath.Join(dir, "m.hone"), TrainOptions{pace: 1e6, Events: func(e Event) {
				if e, ok := e.(CheckpointEvent); ok {
					switch e.Kind {
					case "last":
						last = append(last, e.Epoch)
					case "kept":
						kept = append(kept, e.Epoch)
					}
				}
			}})
			if !slices.Equal(last, c.last) || !slices.Equal(kept, c.kept) {
				t.Errorf("last %v, wanted %v; numbered %v, wanted %v", last, c.last, kept, c.kept)
			}
			trainTo(t, digits("7", ""), filepath.Join(dir, "w.hone"), TrainOptions{pace: -1})
			sameTensors(t, filepath.Join(dir, "w.hone"), filepath.Join(dir, "m.hone"))
		})
	}
}
