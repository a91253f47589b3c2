package main

import (
	"github.com/hone-ml/hone/host"
)

type graphCmd struct {
	Show graphShowCmd `cmd:"" help:"Print the graph of a spec's model or of a checkpoint."`
}

type graphShowCmd struct {
	specFlags
	Func string `help:"Print this function alone." placeholder:"NAME"`
}

func (c *graphShowCmd) Run(a *app) error {
	if host.IsCheckpoint(c.Path) {
		m, err := host.Open(c.Path, host.Options{Backend: c.Backend})
		if err != nil {
			return err
		}
		defer m.Close()
		return host.WriteGraph(a.stdout, m.Module(), c.Func)
	}
	p, err := c.load(a)
	if err != nil {
		return err
	}
	in, err := p.Inspect(a.ctx)
	if err != nil {
		return usageError{err}
	}
	return host.WriteGraph(a.stdout, in.Module, c.Func)
}
