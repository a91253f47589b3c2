package feed

import (
	"slices"

	"github.com/hone-ml/hone/host/internal/data"
)

// Reading is how the training rows' text was read, so that raw rows to predict or
// evaluate are read alike: what separates fields, what stands for a missing value. It is
// stored in the checkpoint.
type Reading struct {
	// Columns are the names of a file without a header line, Header says that it
	// had one all the same.
	Columns          []string `json:"columns,omitempty"`
	Header           bool     `json:"header,omitempty"`
	Delimiter        byte     `json:"delimiter,omitempty"`
	Quote            byte     `json:"quote,omitempty"`
	NoQuote          bool     `json:"no_quote,omitempty"`
	Comment          byte     `json:"comment,omitempty"`
	SkipInitialSpace bool     `json:"skip_initial_space,omitempty"`
	Missing          []string `json:"missing,omitempty"`
}

// Reading returns how the training part was read; nil where it is no text file.
func (p *Parts) Reading() *Reading {
	o, ok := p.origins["train"]
	switch {
	case ok && o.open.Format == data.FormatCSV:
		c := &o.open.CSV
		missing := c.Missing
		if missing == nil {
			missing = data.DefaultMissing
		}
		return &Reading{c.Columns, c.Header, c.Delimiter, c.Quote, c.NoQuote, c.Comment, c.SkipInitialSpace, missing}
	case ok && o.open.Format == data.FormatJSONLines:
		return &Reading{Missing: o.open.JSON.Missing}
	}
	return nil
}

// Open returns how to read a file of raw rows, CSV or JSON lines or any other. text
// are columns that hold strings, whatever their cells look like; targets may be
// absent. A CSV file may have a header line or not, where the training rows had none.
func (r *Reading) Open(path string, text, targets []string, limits data.Limits) data.OpenOptions {
	o := data.OpenOptions{Limits: limits}
	if r == nil {
		return o
	}
	o.CSV = data.CSVOptions{
		Delimiter: r.Delimiter, Quote: r.Quote, NoQuote: r.NoQuote, Comment: r.Comment, SkipInitialSpace: r.SkipInitialSpace, Missing: r.Missing,
	}
	o.JSON.Missing = r.Missing
	first := data.CSVHeader(path, o.CSV)
	names := first
	if known := func(n string) bool { return slices.Contains(r.Columns, n) }; r.Columns != nil && !slices.ContainsFunc(first, known) {
		// No header, or one of other names than those that the spec gave.
		names = r.Columns
		if len(first) != len(names) {
			names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(targets, n) })
		}
		o.CSV.Columns, o.CSV.Header = names, r.Header
	}
	// In JSON a text looks like one.
	o.CSV.Types = map[string]data.Type{}
	for _, n := range text {
		if slices.Contains(names, n) {
			o.CSV.Types[n] = data.String
		}
	}
	return o
}
