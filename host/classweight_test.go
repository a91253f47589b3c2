package host

import (
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/feed"
	"github.com/hone-ml/hone/host/internal/spec"
)

// The weights are scikit-learn's compute_class_weight("balanced") of the Census file's
// incomes and of its wines.
func TestBalancedClassWeights(t *testing.T) {
	for _, c := range []struct {
		counts map[int64]int
		want   map[int64]float64
	}{
		{map[int64]int{0: 24720, 1: 7841}, map[int64]float64{0: 0.6585962783171521, 1: 2.0763295498023213}},
		{map[int64]int{0: 59, 1: 71, 2: 48}, map[int64]float64{0: 1.0056497175141244, 1: 0.8356807511737089, 2: 1.2361111111111112}},
	} {
		rows := 0
		for _, n := range c.counts {
			rows += n
		}
		got, err := classFactors(c.counts, rows, &spec.ClassWeight{Balanced: true}, &feed.TargetBinding{Name: "y"})
		if err != nil {
			t.Fatal(err)
		}
		for class, want := range c.want {
			if math.Abs(got[class]-want) > 1e-15 {
				t.Errorf("class %d weighs %v, scikit-learn says %v", class, got[class], want)
			}
		}
	}
	_, err := classFactors(map[int64]int{0: 1, 1: 1}, 2, &spec.ClassWeight{Weights: []spec.WeightOfClass{{Class: "z", Weight: 2}}}, &feed.TargetBinding{Name: "y", Classes: []string{"a", "b"}})
	if err == nil || !strings.Contains(err.Error(), "a, b") {
		t.Errorf("the error is %v", err)
	}
}
