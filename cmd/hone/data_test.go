package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// data show reads a CSV file as a spec's csv block with the same words does.
func TestDataShowReadsAsTheCSVBlockDoes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	named := file("named.csv", "a;b\n1;x\n?;y\n")
	bare := file("bare.csv", "1, x\n-, y\n3, y\n")
	for _, c := range []struct {
		about  string
		args   []string
		code   int
		stdout []string // in order
		stderr string
	}{
		{"another delimiter is advised", []string{named}, 0, []string{"1 column", "a;b", "string"}, `--delimiter ';'`},
		{"a delimiter", []string{named, "--delimiter", ";"}, 0, []string{"2 columns", "a ", "string", "b ", "string"}, ""},
		{"missing cells", []string{named, "--delimiter", ";", "--missing", "?"}, 0, []string{"2 columns", "a ", "i64", "b ", "string"}, ""},
		{"a tab is advised", []string{file("tab.csv", "a\tb\n1\t2\n")}, 0, []string{"1 column"}, `--delimiter '\t'`},
		{"a tab", []string{file("tab.csv", "a\tb\n1\t2\n"), "--delimiter", `\t`}, 0, []string{"2 columns", "a ", "i64", "b ", "i64"}, ""},
		{"no header line", []string{bare, "--no-header", "--missing", "-", "--skip-initial-space"}, 0, []string{"3 rows, 2 columns", "column_1", "i64", "column_2", "string", "y 2"}, ""},
		{"names", []string{bare, "--columns", "n,w", "--missing", "-"}, 0, []string{"3 rows, 2 columns", "n ", "i64", "w "}, ""},
		{"names beside a header", []string{named, "--delimiter", ";", "--columns", "n,w", "--header"}, 0, []string{"2 rows, 2 columns", "n ", "w "}, ""},
		{"two missing cells", []string{named, "--delimiter", ";", "--missing", "?", "--missing", "y"}, 0, []string{"a ", "i64", "b ", "string"}, ""},
		{"one column in truth", []string{file("one.csv", "a\n1\n")}, 0, []string{"1 column"}, ""},
		{"a delimiter of two", []string{named, "--delimiter", ";;"}, 1, nil, "not one character"},
		{"no delimiter", []string{named, "--delimiter", ""}, 2, nil, "give one character"},
		{"named and nameless", []string{bare, "--no-header", "--columns", "n,w"}, 1, nil, "without names"},
		{"the same character", []string{named, "--delimiter", ";", "--quote", ";"}, 1, nil, "cannot be both"},
		{"empty JSON lines are no CSV", []string{file("none.jsonl", "")}, 1, nil, "an object on each line"},
		{"an empty CSV", []string{file("none.csv", "")}, 1, nil, "line of column names"},
	} {
		code, stdout, stderr := hone(t, append([]string{"data", "show"}, c.args...)...)
		if code != c.code || c.stderr == "" && stderr != "" || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit %d, stderr %q; wanted %d and %q", c.about, code, stderr, c.code, c.stderr)
		}
		rest := stdout
		for _, s := range c.stdout {
			_, after, ok := strings.Cut(rest, s)
			if !ok {
				t.Errorf("%s: %q does not follow in\n%s", c.about, s, stdout)
				break
			}
			rest = after
		}
	}
}
