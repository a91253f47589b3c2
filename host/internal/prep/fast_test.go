package prep_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/kernels/cpu"
)

// TestFastBackend runs every kind of transform on the fast backend, whose results
// differ from the reference's by rounding at most.
func TestFastBackend(t *testing.T) {
	in := people(t, data.ChunkRows+700)
	with := append([]spec.Transform{transform("drop_missing", []string{"job"})}, peopleTransforms()...)
	want := apply(t, fit(t, in, peopleOptions, with...), prep.Train, in)
	o := peopleOptions
	be, err := cpu.New(cpu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	o.Backend = be
	got := apply(t, fit(t, in, o, with...), prep.Train, in)
	if fmt.Sprint(got.Schema()) != fmt.Sprint(want.Schema()) || got.Rows() != want.Rows() {
		t.Fatalf("%v with %d rows, wanted %v with %d", got.Schema(), got.Rows(), want.Schema(), want.Rows())
	}
	for i, c := range want.Columns {
		for row := range c.Rows() {
			for e := range c.Width() {
				x, y := got.Columns[i].Float64At(row, e), c.Float64At(row, e)
				if math.Abs(x-y) > 1e-6*max(1, math.Abs(y)) || math.IsNaN(x) != math.IsNaN(y) {
					t.Fatalf("%s, row %d: %v, wanted %v", c.Name, row, x, y)
				}
			}
		}
	}
}
