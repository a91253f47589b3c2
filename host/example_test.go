package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/plugins/builtin"
)

// A program trains a spec, then opens the checkpoint and predicts: no plugin is
// needed any more.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "hone")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	p, err := host.Load("../examples/digits", host.Options{Builtin: builtin.InProcess()})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := p.Train(ctx, host.TrainOptions{Out: filepath.Join(dir, "digits.hone")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Parameters, "parameters; accurate:", r.Metrics["test_accuracy"] > 0.96)

	m, err := host.Open(r.Checkpoint, host.Options{NoPlugins: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	for _, in := range m.Signature().Inputs {
		fmt.Println("takes", in.Name, in.DType, in.Shape)
	}
	blank := &host.Tensor{DType: 2 /* f32 */, Shape: []int64{1, 8, 8}, Data: make([]byte, 4*64)}
	y, err := m.Predict(ctx, map[string]*host.Tensor{"image": blank})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(y.Examples, "prediction of shape", y.Outputs[0].Values.Shape)
	// Output:
	// 4810 parameters; accurate: true
	// takes image f32 [batch 8 8]
	// 1 prediction of shape [1 10]
}

// A project can be inspected without training: every component is traced, the
// step is compiled, nothing runs.
func ExampleProject_Inspect() {
	p, err := host.Load("../examples/digits", host.Options{Builtin: builtin.InProcess()})
	if err != nil {
		fmt.Println(err)
		return
	}
	in, err := p.Inspect(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range in.Layers {
		fmt.Println(l.Name, l.Type, l.Outputs[0], l.Params)
	}
	// Output:
	// flat flatten f32[batch, 64] 0
	// hidden dense f32[batch, 64] 4160
	// drop dropout f32[batch, 64] 0
	// logits dense f32[batch, 10] 650
}
