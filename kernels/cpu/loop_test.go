package cpu

import (
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// TestRepeatedRows adds a row to every row of a matrix, for widths below,
// around and above a block, and matrices that are short and long.
func TestRepeatedRows(t *testing.T) {
	b, err := New(Config{Threads: 2, shareAll: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, width := range []int{1, 3, 16, 63, 511, 1000, 1023, 1024, 1025, 1500, 2048, 2500, 5000} {
		for _, rows := range []int{1, 2, 7, 40, 900} {
			m := graph.NewModule()
			f := graph.NewBuilder(m, "f", graph.Any)
			x, row := f.Input("x", graph.T(graph.F32, int64(rows), int64(width))), f.Input("row", graph.T(graph.F32, int64(width)))
			f.Output("y", x.Mul(x).Add(row.BroadcastAlong([]int64{1}, x.Dims()...)))
			if _, err := f.Finish(); err != nil {
				t.Fatal(err)
			}
			in, add := ramp(rows*width), make([]float32, width)
			for i := range add {
				add[i] = float32(1000 + i)
			}
			y := runOnce(t, b, m, "f", kernels.Options{}, graph.Float32s(in, int64(rows), int64(width)), graph.Float32s(add, int64(width)))[0]
			for i, v := range in {
				if want := v*v + add[i%width]; float32(y.Float(i)) != want {
					t.Fatalf("%d x %d: element %d is %v, want %v", rows, width, i, y.Float(i), want)
				}
			}
		}
	}
}
