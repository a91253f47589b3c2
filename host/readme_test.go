package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheReadmesSpecTrains trains what a reader would copy. Its transform names no
// columns: a target that is only guessed must be left alone like one that is named.
func TestTheReadmesSpecTrains(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```hcl\n")
	spec, _, ok := strings.Cut(rest, "```")
	if !ok || !strings.Contains(spec, `model "digits"`) {
		t.Fatal("README.md has no spec of the digits")
	}
	path := filepath.Join(t.TempDir(), "readme.hone.hcl")
	if err := os.WriteFile(path, []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := Load(path, Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Train(t.Context(), TrainOptions{Out: filepath.Join(t.TempDir(), "readme.hone")})
	if err != nil {
		t.Fatal(err)
	}
	if acc := float64(r.Metrics["test_accuracy"]); acc < 0.94 || acc > 0.999 {
		t.Errorf("held-out accuracy is %.4f, want that of a network that learned to tell ten digits apart", acc)
	}
}
