package data

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// jsonNumber is a number that says NaN and the infinities as words.
type jsonNumber float64

func (n jsonNumber) MarshalJSON() ([]byte, error) {
	f := float64(n)
	switch {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(f)
}

// MarshalJSON writes the fields that apply to the column's type. std is the
// sample standard deviation, quantiles are named by their percentage.
func (s ColumnStats) MarshalJSON() ([]byte, error) {
	type numbers struct {
		Min       jsonNumber            `json:"min"`
		Max       jsonNumber            `json:"max"`
		Mean      jsonNumber            `json:"mean"`
		Std       jsonNumber            `json:"std"`
		NaN       int64                 `json:"nan,omitempty"`
		Infinite  int64                 `json:"infinite,omitempty"`
		Quantiles map[string]jsonNumber `json:"quantiles,omitempty"`
		Exact     bool                  `json:"quantiles_exact"`
		Histogram []int64               `json:"histogram,omitempty"`
	}
	out := struct {
		Name         string       `json:"name"`
		Type         string       `json:"type"`
		Shape        []int        `json:"shape,omitempty"`
		Rows         int          `json:"rows"`
		Missing      int          `json:"missing"`
		Distinct     *int         `json:"distinct,omitempty"`
		DistinctMore bool         `json:"distinct_more,omitempty"`
		Numbers      *numbers     `json:"numbers,omitempty"`
		Classes      []ClassCount `json:"classes,omitempty"`
	}{Name: s.Name, Type: s.Type.String(), Shape: s.Shape, Rows: s.Rows, Missing: s.Missing, DistinctMore: s.DistinctMore, Classes: s.Classes}
	if len(s.Shape) == 0 {
		out.Distinct = &s.Distinct
	}
	if m := s.Moments; s.Type.Numeric() && m.N > 0 {
		n := &numbers{Min: jsonNumber(m.Min), Max: jsonNumber(m.Max), Mean: jsonNumber(m.Mean), Std: jsonNumber(m.Std(true)),
			NaN: m.NaN, Infinite: m.Infinite, Exact: s.Exact, Histogram: s.Histogram}
		for i, q := range s.Quantiles {
			if n.Quantiles == nil {
				n.Quantiles = map[string]jsonNumber{}
			}
			n.Quantiles[percent(Probabilities[i])] = jsonNumber(q)
		}
		out.Numbers = n
	}
	return json.Marshal(out)
}

func percent(p float64) string { return strconv.FormatFloat(100*p, 'g', -1, 64) + "%" }

// Write shows the description for a person, one line a column, cut at width
// columns (0 means no limit):
//
//	32,561 rows, 3 columns
//
//	COLUMN     TYPE    MISSING     DISTINCT
//	age        i64                       73  ▅██▇▆▄▃▂▁  17 .. 28 .. 37 .. 48 .. 90  mean 38.58 sd 13.64
//	workclass  string  1,836 5.6%         8  Private 22,696, Self-emp-not-inc 2,541, Local-gov 2,093, ...
//
// The five numbers are the least, the quartiles, and the greatest.
func (d *Description) Write(w io.Writer, width int) error {
	rows := [][]string{{"COLUMN", "TYPE", "MISSING", "DISTINCT", ""}}
	for _, s := range d.Columns {
		kind := Field{Type: s.Type, Shape: s.Shape}.String()[2:]
		missing, distinct := "", ""
		if s.Missing > 0 {
			missing = fmt.Sprintf("%s %.*f%%", thousands(s.Missing), decimals(s.Missing, s.Rows), 100*float64(s.Missing)/float64(s.Rows))
		}
		if len(s.Shape) == 0 {
			distinct = thousands(s.Distinct)
			if s.DistinctMore {
				distinct = "> " + distinct
			}
		}
		rows = append(rows, []string{shown(s.Name), kind, missing, distinct, s.summary()})
	}
	var widths [4]int
	for _, r := range rows {
		for i := range widths {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
	}
	if _, err := fmt.Fprintf(w, "%s, %s\n\n", count(d.Rows, "row"), count(len(d.Columns), "column")); err != nil {
		return err
	}
	for _, r := range rows {
		line := fmt.Sprintf("%-*s  %-*s  %-*s  %*s  %s", widths[0], r[0], widths[1], r[1], widths[2], r[2], widths[3], r[3], r[4])
		line = strings.TrimRight(line, " ")
		if runes := []rune(line); width > 0 && len(runes) > width {
			line = string(runes[:max(width-1, 0)]) + "…"
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// summary is what the last place of a column's line says.
func (s *ColumnStats) summary() string {
	if s.Rows == s.Missing && s.Rows > 0 {
		return "every value is missing"
	}
	if len(s.Classes) > 0 && (s.Type == String || s.Type == Bool) {
		var parts []string
		for _, c := range s.Classes {
			parts = append(parts, shown(c.Name)+" "+thousands(c.Rows))
		}
		if len(s.Classes) < s.Distinct || s.DistinctMore {
			parts = append(parts, "...")
		}
		return strings.Join(parts, ", ")
	}
	m := s.Moments
	if m.N == 0 {
		return ""
	}
	var b strings.Builder
	if len(s.Histogram) > 1 {
		b.WriteString(bars(s.Histogram) + "  ")
	}
	b.WriteString(number4(m.Min))
	if s.Quantiles != nil {
		for _, q := range s.Quantiles[1:4] {
			b.WriteString(" .. " + number4(q))
		}
	}
	fmt.Fprintf(&b, " .. %s  mean %s", number4(m.Max), number4(m.Mean))
	if m.N > 1 {
		b.WriteString(" sd " + number4(m.Std(true)))
	}
	if !s.Exact {
		b.WriteString(" (about)")
	}
	if m.NaN+m.Infinite > 0 {
		fmt.Fprintf(&b, "  %s NaN or infinite", thousands(int(m.NaN+m.Infinite)))
	}
	return b.String()
}

// decimals is how many a small percentage needs to be told from nothing.
func decimals(part, whole int) int {
	if part*10 < whole {
		return 1
	}
	return 0
}

// bars draws counts; what is not empty is never drawn as empty.
func bars(counts []int64) string {
	const marks = "▁▂▃▄▅▆▇█"
	levels := []rune(marks)
	most := int64(1)
	for _, n := range counts {
		most = max(most, n)
	}
	out := make([]rune, len(counts))
	for i, n := range counts {
		out[i] = ' '
		if n > 0 {
			out[i] = levels[int(float64(len(levels)-1)*float64(n)/float64(most)+0.5)]
		}
	}
	return string(out)
}

// number4 writes a number with four digits, or all whole ones if those are up to seven.
func number4(f float64) string {
	switch a := math.Abs(f); {
	case a >= 1e7:
	case f == math.Trunc(f):
		return strconv.FormatFloat(f, 'f', -1, 64)
	case a >= 1000:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return strconv.FormatFloat(f, 'g', 4, 64)
}

// count writes a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return thousands(n) + " " + thing
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// shown makes a name from a file safe for a terminal, and not too long.
func shown(s string) string {
	const most = 32
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.C, r) || r == '\u2028' || r == '\u2029' {
			return '\uFFFD'
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}
