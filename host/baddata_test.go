package host

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/diag"
)

// badDataSpec trains on rows.csv; TYPES and SPLIT are filled in by the cases.
const badDataSpec = `
data "csv" "rows" {
  path   = "rows.csv"
  target = "y"
  TYPES
  transform "standardize" {
    columns = ["a"]
  }
  transform "one_hot" {
    columns = ["b"]
  }
  split {
    test     = 0.25
    SPLIT
  }
}
model "net" {
  input "x" {
    columns = ["*"]
  }
  layer "dense" "out" {
    units = 2
  }
}
train {
  epochs = 1
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {}
}
`

// goodRows are 24 rows of a number, a word and one of two classes.
func goodRows() [][]string {
	var rows [][]string
	for i := range 24 {
		rows = append(rows, []string{fmt.Sprintf("%d.5", i%7), string("uvw"[i%3]), []string{"no", "yes"}[i%2]})
	}
	return rows
}

func csvOf(rows [][]string) string {
	var b strings.Builder
	b.WriteString("a,b,y\n")
	for _, r := range rows {
		b.WriteString(strings.Join(r, ",") + "\n")
	}
	return b.String()
}

// only checks that err is one diagnostic that names the file, line and column, and
// says what to do.
func only(t *testing.T, err error, code, file string, line, column int, hint string) {
	t.Helper()
	ds := diag.From(err)
	if len(ds) != 1 {
		t.Fatalf("%d diagnostics: %v", len(ds), err)
	}
	d := ds[0]
	if d.Code != code {
		t.Errorf("the code is %q, wanted %q: %v", d.Code, code, d)
	}
	if d.Subject == nil || filepath.Base(d.Subject.File) != file || d.Subject.Start.Line != line || d.Subject.Start.Column != column {
		t.Errorf("the place is %v, wanted %s:%d:%d: %v", d.Subject, file, line, column, d)
	}
	if !strings.Contains(d.Detail, hint) {
		t.Errorf("the remedy is %q, wanted %q in it", d.Detail, hint)
	}
}

func TestBadDataIsSaidToBeSo(t *testing.T) {
	set := func(row, column int, cell string) string {
		rows := goodRows()
		rows[row][column] = cell
		return csvOf(rows)
	}
	every := func(column int, cell string) [][]string {
		rows := goodRows()
		for i := range rows {
			rows[i][column] = cell
		}
		return rows
	}
	stratum := every(2, "yes")
	stratum[3][2] = "no"
	for _, c := range []struct {
		name, rows, types, split string
		code                     string
		line, column             int
		hint                     string
	}{
		{"a record too short", set(4, 1, "u\n1.5"), "", "", "csv_ragged", 6, 6, "Mend the line"},
		{"a record too long", set(4, 1, "u,u"), "", "", "csv_ragged", 6, 9, "Mend the line"},
		{"a word among numbers", set(9, 0, "1.5x"), "", "", "component", 11, 1, `"1.5x" in row 10: correct it`},
		{"a word in a column of numbers", set(9, 0, "1.5x"), "column \"a\" {\n type = \"number\"\n}", "", "csv_cell", 11, 1, "Mend the cell"},
		{"a column without values", csvOf(every(0, "")), "", "", "all_missing", 1, 1, "impute a constant"},
		{"one class", csvOf(every(2, "yes")), "", "", "one_class", 1, 5, "name another target"},
		{"one row of a class", csvOf(stratum), "", `stratify = "y"`, "too_few_rows", 5, 7, "Add examples of the class"},
		{"a row without a class", set(5, 2, ""), "", `stratify = "y"`, "class_missing", 7, 7, "Remove the rows"},
		{"a missing number", set(13, 0, ""), "", "", "missing_values", 15, 1, "impute"},
		{"no UTF-8", set(5, 1, "\xff\xfe"), "", "", "csv_encoding", 7, 5, "iconv"},
		{"an infinite number", set(9, 0, "inf"), "", "", "csv_infinite", 11, 1, "Mend the cell"},
		{"a number too large", set(9, 0, "1e400"), "", "", "csv_infinite", 11, 1, "Mend the cell"},
		{"a quote never closed", set(9, 1, `"u`), "", "", "csv_quote", 11, 5, "Add the closing quote"},
		{"a long field", set(9, 1, strings.Repeat("x", 1<<20+1)), "", "", "csv_field_too_long", 11, 5, "max_field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, memory := range []int64{0, 1} {
				dir := t.TempDir()
				text := strings.NewReplacer("TYPES", c.types, "SPLIT", c.split).Replace(badDataSpec)
				for name, s := range map[string]string{"rows.csv": c.rows, "test.hone.hcl": text} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				p, err := Load(dir, Options{Builtin: bundle, DataMemory: memory})
				if err != nil {
					t.Fatal(err)
				}
				out := filepath.Join(dir, "out.hone")
				_, err = p.Train(context.Background(), TrainOptions{Out: out})
				only(t, err, c.code, "rows.csv", c.line, c.column, c.hint)
				if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
					t.Error("a checkpoint was written")
				}
			}
		})
	}
}

// A field of a gigabyte costs no gigabyte, nor does it take the time to read one. It
// is 64 times the same compressed 16 MiB.
func TestGigabyteFieldIsRefusedEarly(t *testing.T) {
	var file bytes.Buffer
	packed := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	file.Write(packed("a,b,y\n1.5,u,no\n1.5,"))
	file.Write(bytes.Repeat(packed(strings.Repeat("x", 16<<20)), 64))
	file.Write(packed(",no\n"))
	path := filepath.Join(t.TempDir(), "rows.csv.gz")
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := DescribeData(context.Background(), path, CSVReading{}, &strings.Builder{}, 80)
	runtime.ReadMemStats(&after)
	only(t, err, "csv_field_too_long", "rows.csv.gz", 3, 5, "max_field")
	if took := after.TotalAlloc - before.TotalAlloc; took > 128<<20 {
		t.Errorf("%d MiB were allocated", took>>20)
	}
}

func TestBadRowsToPredict(t *testing.T) {
	dir := t.TempDir()
	text := strings.NewReplacer("TYPES", "", "SPLIT", `stratify = "y"`).Replace(badDataSpec)
	for name, s := range map[string]string{"rows.csv": csvOf(goodRows()), "test.hone.hcl": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Load(dir, Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Train(context.Background(), TrainOptions{Out: filepath.Join(dir, "out.hone")})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(r.Checkpoint, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, c := range []struct {
		file, rows   string
		code         string
		line, column int
		hint         string
	}{
		{"p.csv", "a,c\n1.5,u\n", "missing_column", 1, 0, "the rows must have it"},
		{"p.csv", "a,b\n1.5,u\nabc,v\n", "column_type", 3, 1, "Correct the value"},
		{"p.csv", "a,b\n1.5,u\n,v\n", "missing_values", 3, 1, "impute"},
		{"p.csv", "a,b\n1.5,u\n-inf,v\n", "csv_infinite", 3, 1, "Mend the cell"},
		{"p.csv", "a,b\n1.5,u\n2.5\n", "csv_ragged", 3, 4, "mend the line"},
		{"p.jsonl", "{\"a\": 1.5, \"b\": \"u\"}\n\n{\"a\": null, \"b\": \"u\"}\n", "missing_values", 3, 0, "impute"},
		{"p.jsonl", "{\"a\": 1.5}\n", "missing_column", 1, 0, "the rows must have it"},
	} {
		t.Run(c.code, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(path, []byte(c.rows), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := m.PredictFile(context.Background(), path)
			only(t, err, c.code, c.file, c.line, c.column, c.hint)
		})
	}
}

// What a loss ignores need not be one of the output's classes.
func TestLabelsBeyondTheClasses(t *testing.T) {
	rows := goodRows()
	for i := range rows {
		rows[i][2] = []string{"0", "1"}[i%2]
	}
	rows[2][2] = "-1"
	for _, c := range []struct{ name, loss, code, hint string }{
		{"ignored", "ignore_class = -1", "", ""},
		{"another one is ignored", "ignore_class = 255", "label_range", "ignore_class = -1"},
		{"none is ignored", "", "label_range", "ignore_class = -1"},
	} {
		for _, memory := range []int64{0, 1} {
			t.Run(fmt.Sprintf("%s, %d", c.name, memory), func(t *testing.T) {
				dir := t.TempDir()
				text := strings.NewReplacer("TYPES", "", "SPLIT", "shuffle = false", "from_logits = true", "from_logits = true\n"+c.loss).Replace(badDataSpec)
				for name, s := range map[string]string{"rows.csv": csvOf(rows), "test.hone.hcl": text} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				p, err := Load(dir, Options{Builtin: bundle, DataMemory: memory})
				if err != nil {
					t.Fatal(err)
				}
				_, err = p.Train(context.Background(), TrainOptions{Out: filepath.Join(dir, "out.hone")})
				if c.code == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				only(t, err, c.code, "rows.csv", 4, 7, c.hint)
			})
		}
	}
}
