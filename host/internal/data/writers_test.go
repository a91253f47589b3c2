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

func TestWritersRefuseAnotherTable(t *testing.T) {
	w, err := NewCSVWriter(io.Discard, Schema{{Name: "a", Type: F32}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(predictions(t)); err == nil {
		t.Error("another table was taken")
	}
}
