package host

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/plugins/builtin"
	"github.com/hone-ml/hone/sdk"
)

var bundle sdk.Bundle

func TestMain(m *testing.M) {
	bundle = builtin.Main()
	os.Exit(m.Run())
}

// spec writes a spec into a folder of the test and loads it.
func load(t *testing.T, text string, o Options) *Project {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.hone.hcl")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if o.Builtin.Plugins == nil {
		o.Builtin = bundle
	}
	p, err := Load(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// digitsSpec is a small network on the digits with everything that draws or
// remembers: dropout, batch norm, momentum, a schedule, a remainder batch.
const digitsSpec = `
data "digits" "digits" {
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 16
  }
  split {
    test = 0.2
  }
}
model "net" {
  input "image" {}
  layer "flatten" "flat" {}
  layer "dense" "hidden" {
    units = 24
    activation = "relu"
    kernel_regularizer "l2" {
      l2 = 0.0001
    }
  }
  layer "batch_norm" "norm" {}
  layer "dropout" "drop" {
    rate = 0.2
  }
  layer "dense" "logits" {
    units = 10
  }
}
train {
  epochs           = EPOCHS
  batch_size       = 32
  validation_split = 0.1
  clip_norm        = 5
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {
    learning_rate "cosine_decay" {
      initial_learning_rate = 0.01
    }
  }
  metrics = ["accuracy"]
  MORE
}
`

func digits(epochs, more string) string {
	return strings.NewReplacer("EPOCHS", epochs, "MORE", more).Replace(digitsSpec)
}

// tensors reads all tensors of a checkpoint.
func tensors(t *testing.T, path string) map[string][]byte {
	t.Helper()
	r, err := modelfmt.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string][]byte{}
	for _, i := range r.Tensors() {
		if out[i.Name], err = r.ReadTensor(i.Name, nil); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func sameTensors(t *testing.T, a, b string) {
	t.Helper()
	x, y := tensors(t, a), tensors(t, b)
	if len(x) != len(y) {
		t.Errorf("%d tensors and %d", len(x), len(y))
	}
	for name, v := range x {
		if !bytes.Equal(v, y[name]) {
			t.Errorf("tensor %q differs", name)
		}
	}
}

func TestDigitsFromGo(t *testing.T) {
	ctx := context.Background()
	out := filepath.Join(t.TempDir(), "d.hone")
	p, err := Load(filepath.Join("..", "examples", "digits"), Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	r, err := p.Train(ctx, TrainOptions{Out: out, Events: func(e Event) {
		names = append(names, e.EventName())
		b, err := MarshalEvent(e, time.Now())
		if err != nil || !json.Valid(b) {
			t.Errorf("event %s: %s, %v", e.EventName(), b, err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if acc := float64(r.Metrics["test_accuracy"]); acc < 0.96 {
		t.Errorf("held-out accuracy is %.4f, want at least 0.96", acc)
	}
	if names[0] != "start" || !strings.Contains(strings.Join(names, " "), "epoch checkpoint") {
		t.Errorf("events: %v", names)
	}
	m, err := Open(out, Options{NoPlugins: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e, err := m.Evaluate(ctx, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if e.Metrics["accuracy"] != r.Metrics["test_accuracy"] {
		t.Errorf("eval gives %v, training gave %v", e.Metrics["accuracy"], r.Metrics["test_accuracy"])
	}
}

func TestResumeEqualsTheUnbrokenRun(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.hone")
	w, err := load(t, digits("4", ""), Options{}).Train(ctx, TrainOptions{Out: whole})
	if err != nil {
		t.Fatal(err)
	}
	// 1,294 examples are 40 batches of 32 and one of 14: step 41 is the remainder.
	for _, stop := range []uint64{1, 7, 40, 41, 50, 82, 120} {
		part := filepath.Join(dir, "part.hone")
		_, err := load(t, digits("4", ""), Options{}).Train(ctx, TrainOptions{Out: part, stopAfter: stop})
		if !errors.Is(err, ErrInterrupted) {
			t.Fatalf("stopping after step %d: %v", stop, err)
		}
		again := filepath.Join(dir, "again.hone")
		r, err := load(t, digits("4", ""), Options{NoPlugins: true}).Train(ctx, TrainOptions{Out: again, Resume: part})
		if err != nil {
			t.Fatalf("resuming after step %d: %v", stop, err)
		}
		sameTensors(t, whole, again)
		if r.Metrics["test_loss"] != w.Metrics["test_loss"] || r.Metrics["val_loss"] != w.Metrics["val_loss"] {
			t.Errorf("after step %d: metrics %v, the unbroken run has %v", stop, r.Metrics, w.Metrics)
		}
		for _, f := range []string{part, again} {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestResumeWithoutACountOfUpdates resumes what a hone wrote that counted updates
// only where several batches made one: Adam's bias correction goes on from the steps.
func TestResumeWithoutACountOfUpdates(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	whole, part, old, again := filepath.Join(dir, "whole.hone"), filepath.Join(dir, "part.hone"), filepath.Join(dir, "old.hone"), filepath.Join(dir, "again.hone")
	trainTo(t, digits("2", ""), whole, TrainOptions{})
	if _, err := load(t, digits("2", ""), Options{}).Train(ctx, TrainOptions{Out: part, stopAfter: 30}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	m, err := Open(part, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := *m.s
	s.values = slices.DeleteFunc(slices.Clone(s.values), func(v train.Value) bool { return v.Name == "run:update" })
	if len(s.values) != len(m.s.values)-1 {
		t.Fatal("the checkpoint has no count of updates to leave out")
	}
	if err := s.write(old); err != nil {
		t.Fatal(err)
	}
	trainTo(t, digits("2", ""), again, TrainOptions{Resume: old})
	sameTensors(t, whole, again)
}

func TestResumeAfterEarlyStopping(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	impatient := `early_stopping {
    monitor  = "val_loss"
    patience = 1
    min_delta = 0.05
  }`
	first, whole, again := filepath.Join(dir, "a.hone"), filepath.Join(dir, "b.hone"), filepath.Join(dir, "c.hone")
	r, err := load(t, digits("30", impatient), Options{}).Train(ctx, TrainOptions{Out: first})
	if err != nil {
		t.Fatal(err)
	}
	if r.Stopped != "early_stopping" || r.Epochs >= 30 {
		t.Fatalf("stopped %q after %d epochs", r.Stopped, r.Epochs)
	}
	// As many epochs more without stopping equal one run of that length: the
	// schedule sees the same total.
	if _, err := load(t, digits("30", ""), Options{}).Train(ctx, TrainOptions{Out: whole}); err != nil {
		t.Fatal(err)
	}
	if _, err := load(t, digits("30", ""), Options{}).Train(ctx, TrainOptions{Out: again, Resume: first}); err != nil {
		t.Fatal(err)
	}
	sameTensors(t, whole, again)
}

func TestThreadsDoNotChangeBits(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	var first string
	for _, n := range []int{1, 2, 3} {
		out := filepath.Join(dir, string(rune('a'+n))+".hone")
		if _, err := load(t, digits("2", ""), Options{Threads: n}).Train(ctx, TrainOptions{Out: out}); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = out
			continue
		}
		sameTensors(t, first, out)
	}
}

func TestNotFiniteLossKeepsTheLastCheckpoint(t *testing.T) {
	ctx := context.Background()
	out := filepath.Join(t.TempDir(), "n.hone")
	text := strings.Replace(digits("3", ""), "initial_learning_rate = 0.01", "initial_learning_rate = 1e30", 1)
	text = strings.Replace(text, "clip_norm        = 5", "", 1)
	r, err := load(t, text, Options{}).Train(ctx, TrainOptions{Out: out})
	if !errors.Is(err, ErrNotFinite) {
		t.Fatalf("got %v", err)
	}
	if r == nil || r.Stopped != "not_finite" {
		t.Fatalf("result %+v", r)
	}
	if b, err := MarshalEvent(r, time.Now()); err != nil || !json.Valid(b) {
		t.Errorf("the result is no JSON: %s %v", b, err)
	}
	if r.Checkpoint != "" {
		if _, err := modelfmt.Open(r.Checkpoint); err != nil {
			t.Error(err)
		}
	}
}

func TestTwoRunsDoNotWriteOneCheckpoint(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.hone")
	l, err := modelfmt.LockPath(out)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	_, err = load(t, digits("1", ""), Options{}).Train(context.Background(), TrainOptions{Out: out})
	if err == nil || !errors.Is(err, modelfmt.ErrLocked) || !strings.Contains(err.Error(), out) {
		t.Errorf("got %v", err)
	}
}

func TestAFileThatIsNoCheckpointIsNotReplaced(t *testing.T) {
	out := filepath.Join(t.TempDir(), "thesis.txt")
	if err := os.WriteFile(out, []byte("years of work"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := load(t, digits("1", ""), Options{}).Train(context.Background(), TrainOptions{Out: out})
	if err == nil || !strings.Contains(err.Error(), "thesis.txt exists") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(out); err != nil || string(text) != "years of work" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestInspectCountsTheExamplesOfTheTraining(t *testing.T) {
	p, err := Load(filepath.Join("..", "examples", "digits"), Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// 359 of 1,797 are the test part, a tenth of the others validates.
	if e := in.Examples; e["train"] != 1294 || e["validation"] != 144 || e["test"] != 359 {
		t.Errorf("examples %v", e)
	}
}

func TestBadInputSaysWhatAndWhere(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown layer", `layer "dense" "hidden"`, `layer "dens" "hidden"`, `Did you mean "dense"`},
		{"unknown argument", "units = 24", "unit = 24", `Did you mean "units"`},
		{"wrong type", "units = 24", `units = "many"`, "units"},
		{"out of range", "rate = 0.2", "rate = 1.5", "rate"},
		{"unknown loss", "sparse_categorical_crossentropy", "sparse_crossentropy", "there is no loss"},
		{"too few classes", "units = 10", "units = 5", "5 classes"},
		{"unknown column", `input "image"`, `input "picture"`, `picture`},
		{"too large", "units = 24", "units = 1000000000", "hidden.kernel f32[64, 1000000000]"},
		{"beyond all integers", "units = 24", "units = 4000000000000000000", "hidden"},
		{"unknown target", `data "digits" "digits" {`, "data \"digits\" \"digits\" {\n target = \"labe\"", `Did you mean "label"`},
		{"unknown metric", `["accuracy"]`, `["acuracy"]`, `Did you mean "accuracy"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(digits("1", ""), c.from, c.to, 1)
			path := filepath.Join(t.TempDir(), "bad.hone.hcl")
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			p, err := Load(path, Options{Builtin: bundle})
			if err == nil {
				_, err = p.Train(context.Background(), TrainOptions{Out: filepath.Join(t.TempDir(), "x.hone")})
			}
			if err == nil {
				t.Fatal("no error")
			}
			var b bytes.Buffer
			WriteError(&b, err, p.Sources(), 100, false)
			if !strings.Contains(b.String(), c.want) || !strings.Contains(b.String(), "bad.hone.hcl:") && c.name != "too few classes" {
				t.Errorf("the message is\n%s\nand lacks %q or the line", b.String(), c.want)
			}
		})
	}
}

func TestDamagedCheckpoints(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	out := filepath.Join(dir, "x.hone")
	if _, err := load(t, digits("1", ""), Options{}).Train(ctx, TrainOptions{Out: out}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.hone")
	try := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(bad, data, 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := Open(bad, Options{})
		if err == nil {
			m.Close()
			t.Errorf("%s: opened without an error", what)
			return
		}
		if !strings.Contains(err.Error(), "bad.hone") {
			t.Errorf("%s: the message does not name the file: %v", what, err)
		}
	}
	for i := 1; i < 10; i++ {
		try("cut", b[:len(b)*i/10])
	}
	for i := 0; i < len(b); i += 97 {
		c := bytes.Clone(b)
		c[i] ^= 1 << (i % 8)
		try("flipped bit", c)
	}
}
