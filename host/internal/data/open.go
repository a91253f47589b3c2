package data

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
)

// Format is a kind of file.
type Format string

// The formats that are read. AnyFormat asks the file's first bytes.
const (
	AnyFormat       Format = ""
	FormatCSV       Format = "csv"
	FormatJSONLines Format = "jsonl"
	FormatIDX       Format = "idx"
	FormatNPY       Format = "npy"
	FormatNPZ       Format = "npz"
	FormatParquet   Format = "parquet"
	FormatArrow     Format = "arrow"
)

// OpenOptions says how to read a file whose kind may not be known beforehand.
// Only the part for the kind that it turns out to be is used.
type OpenOptions struct {
	Format Format
	CSV    CSVOptions
	JSON   JSONOptions
	// Keep names the columns (of an .npz file, the arrays) wanted; nil means all. It
	// takes the place of the options' own.
	Keep []string
	// Column names the column of a file that holds one unnamed array; "" means x.
	Column string
	// Limits bounds what is kept in memory; it takes the place of the options' own.
	Limits Limits
}

func (o *OpenOptions) fill() {
	if o.Keep != nil {
		o.CSV.Keep, o.JSON.Keep = o.Keep, o.Keep
	}
	if o.Limits.Bytes > 0 {
		o.CSV.Limits, o.JSON.Limits = o.Limits, o.Limits
	}
	if o.Column == "" {
		o.Column = "x"
	}
}

// Open finds out what kind of file a path names and opens it as a source. Tables (CSV, JSON
// lines, Parquet, Arrow) are read in chunks; arrays (IDX, NumPy) are taken into memory. A folder of
// IDX files gives its training part.
func Open(ctx context.Context, path string, opt OpenOptions) (Source, error) {
	opt.fill()
	format, err := opt.format(path)
	if err != nil {
		return nil, err
	}
	switch format {
	case FormatCSV:
		return nonNil(OpenCSV(ctx, path, opt.CSV))
	case FormatJSONLines:
		return nonNil(OpenJSONLines(ctx, path, opt.JSON))
	case FormatParquet:
		return nonNil(OpenParquet(ctx, path, ColumnarOptions{Keep: opt.Keep}))
	case FormatArrow:
		return nonNil(OpenArrow(ctx, path, ColumnarOptions{Keep: opt.Keep}))
	}
	return nonNil(opt.array(ctx, path, format))
}

// nonNil keeps a nil pointer from becoming a source that is not nil.
func nonNil[S Source](s S, err error) (Source, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// LoadOrSpill is Load for a file that may not fit into memory: beyond the
// limit its rows go to a temporary file in the folder of TMPDIR, which Close of the
// *Spilled removes. The values are the same.
func LoadOrSpill(ctx context.Context, path string, opt OpenOptions) (Dataset, error) {
	t, err := Load(ctx, path, opt)
	if err == nil {
		return t, nil
	}
	var d diag.Diagnostic
	if !errors.As(err, &d) || d.Code != "data_too_large" {
		return nil, err
	}
	src, err2 := Open(ctx, path, opt)
	if err2 != nil {
		return nil, err2
	}
	return nonNilDataset(Spill(ctx, src, ""))
}

func nonNilDataset(s *Spilled, err error) (Dataset, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Load is Open for a file that is to be in memory as a whole.
func Load(ctx context.Context, path string, opt OpenOptions) (*Table, error) {
	opt.fill()
	format, err := opt.format(path)
	if err != nil {
		return nil, err
	}
	opt.Format = format
	switch format {
	case FormatCSV:
		return ReadCSV(ctx, path, opt.CSV)
	case FormatJSONLines:
		return ReadJSONLines(ctx, path, opt.JSON)
	}
	src, err := Open(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	if src.Schema().Bytes(src.Rows()) > opt.Limits.bytes() {
		return nil, tooLarge(path, opt.Limits)
	}
	return ReadAll(ctx, src)
}

func (o *OpenOptions) array(ctx context.Context, path string, format Format) (*Table, error) {
	switch format {
	case FormatNPZ:
		return ReadNPZ(ctx, path, o.Keep, o.Limits)
	case FormatNPY:
		return ReadNPY(ctx, path, o.Column, o.Limits)
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		s, err := ReadMNIST(ctx, path, o.Limits)
		if err != nil {
			return nil, err
		}
		return s.Train, nil
	}
	return ReadIDX(ctx, path, o.Column, o.Limits)
}

// format is the one that the options ask for, or that the file's first bytes show.
func (o *OpenOptions) format(path string) (Format, error) {
	if o.Format != AnyFormat {
		return o.Format, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return FormatIDX, nil
	}
	s, err := openStream(File(path))
	if err != nil {
		return "", err
	}
	defer s.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(s, head)
	if err != nil && err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	format := sniff(head[:n])
	if name := strings.ToLower(path); len(bytes.TrimSpace(head[:n])) == 0 && n < len(head) && (strings.Contains(name, ".jsonl") || strings.Contains(name, ".ndjson")) {
		return "", diag.Errorf("json_empty", "%s is empty", path).At(diag.Range{File: path}).Hint("JSON lines hold an object on each line, one for each row.")
	}
	if s.packed && (format == FormatParquet || format == FormatArrow || format == FormatNPZ) {
		return "", diag.Errorf("compressed", "%s is a compressed %s file", path, format).At(diag.Range{File: path}).
			Hint("Such files are read from any place, and are compressed inside already: decompress it first.")
	}
	if text := bytes.TrimLeft(head[:n], " \t\r\n\ufeff"); format == FormatCSV && len(text) > 0 && text[0] == '[' && strings.Contains(strings.ToLower(path), ".json") {
		return "", diag.Errorf("json_array", "%s holds one JSON array, not an object on each line", path).At(diag.Range{File: path}).
			Hint("Write one object a line, for instance: jq -c .[] %s", path)
	}
	return format, nil
}

// sniff tells a file's format by its beginning.
func sniff(head []byte) Format {
	begins := func(s string) bool { return bytes.HasPrefix(head, []byte(s)) }
	switch {
	case begins("PAR1"):
		return FormatParquet
	case begins(arrowMagic), begins("\xff\xff\xff\xff"):
		return FormatArrow
	case begins(npyMagic):
		return FormatNPY
	case begins("PK\x03\x04"):
		return FormatNPZ
	case len(head) >= 4 && head[0] == 0 && head[1] == 0 && idxSizes[head[2]] > 0:
		return FormatIDX
	}
	if text := bytes.TrimLeft(head, " \t\r\n\ufeff"); len(text) > 0 && text[0] == '{' {
		return FormatJSONLines
	}
	return FormatCSV
}
