package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/plugins/builtin"
)

// digitsProject is one layer on the digits that hone carries.
func digitsProject(o host.Options) (*host.Project, error) {
	return host.New(&host.Spec{
		Data: []host.Data{{
			Type: host.Type("digits"), Name: "digits",
			Transforms: []host.Transform{{Type: host.Type("rescale"), Name: "small", Columns: []string{"image"}, Args: host.Args{host.Arg("scale", 1.0/16)}}},
		}},
		Models: []host.ModelSpec{{
			Name: "net", Inputs: []host.Input{{Name: "image"}},
			Layers: []host.LayerSpec{
				{Type: host.Type("flatten"), Name: "flat"},
				{Type: host.Type("dense"), Name: "logits", Args: host.Args{host.Arg("units", 10)}},
			},
		}},
		Train: &host.TrainSpec{
			Epochs:    2,
			Losses:    []host.Loss{{Type: host.Type("sparse_categorical_crossentropy"), Args: host.Args{host.Arg("from_logits", true)}}},
			Optimizer: &host.Optimizer{Type: host.Type("sgd"), Args: host.Args{host.Arg("momentum", 0.9)}},
		},
	}, o)
}

// Trials that differ in numbers alone share an engine: the first compiles the
// step, the others begin with it.
func ExampleEngine() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "hone")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	engine, err := host.NewEngine(host.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	p, err := digitsProject(host.Options{Builtin: builtin.InProcess(), Engine: engine})
	if err != nil {
		fmt.Println(err)
		return
	}
	last := host.Number(10)
	for _, rate := range []float64{0.0001, 0.001, 0.01} {
		r, err := p.Train(ctx, host.TrainOptions{
			Out:    filepath.Join(dir, fmt.Sprintf("rate-%v.hone", rate)),
			Hypers: map[string]float64{"optimizer:learning_rate": rate},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(rate, "better:", r.Loss < last)
		last = r.Loss
	}
	// Output:
	// 0.0001 better: true
	// 0.001 better: true
	// 0.01 better: true
}

// A mask holds weights at zero from the first step on, and stays in the
// checkpoint: here no digit looks at the upper half of its image.
func ExampleTrainOptions_masks() {
	dir, err := os.MkdirTemp("", "hone")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	p, err := digitsProject(host.Options{Builtin: builtin.InProcess()})
	if err != nil {
		fmt.Println(err)
		return
	}
	lower := &host.Tensor{DType: 2 /* f32 */, Shape: []int64{64, 10}, Data: make([]byte, 4*640)}
	for i := 320; i < 640; i++ {
		lower.SetFloat(i, 1)
	}
	out := filepath.Join(dir, "lower.hone")
	if _, err := p.Train(context.Background(), host.TrainOptions{Out: out, Masks: map[string]*host.Tensor{"logits.kernel": lower}}); err != nil {
		fmt.Println(err)
		return
	}
	m, err := host.Open(out, host.Options{NoPlugins: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	for path, mask := range m.Masks() {
		fmt.Println(path, mask.DType, mask.Shape)
	}
	// Output:
	// logits.kernel bool [64 10]
}
