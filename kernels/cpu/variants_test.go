package cpu

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// apart are the ops on f32 whose results may differ between the kernel sets, in
// the last bits that the IR's specification leaves open. docs/rationale.md lists
// them; all others give the same bits everywhere.
var apart = map[string]bool{
	"exp": true, "expm1": true, "log": true, "log1p": true, "tanh": true, "sigmoid": true, "erf": true,
	"dot": true, "dot of transposed left": true, "dot of transposed right": true,
	"conv 1x1": true, "conv 3x3": true, "conv 3x3 stride 2": true, "conv in groups": true, "conv depthwise": true,
	"conv_input_grad": true, "conv_filter_grad": true, "moments": true, "gradient_moments": true,
	"softmax": true, "log_softmax": true, "softmax_cross_entropy": true, "gradient_softmax_cross_entropy": true,
}

// variantCases applies each op to operands whose extents leave remainders.
func variantCases() map[string]func(b *graph.Builder) graph.Value {
	out := map[string]func(b *graph.Builder) graph.Value{}
	x := func(b *graph.Builder, name string, shape ...int64) graph.Value {
		return b.Input(name, graph.T(graph.F32, shape...))
	}
	for _, op := range []graph.Op{graph.OpNeg, graph.OpAbs, graph.OpSign, graph.OpExp, graph.OpExpm1, graph.OpLog, graph.OpLog1p, graph.OpSqrt, graph.OpRsqrt, graph.OpTanh,
		graph.OpSigmoid, graph.OpErf, graph.OpSin, graph.OpCos, graph.OpFloor, graph.OpCeil, graph.OpRound} {
		out[op.String()] = func(b *graph.Builder) graph.Value { return b.Apply(op, nil, x(b, "x", 67, 61))[0] }
	}
	for _, op := range []graph.Op{graph.OpAdd, graph.OpSub, graph.OpMul, graph.OpDiv, graph.OpRem, graph.OpPow, graph.OpMax, graph.OpMin} {
		out[op.String()] = func(b *graph.Builder) graph.Value { return b.Apply(op, nil, x(b, "x", 67, 61), x(b, "y", 67, 61))[0] }
	}
	window := graph.WindowAttrs{Kind: graph.Sum, Window: []int64{1, 3, 3, 1}, Strides: []int64{1, 2, 2, 1}, PadLow: []int64{0, 1, 1, 0}, PadHigh: []int64{0, 1, 1, 0}, Dilation: []int64{1, 1, 1, 1}}
	highest := window
	highest.Kind = graph.Max
	conv := func(size, stride, groups int64) graph.ConvAttrs {
		return graph.ConvAttrs{Strides: []int64{stride, stride}, PadLow: []int64{size / 2, size / 2}, PadHigh: []int64{size / 2, size / 2}, InputDilation: []int64{1, 1}, FilterDilation: []int64{1, 1}, Groups: groups}
	}
	for name, f := range map[string]func(b *graph.Builder) graph.Value{
		"sum of rows":    func(b *graph.Builder) graph.Value { return x(b, "x", 67, 261).Sum(1) },
		"sum of columns": func(b *graph.Builder) graph.Value { return x(b, "x", 267, 61).Sum(0) },
		"max of rows":    func(b *graph.Builder) graph.Value { return x(b, "x", 67, 261).Reduce(graph.Max, 1) },
		"cumsum":         func(b *graph.Builder) graph.Value { return x(b, "x", 67, 61).CumSum(1, false, false) },
		"dot":            func(b *graph.Builder) graph.Value { return x(b, "x", 67, 161).MatMul(x(b, "y", 161, 53)) },
		"dot of transposed left": func(b *graph.Builder) graph.Value {
			return x(b, "x", 161, 67).Transpose(1, 0).MatMul(x(b, "y", 161, 53))
		},
		"dot of transposed right": func(b *graph.Builder) graph.Value {
			return x(b, "x", 67, 161).MatMul(x(b, "y", 53, 161).Transpose(1, 0))
		},
		"conv 1x1": func(b *graph.Builder) graph.Value {
			return x(b, "x", 2, 9, 9, 19).Conv(x(b, "w", 1, 1, 19, 21), conv(1, 1, 1))
		},
		"conv 3x3": func(b *graph.Builder) graph.Value {
			return x(b, "x", 2, 14, 14, 16).Conv(x(b, "w", 3, 3, 16, 32), conv(3, 1, 1))
		},
		"conv 3x3 stride 2": func(b *graph.Builder) graph.Value {
			return x(b, "x", 2, 9, 9, 19).Conv(x(b, "w", 3, 3, 19, 21), conv(3, 2, 1))
		},
		"conv in groups": func(b *graph.Builder) graph.Value {
			return x(b, "x", 2, 9, 9, 8).Conv(x(b, "w", 3, 3, 4, 6), conv(3, 1, 2))
		},
		"conv depthwise": func(b *graph.Builder) graph.Value {
			return x(b, "x", 2, 9, 9, 17).Conv(x(b, "w", 3, 3, 1, 17), conv(3, 1, 17))
		},
		"conv_input_grad": func(b *graph.Builder) graph.Value {
			a := conv(3, 1, 1)
			return b.Apply(graph.OpConvInputGrad, &a, x(b, "dy", 2, 14, 14, 32), x(b, "w", 3, 3, 16, 32), x(b, "x", 2, 14, 14, 16))[0]
		},
		"conv_filter_grad": func(b *graph.Builder) graph.Value {
			a := conv(3, 1, 1)
			return b.Apply(graph.OpConvFilterGrad, &a, x(b, "x", 2, 14, 14, 16), x(b, "dy", 2, 14, 14, 32), x(b, "w", 3, 3, 16, 32))[0]
		},
		"reduce_window max": func(b *graph.Builder) graph.Value { return x(b, "x", 2, 9, 9, 17).ReduceWindow(highest) },
		"reduce_window sum": func(b *graph.Builder) graph.Value { return x(b, "x", 2, 9, 9, 17).ReduceWindow(window) },
		"moments":           func(b *graph.Builder) graph.Value { m, v := x(b, "x", 5, 9, 9, 17).Moments(3); return m.Add(v) },
		"gradient_moments": func(b *graph.Builder) graph.Value {
			m, v := x(b, "d", 5, 9, 9, 17).GradientMoments(x(b, "x", 5, 9, 9, 17), x(b, "m", 17), 3)
			return m.Add(v)
		},
		"softmax":     func(b *graph.Builder) graph.Value { return x(b, "x", 67, 61).Softmax(1) },
		"log_softmax": func(b *graph.Builder) graph.Value { return x(b, "x", 67, 61).LogSoftmax(1) },
		"softmax_cross_entropy": func(b *graph.Builder) graph.Value {
			v := x(b, "x", 67, 61)
			return v.SoftmaxCrossEntropy(v.ArgMax(1).Plus(-2))
		},
		"gradient_softmax_cross_entropy": func(b *graph.Builder) graph.Value {
			v := x(b, "x", 67, 61)
			return v.GradientSoftmaxCrossEntropy(v.ArgMax(1).Plus(-2), v.Sum(1))
		},
		"transpose":   func(b *graph.Builder) graph.Value { return x(b, "x", 67, 61).Transpose(1, 0) },
		"select":      func(b *graph.Builder) graph.Value { v := x(b, "x", 67, 61); return v.Gt(v.Neg()).Select(v, v.Neg()) },
		"convert f16": func(b *graph.Builder) graph.Value { return x(b, "x", 67, 61).Convert(graph.F16).Convert(graph.F32) },
		"convert i32": func(b *graph.Builder) graph.Value {
			return x(b, "x", 67, 61).Times(100).Convert(graph.I32).Convert(graph.F32)
		},
	} {
		out[name] = f
	}
	return out
}

// Every kernel set gives the bits of the portable one, but for the ops that are
// said to be apart, which are near it. The assembly sets, generated from one
// text, give one another's bits.
func TestVariantsAgree(t *testing.T) {
	portable, err := New(Config{Threads: 2, Variant: "portable"})
	if err != nil {
		t.Fatal(err)
	}
	defer portable.Close()
	differs := map[string]bool{}
	assembly := map[string][]byte{}
	for _, variant := range []string{"avx2", "avx512"} {
		other, err := New(Config{Threads: 2, Variant: variant})
		if err != nil {
			t.Logf("skipped: %v", err)
			continue
		}
		defer other.Close()
		for name, write := range variantCases() {
			m := graph.NewModule()
			b := graph.NewBuilder(m, "f", graph.Any)
			b.Output("y", write(b))
			f, err := b.Finish()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var args []*graph.Tensor
			for k, p := range f.Params {
				shape, _ := p.Type.Shape.Const()
				v := graph.NewTensor(graph.F32, shape...)
				for i := range v.Len() {
					v.SetFloat(i, 2*math.Sin(float64(i*i+5*k+1)))
				}
				args = append(args, v)
			}
			x := runOnce(t, portable, m, "f", kernels.Options{}, args...)[0]
			y := runOnce(t, other, m, "f", kernels.Options{}, args...)[0]
			if assembly[name] == nil {
				assembly[name] = y.Data
			} else if !bytes.Equal(assembly[name], y.Data) {
				t.Errorf("%s: %s has not the bits of AVX2", name, variant)
			}
			if bytes.Equal(x.Data, y.Data) {
				continue
			}
			differs[name] = true
			worst := 0.0
			for i := range x.Len() {
				if x.Float(i) == x.Float(i) {
					worst = max(worst, math.Abs(x.Float(i)-y.Float(i))/(1+math.Abs(x.Float(i))))
				}
			}
			if !apart[name] || worst > 2e-5 {
				t.Errorf("%s: %s is off the portable kernels by %.3g", name, variant, worst)
			}
		}
	}
	t.Log(fmt.Sprint("apart: ", slices.Sorted(maps.Keys(differs))))
}
