package host

import (
	"fmt"
	"io"
	"os"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/sdk/graph"
)

// WriteError writes an error for people: diagnostics with the user's own lines,
// out of sources, underlined; others as a line.
func WriteError(w io.Writer, err error, sources map[string][]byte, width int, color bool) {
	if ds := diag.From(err); len(ds) > 0 {
		_ = diag.Write(w, ds, sources, width, color)
		return
	}
	fmt.Fprintf(w, "hone: %v\n", err)
}

// WriteGraph writes a module's text form, or that of its functions called name.
func WriteGraph(w io.Writer, m *graph.Module, name string) error {
	if name == "" {
		return m.Print(w)
	}
	one := graph.NewModule()
	for _, f := range m.Funcs {
		if f.Name == name {
			one.Funcs = append(one.Funcs, f)
		}
	}
	if len(one.Funcs) == 0 {
		var names []string
		for _, f := range m.Funcs {
			names = append(names, f.Name)
		}
		return diag.Errorf("unknown_function", "the module has no function %q", name).Hint("%sLeave --func out to see all.", diag.DidYouMean(name, names))
	}
	return one.Print(w)
}

// IsCheckpoint reports whether the file begins as a checkpoint does, damaged or
// not.
func IsCheckpoint(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 8)
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == "\x89HONE\r\n\x1a"
}
