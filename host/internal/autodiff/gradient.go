package autodiff

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// GradientName returns the name of the result that holds the gradient with
// respect to a parameter: grad:ROLE:NAME.
func GradientName(p graph.Param) string { return "grad:" + p.Role.String() + ":" + p.Name }

// Gradient adds to m a function with the parameters and results of f and, for
// every index in wrt, one result more: the gradient of f's result number
// result, a floating-point scalar, with respect to that parameter. A parameter
// that the result does not depend on has a gradient of zeros.
//
// Calls in f resolve in f's mode. The function is called f.Name plus
// .gradient, with a number behind it where that name is taken. Gradients meet
// in a fixed order, so the same function gives the same bits each time.
func Gradient(m *graph.Module, f *graph.Func, wrt []int, result int) (*graph.Func, error) {
	if err := check(f, wrt, []int{result}); err != nil {
		return nil, err
	}
	if t := f.Types[f.Results[result].Value]; t.Rank() != 0 {
		return nil, fmt.Errorf("the gradient of %q: its result %q is %v; a gradient is taken of a scalar (VJP takes the gradients of other results)", f.Name, f.Results[result].Name, t)
	}
	return derive(m, f, wrt, []int{result}, func(b *graph.Builder, _ int, t graph.Type) graph.Value {
		return b.Scalar(t.DType, 1)
	})
}

// VJP is Gradient for several results of any shape: behind the parameters of f
// the function takes one input for each of them, its gradient, in order.
func VJP(m *graph.Module, f *graph.Func, wrt, results []int) (*graph.Func, error) {
	if err := check(f, wrt, results); err != nil {
		return nil, err
	}
	return derive(m, f, wrt, results, func(b *graph.Builder, i int, t graph.Type) graph.Value {
		return b.Argument(graph.Param{Name: fmt.Sprintf("seed:%d", i), Role: graph.Input, Type: t})
	})
}

func check(f *graph.Func, wrt, results []int) error {
	for _, i := range results {
		if i < 0 || i >= len(f.Results) {
			return fmt.Errorf("the gradient of %q: it has no result %d", f.Name, i)
		}
		if t := f.Types[f.Results[i].Value]; !t.DType.IsFloat() {
			return fmt.Errorf("the gradient of %q: its result %q is %v and must be floating-point", f.Name, f.Results[i].Name, t)
		}
	}
	for _, i := range wrt {
		if i < 0 || i >= len(f.Params) {
			return fmt.Errorf("the gradient of %q: it has no parameter %d", f.Name, i)
		}
		if p := f.Params[i]; !p.Type.DType.IsFloat() {
			return fmt.Errorf("the gradient of %q: its %v %q is %v and must be floating-point", f.Name, p.Role, p.Name, p.Type)
		}
	}
	return nil
}

func derive(m *graph.Module, f *graph.Func, wrt, results []int, seed func(b *graph.Builder, i int, t graph.Type) graph.Value) (*graph.Func, error) {
	b := graph.NewBuilder(m, freeName(m, f.Name+".gradient"), f.Mode)
	args := make([]graph.Value, len(f.Params))
	for i, p := range f.Params {
		args[i] = b.Argument(p)
	}
	t := newTape(m, b)
	for _, i := range wrt {
		t.active[args[i]] = true
	}
	outs, err := t.run(f, args)
	if err != nil {
		return nil, fmt.Errorf("the gradient of %q: %w", f.Name, err)
	}
	for i, r := range f.Results {
		b.Replace(r.Role, r.Name, outs[i])
	}
	for i, j := range results {
		t.add(outs[j], seed(b, i, f.Types[f.Results[j].Value]))
	}
	if err := t.backward(); err != nil {
		return nil, fmt.Errorf("the gradient of %q: %w", f.Name, err)
	}
	taken := map[string]bool{}
	for _, r := range f.Results {
		if r.Role == graph.Output {
			taken[r.Name] = true
		}
	}
	for _, i := range wrt {
		name := GradientName(f.Params[i])
		for taken[name] {
			name = "grad:" + name
		}
		taken[name] = true
		b.Output(name, t.gradient(args[i]))
	}
	return b.Finish()
}

// freeName returns name, or name.2, name.3, ... where m has it already.
func freeName(m *graph.Module, name string) string {
	taken := map[string]bool{}
	for _, f := range m.Funcs {
		taken[f.Name] = true
	}
	free := name
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s.%d", name, n)
	}
	return free
}
