package data

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
)

func TestSpill(t *testing.T) {
	n := ChunkRows + 100
	half := make([]float32, 2*n)
	flags := make([]bool, n)
	names := make([]string, n)
	small, bytes8, middle := make([]int8, n), make([]uint8, 3*n), make([]int32, n)
	for i := range n {
		half[2*i] = float32(i) / 2
		flags[i] = i%3 == 0
		names[i] = "w" + strconv.Itoa(i%(n/2+1))
		small[i], bytes8[3*i+1], middle[i] = int8(i), uint8(i), int32(-i)
	}
	gone := NewColumn("gone", nil, allRows(n))
	gone.SetMissing(0)
	gone.SetMissing(n - 1)
	tab, err := NewTable(NewColumn("half", []int{2}, half), NewColumn("flag", nil, flags), StringsOf("name", names), gone,
		NewColumn("small", nil, small), NewColumn("bytes", []int{3}, bytes8), NewColumn("middle", nil, middle),
		NewColumn("x", nil, []float64(make([]float64, n))), NewStrings("none", make([]int32, n), []string{"only"}))
	if err != nil {
		t.Fatal(err)
	}
	tab = tab.WithDigest("sha256:0")
	dir := t.TempDir()
	s, err := Spill(t.Context(), tab, dir)
	if err != nil {
		t.Fatal(err)
	}
	var _ Dataset = s
	all, err := ReadAll(t.Context(), s)
	if err != nil || dump(all) != dump(tab) || all.Digest() != tab.Digest() {
		t.Errorf("another table came back: %v", err)
	}
	rows := []int64{int64(n - 1), 0, 5, 6, 7, 5}
	got, err := s.Take(t.Context(), rows)
	if err != nil || dump(got) != dump(tab.Gather(rows)) || fmt.Sprint(got.Column("bytes").values) != fmt.Sprint(tab.Gather(rows).Column("bytes").values) {
		t.Errorf("other rows came back: %v", err)
	}
	for _, r := range [][]int64{{-1}, {int64(n)}, {int64(n - 1), int64(n)}} {
		if _, err := s.Take(t.Context(), r); err == nil {
			t.Errorf("rows %v were found", r)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
	_, err = Spill(t.Context(), tab, dir+"/none")
	checkDiag(t, err, "spill_failed", 0, 0, "cannot be written")
}

// rowsInput gives a CSV file of many rows without having one.
type rowsInput struct{ rows int }

func (r rowsInput) label() string { return "rows.csv" }

func (r rowsInput) open() (io.ReadCloser, error) {
	return &rowsReader{left: r.rows, rest: []byte("id,name,value\n")}, nil
}

type rowsReader struct {
	left, id int
	rest     []byte
	buf      []byte
}

func (r *rowsReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.buf = r.buf[:0]
		for range min(1000, r.left) {
			r.buf = strconv.AppendInt(r.buf, int64(r.id), 10)
			r.buf = append(r.buf, ",a name of quite some length number "...)
			r.buf = strconv.AppendInt(r.buf, int64(r.id%50), 10)
			r.buf = append(r.buf, ",0.25\n"...)
			r.id++
		}
		r.left -= min(1000, r.left)
		r.rest = r.buf
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *rowsReader) Close() error { return nil }

// A file of 54 MB, whose table would take 20, is read twice with much less memory in use.
func TestStreamingNeedsLittleMemory(t *testing.T) {
	const limit = 12 << 20
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	start := m.HeapInuse
	in := rowsInput{rows: 1_000_000}
	src, err := StreamCSV(t.Context(), in, CSVOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	if src.Rows() != in.rows {
		t.Fatalf("%d rows", src.Rows())
	}
	r, err := src.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var most uint64
	for i := 0; ; i++ {
		if _, err := r.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if i%8 == 0 {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
	}
	if most > start+limit {
		t.Errorf("%d MiB were in use, %d before", most>>20, start>>20)
	}
	t.Logf("%d MiB were in use, %d before", most>>20, start>>20)
}
