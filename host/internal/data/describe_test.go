package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The numbers are those of pandas 3.1.1: read_csv, then describe with the same percentiles,
// nunique and value_counts.
func TestDescribeCensus(t *testing.T) {
	opt := CSVOptions{Columns: adultColumns, SkipInitialSpace: true, Missing: []string{"?"}}
	tab, err := ReadCSV(t.Context(), adultFile(t), opt)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Describe(t.Context(), tab)
	if err != nil {
		t.Fatal(err)
	}
	if d.Rows != 32561 {
		t.Errorf("%d rows", d.Rows)
	}
	var got bytes.Buffer
	for _, s := range d.Columns {
		fmt.Fprintf(&got, "%s %d %d", s.Name, s.Missing, s.Distinct)
		if s.Type == I64 {
			fmt.Fprintf(&got, " %.10g %.10g %.10g %.10g %v", s.Moments.Mean, s.Moments.Std(true), s.Moments.Min, s.Moments.Max, s.Quantiles)
		} else {
			fmt.Fprintf(&got, " %s %d", s.Classes[0].Name, s.Classes[0].Rows)
		}
		got.WriteString("\n")
	}
	want, err := os.ReadFile(filepath.Join("testdata", "census_describe.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

func TestDescribe(t *testing.T) {
	values := NewColumn("f", nil, []float64{4, 1, math.NaN(), 3, 2, math.Inf(1), 7})
	values.SetMissing(6)
	tab, err := NewTable(values,
		StringsOf("s", []string{"b", "a", "b", "c", "b", "a", "a\x1b"}),
		NewColumn("flag", nil, []bool{true, false, true, true, true, true, true}),
		NewColumn("u", []int{2}, []uint8{0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255}),
		NewColumn("i8", nil, []int8{-128, -128, 127, 0, 0, 0, 0}),
		NewStrings("none", []int32{-1, -1, -1, -1, -1, -1, -1}, nil))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Describe(t.Context(), tab)
	if err != nil {
		t.Fatal(err)
	}
	f := d.Columns[0]
	if f.Missing != 1 || f.Moments.N != 4 || f.Moments.NaN != 1 || f.Moments.Infinite != 1 || f.Moments.Mean != 2.5 ||
		math.Abs(f.Moments.Std(true)-1.2909944487358056) > 1e-15 || f.Quantiles[2] != 2.5 || f.Moments.Min != 1 || f.Moments.Max != 4 {
		t.Errorf("f: %+v", f)
	}
	if s := d.Columns[1]; fmt.Sprint(s.Classes) != "[{b 3} {a 2} {a\x1b 1} {c 1}]" || s.Distinct != 4 {
		t.Errorf("s: %+v", s)
	}
	if s := d.Columns[2]; fmt.Sprint(s.Classes) != "[{true 6} {false 1}]" {
		t.Errorf("flag: %+v", s)
	}
	if s := d.Columns[3]; s.Moments.N != 14 || s.Moments.Mean != 127.5 || s.Histogram[0] != 7 || s.Histogram[15] != 7 || s.Quantiles[1] != 0 || s.Quantiles[3] != 255 {
		t.Errorf("u: %+v", s)
	}
	if s := d.Columns[4]; s.Quantiles[2] != 0 || s.Moments.Min != -128 || fmt.Sprint(s.Classes) != "[{0 4} {-128 2} {127 1}]" {
		t.Errorf("i8: %+v", s)
	}

	var text bytes.Buffer
	if err := d.Write(&text, 0); err != nil {
		t.Fatal(err)
	}
	want := `7 rows, 6 columns

COLUMN  TYPE    MISSING  DISTINCT
f       f64     1 14%           6  █    █    █    █  1 .. 1.75 .. 2.5 .. 3.25 .. 4  mean 2.5 sd 1.291  2 NaN or infinite
s       string                  4  b 3, a 2, a` + "\uFFFD" + ` 1, c 1
flag    bool                    2  true 6, false 1
u       u8[2]                      █              █  0 .. 0 .. 127.5 .. 255 .. 255  mean 127.5 sd 132.3
i8      i8                      3  ▅       █      ▃  -128 .. -64 .. 0 .. 0 .. 127  mean -18.43 sd 88.05
none    string  7 100%          0  every value is missing
`
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
	text.Reset()
	if err := d.Write(&text, 40); err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(text.String(), "\n") {
		if len([]rune(l)) > 40 {
			t.Errorf("a line of %d columns: %s", len([]rune(l)), l)
		}
	}

	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"name":"flag","type":"bool","rows":7,"missing":0,"distinct":2,"classes":[{"name":"true","rows":6},{"name":"false","rows":1}]}`; !strings.Contains(string(b), want) {
		t.Errorf("got %s", b)
	}
	if want := `"quantiles":{"1%":1.03,"25%":1.75,"50%":2.5,"75%":3.25,"99%":3.9699999999999998},"quantiles_exact":true`; !strings.Contains(string(b), want) {
		t.Errorf("got %s", b)
	}
}

func TestMomentsAgainstPlainSums(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var all []float64
	var m Moments
	for i := range 40 {
		chunk := make([]float64, 1+i*37)
		for j := range chunk {
			chunk[j] = 1e9 + r.NormFloat64() // a mean far larger than the spread
		}
		all = append(all, chunk...)
		m.Add(chunk)
	}
	sum := 0.0
	for _, v := range all {
		sum += v - 1e9
	}
	mean := sum / float64(len(all))
	m2 := 0.0
	for _, v := range all {
		m2 += (v - 1e9 - mean) * (v - 1e9 - mean)
	}
	if d := math.Abs(m.Mean - 1e9 - mean); d > 1e-6 || math.Abs(m.M2/m2-1) > 1e-6 || m.N != int64(len(all)) {
		t.Errorf("mean off by %v, squares by %v", d, m.M2/m2-1)
	}
	var none Moments
	none.Add(nil)
	if !math.IsNaN(none.Std(false)) || none.Min != 0 {
		t.Errorf("nothing seen: %+v", none)
	}
}

func TestQuantileSketch(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const n = 200000
	values := make([]float64, n)
	for i := range values {
		values[i] = math.Exp(3 * r.NormFloat64())
	}
	exact, sketch := NewQuantiles(n), NewQuantiles(1000)
	for at := 0; at < n; at += 777 {
		exact.Add(values[at:min(at+777, n)])
		sketch.Add(values[at:min(at+777, n)])
	}
	if !exact.Exact() || sketch.Exact() {
		t.Error("who is exact?")
	}
	sorted := slices.Sorted(slices.Values(values))
	for _, p := range []float64{0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 1} {
		got := sketch.At(p)[0]
		rank, _ := slices.BinarySearch(sorted, got)
		if d := math.Abs(float64(rank)/(n-1) - p); d > 6.0/(2*sketchBuffer) {
			t.Errorf("the sketch's quantile %v is off by %v of the numbers", p, d)
		}
		if want := sorted[int(p*(n-1))]; exact.At(p)[0] < want {
			t.Errorf("the exact quantile %v is %v, below %v", p, exact.At(p)[0], want)
		}
	}
}

// numpy.quantile of the same numbers.
func TestQuantilesAreNumPys(t *testing.T) {
	q := NewQuantiles(10)
	q.Add([]float64{0.3, 17.25, -4, 8.8, 2})
	got := q.At(0, 0.1, 0.25, 0.333, 0.5, 0.77, 1)
	want := []float64{-4, -2.2800000000000002, 0.3, 0.8644000000000001, 2, 9.476, 17.25}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !math.IsNaN(NewQuantiles(1).At(0.5)[0]) {
		t.Error("there is a median of nothing")
	}
}
