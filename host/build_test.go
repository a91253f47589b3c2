package host

import (
	"context"
	"path/filepath"
	"testing"
)

func TestASpecBuiltInGoTrains(t *testing.T) {
	s := &Spec{
		Data: []Data{{Type: Type("digits"), Name: "digits"}},
		Models: []ModelSpec{{Name: "net", Inputs: []Input{{Name: "image"}}, Layers: []LayerSpec{
			{Type: Type("flatten"), Name: "flat"},
			{Type: Type("dense"), Name: "logits", Args: Args{Arg("units", 10)}},
		}}},
		Train: &TrainSpec{
			Epochs: 2, BatchSize: 32,
			Losses:    []Loss{{Type: Type("sparse_categorical_crossentropy"), Args: Args{Arg("from_logits", true)}}},
			Optimizer: &Optimizer{Type: Type("adam")},
		},
	}
	p, err := New(s, Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Train(context.Background(), TrainOptions{Out: filepath.Join(t.TempDir(), "x.hone")})
	if err != nil {
		t.Fatal(err)
	}
	if r.Epochs != 2 || r.Parameters != 650 {
		t.Errorf("%+v", r)
	}
}
