package data

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Classes is the class of each row: a column seen as one of few values.
type Classes struct {
	Of    []int32  // of each row
	Names []string // of the classes: numbers ascending, false before true, strings sorted
	about string   // the column, for messages
}

// ClassesOf makes classes of a column of whole numbers, truth values or strings. A
// missing value or a column of another kind is an error.
func ClassesOf(c *Column) (*Classes, error) {
	if len(c.Shape) > 0 || c.Type.Float() {
		return nil, diag.Errorf("not_classes", "column %q (%v) cannot be used as classes", c.Name, c.Field()).
			Hint("Classes are whole numbers, true and false, or strings, one a row. Make buckets of a number first.")
	}
	for i := range c.rows {
		if c.Missing.Get(i) {
			return nil, diag.Errorf("class_missing", "column %q has no value in row %d, so the row has no class", c.Name, i+1).Cell(c.Name, int64(i+1)).
				Hint("Remove the rows without one, or fill them in first.")
		}
	}
	k := &Classes{Of: make([]int32, c.rows), about: c.Name}
	if c.Type == String {
		seen := make([]bool, len(c.dict))
		for _, code := range c.Codes() {
			seen[code] = true
		}
		for code, s := range c.dict {
			if seen[code] {
				k.Names = append(k.Names, s)
			}
		}
		slices.Sort(k.Names)
		number := make([]int32, len(c.dict))
		for code, s := range c.dict {
			if at, found := slices.BinarySearch(k.Names, s); found {
				number[code] = int32(at)
			}
		}
		for i, code := range c.Codes() {
			k.Of[i] = number[code]
		}
		return k, nil
	}
	values := c.GatherInt64(nil, allRows(c.rows))
	distinct := slices.Compact(slices.Sorted(slices.Values(values)))
	for i, v := range values {
		at, _ := slices.BinarySearch(distinct, v)
		k.Of[i] = int32(at)
	}
	for _, v := range distinct {
		name := strconv.FormatInt(v, 10)
		if c.Type == Bool {
			name = strconv.FormatBool(v == 1)
		}
		k.Names = append(k.Names, name)
	}
	return k, nil
}

// Counts returns the rows of each class.
func (k *Classes) Counts() []int {
	counts := make([]int, len(k.Names))
	for _, c := range k.Of {
		counts[c]++
	}
	return counts
}

// rows lists the rows of each class in ascending order.
func (k *Classes) rows() [][]int64 {
	out := make([][]int64, len(k.Names))
	for r, c := range k.Of {
		out[c] = append(out[c], int64(r))
	}
	return out
}

func (k *Classes) tooFew(class, rows int, purpose string) error {
	counted := fmt.Sprintf("%d rows", rows)
	if rows == 1 {
		counted = "one row"
	}
	return diag.Errorf("too_few_rows", "class %q of column %q has %s, too few to %s", k.Names[class], k.about, counted, purpose).Cell(k.about, int64(slices.Index(k.Of, int32(class))+1)).
		Hint("Add examples of the class, join it with another one, or remove its rows; or do not stratify.")
}
