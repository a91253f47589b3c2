package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hone-ml/hone/host/internal/diag"
)

// CSVOptions says how a file of comma-separated values is to be read. The zero value reads what
// RFC 4180 describes, with a header line and inferred types.
type CSVOptions struct {
	// Columns are the columns' names, for a file without a header line. Where there is a
	// header line as well, Header says that it is to be passed over.
	Columns []string
	Header  bool
	// Delimiter separates fields; 0 means a comma, or a tab if the name ends in .tsv.
	Delimiter byte
	// Quote encloses fields that hold delimiters, line ends or doubled quotes; 0 means ".
	Quote byte
	// NoQuote makes the quote an ordinary character.
	NoQuote bool
	// Comment begins lines to pass over; 0 means that there are none.
	Comment byte
	// SkipInitialSpace drops spaces after a delimiter.
	SkipInitialSpace bool
	// Missing are the cells that stand for a missing value; nil means DefaultMissing. An
	// empty cell always does, quoted or not.
	Missing []string
	// Types declares columns' types instead of inferring them from all cells. A cell that
	// does not fit is an error.
	Types map[string]Type
	// Keep names the columns wanted, in any order; nil means all.
	Keep []string
	// MaxField and MaxRecord bound the bytes of one field and one record, before they are taken
	// into memory; 0 means 1 MiB and 16 MiB.
	MaxField, MaxRecord int
	// Threads is the number of parsing threads; 0 means one a processor. It changes no result.
	Threads int
	Limits  Limits
}

// DefaultMissing are the cells that mean "no value" unless CSVOptions.Missing
// says otherwise.
var DefaultMissing = []string{"NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "<NA>", "#N/A"}

const (
	defaultMaxField  = 1 << 20
	defaultMaxRecord = 16 << 20
	maxColumns       = 1 << 16
)

// csvFormat is CSVOptions with every default filled in and checked.
type csvFormat struct {
	in       Input
	opt      CSVOptions
	quote    int // -1 for none
	missing  missingSet
	threads  int
	names    []string // of all columns in the file; set by readHeader
	declared []Type   // Invalid where inferred
	keep     []bool
	kept     []int // positions of the kept columns
}

func newCSVFormat(in Input, opt CSVOptions) (*csvFormat, error) {
	f := &csvFormat{in: in, opt: opt}
	bad := func(format string, args ...any) error {
		return diag.Errorf("csv_options", format, args...).At(diag.Range{File: in.label()}).Hint("Choose another character, or leave the option out.")
	}
	if opt.Delimiter == 0 {
		f.opt.Delimiter = ','
		if name := strings.ToLower(in.label()); strings.HasSuffix(name, ".tsv") || strings.Contains(name, ".tsv.") {
			f.opt.Delimiter = '\t'
		}
	}
	if opt.Quote == 0 {
		f.opt.Quote = '"'
	}
	f.quote = int(f.opt.Quote)
	if opt.NoQuote {
		f.quote = -1
	}
	if opt.MaxField <= 0 {
		f.opt.MaxField = defaultMaxField
	}
	if opt.MaxRecord <= 0 {
		f.opt.MaxRecord = max(defaultMaxRecord, f.opt.MaxField)
	}
	special := map[byte]string{}
	for _, s := range []struct {
		what string
		char byte
		used bool
	}{{"delimiter", f.opt.Delimiter, true}, {"quote", f.opt.Quote, !opt.NoQuote}, {"comment", opt.Comment, opt.Comment != 0}} {
		if !s.used {
			continue
		}
		if s.char == '\n' || s.char == '\r' || s.char >= utf8.RuneSelf {
			return nil, bad("%q cannot be the %s character of a CSV file: it must be one ASCII character, not a line end", s.char, s.what)
		}
		if other, taken := special[s.char]; taken {
			return nil, bad("%q cannot be both the %s and the %s character of a CSV file", s.char, other, s.what)
		}
		special[s.char] = s.what
	}
	if opt.SkipInitialSpace && f.opt.Delimiter == ' ' {
		return nil, bad("skip_initial_space does not go with a space as delimiter: every run of spaces would be one empty field fewer")
	}
	if opt.Missing == nil {
		f.opt.Missing = DefaultMissing
	}
	f.missing = newMissingSet(f.opt.Missing)
	f.threads = opt.Threads
	if f.threads <= 0 {
		f.threads = runtime.GOMAXPROCS(0)
	}
	return f, nil
}

// setNames fixes the columns and checks what the options say of them.
func (f *csvFormat) setNames(names []string, at diag.Range) error {
	f.names = names
	seen := make(map[string]int, len(names))
	for i, name := range names {
		if name == "" {
			return diag.Errorf("csv_header", "column %d of %s has no name", i+1, at.File).At(at).
				Hint("Name every column in the first line, or give the names as columns = [...] (with header = true if the first line is to be passed over).")
		}
		if j, twice := seen[name]; twice {
			return diag.Errorf("csv_header", "columns %d and %d of %s are both called %q", j+1, i+1, at.File, name).At(at).
				Hint("Names must differ. If the file has no header line, give the names as columns = [...]; if it has one, add header = true to pass it over.")
		}
		seen[name] = i
	}
	f.declared = make([]Type, len(names))
	declared := make([]string, 0, len(f.opt.Types))
	for name := range f.opt.Types {
		declared = append(declared, name)
	}
	slices.Sort(declared)
	schema := make(Schema, len(names))
	for i, name := range names {
		schema[i].Name = name
	}
	for _, name := range declared {
		i, ok := seen[name]
		if !ok {
			d := MissingColumn(at.File, name, schema)
			d.Summary += ", for which a type is declared"
			return d
		}
		if t := f.opt.Types[name]; t == Invalid || t > String {
			return diag.Errorf("csv_options", "column %q is declared as %v, which is no type of a column", name, t).Hint("The types are f64, f32, i64, i32, i8, u8, bool and string.")
		}
		f.declared[i] = f.opt.Types[name]
	}
	f.keep = make([]bool, len(names))
	for _, name := range f.opt.Keep {
		i, ok := seen[name]
		if !ok {
			return MissingColumn(at.File, name, schema).At(at)
		}
		f.keep[i] = true
	}
	for i := range names {
		if f.opt.Keep == nil {
			f.keep[i] = true
		}
		if f.keep[i] {
			f.kept = append(f.kept, i)
		}
	}
	return nil
}

// missingSet finds the cells that stand for a missing value.
type missingSet struct {
	first [256]bool // a marker begins with this byte
	long  int
	set   map[string]struct{}
}

func newMissingSet(markers []string) missingSet {
	m := missingSet{set: map[string]struct{}{}}
	for _, s := range markers {
		if s != "" {
			m.first[s[0]] = true
			m.long = max(m.long, len(s))
			m.set[s] = struct{}{}
		}
	}
	return m
}

func (m *missingSet) has(cell []byte) bool {
	if len(cell) == 0 {
		return true
	}
	if !m.first[cell[0]] || len(cell) > m.long {
		return false
	}
	_, ok := m.set[string(cell)]
	return ok
}

// ReadCSV reads a whole file into memory, compressed by gzip or zstd or not.
func ReadCSV(ctx context.Context, path string, opt CSVOptions) (*Table, error) {
	return DecodeCSV(ctx, File(path), opt)
}

// DecodeCSV is ReadCSV for any input.
func DecodeCSV(ctx context.Context, in Input, opt CSVOptions) (*Table, error) {
	f, err := newCSVFormat(in, opt)
	if err != nil {
		return nil, err
	}
	var forced []kind
	// A column is text as soon as one cell is, and then needs the spelling of the cells
	// before it, which were read as numbers: that takes a second pass, never a third.
	for {
		pass, err := f.run(ctx, forced, true)
		if err != nil {
			return nil, err
		}
		if pass.again {
			forced = pass.kinds
			continue
		}
		return f.table(pass)
	}
}

// CSV is a file that is read in chunks, for tables larger than memory.
type CSV struct {
	format *csvFormat
	kinds  []kind
	schema Schema
	rows   int
	digest string
}

// OpenCSV reads a file once, without keeping it, to learn the columns' types and the
// number of rows and to find every error in it; then it can be read in chunks.
func OpenCSV(ctx context.Context, path string, opt CSVOptions) (*CSV, error) {
	return StreamCSV(ctx, File(path), opt)
}

// StreamCSV is OpenCSV for any input.
func StreamCSV(ctx context.Context, in Input, opt CSVOptions) (*CSV, error) {
	f, err := newCSVFormat(in, opt)
	if err != nil {
		return nil, err
	}
	pass, err := f.run(ctx, nil, false)
	if err != nil {
		return nil, err
	}
	c := &CSV{format: f, kinds: pass.kinds, rows: pass.rows, digest: pass.digest}
	for i, at := range f.kept {
		c.schema = append(c.schema, Field{Name: f.names[at], Type: f.typeOf(at, pass.kinds[i])})
	}
	return c, nil
}

// Schema returns the kept columns.
func (c *CSV) Schema() Schema { return c.schema }

// Rows returns the number of records.
func (c *CSV) Rows() int { return c.rows }

// Digest returns that of the file's bytes.
func (c *CSV) Digest() string { return c.digest }

// Open begins a pass.
func (c *CSV) Open(ctx context.Context) (Reader, error) {
	p, err := c.format.start(ctx, c.kinds)
	if err != nil {
		return nil, err
	}
	return &csvReader{csv: c, pipe: p, rechunker: rechunker{schema: c.schema}}, nil
}

// csvReader turns the stretches that the parsers give into chunks.
type csvReader struct {
	csv  *CSV
	pipe *csvPipe
	rechunker
	rows int
	done bool
}

func (r *csvReader) Next() (*Table, error) {
	for !r.done && r.pending < ChunkRows {
		p, err := r.pipe.next()
		if errors.Is(err, io.EOF) {
			r.done = true
			if r.rows != r.csv.rows || r.pipe.digest != r.csv.digest {
				return nil, r.changed()
			}
			break
		}
		if err != nil {
			return nil, err
		}
		for i, k := range r.csv.kinds {
			if p.columns[i].kind.join(k) != k {
				return nil, r.changed()
			}
		}
		t := r.csv.format.convert(p, r.csv.schema)
		r.rows += t.rows
		r.add(t)
	}
	return r.take(r.done)
}

func (r *csvReader) changed() error {
	name := r.csv.format.in.label()
	return diag.Errorf("file_changed", "%s has changed since its columns were looked at", name).
		At(diag.Range{File: name}).Hint("Leave the file alone while it is in use, and begin again.")
}

func (r *csvReader) Close() error {
	r.pipe.close()
	return nil
}

// rechunker collects tables of any length and gives them out by ChunkRows.
type rechunker struct {
	schema  Schema
	parts   []*Table
	pending int
}

func (r *rechunker) add(t *Table) {
	if t.rows > 0 {
		r.parts = append(r.parts, t)
		r.pending += t.rows
	}
}

// take returns the next chunk, of fewer rows only at the end, or io.EOF.
func (r *rechunker) take(end bool) (*Table, error) {
	if r.pending == 0 || r.pending < ChunkRows && !end {
		return nil, io.EOF
	}
	want := min(ChunkRows, r.pending)
	var use []*Table
	got := 0
	for got < want {
		t := r.parts[0]
		if n := want - got; t.rows > n {
			use = append(use, t.Slice(0, n))
			r.parts[0] = t.Slice(n, t.rows)
			got += n
		} else {
			use = append(use, t)
			r.parts = r.parts[1:]
			got += t.rows
		}
	}
	r.pending -= want
	if len(use) == 1 {
		return use[0], nil
	}
	return concat(r.schema, use)
}

// typeOf is the type of a file's column whose cells are of the kind.
func (f *csvFormat) typeOf(column int, k kind) Type {
	if t := f.declared[column]; t != Invalid {
		return t
	}
	return k.element()
}

// convert makes a table of a parsed stretch.
func (f *csvFormat) convert(p *csvPart, schema Schema) *Table {
	t := &Table{Columns: make([]*Column, len(schema)), rows: p.rows}
	for i, s := range schema {
		t.Columns[i] = p.columns[i].column(s.Name, s.Type)
	}
	return t
}

// csvPass is what one pass over a file found.
type csvPass struct {
	kinds  []kind // of the kept columns
	rows   int
	parts  []*csvPart // if they were to be kept
	digest string
	again  bool // a column turned out to be text after some of it was read as numbers
}

// run reads the file from front to back.
func (f *csvFormat) run(ctx context.Context, forced []kind, keep bool) (*csvPass, error) {
	pipe, err := f.start(ctx, forced)
	if err != nil {
		return nil, err
	}
	defer pipe.close()
	n := len(f.kept)
	pass := &csvPass{kinds: make([]kind, n)}
	for i, column := range f.kept {
		if t := f.declared[column]; t != Invalid {
			pass.kinds[i] = kindOf(t)
		}
	}
	infinities := make([]error, n)
	misread := make([]bool, n) // has cells that were read as numbers or truth values
	var bytes int64
	for {
		p, err := pipe.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		pass.rows += p.rows
		for i := range p.columns {
			b := &p.columns[i]
			pass.kinds[i] = pass.kinds[i].join(b.kind)
			misread[i] = misread[i] || b.valued && b.kind != kindText
			if p.infinite[i] != nil && infinities[i] == nil {
				infinities[i] = p.infinite[i]
			}
			bytes += b.bytes()
		}
		if keep {
			if bytes > f.opt.Limits.bytes() {
				return nil, tooLarge(f.in.label(), f.opt.Limits)
			}
			pass.parts = append(pass.parts, p)
		}
	}
	pass.digest = pipe.digest
	for i, k := range pass.kinds {
		if k != kindText && infinities[i] != nil {
			return nil, infinities[i]
		}
		pass.again = pass.again || k == kindText && misread[i] && keep
	}
	return pass, nil
}

// table puts the parts of a pass together, a column at a time on every thread.
func (f *csvFormat) table(pass *csvPass) (*Table, error) {
	t := &Table{Columns: make([]*Column, len(f.kept)), rows: pass.rows, digest: pass.digest}
	parallel(f.threads, len(f.kept), func(i int) {
		field := Field{Name: f.names[f.kept[i]], Type: f.typeOf(f.kept[i], pass.kinds[i])}
		parts := make([]*Column, len(pass.parts))
		for j, p := range pass.parts {
			parts[j] = p.columns[i].column(field.Name, field.Type)
			p.columns[i] = builder{}
		}
		t.Columns[i] = concatColumn(field, parts, pass.rows)
	})
	return t, nil
}

// parallel calls work for 0..n-1 on up to the given number of threads.
func parallel(threads, n int, work func(i int)) {
	if threads = min(threads, n); threads <= 1 {
		for i := range n {
			work(i)
		}
		return
	}
	next := make(chan int)
	done := make(chan struct{})
	for range threads {
		go func() {
			for i := range next {
				work(i)
			}
			done <- struct{}{}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	for range threads {
		<-done
	}
}

// cellText shows a cell in a message, shortened.
func cellText(cell []byte) string {
	const most = 40
	if len(cell) > most {
		n := most
		for n > 0 && !utf8.RuneStart(cell[n]) {
			n--
		}
		return fmt.Sprintf("%q...", cell[:n])
	}
	return fmt.Sprintf("%q", cell)
}
