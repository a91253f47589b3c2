package host

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func trainTo(t *testing.T, text, out string, o TrainOptions) *Result {
	t.Helper()
	o.Out = out
	r, err := load(t, text, Options{}).Train(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const phases = `phase "head" {
    epochs        = 1
    freeze        = ["hidden", "norm"]
    learning_rate = 0.01
  }
  phase "all" {
    epochs = 2
  }`

// phased is the digits spec with phases instead of epochs.
func phased() string {
	return strings.Replace(digits("0", phases), "epochs           = 0", "", 1)
}

func TestPhasesFreezeAndUnfreeze(t *testing.T) {
	dir := t.TempDir()
	start, first, whole := filepath.Join(dir, "0.hone"), filepath.Join(dir, "1.hone"), filepath.Join(dir, "2.hone")
	ctx := context.Background()
	if _, err := load(t, phased(), Options{}).Train(ctx, TrainOptions{Out: start, stopAfter: 1}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	if _, err := load(t, phased(), Options{}).Train(ctx, TrainOptions{Out: first, stopAfter: 41}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	r := trainTo(t, phased(), whole, TrainOptions{})
	if r.Epochs != 3 {
		t.Errorf("%d epochs", r.Epochs)
	}
	a, b, c := tensors(t, start), tensors(t, first), tensors(t, whole)
	for _, name := range []string{"hidden.kernel", "norm.gamma", "norm.moving_mean"} {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%q moved while it was frozen", name)
		}
		if bytes.Equal(b[name], c[name]) {
			t.Errorf("%q did not move once it was free", name)
		}
	}
	if bytes.Equal(a["logits.kernel"], b["logits.kernel"]) {
		t.Error("the head did not move")
	}
	// Interrupted at and after the border between the phases, the bits are the same.
	for _, stop := range []uint64{20, 41, 60} {
		part, again := filepath.Join(dir, "part.hone"), filepath.Join(dir, "again.hone")
		if _, err := load(t, phased(), Options{}).Train(ctx, TrainOptions{Out: part, stopAfter: stop}); !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		trainTo(t, phased(), again, TrainOptions{Resume: part})
		sameTensors(t, whole, again)
	}
}

func TestAPatternThatFitsNothingIsAnError(t *testing.T) {
	text := strings.Replace(phased(), `["hidden", "norm"]`, `["hiden"]`, 1)
	_, err := load(t, text, Options{}).Train(context.Background(), TrainOptions{Out: filepath.Join(t.TempDir(), "x.hone")})
	if err == nil || !strings.Contains(err.Error(), "hiden") {
		t.Errorf("got %v", err)
	}
}

// plain is a network without randomness, for comparing trainings.
const plain = `
data "digits" "digits" {
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 16
  }
}
model "net" {
  input "image" {}
  layer "flatten" "flat" {}
  layer "dense" "hidden" {
    units = 16
    activation = "tanh"
  }
  layer "dense" "logits" {
    units = 10
  }
}
train {
  epochs     = 1
  batch_size = BATCH
  shuffle    = false
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "sgd" {
    learning_rate = 0.1
    momentum      = 0.9
  }
  MORE
}
`

func TestAccumulationEqualsTheLargerBatch(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.hone"), filepath.Join(dir, "b.hone")
	text := func(batch, more string) string {
		return strings.NewReplacer("BATCH", batch, "MORE", more).Replace(plain)
	}
	// 1,797 = 56 * 32 + 5: both leave the last five examples without an update
	// of their own only in the accumulating run, so compare before them.
	ctx := context.Background()
	if _, err := load(t, text("32", ""), Options{}).Train(ctx, TrainOptions{Out: a, stopAfter: 56}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	if _, err := load(t, text("16", "accumulate = 2"), Options{}).Train(ctx, TrainOptions{Out: b, stopAfter: 112}); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	x, y := floats(t, a, "hidden.kernel"), floats(t, b, "hidden.kernel")
	for i := range x {
		if math.Abs(x[i]-y[i]) > 2e-6 {
			t.Fatalf("weight %d: %v with batches of 32, %v with two of 16", i, x[i], y[i])
		}
	}
}

func floats(t *testing.T, path, name string) []float64 {
	t.Helper()
	b := tensors(t, path)[name]
	v := Tensor{DType: 2, Data: b} // f32
	out := make([]float64, v.Len())
	for i := range out {
		out[i] = v.Float(i)
	}
	return out
}

func TestInitFromTakesWeightsByName(t *testing.T) {
	dir := t.TempDir()
	src := filepath.Join(dir, "src.hone")
	base := strings.NewReplacer("BATCH", "32", "MORE", "").Replace(plain)
	trainTo(t, base, src, TrainOptions{})
	other := strings.NewReplacer("BATCH", "32", "MORE", `init_from {
    path = "`+filepath.ToSlash(src)+`"
    map  = { hidden = "body" }
    cut  = "logits"
  }`).Replace(plain)
	other = strings.Replace(other, `"dense" "hidden"`, `"dense" "body"`, 1)
	out := filepath.Join(dir, "out.hone")
	var init InitEvent
	_, err := load(t, other, Options{}).Train(context.Background(), TrainOptions{Out: out, stopAfter: 1, Events: func(e Event) {
		if i, ok := e.(InitEvent); ok {
			init = i
		}
	}})
	if !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	if init.Taken != 2 {
		t.Errorf("%+v", init)
	}
	x, y := floats(t, src, "hidden.kernel"), floats(t, out, "body.kernel")
	for i := range x {
		if math.Abs(x[i]-y[i]) > 0.2 {
			t.Fatalf("weight %d: %v became %v in one step", i, x[i], y[i])
		}
	}
	wrong := strings.Replace(other, `"body" }`, `"nobody" }`, 1)
	_, err = load(t, wrong, Options{}).Train(context.Background(), TrainOptions{Out: filepath.Join(dir, "w.hone")})
	if err == nil || !strings.Contains(err.Error(), "init_from") && !strings.Contains(err.Error(), "body.kernel") {
		t.Errorf("got %v", err)
	}
}

func TestEMAIsEvaluated(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "e.hone")
	text := strings.NewReplacer("BATCH", "32", "MORE", "ema {\n decay = 0.99\n }\n metrics = [\"accuracy\"]").Replace(plain)
	trainTo(t, text, out, TrainOptions{})
	w, e := floats(t, out, "hidden.kernel"), floats(t, out, "hidden.kernel:ema")
	same := true
	for i := range w {
		same = same && w[i] == e[i]
	}
	if same {
		t.Error("the average is the parameter")
	}
	m, err := Open(out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Evaluate(context.Background(), "", Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestAugmentationDependsOnExampleAndEpochAlone(t *testing.T) {
	dir := t.TempDir()
	whole, part, again, plainRun := filepath.Join(dir, "w.hone"), filepath.Join(dir, "p.hone"), filepath.Join(dir, "a.hone"), filepath.Join(dir, "n.hone")
	text := strings.NewReplacer("BATCH", "32", "MORE", "", "epochs     = 1", "epochs     = 3").Replace(plain)
	flip := strings.Replace(text, "    scale   = 1 / 16\n  }", `    scale   = 1 / 16
  }
  transform "random_flip" {
    columns = ["image"]
  }`, 1)
	trainTo(t, flip, whole, TrainOptions{})
	trainTo(t, text, plainRun, TrainOptions{})
	if bytes.Equal(tensors(t, whole)["hidden.kernel"], tensors(t, plainRun)["hidden.kernel"]) {
		t.Error("the augmentation changes nothing")
	}
	for _, stop := range []uint64{10, 80} {
		if _, err := load(t, flip, Options{}).Train(context.Background(), TrainOptions{Out: part, stopAfter: stop}); !errors.Is(err, ErrInterrupted) {
			t.Fatal(err)
		}
		trainTo(t, flip, again, TrainOptions{Resume: part})
		sameTensors(t, whole, again)
	}
}

func TestRestoreBestEndsOnTheBestEpoch(t *testing.T) {
	out := filepath.Join(t.TempDir(), "r.hone")
	more := "early_stopping {\n monitor = \"val_loss\"\n patience = 1\n min_delta = 0.1\n restore_best = true\n }"
	r := trainTo(t, digits("20", more), out, TrainOptions{})
	if r.Stopped != "early_stopping" {
		t.Fatalf("%+v", r)
	}
	sameTensors(t, out, strings.TrimSuffix(out, ".hone")+".best.hone")
	m, err := Open(out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
}
