package data

import (
	"bytes"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/hone-ml/hone/host/internal/diag"
)

// csvPart is the values of one block.
type csvPart struct {
	columns  []builder // of the kept columns
	infinite []error   // the first infinite number of each
	rows     int
}

// csvParser reads the records of blocks, one block at a time.
type csvParser struct {
	format  *csvFormat
	block   *csvBlock
	scratch []byte // an unquoted copy of a field with doubled quotes
	plain   [256]bool
}

func newCSVParser(f *csvFormat) *csvParser {
	p := &csvParser{format: f}
	for i := range p.plain {
		p.plain[i] = byte(i) != f.opt.Delimiter && i != '\n' && i != f.quote
	}
	return p
}

// check refuses what is no text.
func (p *csvParser) check(b *csvBlock) error {
	p.block = b
	if at := bytes.IndexByte(b.data, 0); at >= 0 {
		return p.errorf(at, at+1, "csv_binary", "%s holds a zero byte: it is not a text file", p.format.in.label()).
			Hint("Is it another format, such as Parquet or a spreadsheet, or text in UTF-16? Export it as CSV in UTF-8.")
	}
	if utf8.Valid(b.data) {
		return nil
	}
	for at := 0; at < len(b.data); {
		r, size := utf8.DecodeRune(b.data[at:])
		if r == utf8.RuneError && size == 1 {
			if b.overflow && !utf8.FullRune(b.data[at:]) {
				break // cut by the limit on records, not by the file
			}
			return p.errorf(at, at+1, "csv_encoding", "the byte %02x is not UTF-8", b.data[at]).
				Hint("The file is in another encoding. Convert it, for instance: iconv -f ISO-8859-1 -t UTF-8")
		}
		at += size
	}
	return nil
}

// parse reads a block, whose columns are thought to be of the given kinds. If
// a cell is not, it returns the kinds that hold all cells of the block.
func (p *csvParser) parse(b *csvBlock, kinds []kind) (*csvPart, []kind, error) {
	p.block = b
	f := p.format
	part := &csvPart{columns: make([]builder, len(f.kept)), infinite: make([]error, len(f.kept))}
	// Blank lines and comments make this a little too many.
	expect := b.newlines + 1
	for i := range part.columns {
		part.columns[i].reset(kinds[i], expect)
	}
	var wider []kind // set once a cell did not fit
	data, delimiter, skipSpace := b.data, f.opt.Delimiter, f.opt.SkipInitialSpace
	for at := 0; at < len(data); {
		if next := p.blank(at); next > at {
			at = next
			continue
		}
		start := at
		kept := 0
		for column := 0; ; column++ {
			// Most fields are short and plain: find their end here, without a call.
			for skipSpace && at < len(data) && data[at] == ' ' {
				at++
			}
			from, next := at, at
			for next < len(data) && p.plain[data[next]] {
				next++
			}
			cell := data[from:next]
			if next == len(data) || data[next] != delimiter || len(cell) > f.opt.MaxField {
				var err error
				if cell, from, next, err = p.field(at); err != nil {
					return nil, nil, err
				}
			}
			if column >= len(f.names) {
				return nil, nil, p.ragged(start, from)
			}
			if f.keep[column] {
				i := kept
				kept++
				switch {
				case wider != nil:
					// A declared column's misfits are found when the block is parsed again.
					if f.declared[column] == Invalid && wider[i] != kindText && !f.missing.has(cell) {
						wider[i] = wider[i].join(classify(cell))
					}
				case f.missing.has(cell):
					part.columns[i].addMissing()
				default:
					switch part.columns[i].add(cell) {
					case misfit:
						if f.declared[column] != Invalid {
							return nil, nil, p.badCell(column, cell, from, next)
						}
						wider = slices.Clone(kinds)
						wider[i] = wider[i].join(classify(cell))
					case endless:
						if part.infinite[i] == nil {
							part.infinite[i] = p.infiniteCell(column, cell, from, next)
						}
					}
					if t := f.declared[column]; t != Invalid && t != String && wider == nil {
						if err := p.checkRange(&part.columns[i], column, t, cell, from, next); err != nil {
							return nil, nil, err
						}
					}
				}
			}
			if next >= len(data) || data[next] == '\n' || data[next] == '\r' && next+1 < len(data) && data[next+1] == '\n' {
				if column+1 != len(f.names) {
					return nil, nil, p.ragged(start, next)
				}
				at = next + 1
				if next < len(data) && data[next] == '\r' {
					at++
				}
				break
			}
			at = next + 1
		}
		if at-start > f.opt.MaxRecord+2 {
			return nil, nil, p.longRecord(start)
		}
		part.rows++
	}
	if b.overflow {
		return nil, nil, p.longRecord(0)
	}
	if wider != nil {
		return nil, wider, nil
	}
	return part, nil, nil
}

// blank returns the offset behind a blank line or a comment at at, or at.
func (p *csvParser) blank(at int) int {
	data := p.block.data
	switch {
	case data[at] == '\n':
		return at + 1
	case data[at] == '\r' && at+1 < len(data) && data[at+1] == '\n':
		return at + 2
	case p.format.opt.Comment != 0 && data[at] == p.format.opt.Comment:
		if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
			return at + n + 1
		}
		return len(data)
	}
	return at
}

// field reads the field at at: its contents, where they begin, and the offset of
// what ends it: a delimiter, a line end (\n or \r\n), or the end of the block.
// The contents are valid until the next call.
func (p *csvParser) field(at int) (cell []byte, from, next int, err error) {
	f, data := p.format, p.block.data
	if f.opt.SkipInitialSpace {
		for at < len(data) && data[at] == ' ' {
			at++
		}
	}
	from = at
	if at < len(data) && int(data[at]) == f.quote {
		return p.quoted(at)
	}
	for at < len(data) && p.plain[data[at]] {
		at++
	}
	if at < len(data) && int(data[at]) == f.quote {
		return nil, 0, 0, p.errorf(at, at+1, "csv_quote", "a quote stands inside of a field that does not begin with one").
			Hint("Enclose the whole field in quotes and double those inside of it, or set quote = \"\" if quotes mean nothing in this file.")
	}
	next = at
	if at > from && data[at-1] == '\r' && (at == len(data) || data[at] == '\n') {
		at--
		if next < len(data) {
			next--
		}
	}
	if at-from > f.opt.MaxField {
		return nil, 0, 0, p.longField(from)
	}
	return data[from:at], from, next, nil
}

// quoted is field for one that begins with a quote.
func (p *csvParser) quoted(from int) (cell []byte, begin, next int, err error) {
	f, data := p.format, p.block.data
	quote := byte(f.quote)
	at := from + 1
	doubled := false
	for {
		n := bytes.IndexByte(data[at:], quote)
		if n < 0 || at+n-from > f.opt.MaxField+1 {
			if n >= 0 || len(data)-from > f.opt.MaxField+1 {
				return nil, 0, 0, p.longField(from)
			}
			if p.block.overflow {
				return nil, 0, 0, p.longRecord(0)
			}
			return nil, 0, 0, p.errorf(from, from+1, "csv_quote", "the quote that opens here is never closed").
				Hint("Add the closing quote, or set quote = \"\" if quotes mean nothing in this file.")
		}
		at += n
		if at+1 < len(data) && data[at+1] == quote {
			doubled = true
			at += 2
			continue
		}
		break
	}
	cell = data[from+1 : at]
	if doubled {
		p.scratch = p.scratch[:0]
		for i := 0; i < len(cell); i++ {
			p.scratch = append(p.scratch, cell[i])
			if cell[i] == quote {
				i++
			}
		}
		cell = p.scratch
	}
	next = at + 1
	switch {
	case next >= len(data), data[next] == f.opt.Delimiter, data[next] == '\n',
		data[next] == '\r' && next+1 < len(data) && data[next+1] == '\n':
		return cell, from, next, nil
	case data[next] == '\r' && next+1 == len(data): // the file ends in half a line end
		return cell, from, next + 1, nil
	}
	return nil, 0, 0, p.errorf(next, next+1, "csv_quote", "a field goes on after its closing quote").
		Hint("Double the quotes inside of a quoted field (\"\"), or set quote = \"\" if quotes mean nothing in this file.")
}

// checkRange refuses values that a declared type narrower than its kind cannot hold.
func (p *csvParser) checkRange(b *builder, column int, t Type, cell []byte, from, next int) error {
	lo, hi := int64(0), int64(0)
	switch t {
	case I32:
		lo, hi = -1<<31, 1<<31-1
	case I8:
		lo, hi = -128, 127
	case U8:
		hi = 255
	case F32:
		if f := b.floats[len(b.floats)-1]; f > 3.4028235677973366e38 || f < -3.4028235677973366e38 {
			return p.infiniteCell(column, cell, from, next)
		}
		return nil
	default:
		return nil
	}
	if v := b.ints[len(b.ints)-1]; v < lo || v > hi {
		return p.errorf(from, next, "csv_cell", "%s in column %q is outside of %v, which goes from %d to %d",
			cellText(cell), p.format.names[column], t, lo, hi).Hint("Mend the cell, or declare the column with a wider type.")
	}
	return nil
}

// errorf makes a diagnostic at bytes from up to to of the block.
func (p *csvParser) errorf(from, to int, code, format string, args ...any) diag.Diagnostic {
	return diag.Errorf(code, format, args...).At(diag.Range{File: p.format.in.label(), Start: p.position(from), End: p.position(to)})
}

func (p *csvParser) position(at int) diag.Pos {
	b := p.block
	at = min(at, len(b.data))
	before := b.data[:at]
	lineStart := bytes.LastIndexByte(before, '\n') + 1
	return diag.Pos{
		Line:   b.line + bytes.Count(before, newline),
		Column: utf8.RuneCount(before[lineStart:]) + 1,
		Byte:   int(b.offset) + at,
	}
}

func (p *csvParser) badCell(column int, cell []byte, from, next int) error {
	t := p.format.declared[column]
	want := map[kind]string{kindBool: "true or false", kindInt: "a whole number of 64 bits", kindFloat: "a number"}[kindOf(t)]
	return p.errorf(from, next, "csv_cell", "%s in column %q is not %s", cellText(cell), p.format.names[column], want).
		Hint("The column is declared as %v. Mend the cell, declare another type, or, if it stands for a missing value, add it to missing = [...].", t)
}

func (p *csvParser) infiniteCell(column int, cell []byte, from, next int) error {
	return p.errorf(from, next, "csv_infinite", "%s in column %q is an infinite number", cellText(cell), p.format.names[column]).
		Hint("No model can be trained on it. Mend the cell; if it stands for a missing value, add it to missing = [...]; if the column is text, declare it as string.")
}

func (p *csvParser) longField(from int) error {
	return p.errorf(from, from+1, "csv_field_too_long", "a field is longer than %d bytes", p.format.opt.MaxField).
		Hint("Is a closing quote missing, or the delimiter another one? Otherwise raise the limit max_field.")
}

func (p *csvParser) longRecord(from int) error {
	return p.errorf(from, from+1, "csv_record_too_long", "a record is longer than %d bytes", p.format.opt.MaxRecord).
		Hint("Is a closing quote missing, or are the line ends not \\n or \\r\\n? Otherwise raise the limit max_record.")
}

// ragged is the diagnostic for a record with another number of fields than
// there are columns.
func (p *csvParser) ragged(start, at int) error {
	count := 0
	for pos := start; ; {
		_, _, next, err := p.field(pos)
		if err != nil {
			return err
		}
		count++
		if next >= len(p.block.data) {
			if p.block.overflow {
				return p.longRecord(start)
			}
			break
		}
		if c := p.block.data[next]; c != p.format.opt.Delimiter {
			break
		}
		pos = next + 1
	}
	fields := fmt.Sprintf("%d fields", count)
	if count == 1 {
		fields = "one field"
	}
	d := p.errorf(at, at+1, "csv_ragged", "this record has %s, but there are %d columns", fields, len(p.format.names))
	if count == 1 && len(p.format.names) > 1 {
		return d.Hint("Is the delimiter really %q? Otherwise mend the line, or mark it as a comment.", p.format.opt.Delimiter)
	}
	return d.Hint("Mend the line; a field that holds the delimiter must be quoted. If every line is so, the names given as columns or in the first line are too few or too many.")
}

// header reads the first record of the file as the columns' names and returns
// the offset behind it.
func (p *csvParser) header() (names []string, first diag.Range, next int, err error) {
	data := p.block.data
	at := 0
	for at < len(data) {
		n := p.blank(at)
		if n == at {
			break
		}
		at = n
	}
	if at >= len(data) {
		return nil, first, at, nil
	}
	start := at
	for {
		cell, _, next, err := p.field(at)
		if err != nil {
			return nil, first, 0, err
		}
		names = append(names, string(cell))
		if len(names) > maxColumns {
			return nil, first, 0, p.errorf(start, start+1, "csv_header", "the first record has more than %d fields", maxColumns).
				Hint("Is it a table at all? At most %d columns are read.", maxColumns)
		}
		at = next + 1
		if next >= len(data) || data[next] != p.format.opt.Delimiter {
			if next >= len(data) && p.block.overflow {
				return nil, first, 0, p.longRecord(start)
			}
			if next < len(data) && data[next] == '\r' {
				at++
			}
			r := diag.Range{File: p.format.in.label(), Start: p.position(start), End: p.position(next)}
			return names, r, min(at, len(data)), nil
		}
	}
}
