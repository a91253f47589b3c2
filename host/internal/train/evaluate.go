package train

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Part is a part of the data placed for evaluation.
type Part struct {
	name   string
	fields []DataField
	data   *Arrays
	// Examples of a step, where most are asked for.
	batch, most int64
}

// DefaultExactBytes bounds what exact metrics keep of an evaluation: the scores,
// targets and weights of 20 million answers.
const DefaultExactBytes = 256 << 20

// PlacePart puts a part's examples on the device for Evaluate; staged ones stay
// where they are.
func (t *Trainer) PlacePart(name string, a *Arrays) (*Part, error) {
	fields, err := t.place(name+":data:", name+":"+weightName, a)
	if err != nil {
		return nil, err
	}
	return &Part{name: name, fields: fields, data: a}, nil
}

// Evaluate runs the model in inference on a whole part and returns its sums.
// Training's own sums are kept aside meanwhile.
func (t *Trainer) Evaluate(ctx context.Context, part *Part) (Sums, error) {
	saved := map[string]*graph.Tensor{}
	for k, q := range t.vals.types {
		if q.Role == graph.StateRole && (strings.HasPrefix(q.Name, "metric:") || strings.HasPrefix(q.Name, lossSumName) || q.Name == countName || q.Name == cursorName || q.Name == lastName) {
			v, err := t.vals.get(q.Role, q.Name)
			if err != nil {
				return Sums{}, err
			}
			saved[k] = v
		}
	}
	sums, err := t.evaluatePart(ctx, part)
	for k, v := range saved {
		if err := t.vals.put(graph.StateRole, t.vals.types[k].Name, v); err != nil {
			return sums, err
		}
	}
	return sums, err
}

func (t *Trainer) evaluatePart(ctx context.Context, part *Part) (Sums, error) {
	if err := t.vals.put(graph.StateRole, cursorName, scalarI64(0)); err != nil {
		return Sums{}, err
	}
	if err := t.vals.put(graph.StateRole, lastName, graph.ScalarOf(graph.F32, 0)); err != nil {
		return Sums{}, err
	}
	if err := t.clearSums(ctx); err != nil {
		return Sums{}, err
	}
	whole, approximate, err := t.newWhole(part)
	if err != nil {
		return Sums{}, err
	}
	params, err := t.evalParams(ctx)
	if err != nil {
		return Sums{}, err
	}
	e := &evaluation{t: t, part: part, whole: whole, params: params, stages: map[*compiled]*stage{}}
	if err = e.fit(ctx); err != nil {
		return Sums{}, err
	}
	if part.data.Source != nil {
		err = e.staged(ctx)
	} else {
		err = e.resident(ctx)
	}
	if err != nil {
		return Sums{}, err
	}
	s, err := t.sums(ctx, whole.names)
	if err != nil {
		return s, err
	}
	s.Approximate = approximate
	return s, whole.measure(ctx, t, s.Metrics)
}

// evaluation is one pass over a part.
type evaluation struct {
	t      *Trainer
	part   *Part
	whole  *whole
	params map[string]string // what takes the place of parameters, as evalParams says
	stages map[*compiled]*stage
	built  *Built
	batch  int64 // examples of a step
}

// FitEvaluation compiles the evaluation of a part, so that what memory has no
// room for is said before the training.
func (t *Trainer) FitEvaluation(ctx context.Context, part *Part) error {
	whole, _, err := t.newWhole(part)
	if err != nil {
		return err
	}
	e := &evaluation{t: t, part: part, whole: whole}
	return e.fit(ctx)
}

// fit chooses the number of examples of a step: evaluation has no use for small
// ones, but must keep within memory.
func (e *evaluation) fit(ctx context.Context) (err error) {
	most := min(max(e.t.cfg.BatchSize, 256), e.part.data.Examples)
	if e.part.most == most {
		e.batch = e.part.batch
		return nil
	}
	e.batch, err = fitBatch(most, func(n int64) (kernels.Plan, error) {
		built, err := e.build(ctx)
		if err != nil {
			return kernels.Plan{}, err
		}
		exec, err := e.t.executable(ctx, "evaluation", built, n)
		if err != nil {
			return kernels.Plan{}, err
		}
		return exec.Plan(), nil
	})
	if err == nil {
		e.part.most, e.part.batch = most, e.batch
	}
	return err
}

func (e *evaluation) build(ctx context.Context) (_ *Built, err error) {
	if e.built == nil {
		e.built, err = BuildEval(ctx, e.t.p, StepConfig{
			Examples: e.part.data.resident(), Fields: e.part.fields, Weighted: e.part.data.weighted(), Whole: e.whole.names,
		})
	}
	return e.built, err
}

func (e *evaluation) compile(ctx context.Context, size int64) (*compiled, error) {
	return e.t.compile(ctx, "evaluation", "eval "+e.part.name, size, func() (*Built, error) { return e.build(ctx) })
}

// rename says which values the executable of a batch size is bound to.
func (e *evaluation) rename(size int64) (map[string]string, error) {
	t, part := e.t, e.part
	rename, err := t.vals.index(size)
	if err != nil {
		return nil, err
	}
	for _, f := range part.fields {
		rename[key(graph.Input, "data:"+f.key())] = key(graph.Input, part.name+":data:"+f.key())
	}
	rename[key(graph.Input, weightName)] = key(graph.Input, part.name+":"+weightName)
	maps.Copy(rename, e.params)
	return rename, e.whole.place(t, size, rename)
}

// resident evaluates examples that lie on the device: many steps a call, or one
// where each step's scores are wanted.
func (e *evaluation) resident(ctx context.Context) error {
	n, b := e.part.data.Examples, e.batch
	for at := int64(0); at < n; {
		size, steps := b, (n-at)/b
		if steps == 0 {
			size, steps = n-at, 1
		}
		if len(e.whole.metrics) > 0 {
			steps = 1
		}
		c, err := e.compile(ctx, size)
		if err != nil {
			return err
		}
		rename, err := e.rename(size)
		if err != nil {
			return err
		}
		bind, err := e.t.vals.bind(c.fn, c.donate, rename)
		if err != nil {
			return err
		}
		done, err := c.session.Run(ctx, bind, int(steps))
		if err != nil {
			return err
		}
		if err := e.whole.take(e.t, at, size); err != nil {
			return err
		}
		at += int64(done) * size
	}
	return nil
}

// staged evaluates examples batch by batch as they are read.
func (e *evaluation) staged(ctx context.Context) error {
	r := newRing(ctx, e.part.data, nil, 0, e.batch)
	defer r.close()
	for at := int64(0); ; {
		b, err := r.next(ctx)
		if b == nil || err != nil {
			return err
		}
		n := b.n
		c, err := e.compile(ctx, n)
		if err != nil {
			return err
		}
		s := e.stages[c]
		if s == nil {
			rename, err := e.rename(n)
			if err != nil {
				return err
			}
			if s, err = e.t.stage(c, e.part.name, e.part.fields, e.part.data, rename); err != nil {
				return err
			}
			e.stages[c] = s
		}
		if err := e.t.load(s, b, e.part.data); err != nil {
			return err
		}
		e.whole.keep(b, at)
		r.free <- b
		if _, err := c.session.Run(ctx, s.bind, 1); err != nil {
			return err
		}
		if err := e.whole.take(e.t, at, n); err != nil {
			return err
		}
		at += n
	}
}

// whole gathers what the metrics need that are computed of a whole set at once:
// the outputs of every step and, of staged examples, targets and weights.
type whole struct {
	metrics []MetricTerm
	names   map[string]bool
	outputs map[string]*graph.Tensor // by output
	targets map[string]*graph.Tensor // by target
	weights []float32                // nil where all weigh alike
	n       int64
	copied  bool // targets and weights come with the batches
}

// newWhole chooses the metrics to compute of the whole part. Those for which it
// is too large are named.
func (t *Trainer) newWhole(part *Part) (w *whole, approximate []string, err error) {
	a := part.data
	w = &whole{names: map[string]bool{}, outputs: map[string]*graph.Tensor{}, targets: map[string]*graph.Tensor{}, n: a.Examples, copied: a.Source != nil}
	limit := t.cfg.ExactBytes
	if limit == 0 {
		limit = DefaultExactBytes
	}
	outs := t.p.Outputs()
	for _, m := range t.p.Metrics {
		if m.Exact == "" {
			continue
		}
		i := slices.IndexFunc(outs, func(o graph.Param) bool { return o.Name == m.Output })
		if i < 0 {
			return nil, nil, fmt.Errorf("metric %q takes the output %q, which the model does not have", m.Name, m.Output)
		}
		shape, err := outs[i].Type.Shape.Eval(map[string]int64{graph.BatchSymbol: a.Examples})
		if err != nil {
			return nil, nil, fmt.Errorf("metric %q: %w", m.Name, err)
		}
		target := a.Fields["target:"+m.Target]
		bytes := int64(outs[i].Type.DType.Size()) + 4
		for _, e := range shape[1:] {
			bytes *= e
		}
		if bytes+exampleBytes(target) > limit/max(a.Examples, 1) {
			approximate = append(approximate, m.Name)
			continue
		}
		if w.outputs[m.Output] == nil {
			w.outputs[m.Output] = graph.NewTensor(outs[i].Type.DType, shape...)
		}
		if w.targets[m.Target] == nil {
			if w.copied {
				w.targets[m.Target] = graph.NewTensor(target.DType, target.Shape...)
			} else {
				w.targets[m.Target] = &graph.Tensor{DType: target.DType, Shape: target.Shape, Data: target.Data}
			}
		}
		w.metrics = append(w.metrics, m)
		w.names[m.Name] = true
	}
	if len(w.metrics) > 0 {
		w.weights = a.Weights
		if w.copied && a.Weighted {
			w.weights = make([]float32, a.Examples)
		}
	}
	return w, approximate, nil
}

func (w *whole) slot(output string, size int64) string {
	return fmt.Sprintf("whole:%s:%d", output, size)
}

// place makes room for the outputs of a step of that many examples.
func (w *whole) place(t *Trainer, size int64, rename map[string]string) error {
	for output, v := range w.outputs {
		name := w.slot(output, size)
		if !t.vals.has(graph.Output, name) {
			if err := t.vals.put(graph.Output, name, graph.NewTensor(v.DType, append([]int64{size}, v.Shape[1:]...)...)); err != nil {
				return err
			}
		}
		rename[key(graph.Output, "output:"+output)] = key(graph.Output, name)
	}
	return nil
}

// take copies the outputs of a step for examples from number at on.
func (w *whole) take(t *Trainer, at, size int64) error {
	for output, v := range w.outputs {
		row := int64(len(v.Data)) / w.n
		h := t.vals.handles[key(graph.Output, w.slot(output, size))]
		if err := t.pool.Read(h, v.Data[at*row:(at+size)*row]); err != nil {
			return fmt.Errorf("reading the output %q: %w", output, err)
		}
	}
	return nil
}

// keep copies targets and weights of a staged batch.
func (w *whole) keep(b *hostBatch, at int64) {
	for target, v := range w.targets {
		row := int64(len(v.Data)) / w.n
		copy(v.Data[at*row:(at+b.n)*row], b.fields["target:"+target])
	}
	if w.weights != nil {
		copy(w.weights[at:at+b.n], b.weightView())
	}
}

// measure computes the metrics.
func (w *whole) measure(ctx context.Context, t *Trainer, into map[string]float64) error {
	for _, m := range w.metrics {
		v, err := Evaluate(ctx, t.cfg.Reference, t.p.Module, m.Exact, graph.Any, map[string]int64{graph.BatchSymbol: w.n}, func(q graph.Param) (*graph.Tensor, error) {
			switch q.Name {
			case "weight":
				if m.Weighted && w.weights != nil {
					return graph.Float32s(w.weights, w.n), nil
				}
				ones := make([]float32, w.n)
				for i := range ones {
					ones[i] = 1
				}
				return graph.Float32s(ones, w.n), nil
			case "target":
				return w.targets[m.Target], nil
			}
			return w.outputs[m.Output], nil
		})
		if err != nil {
			return fmt.Errorf("metric %q: %w", m.Name, err)
		}
		into[m.Name] = v[0].Float(0)
	}
	return nil
}
