package data

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
)

// splitGolden is a case of plugins/preprocess/testdata/split.json: what scikit-learn
// makes of its own data sets' classes (tools/goldens/transforms.py).
type splitGolden struct {
	Name, Type, Labels string
	Config             struct {
		Splits int     `json:"n_splits"`
		Test   float64 `json:"test_size"`
	}
	TestSizes  []int           `json:"test_sizes"`
	TestCounts json.RawMessage `json:"test_class_counts"` // by fold, or of the one test part
	TestSize   int             `json:"test_size"`
	Groups     struct{ Data []int64 }
}

func splitGoldens(t *testing.T) []splitGolden {
	t.Helper()
	text, err := os.ReadFile("../../../plugins/preprocess/testdata/split.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []splitGolden }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Cases
}

// classesOf makes labels with so many rows of each class, mixed.
func classesOf(t *testing.T, counts []int) *Classes {
	t.Helper()
	var labels []int64
	for c, n := range counts {
		for range n {
			labels = append(labels, int64(c))
		}
	}
	shuffle(1, labels)
	k, err := ClassesOf(NewColumn("y", nil, labels))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func countsOf(k *Classes, rows []int64) []int {
	counts := make([]int, len(k.Names))
	for _, r := range rows {
		counts[k.Of[r]]++
	}
	return counts
}

func TestSplitsEqualScikitLearn(t *testing.T) {
	cases := splitGoldens(t)
	whole := map[string][]int{} // rows by class of each data set
	for _, c := range cases {
		if c.Type == "stratified_k_fold" {
			var folds [][]int
			if err := json.Unmarshal(c.TestCounts, &folds); err != nil {
				t.Fatal(err)
			}
			sum := make([]int, len(folds[0]))
			for _, f := range folds {
				for i, n := range f {
					sum[i] += n
				}
			}
			whole[c.Labels] = sum
		}
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			counts := whole[c.Labels]
			rows := 0
			for _, n := range counts {
				rows += n
			}
			switch c.Type {
			case "k_fold":
				folds, err := KFold(rows, c.Config.Splits, true, 0)
				if err != nil {
					t.Fatal(err)
				}
				for i, f := range folds {
					if len(f.Validation) != c.TestSizes[i] {
						t.Errorf("fold %d has %d rows, wanted %d", i, len(f.Validation), c.TestSizes[i])
					}
				}
			case "stratified_k_fold":
				var want [][]int
				if err := json.Unmarshal(c.TestCounts, &want); err != nil {
					t.Fatal(err)
				}
				k := classesOf(t, counts)
				folds, err := StratifiedKFold(k, c.Config.Splits, 7)
				if err != nil {
					t.Fatal(err)
				}
				// Which fold takes the odd row of a class is each program's own choice.
				for class := range counts {
					var a, b []int
					for i, f := range folds {
						a, b = append(a, countsOf(k, f.Validation)[class]), append(b, want[i][class])
					}
					slices.Sort(a)
					slices.Sort(b)
					if !slices.Equal(a, b) {
						t.Errorf("class %d is spread as %v, wanted %v", class, a, b)
					}
				}
			case "stratified_split":
				k := classesOf(t, counts)
				parts, err := SplitStratified(k, []float64{1 - c.Config.Test, c.Config.Test}, 7)
				if err != nil {
					t.Fatal(err)
				}
				var want []int
				if c.TestCounts == nil {
					return // halves, which scikit-learn gives to classes at random
				}
				if err := json.Unmarshal(c.TestCounts, &want); err != nil {
					t.Fatal(err)
				}
				// scikit-learn rounds the size of the test part up, hone to the nearest.
				if d := c.TestSize - len(parts[1]); d < 0 || d > 1 {
					t.Errorf("%d rows, wanted %d", len(parts[1]), c.TestSize)
				}
				for class, n := range countsOf(k, parts[1]) {
					if math.Abs(float64(n-want[class])) > 1 {
						t.Errorf("class %d has %d rows, wanted %d", class, n, want[class])
					}
				}
			case "group_k_fold":
				k, err := ClassesOf(NewColumn("g", nil, c.Groups.Data))
				if err != nil {
					t.Fatal(err)
				}
				folds, err := GroupedKFold(k, c.Config.Splits)
				if err != nil {
					t.Fatal(err)
				}
				// Groups of one size are told apart by each program's own order of them.
				var got []int
				fold := map[int32]int{}
				for i, f := range folds {
					got = append(got, len(f.Validation))
					for _, r := range f.Validation {
						if j, ok := fold[k.Of[r]]; ok && i != j {
							t.Errorf("group %d is in folds %d and %d", k.Of[r], j, i)
						}
						fold[k.Of[r]] = i
					}
				}
				slices.Sort(got)
				slices.Sort(c.TestSizes)
				if !slices.Equal(got, c.TestSizes) {
					t.Errorf("folds of %v rows, wanted %v", got, c.TestSizes)
				}
			}
		})
	}
	if len(whole) < 4 {
		t.Errorf("data sets: %v", fmt.Sprint(whole))
	}
}
