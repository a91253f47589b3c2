package reference_test

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

func ExampleEval() {
	m := graph.NewModule()
	b := graph.NewBuilder(m, "mean", graph.Any)
	x := b.Input("x", graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(2)}})
	b.Output("y", x.Mean(0))
	if _, err := b.Finish(); err != nil {
		fmt.Println(err)
		return
	}
	out, err := reference.Eval(context.Background(), m, "mean", kernels.Options{}, graph.Float32s([]float32{1, 2, 3, 6}, 2, 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out[0].Type(), out[0].Float(0), out[0].Float(1))
	// Output: f32[2] 2 4
}
