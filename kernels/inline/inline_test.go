package inline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

func finish(t *testing.T, b *graph.Builder) {
	t.Helper()
	if _, err := b.Finish(); err != nil {
		t.Fatal(err)
	}
}

// norm has a state that its training function replaces and its inference
// function does not, and a hyper that only training lists.
func norm(t *testing.T, m *graph.Module) {
	image := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		b := graph.NewBuilder(m, "norm", mode)
		if mode == graph.Train {
			momentum := b.Hyper("momentum", 0.9)
			x := b.Input("x", image)
			mean := b.State("mean", graph.T(graph.F32, 4), graph.Decl{})
			now := x.Mean(0)
			b.SetState("mean", mean.Mul(momentum).Add(now))
			b.Output("y", x.Sub(now))
		} else {
			mean := b.State("mean", graph.T(graph.F32, 4), graph.Decl{})
			x := b.Input("x", image)
			b.Output("y", x.Sub(mean))
		}
		finish(t, b)
	}
}

func model(t *testing.T) *graph.Module {
	m := graph.NewModule()
	norm(t, m)
	image := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}}
	for _, mode := range []graph.Mode{graph.Train, graph.Infer} {
		b := graph.NewBuilder(m, "block", mode)
		x := b.Input("x", image)
		x = b.Call("norm", "first", x)[0]
		b.Output("y", b.Call("norm", "second", x.Relu())[0].Softmax(-1))
		finish(t, b)
		c := graph.NewBuilder(m, "model", mode)
		x = c.Input("x", image)
		c.Output("y", c.Call("block", "body.stage[1]", c.Call("block", "body.stage[0]", x)[0])[0])
		finish(t, c)
	}
	return m
}

func ops(f *Flat, under string) []string {
	var out []string
	for i, n := range f.Nodes {
		if within(f.Scopes[i], under) {
			out = append(out, n.Op.String())
		}
	}
	return out
}

func TestFlattenExpandsCallsWithTheirScopes(t *testing.T) {
	f, err := Flatten(context.Background(), model(t), "model", kernels.Options{Mode: graph.Train, Symbols: map[string]int64{"batch": 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Scopes) != len(f.Nodes) {
		t.Fatalf("%d scopes for %d nodes", len(f.Scopes), len(f.Nodes))
	}
	for _, typ := range f.Types {
		if _, ok := typ.Shape.Const(); !ok {
			t.Errorf("type %v is not concrete", typ)
		}
	}
	for _, n := range f.Nodes {
		if n.Op == graph.OpCall {
			t.Error("a call is left")
		}
	}
	first, second := ops(f, "body.stage[0].first"), ops(f, "body.stage[1].second")
	if len(first) == 0 || !slices.Equal(first, second) {
		t.Errorf("the scopes of one function hold %v and %v", first, second)
	}
	if i := f.Result(graph.StateRole, "body.stage[1].second.mean"); i < 0 {
		t.Errorf("a state result is missing: %v", f.Results)
	}
	if got := f.Types[f.Results[0].Value].String(); got != "f32[3, 4]" {
		t.Errorf("the output is %s", got)
	}
}

func TestFrozenScopesTakeInferenceAndKeepTheirState(t *testing.T) {
	f, err := Flatten(context.Background(), model(t), "model", kernels.Options{
		Mode: graph.Train, Frozen: []string{"body.stage[0].second", "body.stage[1]"}, Symbols: map[string]int64{"batch": 3},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	frozen := map[string]bool{"body.stage[0].first": false, "body.stage[0].second": true, "body.stage[1].first": true, "body.stage[1].second": true}
	for scope, want := range frozen {
		if got := !slices.Contains(ops(f, scope), "reduce"); got != want {
			t.Errorf("%s runs for inference: %v, want %v (%v)", scope, got, want, ops(f, scope))
		}
		r := f.Results[f.Result(graph.StateRole, scope+".mean")]
		p := f.Param(graph.StateRole, scope+".mean")
		if passes := int(r.Value) == p; passes != want {
			t.Errorf("the state of %s passes through: %v, want %v", scope, passes, want)
		}
	}
	all, err := Flatten(context.Background(), model(t), "model", kernels.Options{Mode: graph.Train, Frozen: []string{""}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(ops(all, "body.stage[0].first"), "reduce") {
		t.Error("the empty scope does not freeze everything")
	}
}

func TestFlattenKeepsComposites(t *testing.T) {
	composite := func(f *graph.Func) bool { return f.Composite != nil && f.Composite.Name == "hone/softmax@1" }
	f, err := Flatten(context.Background(), model(t), "model", kernels.Options{Mode: graph.Infer, Symbols: map[string]int64{"batch": 3}}, composite)
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for i, n := range f.Nodes {
		if n.Op != graph.OpCall {
			continue
		}
		kept++
		body := f.Bodies[i]
		if body == nil || body.Composite.Name != "hone/softmax@1" {
			t.Fatalf("node %d has the body %v", i, body)
		}
		if got := body.Params[0].Type.String(); got != "f32[3, 4]" {
			t.Errorf("the body takes %s", got)
		}
		flops, _ := f.Cost(i)
		inner, _ := body.Total()
		if flops != inner || flops == 0 {
			t.Errorf("the call costs %d, its body %d", flops, inner)
		}
	}
	if kept != 2 {
		t.Errorf("%d calls are kept, want 2", kept)
	}
}

func TestFlattenScansKeepTheirBody(t *testing.T) {
	m := graph.NewModule()
	norm(t, m)
	b := graph.NewBuilder(m, "cell", graph.Any)
	h := b.Input("h", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}})
	x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(4)}})
	b.Output("h", h.Add(x).Relu())
	b.Output("y", x)
	finish(t, b)
	c := graph.NewBuilder(m, "rnn", graph.Any)
	xs := c.Input("xs", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.N(7), graph.Batch, graph.N(4)}})
	zero := c.Full(graph.F32, 0, xs.Dim(1), xs.Dim(2))
	r := c.Scan("cell", false, 0, []graph.Value{zero}, nil, []graph.Value{xs})
	c.Output("h", r[0])
	finish(t, c)
	f, err := Flatten(context.Background(), m, "rnn", kernels.Options{Symbols: map[string]int64{"batch": 2}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.Nodes, func(n graph.Node) bool { return n.Op == graph.OpScan })
	body := f.Bodies[i]
	if body == nil || body.Types[0].String() != "f32[2, 4]" || len(ops(body, "")) != 4 {
		t.Fatalf("the scan's body is %+v", body)
	}
	if flops, _ := f.Cost(i); flops != 7*(8+8) {
		t.Errorf("the scan costs %d operations, want 7 steps of an add and a max over 8 elements", flops)
	}
}

// doubling returns a module in which f0 expands to 2^n nodes.
func doubling(n int) *graph.Module {
	m := graph.NewModule()
	leaf := &graph.Func{
		Name: fmt.Sprint("f", n), Params: []graph.Param{{Name: "x", Role: graph.Input, Type: graph.Scalar(graph.F32)}},
		Nodes:   []graph.Node{{Op: graph.OpNeg, Args: []graph.ValueID{0}, Out: 1, NumOut: 1}},
		Results: []graph.Result{{Name: "y", Role: graph.Output, Value: 1}}, Types: []graph.Type{graph.Scalar(graph.F32), graph.Scalar(graph.F32)},
	}
	m.Funcs = append(m.Funcs, leaf)
	for i := n - 1; i >= 0; i-- {
		f := leaf.Clone()
		f.Name = fmt.Sprint("f", i)
		call := &graph.CallAttrs{Callee: fmt.Sprint("f", i+1), Scope: "a"}
		f.Nodes = []graph.Node{
			{Op: graph.OpCall, Attrs: call, Args: []graph.ValueID{0}, Out: 1, NumOut: 1},
			{Op: graph.OpCall, Attrs: call, Args: []graph.ValueID{1}, Out: 2, NumOut: 1},
		}
		f.Types = append(f.Types, graph.Scalar(graph.F32))
		f.Results[0].Value = 2
		m.Funcs = append(m.Funcs, f)
	}
	return m
}

func TestFlattenChecksLimitsBeforeExpanding(t *testing.T) {
	for _, n := range []int{40, 200} { // 2^40 nodes would not fit, 2^200 overflows
		for _, frozen := range [][]string{nil, {"a.a.a", "b"}} {
			_, err := Flatten(context.Background(), doubling(n), "f0", kernels.Options{Limits: kernels.Limits{Nodes: 1000}, Frozen: frozen}, nil)
			var limit *kernels.LimitError
			if !errors.As(err, &limit) {
				t.Errorf("depth %d: %v", n, err)
			}
			if _, err = Flatten(context.Background(), doubling(n), "f0", kernels.Options{Frozen: frozen}, nil); !errors.As(err, &limit) {
				t.Errorf("depth %d without a limit: %v", n, err)
			}
		}
	}
	f, err := Flatten(context.Background(), doubling(9), "f0", kernels.Options{Limits: kernels.Limits{Nodes: 512}}, nil)
	if err != nil || len(f.Nodes) != 512 {
		t.Errorf("512 nodes with a limit of 512: %v", err)
	}
}

// Calls of functions that hold nothing are counted: expanding them takes time.
func TestFlattenCountsCallsOfEmptyFunctions(t *testing.T) {
	for _, params := range []int{0, 1} {
		empty := func(n int) *graph.Module {
			m := doubling(n)
			for _, f := range m.Funcs {
				if len(f.Nodes) == 1 {
					f.Nodes, f.Types, f.Results[0].Value = nil, f.Types[:1], 0
				}
				if params == 0 {
					f.Params, f.Results, f.Types = nil, nil, nil
					for i := range f.Nodes {
						f.Nodes[i].Args, f.Nodes[i].Out, f.Nodes[i].NumOut = nil, 0, 0
					}
				}
			}
			return m
		}
		for _, o := range []kernels.Options{{Limits: kernels.Limits{Nodes: 1000}}, {}} {
			var limit *kernels.LimitError
			if _, err := Flatten(context.Background(), empty(100), "f0", o, nil); !errors.As(err, &limit) {
				t.Errorf("%d parameters, %+v: %v", params, o.Limits, err)
			}
		}
		if f, err := Flatten(context.Background(), empty(5), "f0", kernels.Options{Limits: kernels.Limits{Nodes: 32}}, nil); err != nil || len(f.Nodes) != 0 {
			t.Errorf("%d parameters: 32 calls of an empty function with a limit of 32: %v", params, err)
		}
	}
}

func TestFlattenRefusesBadModules(t *testing.T) {
	edit := func(change func(m *graph.Module)) *graph.Module {
		m := doubling(3)
		change(m)
		return m
	}
	top := func(m *graph.Module) *graph.Func { return m.Resolve("f0", graph.Any) }
	for name, c := range map[string]struct {
		m    *graph.Module
		o    kernels.Options
		want string
	}{
		"no entry":        {graph.NewModule(), kernels.Options{}, `no function "f0"`},
		"recursion":       {edit(func(m *graph.Module) { m.Funcs[1].Nodes[0].Attrs = &graph.CallAttrs{Callee: "f1"} }), kernels.Options{}, `"f1" -> "f2" -> "f1"`},
		"missing callee":  {edit(func(m *graph.Module) { top(m).Nodes[0].Attrs = &graph.CallAttrs{Callee: "g"} }), kernels.Options{}, `calls "g"`},
		"empty callee":    {edit(func(m *graph.Module) { top(m).Nodes[0].Attrs = &graph.CallAttrs{} }), kernels.Options{}, `calls ""`},
		"operand":         {edit(func(m *graph.Module) { top(m).Nodes[0].Args[0] = 2 }), kernels.Options{}, "before it is computed"},
		"negative":        {edit(func(m *graph.Module) { top(m).Nodes[0].Args[0] = -1 }), kernels.Options{}, "before it is computed"},
		"no operands":     {edit(func(m *graph.Module) { top(m).Nodes[0].Args = nil }), kernels.Options{}, "takes 1 operands"},
		"numbering":       {edit(func(m *graph.Module) { top(m).Nodes[1].Out = 0 }), kernels.Options{}, "numbers its"},
		"result":          {edit(func(m *graph.Module) { top(m).Results[0].Value = 9 }), kernels.Options{}, "value 9 of 3"},
		"attributes":      {edit(func(m *graph.Module) { top(m).Nodes[1].Attrs = &graph.SizeAttrs{} }), kernels.Options{}, "attributes of type"},
		"no attributes":   {edit(func(m *graph.Module) { top(m).Nodes[1].Attrs = nil }), kernels.Options{}, "attributes of type"},
		"op":              {edit(func(m *graph.Module) { top(m).Nodes[1].Op = 9999 }), kernels.Options{}, "no valid op"},
		"types":           {edit(func(m *graph.Module) { top(m).Types = top(m).Types[:1] }), kernels.Options{}, "numbers its"},
		"type of result":  {edit(func(m *graph.Module) { m.Funcs[0].Types[1] = graph.Scalar(graph.F64) }), kernels.Options{}, "the node says f64"},
		"missing symbol":  {model(t), kernels.Options{Symbols: map[string]int64{}}, `"batch"`},
		"negative symbol": {model(t), kernels.Options{Symbols: map[string]int64{"batch": -1}}, "not negative"},
	} {
		entry := "f0"
		if c.m.Resolve("model", graph.Train) != nil {
			entry, c.o.Mode = "model", graph.Train
		}
		_, err := Flatten(context.Background(), c.m, entry, c.o, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestFlattenHonoursItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Flatten(ctx, doubling(3), "f0", kernels.Options{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestCostCountsProducts(t *testing.T) {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "f", graph.Any)
	x := b.Input("x", graph.T(graph.F32, 5, 8, 8, 6))
	w := b.Input("w", graph.T(graph.F32, 3, 3, 2, 9))
	a := graph.ConvAttrs{
		Strides: []int64{1, 1}, PadLow: []int64{1, 1}, PadHigh: []int64{1, 1},
		InputDilation: []int64{1, 1}, FilterDilation: []int64{1, 1}, Groups: 3,
	}
	y := x.Conv(w, a)
	b.Output("dx", b.Apply(graph.OpConvInputGrad, &a, y, w, x)[0])
	b.Output("dw", b.Apply(graph.OpConvFilterGrad, &a, x, y, w)[0])
	b.Output("z", y.MatMul(b.Input("v", graph.T(graph.F32, 9, 4))))
	finish(t, b)
	f, err := Flatten(context.Background(), m, "f", kernels.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	conv := int64(2 * 5 * 8 * 8 * 9 * 3 * 3 * 2)
	for i, want := range []int64{conv, conv, conv, 2 * 5 * 8 * 8 * 9 * 4} {
		if got, _ := f.Cost(i); got != want {
			t.Errorf("%v costs %d operations, want %d", f.Nodes[i].Op, got, want)
		}
	}
}
