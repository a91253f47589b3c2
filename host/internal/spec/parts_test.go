package spec

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
)

func TestMatchPath(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"hidden.kernel", "hidden.kernel", true},
		{"hidden", "hidden.kernel", true},
		{"hidden", "hidden2.kernel", false},
		{"hid", "hidden.kernel", false},
		{"hid*", "hidden.kernel", true},
		{"*", "hidden.kernel", true},
		{"*.kernel", "hidden.kernel", true},
		{"*.kernel", "body.hidden.kernel", false},
		{"**.kernel", "body.hidden.kernel", true},
		{"**.kernel", "kernel", true},
		{"**", "a", true},
		{"s3", "s3[2].conv1.kernel", true},
		{"s3[2]", "s3[2].conv1.kernel", true},
		{"s3[2]", "s3[20].conv1.kernel", false},
		{"s3[1]", "s3[2].conv1.kernel", false},
		{"s3[*].conv1", "s3[2].conv1.kernel", true},
		{"s3.conv1", "s3[2].conv1.kernel", false},
		{"s3*.conv1", "s3[2].conv1.kernel", false},
		{"s[1*]", "s[12].a", true},
		{"body.**.conv*.bias", "body.stage3[2].conv1.bias", true},
		{"body.**.conv*.bias", "body.conv1.kernel", false},
		{"a*b*c", "axxbyyc", true},
		{"a*b*c", "acb", false},
		{"ab*ba", "aba", false},
		{"hidden.kernel.x", "hidden.kernel", false},
		{"", "hidden", false},
	} {
		if got := MatchPath(c.pattern, c.path); got != c.want {
			t.Errorf("MatchPath(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
	// Patterns that backtrack in a naive matcher take no longer than others.
	MatchPath(strings.Repeat("**.", 300)+"z", strings.Repeat("a.", 300)+"a")
	MatchPath(strings.Repeat("*a", 500)+"b", strings.Repeat("a", 1000))
	for pattern, want := range map[string]bool{"a.b[2].**.*c[*]": true, "": false, "a..b": false, "A": false, "a[": false, "a b": false, "[1]": false, "***": true} {
		if ValidPattern(pattern) != want {
			t.Errorf("ValidPattern(%q) = %v", pattern, !want)
		}
	}
}

func TestConstraint(t *testing.T) {
	for _, c := range []struct {
		constraint string
		yes, no    []string
	}{
		{"1.2.3", []string{"1.2.3", "v1.2.3", "1.2.3+build"}, []string{"1.2.4", "1.2.3-rc1", "x"}},
		{">= 1.2, < 2", []string{"1.2.0", "1.9.9", "2.0.0-rc1"}, []string{"1.1.9", "2.0.0"}},
		{"~> 1.4", []string{"1.4.0", "1.10.0"}, []string{"1.3.9", "2.0.0"}},
		{"~> 1.4.2", []string{"1.4.2", "1.4.10"}, []string{"1.4.1", "1.5.0"}},
		{"!= 1.0", []string{"1.0.1"}, []string{"1.0.0"}},
		{"> 1, <= 1.5", []string{"1.0.1", "1.5.0"}, []string{"1.0.0", "1.5.1"}},
	} {
		p, err := ParseConstraint(c.constraint)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range c.yes {
			if !p.Allows(v) {
				t.Errorf("%s refuses %s", c.constraint, v)
			}
		}
		for _, v := range c.no {
			if p.Allows(v) {
				t.Errorf("%s allows %s", c.constraint, v)
			}
		}
	}
	for _, bad := range []string{"", "x", ">= ", "1.2.3.4", "~> 1", "1,,2", "=> 1"} {
		if _, err := ParseConstraint(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestVariables(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "values.hcl")
	if err := os.WriteFile(file, []byte("a = \"file\"\nb = \"file\"\np = \"data\"\nl = [1, 2]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HONE_VAR_a": "env", "HONE_VAR_b": "env", "HONE_VAR_c": "env", "HONE_VAR_undeclared": "x"}
	text := `
variable "a" {}
variable "b" {}
variable "c" {}
variable "d" { default = "default" }
variable "n" { type = number }
variable "g" {}
variable "l" { type = list(number) }
variable "p" { type = path }
variable "q" { type = path }
variable "r" {
  type    = path
  default = "r"
}
variable "e" { type = string }
variable "secret" {
  sensitive = true
  default   = "hunter2"
}
data "csv" "d" {
  a      = var.a
  token  = "x-${var.secret}"
}
`
	s, diags := Parse("spec", []Source{{"a.hone.hcl", []byte(text)}}, Options{
		Vars:     []string{"a=flag", "n=1 / 4", "g=[1, \"x\"]", "q=sub/q", "e=5"},
		VarFiles: []string{file},
		Env:      func(name string) (string, bool) { v, ok := env[name]; return v, ok },
	})
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	absolute, _ := filepath.Abs("sub/q")
	want := map[string][2]string{
		"a": {`"flag"`, "--var"}, "b": {`"file"`, file}, "c": {`"env"`, "HONE_VAR_c"}, "d": {`"default"`, "default"},
		"n": {"0.25", "--var"}, "g": {`[1, "x"]`, "--var"}, "l": {"[1, 2]", file}, "e": {`"5"`, "--var"},
		"p": {quote(filepath.Join(dir, "data")), file}, "q": {quote(absolute), "--var"}, "r": {`"r"`, "default"},
		"secret": {`"hunter2"`, "default"},
	}
	for _, v := range s.Variables {
		if got := [2]string{literal(v.Value), v.Origin}; got != want[v.Name] {
			t.Errorf("%s is %v, want %v", v.Name, got, want[v.Name])
		}
	}
	token, _ := s.Data[0].Args.Get("token")
	if plain, _ := s.Data[0].Args.Get("a"); !token.Sensitive || plain.Sensitive || token.Value.IsMarked() {
		t.Errorf("token: %+v", token)
	}
	p := s.Provenance()
	if _, ok := p.Variables["secret"]; ok || p.Variables["a"] != `"flag"` || p.Variables["n"] != "0.25" {
		t.Error(p.Variables)
	}
	if kept := string(p.Sources[0].Text) + string(s.Print()); strings.Contains(kept, "hunter2") {
		t.Errorf("a secret is kept:\n%s", kept)
	}
	if _, diags := parseBody(p.Sources[0]); diags.HasErrors() {
		t.Error(diags)
	}
}

func TestSecretsInDiagnostics(t *testing.T) {
	text := "variable \"s\" {\n type = number\n sensitive = true\n}\nvariable \"t\" {\n sensitive = true\n default = [1, \"hunter3\", x]\n}\n"
	_, diags := Parse("", []Source{{"a.hone.hcl", []byte(text)}}, Options{Vars: []string{"s=hunter2"}})
	if len(diags) < 2 {
		t.Fatal(diags)
	}
	for _, d := range diags {
		if line := d.Error(); strings.Contains(line, "hunter") {
			t.Error(line)
		}
		if d.Subject.Start.Line == 7 {
			t.Error("the excerpt shows the default")
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("b.hone.hcl", "locals {\n units = 3\n}\n")
	write("a.hone.hcl", "data \"csv\" \"d\" {\n path = \"d.csv\"\n n = local.units\n}\n")
	write("other.hcl", "}")
	if err := os.Mkdir(filepath.Join(dir, "folder"+Suffix), 0o700); err != nil {
		t.Fatal(err)
	}
	s, diags := Load(dir, Options{})
	if len(diags) > 0 || len(s.Sources) != 2 || s.Sources[0].Name != filepath.Join(dir, "a.hone.hcl") || s.Dir != dir {
		t.Fatal(diags, s)
	}
	if n, _ := s.Data[0].Args.Get("n"); !n.Value.RawEquals(cty.NumberIntVal(3)) {
		t.Error(n)
	}
	if s, diags := Load(one, Options{}); len(diags) > 0 || len(s.Sources) != 1 || s.Dir != dir {
		t.Error(diags)
	}
	large := write("large.hone.hcl", strings.Repeat("#", maxFileBytes+1))
	for path, code := range map[string]string{
		filepath.Join(dir, "none"):      "no_spec",
		filepath.Join(dir, "other.hcl"): "no_spec",
		t.TempDir():                     "no_spec",
		large:                           "file_too_large",
		dir:                             "file_too_large",
	} {
		s, diags := Load(path, Options{})
		if len(diags) != 1 || diags[0].Code != code || diags[0].Detail == "" || s == nil {
			t.Errorf("%s: %v", path, diags)
		}
	}
	if runtime.GOOS == "linux" {
		if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.hone.hcl")); err != nil {
			t.Fatal(err)
		}
		if _, diags := Load(filepath.Join(dir, "zero.hone.hcl"), Options{}); len(diags) != 1 || diags[0].Code != "unreadable" {
			t.Error(diags)
		}
	}
	_, diags = Parse("", []Source{{"a.hone.hcl", nil}}, Options{VarFiles: []string{filepath.Join(dir, "none.hcl"), one}, Vars: []string{"novalue"}})
	if len(diags) != 3 {
		t.Error(diags)
	}
}

func TestFormat(t *testing.T) {
	for src, want := range map[string]string{
		"":                  "",
		"\n\n":              "",
		"a   {\r\n  b=1\n}": "a {\n  b = 1\n}\n",
		"train {\nepochs=1 # one\nbatch_size   = 2\nloss \"mse\" {}\n}\n\n\n": "train {\n  epochs     = 1 # one\n  batch_size = 2\n  loss \"mse\" {}\n}\n",
		"a = <<EOT\n  keep   this\nEOT\n":                                     "a = <<EOT\n  keep   this\nEOT\n",
	} {
		got, diags := Format("a.hone.hcl", []byte(src))
		if len(diags) > 0 || strings.ReplaceAll(string(got), "\r", "") != want {
			t.Errorf("%q is laid out as %q, %v", src, got, diags)
		}
	}
	if got, diags := Format("a.hone.hcl", []byte("a {")); !diags.HasErrors() || string(got) != "a {" {
		t.Errorf("%q, %v", got, diags)
	}
	full := readTestdata(t, "full.hone.hcl")
	if got, diags := Format("full.hone.hcl", full); len(diags) > 0 || !bytes.Equal(got, full) {
		t.Errorf("the example is not in canonical layout: %v\n%s", diags, got)
	}
}

func TestNetwork(t *testing.T) {
	s := parse(t, `
block "pair" {
  input "a" {}
  input "b" {}
  layer "add" "sum" { from = [input.a, input.b] }
}
model "m" {
  input "x" {}
  layer "concat" "late" { from = [layer.c, layer.a] }
  layer "dense" "a" { from = input.x }
  layer "dense" "b" {}
  layer "dense" "c" { count = 2 }
  layer "block.pair" "p" { from = [layer.late, layer.c[0]] }
}
`)
	m := &s.Models[0]
	var order []string
	for _, i := range m.Order() {
		order = append(order, m.Layers[i].Name)
	}
	if got := strings.Join(order, " "); got != "a b c[0] c[1] late p" {
		t.Error(got)
	}
	if refs := m.Feeds(0); refs[0].String() != "layer.c[1]" || refs[1].String() != "layer.a" {
		t.Error(refs)
	}
	if refs := m.Feeds(4); len(refs) != 1 || refs[0].String() != "layer.c[0]" {
		t.Error(refs)
	}
	if out := m.Results(); len(out) != 1 || out[0].Name != DefaultOutput || out[0].From.Name != "p" {
		t.Error(out)
	}
	if g := m.Layers[5].Group; g == nil || g.Name != "pair" || len(g.Inputs) != 2 {
		t.Error(g)
	}
}

func TestGoSpecMistakes(t *testing.T) {
	loop := &Model{Name: "loop", Inputs: []Input{{Name: "x"}}}
	loop.Layers = []Layer{{Type: Type("block.loop"), Name: "l", Group: loop}}
	wide := &Model{Name: "leaf", Inputs: []Input{{Name: "x"}}, Layers: []Layer{{Type: Type("dense"), Name: "l"}}}
	for range 40 { // twice as many layers each time
		wide = &Model{Name: "pair", Inputs: []Input{{Name: "x"}}, Layers: []Layer{
			{Type: Type("block.pair"), Name: "a", Group: wide}, {Type: Type("block.pair"), Name: "b", Group: wide}}}
	}
	for name, s := range map[string]*Spec{
		"too many layers":  {Models: []Model{*wide}},
		"empty model":      {Models: []Model{{Name: "m"}}},
		"no name":          {Models: []Model{{Inputs: []Input{{Name: "x"}}, Layers: []Layer{{Type: Type("dense"), Name: "a"}}}}},
		"group in itself":  {Models: []Model{*loop}},
		"channel argument": {Data: []Data{{Type: Type("csv"), Name: "d", Args: Args{Arg("x", make(chan int))}}}},
		"not a number":     {Data: []Data{{Type: Type("csv"), Name: "d", Args: Args{Arg("x", []float64{0, nan()})}}}},
		"no value":         {Data: []Data{{Type: Type("csv"), Name: "d", Args: Args{{Name: "x"}}}}},
		"nothing to train": {Train: &Train{Epochs: 1}},
		"negative rate":    {Train: &Train{Epochs: -1, ClipNorm: nan()}},
	} {
		diags := s.Validate()
		if !diags.HasErrors() {
			t.Errorf("%s: accepted", name)
		}
		for _, d := range diags {
			if d.Subject != nil || d.Path == "" {
				t.Errorf("%s: %+v", name, d)
			}
		}
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}
