package diag

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

const spec = "model \"mlp\" {\n  layer \"dens\" \"hidden\" {\n\tunits = 128\n  }\n}\n"

// rangeOf finds text in the spec.
func rangeOf(text string) Range {
	at := strings.Index(spec, text)
	pos := func(b int) Pos {
		before := spec[:b]
		return Pos{Line: strings.Count(before, "\n") + 1, Column: b - strings.LastIndex(before, "\n"), Byte: b}
	}
	return Range{File: "a.hone.hcl", Start: pos(at), End: pos(at + len(text))}
}

func ExampleWrite() {
	d := Errorf("unknown_layer", `There is no layer "dens"`).
		At(rangeOf(`"dens"`)).In("model.mlp.layer.hidden").
		Hint(`Did you mean "dense"? The command "hone plugin list" shows every layer that the plugins of this specification offer.`)
	var out bytes.Buffer
	if err := Write(&out, Diagnostics{d}, map[string][]byte{"a.hone.hcl": []byte(spec)}, 80, false); err != nil {
		panic(err)
	}
	fmt.Print(out.String())
	// Output:
	// ╭─ error[unknown_layer]: There is no layer "dens"
	// │  a.hone.hcl:2:9 (model.mlp.layer.hidden)
	// │
	// │  2 │   layer "dens" "hidden" {
	// │    │         ━━━━━━
	// │
	// │  Did you mean "dense"? The command "hone plugin list" shows every layer that
	// │  the plugins of this specification offer.
	// ╰─
}

func render(t *testing.T, width int, src string, ds ...Diagnostic) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, ds, map[string][]byte{"a.hone.hcl": []byte(src)}, width, false); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWriteTabAndContext(t *testing.T) {
	got := render(t, 80, spec, Warnf("units", "Many units").At(rangeOf("128")).Within(rangeOf(strings.TrimSuffix(strings.SplitAfterN(spec, "\n", 2)[1], "}\n"))))
	want := strings.Join([]string{
		`╭─ warning[units]: Many units`,
		`│  a.hone.hcl:3:10`,
		`│`,
		`│  2 │   layer "dens" "hidden" {`,
		`│  3 │     units = 128`,
		`│    │             ━━━`,
		`│  4 │   }`,
		`╰─`, ``}, "\n")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWriteSeveralLines(t *testing.T) {
	got := render(t, 80, spec, Errorf("c", "s").At(rangeOf("layer \"dens\" \"hidden\" {\n\tunits = 128\n  }")))
	want := strings.Join([]string{
		`╭─ error[c]: s`,
		`│  a.hone.hcl:2:3`,
		`│`,
		`│  2 │   layer "dens" "hidden" {`,
		`│    │   ━━━━━━━━━━━━━━━━━━━━━━━`,
		`│  3 │     units = 128`,
		`│    │     ━━━━━━━━━━━`,
		`│  4 │   }`,
		`│    │   ━`,
		`╰─`, ``}, "\n")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWriteWideCharacters(t *testing.T) {
	src := "名前 = oops\n"
	at := strings.Index(src, "oops")
	got := render(t, 80, src, Errorf("c", "s").At(Range{"a.hone.hcl", Pos{1, 6, at}, Pos{1, 10, at + 4}}))
	if want := "│  1 │ 名前 = oops\n│    │        ━━━━\n"; !strings.Contains(got, want) {
		t.Errorf("got\n%swant it to contain\n%s", got, want)
	}
}

func TestWriteLongLineIsCut(t *testing.T) {
	src := strings.Repeat("0,", 1<<20) + "bad" + strings.Repeat(",0", 1<<20)
	got := render(t, 60, src, Errorf("c", "s").At(Range{"a.hone.hcl", Pos{1, 1<<21 + 1, 1 << 21}, Pos{1, 1<<21 + 4, 1<<21 + 3}}))
	lines := strings.Split(got, "\n")
	if n := textWidth(lines[3]); n > 62 {
		t.Errorf("the excerpt is %d columns wide", n)
	}
	where := textWidth(lines[3][:strings.Index(lines[3], "bad")])
	if mark := textWidth(lines[4][:strings.Index(lines[4], "━━━")]); mark != where {
		t.Errorf("marks begin in column %d, the text in %d:\n%s", mark, where, got)
	}
}

func TestWriteAnyError(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, From(errors.New("boom")), nil, 80, false); err != nil || b.String() != "╭─ error: boom\n╰─\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestWriteHidesControlCharacters(t *testing.T) {
	src := "a\x1b[2Jb\u202Ec\n"
	got := render(t, 80, src, Errorf("c\x1b", "s\x1b[31m\nx").In("p\x07").At(Range{"a.hone.hcl", Pos{1, 1, 0}, Pos{1, 2, 1}}).Hint("d\x1b\n\u202E"))
	if strings.ContainsAny(got, "\x1b\x07\u202E") {
		t.Errorf("control characters came through: %q", got)
	}
}

func TestWriteEmptyRangeAtEnd(t *testing.T) {
	src := "a {\n"
	got := render(t, 80, src, Errorf("c", "s").At(Range{"a.hone.hcl", Pos{1, 4, 3}, Pos{1, 4, 3}}))
	if want := "│  1 │ a {\n│    │    ━\n"; !strings.Contains(got, want) {
		t.Errorf("got\n%swant it to contain\n%s", got, want)
	}
}

func TestWriteColor(t *testing.T) {
	var out bytes.Buffer
	if err := Write(&out, Diagnostics{Errorf("c", "s")}, nil, 80, true); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), red) || !strings.Contains(out.String(), bold+"s"+reset) {
		t.Errorf("got %q", out.String())
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("a\tb\nc", 1, 3, 2, 2, 80)
	f.Add("\xff\xfe", -1, 9, 0, 0, 0)
	f.Add("名\r\n", 0, 0, 7, 1, 41)
	f.Fuzz(func(t *testing.T, src string, from, to, line, column, width int) {
		d := Errorf("c", "s").At(Range{"f", Pos{line, column, from}, Pos{line, column, to}}).Within(Range{"f", Pos{1, 1, to}, Pos{9, 1, from}})
		var out bytes.Buffer
		if err := Write(&out, Diagnostics{d}, map[string][]byte{"f": []byte(src)}, width%500, false); err != nil {
			t.Fatal(err)
		}
	})
}

func TestErr(t *testing.T) {
	var ds Diagnostics
	if ds.Err() != nil {
		t.Error("the empty list is an error")
	}
	ds.Append(Warnf("w", "careful"))
	if ds.HasErrors() || ds.Err() != nil {
		t.Error("a warning is an error")
	}
	ds.AppendErr(Errorf("gone", "opening the data: %w", fs.ErrNotExist))
	ds.AppendErr(nil)
	err := ds.Err()
	if len(ds) != 2 || err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if got, want := err.Error(), "opening the data: file does not exist"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var d Diagnostic
	if !errors.As(err, &d) || d.Code != "w" {
		t.Errorf("errors.As found %v", d)
	}
}

func TestFrom(t *testing.T) {
	d := Errorf("bad", "bad cell").At(Range{File: "x.csv", Start: Pos{Line: 3, Column: 7}}).Hint("Mend it.")
	got := From(fmt.Errorf("reading rows: %w", d))
	if len(got) != 1 || got[0].Code != "bad" || got[0].Subject.Start.Line != 3 || got[0].Summary != "reading rows: bad cell" {
		t.Errorf("got %+v", got)
	}
	if want := "x.csv:3:7: bad cell. Mend it."; d.Error() != want {
		t.Errorf("got %q, want %q", d.Error(), want)
	}
	if got := From(errors.New("boom")); got[0].Code != "error" || got[0].Summary != "boom" {
		t.Errorf("got %+v", got)
	}
	if From(nil) != nil {
		t.Error("nil became a diagnostic")
	}
}

func TestJSON(t *testing.T) {
	r := Range{"f.hcl", Pos{1, 2, 1}, Pos{1, 4, 3}}
	b, err := json.Marshal(Diagnostics{Errorf("code", "sum").At(r).In("a.b").Hint("det"), Warnf("w", "x")})
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"severity":"error","code":"code","summary":"sum","detail":"det","subject":{"file":"f.hcl","start":{"line":1,"column":2,"byte":1},"end":{"line":1,"column":4,"byte":3}},"path":"a.b"},{"severity":"warning","code":"w","summary":"x"}]`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if b, _ := json.Marshal(Diagnostics(nil)); string(b) != "[]" {
		t.Errorf("the nil list became %s", b)
	}
	var back Diagnostics
	if err := json.Unmarshal([]byte(want), &back); err != nil || back[1].Severity != Warning || *back[0].Subject != r {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestNearest(t *testing.T) {
	layers := []string{"add", "dense", "dropout", "flatten", "batch_norm", "binary_crossentropy"}
	for _, c := range []struct {
		name, want string
	}{
		{"dens", "dense"}, {"Dense", "dense"}, {"dnese", "dense"}, {"batchnorm", "batch_norm"}, {"batch-nrom", "batch_norm"},
		{"binary_cross_entropy", "binary_crossentropy"}, {"droput", "dropout"},
		{"lstm", ""}, {"x", ""}, {"", ""}, {strings.Repeat("dense", 1000), ""},
	} {
		got, ok := Nearest(c.name, layers)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Nearest(%q) = %q, %v; want %q", c.name, got, ok, c.want)
		}
	}
	if got := DidYouMean("dens", layers); got != `Did you mean "dense"? ` {
		t.Errorf("got %q", got)
	}
}
