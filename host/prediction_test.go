package host

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
	"github.com/hone-ml/hone/sdk/graph"
)

func TestPredictionFormats(t *testing.T) {
	p := &Prediction{Examples: 2, Outputs: []OutputValues{
		{Name: "kind", Values: graph.Float32s([]float32{0.25, 0.75, 0.1, 1e-10}, 2, 2), Labels: []string{"<=50K", "a, \"b\""}, Scores: []float64{0.75, float64(float32(0.1))}},
		{Name: "age", Values: graph.Float64s([]float64{31.5, -2}, 2, 1)},
		{Name: "box", Values: graph.Int64s([]int64{1, 2, 3, 4, 5, 6, 7, 8}, 2, 2, 2)},
	}}
	for format, want := range map[string]string{
		"csv": "kind_label,kind_score,kind_0,kind_1,age,box_0_0,box_0_1,box_1_0,box_1_1\n" +
			"<=50K,0.75,0.25,0.75,31.5,1,2,3,4\n" +
			"\"a, \"\"b\"\"\",0.1,0.1,1e-10,-2,5,6,7,8\n",
		"jsonl": `{"kind_label":"<=50K","kind_score":0.75,"kind":[0.25,0.75],"age":31.5,"box":[[1,2],[3,4]]}` + "\n" +
			`{"kind_label":"a, \"b\"","kind_score":0.1,"kind":[0.1,1e-10],"age":-2,"box":[[5,6],[7,8]]}` + "\n",
	} {
		var b bytes.Buffer
		if err := p.Write(&b, format); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("%s is\n%swanted\n%s", format, b.String(), want)
		}
	}

	dir := t.TempDir()
	if err := p.WriteFile(filepath.Join(dir, "p.npy")); err == nil || !strings.Contains(err.Error(), "3 outputs") {
		t.Errorf("three outputs in one array: %v", err)
	}
	if err := p.WriteFile(filepath.Join(dir, "p.npz")); err != nil {
		t.Fatal(err)
	}
	one := &Prediction{Examples: 2, Outputs: p.Outputs[:1]}
	if err := one.WriteFile(filepath.Join(dir, "one.npy")); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 2 {
		t.Errorf("the folder has %v, %v", list, err)
	}
	for name, outputs := range map[string][]OutputValues{"p.npz": p.Outputs, "one.npy": {{Name: "array", Values: p.Outputs[0].Values}}} {
		f, err := npz.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for i, info := range f.Tensors() {
			o := outputs[i]
			r, err := f.TensorReader(info.Name)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, info.Bytes())
			if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, o.Values.Data) {
				t.Errorf("%s: array %s has other values (%v)", name, info.Name, err)
			}
			want, err := arrayOf(o)
			if err != nil || info.Name != want.Name || info.DType != want.DType || !slices.Equal(info.Shape, want.Shape) {
				t.Errorf("%s: %+v, wanted %+v", name, info, want)
			}
		}
		f.Close()
	}
	odd := &Prediction{Outputs: []OutputValues{{Name: "x", Values: graph.NewTensor(graph.BF16, 2)}}}
	var refused *modelfmt.InputError
	if err := odd.Write(&bytes.Buffer{}, "npy"); !errors.As(err, &refused) || !strings.Contains(err.Error(), "bf16") {
		t.Errorf("NumPy has no bf16: %v", err)
	}
}
