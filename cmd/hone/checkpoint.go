package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/modelfmt"
)

type checkpointCmd struct {
	Show    checkpointShowCmd    `cmd:"" help:"Show what a checkpoint holds."`
	Verify  checkpointVerifyCmd  `cmd:"" help:"Check a checkpoint's bytes."`
	Diff    checkpointDiffCmd    `cmd:"" help:"Compare two checkpoints by tensor."`
	Flatten checkpointFlattenCmd `cmd:"" help:"Make a delta checkpoint whole."`
}

type checkpointShowCmd struct {
	Path string   `arg:"" help:"Checkpoint."`
	Base []string `help:"Checkpoint that this one is a delta of." placeholder:"FILE"`
	JSON bool     `name:"json" help:"As JSON."`
}

func open(path string, base []string) (*modelfmt.Reader, error) {
	o := modelfmt.ReaderOptions{}
	if len(base) > 0 {
		o.Base = modelfmt.BaseFiles(base...)
	}
	r, err := modelfmt.OpenWith(path, o)
	return r, host.CheckpointError(path, err)
}

func (c *checkpointShowCmd) Run(a *app) error {
	r, err := open(c.Path, c.Base)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Info(a.ctx)
	if err != nil {
		return host.CheckpointError(c.Path, err)
	}
	if c.JSON {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(info)
	}
	return host.WriteCheckpoint(a.stdout, r, info)
}

type checkpointVerifyCmd struct {
	Path string   `arg:"" help:"Checkpoint."`
	Deep bool     `help:"Check the logical bytes too (BLAKE3), not the stored ones alone (crc32c)."`
	Base []string `help:"Checkpoint that this one is a delta of." placeholder:"FILE"`
}

func (c *checkpointVerifyCmd) Run(a *app) error {
	r, err := open(c.Path, c.Base)
	if err != nil {
		return err
	}
	defer r.Close()
	verify, what := r.Verify, "stored bytes"
	if c.Deep {
		verify, what = r.VerifyDeep, "stored and logical bytes"
	}
	if err := verify(a.ctx, nil); err != nil {
		return host.CheckpointError(c.Path, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s are sound (%s, %d tensors, root %s)\n", c.Path, what, bytesText(r.Size()), len(r.Tensors()), r.Root())
	return err
}

type checkpointDiffCmd struct {
	A    string `arg:"" help:"Checkpoint."`
	B    string `arg:"" help:"Checkpoint."`
	All  bool   `help:"List equal tensors too."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *checkpointDiffCmd) Run(a *app) error {
	x, err := open(c.A, nil)
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := open(c.B, nil)
	if err != nil {
		return err
	}
	defer y.Close()
	d, err := modelfmt.Compare(a.ctx, x, y, nil)
	if err != nil {
		return host.CheckpointError(c.A, err)
	}
	if c.JSON {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(d)
	}
	host.WriteDiff(a.stdout, d, c.All)
	return nil
}

type checkpointFlattenCmd struct {
	Path string   `arg:"" help:"Delta checkpoint."`
	Out  string   `arg:"" help:"File to write."`
	Base []string `help:"Its base." placeholder:"FILE" required:""`
}

func (c *checkpointFlattenCmd) Run(a *app) error {
	if strings.TrimSpace(c.Out) == "" {
		return usageError{fmt.Errorf("say which file to write")}
	}
	r, err := open(c.Path, c.Base)
	if err != nil {
		return err
	}
	defer r.Close()
	return host.CheckpointError(c.Out, modelfmt.Flatten(a.ctx, r, c.Out, modelfmt.WriterOptions{}, nil))
}
