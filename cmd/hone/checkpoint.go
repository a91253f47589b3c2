package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/convert"
)

type checkpointCmd struct {
	Show    checkpointShowCmd    `cmd:"" help:"Show what a checkpoint holds."`
	Verify  checkpointVerifyCmd  `cmd:"" help:"Check a checkpoint's bytes."`
	Diff    checkpointDiffCmd    `cmd:"" help:"Compare two checkpoints by tensor."`
	Flatten checkpointFlattenCmd `cmd:"" help:"Make a delta checkpoint whole."`
	Convert checkpointConvertCmd `cmd:"" help:"Convert between checkpoints, safetensors files and NumPy archives."`
	Extract checkpointExtractCmd `cmd:"" help:"Write tensors and blobs as single files."`
}

// baseFlag is that of every verb that reads the values of a checkpoint.
type baseFlag struct {
	Base []string `help:"Checkpoint that this one is a difference to; without it, it is looked for in its folder." placeholder:"FILE"`
}

func (f baseFlag) options(path string) modelfmt.ReaderOptions {
	if len(f.Base) > 0 {
		return modelfmt.ReaderOptions{Base: modelfmt.BaseFiles(f.Base...)}
	}
	return modelfmt.ReaderOptions{Base: modelfmt.BaseFolder(filepath.Dir(path))}
}

func (f baseFlag) open(path string) (*modelfmt.Reader, error) {
	r, err := modelfmt.OpenWith(path, f.options(path))
	return r, host.CheckpointError(path, err)
}

type checkpointShowCmd struct {
	Path string `arg:"" help:"Checkpoint, safetensors file (or index.json of a sharded one), or NumPy file."`
	JSON bool   `name:"json" help:"As JSON."`
}

func (c *checkpointShowCmd) Run(a *app) error {
	src, format, err := convert.Open(c.Path, modelfmt.ReaderOptions{})
	if err != nil {
		return host.CheckpointError(c.Path, err)
	}
	if format != convert.Hone {
		defer src.Close()
		return c.foreign(a, src)
	}
	src.Close()
	r, err := modelfmt.Open(c.Path)
	if err != nil {
		return host.CheckpointError(c.Path, err)
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

// foreign lists the tensors of another format.
func (c *checkpointShowCmd) foreign(a *app, src convert.Source) error {
	list := src.Tensors()
	if c.JSON {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Tensors  []modelfmt.TensorInfo `json:"tensors"`
			Metadata map[string]string     `json:"metadata,omitempty"`
		}{list, src.Metadata()})
	}
	rows := [][]string{{"name", "type", "shape", "bytes"}}
	var total int64
	for _, t := range list {
		rows = append(rows, []string{t.Name, t.DType.String(), strings.ReplaceAll(fmt.Sprint(t.Shape), " ", ", "), fmt.Sprint(t.Bytes())})
		total += t.Bytes()
	}
	table(a.stdout, append(rows, []string{count(len(list), "tensor"), "", "", fmt.Sprint(total)}))
	return nil
}

type checkpointVerifyCmd struct {
	Path string `arg:"" help:"Checkpoint."`
	Deep bool   `help:"Check the logical bytes too (BLAKE3), not the stored ones alone (crc32c)."`
	baseFlag
}

func (c *checkpointVerifyCmd) Run(a *app) error {
	r, err := c.open(c.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	verify, what := r.Verify, "stored bytes"
	if c.Deep {
		verify, what = r.VerifyDeep, "stored and logical bytes"
	}
	if err := verify(a.ctx, a.bytesBar("verifying")); err != nil {
		return host.CheckpointError(c.Path, err)
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s are sound (%s, %s, root %s)\n", c.Path, what, bytesText(r.Size()), count(len(r.Tensors()), "tensor"), r.Root())
	return err
}

type checkpointDiffCmd struct {
	A    string `arg:"" help:"Checkpoint."`
	B    string `arg:"" help:"Checkpoint."`
	All  bool   `help:"List equal tensors too."`
	JSON bool   `name:"json" help:"As JSON."`
	baseFlag
}

func (c *checkpointDiffCmd) Run(a *app) error {
	x, err := c.open(c.A)
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := c.open(c.B)
	if err != nil {
		return err
	}
	defer y.Close()
	d, err := modelfmt.Compare(a.ctx, x, y, a.bytesBar("comparing"))
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
	Path string `arg:"" help:"Checkpoint that is a difference to another."`
	Out  string `arg:"" help:"File to write."`
	baseFlag
}

func (c *checkpointFlattenCmd) Run(a *app) error {
	if strings.TrimSpace(c.Out) == "" {
		return usageError{fmt.Errorf("say which file to write")}
	}
	r, err := c.open(c.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := modelfmt.Flatten(a.ctx, r, c.Out, modelfmt.WriterOptions{}, a.bytesBar("flattening")); err != nil {
		return host.CheckpointError(c.Path, err)
	}
	return nil
}

type checkpointConvertCmd struct {
	From  string   `arg:"" help:"Checkpoint, safetensors file (or index.json of a sharded one), or NumPy archive."`
	To    string   `arg:"" help:"File to write: .hone, .safetensors, .safetensors.index.json (with its shards beside it) or .npz."`
	Map   []string `help:"Rename tensors: a pattern with * and the new name with $1, $2." placeholder:"FROM=TO" sep:"none"`
	Drop  []string `help:"Leave tensors out that fit a pattern." placeholder:"PATTERN" sep:"none"`
	Shard int64    `help:"Most bytes of a shard." default:"5000000000" placeholder:"BYTES"`
	Loose bool     `help:"Let a rule fit nothing."`
	JSON  bool     `name:"json" help:"The report as JSON."`
	baseFlag
}

func (c *checkpointConvertCmd) Run(a *app) error {
	if _, err := convert.FormatOf(c.To); err != nil {
		return usageError{err}
	}
	var rules []convert.Rule
	for _, d := range c.Drop {
		rules = append(rules, convert.Rule{From: d, Drop: true})
	}
	for _, m := range c.Map {
		from, to, ok := strings.Cut(m, "=")
		if !ok {
			return usageError{fmt.Errorf("--map %q has no =; write FROM=TO", m)}
		}
		rules = append(rules, convert.Rule{From: from, To: to})
	}
	names, err := convert.NewNameMap(rules)
	if err != nil {
		return usageError{err}
	}
	src, _, err := convert.Open(c.From, c.options(c.From))
	if err != nil {
		return host.CheckpointError(c.From, err)
	}
	defer src.Close()
	done := a.bytesBar("converting")
	rep, err := convert.Convert(a.ctx, src, c.To, convert.Options{Names: names, AllowIdle: c.Loose, ShardBytes: c.Shard, Progress: done})
	if err != nil {
		return host.CheckpointError(c.From, err)
	}
	a.wrote = true
	if c.JSON {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(rep)
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", c.To, count(len(rep.Mapped), "tensor"))
	for _, l := range []struct {
		what  string
		names []string
	}{{"dropped", rep.Dropped}, {"rules that fit nothing", rep.IdleRules}, {"not kept, for the format cannot hold them", rep.Lost}} {
		if len(l.names) > 0 {
			fmt.Fprintf(a.stdout, "%s: %s\n", l.what, strings.Join(l.names, ", "))
		}
	}
	return nil
}

type checkpointExtractCmd struct {
	Path  string   `arg:"" help:"Checkpoint."`
	Dir   string   `arg:"" help:"Folder to write to; made where there is none."`
	Names []string `arg:"" optional:"" help:"Names or patterns of tensors and blobs; all without."`
	baseFlag
}

func (c *checkpointExtractCmd) Run(a *app) error {
	r, err := c.open(c.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	list, err := convert.Extract(a.ctx, r, c.Dir, c.Names, a.bytesBar("extracting"))
	if err != nil {
		return host.CheckpointError(c.Path, err)
	}
	for _, e := range list {
		fmt.Fprintf(a.stdout, "%s %s -> %s (%s)\n", e.Kind, e.Name, e.Path, bytesText(e.Bytes))
	}
	return nil
}
