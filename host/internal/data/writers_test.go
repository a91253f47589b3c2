package data

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

func predictions(t *testing.T) *Table {
	score := NewColumn("score", nil, []float64{0.1, math.Inf(-1), 5e-324})
	gone := NewColumn("n", nil, []int64{1, 0, -3})
	gone.SetMissing(1)
	tab, err := NewTable(
		StringsOf("label", []string{"<=50K", "a \"b\",\nc", " é"}), score, gone,
		NewColumn("p", []int{2, 1}, []float32{0.25, 0.75, 1, float32(math.NaN()), 0.1, 1e-10}),
		NewColumn("ok", nil, []bool{true, false, true}))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func write(t *testing.T, w Writer, err error, tables ...*Table) {
	t.Helper()
	for _, tab := range tables {
		if err == nil {
			err = w.Write(tab)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestCSVWriter(t *testing.T) {
	tab := predictions(t)
	var b bytes.Buffer
	w, err := NewCSVWriter(&b, tab.Schema())
	write(t, w, err, tab.Slice(0, 2), tab.Slice(2, 3))
	want := "label,score,n,p_0_0,p_1_0,ok\n" +
		"<=50K,0.1,1,0.25,0.75,true\n" +
		"\"a \"\"b\"\",\nc\",-Infinity,,1,NaN,false\n" +
		"\" é\",5e-324,-3,0.1,1e-10,true\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	back, err := DecodeCSV(t.Context(), Bytes{"t.csv", b.Bytes()}, CSVOptions{Missing: []string{"-Infinity", "NaN"}})
	if err != nil || back.Rows() != 3 || back.Column("label").StringAt(1) != "a \"b\",\nc" || back.Column("score").Float64At(2, 0) != 5e-324 {
		t.Errorf("read back as %v, %v", back, err)
	}
}

func TestJSONLinesWriter(t *testing.T) {
	tab := predictions(t)
	var b bytes.Buffer
	write(t, NewJSONLinesWriter(&b, tab.Schema()), nil, tab.Slice(0, 2), tab.Slice(2, 3))
	want := `{"label":"<=50K","score":0.1,"n":1,"p":[[0.25],[0.75]],"ok":true}` + "\n" +
		`{"label":"a \"b\",\nc","score":"-Infinity","n":null,"p":[[1],["NaN"]],"ok":false}` + "\n" +
		`{"label":" é","score":5e-324,"n":-3,"p":[[0.1],[1e-10]],"ok":true}` + "\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	back, err := DecodeJSONLines(t.Context(), Bytes{"t", []byte(strings.SplitAfter(b.String(), "\n")[2])}, JSONOptions{})
	if err != nil || fmt.Sprint(back.Schema()) != "[label: string score: f64 n: i64 p: f64[2, 1] ok: bool]" {
		t.Errorf("read back as %v, %v", back, err)
	}
}

func TestNPYWriter(t *testing.T) {
	tab := predictions(t)
	for _, c := range tab.Columns {
		one, err := NewTable(c)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w, err := NewNPYWriter(&b, one.Schema(), 3)
		if err != nil {
			t.Fatal(err)
		}
		if c.Name == "n" {
			if err := w.Write(one); err == nil || !strings.Contains(err.Error(), "missing values") {
				t.Errorf("got %v", err)
			}
			continue
		}
		write(t, w, nil, one)
		if at := bytes.IndexByte(b.Bytes(), '\n') + 1; at%64 != 0 {
			t.Errorf("%s: the elements begin at byte %d", c.Name, at)
		}
		back, err := DecodeNPY(t.Context(), Bytes{"t.npy", b.Bytes()}, c.Name, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := dump(back), dump(one); got != want || fmt.Sprint(back.Columns[0].values) != fmt.Sprint(c.values) {
			t.Errorf("read back as\n%s\nnot\n%s", got, want)
		}
	}
	// The header is the one that NumPy writes.
	var b bytes.Buffer
	w, err := NewNPYWriter(&b, Schema{{Name: "p", Type: F32, Shape: []int{2, 1}}}, 0)
	write(t, w, err)
	if want := "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2, 1), }"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("got %q", b.String())
	}
	if _, err := NewNPYWriter(io.Discard, tab.Schema(), 3); err == nil || !strings.Contains(err.Error(), "choose one") {
		t.Errorf("got %v", err)
	}
	w, _ = NewNPYWriter(io.Discard, Schema{{Name: "a", Type: F32}}, 3)
	if err := w.Close(); err == nil {
		t.Error("an array with rows wanting was completed")
	}
	w, _ = NewCSVWriter(io.Discard, Schema{{Name: "a", Type: F32}})
	if err := w.Write(tab); err == nil {
		t.Error("another table was taken")
	}
}
