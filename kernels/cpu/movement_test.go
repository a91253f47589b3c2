package cpu

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Transposes of more rows and columns than a tile has move every element, of
// every size, to its place.
func TestTransposesOfManyTiles(t *testing.T) {
	b, err := New(Config{Threads: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, d := range []graph.DType{graph.U8, graph.F16, graph.F32, graph.F64} {
		for _, c := range []struct{ outer, rows, cols int64 }{{1, 9001, 37}, {1, 37, 9001}, {2, 4097, 130}, {3, 8192, 128}, {1, 4096, 16}} {
			t.Run(fmt.Sprint(d, c), func(t *testing.T) {
				m := graph.NewModule()
				f := graph.NewBuilder(m, "f", graph.Any)
				x := graph.NewTensor(d, c.outer, c.rows, c.cols)
				size := d.Size()
				for i := range x.Data {
					x.Data[i] = byte((i/size*2654435761)>>(8*(i%size+1))) ^ byte(i/size)
				}
				f.Output("y", f.Input("x", x.Type()).Transpose(0, 2, 1))
				if _, err := f.Finish(); err != nil {
					t.Fatal(err)
				}
				want := make([]byte, len(x.Data))
				for o := range int(c.outer) {
					for i := range int(c.rows) {
						for j := range int(c.cols) {
							from, to := ((o*int(c.rows)+i)*int(c.cols)+j)*size, ((o*int(c.cols)+j)*int(c.rows)+i)*size
							copy(want[to:to+size], x.Data[from:])
						}
					}
				}
				if got := runOnce(t, b, m, "f", kernels.Options{}, x)[0]; !bytes.Equal(got.Data, want) {
					t.Error("elements are misplaced")
				}
			})
		}
	}
}
