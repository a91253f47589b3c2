package diag

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Severity says whether work can go on. The zero value is Error, so that a
// diagnostic whose severity nobody set is not overlooked.
type Severity uint8

const (
	Error   Severity = iota // the work asked for cannot be done
	Warning                 // it can, but the user should know
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText makes the severity a word in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Severity) UnmarshalText(b []byte) error {
	switch string(b) {
	case "error":
		*s = Error
	case "warning":
		*s = Warning
	default:
		return fmt.Errorf("diag: no severity %q", b)
	}
	return nil
}

// Pos is a place in a text. Line and Column count from 1, Column in
// characters as the user sees them; Byte counts from 0 and is what Write goes by.
// A zero Line means that only the file is known, a zero Column that only the line is.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Range is a stretch of a file from Start up to, not including, End.
type Range struct {
	File  string `json:"file"`
	Start Pos    `json:"start"`
	End   Pos    `json:"end"`
}

// String gives the range's start as editors understand it: file:line:column.
func (r Range) String() string {
	switch {
	case r.Start.Line == 0:
		return r.File
	case r.Start.Column == 0:
		return fmt.Sprintf("%s:%d", r.File, r.Start.Line)
	}
	return fmt.Sprintf("%s:%d:%d", r.File, r.Start.Line, r.Start.Column)
}

// Diagnostic is one thing to tell the user.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// Code is a short, stable name of the kind of trouble ("unknown_layer"),
	// the same in every version, for programs and for searching.
	Code string `json:"code"`
	// Summary is one line, without a full stop.
	Summary string `json:"summary"`
	// Detail explains in whole sentences; its last one says what to do. Lines
	// that begin with a space are shown as they are, others are wrapped.
	Detail string `json:"detail,omitempty"`
	// Subject is the text at fault, Context the larger piece around it that
	// helps to understand, such as the whole block.
	Subject *Range `json:"subject,omitempty"`
	Context *Range `json:"context,omitempty"`
	// Path names the attribute, such as model.mlp.layer.hidden.units.
	Path string `json:"path,omitempty"`
	// Column names the column of the data at fault, Row its row, from 1; "" and 0
	// where it is none.
	Column string `json:"column,omitempty"`
	Row    int64  `json:"row,omitempty"`
	// Cause is the error below, if there is one, for errors.Is and errors.As.
	Cause error `json:"-"`
}

// Errorf returns an error diagnostic with the formatted summary. A %w verb
// in the format sets Cause, as in fmt.Errorf.
func Errorf(code, format string, args ...any) Diagnostic {
	err := fmt.Errorf(format, args...)
	return Diagnostic{Code: code, Summary: err.Error(), Cause: errors.Unwrap(err)}
}

// Warnf is Errorf for a warning.
func Warnf(code, format string, args ...any) Diagnostic {
	d := Errorf(code, format, args...)
	d.Severity = Warning
	return d
}

// Hint returns d with the formatted detail, which should end with the remedy.
func (d Diagnostic) Hint(format string, args ...any) Diagnostic {
	d.Detail = fmt.Sprintf(format, args...)
	return d
}

// At returns d with its subject.
func (d Diagnostic) At(r Range) Diagnostic {
	d.Subject = &r
	return d
}

// Within returns d with its context.
func (d Diagnostic) Within(r Range) Diagnostic {
	d.Context = &r
	return d
}

// SomeRow stands for a row, if there is one, that makes a column what it ought not
// to be. Whoever has the data looks for it.
const SomeRow = -1

// Cell returns d with the cell of the data at fault; row 0 is the whole column.
func (d Diagnostic) Cell(column string, row int64) Diagnostic {
	d.Column, d.Row = column, row
	return d
}

// In returns d with its attribute path.
func (d Diagnostic) In(path string) Diagnostic {
	d.Path = path
	return d
}

// Error makes a diagnostic an error: place, summary and detail in one line.
func (d Diagnostic) Error() string {
	var b strings.Builder
	switch {
	case d.Subject != nil:
		b.WriteString(d.Subject.String())
		b.WriteString(": ")
	case d.Path != "":
		b.WriteString(d.Path)
		b.WriteString(": ")
	}
	b.WriteString(d.Summary)
	if d.Detail != "" {
		b.WriteString(". ")
		b.WriteString(strings.Join(strings.Fields(d.Detail), " "))
	}
	return b.String()
}

// Unwrap returns Cause.
func (d Diagnostic) Unwrap() error { return d.Cause }

// Diagnostics is a list of them in the order in which they were found. The nil
// list is ready for use.
type Diagnostics []Diagnostic

// Append adds diagnostics at the end.
func (ds *Diagnostics) Append(more ...Diagnostic) { *ds = append(*ds, more...) }

// AppendErr adds what From makes of err; a nil err adds nothing.
func (ds *Diagnostics) AppendErr(err error) { *ds = append(*ds, From(err)...) }

// HasErrors reports whether at least one of them is an error.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Err returns the list as an error if it HasErrors, and nil otherwise.
func (ds Diagnostics) Err() error {
	if ds.HasErrors() {
		return ds
	}
	return nil
}

// Error joins the errors among them, one a line.
func (ds Diagnostics) Error() string {
	var lines []string
	for _, d := range ds {
		if d.Severity == Error {
			lines = append(lines, d.Error())
		}
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is and errors.As look into each diagnostic.
func (ds Diagnostics) Unwrap() []error {
	errs := make([]error, len(ds))
	for i, d := range ds {
		errs[i] = d
	}
	return errs
}

// MarshalJSON writes an array, empty rather than null.
func (ds Diagnostics) MarshalJSON() ([]byte, error) {
	if ds == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]Diagnostic(ds))
}

// From turns any error into diagnostics: those that it is or wraps are kept
// whole, with the wrapping text before their summary; any other error becomes
// one diagnostic with the code "error". A nil error gives nil.
func From(err error) Diagnostics {
	if err == nil {
		return nil
	}
	switch e := err.(type) {
	case Diagnostics:
		return e
	case Diagnostic:
		return Diagnostics{e}
	}
	var ds Diagnostics
	if errors.As(err, &ds) {
		return prefixed(err, ds, ds)
	}
	var d Diagnostic
	if errors.As(err, &d) {
		return prefixed(err, d, Diagnostics{d})
	}
	return Diagnostics{{Code: "error", Summary: err.Error(), Cause: err}}
}

// prefixed keeps what "doing this: %w" put before inner's text.
func prefixed(outer, inner error, ds Diagnostics) Diagnostics {
	before, after, found := strings.Cut(outer.Error(), inner.Error())
	if !found || after != "" || before == "" {
		return ds
	}
	out := make(Diagnostics, len(ds))
	for i, d := range ds {
		d.Summary = before + d.Summary
		out[i] = d
	}
	return out
}
