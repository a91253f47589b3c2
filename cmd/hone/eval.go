package main

import (
	"fmt"
	"os"

	"github.com/hone-ml/hone/host"
)

type evalCmd struct {
	Checkpoint string   `arg:"" help:"Checkpoint, *.hone."`
	Data       string   `help:"File of rows with their targets, or a folder of MNIST-like files; without it the data that the checkpoint names." placeholder:"PATH"`
	Var        []string `help:"Value of a variable of the recorded spec." placeholder:"NAME=VALUE" sep:"none"`
	Backend    string   `help:"Backend: cpu, reference, or the path of a backend's binary." placeholder:"NAME"`
	Threads    int      `help:"Threads; 0 takes all processors." placeholder:"N"`
	JSON       bool     `name:"json" help:"The result as JSON."`
	dataFlags
}

func (c *evalCmd) Run(a *app) error {
	o := host.Options{Backend: c.Backend, Threads: c.Threads, DataMemory: int64(c.DataMemory), Vars: c.Var, Env: os.LookupEnv, Log: a.log}
	m, err := host.Open(c.Checkpoint, o)
	if err != nil {
		return a.tell(c.JSON, nil, err)
	}
	defer m.Close()
	e, err := m.Evaluate(a.ctx, c.Data, o)
	if err != nil {
		return a.tell(c.JSON, nil, err)
	}
	if c.JSON {
		return a.jsonLine(e)
	}
	a.warn(e.Warnings)
	_, err = fmt.Fprintf(a.stdout, "%s (%d examples of %s)\n", metricsText(e.Metrics), e.Examples, e.Data)
	return err
}
