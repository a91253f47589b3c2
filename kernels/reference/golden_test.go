package reference_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// golden is one case of testdata/golden.json.gz, which golden.py writes.
type golden struct {
	Name    string
	Op      string
	Attrs   json.RawMessage
	In, Out []goldenTensor
	Tol     float64
}

type goldenTensor struct {
	Type  string
	Shape []int64
	Data  []json.RawMessage
}

func (g goldenTensor) tensor() (*graph.Tensor, error) {
	d, err := graph.ParseDType(g.Type)
	if err != nil {
		return nil, err
	}
	t := graph.NewTensor(d, g.Shape...)
	if t.Len() != len(g.Data) {
		return nil, fmt.Errorf("%v with %d elements", t.Type(), len(g.Data))
	}
	for i, raw := range g.Data {
		s := string(raw)
		if s[0] == '"' {
			s = s[1 : len(s)-1]
		}
		if d == graph.U64 {
			u, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return nil, err
			}
			t.SetInt(i, int64(u))
		} else if !d.IsFloat() {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil {
				return nil, err
			}
			t.SetInt(i, n)
		} else {
			x, err := strconv.ParseFloat(s, 64)
			if err != nil {
				return nil, err
			}
			t.SetFloat(i, x)
		}
	}
	return t, nil
}

// TestGolden compares with numbers that NumPy, PyTorch and mpmath computed.
func TestGolden(t *testing.T) {
	f, err := os.Open("testdata/golden.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var cases []golden
	if err := json.NewDecoder(z).Decode(&cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 500 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			op, err := graph.LookupOp(c.Op, 1)
			if err != nil {
				t.Fatal(err)
			}
			var attrs graph.Attrs
			if def := op.Def(); def.NewAttrs != nil {
				attrs = def.NewAttrs()
				if err := json.Unmarshal(c.Attrs, attrs); err != nil {
					t.Fatal(err)
				}
			}
			in := make([]*graph.Tensor, len(c.In))
			for i := range in {
				if in[i], err = c.In[i].tensor(); err != nil {
					t.Fatal(err)
				}
			}
			got, err := reference.EvalOp(context.Background(), op, attrs, in...)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.Out {
				want, err := c.Out[i].tensor()
				if err != nil {
					t.Fatal(err)
				}
				same(t, got[i], want, c.Tol)
			}
		})
	}
}

// same compares elements: equal, or within tol times the largest finite one.
func same(t *testing.T, got, want *graph.Tensor, tol float64) {
	t.Helper()
	if !got.Type().Equal(want.Type()) {
		t.Fatalf("got %v, want %v", got.Type(), want.Type())
	}
	scale := 0.0
	for i := range want.Len() {
		if x := math.Abs(want.Float(i)); !math.IsInf(x, 0) && x > scale {
			scale = x
		}
	}
	for i := range want.Len() {
		g, w := got.Float(i), want.Float(i)
		if want.DType.IsInt() && got.Int(i) == want.Int(i) || g == w || g != g && w != w {
			continue
		}
		if want.DType.IsInt() || !(math.Abs(g-w) <= tol*scale) {
			t.Fatalf("element %d is %v, want %v (tolerance %g)", i, g, w, tol*scale)
		}
	}
}
