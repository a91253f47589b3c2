package host

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/feed"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// Model is an opened checkpoint. It needs none of the plugins that made it, but for
// those of opaque components (PluginPin.Needed), which run while it does. Its
// methods may be called from several goroutines, which take turns.
type Model struct {
	path   string
	be     kernels.Backend
	s      *saved
	runs   kernels.Backend // be, with what computes opaque components
	opaque *plugin.Host    // nil for a model without

	mu   sync.Mutex
	pred *train.Predictor
}

// Open reads a checkpoint. The error is Diagnostics naming the file. Close the
// model to give its memory and threads back.
func Open(path string, o Options) (*Model, error) {
	be, err := o.backend()
	if err != nil {
		return nil, err
	}
	s, err := openCheckpoint(path, be)
	if err != nil {
		closeBackend(be)
		return nil, err
	}
	m := &Model{path: path, be: be, s: s}
	if m.runs, err = m.compute(o); err != nil {
		closeBackend(be)
		return nil, err
	}
	if m.pred, err = train.NewPredictor(s.current(), m.runs, "", s.run.Seed, s.values); err != nil {
		closeBackend(be)
		return nil, checkpointError(path, err)
	}
	return m, nil
}

// Close frees what the model holds.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.pred.Close()
	if m.opaque != nil {
		err = errors.Join(err, m.opaque.Close())
	}
	closeBackend(m.be)
	return err
}

// Name returns the model's name in the spec that made it.
func (m *Model) Name() string { return m.s.model.Name }

// Signature returns what the model takes and gives.
func (m *Model) Signature() Signature { return m.s.signature }

// Module returns the model's functions. It must not be changed.
func (m *Model) Module() *graph.Module { return m.s.program.Module }

// Plugins returns the plugins that took part in making the model.
func (m *Model) Plugins() []PluginPin { return m.s.plugins }

// Tensor is a value in host memory: element type, extents, elements in
// row-major order, little-endian.
type Tensor = graph.Tensor

// Prediction is what a model says of a set of examples.
type Prediction struct {
	Examples int64
	Outputs  []OutputValues
}

// OutputValues are one output's values for all examples.
type OutputValues struct {
	Name   string
	Values *Tensor // [examples, ...]
	// Labels are the predicted classes and Scores the numbers they were chosen
	// by, for outputs over classes; nil otherwise.
	Labels []string
	Scores []float64
}

// predictBatch is the number of examples predicted at a time, at most.
const predictBatch = 256

// Predict runs the model on arrays given by the names of its inputs, each with
// the examples on its leading axis.
func (m *Model) Predict(ctx context.Context, inputs map[string]*Tensor) (*Prediction, error) {
	a := &train.Arrays{Examples: -1, Fields: map[string]kernels.View{}}
	for _, q := range m.s.program.Inputs() {
		t, ok := inputs[q.Name]
		if !ok {
			return nil, diag.Errorf("missing_input", "the model %q takes the input %q, which is not given", m.Name(), q.Name).Hint("Its inputs are %s.", strings.Join(m.inputNames(), ", "))
		}
		if len(t.Shape) == 0 {
			return nil, diag.Errorf("input_shape", "the input %q has no axis of examples", q.Name)
		}
		if a.Examples >= 0 && t.Shape[0] != a.Examples {
			return nil, diag.Errorf("input_shape", "the inputs have %d and %d examples", a.Examples, t.Shape[0])
		}
		a.Examples = t.Shape[0]
		want, err := q.Type.Shape.Eval(map[string]int64{graph.BatchSymbol: a.Examples})
		if err != nil {
			return nil, err
		}
		if t.DType != q.Type.DType || !slices.Equal(want, t.Shape) {
			return nil, diag.Errorf("input_type", "the input %q takes %v, got %v%v", q.Name, q.Type, t.DType, t.Shape)
		}
		a.Fields[q.Name] = kernels.View{DType: t.DType, Shape: t.Shape, Data: t.Data}
	}
	if err := m.s.binding.CheckIndices(a); err != nil {
		return nil, err
	}
	return m.predict(ctx, a)
}

func (m *Model) inputNames() []string {
	var out []string
	for _, q := range m.s.program.Inputs() {
		out = append(out, q.Name)
	}
	return out
}

func (m *Model) predict(ctx context.Context, a *train.Arrays) (*Prediction, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out, err := m.pred.Predict(ctx, a, predictBatch)
	if err != nil {
		return nil, err
	}
	p := &Prediction{Examples: a.Examples}
	for _, port := range m.s.signature.Outputs {
		v := OutputValues{Name: port.Name, Values: out[port.Name]}
		if tb := m.classTarget(port); tb != nil {
			v.Labels, v.Scores = labels(v.Values, tb, port.Scores == train.Logits)
		}
		p.Outputs = append(p.Outputs, v)
	}
	return p, nil
}

// classTarget returns the target whose classes an output tells apart, or nil. One
// number may also be an estimate of a whole number, which the loss then shows: it
// takes the number neither for a logit nor for a probability.
func (m *Model) classTarget(port Port) *feed.TargetBinding {
	for i := range m.s.binding.Targets {
		t := &m.s.binding.Targets[i]
		if t.Name != port.Target || t.DType != graph.I32.String() {
			continue
		}
		if port.single() && t.Classes == nil && port.Scores == "" {
			return nil
		}
		return t
	}
	return nil
}

// labels picks each example's class: the largest of several numbers, or whether
// one number is above one half (of a probability) or zero (of a logit).
func labels(v *Tensor, t *feed.TargetBinding, logits bool) ([]string, []float64) {
	if len(v.Shape) == 0 || v.Shape[0] == 0 {
		return []string{}, []float64{}
	}
	n := int(v.Shape[0])
	width := v.Len() / n
	names, scores := make([]string, n), make([]float64, n)
	fence := 0.5
	if logits {
		fence = 0
	}
	for i := range n {
		best := 0
		for j := 1; j < width; j++ {
			if v.Float(i*width+j) > v.Float(i*width+best) {
				best = j
			}
		}
		scores[i] = v.Float(i*width + best)
		if width == 1 {
			best = 0
			if scores[i] > fence {
				best = 1
			}
		}
		names[i] = t.ClassName(best)
	}
	return names, scores
}

// PredictFile reads raw rows (.npy, .npz, CSV, JSON lines, IDX, each by its
// content) and predicts them, through the transforms fitted in training.
func (m *Model) PredictFile(ctx context.Context, path string) (*Prediction, error) {
	t, open, err := m.readRows(ctx, path)
	if err != nil {
		return nil, err
	}
	p, err := m.predictTable(ctx, t)
	if err != nil {
		// The rows stand for the test part, so that messages name the file's lines.
		parts := &feed.Parts{Test: t}
		parts.From("test", path, open, t.Rows())
		return nil, parts.Explain("test", t.Rows(), diag.From(err))
	}
	return p, nil
}

func (m *Model) predictTable(ctx context.Context, t *data.Table) (*Prediction, error) {
	if m.s.pipeline != nil {
		var err error
		if t, _, err = m.s.pipeline.Apply(ctx, prep.Predict, t); err != nil {
			return nil, err
		}
	}
	a, diags := m.s.binding.Arrays(t, false)
	if diags.HasErrors() {
		return nil, diags
	}
	return m.predict(ctx, a)
}

// readRows reads a file of examples. A file without column names, such as an
// array or images, feeds the one column that the model reads.
func (m *Model) readRows(ctx context.Context, path string) (*data.Table, data.OpenOptions, error) {
	open := m.reading(path, data.Limits{})
	t, err := data.Load(ctx, path, open)
	if err != nil {
		return nil, open, err
	}
	want := m.columns()
	if len(t.Schema()) == 1 && len(want) == 1 && t.Column(want[0]) == nil {
		c := t.Column(t.Schema()[0].Name).Renamed(want[0])
		t, err = data.NewTable(c)
	}
	return t, open, err
}

// reading says how to read a file of rows: as the training rows were read.
// Columns that were text then are text now.
func (m *Model) reading(path string, limits data.Limits) data.OpenOptions {
	var text, targets []string
	if m.s.pipeline != nil {
		for _, f := range m.s.pipeline.Inputs() {
			if f.Type == data.String {
				text = append(text, f.Name)
			}
		}
	}
	for _, t := range m.s.binding.Targets {
		targets = append(targets, t.Name)
		if t.Classes != nil {
			text = append(text, t.Name)
		}
	}
	return m.s.binding.Reading.Open(path, text, targets, limits)
}

// columns returns the columns that raw rows must have.
func (m *Model) columns() []string {
	var out []string
	if m.s.pipeline != nil {
		for _, f := range m.s.pipeline.Inputs() {
			if !slices.ContainsFunc(m.s.binding.Targets, func(t feed.TargetBinding) bool { return t.Name == f.Name }) {
				out = append(out, f.Name)
			}
		}
		return out
	}
	for _, in := range m.s.binding.Inputs {
		for _, c := range in.Columns {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// Evaluation is a model's figures on a set of examples.
type Evaluation struct {
	Checkpoint string            `json:"checkpoint"`
	Data       string            `json:"data"`
	Examples   int64             `json:"examples"`
	Loss       Number            `json:"loss"`
	Metrics    map[string]Number `json:"metrics"`
	Warnings   Diagnostics       `json:"warnings,omitempty"`
}

// EventName returns result.
func (*Evaluation) EventName() string { return "result" }

// Evaluate measures the model on the rows of a file or, for a folder, on its
// MNIST-like test files; with an empty path on the data named in the spec that
// the checkpoint records, its test part first, else validation, else training.
func (m *Model) Evaluate(ctx context.Context, path string, o Options) (*Evaluation, error) {
	if len(m.s.program.Losses) == 0 && len(m.s.program.Metrics) == 0 {
		return nil, diag.Errorf("evaluate", "%s holds neither a loss nor a metric", m.path)
	}
	rows, name, err := m.evaluationRows(ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if err := placeParts(ctx, o, m.s.pipeline, rows); err != nil {
		return nil, err
	}
	a, diags := arraysOf(ctx, m.s.binding, m.s.program, rows, "test", rows.Test)
	if diags.HasErrors() {
		return nil, diags
	}
	if a.Examples == 0 {
		return nil, diag.Errorf("no_rows", "%s has no rows to evaluate", name)
	}
	tr, err := train.New(ctx, m.s.current(), train.Config{Backend: m.runs, Reference: reference.New(), Seed: m.s.run.Seed, BatchSize: predictBatch})
	if err != nil {
		return nil, err
	}
	defer tr.Close()
	if err := tr.Restore(m.s.values); err != nil {
		return nil, checkpointError(m.path, err)
	}
	part, err := tr.PlacePart("eval", a)
	if err != nil {
		return nil, err
	}
	sums, err := tr.Evaluate(ctx, part)
	if err != nil {
		return nil, err
	}
	e := &Evaluation{Checkpoint: m.path, Data: name, Examples: a.Examples, Metrics: map[string]Number{}}
	addMetrics(e.Metrics, "", sums)
	e.Loss = e.Metrics["loss"]
	e.Warnings = approximate(sums, name)
	return e, nil
}

// evaluationRows reads rows with their targets, as the test part, and says where
// they are from. A folder of IDX files gives its test part, or else its training part;
// an empty path the data that the checkpoint records.
func (m *Model) evaluationRows(ctx context.Context, path string, o Options) (*feed.Parts, string, error) {
	switch {
	case path == "":
		parts, part, err := m.recordedData(ctx, o)
		if err != nil {
			return nil, "", err
		}
		parts.Only(part)
		return parts, part, nil
	case isFolder(path):
		s, err := data.ReadMNIST(ctx, path, data.Limits{})
		if err != nil {
			return nil, "", err
		}
		if s.Test != nil {
			return &feed.Parts{Test: s.Test}, path, nil
		}
		return &feed.Parts{Test: s.Train}, path, nil
	}
	parts := &feed.Parts{}
	open := m.reading(path, data.Limits{Bytes: max(o.dataMemory()/2, 1)})
	d, err := data.LoadOrSpill(ctx, path, open)
	if err != nil {
		return nil, "", err
	}
	parts.Test = parts.Keep(d)
	parts.From("test", path, open, d.Rows())
	return parts, path, nil
}

// recordedData reads the data block that the checkpoint's spec has.
func (m *Model) recordedData(ctx context.Context, o Options) (*feed.Parts, string, error) {
	missing := diag.Errorf("missing_data", "%s does not say which data to evaluate on", m.path).Hint("Give it with --data PATH.")
	if len(m.s.spec.Files) == 0 {
		return nil, "", missing
	}
	var sources []spec.Source
	for _, n := range sortedKeys(m.s.spec.Files) {
		sources = append(sources, spec.Source{Name: n, Text: []byte(m.s.spec.Files[n])})
	}
	so := o.specOptions()
	for _, k := range sortedKeys(m.s.spec.Variables) {
		v := m.s.spec.Variables[k]
		// Recorded in HCL, where a string stands in quotes; --var takes it bare.
		if bare, err := strconv.Unquote(v); err == nil {
			v = bare
		}
		so.Vars = append([]string{k + "=" + v}, so.Vars...)
	}
	s, diags := spec.Parse(m.s.spec.Dir, sources, so)
	if diags.HasErrors() {
		return nil, "", append(Diagnostics{missing}, diags...)
	}
	d := s.TheData()
	if d == nil {
		return nil, "", missing
	}
	parts, ds := loadParts(ctx, o, d, m.s.run.Seed)
	if ds.HasErrors() {
		return nil, "", append(Diagnostics{missing}, ds...)
	}
	switch {
	case parts.Test != nil:
		return parts, "test", nil
	case parts.Validation != nil:
		return parts, "validation", nil
	}
	return parts, "train", nil
}

func isFolder(path string) bool {
	m, _ := filepath.Glob(filepath.Join(path, "*"))
	return len(m) > 0
}
