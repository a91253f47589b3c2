package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
)

// ChunkRows is the number of rows of every chunk that a Reader gives but the
// last. It is fixed: sums over chunks are taken in this order, on any machine.
const ChunkRows = 8192

// Field is what a column is without its values.
type Field struct {
	Name  string
	Type  Type
	Shape []int
}

// String gives the field as name: type[shape].
func (f Field) String() string {
	s := f.Name + ": " + f.Type.String()
	if len(f.Shape) > 0 {
		s += strings.ReplaceAll(fmt.Sprint(f.Shape), " ", ", ")
	}
	return s
}

// Schema is the fields of a table in order. Names are unique.
type Schema []Field

// Index returns the position of the named field, or -1.
func (s Schema) Index(name string) int {
	return slices.IndexFunc(s, func(f Field) bool { return f.Name == name })
}

// Names returns the fields' names.
func (s Schema) Names() []string {
	names := make([]string, len(s))
	for i, f := range s {
		names[i] = f.Name
	}
	return names
}

// Source is rows that can be read from front to back, as often as needed, with
// the same result each time.
type Source interface {
	Schema() Schema
	// Rows returns the number of rows, which is known before they are read.
	Rows() int
	// Digest identifies the contents: "sha256:" and the hash of the file's bytes, or "" for
	// tables made in memory.
	Digest() string
	// Open begins a pass. Several may be under way at once.
	Open(ctx context.Context) (Reader, error)
}

// Reader is one pass over a source.
type Reader interface {
	// Next returns the next ChunkRows rows (fewer in the last chunk), then io.EOF.
	// The dictionary of a string column may differ from one chunk to the next.
	Next() (*Table, error)
	Close() error
}

// Dataset is a source with random access: a Table, or a Spilled file.
type Dataset interface {
	Source
	// Rows with the given numbers, in the given order.
	Take(ctx context.Context, rows []int64) (*Table, error)
}

// Each reads a source once, and calls f with each chunk and the number of its
// first row.
func Each(ctx context.Context, src Source, f func(t *Table, first int64) error) error {
	r, err := src.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	for first := int64(0); ; {
		t, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(t, first); err != nil {
			return err
		}
		first += int64(t.Rows())
	}
}

// ReadAll collects a source into a table.
func ReadAll(ctx context.Context, src Source) (*Table, error) {
	if t, ok := src.(*Table); ok {
		return t, nil
	}
	var chunks []*Table
	if err := Each(ctx, src, func(t *Table, _ int64) error { chunks = append(chunks, t); return nil }); err != nil {
		return nil, err
	}
	t, err := concat(src.Schema(), chunks)
	if err != nil {
		return nil, err
	}
	t.digest = src.Digest()
	return t, nil
}

// MissingColumn is the diagnostic for a column that a table ought to have: it
// names the nearest one and lists the others.
func MissingColumn(where, name string, s Schema) diag.Diagnostic {
	const most = 20
	names := s.Names()
	listed := strings.Join(names[:min(len(names), most)], ", ")
	if len(names) > most {
		listed += ", ..."
	}
	return diag.Errorf("missing_column", "%s has no column %q", where, name).
		Hint("%sThe columns are: %s.", diag.DidYouMean(name, names), listed)
}
