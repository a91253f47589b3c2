package main

import (
	"errors"

	"github.com/hone-ml/hone/host"
)

type graphCmd struct {
	Show graphShowCmd `cmd:"" help:"Print the graph of a spec's model or of a checkpoint."`
}

type graphShowCmd struct {
	specFlags
	Func   string `help:"Print this function alone." placeholder:"NAME"`
	Passes bool   `help:"Print instead what each pass of the compilation did: of a training step for a spec, of a prediction for a checkpoint."`
	Batch  int64  `help:"Examples of the prediction whose passes are printed." default:"1" placeholder:"N"`
}

func (c *graphShowCmd) Run(a *app) error {
	if c.Batch < 1 {
		return usageError{errors.New("--batch is the number of examples, at least 1")}
	}
	if host.IsCheckpoint(c.Path) {
		m, err := host.Open(c.Path, host.Options{Backend: c.Backend, Threads: c.Threads})
		if err != nil {
			return err
		}
		defer m.Close()
		if !c.Passes {
			return host.WriteGraph(a.stdout, m.Module(), c.Func)
		}
		plan, err := m.Plan(a.ctx, c.Batch)
		if err != nil {
			return err
		}
		return host.WritePasses(a.stdout, plan)
	}
	p, err := c.load(a)
	if err != nil {
		return err
	}
	in, err := p.Inspect(a.ctx)
	if err != nil {
		return usageError{err}
	}
	if c.Passes {
		if in.Batch == 0 {
			return usageError{errors.New("the spec has no train block whose step could be compiled; add one, or give a checkpoint")}
		}
		return host.WritePasses(a.stdout, in.Plan)
	}
	return host.WriteGraph(a.stdout, in.Module, c.Func)
}
