package kerneltest

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/sdk/graph"
)

// broken is the reference with a mistake: it compiles another module.
type broken struct {
	reference.Backend
	change func(n *graph.Node)
}

func (b broken) Compile(ctx context.Context, m *graph.Module, entry string, o kernels.Options) (kernels.Executable, error) {
	m = m.Clone()
	for _, f := range m.Funcs {
		for i := range f.Nodes {
			b.change(&f.Nodes[i])
		}
	}
	return b.Backend.Compile(ctx, m, entry, o)
}

// TestMistakesAreFoundAndShrunk plants mistakes and asks that random graphs find
// them and that the smallest failing one is small.
func TestMistakesAreFoundAndShrunk(t *testing.T) {
	swap := func(from, to graph.Op) func(n *graph.Node) {
		return func(n *graph.Node) {
			if n.Op == from {
				n.Op = to
			}
		}
	}
	for name, c := range map[string]struct {
		kinds  []graphKind
		change func(n *graph.Node)
	}{
		"max for min":   {[]graphKind{exactGraphs, nodeGraphs}, swap(graph.OpMin, graph.OpMax)},
		"sub for add":   {[]graphKind{exactGraphs, nodeGraphs, smoothGraphs}, swap(graph.OpAdd, graph.OpSub)},
		"cos for sin":   {[]graphKind{nodeGraphs, smoothGraphs}, swap(graph.OpSin, graph.OpCos)},
		"exp for expm1": {[]graphKind{nodeGraphs, smoothGraphs}, swap(graph.OpExpm1, graph.OpExp)},
		"operands the other way round": {[]graphKind{exactGraphs, nodeGraphs, smoothGraphs}, func(n *graph.Node) {
			if n.Op == graph.OpSub {
				n.Args = []graph.ValueID{n.Args[1], n.Args[0]}
			}
		}},
		"no reversal": {[]graphKind{exactGraphs, nodeGraphs, smoothGraphs}, func(n *graph.Node) {
			if a, ok := n.Attrs.(*graph.ReverseAttrs); ok && len(a.Axes) > 0 {
				n.Attrs = &graph.ReverseAttrs{}
			}
		}},
		"cumsum from the wrong end": {[]graphKind{exactGraphs, nodeGraphs, smoothGraphs}, func(n *graph.Node) {
			if a, ok := n.Attrs.(*graph.CumSumAttrs); ok {
				b := *a
				b.Reverse = !b.Reverse
				n.Attrs = &b
			}
		}},
	} {
		for _, kind := range c.kinds {
			b := broken{reference.New(), c.change}
			found := false
			for seed := uint64(0); seed < 400 && !found; seed++ {
				r := Generate(seed, int(kind), 24)
				_, err := r.Check(t.Context(), b, int(kind))
				if err == nil {
					continue
				}
				found = true
				small, err := Shrink(t.Context(), b, int(kind), r, err)
				m, _, buildErr := small.Module()
				if buildErr != nil || err == nil {
					t.Fatalf("%s: the shrunk recipe builds with %v and fails with %v", name, buildErr, err)
				}
				if n := len(m.Func("f", graph.Any).Nodes); n > 3 {
					t.Errorf("%s, kind %d: the smallest failing graph has %d nodes:\n%s", name, kind, n, small)
				}
			}
			if !found {
				t.Errorf("%s: 400 graphs of kind %d do not show it", name, kind)
			}
		}
	}
}

// TestRandomGraphsCoverTheOps keeps the generator honest: every op appears, and
// the smooth graphs are compared closely.
func TestRandomGraphsCoverTheOps(t *testing.T) {
	missing := map[graphKind][]string{
		exactGraphs:  {"exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "sigmoid", "erf", "sin", "cos", "rem", "div", "pow"},
		smoothGraphs: {"sign", "floor", "ceil", "round", "is_finite", "rem", "bitcast", "arg_reduce", "sort", "top_k", "not", "and", "or", "xor", "shl", "shr", "random_bits"},
	}
	for kind := range graphKind(3) {
		seen := map[graph.Op]int{}
		outputs := 0
		for seed := range uint64(400) {
			r := Generate(seed, int(kind), 25)
			outputs += len(r.Outputs)
			for _, s := range r.Steps {
				seen[s.Op]++
			}
			if _, _, err := r.Module(); err != nil {
				t.Fatalf("seed %d, kind %d: %v", seed, kind, err)
			}
		}
		if outputs < 800 {
			t.Errorf("kind %d: %d outputs in 400 graphs", kind, outputs)
		}
		for _, op := range graph.Ops() {
			if op.Def().Class == graph.Structural || slices.Contains(missing[kind], op.String()) {
				continue
			}
			if seen[op] == 0 {
				t.Errorf("kind %d: no graph holds %v", kind, op)
			}
		}
	}
}

// TestNoiseIsSmall asks that the tolerance of smooth graphs is a small part of
// the values, or a planted error would hide in it.
func TestNoiseIsSmall(t *testing.T) {
	var share []float64
	loose, all := 0, 0
	for seed := range uint64(60) {
		r := Generate(seed, int(smoothGraphs), 20)
		m, args, err := r.Module()
		if err != nil {
			t.Fatal(err)
		}
		want, tol, err := noisy(t.Context(), newDice(1), m, "f", kernels.Options{}, args)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range want {
			for i := range tol[k] {
				all++
				if math.IsInf(tol[k][i], 1) {
					loose++
				} else if v.DType == graph.F32 && math.Abs(v.Float(i)) > 1e-3 {
					share = append(share, tol[k][i]/math.Abs(v.Float(i)))
				}
			}
		}
	}
	slices.Sort(share)
	if len(share) < 500 || loose*10 > all {
		t.Fatalf("%d f32 elements are compared; %d of %d elements are not", len(share), loose, all)
	}
	if m := share[len(share)/2]; m > 3e-6 {
		t.Errorf("the median tolerance is %.3g of the value", m)
	}
	if m := share[len(share)*95/100]; m > 1e-2 {
		t.Errorf("one tolerance in twenty is above %.3g of the value", m)
	}
}

// TestBoundsReject checks that values just outside their bounds are refused and
// those inside pass.
func TestBoundsReject(t *testing.T) {
	x := newDice(1).uniform(graph.F32, 0.5, 2, 40)
	for op, units := range ulps {
		if op == graph.OpDiv || op == graph.OpPow {
			continue
		}
		want := mustEval(t, op, nil, x)
		for _, c := range []struct {
			off float64
			ok  bool
		}{{0, true}, {units, true}, {-units, true}, {units + 1, false}, {-units - 1, false}} {
			got := graph.NewTensor(graph.F32, 40)
			for i := range 40 {
				got.SetFloat(i, want.Float(i)+c.off*formats[graph.F32].ulp(want.Float(i)))
			}
			if op == graph.OpSin || op == graph.OpCos {
				continue // also bounded absolutely
			}
			if err := CheckOp(t.Context(), op, nil, []*graph.Tensor{x}, []*graph.Tensor{got}); (err == nil) != c.ok {
				t.Errorf("%v off by %g units: %v", op, c.off, err)
			}
		}
	}
	neg := mustEval(t, graph.OpNeg, nil, graph.NewTensor(graph.F32, 1))
	if err := CheckOp(t.Context(), graph.OpNeg, nil, []*graph.Tensor{graph.NewTensor(graph.F32, 1)}, []*graph.Tensor{graph.NewTensor(graph.F32, 1)}); err == nil || !math.Signbit(neg.Float(0)) {
		t.Error("the sign of -0 is not looked at")
	}
	a := graph.Float32s([]float32{1, 2, 3}, 3)
	b := graph.Float32s([]float32{3, 2, 1}, 3)
	if err := CheckOp(t.Context(), graph.OpReverse, &graph.ReverseAttrs{Axes: []int64{0}}, []*graph.Tensor{a}, []*graph.Tensor{a}); err == nil || !strings.Contains(err.Error(), "other bits") {
		t.Errorf("a wrong movement: %v", err)
	}
	if err := CheckOp(t.Context(), graph.OpReverse, &graph.ReverseAttrs{Axes: []int64{0}}, []*graph.Tensor{a}, []*graph.Tensor{b}); err != nil {
		t.Error(err)
	}
}
