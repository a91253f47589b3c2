package data

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
)

func TestColumnGather(t *testing.T) {
	rows := []int64{2, 0, 2}
	missing := NewColumn("m", nil, []float64{1, 2, 3})
	missing.SetMissing(2)
	pixels := NewColumn("p", []int{2}, []uint8{1, 2, 3, 4, 5, 6})
	for _, c := range []struct {
		col    *Column
		floats []float32
		ints   []int64
	}{
		{NewColumn("a", nil, []float64{1.5, 2, -3}), []float32{-3, 1.5, -3}, []int64{-3, 1, -3}},
		{NewColumn("a", nil, []float32{1.5, 2, -3}), []float32{-3, 1.5, -3}, []int64{-3, 1, -3}},
		{NewColumn("a", nil, []int64{1, 2, -3}), []float32{-3, 1, -3}, []int64{-3, 1, -3}},
		{NewColumn("a", nil, []int32{1, 2, -3}), []float32{-3, 1, -3}, []int64{-3, 1, -3}},
		{NewColumn("a", nil, []int8{1, 2, -3}), []float32{-3, 1, -3}, []int64{-3, 1, -3}},
		{NewColumn("a", nil, []bool{true, true, false}), []float32{0, 1, 0}, []int64{0, 1, 0}},
		{StringsOf("s", []string{"b", "a", "a"}), []float32{1, 0, 1}, []int64{1, 0, 1}},
		{pixels, []float32{5, 6, 1, 2, 5, 6}, []int64{5, 6, 1, 2, 5, 6}},
		{missing, []float32{nan32, 1, nan32}, []int64{-1, 1, -1}},
	} {
		if got := c.col.GatherFloat32([]float32{9}, rows); fmt.Sprint(got) != fmt.Sprint(append([]float32{9}, c.floats...)) {
			t.Errorf("%v: floats %v, want %v", c.col.Field(), got, c.floats)
		}
		if got := c.col.GatherInt64(nil, rows); !slices.Equal(got, c.ints) {
			t.Errorf("%v: integers %v, want %v", c.col.Field(), got, c.ints)
		}
		g := c.col.Gather(rows)
		if got := g.GatherFloat32(nil, allRows(3)); fmt.Sprint(got) != fmt.Sprint(c.floats) || g.Rows() != 3 || g.Type != c.col.Type {
			t.Errorf("%v: gathered %v, want %v", c.col.Field(), got, c.floats)
		}
		s := c.col.Slice(1, 3)
		if got, want := s.GatherFloat32(nil, []int64{1}), c.col.GatherFloat32(nil, []int64{2}); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v: sliced %v, want %v", c.col.Field(), got, want)
		}
	}
	if got := StringsOf("s", []string{"b", "a", "b"}).Dict(); fmt.Sprint(got) != "[b a]" {
		t.Errorf("dictionary %v", got)
	}
}

var nan32 = float32(math.NaN())

func TestTable(t *testing.T) {
	a, s := NewColumn("a", nil, []int64{1, 2, 3}), NewStrings("s", []int32{0, -1, 1}, []string{"x", "y"})
	tab, err := NewTable(a, s)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := dump(tab.Gather([]int64{2, 1})), lines("a: i64, s: string", "3|y", "2|?"); got != want {
		t.Errorf("got\n%s", got)
	}
	if _, err := tab.Take(t.Context(), []int64{3}); err == nil {
		t.Error("a row beyond the table was taken")
	}
	sel, err := tab.Select("s")
	if err != nil || dump(sel) != lines("s: string", "x", "?", "y") {
		t.Errorf("%v, %v", sel, err)
	}
	_, err = tab.Select("S2")
	checkDiag(t, err, "missing_column", 0, 0, `no column "S2"`)
	if _, err := NewTable(a, a); err == nil {
		t.Error("a name was taken twice")
	}
	if _, err := NewTable(a, NewColumn("b", nil, []bool{true})); err == nil {
		t.Error("columns of different lengths were taken")
	}
}

func TestTableReader(t *testing.T) {
	n := 2*ChunkRows + 5
	tab, _ := NewTable(NewColumn("a", nil, allRows(n)))
	r, err := tab.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	var chunks []int
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c.Rows())
		got = append(got, Values[int64](c.Columns[0])...)
	}
	if !slices.Equal(got, allRows(n)) || fmt.Sprint(chunks) != fmt.Sprint([]int{ChunkRows, ChunkRows, 5}) {
		t.Errorf("chunks of %v rows", chunks)
	}
}
