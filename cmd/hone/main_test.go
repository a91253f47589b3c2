package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/plugins/builtin"
	"github.com/hone-ml/hone/sdk"
)

var (
	bundle sdk.Bundle
	update = flag.Bool("update", false, "rewrite the golden files")
)

func TestMain(m *testing.M) {
	bundle = builtin.Main()
	if os.Getenv(asCommand) != "" {
		os.Exit(run(bundle, os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// asCommand makes the test binary be the command itself, for tests that need a
// process of its own.
const asCommand = "HONE_TEST_AS_COMMAND"

// hone runs the command in the test's process.
func hone(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(bundle, args, &o, &e)
	return code, o.String(), e.String()
}

// A profile names the layers, in gradients and updates too, and what belongs to
// none by its part of the step.
func TestProfileNamesTheLayers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "profile.txt")
	code, _, stderr := hone(t, "train", filepath.Join("..", "..", "examples", "digits"), "--out", filepath.Join(dir, "d.hone"), "--profile", path)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	layers, _, _ := strings.Cut(string(text), "by op")
	for _, name := range []string{"hidden", "logits", "(loss)", "(batch)", "(metrics)"} {
		line := ""
		for l := range strings.Lines(layers) {
			if strings.HasSuffix(l, "  "+name+"\n") {
				line = l
			}
		}
		if line == "" {
			t.Errorf("no line of %q in\n%s", name, layers)
			continue
		}
		// A dense layer costs something forward, backward and in its update.
		for i, ms := range strings.Fields(line)[2:5] {
			if ms == "0.000" && (name == "hidden" || name == "logits") {
				t.Errorf("part %d of %q took no time: %s", i, name, line)
			}
		}
	}
	if strings.Contains(layers, "gradient of") || strings.Contains(layers, "update of") {
		t.Errorf("parts are not added up under their layers:\n%s", layers)
	}
}

func TestEventsHaveTheDocumentedFields(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "d.hone")
	code, stdout, stderr := hone(t, "train", filepath.Join("..", "..", "examples", "digits"), "--out", out, "--json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	fields := map[string]map[string]bool{}
	last := ""
	for line := range strings.Lines(stdout) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		last = o["event"].(string)
		if fields[last] == nil {
			fields[last] = map[string]bool{}
		}
		for k := range o {
			fields[last][k] = true
		}
	}
	if last != "result" {
		t.Errorf("the last event is %q", last)
	}
	delete(fields, "progress") // may not come in a run this short
	delete(fields["epoch"], "best")
	var b strings.Builder
	for _, e := range slices.Sorted(maps.Keys(fields)) {
		b.WriteString(e + ": " + strings.Join(slices.Sorted(maps.Keys(fields[e])), " ") + "\n")
	}
	golden := filepath.Join("testdata", "events.golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	// Fields are only ever added: every golden one must be there.
	if b.String() != string(want) {
		t.Errorf("events are\n%swanted\n%s(go test ./cmd/hone -update, and docs/events.md)", b.String(), want)
	}

	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"checkpoint", "verify", "--deep", out}, "are sound"},
		{[]string{"checkpoint", "show", out}, "input image: f32[batch, 8, 8]"},
		{[]string{"checkpoint", "diff", out, out}, "are the same"},
		{[]string{"eval", out}, "accuracy"},
		{[]string{"graph", "show", out, "--func", "model"}, "func"},
		{[]string{"graph", "show", out, "--passes", "--batch", "7"}, "common subexpressions"},
		{[]string{"graph", "show", filepath.Join("..", "..", "examples", "digits"), "--passes"}, "operands overwritten"},
		{[]string{"checkpoint", "convert", out, filepath.Join(dir, "w.safetensors")}, "tensors"},
		{[]string{"checkpoint", "convert", out, filepath.Join(dir, "w.npz")}, "tensors"},
		{[]string{"plugin", "list", "--args"}, `= "glorot_uniform" `},
		{[]string{"checkpoint", "extract", out, filepath.Join(dir, "x"), "hidden.kernel"}, "hidden.kernel"},
	} {
		if code, stdout, stderr := hone(t, c.args...); code != 0 || !strings.Contains(stdout, c.want) {
			t.Errorf("hone %v: exit %d, %q lacks %q\n%s", c.args, code, stdout, c.want, stderr)
		}
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.hone.hcl")
	if err := os.WriteFile(bad, []byte("model \"x\" {\n  layer \"dens\" \"a\" {}\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	ugly := filepath.Join(dir, "ugly.hone.hcl")
	if err := os.WriteFile(ugly, []byte("locals {\n a=1\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string // on stderr
	}{
		{[]string{"version"}, 0, ""},
		{[]string{"backend", "list", "--ops"}, 0, ""},
		{[]string{"plugin", "list", "--args"}, 0, ""},
		{[]string{"new"}, 0, ""},
		{[]string{"--nonsense"}, 2, "unknown flag"},
		{[]string{"train", bad}, 2, "bad.hone.hcl"},
		{[]string{"train", filepath.Join(dir, "absent")}, 2, "no such file"},
		{[]string{"train", filepath.Join("..", "..", "examples", "digits"), "--profile", filepath.Join(dir, "absent", "p")}, 2, "no folder"},
		{[]string{"train", filepath.Join("..", "..", "examples", "digits"), "--profile", dir}, 2, "it is a folder"},
		{[]string{"eval", filepath.Join(dir, "absent.hone")}, 1, "absent.hone"},
		{[]string{"fmt", "--check", ugly}, 3, "not formatted"},
		{[]string{"predict", "x.hone", "--input", "y.csv", "--output", "z.pdf"}, 2, ".jsonl"},
		{[]string{"validate", filepath.Join("..", "..", "examples", "digits"), "--backend", "gpu"}, 2, "no backend"},
		{[]string{"train", filepath.Join("..", "..", "examples", "digits"), "--backend", "gpu"}, 2, "no backend"},
	} {
		code, _, stderr := hone(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("hone %v: exit %d, want %d; stderr %q lacks %q", c.args, code, c.code, stderr, c.want)
		}
	}
}
