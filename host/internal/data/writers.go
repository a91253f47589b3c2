package data

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Writer takes tables of one schema and writes their rows one after another.
// Close completes the output, but does not close what it was written to.
type Writer interface {
	Write(t *Table) error
	Close() error
}

// checkSchema says how a table differs from what a writer was made for.
func checkSchema(want Schema, t *Table) error {
	got := t.Schema()
	if !slices.EqualFunc(want, got, func(a, b Field) bool {
		return a.Name == b.Name && a.Type == b.Type && slices.Equal(a.Shape, b.Shape)
	}) {
		return fmt.Errorf("the table's columns are %v, not %v", got, want)
	}
	return nil
}

// NewCSVWriter writes comma-separated values with a header line, as RFC 4180 has
// them but with line ends of \n. A tensor takes one column for each element, named
// by the column and its indices: probability_0, probability_1. A missing value is an
// empty cell; floats have as many digits as they need to be read back.
func NewCSVWriter(w io.Writer, schema Schema) (Writer, error) {
	c := &csvWriter{w: bufio.NewWriter(w), schema: schema}
	for i, f := range schema {
		for j := range product(f.Shape) {
			if i+j > 0 {
				c.line = append(c.line, ',')
			}
			c.line = appendCSV(c.line, elementName(f, j))
		}
	}
	c.line = append(c.line, '\n')
	_, err := c.w.Write(c.line)
	return c, err
}

func elementName(f Field, element int) string {
	name := f.Name
	suffix := ""
	for i := len(f.Shape) - 1; i >= 0; i-- {
		suffix = "_" + strconv.Itoa(element%f.Shape[i]) + suffix
		element /= f.Shape[i]
	}
	return name + suffix
}

type csvWriter struct {
	w      *bufio.Writer
	schema Schema
	line   []byte
}

func (c *csvWriter) Write(t *Table) error {
	if err := checkSchema(c.schema, t); err != nil {
		return err
	}
	for r := range t.rows {
		c.line = c.line[:0]
		for i, col := range t.Columns {
			for j := range col.Width() {
				if i+j > 0 {
					c.line = append(c.line, ',')
				}
				switch {
				case col.Missing.Get(r):
				case col.Type == String:
					c.line = appendCSV(c.line, col.StringAt(r))
				default:
					c.line = col.appendElement(c.line, r, j)
				}
			}
		}
		c.line = append(c.line, '\n')
		if _, err := c.w.Write(c.line); err != nil {
			return err
		}
	}
	return nil
}

func (c *csvWriter) Close() error { return c.w.Flush() }

// appendCSV writes a field, quoted if it has to be.
func appendCSV(b []byte, s string) []byte {
	if s != "" && !strings.ContainsAny(s, ",\"\r\n") && s[0] != ' ' && s[len(s)-1] != ' ' {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}

// appendElement writes an element that is no string: numbers so that they read back
// as they are, NaN and Infinity as words.
func (c *Column) appendElement(b []byte, row, element int) []byte {
	at := row*c.Width() + element
	switch v := c.values.(type) {
	case []float64:
		return appendFloat(b, v[at], 64)
	case []float32:
		return appendFloat(b, float64(v[at]), 32)
	case []int64:
		return strconv.AppendInt(b, v[at], 10)
	case []int32:
		return strconv.AppendInt(b, int64(v[at]), 10)
	case []int8:
		return strconv.AppendInt(b, int64(v[at]), 10)
	case []uint8:
		return strconv.AppendInt(b, int64(v[at]), 10)
	case []bool:
		return strconv.AppendBool(b, v[at])
	}
	return b
}

func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NaN"...)
	case math.IsInf(f, 1):
		return append(b, "Infinity"...)
	case math.IsInf(f, -1):
		return append(b, "-Infinity"...)
	}
	return strconv.AppendFloat(b, f, 'g', -1, bits)
}

// NewJSONLinesWriter writes one JSON object a row. Tensors are nested arrays, a
// missing value is null, NaN and the infinities are the strings "NaN", "Infinity", "-Infinity".
func NewJSONLinesWriter(w io.Writer, schema Schema) Writer {
	j := &jsonWriter{w: bufio.NewWriter(w), schema: schema}
	for i, f := range schema {
		start := []byte{','}
		if i == 0 {
			start[0] = '{'
		}
		j.names = append(j.names, string(appendJSONString(start, f.Name))+":")
	}
	return j
}

type jsonWriter struct {
	w      *bufio.Writer
	schema Schema
	names  []string
	line   []byte
}

func (j *jsonWriter) Write(t *Table) error {
	if err := checkSchema(j.schema, t); err != nil {
		return err
	}
	for r := range t.rows {
		j.line = j.line[:0]
		if len(t.Columns) == 0 {
			j.line = append(j.line, '{')
		}
		for i, c := range t.Columns {
			j.line = append(j.line, j.names[i]...)
			switch {
			case c.Missing.Get(r):
				j.line = append(j.line, "null"...)
			case c.Type == String:
				j.line = appendJSONString(j.line, c.StringAt(r))
			default:
				element := 0
				j.line = c.appendJSON(j.line, r, c.Shape, &element)
			}
		}
		j.line = append(j.line, '}', '\n')
		if _, err := j.w.Write(j.line); err != nil {
			return err
		}
	}
	return nil
}

func (c *Column) appendJSON(b []byte, row int, shape []int, element *int) []byte {
	if len(shape) == 0 {
		at := len(b)
		b = c.appendElement(b, row, *element)
		*element++
		if first := b[at]; first == 'N' || first == 'I' || len(b) > at+1 && b[at+1] == 'I' {
			word := string(b[at:])
			b = append(append(append(b[:at], '"'), word...), '"')
		}
		return b
	}
	b = append(b, '[')
	for i := range shape[0] {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.appendJSON(b, row, shape[1:], element)
	}
	return append(b, ']')
}

// appendJSONString writes a string, with bytes that are not UTF-8 replaced.
func appendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r < 0x20:
			b = append(b, `\u00`...)
			b = append(b, hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

func (j *jsonWriter) Close() error { return j.w.Flush() }
