package data

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Place returns where a cell of a file lies: row counts from 1, row 0 is the
// column's name, or its first cell in a file without a header line. It reads the file
// again, and serves messages. Files that are not text give the file alone.
func Place(path string, opt OpenOptions, row int64, column string) diag.Range {
	file := diag.Range{File: path}
	opt.fill()
	format, err := opt.format(path)
	if err != nil {
		return file
	}
	switch format {
	case FormatCSV:
		f, err := newCSVFormat(File(path), opt.CSV)
		if err != nil {
			return file
		}
		if r, err := f.place(row, column); err == nil {
			return r
		}
	case FormatJSONLines:
		if line, err := lineOf(File(path), row); err == nil {
			file.Start.Line = line
		}
	}
	return file
}

var errNoPlace = errors.New("data: there is no such cell")

// place finds a cell of a CSV file, record by record.
func (f *csvFormat) place(row int64, column string) (diag.Range, error) {
	s, err := openStream(f.in)
	if err != nil {
		return diag.Range{}, err
	}
	defer s.Close()
	splitter := &csvSplitter{format: f, r: s, line: 1}
	f.names = f.opt.Columns
	at := int64(1) // number of the next record; the header's is 0
	if f.names == nil || f.opt.Header {
		at = 0
	}
	row = max(row, at)
	index := -1
	p := newCSVParser(f)
	for first := true; ; first = false {
		b, err := splitter.next(nil)
		if err != nil {
			return diag.Range{}, err
		}
		if rest, ok := bytes.CutPrefix(b.data, []byte("\xef\xbb\xbf")); ok && first {
			b.data, b.offset = rest, b.offset+3
		}
		p.block = b
		for pos := 0; pos < len(b.data); {
			if next := p.blank(pos); next > pos {
				pos = next
				continue
			}
			var found diag.Range
			start := pos
			names := f.names == nil
			if pos, err = p.record(pos, func(i int, cell []byte, from, next int) {
				if names {
					f.names = append(f.names, string(cell))
				}
				if at == row && i < len(f.names) && f.names[i] == column {
					index = i
					found = diag.Range{File: f.in.label(), Start: p.position(from), End: p.position(next)}
				}
			}); err != nil {
				return diag.Range{}, err
			}
			if at == row {
				if index < 0 {
					line := p.position(start)
					line.Column = 0
					return diag.Range{File: f.in.label(), Start: line}, nil
				}
				return found, nil
			}
			at++
		}
	}
}

// record calls each with the fields of the record at at and returns where the next begins.
func (p *csvParser) record(at int, each func(column int, cell []byte, from, next int)) (int, error) {
	data := p.block.data
	for column := 0; ; column++ {
		cell, from, next, err := p.field(at)
		if err != nil {
			return 0, err
		}
		each(column, cell, from, next)
		switch {
		case next >= len(data):
			return len(data), nil
		case data[next] == '\r':
			return next + 2, nil
		case data[next] == '\n':
			return next + 1, nil
		}
		at = next + 1
	}
}

// lineOf returns the line of the row'th line that is not blank, from 1.
func lineOf(in Input, row int64) (int, error) {
	s, err := openStream(in)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	r := bufio.NewReader(s)
	for line := 1; ; line++ {
		filled := false
		for {
			part, more, err := r.ReadLine()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = errNoPlace
				}
				return 0, err
			}
			filled = filled || len(bytes.TrimSpace(part)) > 0
			if !more {
				break
			}
		}
		if filled {
			row--
		}
		if row <= 0 {
			return line, nil
		}
	}
}

// CSVHeader returns the fields of a CSV file's first record; nil where there are none.
func CSVHeader(path string, opt CSVOptions) []string {
	f, err := newCSVFormat(File(path), opt)
	if err != nil {
		return nil
	}
	s, err := openStream(f.in)
	if err != nil {
		return nil
	}
	defer s.Close()
	b, err := (&csvSplitter{format: f, r: s, line: 1}).next(nil)
	if err != nil || b == nil {
		return nil
	}
	if rest, ok := bytes.CutPrefix(b.data, []byte("\xef\xbb\xbf")); ok {
		b.data = rest
	}
	p := newCSVParser(f)
	p.block = b
	names, _, _, err := p.header()
	if err != nil {
		return nil
	}
	return names
}

// OddCell finds, in a column of text most of whose values are numbers, the first
// that is none: its text and its row, from 1.
func OddCell(ctx context.Context, d Dataset, column string) (cell string, row int64, ok bool) {
	c, err := ColumnOf(ctx, d, column)
	if err != nil || c == nil || c.Type != String {
		return "", 0, false
	}
	numbers := make([]bool, len(c.dict))
	for i, w := range c.dict {
		k := classify([]byte(w))
		numbers[i] = k == kindInt || k == kindFloat
	}
	good, bad := 0, 0
	for i, code := range c.Codes() {
		switch {
		case code < 0:
		case numbers[code]:
			good++
		default:
			if bad++; bad == 1 {
				cell, row = c.dict[code], int64(i+1)
			}
		}
	}
	return cell, row, bad > 0 && good > bad
}
