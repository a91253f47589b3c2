package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/hone-ml/hone/host"
)

type fmtCmd struct {
	Paths []string `arg:"" optional:"" help:"Specs or folders; - reads standard input, writes standard output. Without any, the current folder." placeholder:"PATH"`
	Check bool     `help:"Change nothing; list files that would change and exit with 3 if there are any."`
}

// goalError is a goal asked for that was not met: exit code 3.
type goalError struct{ error }

func (c *fmtCmd) Run(a *app) error {
	if len(c.Paths) == 0 {
		c.Paths = []string{"."}
	}
	changed := 0
	for _, p := range c.Paths {
		if p == "-" {
			src, err := io.ReadAll(io.LimitReader(os.Stdin, host.MaxSpecBytes+1))
			if err != nil {
				return err
			}
			out, err := host.FormatSpec("-", src)
			if err != nil {
				return usageError{err}
			}
			_, err = a.stdout.Write(out)
			return err
		}
		files, err := host.SpecFiles(p)
		if err != nil {
			return usageError{err}
		}
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			a.sources = func() map[string][]byte { return map[string][]byte{f: src} }
			out, err := host.FormatSpec(f, src)
			if err != nil {
				return usageError{err}
			}
			if bytes.Equal(src, out) {
				continue
			}
			changed++
			fmt.Fprintln(a.stdout, f)
			if c.Check {
				continue
			}
			if err := host.ReplaceFile(f, out); err != nil {
				return err
			}
		}
	}
	if c.Check && changed > 0 {
		verb := "are"
		if changed == 1 {
			verb = "is"
		}
		return goalError{fmt.Errorf("%s %s not formatted; run hone fmt", count(changed, "file"), verb)}
	}
	return nil
}
