package data

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk/graph"
)

// The functions here divide row numbers. Lists come back in ascending order, so that
// files are read forwards; whoever trains shuffles them by epoch. All draws are those of
// Permutation with keys of their own, so a seed means the same division everywhere.

// SplitFractions divides 0..n-1 into parts of the given fractions, which must
// sum up to 1. Rows are drawn at random, or, if ordered, taken from front to back. The
// parts' sizes are exact: whole shares first, the rest by largest remainder.
func SplitFractions(n int, fractions []float64, ordered bool, seed uint64) ([][]int64, error) {
	sizes, err := shares(n, fractions)
	if err != nil {
		return nil, err
	}
	rows := allRows(n)
	if !ordered {
		shuffle(graph.DeriveKey(seed, "data/split", 0), rows)
	}
	return deal(rows, sizes), nil
}

// SplitStratified divides rows, of which classes gives the class of each, into
// parts of the given fractions with the classes in the proportions of the whole. The
// parts' sizes are those of SplitFractions; in each part but the first every
// class has its share rounded up or down, and the first part takes the others.
// A class with fewer rows than there are parts is an error that names it.
func SplitStratified(classes *Classes, fractions []float64, seed uint64) ([][]int64, error) {
	sizes, err := shares(len(classes.Of), fractions)
	if err != nil {
		return nil, err
	}
	used := 0
	for _, f := range fractions {
		if f > 0 {
			used++
		}
	}
	byClass := classes.rows()
	for c, rows := range byClass {
		if len(rows) > 0 && len(rows) < used {
			return nil, classes.tooFew(c, len(rows), fmt.Sprintf("be divided into %d parts", used))
		}
		shuffle(graph.DeriveKey(seed, "data/split/class", c), rows)
	}
	parts := make([][]int64, len(fractions))
	for p := len(fractions) - 1; p > 0; p-- {
		for c, take := range classShares(byClass, sizes[p], classes) {
			parts[p] = append(parts[p], byClass[c][:take]...)
			byClass[c] = byClass[c][take:]
		}
	}
	for _, rows := range byClass {
		parts[0] = append(parts[0], rows...)
	}
	for _, p := range parts {
		slices.Sort(p)
	}
	return parts, nil
}

// classShares says how many rows of each class go into a part of the given size: the
// class's share without its fraction, and one more for the largest fractions.
func classShares(left [][]int64, size int, classes *Classes) []int {
	counts := classes.Counts()
	type rest struct {
		class     int
		remainder float64
	}
	take := make([]int, len(counts))
	var rests []rest
	total := 0
	for c, count := range counts {
		// Shares of the exact size, not of the fraction, so that they sum up to it.
		share := float64(count) * float64(size) / float64(len(classes.Of))
		take[c] = min(int(math.Floor(share)), len(left[c]))
		total += take[c]
		rests = append(rests, rest{c, share - math.Floor(share)})
	}
	sort.SliceStable(rests, func(i, j int) bool { return rests[i].remainder > rests[j].remainder })
	for total < size {
		before := total
		for _, r := range rests {
			if total < size && take[r.class] < len(left[r.class]) {
				take[r.class]++
				total++
			}
		}
		if total == before {
			break
		}
	}
	return take
}

// SplitGrouped divides rows so that those of one group stay together. Groups
// are visited in random order, each going to the part that lacks most rows; a
// part is left empty only if its fraction is 0.
func SplitGrouped(groups *Classes, fractions []float64, seed uint64) ([][]int64, error) {
	sizes, err := shares(len(groups.Of), fractions)
	if err != nil {
		return nil, err
	}
	byGroup := groups.rows()
	var present []int64
	for g, rows := range byGroup {
		if len(rows) > 0 {
			present = append(present, int64(g))
		}
	}
	empty := 0
	for _, f := range fractions {
		if f > 0 {
			empty++
		}
	}
	if len(present) < empty {
		return nil, diag.Errorf("too_few_groups", "%d groups cannot be divided into %d parts", len(present), empty).
			Hint("Groups stay whole: there must be one for each part at least. Use more data or fewer parts.")
	}
	shuffle(graph.DeriveKey(seed, "data/split/group", 0), present)
	parts := make([][]int64, len(fractions))
	for i, g := range present {
		best := -1
		for p := range parts {
			if fractions[p] == 0 || len(present)-i <= empty && len(parts[p]) > 0 {
				continue
			}
			if best < 0 || sizes[p]-len(parts[p]) > sizes[best]-len(parts[best]) {
				best = p
			}
		}
		if len(parts[best]) == 0 {
			empty--
		}
		parts[best] = append(parts[best], byGroup[g]...)
	}
	for _, p := range parts {
		slices.Sort(p)
	}
	return parts, nil
}

// Fold is one division of cross-validation.
type Fold struct {
	Train, Validation []int64
}

// KFold divides 0..n-1 into k folds, each validated once. Sizes differ by one
// at most, the first folds being the larger.
func KFold(n, k int, ordered bool, seed uint64) ([]Fold, error) {
	if err := checkFolds(n, k); err != nil {
		return nil, err
	}
	rows := allRows(n)
	if !ordered {
		shuffle(graph.DeriveKey(seed, "data/fold", 0), rows)
	}
	fold := make([]int32, n)
	at := 0
	for f := range k {
		size := n / k
		if f < n%k {
			size++
		}
		for _, r := range rows[at : at+size] {
			fold[r] = int32(f)
		}
		at += size
	}
	return folds(fold, k), nil
}

// StratifiedKFold is KFold with each class spread evenly: its rows in two folds
// differ by one at most, as do the folds' sizes. A class with fewer rows than
// folds is an error that names it.
func StratifiedKFold(classes *Classes, k int, seed uint64) ([]Fold, error) {
	if err := checkFolds(len(classes.Of), k); err != nil {
		return nil, err
	}
	fold := make([]int32, len(classes.Of))
	next := 0
	for c, rows := range classes.rows() {
		if len(rows) > 0 && len(rows) < k {
			return nil, classes.tooFew(c, len(rows), fmt.Sprintf("be spread over %d folds", k))
		}
		shuffle(graph.DeriveKey(seed, "data/fold/class", c), rows)
		for _, r := range rows {
			fold[r] = int32(next % k)
			next++
		}
	}
	return folds(fold, k), nil
}

// GroupedKFold is KFold with the rows of one group in one fold: groups go, the largest
// first, to the fold with the fewest rows.
func GroupedKFold(groups *Classes, k int) ([]Fold, error) {
	byGroup := groups.rows()
	var present []int
	for g, rows := range byGroup {
		if len(rows) > 0 {
			present = append(present, g)
		}
	}
	if err := checkFolds(len(groups.Of), k); err != nil {
		return nil, err
	}
	if len(present) < k {
		return nil, diag.Errorf("too_few_groups", "%d groups cannot be divided into %d folds", len(present), k).
			Hint("Groups stay whole: there must be one for each fold at least. Use more data or fewer folds.")
	}
	sort.SliceStable(present, func(i, j int) bool { return len(byGroup[present[i]]) > len(byGroup[present[j]]) })
	fold := make([]int32, len(groups.Of))
	sizes := make([]int, k)
	for _, g := range present {
		f := slices.Index(sizes, slices.Min(sizes))
		for _, r := range byGroup[g] {
			fold[r] = int32(f)
		}
		sizes[f] += len(byGroup[g])
	}
	return folds(fold, k), nil
}

func checkFolds(n, k int) error {
	if k < 2 {
		return diag.Errorf("folds", "%d folds are no cross-validation", k).Hint("Use 2 or more.")
	}
	if n < k {
		return diag.Errorf("too_few_rows", "%d rows cannot be divided into %d folds", n, k).Hint("Use more data or fewer folds.")
	}
	return nil
}

func folds(fold []int32, k int) []Fold {
	out := make([]Fold, k)
	for r, f := range fold {
		for i := range out {
			if int(f) == i {
				out[i].Validation = append(out[i].Validation, int64(r))
			} else {
				out[i].Train = append(out[i].Train, int64(r))
			}
		}
	}
	return out
}

// shares divides n by fractions into whole numbers: the whole shares, then one
// more for the largest remainders, the first of equal ones.
func shares(n int, fractions []float64) ([]int, error) {
	sum := 0.0
	for i, f := range fractions {
		if !(f >= 0 && f <= 1) {
			return nil, diag.Errorf("split_fraction", "fraction %d of the split is %v", i+1, f).Hint("Fractions go from 0 to 1.")
		}
		sum += f
	}
	if math.Abs(sum-1) > 1e-9 {
		return nil, diag.Errorf("split_fraction", "the fractions of the split sum up to %v", sum).Hint("They must sum up to 1.")
	}
	sizes := make([]int, len(fractions))
	order := make([]int, len(fractions))
	remainders := make([]float64, len(fractions))
	left := n
	for i, f := range fractions {
		share := f * float64(n)
		if r := math.Round(share); math.Abs(share-r) < 1e-6 {
			share = r // 0.29*100 is 28.999999999999996
		}
		sizes[i] = int(math.Floor(share))
		remainders[i] = share - math.Floor(share)
		order[i] = i
		left -= sizes[i]
	}
	sort.SliceStable(order, func(i, j int) bool { return remainders[order[i]] > remainders[order[j]] })
	for i := 0; left > 0; i = (i + 1) % len(order) {
		if fractions[order[i]] > 0 {
			sizes[order[i]]++
			left--
		}
	}
	for i, f := range fractions {
		if f > 0 && sizes[i] == 0 {
			return nil, diag.Errorf("too_few_rows", "a part of %v of %d rows is empty", f, n).Hint("Use more data, or a larger fraction.")
		}
	}
	return sizes, nil
}

func deal(rows []int64, sizes []int) [][]int64 {
	parts := make([][]int64, len(sizes))
	for i, size := range sizes {
		parts[i] = rows[:size:size]
		rows = rows[size:]
		slices.Sort(parts[i])
	}
	return parts
}
