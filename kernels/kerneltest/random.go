package kerneltest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// graphKind says what a random graph is for.
type graphKind int

const (
	// exactGraphs hold integers, and floats that are small integers: whatever a
	// backend fuses, contracts or reorders, the results have the same bits. All
	// values but the last few are intermediate.
	exactGraphs graphKind = iota
	// nodeGraphs hold all ops. Every value is a result, and each node is checked
	// on the operands that the backend itself computed, so that errors do not
	// add up.
	nodeGraphs
	// smoothGraphs hold floats and continuous ops; the last few values are
	// results, compared within the noise that roundings make (noisy).
	smoothGraphs
)

// Recipe is a straight-line function over given tensors: what the random graphs
// are made of, and easily made smaller.
type Recipe struct {
	// Inputs are the arguments; values are numbered from here on.
	Inputs []*graph.Tensor
	Steps  []Step
	// Outputs lists the values returned.
	Outputs []int

	values []*graph.Tensor // what the reference computes, by value
}

// Step applies an op to values by number. Given, where set, stands for the
// results: the function takes them as further arguments.
type Step struct {
	Op    graph.Op
	Attrs graph.Attrs
	Args  []int
	Outs  []int
	Given bool
}

// Module builds the function, called f, and its arguments. Steps that no output
// needs are left out.
func (r *Recipe) Module() (*graph.Module, []*graph.Tensor, error) {
	needed := map[int]bool{}
	for _, o := range r.Outputs {
		needed[o] = true
	}
	for _, s := range slices.Backward(r.Steps) {
		if !s.Given && slices.ContainsFunc(s.Outs, func(o int) bool { return needed[o] }) {
			for _, a := range s.Args {
				needed[a] = true
			}
		}
	}
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	values := map[int]graph.Value{}
	var args []*graph.Tensor
	input := func(v int) {
		if needed[v] {
			values[v] = b.Input(fmt.Sprint("x", v), r.values[v].Type())
			args = append(args, r.values[v])
		}
	}
	for i := range r.Inputs {
		input(i)
	}
	for _, s := range r.Steps {
		switch {
		case !slices.ContainsFunc(s.Outs, func(o int) bool { return needed[o] }):
		case s.Given:
			for _, o := range s.Outs {
				input(o)
			}
		default:
			in := make([]graph.Value, len(s.Args))
			for i, a := range s.Args {
				in[i] = values[a]
			}
			for i, v := range applyOp(b, s.Op, s.Attrs, in) {
				if i < len(s.Outs) {
					values[s.Outs[i]] = v
				}
			}
		}
	}
	for _, o := range r.Outputs {
		b.Output(fmt.Sprint("v", o), values[o])
	}
	_, err := b.Finish()
	return m, args, err
}

// Check runs the recipe on a backend and reports the first value that is off.
// refused tells an op that the backend does not run.
func (r *Recipe) Check(ctx context.Context, backend kernels.Backend, kind int) (refused bool, err error) {
	h := &harness{backend: backend}
	m, args, err := r.Module()
	if err != nil {
		return false, fmt.Errorf("the recipe is ill-typed: %w", err)
	}
	got, err := h.run(ctx, m, "f", kernels.Options{}, args...)
	if err != nil {
		return h.refusal(err), err
	}
	switch graphKind(kind % 3) {
	case exactGraphs:
		for k, o := range r.Outputs {
			if err := within(got[k], r.values[o], nil, false); err != nil {
				return false, fmt.Errorf("value %d: %w", o, err)
			}
		}
	case smoothGraphs:
		want, tol, err := noisy(ctx, newDice(99), m, "f", kernels.Options{}, args)
		if err != nil {
			return false, err
		}
		return false, checkNoisy(got, want, tol)
	case nodeGraphs:
		return false, r.checkNodes(ctx, got)
	}
	return false, nil
}

// checkNodes checks every step on the operands that the backend computed.
func (r *Recipe) checkNodes(ctx context.Context, got []*graph.Tensor) error {
	values := slices.Clone(r.values) // arguments stand for themselves
	given := map[int]bool{}
	for i := range r.Inputs {
		given[i] = true
	}
	for k, o := range r.Outputs {
		values[o] = got[k]
		given[o] = true
	}
	for i, s := range r.Steps {
		known := !s.Given
		for _, v := range slices.Concat(s.Args, s.Outs) {
			known = known && given[v]
		}
		if !known {
			continue // after shrinking
		}
		in, out := make([]*graph.Tensor, len(s.Args)), make([]*graph.Tensor, len(s.Outs))
		for j, v := range s.Args {
			in[j] = values[v]
		}
		for j, v := range s.Outs {
			out[j] = values[v]
		}
		if err := CheckOp(ctx, s.Op, s.Attrs, in, out); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

func testRandom(t *testing.T, h *harness, kind graphKind) {
	refused := 0
	for i := range h.options.Graphs {
		seed := h.options.Seed*1_000_003 + uint64(i)
		size := 4 + i%30
		r := Generate(seed, int(kind), size)
		no, err := r.Check(t.Context(), h.backend, int(kind))
		if no {
			h.refusal(err)
			refused++
			continue
		}
		if err != nil {
			small, err := Shrink(t.Context(), h.backend, int(kind), r, err)
			t.Errorf("seed %d, kind %d, size %d: %v\n%s", seed, kind, size, err, small)
			if t.Failed() && i > 200 {
				return
			}
		}
	}
	if refused == h.options.Graphs {
		t.Error("the backend refused every random graph")
	}
	h.listRefused(t)
}
