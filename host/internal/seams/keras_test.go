package seams

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
)

// kerasTensor is a tensor of tools/goldens.
type kerasTensor struct {
	Shape []int     `json:"shape"`
	DType string    `json:"dtype"`
	Data  []float64 `json:"data"`
}

// kerasRun is one training of tools/goldens/seams.py: in float64, the truth.
type kerasRun struct {
	Name    string                 `json:"name"`
	Weights map[string]kerasTensor `json:"weights"`
	F64     struct {
		Epochs []map[string]any       `json:"epochs"`
		Final  map[string]kerasTensor `json:"final"`
	} `json:"f64"`
}

// keras returns a run, the rows that it trained on as CSV, and its first weights
// as a NumPy archive.
func keras(t *testing.T, name string) (r kerasRun, rows, archive string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "goldens", "seams.json"))
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Cases []kerasRun             `json:"cases"`
		Data  map[string]kerasTensor `json:"data"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(f.Cases, func(r kerasRun) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("there is no run %q", name)
	}
	names := slices.Sorted(maps.Keys(f.Data))
	var csv strings.Builder
	csv.WriteString(strings.Join(names, ",") + "\n")
	for i := range f.Data[names[0]].Data {
		for j, n := range names {
			if j > 0 {
				csv.WriteByte(',')
			}
			format := "%.3f"
			if f.Data[n].DType == "i32" {
				format = "%.0f"
			}
			fmt.Fprintf(&csv, format, f.Data[n].Data[i])
		}
		csv.WriteByte('\n')
	}
	var zip bytes.Buffer
	w := npz.NewWriter(&zip)
	for _, name := range slices.Sorted(maps.Keys(f.Cases[i].Weights)) {
		k := f.Cases[i].Weights[name]
		v := &host.Tensor{DType: 2, Data: make([]byte, 4*len(k.Data))} // f32
		for i, x := range k.Data {
			v.SetFloat(i, x)
		}
		if err := w.Add(modelfmt.TensorInfo{Name: name, DType: modelfmt.F32, Shape: k.Shape}, bytes.NewReader(v.Data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Cases[i], csv.String(), zip.String()
}

// follows trains a spec from Keras's weights, which ARCHIVE stands for, and
// compares epoch by epoch: losses by the names that the pairs give them (hone's,
// Keras's), also in validation, for which the spec takes all rows again, FILE;
// and in the end every weight. It returns the checkpoint.
func follows(t *testing.T, name, text string, pairs ...string) string {
	t.Helper()
	k, rows, archive := keras(t, name)
	p := project(t, replace(text, "ARCHIVE", `"`+write(t, "weights.npz", archive)+`"`), rows, host.Options{})
	out, _, epochs := train(t, p, host.TrainOptions{})
	if len(epochs) != len(k.F64.Epochs) {
		t.Fatalf("%d epochs, Keras has %d", len(epochs), len(k.F64.Epochs))
	}
	for i, e := range epochs {
		want := k.F64.Epochs[i]
		after := want["after"].(map[string]any)
		for j := 0; j < len(pairs); j += 2 {
			near(t, fmt.Sprintf("epoch %d, %s", i+1, pairs[j]), []float64{float64(e.Metrics[pairs[j]])}, []float64{want[pairs[j+1]].(float64)}, 2e-6)
			near(t, fmt.Sprintf("epoch %d, val_%s", i+1, pairs[j]), []float64{float64(e.Metrics["val_"+pairs[j]])}, []float64{after[pairs[j+1]].(float64)}, 2e-6)
		}
	}
	v := stored(t, out)
	for path, want := range k.F64.Final {
		if v[path] == nil {
			t.Errorf("Keras has %q, the checkpoint has not", path)
			continue
		}
		near(t, path, values(t, out)[path], want.Data, 5e-6)
	}
	for _, path := range slices.Sorted(maps.Keys(v)) {
		if _, ok := k.F64.Final[path]; !ok && !strings.Contains(path, ":") {
			t.Errorf("the checkpoint has %q, Keras has not", path)
		}
	}
	return out
}
