package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// randomModule traces functions of random ops over random shapes, with calls,
// composites, constants and every role.
func randomModule(seed uint64) *Module {
	r := rand.New(rand.NewPCG(seed, 1))
	m := NewModule()
	for i := range 1 + r.IntN(4) {
		name := fmt.Sprintf("f%d", i)
		modes := []Mode{Any}
		if r.IntN(2) == 0 {
			modes = []Mode{Train, Infer}
		}
		body := r.Uint64()
		for _, mode := range modes {
			randomFunc(rand.New(rand.NewPCG(body, 2)), m, name, mode)
		}
	}
	return m
}

func randomFunc(r *rand.Rand, m *Module, name string, mode Mode) {
	b := NewBuilder(m, name, mode)
	x := b.Input("x", Type{F32, Shape{Batch, N(int64(1 + r.IntN(5))), N(6)}})
	vs := []Value{x}
	if r.IntN(2) == 0 {
		vs = append(vs, b.Param("body.w[1].kernel", T(F32, 6), Decl{
			Axes: []string{[]string{"in", "", "spatial"}[r.IntN(3)]}, Tag: "kernel", Initializer: "init/glorot", NoDecay: r.IntN(2) == 0, NonTrainable: r.IntN(2) == 0,
		}))
	}
	if r.IntN(2) == 0 {
		s := b.State("mean", T(F32), Decl{Initializer: "zeros"})
		b.SetState("mean", s.Times(0.9).Add(x.Mean().Times(0.1)))
		vs = append(vs, s)
	}
	if rate := r.Float64(); mode == Train {
		keep := b.Uniform(x.Dim(1), x.Dim(2)).Ge(b.Hyper("rate", rate))
		vs = append(vs, keep.Select(x, x.Times(0)))
	} else {
		vs = append(vs, x)
	}
	t := NewTensor(F32, 6)
	for i := range 6 {
		t.SetFloat(i, []float64{r.NormFloat64(), math.Inf(1), math.NaN(), 0, math.Copysign(0, -1), 1e-42}[r.IntN(6)])
	}
	vs = append(vs, b.Const(t))
	for range 2 + r.IntN(12) {
		v := vs[r.IntN(len(vs))]
		var w Value
		switch r.IntN(20) {
		case 0:
			w = v.Add(v.Abs().Sum())
		case 1:
			w = v.Mul(v).Exp()
		case 2:
			w = v.Relu()
		case 3:
			w = v.Tanh().Max(v)
		case 4:
			w = v.Reshape(v.Dims()...)
		case 5:
			w = v.Convert(F16).Convert(F32)
		case 6:
			w = v.Sum().Plus(r.NormFloat64())
		case 7:
			w = vs[0].Flatten(1)
		case 8:
			if v.Rank() > 0 {
				w = v.Softmax(-1)
			}
		case 9:
			if v.Rank() > 0 {
				_, w = v.TopK(1)
				w = w.Convert(F32)
			}
		case 10:
			if v.Rank() > 0 {
				w = v.Sort(0, r.IntN(2) == 0, v.Convert(I32))[0]
			}
		case 11:
			w = v.IsFinite().Select(v, v.Times(0))
		case 12:
			if v.Rank() == 3 && v.ConstDim(2) > 1 {
				w = v.SliceAxis(2, E(1), v.Dim(2)).Pad(0.5, []Extent{E(0), E(1), E(0)}, []Extent{E(0), E(0), v.Dim(1)}, []int64{0, 0, 1})
			}
		case 13:
			w = v.Gelu(r.IntN(2) == 0)
		case 14:
			if v.Rank() == 3 {
				w = v.Transpose(0, 2, 1).ReduceWindow(WindowAttrs{Kind: Max, Window: []int64{1, 1, 1}, Strides: []int64{1, 1, 1}, PadLow: []int64{0, 0, 0}, PadHigh: []int64{0, 0, 0}, Dilation: []int64{1, 1, 1}})
			}
		case 15:
			w = b.Iota(U8, 0, vs[0].Dim(1).Times(E(3)).Plus(E(2)), vs[0].Dim(2)).Convert(F32).Sum(0)
		case 16:
			w = b.CompositeWithGradient("acme/square@3", []NamedAttr{{"note", "two words"}}, []Value{v},
				func(_ *Builder, x []Value) []Value { return []Value{x[0].Mul(x[0])} },
				func(_ *Builder, x, _, dy []Value) []Value { return []Value{x[0].Mul(dy[0]).Times(2)} })[0]
		case 17:
			if v.Rank() > 0 {
				w = v.Convert(F64).CumSum(0, true, false).Convert(F32)
			}
		case 18:
			if v.Rank() == 3 {
				w = v.MatMul(v.Transpose(0, 2, 1))
			}
		case 19:
			if v.Rank() > 0 {
				w = b.Concat(0, v, v)
			}
		}
		if w.Valid() {
			vs = append(vs, w)
		}
	}
	for _, f := range m.Funcs {
		if f.Composite == nil && f.Name != name && m.Resolve(f.Name, mode) == f && f.Params[0].Type.Equal(x.Type()) && r.IntN(2) == 0 {
			vs = append(vs, b.Call(f.Name, fmt.Sprintf("sub[%d]", r.IntN(3)), x)...)
			break
		}
	}
	b.Output("y", vs[len(vs)-1])
	if len(vs) > 3 {
		b.Output("z", vs[2])
	}
	if _, err := b.Finish(); err != nil {
		panic(fmt.Sprintf("random function: %v", err))
	}
}
