package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Predictor runs a model in inference. One goroutine at a time.
type Predictor struct {
	p     *Program
	be    kernels.Backend
	pool  kernels.Pool
	vals  *values
	runs  map[int64]*predictRun // by batch size
	clock int64
	fits  int64         // largest batch size that is known to fit
	full  bool          // that no larger one does
	order []graph.Param // inputs
	ready *prepared
	seed  uint64
}

type predictRun struct {
	used    int64 // by the predictor's clock
	exec    kernels.Executable
	session kernels.Session
	bind    *kernels.Bindings
	inputs  []kernels.Handle
	results []kernels.Handle
	owned   []kernels.Handle // made for this batch size
}

// NewPredictor places a model's values on a device. Where the program keeps a
// moving average of the parameters, the average is used.
// seed is that of the model's training, for what draws random numbers even in
// inference.
func NewPredictor(p *Program, be kernels.Backend, device string, seed uint64, vals []Value) (*Predictor, error) {
	pool, err := be.NewPool(device)
	if err != nil {
		return nil, err
	}
	q := &Predictor{seed: seed, p: p, be: be, pool: pool, vals: newValues(pool), runs: map[int64]*predictRun{}}
	if err := q.place(vals); err != nil {
		q.Close()
		return nil, err
	}
	return q, nil
}

func (q *Predictor) place(vals []Value) error {
	ctx := context.Background()
	var err error
	if q.ready, err = prepareModel(ctx, q.p); err != nil {
		return err
	}
	byName := map[string]*graph.Tensor{}
	for _, v := range vals {
		byName[key(v.Role, v.Name)] = v.Tensor
	}
	var eval map[string]*graph.Tensor
	if q.p.EMA == 0 {
		if eval, err = EvalParams(ctx, q.be, q.p, vals); err != nil {
			return err
		}
	}
	for _, a := range q.ready.params() {
		switch a.Role {
		case graph.Input:
			q.order = append(q.order, a)
		case graph.ParamRole, graph.StateRole:
			name := a.Name
			if a.Decl != nil && a.Decl.Alias != "" {
				name = a.Decl.Alias
			}
			t := byName[key(a.Role, name)]
			if e := byName[key(graph.SlotRole, SlotName(name, EMASlot))]; e != nil && q.p.EMA > 0 && a.Role == graph.ParamRole {
				t = e
			}
			if e := eval[name]; e != nil && a.Role == graph.ParamRole {
				t = e
			}
			if t == nil {
				return fmt.Errorf("the checkpoint lacks the %s %q", a.Role, a.Name)
			}
			if !t.Type().Equal(a.Type) {
				return fmt.Errorf("the checkpoint holds the %s %q as %v, the model takes %v", a.Role, a.Name, t.Type(), a.Type)
			}
			if err := q.vals.register(a.Role, a.Name, kernels.View{DType: t.DType, Shape: t.Shape, Data: t.Data}); err != nil {
				return err
			}
		case graph.HyperRole:
			v := 0.0
			if a.Decl != nil {
				v = a.Decl.Default
			}
			if err := q.vals.put(a.Role, a.Name, graph.ScalarOf(graph.F32, v)); err != nil {
				return err
			}
		case graph.KeyRole:
			path, ordinal := splitKey(a.Name)
			if err := q.vals.put(a.Role, a.Name, u64(graph.DeriveKey(q.seed, path, ordinal))); err != nil {
				return err
			}
		case graph.StepRole:
			if err := q.vals.put(a.Role, a.Name, u64(0)); err != nil {
				return err
			}
		case graph.IndexRole:
		default:
			return fmt.Errorf("the model takes %s %q, which a prediction does not have", a.Role, a.Name)
		}
	}
	return q.ready.compute(ctx, q.be, q.vals)
}

// keptRuns is the number of batch sizes for which a predictor keeps the model
// ready; the one not asked for longest goes first.
const keptRuns = 8

// makeRoom gives back what the batch size that was not asked for longest takes,
// where there are many.
func (q *Predictor) makeRoom() error {
	if len(q.runs) < keptRuns {
		return nil
	}
	oldest := int64(-1)
	for n, r := range q.runs {
		if oldest < 0 || r.used < q.runs[oldest].used {
			oldest = n
		}
	}
	r := q.runs[oldest]
	delete(q.runs, oldest)
	if err := r.session.Close(); err != nil {
		return err
	}
	for _, h := range r.owned {
		if err := q.pool.Free(h); err != nil {
			return err
		}
	}
	return nil
}

// Close frees the device's memory.
func (q *Predictor) Close() error {
	for _, r := range q.runs {
		r.session.Close()
	}
	return q.pool.Close()
}

func (q *Predictor) executable(ctx context.Context, batch int64) (kernels.Executable, error) {
	exec, err := q.be.Compile(ctx, q.ready.module, q.ready.run.Name, kernels.Options{Mode: graph.Infer, Symbols: map[string]int64{graph.BatchSymbol: batch}})
	if err != nil {
		return nil, fmt.Errorf("compiling the model for a batch of %d: %w", batch, err)
	}
	return exec, nil
}

// atOnce returns how many of n examples to predict at once, as fitBatch has it.
func (q *Predictor) atOnce(ctx context.Context, n int64) (int64, error) {
	if n <= 1 || n <= q.fits || q.full {
		return min(n, max(q.fits, 1)), nil
	}
	k, err := fitBatch(n, func(batch int64) (kernels.Plan, error) {
		exec, err := q.executable(ctx, batch)
		if err != nil {
			return kernels.Plan{}, err
		}
		return exec.Plan(), nil
	})
	if err == nil {
		q.fits, q.full = k, k < n
	}
	return k, err
}

// prepare makes the model ready for a batch size.
func (q *Predictor) prepare(ctx context.Context, batch int64) (*predictRun, error) {
	q.clock++
	if r, ok := q.runs[batch]; ok {
		r.used = q.clock
		return r, nil
	}
	exec, err := q.executable(ctx, batch)
	if err != nil {
		return nil, err
	}
	if err := q.makeRoom(); err != nil {
		return nil, err
	}
	r := &predictRun{used: q.clock, exec: exec, bind: &kernels.Bindings{}}
	for i, a := range q.ready.run.Params {
		switch a.Role {
		case graph.Input:
		case graph.IndexRole:
			rename, err := q.vals.index(batch)
			if err != nil {
				return nil, err
			}
			r.bind.Params = append(r.bind.Params, q.vals.handles[rename[key(a.Role, a.Name)]])
			continue
		default:
			r.bind.Params = append(r.bind.Params, q.vals.handles[key(a.Role, a.Name)])
			continue
		}
		v := exec.Params()[i]
		h, err := q.pool.New(v.DType, v.Shape)
		if err != nil {
			return nil, err
		}
		r.inputs, r.owned = append(r.inputs, h), append(r.owned, h)
		r.bind.Params = append(r.bind.Params, h)
	}
	for i, res := range q.ready.run.Results {
		v := exec.Results()[i]
		h, err := q.pool.New(v.DType, v.Shape)
		if err != nil {
			return nil, err
		}
		r.bind.Results, r.owned = append(r.bind.Results, h), append(r.owned, h)
		if res.Role == graph.Output {
			r.results = append(r.results, h)
		}
	}
	if r.session, err = exec.NewSession(q.pool); err != nil {
		return nil, err
	}
	q.runs[batch] = r
	return r, nil
}

// Run predicts one batch: inputs in the model's order, row-major, little-endian;
// outputs, one for each of the model's, are filled likewise. It allocates
// nothing after the first call for a batch size.
func (q *Predictor) Run(ctx context.Context, batch int64, inputs, outputs [][]byte) error {
	r, err := q.prepare(ctx, batch)
	if err != nil {
		return err
	}
	if len(inputs) != len(r.inputs) || len(outputs) != len(r.results) {
		return fmt.Errorf("the model has %d inputs and %d outputs, given are %d and %d", len(r.inputs), len(r.results), len(inputs), len(outputs))
	}
	for i, h := range r.inputs {
		if err := q.pool.Write(h, inputs[i]); err != nil {
			return fmt.Errorf("input %q: %w", q.order[i].Name, err)
		}
	}
	if _, err := r.session.Run(ctx, r.bind, 1); err != nil {
		return err
	}
	for i, h := range r.results {
		if err := q.pool.Read(h, outputs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Predict runs a whole set of arrays in batches of at most batch examples and
// returns every output.
func (q *Predictor) Predict(ctx context.Context, a *Arrays, batch int64) (map[string]*graph.Tensor, error) {
	outs := q.p.Outputs()
	result := map[string]*graph.Tensor{}
	for _, o := range outs {
		shape := []int64{a.Examples}
		ext, err := o.Type.Shape[1:].Eval(nil)
		if err != nil {
			return nil, fmt.Errorf("output %q is %v: %w", o.Name, o.Type, err)
		}
		result[o.Name] = graph.NewTensor(o.Type.DType, append(shape, ext...)...)
	}
	batch, err := q.atOnce(ctx, min(batch, a.Examples))
	if err != nil {
		return nil, err
	}
	in, out := make([][]byte, len(q.order)), make([][]byte, len(outs))
	for at := int64(0); at < a.Examples; {
		n := min(batch, a.Examples-at)
		for i, p := range q.order {
			v := a.Fields[p.Name]
			row := int64(len(v.Data)) / a.Examples
			in[i] = v.Data[at*row : (at+n)*row]
		}
		for i, o := range outs {
			d := result[o.Name].Data
			row := int64(len(d)) / a.Examples
			out[i] = d[at*row : (at+n)*row]
		}
		if err := q.Run(ctx, n, in, out); err != nil {
			return nil, err
		}
		at += n
	}
	return result, nil
}

// Plan describes what predicting a batch of that size runs.
func (q *Predictor) Plan(ctx context.Context, batch int64) (kernels.Plan, error) {
	r, err := q.prepare(ctx, batch)
	if err != nil {
		return kernels.Plan{}, err
	}
	plan := r.exec.Plan()
	plan.Passes = append(slices.Clone(q.ready.did), plan.Passes...)
	return plan, nil
}
