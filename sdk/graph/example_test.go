package graph_test

import (
	"fmt"
	"strings"

	"github.com/hone-ml/hone/sdk/graph"
)

// A function is written with a Builder: declare its parameters, combine values,
// name the results. The first mistake is kept for Finish.
func ExampleBuilder() {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "swish", graph.Any)
	x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(8)}})
	b.Output("y", x.Mul(x.Sigmoid()))
	if _, err := b.Finish(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(m)
	// Output:
	// ir 1
	//
	// func swish any (%0 input x: f32[batch, 8]) -> (output y: %2) {
	//   %1 = sigmoid(%0): f32[batch, 8]
	//   %2 = mul(%0, %1): f32[batch, 8]
	// }
}

// The text form is read back with ParseText; Verify checks what it means.
func ExampleParseText() {
	m, err := graph.ParseText(`ir 1
func sum any (%0 input x: f32[batch, 3]) -> (output y: %1) {
  %1 = reduce(%0) {kind=sum, axes=[1]}: f32[batch, 3]
}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(graph.Verify(m, graph.Limits{}))
	// Output:
	// function "sum" (any): node 0 (%1 = reduce): %1 is declared f32[batch, 3] and is f32[batch]
}

// Modules go over the wire as protobuf, and are identified by a digest that
// does not depend on how they were numbered.
func ExampleMarshal() {
	m, err := graph.ParseText("ir 1\nfunc f any (%0 input x: f32[2]) -> (output y: %1) {\n%1 = exp(%0): f32[2]\n}")
	if err != nil {
		fmt.Println(err)
		return
	}
	data, err := graph.Marshal(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := graph.Unmarshal(data, graph.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(graph.Digest(m) == graph.Digest(n))
	// Output: true
}

// A composite with a gradient of its own: rounding that lets the gradient
// through as if it were not there.
func ExampleBuilder_CompositeWithGradient() {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "quantize", graph.Any)
	x := b.Input("x", graph.T(graph.F32, 4))
	y := b.CompositeWithGradient("acme/straight_through@1", nil, []graph.Value{x},
		func(_ *graph.Builder, x []graph.Value) []graph.Value { return []graph.Value{x[0].Round()} },
		func(_ *graph.Builder, ins, outs, douts []graph.Value) []graph.Value { return douts })
	b.Output("y", y[0])
	if _, err := b.Finish(); err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(m.String()) {
		if strings.HasPrefix(line, "func") {
			fmt.Print(line)
		}
	}
	// Output:
	// func acme/straight_through.gradient@1#0 any composite acme/straight_through.gradient@1 (
	// func acme/straight_through@1#0 any composite acme/straight_through@1 gradient acme/straight_through.gradient@1#0 (%0 input x0: f32[4]) -> (output y0: %1) {
	// func quantize any (%0 input x: f32[4]) -> (output y: %1) {
}
