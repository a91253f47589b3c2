package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hone-ml/hone/modelfmt"
)

func TestCheckpointVerbs(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "digits", "digits.hone.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	spec := strings.Replace(string(text), "train {", "train {\n  checkpoint {\n    keep       = 2\n    full_every = 8\n  }", 1)
	if err := os.WriteFile(at("digits.hone.hcl"), []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	ok := func(want string, args ...string) string {
		t.Helper()
		code, stdout, stderr := hone(t, args...)
		if code != 0 || !strings.Contains(stdout, want) {
			t.Fatalf("hone %v: exit %d, %q lacks %q\n%s", args, code, stdout, want, stderr)
		}
		return stdout
	}
	fails := func(code int, want string, args ...string) {
		t.Helper()
		if got, _, stderr := hone(t, args...); got != code || !strings.Contains(strings.Join(strings.Fields(stderr), " "), want) {
			t.Errorf("hone %v: exit %d, want %d; %q lacks %q", args, got, code, stderr, want)
		}
	}
	ok("checkpoint", "train", at("digits.hone.hcl"), "--out", at("m.hone"))
	deltas, err := filepath.Glob(at("m.epoch*.hone"))
	if err != nil || len(deltas) != 3 {
		t.Fatalf("%v, %v", deltas, err)
	}
	base, delta := deltas[0], deltas[2]
	r, err := modelfmt.Open(base)
	if err != nil {
		t.Fatal(err)
	}
	root := r.Root().String()
	r.Close()

	// A difference works where its base lies beside it, or is named.
	ok("difference to "+root, "checkpoint", "show", delta)
	ok("are sound", "checkpoint", "verify", "--deep", delta)
	ok("accuracy", "eval", delta)
	ok("21 tensors are the same", "checkpoint", "diff", delta, at("m.hone"))
	if err := os.Mkdir(at("alone"), 0o755); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(dir, "alone", "d.hone")
	if err := os.Rename(delta, alone); err != nil {
		t.Fatal(err)
	}
	ok("are sound", "checkpoint", "verify", alone)
	fails(1, root, "checkpoint", "verify", "--deep", alone)
	fails(1, root, "eval", alone)
	fails(1, root, "checkpoint", "flatten", alone, at("flat.hone"), "--base", at("m.hone"))
	if _, err := os.Stat(at("flat.hone")); err == nil {
		t.Error("a flattening that failed left a file")
	}
	ok("", "checkpoint", "flatten", alone, at("flat.hone"), "--base", base)
	ok("are the same", "checkpoint", "diff", at("flat.hone"), at("m.hone"))

	// There and back through other formats.
	index := at("w.safetensors.index.json")
	ok("4 tensors", "checkpoint", "convert", at("m.hone"), index, "--drop", "**:**", "--map", "logits.*=head.$1", "--shard", "9000")
	ok("head.kernel", "checkpoint", "show", index)
	fails(1, "it is there already", "checkpoint", "convert", at("m.hone"), index)
	fails(1, "match nothing", "checkpoint", "convert", at("m.hone"), at("x.npz"), "--map", "nobody=somebody")
	more := strings.Replace(spec, "train {", "train {\n  init_from {\n    path = \"w.safetensors.index.json\"\n    map  = { \"head\" = \"logits\" }\n  }", 1)
	if err := os.Mkdir(at("more"), 0o755); err != nil {
		t.Fatal(err)
	}
	again := at("again.hone.hcl")
	if err := os.WriteFile(again, []byte(more), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := hone(t, "train", again, "--out", filepath.Join(dir, "more", "n.hone"), "--json")
	if code != 0 || !strings.Contains(stdout, `"event":"init"`) || !strings.Contains(stdout, `"taken":4,"missing":0`) {
		t.Errorf("exit %d: %s\n%s", code, stdout, stderr)
	}
}

func TestProgressOfLongWork(t *testing.T) {
	var b bytes.Buffer
	at := time.Unix(0, 0)
	bar := (&app{stderr: &b, clock: func() time.Time { return at }}).bytesBar("verifying")
	for second, done := range []int64{0, 1 << 20, 2 << 20, 3 << 20, 4 << 20} {
		at = time.Unix(0, 0).Add(time.Duration(second) * 900 * time.Millisecond)
		bar(done, 4<<20)
	}
	if want := "verifying: 2.0 MiB of 4.0 MiB\n"; b.String() != want {
		t.Errorf("told %q, wanted %q", b.String(), want)
	}
}

func TestShowOfOtherFormats(t *testing.T) {
	st := filepath.Join("..", "..", "modelfmt", "safetensors", "testdata")
	code, stdout, stderr := hone(t, "checkpoint", "show", filepath.Join(st, "model.safetensors.index.json"))
	if code != 0 || !strings.Contains(stdout, "layer.2.bfloat16") || !strings.Contains(stdout, "bf16") {
		t.Errorf("exit %d: %s%s", code, stdout, stderr)
	}
	code, stdout, stderr = hone(t, "checkpoint", "show", "--json", filepath.Join("..", "..", "modelfmt", "npz", "testdata", "stored.npz"))
	var v struct{ Tensors []modelfmt.TensorInfo }
	if err := json.Unmarshal([]byte(stdout), &v); code != 0 || err != nil || len(v.Tensors) == 0 {
		t.Errorf("exit %d, %v: %s%s", code, err, stdout, stderr)
	}
}
