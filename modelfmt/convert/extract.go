package convert

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
)

// Extracted is one file that [Extract] wrote.
type Extracted struct {
	Kind  string `json:"kind"` // "tensor" or "blob"
	Name  string `json:"name"`
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// Extract writes tensors and blobs of a checkpoint to single files in dir, which
// is made when absent: tensors as .npy, or as raw little-endian bytes (.bin) where
// NumPy lacks the type, and blobs as they are (.blob). names selects by glob as in
// [Rule]; none means all. A file's name is made from the tensor's with everything
// but letters, digits, '.', '_' and '-' written as %XX, so it stays in dir.
func Extract(ctx context.Context, r *modelfmt.Reader, dir string, names []string, progress modelfmt.Progress) ([]Extracted, error) {
	picks, err := selector(names)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("extract: %w", err)
	}
	t := &transfer{ctx: ctx, src: honeSource{r}, progress: progress}
	var tensors []modelfmt.TensorInfo
	for _, info := range r.Tensors() {
		if picks.match(info.Name) {
			tensors = append(tensors, info)
			t.total += info.Bytes()
		}
	}
	t.add(0)
	var out []Extracted
	for _, info := range tensors {
		head, err := npz.AppendHeader(nil, info.DType, info.Shape)
		ending := ".npy"
		if err != nil {
			head, ending = nil, ".bin"
		}
		e := Extracted{"tensor", info.Name, filepath.Join(dir, fileName(info.Name)+ending), int64(len(head)) + info.Bytes()}
		err = modelfmt.ReplaceFile(e.Path, func(w io.Writer) error {
			if _, err := w.Write(head); err != nil {
				return err
			}
			body, err := t.open(Pair{From: info.Name, To: info})
			if err == nil {
				_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{body}, make([]byte, r.ChunkSize()))
			}
			return err
		})
		if err != nil {
			return out, err
		}
		out = append(out, e)
	}
	for _, name := range r.Blobs() {
		if !picks.match(name) {
			continue
		}
		b, err := r.Blob(name)
		if err != nil {
			return out, err
		}
		e := Extracted{"blob", name, filepath.Join(dir, fileName(name)+".blob"), int64(len(b))}
		err = modelfmt.ReplaceFile(e.Path, func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		})
		if err != nil {
			return out, err
		}
		out = append(out, e)
	}
	return out, picks.unmatched()
}

// picks is a set of globs, none of which may match nothing.
type picks struct {
	m     *NameMap
	names []string
}

func selector(names []string) (*picks, error) {
	rules := make([]Rule, len(names))
	for i, n := range names {
		rules[i] = Rule{From: n}
	}
	m, err := NewNameMap(rules)
	return &picks{m, names}, err
}

func (p *picks) match(name string) bool {
	if len(p.names) == 0 {
		return true
	}
	any := false
	for i, r := range p.m.rules {
		if r.re.MatchString(name) {
			p.m.used[i]++
			any = true
		}
	}
	return any
}

func (p *picks) unmatched() error {
	if idle := p.m.idle(); len(idle) > 0 {
		return &modelfmt.InputError{What: "extract", Detail: "no tensor or blob is named " + some(idle) + "; list the names with `hone checkpoint show`"}
	}
	return nil
}

// fileName makes a name that no file system reads as a path.
func fileName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
