package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/schollz/progressbar/v3"

	"github.com/hone-ml/hone/host"
)

// specFlags are those of every verb that reads a spec.
type specFlags struct {
	Path     string            `arg:"" help:"A spec, *.hone.hcl, or a folder of them."`
	Var      []string          `help:"Value of a variable." placeholder:"NAME=VALUE" sep:"none"`
	VarFile  []string          `help:"File of variables." placeholder:"FILE"`
	Plugin   map[string]string `help:"Binary of a required plugin." placeholder:"NAME=PATH" mapsep:"none"`
	Backend  string            `help:"Backend: cpu, reference, or the path of a backend's binary." placeholder:"NAME"`
	Threads  int               `help:"Threads; 0 takes all processors." placeholder:"N"`
	NoPlugin bool              `name:"no-plugins" help:"Refuse to start any plugin."`
	Memory   byteSize          `help:"Memory that a training step may take, such as 2GiB: what is cheap to compute again is not kept. Without it there is no bound." placeholder:"SIZE"`
	dataFlags
}

// dataFlags are those of every verb that reads a table.
type dataFlags struct {
	DataMemory byteSize `help:"Memory that examples may take, such as 512MiB; what does not fit lies on disk. Without it half of what the machine has." placeholder:"SIZE"`
}

// byteSize is a flag of bytes, with a unit or without.
type byteSize int64

// UnmarshalText reads a whole number of B, kB, MB, GB, KiB, MiB or GiB.
func (b *byteSize) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	digits := strings.TrimRight(s, "BKMGTikmgt ")
	units := map[string]int64{
		"": 1, "B": 1, "K": 1 << 10, "KB": 1000, "KIB": 1 << 10, "M": 1 << 20, "MB": 1e6, "MIB": 1 << 20,
		"G": 1 << 30, "GB": 1e9, "GIB": 1 << 30, "T": 1 << 40, "TB": 1e12, "TIB": 1 << 40,
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	unit, ok := units[strings.ToUpper(strings.TrimSpace(s[len(digits):]))]
	if err != nil || !ok || n <= 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is no size of memory, such as 512MiB or 2GB", s)
	}
	*b = byteSize(n * unit)
	return nil
}

func (f *specFlags) options(a *app) host.Options {
	return host.Options{
		Builtin: a.bundle, Plugins: f.Plugin, NoPlugins: f.NoPlugin, Vars: f.Var, VarFiles: f.VarFile, Env: os.LookupEnv,
		Backend: f.Backend, Threads: f.Threads, Memory: int64(f.Memory), DataMemory: int64(f.DataMemory), Log: a.log,
	}
}

// load reads the spec; an error in it is the user's.
func (f *specFlags) load(a *app) (*host.Project, error) {
	p, err := host.Load(f.Path, f.options(a))
	a.sources = p.Sources
	if err != nil {
		return nil, usageError{err}
	}
	return p, nil
}

type trainCmd struct {
	specFlags
	Out     string  `help:"Checkpoint to write; without it a folder runs/MODEL-TIME." placeholder:"FILE"`
	Resume  string  `help:"Checkpoint of the run to continue." placeholder:"FILE"`
	Seed    *uint64 `help:"Seed of initial values, orders and random draws." placeholder:"N"`
	JSON    bool    `name:"json" help:"Events as JSON, one a line, on stdout."`
	Profile string  `help:"Write the time by op and layer to this file." placeholder:"FILE"`
}

func (c *trainCmd) Run(a *app) error {
	p, err := c.load(a)
	if err != nil {
		return a.tell(c.JSON, nil, err)
	}
	if c.Profile != "" {
		// Said before the training, not after.
		if err := canWrite(c.Profile); err != nil {
			return a.tell(c.JSON, nil, usageError{fmt.Errorf("--profile %s: %w", c.Profile, err)})
		}
	}
	view := &progress{a: a, json: c.JSON, tty: isTerminal(a.stderr)}
	r, err := p.Train(a.ctx, host.TrainOptions{Out: c.Out, Resume: c.Resume, Seed: c.Seed, Events: view.event, Profile: c.Profile != ""})
	view.end()
	if c.Profile != "" && r != nil && len(r.Profile) > 0 {
		// Of what was run, should that be less than was asked for.
		if werr := writeProfile(c.Profile, r); werr != nil {
			err = errors.Join(err, werr)
		}
	}
	if err != nil {
		if a.isConfig(err) {
			err = usageError{err}
		}
		return a.tell(c.JSON, r, err)
	}
	a.wrote = true
	if c.JSON {
		return a.jsonLine(r)
	}
	return view.result(r)
}

// isConfig reports whether an error is about what the user wrote: the spec, the
// arguments or the data.
func (a *app) isConfig(err error) bool {
	if errors.Is(err, host.ErrNotFinite) || errors.Is(err, host.ErrInterrupted) {
		return false
	}
	sources := a.sources()
	return slices.ContainsFunc(diagnosticsOf(err), func(d host.Diagnostic) bool {
		inSpec := d.Subject != nil && sources[d.Subject.File] != nil
		return d.Path != "" || inSpec || d.Code == "unknown_backend"
	})
}

// progress shows a run: a bar on a terminal, lines in a pipe, JSON where asked.
type progress struct {
	a      *app
	json   bool
	tty    bool
	bar    *progressbar.ProgressBar
	epoch  int
	broken bool
}

func (v *progress) event(e host.Event) {
	if v.json {
		if v.broken {
			return
		}
		if err := v.a.jsonLine(e); err != nil {
			// Who reads the events has gone; the run goes on and is saved.
			v.broken = true
			if !errors.Is(err, syscall.EPIPE) {
				fmt.Fprintf(v.a.stderr, "hone: writing events: %v\n", err)
			}
		}
		return
	}
	w := v.a.stderr
	switch e := e.(type) {
	case host.StartEvent:
		fmt.Fprintf(w, "%s: %d parameters, %s, %d threads, seed %d, %s\n", e.Model, e.Parameters, backendText(e), e.Threads, e.Seed, partsText(e.Examples))
		if len(e.Staged) > 0 {
			fmt.Fprintf(w, "read from disk, which memory has no room for: %s\n", strings.Join(e.Staged, ", "))
		}
	case host.WarningEvent:
		v.a.warn(e.Diagnostics)
	case host.ProgressEvent:
		v.progress(e)
	case host.EpochEvent:
		v.clear()
		fmt.Fprintf(w, "epoch %d/%d  %s  %s  %.0f examples/s\n", e.Epoch, e.Epochs, metricsText(e.Metrics), secondsText(float64(e.Seconds)), float64(e.ExamplesPerSecond))
	case host.PhaseEvent:
		v.clear()
		fmt.Fprintf(w, "phase %s: %d epochs, %d parameters frozen\n", e.Phase, e.Epochs, e.Frozen)
	case host.InitEvent:
		fmt.Fprintf(w, "%s taken from %s (%d missing, %d of other shapes, %d unused)\n", count(e.Taken, "tensor"), e.Path, e.Missing, e.Mismatched, e.Unused)
	case host.StopEvent:
		v.clear()
		fmt.Fprintf(w, "%s: %s\n", strings.ReplaceAll(e.Reason, "_", " "), e.Detail)
	}
}

func backendText(e host.StartEvent) string {
	if e.Variant != "" {
		return e.Backend + " (" + e.Variant + ")"
	}
	return e.Backend
}

func partsText(n map[string]int) string {
	var out []string
	for _, part := range []string{"train", "validation", "test"} {
		if k, ok := n[part]; ok {
			out = append(out, fmt.Sprintf("%d %s", k, part))
		}
	}
	return strings.Join(out, ", ") + " examples"
}

func secondsText(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("%.1f s", s)
}

// metricsText writes metrics in a fixed order: training's first, loss first.
func metricsText(m map[string]host.Number) string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	rank := func(n string) string {
		r := "0"
		for i, p := range []string{"val_", "test_"} {
			if strings.HasPrefix(n, p) {
				r, n = fmt.Sprint(i+1), strings.TrimPrefix(n, p)
			}
		}
		if n == "loss" {
			return r + "0"
		}
		return r + "1" + n
	}
	sort.Slice(names, func(i, j int) bool { return rank(names[i]) < rank(names[j]) })
	var out []string
	for _, n := range names {
		out = append(out, fmt.Sprintf("%s %.4f", n, float64(m[n])))
	}
	return strings.Join(out, "  ")
}

func (v *progress) progress(e host.ProgressEvent) {
	if !v.tty {
		return
	}
	if v.bar == nil || v.epoch != e.Epoch {
		v.clear()
		v.epoch = e.Epoch
		v.bar = progressbar.NewOptions64(e.Total, progressbar.OptionSetWriter(v.a.stderr), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(true), progressbar.OptionShowCount())
	}
	v.bar.Describe(fmt.Sprintf("epoch %d/%d  loss %.4f  %.0f/s", e.Epoch, e.Epochs, float64(e.Loss), float64(e.ExamplesPerSecond)))
	_ = v.bar.Set64(e.Examples)
}

func (v *progress) clear() {
	if v.bar != nil {
		_ = v.bar.Clear()
		v.bar = nil
	}
}

func (v *progress) end() { v.clear() }

// result prints what the run amounts to, on stdout.
func (v *progress) result(r *host.Result) error {
	w := v.a.stdout
	test := map[string]host.Number{}
	for n, x := range r.Metrics {
		if strings.HasPrefix(n, "test_") {
			test[n] = x
		}
	}
	if len(test) > 0 {
		fmt.Fprintf(w, "%s\n", metricsText(test))
	} else if !math.IsNaN(float64(r.Loss)) {
		fmt.Fprintf(w, "%s\n", metricsText(r.Metrics))
	}
	_, err := fmt.Fprintf(w, "checkpoint %s\n", r.Checkpoint)
	return err
}
