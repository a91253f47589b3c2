package train

import (
	"fmt"
	"slices"

	"github.com/hone-ml/hone/sdk/graph"
)

// Program names the functions of a module that make up a model and its
// training. All its fields but the module are stored as JSON.
type Program struct {
	Module *graph.Module `json:"-"`

	// Model is the function from inputs to named outputs, traced for both modes.
	Model string `json:"model"`
	// Losses are the terms of what is minimized; none for a model that is only used.
	Losses []LossTerm `json:"losses,omitempty"`
	// Metrics are evaluated over whole epochs.
	Metrics []MetricTerm `json:"metrics,omitempty"`
	// Optimizer is nil for a model that is only used.
	Optimizer *Optimizer `json:"optimizer,omitempty"`
	// Schedule gives the learning rate; nil leaves it to the hyper learning_rate.
	Schedule *Schedule `json:"schedule,omitempty"`
	// Phases have, by number, the optimizers and schedules of a training in
	// phases; nil fields are those of the program.
	Phases []Phase `json:"phases,omitempty"`
	// Fixed are the scopes of layers that are other layers for other numbers of
	// channels, and so lose none.
	Fixed []string `json:"fixed,omitempty"`
	// EMA is the decay of the parameters' moving average, with which the model is
	// evaluated; 0: none.
	EMA float64 `json:"ema,omitempty"`
}

// Phase is what a phase of the training has of its own.
type Phase struct {
	Optimizer *Optimizer `json:"optimizer,omitempty"`
	Schedule  *Schedule  `json:"schedule,omitempty"`
	// NoSchedule leaves the rate to the hyper learning_rate.
	NoSchedule bool `json:"no_schedule,omitempty"`
}

// LossTerm is one weighted loss: a function (output, target) -> f32[batch].
type LossTerm struct {
	Name   string  `json:"name"`
	Func   string  `json:"func"`
	Output string  `json:"output"`
	Target string  `json:"target"`
	Weight float64 `json:"weight"`
	// Scores says what the loss takes the output for, Logits or Probabilities; empty
	// where it knows no such thing.
	Scores string `json:"scores,omitempty"`
	// Ignored is the class number whose examples the loss leaves out; nil for none.
	Ignored *int64 `json:"ignored,omitempty"`
}

// What a loss of classes takes an output for.
const (
	Logits        = "logits"
	Probabilities = "probabilities"
)

// MetricTerm is one metric as functions over its state: Init () -> state,
// Update (state, output, target, weight) -> state, Result (state) -> f32[].
type MetricTerm struct {
	Name     string `json:"name"`
	Init     string `json:"init"`
	Update   string `json:"update"`
	Merge    string `json:"merge,omitempty"`
	Result   string `json:"result"`
	Output   string `json:"output"`
	Target   string `json:"target"`
	Weighted bool   `json:"weighted,omitempty"`
	// Exact is the function (output, target, weight) -> value over a whole set of
	// examples, for metrics whose accumulators only approximate it.
	Exact string `json:"exact,omitempty"`
	// Type is the component's type, such as auc.
	Type string `json:"type"`
}

// Optimizer names, for every trainable parameter, the functions traced for its
// type.
type Optimizer struct {
	// Update maps a parameter's path to (param, grad, slots) -> (param, slots).
	Update map[string]string `json:"update"`
	// Init maps a parameter's path to the function (param) -> slots; absent for
	// an optimizer without slots.
	Init map[string]string `json:"init,omitempty"`
	// Partial maps a parameter's path to its contributions to figures of all
	// parameters together, which Combine joins two by two and Finish makes into
	// the globals that Update and Perturb take.
	Partial map[string]string `json:"partial,omitempty"`
	Combine string            `json:"combine,omitempty"`
	Finish  string            `json:"finish,omitempty"`
	// Perturb maps a parameter's path to (param, grad) -> param, where the
	// gradient is taken again.
	Perturb map[string]string `json:"perturb,omitempty"`
	// Eval maps a parameter's path to (param, slots) -> param: what evaluation and
	// prediction take for the parameter.
	Eval map[string]string `json:"eval,omitempty"`
}

// Schedule is a learning-rate schedule: a function (step, epoch, total,
// monitored, state) -> (rate, state).
type Schedule struct {
	Func string `json:"func"`
}

// model returns the model function for a mode.
func (p *Program) model(mode graph.Mode) (*graph.Func, error) {
	f := p.Module.Resolve(p.Model, mode)
	if f == nil {
		return nil, fmt.Errorf("the module has no function %q for mode %v", p.Model, mode)
	}
	return f, nil
}

// Inputs returns the model's inputs in order.
func (p *Program) Inputs() []graph.Param {
	f, err := p.model(graph.Infer)
	if err != nil {
		return nil
	}
	var in []graph.Param
	for _, q := range f.Params {
		if q.Role == graph.Input {
			in = append(in, q)
		}
	}
	return in
}

// Outputs returns the names and types of the model's outputs.
func (p *Program) Outputs() []graph.Param {
	f, err := p.model(graph.Infer)
	if err != nil {
		return nil
	}
	var out []graph.Param
	for _, r := range f.Results {
		if r.Role == graph.Output {
			out = append(out, graph.Param{Name: r.Name, Role: graph.Output, Type: f.Types[r.Value]})
		}
	}
	return out
}

// Params returns the parameters and states of the model, those of the training
// function first, each once.
func (p *Program) Params() []graph.Param {
	var out []graph.Param
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		f, err := p.model(mode)
		if err != nil {
			continue
		}
		for _, q := range f.Params {
			if (q.Role == graph.ParamRole || q.Role == graph.StateRole) &&
				!slices.ContainsFunc(out, func(o graph.Param) bool { return o.Role == q.Role && o.Name == q.Name }) {
				out = append(out, q)
			}
		}
	}
	return out
}
