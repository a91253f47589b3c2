package train

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/autodiff"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/inline"
	"github.com/hone-ml/hone/sdk/graph"
)

// Names of the step function's values beside those of the model. They cannot
// collide with paths, since paths hold no colon.
const (
	cursorName  = "run:cursor"  // i64[], first example of the next batch in the permutation
	permName    = "run:perm"    // i64[examples], the order of this epoch
	stepName    = "run:step"    // u64[], batches trained on so far
	updateName  = "run:update"  // u64[], updates made so far, of which several batches may make one
	startName   = "run:start"   // u64[], updates made before the phase began
	epochName   = "run:epoch"   // i64[], epochs completed
	totalName   = "run:total"   // i64[], steps of the whole run
	monitorName = "run:monitor" // f32[], the monitored number after the last epoch
	lossSumName = "run:loss"    // f64[], sum over examples of the loss
	countName   = "run:count"   // f64[], examples seen
	weightName  = "run:weight"  // f32[examples], example weights
	rateName    = "run:rate"    // f32[], learning rate of the last step
	lastName    = "run:last"    // f32[], loss of the last step
)

// DataField is one array of examples that a step reads.
type DataField struct {
	Name  string // of the model's input, or of the target
	Type  graph.Type
	Input bool // an input of the model; else a target
}

// key is the field's name among inputs and targets alike.
func (f DataField) key() string {
	if f.Input {
		return f.Name
	}
	return "target:" + f.Name
}

// StepConfig says what to build a step function for.
type StepConfig struct {
	// Examples is the extent of the resident arrays; 0 where each step is given
	// a batch of its own (staged).
	Examples int64
	// Fields are the arrays of examples, in the type they have on the device.
	Fields []DataField
	// Weighted adds the array of example weights.
	Weighted bool
	// Frozen are scopes that take their infer functions and are not updated.
	Frozen []string
	// FrozenParams are paths of parameters that are not updated.
	FrozenParams map[string]bool
	// ClipNorm bounds the norm of all gradients together, ClipValue each element; 0: no bound.
	ClipNorm, ClipValue float64
	// Accumulate is the number of batches whose mean gradient makes one update;
	// 0 is 1.
	Accumulate int64
	// Masked are paths of parameters with a mask: a bool of their shape that is
	// false where parameter and slots are held at zero (see masks.go).
	Masked map[string]bool
	// Replicas is the number of replicas that run the step together, each on an
	// equal share of the batch (see replicas.go); 0 is 1.
	Replicas int64
	// Whole are metrics that an evaluation computes of all examples at once: its
	// function returns the outputs that they take, and does not count them.
	Whole map[string]bool
}

// Built is a derived function, ready to compile.
type Built struct {
	Module *graph.Module
	Entry  string
	Donate []int
}

func key(role graph.Role, name string) string { return role.String() + " " + name }

// forwardName is the function from examples to loss, outputs and new states.
const forwardName = "hone.forward"

// buildForward adds the function of one batch: inputs, targets and weights to
// the loss, each model output and the states. With a loss, it returns the mean
// over the batch of each example's weighted loss, plus regularization.
func buildForward(p *Program, m *graph.Module, mode graph.Mode, fields []DataField) error {
	b := graph.NewBuilder(m, forwardName, mode)
	model := m.Resolve(p.Model, mode)
	if model == nil {
		return fmt.Errorf("the module has no function %q for mode %v", p.Model, mode)
	}
	byName := map[string]graph.Value{}
	var inputs []graph.Value
	for _, q := range model.Params {
		if q.Role == graph.Input {
			v := b.Input(q.Name, q.Type)
			inputs = append(inputs, v)
		}
	}
	for _, f := range fields {
		if !f.Input {
			byName[f.Name] = b.Input("target:"+f.Name, f.Type)
		}
	}
	weights := b.Input(weightName, graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch}})
	outs := b.Call(p.Model, "", inputs...)
	outputs := map[string]graph.Value{}
	i := 0
	for _, r := range model.Results {
		if r.Role == graph.Output {
			outputs[r.Name] = outs[i]
			b.Output("output:"+r.Name, outs[i])
			i++
		}
	}
	b.SetScope(lossScope)
	var total graph.Value
	for _, l := range p.Losses {
		out, ok := outputs[l.Output]
		if !ok {
			return fmt.Errorf("loss %q takes the output %q, which the model does not have", l.Name, l.Output)
		}
		target, ok := byName[l.Target]
		if !ok {
			return fmt.Errorf("loss %q takes the target %q, which the data does not have", l.Name, l.Target)
		}
		per := b.Call(l.Func, "", out, target)[0].Mul(weights)
		term := per.Mean().Times(l.Weight)
		if total.Valid() {
			term = total.Add(term)
		}
		total = term
		b.Output("loss:"+l.Name, per.Sum())
	}
	if len(p.Losses) > 0 {
		for _, q := range model.Params {
			if q.Role == graph.ParamRole && q.Decl != nil && q.Decl.Regularizer != "" {
				v, _ := b.Lookup(graph.ParamRole, q.Name)
				total = total.Add(b.Call(q.Decl.Regularizer, "", v)[0])
			}
		}
		b.Output("loss", total)
	}
	_, err := b.Finish()
	return err
}

// BuildStep derives the function of one training step: take the next batch,
// run the model and its losses, differentiate, update.
func BuildStep(ctx context.Context, p *Program, cfg StepConfig) (*Built, error) {
	m := p.Module.Clone()
	if err := buildForward(p, m, graph.Train, cfg.Fields); err != nil {
		return nil, err
	}
	forward, err := flatForward(ctx, m, graph.Train, cfg)
	if err != nil {
		return nil, err
	}
	wrt := p.moved(forward, cfg)
	loss := forward.Result(graph.Output, "loss")
	if loss < 0 {
		return nil, fmt.Errorf("the model has no loss to train on; add a loss block to train")
	}
	if len(wrt) == 0 {
		return nil, fmt.Errorf("every parameter is frozen, there is nothing to train; unfreeze some or use hone eval")
	}
	grad, err := autodiff.Gradient(m, forward, wrt, loss)
	if err != nil {
		return nil, fmt.Errorf("differentiating the loss: %w", err)
	}
	s := newStep(p, m, "hone.step", cfg)
	s.b.SetScope(batchScope)
	s.takeBatch(true)
	res := s.call(grad)
	s.b.SetScope(optimizerScope)
	s.update(grad, s.trained(forward, wrt), res)
	s.measure(res)
	s.advance()
	return s.finish()
}

// Where a step's nodes come from that belong to no layer. Those of the update of
// a parameter say "update of" its layer.
const (
	batchScope     = "(batch)"
	lossScope      = "(loss)"
	optimizerScope = "(optimizer)"
	metricsScope   = "(metrics)"
)

// owner is the path of the layer that has the parameter.
func owner(param string) string { return param[:max(strings.LastIndexByte(param, '.'), 0)] }

// flatForward expands the forward function of a mode into one without modes, for
// one of the replicas where there are several. Shapes stay symbolic, so that any
// batch size takes the same function.
func flatForward(ctx context.Context, m *graph.Module, mode graph.Mode, cfg StepConfig) (*graph.Func, error) {
	flat, err := inline.Flatten(ctx, m, forwardName, kernels.Options{Mode: mode, Frozen: cfg.Frozen}, func(f *graph.Func) bool {
		return f.Composite != nil && (cfg.Replicas <= 1 || divides(m, f.Name))
	})
	if err != nil {
		return nil, err
	}
	f, err := autodiff.AddFlat(m, flat, "hone.flat")
	if err != nil {
		return nil, err
	}
	if f, err = useLogits(m, f); err != nil || cfg.Replicas <= 1 {
		return f, err
	}
	return spread(m, f, cfg.Replicas)
}

// moved returns the places, in a flat forward function, of the parameters that a
// step updates, and of those that share their values.
func (p *Program) moved(forward *graph.Func, cfg StepConfig) []int {
	trains := map[string]bool{}
	for _, q := range forward.Params {
		if q.Role == graph.ParamRole && p.trains(q, cfg) {
			trains[q.Name] = true
		}
	}
	var out []int
	for i, q := range forward.Params {
		if q.Role == graph.ParamRole && trains[storage(q)] {
			out = append(out, i)
		}
	}
	return out
}

// trains reports whether a step updates the parameter.
func (p *Program) trains(q graph.Param, cfg StepConfig) bool {
	if q.Decl != nil && (q.Decl.NonTrainable || q.Decl.Alias != "") || cfg.FrozenParams[q.Name] || !q.Type.DType.IsFloat() {
		return false
	}
	return !slices.ContainsFunc(cfg.Frozen, func(scope string) bool { return Under(q.Name, scope) })
}

// Under reports whether path is the scope or lies below it.
func Under(path, scope string) bool {
	rest, ok := strings.CutPrefix(path, scope)
	return ok && (scope == "" || rest == "" || rest[0] == '.' || rest[0] == '[' || rest[0] == '#')
}

// BuildEval derives the function that evaluates one batch: it adds to the sums
// of the losses and to the metrics' states.
func BuildEval(ctx context.Context, p *Program, cfg StepConfig) (*Built, error) {
	m := p.Module.Clone()
	if err := buildForward(p, m, graph.Infer, cfg.Fields); err != nil {
		return nil, err
	}
	s := newStep(p, m, "hone.eval", cfg)
	s.takeBatch(false)
	forward, err := flatForward(ctx, m, graph.Infer, StepConfig{})
	if err != nil {
		return nil, err
	}
	res := s.call(forward)
	s.measure(res)
	given := map[string]bool{}
	for _, t := range p.Metrics {
		name := "output:" + t.Output
		if v := res[key(graph.Output, name)]; cfg.Whole[t.Name] && !given[name] && v.Valid() {
			given[name] = true
			s.b.Output(name, v)
		}
	}
	return s.finish()
}

// step holds what the parts of a step function share.
type step struct {
	p   *Program
	cfg StepConfig
	m   *graph.Module
	b   *graph.Builder
	err error

	feed    map[string]graph.Value // the batch's fields, by role and name
	weights graph.Value
	number  graph.Value            // batches so far
	updates graph.Value            // updates so far
	done    graph.Value            // whether this batch completes an update; zero where each does
	rate    graph.Value            // learning rate
	current map[string]graph.Value // newest value of each param, slot and state, by role and name
	start   map[string]graph.Value // their values at the beginning
	order   []string
	roles   map[string]graph.Param
}

func newStep(p *Program, m *graph.Module, name string, cfg StepConfig) *step {
	return &step{
		p: p, cfg: cfg, m: m, b: graph.NewBuilder(m, name, graph.Any),
		feed: map[string]graph.Value{}, current: map[string]graph.Value{}, start: map[string]graph.Value{}, roles: map[string]graph.Param{},
	}
}

func (s *step) failf(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// read returns the current value of something that lives across steps,
// declaring it on first use.
func (s *step) read(role graph.Role, name string, t graph.Type) graph.Value {
	k := key(role, name)
	if v, ok := s.current[k]; ok {
		return v
	}
	v := s.b.Argument(graph.Param{Name: name, Role: role, Type: t})
	s.current[k], s.start[k] = v, v
	s.roles[k] = graph.Param{Name: name, Role: role, Type: t}
	s.order = append(s.order, k)
	return v
}

func (s *step) write(role graph.Role, name string, v graph.Value) {
	if v.Valid() {
		s.current[key(role, name)] = v
	}
}

// takeBatch makes the batch's values: gathered from the resident arrays, in the
// order of the permutation where shuffled, or given as they are.
func (s *step) takeBatch(shuffled bool) {
	b := s.b
	index := b.Index()
	rows := index
	if s.cfg.Examples > 0 {
		cursor := s.read(graph.StateRole, cursorName, graph.Scalar(graph.I64))
		rows = index.Add(cursor)
		if shuffled {
			rows = s.read(graph.Input, permName, graph.T(graph.I64, s.cfg.Examples)).Gather(0, 0, rows)
		}
		s.write(graph.StateRole, cursorName, cursor.Add(s.share(index.Size(0))))
	}
	take := func(name string, t graph.Type) graph.Value {
		if s.cfg.Examples == 0 {
			return s.read(graph.Input, name, t)
		}
		t.Shape = append(graph.Shape{graph.N(s.cfg.Examples)}, t.Shape[1:]...)
		return s.read(graph.Input, name, t).Gather(0, 0, rows)
	}
	for _, f := range s.cfg.Fields {
		s.feed[key(graph.Input, f.key())] = take("data:"+f.key(), f.Type)
	}
	if s.cfg.Weighted {
		s.weights = take(weightName, graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch}})
	} else {
		s.weights = s.ones()
	}
	s.feed[key(graph.Input, weightName)] = s.weights
	if shuffled {
		s.number = s.read(graph.StateRole, stepName, graph.Scalar(graph.U64))
	}
}

// ones returns f32[batch] ones.
func (s *step) ones() graph.Value { return s.b.Full(graph.F32, 1, s.b.Index().Dim(0)) }

// call calls the forward function or its gradient with the batch and everything
// that lives across steps, and returns its results by role and name. The states
// that it gives become current.
func (s *step) call(f *graph.Func) map[string]graph.Value {
	out := s.apply(f, nil)
	for _, r := range f.Results {
		if r.Role == graph.StateRole {
			s.write(r.Role, r.Name, out[key(r.Role, r.Name)])
		}
	}
	return out
}

// apply is call without effect on the states; params are read from instead where
// they are named there.
func (s *step) apply(f *graph.Func, instead map[string]graph.Value) map[string]graph.Value {
	defer s.b.SetScope(s.b.SetScope("")) // the nodes of f say where they come from
	args := make([]graph.Value, len(f.Params))
	for i, q := range f.Params {
		switch q.Role {
		case graph.Input:
			v, ok := s.feed[key(q.Role, q.Name)]
			if !ok {
				s.failf("the model takes the input %q, which the data does not have", q.Name)
				return nil
			}
			args[i] = v
		case graph.StepRole:
			// Evaluation has no step of its own: what draws there draws as in the first.
			if args[i] = s.number; !s.number.Valid() {
				args[i] = s.b.Scalar(graph.U64, 0)
			}
		case graph.IndexRole:
			args[i] = s.b.Index()
		default:
			name := storage(q)
			v, ok := instead[name]
			if !ok || q.Role != graph.ParamRole {
				v = s.read(q.Role, name, q.Type)
			}
			args[i] = v
		}
	}
	out := map[string]graph.Value{}
	res := s.b.Apply(graph.OpCall, &graph.CallAttrs{Callee: f.Name}, args...)
	if s.b.Err() != nil {
		return out
	}
	for i, r := range f.Results {
		out[key(r.Role, r.Name)] = res[i]
	}
	return out
}

// storage is the name under which a parameter's values live: another's where it
// shares them.
func storage(q graph.Param) string {
	if q.Decl != nil && q.Decl.Alias != "" {
		return q.Decl.Alias
	}
	return q.Name
}

// measure adds the batch's losses and metrics to their sums.
func (s *step) measure(res map[string]graph.Value) {
	b := s.b
	if s.b.Err() != nil || s.err != nil {
		return
	}
	s.b.SetScope(metricsScope)
	n := s.share(b.Index().Size(0)).Convert(graph.F64)
	if loss, ok := res[key(graph.Output, "loss")]; ok {
		sum := s.read(graph.StateRole, lossSumName, graph.Scalar(graph.F64))
		s.write(graph.StateRole, lossSumName, sum.Add(loss.Convert(graph.F64).Mul(n)))
		s.read(graph.StateRole, lastName, graph.Scalar(graph.F32))
		s.write(graph.StateRole, lastName, loss.Convert(graph.F32))
	}
	for _, l := range s.p.Losses {
		if len(s.p.Losses) > 1 {
			sum := s.read(graph.StateRole, lossSumName+":"+l.Name, graph.Scalar(graph.F64))
			s.write(graph.StateRole, lossSumName+":"+l.Name, sum.Add(res[key(graph.Output, "loss:"+l.Name)].Convert(graph.F64)))
		}
	}
	count := s.read(graph.StateRole, countName, graph.Scalar(graph.F64))
	s.write(graph.StateRole, countName, count.Add(n))
	for _, m := range s.p.Metrics {
		if s.cfg.Whole[m.Name] {
			continue
		}
		f := s.m.Resolve(m.Update, graph.Any)
		if f == nil {
			s.failf("the module has no function %q", m.Update)
			return
		}
		args := make([]graph.Value, len(f.Params))
		for i, q := range f.Params {
			switch {
			case q.Role == graph.StateRole:
				args[i] = s.read(graph.StateRole, MetricState(m.Name, q.Name), q.Type)
			case q.Name == "weight":
				args[i] = s.ones()
				if m.Weighted {
					args[i] = s.weights
				}
			case q.Name == "target":
				args[i] = s.feed[key(graph.Input, "target:"+m.Target)]
			default:
				args[i] = res[key(graph.Output, "output:"+m.Output)]
			}
			if !args[i].Valid() {
				s.failf("metric %q takes %q of output %q and target %q, which the model or the data lack", m.Name, q.Name, m.Output, m.Target)
				return
			}
		}
		out := s.b.Apply(graph.OpCall, &graph.CallAttrs{Callee: f.Name}, args...)
		if s.b.Err() != nil {
			return
		}
		for i, r := range f.Results {
			s.write(graph.StateRole, MetricState(m.Name, r.Name), out[i])
		}
	}
}

// MetricState is the name of one value of a metric's state.
func MetricState(metric, state string) string { return "metric:" + metric + ":" + state }

// advance counts the step.
func (s *step) advance() {
	if s.number.Valid() {
		s.write(graph.StateRole, stepName, s.number.Plus(1))
	}
}

// finish returns everything that changed and says what each result replaces.
func (s *step) finish() (*Built, error) {
	for _, k := range s.order {
		if q := s.roles[k]; s.current[k] != s.start[k] {
			s.b.Replace(q.Role, q.Name, s.current[k])
		}
	}
	if s.err != nil {
		return nil, s.err
	}
	f, err := s.b.Finish()
	if err != nil {
		return nil, err
	}
	// What numbers begin with is no part of a step: two that differ in nothing
	// else are one executable.
	for _, g := range s.m.Funcs {
		for i := range g.Params {
			if g.Params[i].Role == graph.HyperRole {
				g.Params[i].Decl = nil
			}
		}
	}
	donate := make([]int, len(f.Results))
	for i, r := range f.Results {
		donate[i] = f.Param(r.Role, r.Name)
	}
	return &Built{Module: s.m, Entry: f.Name, Donate: donate}, nil
}
