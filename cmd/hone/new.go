package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/examples"
)

type newCmd struct {
	Example string `arg:"" optional:"" help:"Name of the example; without it they are listed."`
	Dir     string `arg:"" optional:"" help:"Folder to make; without it one of the example's name."`
}

func (c *newCmd) Run(a *app) error {
	entries, err := fs.ReadDir(examples.Files, ".")
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if c.Example == "" {
		for _, n := range names {
			fmt.Fprintln(a.stdout, n)
		}
		return nil
	}
	files, err := fs.ReadDir(examples.Files, c.Example)
	if err != nil {
		return usageError{fmt.Errorf("there is no example %q; there are %s", c.Example, strings.Join(names, ", "))}
	}
	if c.Dir == "" {
		c.Dir = c.Example
	}
	if err := os.Mkdir(c.Dir, 0o755); err != nil {
		return usageError{fmt.Errorf("cannot make the folder: %w; name another one", err)}
	}
	for _, f := range files {
		b, err := fs.ReadFile(examples.Files, c.Example+"/"+f.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(c.Dir, f.Name()), b, 0o644); err != nil {
			return err
		}
	}
	a.wrote = true
	_, err = fmt.Fprintf(a.stdout, "%s is ready: hone train %s\n", c.Dir, c.Dir)
	return err
}
