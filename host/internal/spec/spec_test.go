package spec

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/diag"
)

var update = flag.Bool("update", false, "write the golden files anew")

func itoa(n int) string { return strconv.Itoa(n) }

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	// The goldens are compared byte by byte, also where a checkout has other line ends.
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := readTestdata(t, name); !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// parse reads a text that must be right.
func parse(t *testing.T, text string) *Spec {
	t.Helper()
	s, diags := Parse("", []Source{{"a.hone.hcl", []byte(text)}}, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return s
}

func TestFullSpec(t *testing.T) {
	s, diags := Parse("dir", []Source{{"full.hone.hcl", readTestdata(t, "full.hone.hcl")}}, Options{Version: "0.1.0"})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	golden(t, "full.printed", s.Print())
	again, diags := Parse("dir", []Source{{"printed.hone.hcl", s.Print()}}, Options{})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := bytes.ReplaceAll(s.Print(), []byte("  # token: sensitive, not shown\n"), nil)
	if got := again.Print(); !bytes.Equal(squeeze(got), squeeze(want)) {
		t.Errorf("printed, read and printed again:\n%s\nwant\n%s", got, want)
	}
	if p := s.Resolve("x/y"); p.Raw != "x/y" || p.Resolved != filepath.Join("dir", "x", "y") {
		t.Error(p)
	}
	if p := s.Train.InitFrom.Path; p.Resolved != filepath.Join("dir", "base.hone") {
		t.Error(p)
	}
	m := s.TheModel()
	if m == nil || m.Name != "net" || s.TheData().Name != "mnist" {
		t.Fatal("the model and data of train are not found")
	}
	twin := m.Layers[m.Find("twin")]
	if at := twin.At("share"); at.Start.Line == 0 || twin.Range.Start.Line >= at.Start.Line {
		t.Errorf("share stands at %v, the layer at %v", at, twin.Range)
	}
}

func squeeze(b []byte) []byte { return bytes.Join(bytes.Fields(b), []byte(" ")) }

// TestDiagnostics holds what each bad spec in testdata/bad is told, as the user sees it.
func TestDiagnostics(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "bad", "*"+Suffix))
	if err != nil || len(files) == 0 {
		t.Fatal("no bad specs", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), Suffix)
		t.Run(name, func(t *testing.T) {
			text := readTestdata(t, filepath.Join("bad", name+Suffix))
			opts := Options{Version: "0.1.0"}
			if first, _, _ := strings.Cut(string(text), "\n"); strings.HasPrefix(first, "# --var ") {
				opts.Vars = strings.Fields(strings.ReplaceAll(first[1:], "--var", ""))
			}
			s, diags := Parse("", []Source{{name + Suffix, text}}, opts)
			if len(diags) == 0 {
				t.Fatal("nothing found")
			}
			for _, d := range diags {
				isFlag := strings.Contains(d.Summary, "--var") // which stands in no file
				if d.Code == "" || d.Subject == nil && !isFlag || strings.HasSuffix(d.Summary, ".") {
					t.Errorf("no code, no place or a full stop: %#v", d)
				}
			}
			var out bytes.Buffer
			if err := diag.Write(&out, diags, s.Texts(), 100, false); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("bad", name+".txt"), out.Bytes())
		})
	}
}
