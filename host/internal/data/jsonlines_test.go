package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/diag"
)

func TestJSONLines(t *testing.T) {
	for _, c := range []struct {
		name, in string
		opt      JSONOptions
		want     string
	}{
		{"types", `{"a":1,"b":2.5,"c":"x","d":true}` + "\n" + `{"a":-2,"b":3,"c":"y","d":false}`, JSONOptions{},
			lines("a: i64, b: f64, c: string, d: bool", "1|2.5|x|true", "-2|3|y|false")},
		{"absent and null", "{\"a\":1}\n\n{\"b\":\"x\",\"a\":null}\r\n{\"b\":null}\n{\"c\":null}", JSONOptions{},
			lines("a: i64, b: string, c: f64", "1|?|?", "?|x|?", "?|?|?", "?|?|?")},
		{"whole numbers, then others", "{\"a\":1}\n{\"a\":null}\n{\"a\":1.5}\n", JSONOptions{}, lines("a: f64", "1", "?", "1.5")},
		{"spaces and escapes", " { \"a\\u0062\" : \"q\\\"\\\\\\/\\n\\u00e9\\ud83d\\ude00\\ud83d\" , \"b\" : 1 } ", JSONOptions{},
			lines("ab: string, b: i64", "q\"\\/\né😀\uFFFD|1")},
		{"an empty object", "{}\n{\"a\":1}", JSONOptions{}, lines("a: i64", "?", "1")},
		{"missing marks", `{"a":"?","b":"x"}`, JSONOptions{Missing: []string{"?"}}, lines("a: f64, b: string", "?|x")},
		{"an empty string is a value", `{"a":""}`, JSONOptions{}, lines("a: string", "")},
		{"declared", `{"a":"1","b":7,"c":"true","d":1}`, JSONOptions{Types: map[string]Type{"a": I64, "b": String, "c": Bool, "d": F32}},
			lines("a: i64, b: string, c: bool, d: f32", "1|7|true|1")},
		{"kept", `{"a":1,"b":2,"c":3}`, JSONOptions{Keep: []string{"c", "a"}}, lines("a: i64, c: i64", "1|3")},
		{"great numbers", `{"a":9223372036854775807,"b":9223372036854775808}`, JSONOptions{}, lines("a: i64, b: f64", "9223372036854775807|9.223372036854776e+18")},
		{"a byte order mark", "\xef\xbb\xbf{\"a\":1}", JSONOptions{}, lines("a: i64", "1")},
		{"nothing", "", JSONOptions{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, err := DecodeJSONLines(t.Context(), Bytes{"t.jsonl", []byte(c.in)}, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(tab); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestJSONLinesTensors(t *testing.T) {
	in := `{"y":1}` + "\n" + `{"x":[[1,2.5],[-3,4]],"y":2}` + "\n" + `{"x":null}` + "\n" + `{"x":[ [5 , 6], [7,8]]}`
	tab, err := DecodeJSONLines(t.Context(), Bytes{"t.jsonl", []byte(in)}, JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x := tab.Column("x")
	nan := math.NaN()
	if got, want := fmt.Sprint(x.Field(), x.values), fmt.Sprint("x: f64[2, 2] ", []float64{nan, nan, nan, nan, 1, 2.5, -3, 4, nan, nan, nan, nan, 5, 6, 7, 8}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if !x.IsMissing(0) || x.IsMissing(1) || !x.IsMissing(2) {
		t.Error("the wrong rows are missing")
	}
	tab, err = DecodeJSONLines(t.Context(), Bytes{"t.jsonl", []byte("{\"x\":null}\n{\"x\":[0,255]}")}, JSONOptions{Types: map[string]Type{"x": U8}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(tab.Columns[0].Field(), tab.Columns[0].values); got != "x: u8[2] [0 0 0 255]" {
		t.Errorf("got %s", got)
	}
}

func TestJSONLinesErrors(t *testing.T) {
	a := func(ty Type) JSONOptions { return JSONOptions{Types: map[string]Type{"a": ty}} }
	for _, c := range []struct {
		name, in, code string
		line, column   int
		summary        string
		opt            JSONOptions
	}{
		{"an array", "[1]", "json_syntax", 1, 1, "does not begin with {", JSONOptions{}},
		{"not closed", "{\"a\":1}\n{\"a\":1", "json_syntax", 2, 7, "a comma or }", JSONOptions{}},
		{"two objects", `{"a":1} {"a":2}`, "json_syntax", 1, 9, "goes on", JSONOptions{}},
		{"no quotes", `{a:1}`, "json_syntax", 1, 2, "a quoted name", JSONOptions{}},
		{"no colon", `{"é" 1}`, "json_syntax", 1, 6, "a colon", JSONOptions{}},
		{"a trailing comma", `{"a":1,}`, "json_syntax", 1, 8, "a quoted name", JSONOptions{}},
		{"an open string", `{"a":"x}`, "json_syntax", 1, 6, "not closed", JSONOptions{}},
		{"a bad escape", `{"a":"\x"}`, "json_syntax", 1, 7, "escape", JSONOptions{}},
		{"a short escape", `{"a":"\u12"}`, "json_syntax", 1, 7, "escape", JSONOptions{}},
		{"a control character", "{\"a\":\"\x01\"}", "json_syntax", 1, 7, "control", JSONOptions{}},
		{"a leading zero", `{"a":01}`, "json_syntax", 1, 6, "not a JSON number", JSONOptions{}},
		{"no digits", `{"a":1.}`, "json_syntax", 1, 6, "not a JSON number", JSONOptions{}},
		{"a word", `{"a":yes}`, "json_syntax", 1, 6, "a value", JSONOptions{}},
		{"NaN", `{"a":NaN}`, "json_syntax", 1, 6, "NaN and Infinity", JSONOptions{}},
		{"minus infinity", `{"a":-Infinity}`, "json_syntax", 1, 6, "NaN and Infinity", JSONOptions{}},
		{"too large", `{"a":1e999}`, "json_infinite", 1, 6, "infinite", JSONOptions{}},
		{"nested", `{"a":{"b":1}}`, "json_nested", 1, 6, "object", JSONOptions{}},
		{"strings in arrays", `{"a":["b"]}`, "json_nested", 1, 7, "only numbers", JSONOptions{}},
		{"an empty array", `{"a":[]}`, "json_ragged", 1, 6, "empty", JSONOptions{}},
		{"a ragged array", `{"a":[[1,2],[3]]}`, "json_ragged", 1, 13, "1 elements, those before it have 2", JSONOptions{}},
		{"uneven depth", `{"a":[[1],2]}`, "json_ragged", 1, 11, "a number stands", JSONOptions{}},
		{"uneven depth, the other way", `{"a":[1,[2]]}`, "json_ragged", 1, 9, "nested deeper", JSONOptions{}},
		{"very deep", `{"a":` + strings.Repeat("[", 100000), "json_nested", 1, 14, "8 deep", JSONOptions{}},
		{"ragged rows", "{\"a\":[1,2]}\n{\"a\":[1]}", "json_ragged", 2, 6, "shape [2] in other rows, here of [1]", JSONOptions{}},
		{"arrays and values", "{\"a\":[1,2]}\n{\"a\":1}", "json_ragged", 2, 6, "here it has none", JSONOptions{}},
		{"values and arrays", "{\"a\":1}\n{\"a\":[1,2]}", "json_ragged", 2, 6, "here it has an array", JSONOptions{}},
		{"different types", "{\"a\":1}\n{\"a\":\"x\"}", "json_types", 2, 6, "a string here, a number before", JSONOptions{}},
		{"a name twice", `{"a":1,"a":2}`, "json_twice", 1, 12, `"a" stands twice`, JSONOptions{}},
		{"not UTF-8", "{\"a\":1}\n{\"é\":\"\xff\"}", "json_encoding", 2, 7, "ff", JSONOptions{}},
		{"not of the declared type", `{"a":"x"}`, "json_cell", 1, 6, "declared type i64", a(I64)},
		{"outside of the declared type", `{"a":300}`, "json_cell", 1, 6, "outside of u8", a(U8)},
		{"an array outside of it", `{"a":[300]}`, "json_cell", 1, 6, "declared type u8", a(U8)},
		{"an array for a string", `{"a":[1]}`, "json_cell", 1, 6, "this is an array", a(String)},
		{"a long line", `{"a":"` + strings.Repeat("x", 100) + `"}`, "json_line_too_long", 1, 1, "50 bytes", JSONOptions{MaxLine: 50}},
		{"a declared column that is absent", `{"b":1}`, "missing_column", 0, 0, `no column "a"`, a(I64)},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeJSONLines(t.Context(), Bytes{"t.jsonl", []byte(c.in)}, c.opt)
			checkDiag(t, err, c.code, c.line, c.column, c.summary)
		})
	}
}

func TestJSONLinesStreamEqualsTable(t *testing.T) {
	var b bytes.Buffer
	for i := range 2*ChunkRows + 100 {
		switch {
		case i == 2*ChunkRows+50:
			b.WriteString("{\"a\":0.5,\"late\":[1,2]}\n")
		case i%7 == 0:
			fmt.Fprintf(&b, "{\"s\":\"w%d\"}\n", i%100)
		default:
			fmt.Fprintf(&b, "{\"a\":%d,\"s\":null}\n", i)
		}
	}
	path := filepath.Join(t.TempDir(), "t.jsonl.gz")
	if err := os.WriteFile(path, compressed(t, "gzip", b.Bytes()), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := ReadJSONLines(t.Context(), path, JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(whole.Schema()) != "[s: string a: f64 late: f64[2]]" {
		t.Errorf("schema %v", whole.Schema())
	}
	src, err := OpenJSONLines(t.Context(), path, JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all, err := ReadAll(t.Context(), src)
	if err != nil || dump(all) != dump(whole) || all.Digest() != whole.Digest() || src.Rows() != whole.Rows() {
		t.Errorf("the stream gives another table: %v", err)
	}
}

// FuzzJSONLines compares with encoding/json: what it refuses is refused, and a
// line of single values reads the same.
func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":"x\u00e9\ud800","c":[1,[2]]}`, `{"a":[[1,2],[3,4]]}`, `{"a":-0.5e-3,"b":null,"c":true}`, "{}\n{}", `{"a":1}{`, `{"a":"\"\\\/\b\f\n\r\t"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		tab, err := DecodeJSONLines(t.Context(), Bytes{"f.jsonl", line}, JSONOptions{MaxLine: 1 << 16})
		if err != nil {
			var d diag.Diagnostic
			if !errors.As(err, &d) {
				t.Fatalf("no diagnostic: %v", err)
			}
			return
		}
		if tab.Rows() != 1 || bytes.HasPrefix(line, []byte("\xef\xbb\xbf")) {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		var want map[string]any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("%q was read, but encoding/json says %v", line, err)
		}
		if len(want) != len(tab.Columns) {
			t.Fatalf("%d columns of %d", len(tab.Columns), len(want))
		}
		for name, w := range want {
			c := tab.Column(name)
			if c == nil {
				t.Fatalf("column %q is absent", name)
			}
			switch w := w.(type) {
			case nil:
				if !c.IsMissing(0) {
					t.Fatalf("%q is not missing", name)
				}
			case string:
				if c.StringAt(0) != w {
					t.Fatalf("%q is %q, not %q", name, c.StringAt(0), w)
				}
			case bool:
				if Values[bool](c)[0] != w {
					t.Fatalf("%q is not %v", name, w)
				}
			case json.Number:
				x, _ := w.Float64()
				if c.Float64At(0, 0) != x {
					t.Fatalf("%q is %v, not %v", name, c.Float64At(0, 0), w)
				}
			}
		}
	})
}
