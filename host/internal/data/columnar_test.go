package data

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/diag"
)

// openers read the same table, which pyarrow wrote (see columnar.py).
var openers = map[string]func(t *testing.T, in Input, opt ColumnarOptions) (Source, error){
	"columns.parquet": func(t *testing.T, in Input, opt ColumnarOptions) (Source, error) {
		return StreamParquet(t.Context(), in, opt)
	},
	"columns.arrow": func(t *testing.T, in Input, opt ColumnarOptions) (Source, error) {
		return StreamArrow(t.Context(), in, opt)
	},
	"columns.feather": func(t *testing.T, in Input, opt ColumnarOptions) (Source, error) {
		return StreamArrow(t.Context(), in, opt)
	},
	"columns.arrows": func(t *testing.T, in Input, opt ColumnarOptions) (Source, error) {
		return StreamArrow(t.Context(), in, opt)
	},
}

func TestColumnarFiles(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "columnar.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			src, err := open(t, File(filepath.Join("testdata", name)), ColumnarOptions{})
			if err != nil {
				t.Fatal(err)
			}
			tab, err := ReadAll(t.Context(), src)
			if err != nil {
				t.Fatal(err)
			}
			schema := fmt.Sprint(tab.Schema())
			wantSchema := "[id: i64 flag: bool i8: i8 u8: u8 i16: i32 u32: i64 u64: i64 f32: f32 f64: f64 text: string large: string view: string word: string price: f64 day: i32 pair: f32[2] nothing: f64]"
			if schema != wantSchema || src.Rows() != tab.Rows() || tab.Rows() != 250 {
				t.Errorf("%d rows of\n%s, want\n%s", tab.Rows(), schema, wantSchema)
			}
			var got strings.Builder
			for _, c := range tab.Columns {
				fmt.Fprintf(&got, "%s %d", c.Name, c.Missing.Count(c.Rows()))
				sums := make([]float64, c.Width())
				var words []string
				for r := range c.Rows() {
					switch {
					case c.IsMissing(r):
					case c.Type == String:
						words = append(words, c.StringAt(r))
					default:
						for i := range sums {
							sums[i] += c.Float64At(r, i)
						}
					}
				}
				if c.Type == String {
					fmt.Fprintf(&got, " %d %s %s", len(c.Dict()), words[0], words[len(words)-1])
				} else {
					for _, s := range sums {
						fmt.Fprintf(&got, " %.6f", s)
					}
				}
				got.WriteString("\n")
			}
			if got.String() != string(want) {
				t.Errorf("got\n%swant\n%s", got.String(), want)
			}

			two, err := open(t, File(filepath.Join("testdata", name)), ColumnarOptions{Keep: []string{"word", "f64"}})
			if err != nil || fmt.Sprint(two.Schema()) != "[f64: f64 word: string]" {
				t.Errorf("%v, %v", two, err)
			}
			_, err = open(t, File(filepath.Join("testdata", name)), ColumnarOptions{Keep: []string{"words"}})
			checkDiag(t, err, "missing_column", 0, 0, `no column "words"`)
		})
	}
}

// Whatever is cut off or changed gives a diagnostic or another table, never a panic.
func TestDamagedColumnarFiles(t *testing.T) {
	for name, open := range openers {
		whole, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		try := func(b []byte, mustFail bool) {
			src, err := open(t, Bytes{name, b}, ColumnarOptions{})
			if err == nil {
				_, err = ReadAll(t.Context(), src)
			}
			var d diag.Diagnostic
			if err != nil && !errors.As(err, &d) {
				t.Errorf("%s: no diagnostic: %v", name, err)
			}
			if err == nil && mustFail {
				t.Errorf("%s: %d bytes of %d were read", name, len(b), len(whole))
			}
		}
		for _, n := range []int{0, 3, 4, 8, 12, 100, len(whole) / 2, len(whole) - 200} {
			// A stream cut between two messages is a shorter stream.
			try(whole[:n], name != "columns.arrows" || n < 200)
		}
		for at := 7; at < len(whole); at += 211 {
			b := append([]byte(nil), whole...)
			b[at] ^= 0xff
			try(b, false)
		}
	}
}

func fuzzColumnar(f *testing.F, names ...string) {
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src, err := openers[names[0]](t, Bytes{"f", b}, ColumnarOptions{})
		if err == nil && src.Rows() < 1<<20 {
			_, err = ReadAll(t.Context(), src)
		}
		var d diag.Diagnostic
		if err != nil && !errors.As(err, &d) {
			t.Fatalf("no diagnostic: %v", err)
		}
	})
}

func FuzzParquet(f *testing.F) { fuzzColumnar(f, "columns.parquet") }

func FuzzArrow(f *testing.F) { fuzzColumnar(f, "columns.arrow", "columns.arrows", "columns.feather") }
