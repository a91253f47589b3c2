package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"testing"
)

// The orders come from an implementation of the documented method in Python,
// with hashlib and unbounded integers.
func TestPermutation(t *testing.T) {
	for _, c := range []struct {
		seed  uint64
		epoch int
		want  []int64
	}{
		{0, 0, []int64{4, 6, 7, 1, 9, 0, 5, 8, 2, 3}},
		{0, 1, []int64{4, 8, 3, 1, 0, 9, 2, 5, 6, 7}},
		{42, 0, []int64{7, 6, 8, 1, 5, 9, 3, 2, 0, 4}},
		{math.MaxUint64, 7, []int64{7, 3, 5, 6, 9, 1, 0, 4, 8, 2}},
	} {
		if got := Permutation(c.seed, c.epoch, 10); !slices.Equal(got, c.want) {
			t.Errorf("seed %d, epoch %d: got %v, want %v", c.seed, c.epoch, got, c.want)
		}
	}
	h := sha256.New()
	for _, r := range Permutation(1, 2, 10000) {
		binary.Write(h, binary.LittleEndian, r)
	}
	if got, want := hex.EncodeToString(h.Sum(nil)), "3c1d086f9f0eb8a3f4f3b00956210c2982c57f13fc544158f55a6e786dd935bb"; got != want {
		t.Errorf("10,000 rows hash to %s, want %s", got, want)
	}
	if got := Permutation(1, 1, 0); len(got) != 0 {
		t.Errorf("no rows are ordered %v", got)
	}
}

func TestPermutationIsUniform(t *testing.T) {
	var counts [4][4]int
	const seeds = 20000
	for seed := range uint64(seeds) {
		for place, row := range Permutation(seed, 0, 4) {
			counts[place][row]++
		}
	}
	for place, rows := range counts {
		for row, n := range rows { // 5 standard deviations
			if d := math.Abs(float64(n) - seeds/4); d > 5*math.Sqrt(seeds*3/16) {
				t.Errorf("row %d comes at place %d %d times of %d", row, place, n, seeds)
			}
		}
	}
}

// isPartition checks that every row 0..n-1 is in one part, in ascending order.
func isPartition(t *testing.T, n int, parts ...[]int64) {
	t.Helper()
	var all []int64
	for _, p := range parts {
		if !slices.IsSorted(p) {
			t.Error("a part is not in ascending order")
		}
		all = append(all, p...)
	}
	slices.Sort(all)
	if !slices.Equal(all, allRows(n)) {
		t.Errorf("the parts are no division of %d rows", n)
	}
}

func sizes(parts [][]int64) []int {
	var out []int
	for _, p := range parts {
		out = append(out, len(p))
	}
	return out
}

func TestSplitFractions(t *testing.T) {
	for _, c := range []struct {
		n         int
		fractions []float64
		want      []int
	}{
		{100, []float64{0.71, 0.29}, []int{71, 29}},
		{10, []float64{0.6, 0.2, 0.2}, []int{6, 2, 2}},
		{11, []float64{0.6, 0.2, 0.2}, []int{7, 2, 2}},
		{7, []float64{0.5, 0.5}, []int{4, 3}},
		{5, []float64{1, 0}, []int{5, 0}},
		{32561, []float64{0.8, 0.2}, []int{26049, 6512}},
	} {
		parts, err := SplitFractions(c.n, c.fractions, false, 1)
		if err != nil || !slices.Equal(sizes(parts), c.want) {
			t.Errorf("%d by %v: %v, %v, want %v", c.n, c.fractions, sizes(parts), err, c.want)
		}
		isPartition(t, c.n, parts...)
		again, _ := SplitFractions(c.n, c.fractions, false, 1)
		if fmt.Sprint(again) != fmt.Sprint(parts) {
			t.Error("the same seed gives another split")
		}
	}
	a, _ := SplitFractions(100, []float64{0.5, 0.5}, false, 1)
	b, _ := SplitFractions(100, []float64{0.5, 0.5}, false, 2)
	if slices.Equal(a[0], b[0]) {
		t.Error("another seed gives the same split")
	}
	if o, _ := SplitFractions(4, []float64{0.5, 0.5}, true, 1); fmt.Sprint(o) != "[[0 1] [2 3]]" {
		t.Errorf("ordered: %v", o)
	}
	for _, bad := range [][]float64{{0.5, 0.4}, {1.5, -0.5}, {math.NaN(), 1}} {
		_, err := SplitFractions(10, bad, false, 1)
		checkDiag(t, err, "split_fraction", 0, 0, "")
	}
	_, err := SplitFractions(3, []float64{0.9, 0.1}, false, 1)
	checkDiag(t, err, "too_few_rows", 0, 0, "is empty")
}

func classesFor(counts ...int) *Classes {
	var v []string
	for c, n := range counts {
		for range n {
			v = append(v, fmt.Sprintf("c%d", c))
		}
	}
	// Spread the classes over the rows.
	order := Permutation(99, 0, len(v))
	out := make([]string, len(v))
	for i, r := range order {
		out[i] = v[r]
	}
	k, err := ClassesOf(StringsOf("y", out))
	if err != nil {
		panic(err)
	}
	return k
}

func TestSplitStratified(t *testing.T) {
	k := classesFor(50, 30, 15, 5, 3)
	parts, err := SplitStratified(k, []float64{0.6, 0.2, 0.2}, 7)
	if err != nil {
		t.Fatal(err)
	}
	isPartition(t, 103, parts...)
	if got := sizes(parts); !slices.Equal(got, []int{62, 21, 20}) { // 61.8 20.6 20.6
		t.Errorf("sizes %v", got)
	}
	for p, f := range []float64{0.6, 0.2, 0.2} {
		for c, n := range k.At(parts[p]).Counts() {
			share := f * float64(k.Counts()[c])
			if d := math.Abs(float64(n) - share); p > 0 && d >= 1.1 || d > 2 {
				t.Errorf("part %d has %d rows of class %d, whose share is %v", p, n, c, share)
			}
		}
	}
	// Counts of the Census file: exact.
	parts, err = SplitStratified(classesFor(24720, 7841), []float64{0.8, 0.2}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := classesFor(24720, 7841).At(parts[1]).Counts(); !slices.Equal(got, []int{4944, 1568}) {
		t.Errorf("counts of the second part: %v", got)
	}
	_, err = SplitStratified(classesFor(10, 1), []float64{0.5, 0.5}, 1)
	checkDiag(t, err, "too_few_rows", 0, 0, `class "c1" of column "y" has one row`)
}

func TestSplitGrouped(t *testing.T) {
	k := classesFor(10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1, 1, 1, 1, 1)
	parts, err := SplitGrouped(k, []float64{0.7, 0.3}, 5)
	if err != nil {
		t.Fatal(err)
	}
	isPartition(t, 60, parts...)
	where := map[int32]int{}
	for p, rows := range parts {
		for _, r := range rows {
			if other, ok := where[k.Of[r]]; ok && other != p {
				t.Errorf("group %d is in two parts", k.Of[r])
			}
			where[k.Of[r]] = p
		}
	}
	if n := len(parts[0]); n < 37 || n > 47 {
		t.Errorf("the first part has %d rows of 60", n)
	}
	// With as many groups as parts each part has one.
	parts, err = SplitGrouped(classesFor(5, 5), []float64{0.9, 0.1}, 5)
	if err != nil || len(parts[0]) != 5 || len(parts[1]) != 5 {
		t.Errorf("two groups for two parts: %v, %v", parts, err)
	}
	_, err = SplitGrouped(classesFor(5), []float64{0.5, 0.5}, 5)
	checkDiag(t, err, "too_few_groups", 0, 0, "1 groups")
}

func TestFolds(t *testing.T) {
	f, err := KFold(10, 3, true, 0)
	if err != nil || fmt.Sprint(f[0].Validation, f[1].Validation, f[2].Validation) != "[0 1 2 3] [4 5 6] [7 8 9]" {
		t.Errorf("got %v, %v", f, err)
	}
	f, err = KFold(103, 5, false, 3)
	if err != nil {
		t.Fatal(err)
	}
	var validation [][]int64
	for _, fold := range f {
		isPartition(t, 103, fold.Train, fold.Validation)
		validation = append(validation, fold.Validation)
	}
	isPartition(t, 103, validation...)

	k := classesFor(50, 30, 15, 5, 6)
	f, err = StratifiedKFold(k, 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	validation = nil
	for _, fold := range f {
		isPartition(t, 106, fold.Train, fold.Validation)
		validation = append(validation, fold.Validation)
		for c, n := range k.At(fold.Validation).Counts() {
			if want := k.Counts()[c] / 5; n != want && n != want+1 {
				t.Errorf("class %d has %d of %d rows in a fold", c, n, k.Counts()[c])
			}
		}
	}
	isPartition(t, 106, validation...)
	_, err = StratifiedKFold(k, 6, 3)
	checkDiag(t, err, "too_few_rows", 0, 0, `class "c3"`)

	f, err = GroupedKFold(k, 3)
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{len(f[0].Validation), len(f[1].Validation), len(f[2].Validation)}; !slices.Equal(got, []int{50, 30, 26}) {
		t.Errorf("grouped folds of %v", got)
	}
	_, err = KFold(3, 4, false, 0)
	checkDiag(t, err, "too_few_rows", 0, 0, "3 rows")
	_, err = KFold(3, 1, false, 0)
	checkDiag(t, err, "folds", 0, 0, "1 folds")
}

func TestClassesOf(t *testing.T) {
	k, err := ClassesOf(NewColumn("y", nil, []int64{7, -1, 7, 3}))
	if err != nil || fmt.Sprint(k.Of, k.Names) != "[2 0 2 1] [-1 3 7]" {
		t.Errorf("got %v, %v", k, err)
	}
	k, err = ClassesOf(NewColumn("y", nil, []bool{true, false}))
	if err != nil || fmt.Sprint(k.Of, k.Names) != "[1 0] [false true]" {
		t.Errorf("got %v, %v", k, err)
	}
	k, err = ClassesOf(StringsOf("y", []string{"z", "a", "z"}).Gather([]int64{0, 2}))
	if err != nil || fmt.Sprint(k.Of, k.Names) != "[0 0] [z]" {
		t.Errorf("got %v, %v", k, err)
	}
	_, err = ClassesOf(NewColumn("y", nil, []float64{1}))
	checkDiag(t, err, "not_classes", 0, 0, "f64")
	_, err = ClassesOf(NewStrings("y", []int32{0, -1}, []string{"a"}))
	checkDiag(t, err, "class_missing", 0, 0, "row 2")
}

// At returns the classes of the given rows, with the same names.
func (k *Classes) At(rows []int64) *Classes {
	out := &Classes{Of: make([]int32, len(rows)), Names: k.Names, about: k.about}
	for i, r := range rows {
		out.Of[i] = k.Of[r]
	}
	return out
}
