package data

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
)

// Probabilities are those of the quantiles in a ColumnStats.
var Probabilities = []float64{0.01, 0.25, 0.5, 0.75, 0.99}

const (
	histogramBins = 16
	// maxDistinct bounds how many different values of a column are counted.
	maxDistinct = 10000
	// maxClasses is how many of them a ColumnStats names.
	maxClasses = 12
	// exactBytes is the memory that all columns together may take to be sorted.
	exactBytes = 256 << 20
)

// Description is what Describe found.
type Description struct {
	Rows    int           `json:"rows"`
	Digest  string        `json:"digest,omitempty"`
	Columns []ColumnStats `json:"columns"`
}

// ColumnStats describes one column. Numbers are over all elements of all rows; those
// that do not apply to its type are NaN, or nil.
type ColumnStats struct {
	Name    string
	Type    Type
	Shape   []int
	Rows    int // with and without a value
	Missing int
	// Distinct counts the different values of a column without a shape; if there are
	// more than it says, DistinctMore is set.
	Distinct     int
	DistinctMore bool
	Moments      Moments
	// Quantiles are at Probabilities; approximate unless Exact (see Quantiles).
	Quantiles []float64
	Exact     bool
	// Histogram counts the numbers in equal intervals from the least to the greatest.
	Histogram []int64
	// Classes are the most frequent values, the most frequent first and equally frequent
	// ones in order, if the column holds strings, truth values, or few whole numbers.
	Classes []ClassCount
}

// ClassCount is a value and its rows.
type ClassCount struct {
	Name string `json:"name"`
	Rows int    `json:"rows"`
}

// Describe reads a source once and describes its columns. Chunks are visited in
// order, so that the numbers are the same for any number of threads and for a
// table as for the file it came from.
func Describe(ctx context.Context, src Source) (*Description, error) {
	schema := src.Schema()
	numeric := 1
	for _, f := range schema {
		if f.Type != String {
			numeric++
		}
	}
	d := &Description{Rows: src.Rows(), Digest: src.Digest(), Columns: make([]ColumnStats, len(schema))}
	columns := make([]describer, len(schema))
	for i, f := range schema {
		columns[i] = describer{field: f, quantiles: NewQuantiles(exactBytes / 8 / numeric)}
	}
	err := Each(ctx, src, func(t *Table, _ int64) error {
		parallel(len(schema), len(schema), func(i int) { columns[i].add(t.Columns[i]) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	parallel(len(schema), len(schema), func(i int) { d.Columns[i] = columns[i].stats() })
	return d, nil
}

// describer collects one column.
type describer struct {
	field     Field
	rows      int
	missing   int
	moments   Moments
	quantiles *Quantiles
	bytes     *[256]int64 // counts of an 8-bit column's values instead of quantiles
	strings   map[string]int
	numbers   map[uint64]int // by the bits of float64, or of a whole number
	more      bool
	values    []float64 // memory of a chunk
}

func (d *describer) add(c *Column) {
	d.rows += c.rows
	if c.Type == String {
		d.addStrings(c)
		return
	}
	d.values = d.values[:0]
	w := c.Width()
	for r := range c.rows {
		if c.Missing.Get(r) {
			d.missing++
			continue
		}
		for i := range w {
			d.values = append(d.values, c.Float64At(r, i))
		}
	}
	d.moments.Add(d.values)
	switch {
	case c.Type == U8 || c.Type == I8:
		if d.bytes == nil {
			d.bytes = new([256]int64)
		}
		for _, v := range d.values {
			d.bytes[int(v)+byteOffset(c.Type)]++
		}
	case len(c.Shape) == 0:
		d.quantiles.Add(d.values)
	}
	if len(c.Shape) == 0 {
		d.addNumbers(c)
	}
}

func (d *describer) addStrings(c *Column) {
	counts := make([]int, len(c.dict))
	for _, code := range c.Codes() {
		if code < 0 {
			d.missing++
			continue
		}
		counts[code]++
	}
	if d.strings == nil {
		d.strings = map[string]int{}
	}
	for code, n := range counts {
		if n == 0 {
			continue
		}
		if _, known := d.strings[c.dict[code]]; !known && len(d.strings) >= maxDistinct {
			d.more = true
			continue
		}
		d.strings[c.dict[code]] += n
	}
}

func (d *describer) addNumbers(c *Column) {
	if d.numbers == nil {
		d.numbers = map[uint64]int{}
	}
	for r := range c.rows {
		if c.Missing.Get(r) {
			continue
		}
		var key uint64
		if v, ok := c.values.([]int64); ok {
			key = uint64(v[r])
		} else {
			v := c.Float64At(r, 0)
			if v == 0 {
				v = 0 // minus zero is no other value
			}
			key = math.Float64bits(v)
		}
		n, known := d.numbers[key]
		if !known && len(d.numbers) >= maxDistinct {
			// Counting on would cost time and say nothing.
			d.more = true
			return
		}
		d.numbers[key] = n + 1
	}
}

func (d *describer) stats() ColumnStats {
	s := ColumnStats{Name: d.field.Name, Type: d.field.Type, Shape: d.field.Shape, Rows: d.rows, Missing: d.missing, Moments: d.moments, DistinctMore: d.more, Exact: true}
	if s.Type == String {
		s.Distinct = len(d.strings)
		s.Classes = frequent(d.strings, func(name string) string { return name })
		return s
	}
	s.Distinct = len(d.numbers)
	values := d.quantiles.sorted()
	s.Exact = d.quantiles.Exact()
	if s.DistinctMore && s.Exact && max(-d.moments.Min, d.moments.Max) <= 1<<53 {
		// All numbers are here, sorted, and none was rounded: count them after all.
		s.Distinct, s.DistinctMore = 1, false
		for i := 1; i < len(values); i++ {
			if values[i].value != values[i-1].value {
				s.Distinct++
			}
		}
	}
	if d.bytes != nil {
		var upTo int64
		for i, n := range d.bytes {
			if n > 0 {
				upTo += n
				values = append(values, ranked{float64(i - byteOffset(s.Type)), upTo})
			}
		}
	}
	if len(values) > 0 && s.Type != Bool {
		s.Quantiles = quantilesOf(values, Probabilities)
		s.Histogram = histogram(values, d.moments.Min, d.moments.Max)
	}
	const fewNumbers = 20
	if !d.more && (s.Type == Bool || s.Type.Integer() && len(d.numbers) <= fewNumbers) {
		s.Classes = frequent(d.numbers, func(key uint64) string {
			switch {
			case s.Type == Bool:
				return strconv.FormatBool(math.Float64frombits(key) == 1)
			case s.Type == I64:
				return strconv.FormatInt(int64(key), 10)
			}
			return strconv.FormatInt(int64(math.Float64frombits(key)), 10)
		})
	}
	return s
}

// byteOffset makes an index of the smallest value of an 8-bit type.
func byteOffset(t Type) int {
	if t == I8 {
		return 128
	}
	return 0
}

// frequent names the values with most rows.
func frequent[K cmp.Ordered](counts map[K]int, name func(K) string) []ClassCount {
	keys := make([]K, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var out []ClassCount
	for _, k := range keys[:min(len(keys), maxClasses)] {
		out = append(out, ClassCount{name(k), counts[k]})
	}
	return out
}

// histogram counts ranked values in equal intervals; the last one is closed.
func histogram(values []ranked, lo, hi float64) []int64 {
	total := values[len(values)-1].upTo
	if lo == hi {
		return []int64{total}
	}
	out := make([]int64, histogramBins)
	before := int64(0)
	for i := range out {
		edge := total
		if i < histogramBins-1 {
			t := float64(i+1) / histogramBins
			edge = countBelow(values, lo*(1-t)+hi*t)
		}
		out[i] = edge - before
		before = edge
	}
	return out
}
