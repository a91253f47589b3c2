package seams

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Seam: a mask on a parameter is held through training, slots too, so that
// pruning is a matter of making masks. A program attaches one to a run,
//
//	p.Train(ctx, host.TrainOptions{Masks: map[string]*host.Tensor{"hidden.kernel": keep}})
//
// and needs to do nothing more: the checkpoint holds it, --resume and init_from go
// on with it. A masked weight has no gradient, so it takes no part in norms either:
// what trains is the network that has it not. The optimizer here is the hardest
// there is, with a second gradient, momentum that starts elsewhere than at zero,
// clipping by the global norm, accumulation and an average.
const masked = `
  epochs     = EPOCHS
  batch_size = 4
  clip_norm  = 0.5
  accumulate = 2
  ema {
    decay = 0.5
  }
  optimizer "sam" {
    rho = 0.1
    base "adagrad" {
      learning_rate             = 0.1
      initial_accumulator_value = 0.25
    }
  }`

// held is the mask: three of twelve weights, one of them a whole row's first.
var held = []int{0, 5, 10}

func keep(held []int) *host.Tensor {
	t := &host.Tensor{DType: 2, Shape: []int64{3, 4}, Data: make([]byte, 48)} // f32
	for i := range 12 {
		if !slices.Contains(held, i) {
			t.SetFloat(i, 1)
		}
	}
	return t
}

// maskTruth trains the network without the held weights in float64.
func maskTruth(w weights, rows []example, epochs int) (ema weights) {
	const rho, clip, rate, first, decay, every = 0.1, 0.5, 0.1, 0.25, 0.5, 2
	without := func(p string, i int, v float64) float64 {
		if p == "hidden.kernel" && slices.Contains(held, i) {
			return 0
		}
		return v
	}
	w.each(without)
	ema = w.clone()
	squares, sum := w.clone(), w.clone()
	squares.each(func(string, int, float64) float64 { return first })
	zero := func(string, int, float64) float64 { return 0 }
	sum.each(zero)
	step := 0
	for range epochs {
		for _, batch := range batchesOf(rows, 4) {
			_, g := w.gradient(batch)
			g.each(without)
			there, n := w.clone(), g.norm()
			there.each(func(p string, i int, v float64) float64 { return v + rho*g[p][i]/n })
			_, g = there.gradient(batch)
			g.each(without)
			sum.each(func(p string, i int, v float64) float64 { return v + g[p][i]/every })
			if step++; step%every != 0 {
				continue
			}
			scale := clip / math.Max(clip, sum.norm())
			squares.each(func(p string, i int, v float64) float64 { return v + scale*scale*sum[p][i]*sum[p][i] })
			w.each(func(p string, i int, v float64) float64 {
				return v - rate*scale*sum[p][i]/math.Sqrt(squares[p][i]+1e-7)
			})
			ema.each(func(p string, i int, v float64) float64 { return decay*v + (1-decay)*w[p][i] })
			sum.each(zero)
		}
	}
	return ema
}

// holds checks that all that is kept of a parameter is zero, to the bit, where it
// is held, and only there.
func holds(t *testing.T, checkpoint, param string) {
	t.Helper()
	count := 0
	for name, v := range stored(t, checkpoint) {
		if name != param && !strings.HasPrefix(name, param+":") || v.Len() != 12 {
			continue
		}
		count++
		for i := range v.Len() {
			zero := math.Float64bits(v.Float(i)) == 0
			if at := slices.Contains(held, i); at && !zero || !at && zero && !strings.HasSuffix(name, ":gradient") {
				t.Errorf("%s: %q[%d] is %v", checkpoint, name, i, v.Float(i))
			}
		}
	}
	if count < 4 {
		t.Errorf("%s: %d tensors are kept of %q, wanted the parameter, two slots and the average", checkpoint, count, param)
	}
}

func TestAMaskIsHeld(t *testing.T) {
	rows := examples(18)
	masks := map[string]*host.Tensor{"hidden.kernel": keep(held)}
	spec := func(epochs int, more string, o host.Options) *host.Project {
		return toy(t, replace(masked, "EPOCHS", fmt.Sprint(epochs))+more, rows, o)
	}
	truth := weightsOf(t, before(t, spec(4, "", host.Options{})))
	c, o := counted()
	whole, _, _ := train(t, spec(4, "", o), host.TrainOptions{Masks: masks})
	compilations := c.since()
	average := maskTruth(truth, rows, 4)
	truth.compare(t, whole, 2e-6)
	holds(t, whole, "hidden.kernel")
	near(t, "average", values(t, whole)["hidden.kernel:ema"], average["hidden.kernel"], 2e-6)

	// Resumed without a word of the mask, and without plugins: the same bits.
	part, _, _ := train(t, spec(3, "", host.Options{}), host.TrainOptions{Masks: masks})
	c, o = counted()
	o.NoPlugins = true
	again, _, _ := train(t, spec(4, "", o), host.TrainOptions{Resume: part})
	sameBits(t, whole, again)
	if n := c.since(); n != compilations {
		t.Errorf("%d compilations to resume, %d to train", n, compilations)
	}

	// Taken over by another model, the weights bring their mask along.
	from := fmt.Sprintf("\n  init_from {\n    path = %q\n  }", part)
	other, _, _ := train(t, spec(2, from, host.Options{}), host.TrainOptions{})
	holds(t, other, "hidden.kernel")
	m, err := host.Open(other, host.Options{Backend: "reference"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got := m.Masks(); len(got) != 1 || got["hidden.kernel"] == nil || got["hidden.kernel"].Len() != 12 {
		t.Errorf("the masks are %v", got)
	}
}

// restless is an optimizer that heeds no gradient: it moves every weight, counts
// in one slot, and spoils another.
type restless struct{}

func (*restless) Update(b *sdk.OptimizerBuilder, param, grad graph.Value) graph.Value {
	b.SetSlot("count", b.Slot("count", 1).Plus(1))
	b.SetSlot("spoilt", b.Slot("spoilt", 0).Times(0).Div(grad.Times(0))) // 0/0
	return param.Plus(0.5)
}

// Whatever an optimizer writes, the mask holds: numbers that are none as well.
func TestAMaskIsHeldAgainstTheOptimizer(t *testing.T) {
	with := host.Options{Builtin: sdk.Bundle{Plugins: append([]sdk.Plugin{{
		Name: "restless", Version: "1.0.0", Optimizers: sdk.Optimizers{"restless": func() sdk.Optimizer { return &restless{} }},
	}}, bundle.Plugins...)}}
	p := toy(t, "epochs = 2\n  batch_size = 4\n  optimizer \"restless\" {}", examples(8), with)
	out, _, _ := train(t, p, host.TrainOptions{Masks: map[string]*host.Tensor{"hidden.kernel": keep(held)}})
	v := values(t, out)
	for i := range 12 {
		at := slices.Contains(held, i)
		if w := v["hidden.kernel"][i]; at != (w == 0) {
			t.Errorf("hidden.kernel[%d] is %v", i, w)
		}
		if n := v["hidden.kernel:count"][i]; at && n != 0 || !at && n != 5 {
			t.Errorf("count[%d] is %v", i, n)
		}
		if x := v["hidden.kernel:spoilt"][i]; at == math.IsNaN(x) {
			t.Errorf("spoilt[%d] is %v", i, x)
		}
	}
}

// A mask costs little in a checkpoint, and what it prunes is not stored.
func TestMasksAreStoredSparsely(t *testing.T) {
	text := replace(tangent, "units      = 4", "units      = 4096", "DATA", "", "TRAIN", `
  epochs     = 1
  batch_size = 8
  optimizer "adam" {}`)
	all := &host.Tensor{DType: 2, Shape: []int64{3, 4096}, Data: make([]byte, 4*3*4096)}
	few := &host.Tensor{DType: 2, Shape: []int64{3, 4096}, Data: make([]byte, 4*3*4096)}
	for i := range all.Len() {
		all.SetFloat(i, 1)
		if i%16 == 0 {
			few.SetFloat(i, 1)
		}
	}
	size := func(m *host.Tensor) int64 {
		path, _, _ := train(t, project(t, text, csvOf(examples(16)), host.Options{}), host.TrainOptions{Masks: map[string]*host.Tensor{"hidden.kernel": m}})
		f, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return f.Size()
	}
	dense, sparse := size(all), size(few)
	// Parameter, momentum and velocity are 147,456 bytes whole.
	if sparse > dense-100_000 {
		t.Errorf("%d bytes whole, %d with one weight of 16 kept", dense, sparse)
	}
}

func TestAMaskThatDoesNotFitIsRefused(t *testing.T) {
	wide := keep(nil)
	wide.Shape = []int64{4, 3}
	for param, c := range map[string]struct {
		mask *host.Tensor
		want string
	}{
		"hiden.kernel":  {keep(nil), `Did you mean "hidden.kernel"?`},
		"hidden.kernel": {wide, "has the shape [4 3], the parameter [3 4]"},
	} {
		_, err := toy(t, replace(masked, "EPOCHS", "1"), examples(8), host.Options{}).
			Train(t.Context(), host.TrainOptions{Out: t.TempDir() + "/x.hone", Masks: map[string]*host.Tensor{param: c.mask}})
		if err == nil || !strings.Contains(fmt.Sprintf("%+v %s", err, detail(err)), c.want) {
			t.Errorf("%s: got %v, wanted %q", param, err, c.want)
		}
	}
}

// detail returns what a diagnostic says to do.
func detail(err error) string {
	var out []string
	switch d := err.(type) {
	case host.Diagnostic:
		out = append(out, d.Detail)
	case host.Diagnostics:
		for _, x := range d {
			out = append(out, x.Detail)
		}
	}
	return strings.Join(out, "\n")
}
