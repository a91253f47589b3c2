// Package golden reads the numbers of Keras and scikit-learn that the tests of
// the plugins compare with. Their format is described in tools/goldens.
package golden

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/hone-ml/hone/sdk/graph"
)

// Load reads a file of ../testdata/goldens, as seen from a plugin's folder, into v.
func Load(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "goldens", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// Number is a float64 that may be written "NaN" or "Infinity".
type Number float64

// UnmarshalJSON reads a number.
func (n *Number) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case `"NaN"`:
		*n = Number(math.NaN())
	case `"Infinity"`:
		*n = Number(math.Inf(1))
	case `"-Infinity"`:
		*n = Number(math.Inf(-1))
	default:
		return json.Unmarshal(data, (*float64)(n))
	}
	return nil
}

// Tensor is a tensor as the files hold it.
type Tensor struct {
	Shape []int64  `json:"shape"`
	DType string   `json:"dtype"`
	Data  []Number `json:"data"`
}

// As returns the tensor with element type d. Its numbers are those of its own
// type: f32 ones are written with as many digits as tell them apart.
func (g *Tensor) As(d graph.DType) *graph.Tensor {
	t := graph.NewTensor(d, g.Shape...)
	for i, x := range g.Data {
		if g.DType == "f32" {
			x = Number(float32(x))
		}
		t.SetFloat(i, float64(x))
	}
	return t
}

// Input returns the tensor with floats as d, and integers as they are.
func (g *Tensor) Input(d graph.DType) *graph.Tensor {
	own, err := graph.ParseDType(g.DType)
	if err == nil && !own.IsFloat() {
		d = own
	}
	return g.As(d)
}

// Row returns part i along the first axis.
func (g *Tensor) Row(i int) *Tensor {
	n := int64(1)
	for _, e := range g.Shape[1:] {
		n *= e
	}
	return &Tensor{g.Shape[1:], g.DType, g.Data[int64(i)*n : int64(i+1)*n]}
}

// Batch returns a type of the tensor's shape whose first axis is the batch.
func Batch(t *graph.Tensor) graph.Type {
	typ := t.Type()
	typ.Shape[0] = graph.Batch
	return typ
}

// Check compares a result with the golden numbers: the difference may be
// tolerance times the golden magnitude, or times scale where that is larger.
func Check(t testing.TB, what string, got *graph.Tensor, want *Tensor, tolerance, scale float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: there is no such result", what)
		return
	}
	if fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) {
		t.Errorf("%s: shape %v, wanted %v", what, got.Shape, want.Shape)
		return
	}
	for i, w := range want.Data {
		if g := got.Float(i); !Near(g, float64(w), tolerance, scale) {
			t.Errorf("%s: element %d is %.9g, wanted %.9g", what, i, g, float64(w))
			return
		}
	}
}

// Near compares two numbers; NaN is near NaN.
func Near(got, want, tolerance, scale float64) bool {
	if math.IsNaN(want) || math.IsInf(want, 0) {
		return math.IsNaN(got) && math.IsNaN(want) || got == want
	}
	return math.Abs(got-want) <= tolerance*math.Max(math.Abs(want), scale)
}
