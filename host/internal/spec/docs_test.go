package spec

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsNameEveryWord holds docs/spec.md to the words that the readers of this
// package take, as they stand in its source.
func TestDocsNameEveryWord(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "spec.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("read*.go")
	if err != nil || len(files) < 4 {
		t.Fatalf("readers %v, %v", files, err)
	}
	call := regexp.MustCompile(`\b(?:read|readPtr|names|named|refs|pairs|plain|block|blocks|shorthand|attribute)\(([^)]*)\)`)
	word := regexp.MustCompile(`"([a-z_]+)"`)
	found := 0
	for _, file := range append(files, "variable.go") {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range call.FindAllStringSubmatch(string(source), -1) {
			for _, w := range word.FindAllStringSubmatch(c[1], -1) {
				found++
				if !regexp.MustCompile("`" + w[1] + "[` ]").Match(text) {
					t.Errorf("docs/spec.md says nothing of %q, which %s reads", w[1], file)
				}
			}
		}
	}
	for _, w := range LayerArguments {
		if !strings.Contains(string(text), "`"+w+"`") {
			t.Errorf("docs/spec.md says nothing of %q", w)
		}
	}
	if found < 60 {
		t.Errorf("only %d words were found in the source", found)
	}
}

// TestDocsExampleLoads reads the example, with a development build of the version
// that it requires.
func TestDocsExampleLoads(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "spec.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```hcl\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/spec.md has no example")
	}
	path := filepath.Join(t.TempDir(), "docs.hone.hcl")
	if err := os.WriteFile(path, []byte(example), 0o644); err != nil {
		t.Fatal(err)
	}
	s, diags := Load(path, Options{Version: "0.1.0-dev"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if len(s.Models) != 1 || s.Train == nil || s.Train.EarlyStopping.Patience != 3 {
		t.Errorf("read %+v", s)
	}
	if formatted, diags := Format(path, []byte(example)); diags.HasErrors() || string(formatted) != example {
		t.Errorf("the example is not formatted, %v", diags)
	}
}
