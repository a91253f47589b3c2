package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/feed"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/sdk/graph"
)

// The manifest of a checkpoint, section by section. The module, in its wire
// form, is the blob "module"; its large constants are the blobs "const/NAME".
const (
	sectionHone      = "hone"      // version that wrote the file
	sectionProgram   = "program"   // train.Program
	sectionModel     = "model"     // modelSection
	sectionBinding   = "binding"   // feed.Binding
	sectionPipeline  = "pipeline"  // prep.Pipeline
	sectionSignature = "signature" // Signature
	sectionRun       = "run"       // runState
	sectionPlugins   = "plugins"   // []PluginPin
	sectionSpec      = "spec"      // provenance: texts and variables

	blobModule   = "module"
	blobPipeline = "pipeline"
)

type modelSection struct {
	Name   string   `json:"name"`
	Frozen []string `json:"frozen,omitempty"`
	// LowerIsBetter names the metrics of which smaller is better.
	LowerIsBetter []string `json:"lower_is_better,omitempty"`
	Parameters    int64    `json:"parameters"`
}

// PluginPin says which plugin took part in making a model.
type PluginPin struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Source  string `json:"source,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Builtin bool   `json:"builtin,omitempty"`
	// Needed says that the model runs with the plugin alone: one of its components
	// computes outside the graph.
	Needed bool `json:"needed,omitempty"`
}

// Signature is what a model takes and gives.
type Signature struct {
	Inputs  []Port `json:"inputs"`
	Outputs []Port `json:"outputs"`
}

// Port is one input or output.
type Port struct {
	Name    string   `json:"name"`
	DType   string   `json:"dtype"`
	Shape   []string `json:"shape"`             // extents, batch first
	Columns []string `json:"columns,omitempty"` // of the data, for inputs
	Target  string   `json:"target,omitempty"`  // what an output predicts
	Classes []string `json:"classes,omitempty"` // labels by number, for outputs
	Scores  string   `json:"scores,omitempty"`  // logits or probabilities, for outputs that the loss takes for either
}

// single reports whether the port has one number an example.
func (p Port) single() bool {
	for i, n := range p.Shape {
		if i > 0 && n != "1" {
			return false
		}
	}
	return true
}

// runState is where a run stands, beside its tensors.
type runState struct {
	Seed       uint64             `json:"seed"`
	Epoch      int                `json:"epoch"`
	Cursor     int64              `json:"cursor"`
	Step       uint64             `json:"step"`
	BatchSize  int64              `json:"batch_size"`
	Phase      int                `json:"phase,omitempty"`
	PhaseStart uint64             `json:"phase_start,omitempty"` // updates before the phase
	Monitored  Number             `json:"monitored"`
	Best       Number             `json:"best"`
	BestEpoch  int                `json:"best_epoch"`
	Waited     int                `json:"waited"` // epochs without improvement
	Stopped    bool               `json:"stopped,omitempty"`
	History    []EpochEvent       `json:"history,omitempty"`
	DataDigest string             `json:"data_digest"`
	Backend    string             `json:"backend"`
	Selection  map[string]string  `json:"selection,omitempty"`
	Metrics    map[string]Number  `json:"metrics,omitempty"`
	Hypers     map[string]float64 `json:"hypers,omitempty"`
}

// provenance is the spec as text: for people, never parsed when a model opens.
type provenance struct {
	Dir       string            `json:"dir,omitempty"` // where relative paths start
	Files     map[string]string `json:"files,omitempty"`
	Variables map[string]string `json:"variables,omitempty"`
}

// saved is the content of a checkpoint.
type saved struct {
	program   *train.Program
	model     modelSection
	binding   *feed.Binding
	pipeline  *prep.Pipeline
	signature Signature
	run       runState
	plugins   []PluginPin
	spec      provenance
	values    []train.Value
}

// fixed holds the sections and blobs of a run that no step changes.
type fixed struct {
	sections map[string]json.RawMessage
	blobs    map[string][]byte
}

func (s *saved) fixed() (*fixed, error) {
	f := &fixed{sections: map[string]json.RawMessage{}, blobs: map[string][]byte{}}
	for name, v := range map[string]any{
		sectionHone: map[string]string{"version": Version}, sectionProgram: s.program, sectionModel: s.model, sectionBinding: s.binding,
		sectionSignature: s.signature, sectionPlugins: s.plugins, sectionSpec: s.spec,
	} {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("checkpoint section %q: %w", name, err)
		}
		f.sections[name] = b
	}
	if err := addModule(f.blobs, blobModule, s.program.Module); err != nil {
		return nil, err
	}
	if s.pipeline != nil {
		b, err := json.Marshal(s.pipeline)
		if err != nil {
			return nil, fmt.Errorf("checkpoint section %q: %w", sectionPipeline, err)
		}
		f.sections[sectionPipeline] = b
		if err := addModule(f.blobs, blobPipeline, s.pipeline.Module()); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func addModule(blobs map[string][]byte, name string, m *graph.Module) error {
	b, err := graph.Marshal(m)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", name, err)
	}
	blobs[name] = b
	for k, t := range m.Consts {
		b, err := graph.MarshalConst(k, t)
		if err != nil {
			return fmt.Errorf("checkpoint %s: %w", name, err)
		}
		blobs[name+"/const/"+k] = b
	}
	return nil
}

var roleNames = map[graph.Role]string{
	graph.ParamRole: "param", graph.StateRole: "state", graph.SlotRole: "slot", graph.GlobalRole: "global", graph.Input: "mask",
}

// openCheckpoint reads everything that a checkpoint holds. An error names the file.
func openCheckpoint(path string, be kernels.Backend) (*saved, error) {
	// A delta's base is looked for, by its digest, where the delta lies.
	r, err := modelfmt.OpenWith(path, modelfmt.ReaderOptions{Base: modelfmt.BaseFolder(filepath.Dir(path))})
	if err != nil {
		return nil, checkpointError(path, err)
	}
	defer r.Close()
	s := &saved{program: &train.Program{}, binding: &feed.Binding{}}
	for name, v := range map[string]any{
		sectionProgram: s.program, sectionModel: &s.model, sectionBinding: s.binding, sectionSignature: &s.signature,
		sectionRun: &s.run, sectionPlugins: &s.plugins, sectionSpec: &s.spec,
	} {
		ok, err := r.Section(name, v)
		if err != nil {
			return nil, checkpointError(path, err)
		}
		if !ok && name != sectionPlugins && name != sectionSpec {
			return nil, diag.Errorf("checkpoint", "%s holds no %s: it is not a model of hone's", path, name).
				Hint("It may hold tensors alone; hone checkpoint show lists what is in it.")
		}
	}
	if s.program.Module, err = readModule(r, blobModule); err != nil {
		return nil, checkpointError(path, err)
	}
	var text json.RawMessage
	if ok, err := r.Section(sectionPipeline, &text); err != nil {
		return nil, checkpointError(path, err)
	} else if ok {
		m, err := readModule(r, blobPipeline)
		if err != nil {
			return nil, checkpointError(path, err)
		}
		if s.pipeline, err = prep.Load(text, m, prep.Options{Backend: be}); err != nil {
			return nil, checkpointError(path, err)
		}
	}
	for _, info := range r.Tensors() {
		role := graph.NoRole
		for k, n := range roleNames {
			if n == info.Role {
				role = k
			}
		}
		if role == graph.NoRole {
			continue
		}
		data, err := r.ReadTensor(info.Name, nil)
		if err != nil {
			return nil, checkpointError(path, err)
		}
		d, err := graph.ParseDType(info.DType.String())
		if err != nil {
			return nil, checkpointError(path, err)
		}
		t := &graph.Tensor{DType: d, Data: data}
		for _, e := range info.Shape {
			t.Shape = append(t.Shape, int64(e))
		}
		s.values = append(s.values, train.Value{Role: role, Name: info.Name, Tensor: t})
	}
	s.binding.Choose(s.program.Indices())
	return s, nil
}

func readModule(r *modelfmt.Reader, name string) (*graph.Module, error) {
	b, err := r.Blob(name)
	if err != nil {
		return nil, err
	}
	m, err := graph.Unmarshal(b, graph.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, blob := range r.Blobs() {
		if !strings.HasPrefix(blob, name+"/const/") {
			continue
		}
		b, err := r.Blob(blob)
		if err != nil {
			return nil, err
		}
		k, t, err := graph.UnmarshalConst(b, graph.Limits{})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", blob, err)
		}
		m.Consts[k] = t
	}
	if err := graph.Verify(m, graph.Limits{}); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	graph.Demote(m)
	return m, nil
}

// checkpointError turns what the format says into a diagnostic with the file.
func checkpointError(path string, err error) error {
	var corrupt *modelfmt.CorruptError
	var locked *modelfmt.LockedError
	var base *modelfmt.BaseError
	var folder *modelfmt.NoFolderError
	text := err.Error()
	if !strings.Contains(text, path) {
		text = path + ": " + text
	}
	d := diag.Errorf("checkpoint", "%s", text).At(diag.Range{File: path})
	d.Cause = err
	switch {
	case errors.As(err, &folder):
		return d
	case errors.Is(err, fs.ErrNotExist):
		return d.Hint("Check the path. hone train writes checkpoints to runs/, or to what --out says.")
	case errors.Is(err, modelfmt.ErrNotCheckpoint):
		return d.Hint("Give a file that hone wrote, *.hone.")
	case errors.As(err, &base):
		return d.Hint("Put the checkpoint of that root beside it (hone checkpoint show prints a file's root), or make this one whole: hone checkpoint flatten %s OUT --base FILE.", path)
	case errors.As(err, &corrupt):
		return d.Hint("The file is damaged. Take another copy, or the run's other checkpoint.")
	case errors.As(err, &locked):
		return d.Hint("Wait for the other run, or give this one another --out.")
	}
	return d
}

func pinsOf(infos []plugin.Info) []PluginPin {
	out := []PluginPin{}
	for _, i := range infos {
		out = append(out, PluginPin{Name: i.Name, Version: i.Version, Source: i.Source.Address, SHA256: i.SHA256, Builtin: i.Builtin, Needed: i.Needed})
	}
	return out
}

func signatureOf(p *train.Program, b *feed.Binding) Signature {
	port := func(q graph.Param) Port {
		o := Port{Name: q.Name, DType: q.Type.DType.String(), Shape: []string{}}
		for _, d := range q.Type.Shape {
			o.Shape = append(o.Shape, d.String())
		}
		return o
	}
	var s Signature
	for _, q := range p.Inputs() {
		o := port(q)
		for _, in := range b.Inputs {
			if in.Name == q.Name {
				o.Columns = in.Columns
			}
		}
		s.Inputs = append(s.Inputs, o)
	}
	for _, q := range p.Outputs() {
		o := port(q)
		for _, l := range p.Losses {
			if l.Output != q.Name {
				continue
			}
			o.Target, o.Scores = l.Target, l.Scores
			for _, t := range b.Targets {
				if t.Name == l.Target {
					o.Classes = t.Classes
				}
			}
		}
		s.Outputs = append(s.Outputs, o)
	}
	return s
}
