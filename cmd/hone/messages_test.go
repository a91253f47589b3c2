package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMessagesSayWhatIsSo(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.hone")
	if err := os.WriteFile(bad, []byte("no checkpoint, whatever its name says"), 0o644); err != nil {
		t.Fatal(err)
	}
	digits := filepath.Join("..", "..", "examples", "digits")
	nowhere := filepath.Join(dir, "nowhere", "x.hone")
	for _, c := range []struct {
		args  []string
		want  string
		never string
		once  string
	}{
		{[]string{"checkpoint", "verify", bad}, "not a hone checkpoint", "checkpoint verify", "open checkpoint"},
		{[]string{"checkpoint", "show", filepath.Join(dir, "absent.hone")}, "no such file", "", ": no such"},
		{[]string{"train", digits, "--out", nowhere}, "make it, or choose another path", ".lock", "the folder of " + nowhere},
	} {
		code, _, stderr := hone(t, c.args...)
		if code == 0 || !strings.Contains(stderr, c.want) || c.never != "" && strings.Contains(stderr, c.never) || c.once != "" && strings.Count(stderr, c.once) != 1 {
			t.Errorf("hone %v: exit %d, stderr %q; wanted %q and once %q, without %q", c.args, code, stderr, c.want, c.once, c.never)
		}
		if first, _, _ := strings.Cut(stderr, "\n"); strings.Count(first, filepath.Base(c.args[len(c.args)-1])) > 1 {
			t.Errorf("hone %v: the path stands twice in %q", c.args, first)
		}
	}
}

// gone is a pipe whose reader has gone.
type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// Only a verb that has written files says so to who reads its output no longer.
func TestAReaderThatGoesIsToldOfFilesOnlyWhereThereAreAny(t *testing.T) {
	dir := t.TempDir()
	csv := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(csv, []byte("a\n1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args  []string
		files bool
	}{
		{[]string{"data", "show", csv}, false},
		{[]string{"new", "digits", filepath.Join(dir, "digits")}, true},
	} {
		var stderr bytes.Buffer
		if code := run(bundle, c.args, gone{}, &stderr); code != 1 || !strings.Contains(stderr.String(), "has gone") || strings.Contains(stderr.String(), "files") != c.files {
			t.Errorf("hone %v: exit %d, stderr %q", c.args, code, stderr.String())
		}
	}
}
