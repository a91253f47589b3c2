package main

import (
	"io"

	"github.com/hone-ml/hone/host"
)

// writeProfile writes the time by layer and by op as text.
func writeProfile(path string, r *host.Result) error {
	return host.ReplaceWith(path, func(w io.Writer) error { return host.WriteProfile(w, r.Profile) })
}
