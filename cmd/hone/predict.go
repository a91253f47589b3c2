package main

import (
	"bufio"
	"errors"
	"fmt"
	"syscall"

	"github.com/hone-ml/hone/host"
)

type predictCmd struct {
	Checkpoint string `arg:"" help:"Checkpoint, *.hone."`
	Input      string `required:"" help:"Rows to predict: CSV, JSON lines, Parquet, Arrow, .npy, .npz or IDX." placeholder:"FILE"`
	Output     string `help:"Where to: .npy or .npz (raw outputs), .csv or .jsonl; without it CSV on stdout." placeholder:"FILE"`
	Backend    string `help:"Backend: cpu, reference, or the path of a backend's binary." placeholder:"NAME"`
	Threads    int    `help:"Threads; 0 takes all processors." placeholder:"N"`
}

func (c *predictCmd) Run(a *app) error {
	if c.Output != "" {
		if err := host.CheckPredictionFormat(c.Output); err != nil {
			return usageError{err}
		}
	}
	m, err := host.Open(c.Checkpoint, host.Options{Backend: c.Backend, Threads: c.Threads, Log: a.log})
	if err != nil {
		return err
	}
	defer m.Close()
	p, err := m.PredictFile(a.ctx, c.Input)
	if err != nil {
		return err
	}
	if c.Output == "" {
		w := bufio.NewWriter(a.stdout)
		if err := p.Write(w, "csv"); err != nil {
			return err
		}
		if err := w.Flush(); err != nil && !errors.Is(err, syscall.EPIPE) {
			return err
		}
		return nil
	}
	if err := p.WriteFile(c.Output); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stderr, "%s in %s\n", count(int(p.Examples), "prediction"), c.Output)
	return err
}
