package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hone-ml/hone/host"
)

// writeProfile writes the time by layer and by op as text.
func writeProfile(path string, r *host.Result) error {
	return host.ReplaceWith(path, func(w io.Writer) error { return host.WriteProfile(w, r.Profile) })
}

// canWrite reports what would keep a file from being written later.
func canWrite(path string) error {
	dir := filepath.Dir(path)
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return fmt.Errorf("there is no folder %s", dir)
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return errors.New("it is a folder or a device; name a file")
	}
	f, err := os.CreateTemp(dir, ".hone-*")
	if err != nil {
		return fmt.Errorf("the folder %s takes no files: %w", dir, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
