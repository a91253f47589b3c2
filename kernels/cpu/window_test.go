package cpu

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// TestConvolutionsAndPoolsEqualReference runs the three convolutions and both
// kinds of pooling with their gradients on random geometries.
func TestConvolutionsAndPoolsEqualReference(t *testing.T) {
	var backends []*Backend
	for _, threads := range []int{1, 2} {
		b, err := New(Config{Threads: threads, shareAll: true})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		backends = append(backends, b)
	}
	r := rand.New(rand.NewPCG(5, 6))
	pick := func(v ...int64) int64 { return v[r.IntN(len(v))] }
	random := func(shape ...int64) *graph.Tensor {
		v := graph.NewTensor(graph.F32, shape...)
		for i := range v.Len() {
			v.SetFloat(i, float64(r.IntN(9)-4)/4)
		}
		return v
	}
	ran := 0
	for range 40 {
		h, w := pick(5, 8, 9), pick(4, 7, 9)
		groups, ci, co := int64(1), pick(1, 3, 8, 20), pick(1, 5, 16, 33)
		switch r.IntN(5) {
		case 0:
			groups = pick(2, 3)
			ci, co = ci*groups, co*groups
		case 1:
			groups, co = ci, ci
		case 2:
			ci, co = 64, 64
		}
		k, stride, dil := pick(1, 2, 3), pick(1, 1, 2), pick(1, 1, 2)
		a := graph.ConvAttrs{
			Strides: []int64{stride, pick(1, 2)}, PadLow: []int64{pick(0, 1, 2), pick(0, 1)}, PadHigh: []int64{pick(0, 1), pick(0, 1, 2)},
			InputDilation: []int64{1, pick(1, 1, 1, 2)}, FilterDilation: []int64{dil, 1}, Groups: groups,
		}
		m := graph.NewModule()
		b := graph.NewBuilder(m, "f", graph.Any)
		x := b.Input("x", graph.T(graph.F32, 2, h, w, ci))
		f := b.Input("w", graph.T(graph.F32, k, 3, ci/groups, co))
		y := x.Conv(f, a)
		b.Output("y", y)
		if b.Err() != nil {
			continue // a window larger than the image
		}
		b.Output("dx", b.Apply(graph.OpConvInputGrad, &a, y, f, x)[0])
		b.Output("dw", b.Apply(graph.OpConvFilterGrad, &a, x, y, f)[0])
		for _, kind := range []graph.ReduceKind{graph.Max, graph.Sum} {
			p := graph.WindowAttrs{Kind: kind, Window: []int64{1, k, 3, 1}, Strides: []int64{1, stride, 2, 1}, PadLow: []int64{0, 0, 1, 0}, PadHigh: []int64{0, 0, pick(0, 1), 0}, Dilation: []int64{1, 1, 1, 1}}
			q := x.ReduceWindow(p)
			b.Output(fmt.Sprint("pool", kind), q)
			b.Output(fmt.Sprint("dpool", kind), b.Apply(graph.OpReduceWindowGrad, &p, x, q)[0])
		}
		if _, err := b.Finish(); err != nil {
			t.Fatal(err)
		}
		args := []*graph.Tensor{random(2, h, w, ci), random(k, 3, ci/groups, co)}
		want, err := reference.Eval(context.Background(), m, "f", kernels.Options{}, args...)
		if err != nil {
			t.Fatal(err)
		}
		ran++
		var first []*graph.Tensor
		for _, be := range backends {
			got := runOnce(t, be, m, "f", kernels.Options{}, args...)
			if first == nil {
				first = got
			}
			for i := range got {
				if !bytes.Equal(got[i].Data, first[i].Data) {
					t.Fatalf("result %d depends on the number of threads\n%v", i, m)
				}
				scale := 1.0
				for j := range want[i].Len() {
					scale = max(scale, math.Abs(want[i].Float(j)))
				}
				for j := range want[i].Len() {
					if d := math.Abs(got[i].Float(j) - want[i].Float(j)); !(d <= 2e-5*scale) {
						t.Fatalf("result %d, element %d is %v, want %v\n%v", i, j, got[i].Float(j), want[i].Float(j), m)
					}
				}
			}
		}
	}
	if ran < 20 {
		t.Fatalf("only %d of the geometries could be traced", ran)
	}
}
