package data

import (
	"bytes"
	"io"
)

// csvBlockSize is the least number of bytes, but for the last, that a parser
// is given at once. It is fixed, so that blocks do not depend on how reads fall.
const csvBlockSize = 512 << 10

// csvBlock is a whole number of records.
type csvBlock struct {
	data     []byte
	line     int   // of the file, on which data begins
	offset   int64 // of data[0] in the decompressed file
	newlines int
	// overflow says that data is the beginning of a record longer than the limit.
	overflow bool
}

// csvSplitter cuts a stream at the ends of records.
type csvSplitter struct {
	format *csvFormat
	r      io.Reader
	carry  []byte // read already, but behind the last block's end
	line   int
	offset int64
	eof    bool
}

// next returns the next block, with data in buf's memory if that is large enough.
func (s *csvSplitter) next(buf []byte) (*csvBlock, error) {
	size := csvBlockSize
	buf = append(buf[:0], s.carry...)
	for {
		if !s.eof && len(buf) < size {
			if cap(buf) < size {
				grown := make([]byte, len(buf), size)
				copy(grown, buf)
				buf = grown
			}
			n, err := io.ReadFull(s.r, buf[len(buf):size])
			buf = buf[:len(buf)+n]
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				s.eof = true
			} else if err != nil {
				return nil, err
			}
		}
		end := len(buf)
		overflow := false
		if !s.eof {
			end = s.lastRecordEnd(buf)
			if end == 0 && len(buf) < s.format.opt.MaxRecord {
				size = min(2*size, max(s.format.opt.MaxRecord, csvBlockSize))
				continue
			}
			if end == 0 {
				end, overflow = len(buf), true
				s.eof = true // the parser will refuse this block
			}
		}
		if end == 0 {
			return nil, io.EOF
		}
		s.carry = append(s.carry[:0], buf[end:]...)
		b := &csvBlock{data: buf[:end], line: s.line, offset: s.offset, newlines: bytes.Count(buf[:end], newline), overflow: overflow}
		s.line += b.newlines
		s.offset += int64(end)
		return b, nil
	}
}

var newline = []byte{'\n'}

// lastRecordEnd returns the offset behind the last line end that is not within
// quotes, 0 if there is none. A record begins at buf[0].
func (s *csvSplitter) lastRecordEnd(buf []byte) int {
	f := s.format
	if f.quote < 0 || bytes.IndexByte(buf, byte(f.quote)) < 0 {
		return bytes.LastIndexByte(buf, '\n') + 1
	}
	quote := byte(f.quote)
	end := 0 // behind the last record
	for at := 0; ; {
		q := bytes.IndexByte(buf[at:], quote)
		if q < 0 {
			if n := bytes.LastIndexByte(buf[at:], '\n'); n >= 0 {
				end = at + n + 1
			}
			return end
		}
		q += at
		if n := bytes.LastIndexByte(buf[at:q], '\n'); n >= 0 {
			end = at + n + 1
		}
		if f.opt.Comment != 0 && buf[end] == f.opt.Comment {
			n := bytes.IndexByte(buf[q:], '\n')
			if n < 0 {
				return end
			}
			at = q + n + 1
			end = at
			continue
		}
		if !f.opensField(buf, end, q) {
			at = q + 1 // the parser will complain
			continue
		}
		at = q + 1
		for {
			c := bytes.IndexByte(buf[at:], quote)
			if c < 0 {
				return end
			}
			at += c + 1
			if at < len(buf) && buf[at] == quote {
				at++
				continue
			}
			break
		}
	}
}

// opensField reports whether the quote at q is the first character of a field
// of the record that begins at start.
func (f *csvFormat) opensField(buf []byte, start, q int) bool {
	if f.opt.SkipInitialSpace {
		for q > start && buf[q-1] == ' ' {
			q--
		}
	}
	return q == start || buf[q-1] == f.opt.Delimiter
}
