package data

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hone-ml/hone/host/internal/diag"
)

// dump writes a table as text: the schema, then one line a row, ? for missing.
func dump(t *Table) string {
	var b strings.Builder
	for i, f := range t.Schema() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.String())
	}
	for r := range t.Rows() {
		b.WriteString("\n")
		for i, c := range t.Columns {
			if i > 0 {
				b.WriteString("|")
			}
			switch {
			case c.IsMissing(r):
				b.WriteString("?")
			case c.Type == String:
				b.WriteString(c.StringAt(r))
			case c.Type == Bool:
				fmt.Fprint(&b, Values[bool](c)[r])
			case c.Type == I64:
				fmt.Fprint(&b, Values[int64](c)[r])
			default:
				fmt.Fprint(&b, c.Float64At(r, 0))
			}
		}
	}
	return b.String()
}

func lines(s ...string) string { return strings.Join(s, "\n") }

func TestCSV(t *testing.T) {
	for _, c := range []struct {
		name, in string
		opt      CSVOptions
		want     string
	}{
		{"header and types", "a,b,c,d\n1,2.5,x,true\n-2,1e3,y z,FALSE\n", CSVOptions{},
			lines("a: i64, b: f64, c: string, d: bool", "1|2.5|x|true", "-2|1000|y z|false")},
		{"given names", "1,x\n2,y", CSVOptions{Columns: []string{"n", "s"}},
			lines("n: i64, s: string", "1|x", "2|y")},
		{"given names and a header", "p,q\n1,x\n", CSVOptions{Columns: []string{"n", "s"}, Header: true},
			lines("n: i64, s: string", "1|x")},
		{"missing", "a,b,c\n,NA,x\n3,,nan\n?,1.5,null\n", CSVOptions{Missing: []string{"?", "NA", "nan"}},
			lines("a: i64, b: f64, c: string", "?|?|x", "3|?|?", "?|1.5|null")},
		{"all missing", "a,b\n,1\n,2\n", CSVOptions{}, lines("a: f64, b: i64", "?|1", "?|2")},
		{"quotes", "a,b\n\"x, \"\"y\"\"\",1\n\"two\nlines\",2\n\"\",3\r\n\"z\",4", CSVOptions{},
			lines("a: string, b: i64", `x, "y"|1`, "two", "lines|2", "?|3", "z|4")},
		{"quoted numbers", "a\n\"1\"\n\"2\"\n", CSVOptions{}, lines("a: i64", "1", "2")},
		{"no quotes", "a,b\n5\" pipe,\"x\n", CSVOptions{NoQuote: true}, lines("a: string, b: string", `5" pipe|"x`)},
		{"carriage returns", "a,b\r\n1,x\r\n2,y\r\n", CSVOptions{}, lines("a: i64, b: string", "1|x", "2|y")},
		{"a last carriage return alone", "a,b\r\n1,x\r", CSVOptions{}, lines("a: i64, b: string", "1|x")},
		{"blank lines", "\n\na,b\n\n1,2\n\r\n3,4\n\n", CSVOptions{}, lines("a: i64, b: i64", "1|2", "3|4")},
		{"comments", "# what, \"it is\n#\na;b\n1;2\n#3;4\n5;6\n# end", CSVOptions{Comment: '#', Delimiter: ';'},
			lines("a: i64, b: i64", "1|2", "5|6")},
		{"initial space", "a, b, c\n1, x y , \"q\"\n", CSVOptions{SkipInitialSpace: true}, lines("a: i64, b: string, c: string", "1|x y |q")},
		{"byte order mark", "\xef\xbb\xbfa,b\n1,é\n", CSVOptions{}, lines("a: i64, b: string", "1|é")},
		{"only a header", "a,b\n", CSVOptions{}, "a: f64, b: f64"},
		{"only a header without line end", "a,b", CSVOptions{}, "a: f64, b: f64"},
		{"no lines but names", "", CSVOptions{Columns: []string{"a"}}, "a: f64"},
		{"numbers then text", "a\n1\n007\nx\n", CSVOptions{}, lines("a: string", "1", "007", "x")},
		{"truth and numbers are text", "a\ntrue\n1\n", CSVOptions{}, lines("a: string", "true", "1")},
		{"spaces around numbers", "a,b\n 1 , 2.5\n3,4\n", CSVOptions{}, lines("a: i64, b: f64", "1|2.5", "3|4")},
		{"great whole numbers", "a\n9223372036854775807\n-9223372036854775808\n", CSVOptions{}, lines("a: i64", "9223372036854775807", "-9223372036854775808")},
		{"greater ones", "a\n9223372036854775808\n1\n", CSVOptions{}, lines("a: f64", "9.223372036854776e+18", "1")},
		{"declared", "a,b,c,d\n1,2,3,4\n,,,\n", CSVOptions{Types: map[string]Type{"a": String, "b": F32, "c": U8, "d": F64}},
			lines("a: string, b: f32, c: u8, d: f64", "1|2|3|4", "?|?|?|?")},
		{"kept", "a,b,c\n1,2,3\n4,5,6\n", CSVOptions{Keep: []string{"c", "a"}}, lines("a: i64, c: i64", "1|3", "4|6")},
		{"infinity is a word in text", "a\nInf\nx\n", CSVOptions{}, lines("a: string", "Inf", "x")},
		{"infinity as a missing value", "a\ninf\n2\n", CSVOptions{Missing: []string{"inf"}}, lines("a: i64", "?", "2")},
		{"tabs", "a\tb\n1\t2\n", CSVOptions{Delimiter: '\t'}, lines("a: i64, b: i64", "1|2")},
		{"one column", "a\nx\ny\n", CSVOptions{}, lines("a: string", "x", "y")},
		{"numbers that are none", "a,b,c,d,e\n1_0,0x10,.,1e,--1\n", CSVOptions{}, lines("a: string, b: string, c: string, d: string, e: string", "1_0|0x10|.|1e|--1")},
		{"numbers that look odd", "a,b,c,d\n.5,5.,+1,1E-2\n", CSVOptions{}, lines("a: f64, b: f64, c: i64, d: f64", "0.5|5|1|0.01")},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, err := DecodeCSV(t.Context(), Bytes{"t.csv", []byte(c.in)}, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(tab); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestCSVErrors(t *testing.T) {
	names := CSVOptions{Columns: []string{"a", "b"}}
	declared := func(ty Type) CSVOptions { return CSVOptions{Types: map[string]Type{"b": ty}} }
	for _, c := range []struct {
		name, in     string
		opt          CSVOptions
		code         string
		line, column int
		summary      string // a part of it
	}{
		{"too few fields", "a,b\n1,2\n3\n", CSVOptions{}, "csv_ragged", 3, 2, "one field, but there are 2 columns"},
		{"too many fields", "a,b\n1,2\n3,4,5,6\n", CSVOptions{}, "csv_ragged", 3, 5, "4 fields, but there are 2"},
		{"too many, quoted over lines", "a,b\n\"x\ny\",2,3\n", CSVOptions{}, "csv_ragged", 3, 6, "3 fields"},
		{"a quote never closed", "a,b\n1,2\n3,\"x\n4,5\n", CSVOptions{}, "csv_quote", 3, 3, "never closed"},
		{"a quote inside", "a,b\n1,2\n3,x\"y\n", CSVOptions{}, "csv_quote", 3, 4, "inside of a field"},
		{"text after a quote", "a,b\n1,\"x\"y\n", CSVOptions{}, "csv_quote", 2, 6, "after its closing quote"},
		{"not UTF-8", "a,b\n1,é\n2,caf\xe9\n", CSVOptions{}, "csv_encoding", 3, 6, "e9"},
		{"UTF-16", "\xff\xfea\x00,\x00", CSVOptions{}, "csv_encoding", 1, 1, "UTF-16"},
		{"binary", "a,b\n1,\x00\n", CSVOptions{}, "csv_binary", 2, 3, "zero byte"},
		{"a wrong integer", "a,b\né,x1\n", declared(I64), "csv_cell", 2, 3, `"x1" in column "b" is not a whole number`},
		{"a wrong number", "a,b\n1,2\n1,two\n", declared(F64), "csv_cell", 3, 3, "is not a number"},
		{"a wrong bool", "a,b\n1,yes\n", declared(Bool), "csv_cell", 2, 3, "is not true or false"},
		{"out of range", "a,b\n1,256\n", declared(U8), "csv_cell", 2, 3, "0 to 255"},
		{"out of range of f32", "a,b\n1,1e39\n", declared(F32), "csv_infinite", 2, 3, "infinite"},
		{"infinite", "a,b\n1,2\n2,-inf\n3,4\n", CSVOptions{}, "csv_infinite", 3, 3, `"-inf"`},
		{"too large", "a,b\n1,1e999\n", CSVOptions{}, "csv_infinite", 2, 3, "1e999"},
		{"one name twice", "a,b,a\n", CSVOptions{}, "csv_header", 1, 1, `1 and 3 of t.csv are both called "a"`},
		{"no name", "a,,c\n", CSVOptions{}, "csv_header", 1, 1, "column 2"},
		{"names repeated", "a,b\n1,2\n", names, "csv_header", 1, 1, "repeats the column names"},
		{"empty", "", CSVOptions{}, "csv_empty", 0, 0, "is empty"},
		{"only comments", "#a\n#b", CSVOptions{Comment: '#'}, "csv_empty", 0, 0, "is empty"},
		{"a long field", "a,b\n1,2\n3," + strings.Repeat("x", 101) + "\n", CSVOptions{MaxField: 100}, "csv_field_too_long", 3, 3, "100 bytes"},
		{"a long quoted field", "a,b\n3,\"" + strings.Repeat("x", 101) + "\"\n", CSVOptions{MaxField: 100}, "csv_field_too_long", 2, 3, "100 bytes"},
		{"a long record", "a,b\n1,2\n" + strings.Repeat("x", 60) + "," + strings.Repeat("y", 60) + "\n", CSVOptions{MaxRecord: 100, MaxField: 90}, "csv_record_too_long", 3, 1, "100 bytes"},
		{"an unknown declared column", "age,b\n1,2\n", CSVOptions{Types: map[string]Type{"aeg": I64}}, "missing_column", 0, 0, `no column "aeg"`},
		{"an unknown kept column", "age,b\n1,2\n", CSVOptions{Keep: []string{"c"}}, "missing_column", 1, 1, `no column "c"`},
		{"equal characters", "a\n", CSVOptions{Delimiter: '#', Comment: '#'}, "csv_options", 0, 0, "both the delimiter and the comment"},
		{"a bad delimiter", "a\n", CSVOptions{Delimiter: '\n'}, "csv_options", 0, 0, "delimiter"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := DecodeCSV(t.Context(), Bytes{"t.csv", []byte(c.in)}, c.opt)
			checkDiag(t, err, c.code, c.line, c.column, c.summary)
		})
	}
}

func checkDiag(t *testing.T, err error, code string, line, column int, summary string) {
	t.Helper()
	var d diag.Diagnostic
	if !errors.As(err, &d) {
		t.Fatalf("got %v, want a diagnostic %s", err, code)
	}
	var at diag.Pos
	if d.Subject != nil {
		at = d.Subject.Start
	}
	if d.Code != code || at.Line != line || at.Column != column || !strings.Contains(d.Summary, summary) {
		t.Errorf("got %s at %d:%d: %s\nwant %s at %d:%d with %q", d.Code, at.Line, at.Column, d.Summary, code, line, column, summary)
	}
	if d.Detail == "" {
		t.Errorf("%s has no remedy", code)
	}
}

// endlessReader gives a header and then one field without end; it counts what was asked for.
type endlessReader struct {
	head string
	read int64
}

func (r *endlessReader) Read(p []byte) (int, error) {
	n := copy(p, r.head)
	r.head = r.head[n:]
	for i := n; i < len(p); i++ {
		p[i] = 'x'
	}
	r.read += int64(len(p))
	return len(p), nil
}

func (r *endlessReader) Close() error                 { return nil }
func (r *endlessReader) label() string                { return "endless.csv" }
func (r *endlessReader) open() (io.ReadCloser, error) { return r, nil }

func TestCSVGiantFieldIsNotTakenIntoMemory(t *testing.T) {
	for _, c := range []struct {
		head         string
		line, column int
	}{{"a,b\n1,2\n3,", 3, 3}, {"a,b\n1,2\n3,\"", 3, 3}, {"", 1, 1}} {
		in := &endlessReader{head: c.head}
		_, err := DecodeCSV(t.Context(), in, CSVOptions{})
		checkDiag(t, err, "csv_field_too_long", c.line, c.column, "longer than 1048576 bytes")
		if in.read > 17<<20 {
			t.Errorf("%d bytes were read of a field without end", in.read)
		}
	}
}

// bigCSV makes a file of many blocks with everything that is hard: quoted line
// ends, missing values, columns that change their mind late.
func bigCSV(rows int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString("id,name,note,late_float,late_text,flag,sparse\n")
	for i := range rows {
		fmt.Fprintf(&b, "%d,name%d,", i, r.IntN(1000))
		switch r.IntN(4) {
		case 0:
			fmt.Fprintf(&b, "\"line one, %d\nline \"\"two\"\"\"", i)
		case 1:
			b.WriteString("plain é")
		}
		late, text := strconv.Itoa(i), fmt.Sprintf("%03d", i%500)
		if i == rows-3 {
			late, text = "0.5", "end"
		}
		sparse := ""
		if i%9973 == 9000 {
			sparse = "1.25"
		}
		fmt.Fprintf(&b, ",%s,%s,%v,%s\n", late, text, i%3 == 0, sparse)
	}
	return b.Bytes()
}

func compressed(t testing.TB, kind string, b []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch kind {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return b
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCSVIsTheSameOnAnyThreadsAndCompressions(t *testing.T) {
	const rows = 20000
	text := bigCSV(rows)
	var want string
	for _, threads := range []int{1, 2, 7} {
		for _, kind := range []string{"", "gzip", "zstd"} {
			if kind != "" && threads != 2 {
				continue
			}
			tab, err := DecodeCSV(t.Context(), Bytes{"big.csv", compressed(t, kind, text)}, CSVOptions{Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			got := dump(tab)
			if want == "" {
				want = got
				if s := tab.Schema(); fmt.Sprint(s) != "[id: i64 name: string note: string late_float: f64 late_text: string flag: bool sparse: f64]" {
					t.Errorf("schema %v", s)
				}
				if tab.Rows() != rows || tab.Column("late_text").StringAt(7) != "007" || Values[int64](tab.Column("id"))[rows-1] != rows-1 {
					t.Error("values are wrong")
				}
				if i := 9000; tab.Column("sparse").Missing.Get(i) || Values[float64](tab.Column("sparse"))[i] != 1.25 {
					t.Error("a sparse value was lost")
				}
			}
			if got != want {
				t.Fatalf("%d threads, compression %q: another table", threads, kind)
			}
		}
	}
}

func TestCSVStreamEqualsTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.csv")
	if err := os.WriteFile(path, bigCSV(30000), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, err := ReadCSV(t.Context(), path, CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	src, err := OpenCSV(t.Context(), path, CSVOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if src.Rows() != whole.Rows() || src.Digest() != whole.Digest() || !strings.HasPrefix(src.Digest(), "sha256:") {
		t.Errorf("%d rows with digest %s, the table has %d with %s", src.Rows(), src.Digest(), whole.Rows(), whole.Digest())
	}
	for range 2 {
		r, err := src.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for {
			chunk, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if chunk.Rows() != min(ChunkRows, whole.Rows()-at) {
				t.Fatalf("a chunk of %d rows at row %d", chunk.Rows(), at)
			}
			if got, want := dump(chunk), dump(whole.Slice(at, at+chunk.Rows())); got != want {
				t.Fatalf("the chunk at row %d differs", at)
			}
			at += chunk.Rows()
		}
		if err := r.Close(); err != nil || at != whole.Rows() {
			t.Errorf("%d rows, %v", at, err)
		}
	}
	all, err := ReadAll(t.Context(), src)
	if err != nil || dump(all) != dump(whole) || all.Digest() != whole.Digest() {
		t.Errorf("ReadAll gives another table: %v", err)
	}

	// A file that changes between two passes is found out.
	r, err := src.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := os.WriteFile(path, bigCSV(29999), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ReadAll(t.Context(), src)
	checkDiag(t, err, "file_changed", 0, 0, "has changed")
}

func TestCSVErrorInALaterBlock(t *testing.T) {
	text := bigCSV(40000)
	line := bytes.Count(text, []byte("\n")) + 1
	text = append(text, "1,2\n"...)
	for _, threads := range []int{1, 3} {
		_, err := DecodeCSV(t.Context(), Bytes{"big.csv", text}, CSVOptions{Threads: threads})
		checkDiag(t, err, "csv_ragged", line, 4, "2 fields, but there are 7")
	}
}

func TestCSVCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := DecodeCSV(ctx, Bytes{"big.csv", bigCSV(1000)}, CSVOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCSVFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := ReadCSV(t.Context(), filepath.Join(dir, "none.csv"), CSVOptions{})
	checkDiag(t, err, "no_such_file", 0, 0, "there is no file")
	_, err = ReadCSV(t.Context(), dir, CSVOptions{})
	checkDiag(t, err, "not_a_file", 0, 0, "is a folder")

	whole := compressed(t, "gzip", bigCSV(5000))
	cut := Bytes{"cut.csv.gz", whole[:len(whole)/2]}
	_, err = DecodeCSV(t.Context(), cut, CSVOptions{})
	checkDiag(t, err, "corrupt_compression", 0, 0, "damaged")
	flipped := bytes.Clone(compressed(t, "zstd", bigCSV(5000)))
	flipped[len(flipped)/2] ^= 0x40
	_, err = DecodeCSV(t.Context(), Bytes{"flipped.csv.zst", flipped}, CSVOptions{})
	checkDiag(t, err, "corrupt_compression", 0, 0, "damaged")
}

func TestCSVLimitOnMemory(t *testing.T) {
	_, err := DecodeCSV(t.Context(), Bytes{"big.csv", bigCSV(40000)}, CSVOptions{Limits: Limits{Bytes: 1 << 20}})
	checkDiag(t, err, "data_too_large", 0, 0, "more than 1 MiB")
}

func TestParseFloatIsStrconv(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200000 {
		var s string
		switch r.IntN(4) {
		case 0:
			s = strconv.FormatFloat(math.Float64frombits(r.Uint64()), 'g', -1, 64)
		case 1:
			s = strconv.FormatFloat(r.NormFloat64()*1000, 'f', r.IntN(20), 64)
		case 2:
			s = fmt.Sprintf("%d.%0*d", r.IntN(1000), 1+r.IntN(25), r.IntN(100000))
		case 3:
			s = fmt.Sprintf("%de%d", r.Uint64(), r.IntN(60)-30)
		}
		want, err := strconv.ParseFloat(s, 64)
		if math.IsNaN(want) {
			continue
		}
		got, n := parseFloat([]byte(s))
		if got != want || math.Signbit(got) != math.Signbit(want) || (n == infinite) != (err != nil || math.IsInf(want, 0)) {
			t.Fatalf("%s: got %v (%v), want %v (%v)", s, got, n, want, err)
		}
	}
}

// FuzzCSV checks that any bytes give a table or a diagnostic, the same on one
// thread and on three, and that what a table is written as reads back as itself.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a\n\"x\"\"\ny\"\n", "a;b\n#c\n1; 2\n", "\xef\xbb\xbfa\r\n,\r\n", "a,b\n1\n", "a\n1e999\n", "a\nInf\nx", "\"", "a\n\"", "a\n\xff"} {
		f.Add([]byte(s), byte(','), byte('#'), true, false)
		f.Add([]byte(s), byte(';'), byte(0), false, true)
	}
	f.Fuzz(func(t *testing.T, text []byte, delimiter, comment byte, skip, noQuote bool) {
		opt := CSVOptions{Delimiter: delimiter, Comment: comment, SkipInitialSpace: skip, NoQuote: noQuote, Threads: 1, MaxField: 1000, MaxRecord: 5000}
		one, err1 := DecodeCSV(t.Context(), Bytes{"f.csv", text}, opt)
		opt.Threads = 3
		three, err3 := DecodeCSV(t.Context(), Bytes{"f.csv", text}, opt)
		if fmt.Sprint(err1) != fmt.Sprint(err3) {
			t.Fatalf("one thread: %v\nthree: %v", err1, err3)
		}
		if err1 != nil {
			var d diag.Diagnostic
			if !errors.As(err1, &d) {
				t.Fatalf("no diagnostic: %v", err1)
			}
			return
		}
		if dump(one) != dump(three) {
			t.Fatal("three threads give another table")
		}
	})
}
