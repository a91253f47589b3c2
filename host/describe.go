package host

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
)

// CSVReading says how to read a CSV file, in the words of a spec's csv block. The
// zero value reads what the block does without them.
type CSVReading struct {
	// Columns are the names of a file without a header line; Header says that it
	// has one all the same.
	Columns []string
	Header  bool
	// NoHeader names the columns of a file without a header line by their places:
	// column_1, column_2.
	NoHeader bool
	// Delimiter, Quote and Comment are one ASCII character; "" is the default, for
	// Delimiter also "\\t" is a tab. NoQuote makes quotes ordinary characters.
	Delimiter, Quote, Comment string
	NoQuote                   bool
	SkipInitialSpace          bool
	// Missing are the cells that mean that there is no value; nil means the default
	// ones.
	Missing []string
}

func (r CSVReading) given() bool {
	return r.Columns != nil || r.Header || r.NoHeader || r.Delimiter+r.Quote+r.Comment != "" || r.NoQuote || r.SkipInitialSpace || r.Missing != nil
}

func (r CSVReading) options(path string) (data.CSVOptions, error) {
	o := data.CSVOptions{Columns: r.Columns, Header: r.Header, NoQuote: r.NoQuote, SkipInitialSpace: r.SkipInitialSpace, Missing: r.Missing}
	if r.Delimiter == `\t` {
		r.Delimiter = "\t"
	}
	for _, c := range []struct {
		name, text string
		to         *byte
	}{{"delimiter", r.Delimiter, &o.Delimiter}, {"quote", r.Quote, &o.Quote}, {"comment", r.Comment, &o.Comment}} {
		switch {
		case len(c.text) > 1:
			return o, diag.Errorf("csv_arguments", "%s is %q, not one character", c.name, c.text).At(diag.Range{File: path})
		case c.text != "":
			*c.to = c.text[0]
		}
	}
	switch {
	case r.NoHeader && (r.Columns != nil || r.Header):
		return o, diag.Errorf("csv_arguments", "the file cannot be without names and have them given, or have a header line").At(diag.Range{File: path})
	case r.NoHeader:
		for i := range data.CSVHeader(path, o) {
			o.Columns = append(o.Columns, fmt.Sprintf("column_%d", i+1))
		}
	}
	return o, nil
}

// DescribeData writes the statistics of a file's columns. If csv says anything,
// the file is CSV; otherwise its first bytes tell its format. What it returns
// besides an error is advice, for a file that was hardly meant to be read so.
func DescribeData(ctx context.Context, path string, csv CSVReading, w io.Writer, width int) (Diagnostics, error) {
	open := data.OpenOptions{Limits: data.Limits{Bytes: max(Options{}.dataMemory()/2, 1)}}
	if csv.given() {
		var err error
		open.Format = data.FormatCSV
		if open.CSV, err = csv.options(path); err != nil {
			return nil, err
		}
	}
	t, err := data.LoadOrSpill(ctx, path, open)
	if err != nil {
		return nil, err
	}
	if s, ok := t.(io.Closer); ok {
		defer s.Close()
	}
	d, err := data.Describe(ctx, t)
	if err != nil {
		return nil, err
	}
	return oneColumn(path, csv, t.Schema()), d.Write(w, width)
}

// oneColumn advises another delimiter for a file whose only column's name holds
// one.
func oneColumn(path string, csv CSVReading, s data.Schema) Diagnostics {
	if len(s) != 1 || csv.Columns != nil || csv.NoHeader {
		return nil
	}
	for _, c := range []struct{ char, text string }{{";", ";"}, {"\t", `\t`}, {"|", "|"}, {",", ","}} {
		if strings.Contains(s[0].Name, c.char) {
			return Diagnostics{diag.Warnf("one_column", "%s has one column, called %q", path, s[0].Name).At(diag.Range{File: path}).
				Hint("If %q separates its columns, show it with --delimiter '%s', and write delimiter = %q into the spec.", c.char, c.text, c.char)}
		}
	}
	return nil
}
