package main

import (
	"errors"

	"github.com/hone-ml/hone/host"
)

type dataCmd struct {
	Show dataShowCmd `cmd:"" help:"Describe a file's columns: types, missing values, quantiles, classes."`
}

type dataShowCmd struct {
	Path string `arg:"" help:"CSV, JSON lines, Parquet, Arrow, NumPy or IDX file, or a folder of IDX files."`

	Delimiter        *string  `help:"What separates the fields of a CSV file: one character, \\t for a tab." placeholder:"CHAR" group:"CSV files, as a spec's csv block says it:"`
	Columns          []string `help:"Names of the columns, for a file without a header line." placeholder:"NAME,..." group:"CSV files, as a spec's csv block says it:"`
	Header           bool     `help:"The first line is a header, where columns are given as well." group:"CSV files, as a spec's csv block says it:"`
	NoHeader         bool     `help:"There is no header line: columns are called column_1, column_2." group:"CSV files, as a spec's csv block says it:"`
	Missing          []string `help:"A cell that means that there is no value, instead of NA, NaN, null and the like; may be given several times." placeholder:"CELL" sep:"none" group:"CSV files, as a spec's csv block says it:"`
	Quote            *string  `help:"What encloses fields: one character, or nothing." placeholder:"CHAR" group:"CSV files, as a spec's csv block says it:"`
	Comment          string   `help:"What begins lines to pass over: one character." placeholder:"CHAR" group:"CSV files, as a spec's csv block says it:"`
	SkipInitialSpace bool     `help:"Drop spaces after a delimiter." group:"CSV files, as a spec's csv block says it:"`
}

func (c *dataShowCmd) Run(a *app) error {
	limit := 0 // a pipe takes lines of any length
	if isTerminal(a.stdout) {
		limit = width(a.stdout)
	}
	csv := host.CSVReading{Columns: c.Columns, Header: c.Header, NoHeader: c.NoHeader, Comment: c.Comment, SkipInitialSpace: c.SkipInitialSpace, Missing: c.Missing}
	if c.Delimiter != nil {
		if csv.Delimiter = *c.Delimiter; csv.Delimiter == "" {
			return usageError{errors.New("--delimiter is empty; give one character")}
		}
	}
	if c.Quote != nil {
		csv.Quote, csv.NoQuote = *c.Quote, *c.Quote == ""
	}
	advice, err := host.DescribeData(a.ctx, c.Path, csv, a.stdout, limit)
	if err != nil {
		return err
	}
	a.warn(advice)
	return nil
}
