package plugin_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// halves is an opaque component with a gradient: it gives x * Factor, and how
// many elements there were.
type halves struct {
	Factor float64
	Mood   string
}

func (*halves) Results(in []graph.Type) ([]graph.Type, error) {
	if len(in) != 1 {
		return nil, errors.New("takes one operand")
	}
	return []graph.Type{in[0], graph.Scalar(graph.I64)}, nil
}

func (h *halves) Compute(_ context.Context, in, out []*graph.Tensor) error {
	switch h.Mood {
	case "panic":
		var none []int
		_ = none[len(in)]
	case "fail":
		return errors.New("not today")
	}
	for i := range in[0].Len() {
		out[0].SetFloat(i, in[0].Float(i)*h.Factor)
	}
	out[1].SetInt(0, int64(in[0].Len()))
	return nil
}

func (h *halves) Gradient(_ context.Context, in, out, dout, din []*graph.Tensor) error {
	if len(in) != 1 || len(out) != 2 || len(dout) != 1 || len(din) != 1 {
		return errors.New("another number of tensors")
	}
	for i := range din[0].Len() {
		din[0].SetFloat(i, dout[0].Float(i)*h.Factor)
	}
	return nil
}

// unknown is no component of the plugin's.
type unknown struct{ halves }

type halving struct {
	Activation sdk.Component `hone:"activation,kind=layer,optional"`
	Strange    bool          `hone:"strange,default=false"`
}

func (l *halving) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	if l.Strange {
		return b.Opaque(&unknown{}, x)[0]
	}
	return b.Component("activation", l.Activation, b.Opaque(&halves{Factor: 0.5}, x)[0])
}

// passing applies what it is given, and has no opaque components.
type passing struct {
	Activation sdk.Component `hone:"activation,kind=layer,required"`
}

func (l *passing) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return b.Component("activation", l.Activation, x)
}

func TestOpaqueComponents(t *testing.T) {
	h := newHost(t, plugin.Options{Builtin: sdk.Bundle{Plugins: []sdk.Plugin{
		{Name: "half", Version: "1.0.0", Layers: sdk.Layers{"halving": func() sdk.Layer { return &halving{} }}, Opaques: sdk.Opaques{"halves": func() sdk.Opaque { return &halves{} }}},
		{Name: "pass", Version: "1.0.0", Layers: sdk.Layers{"passing": func() sdk.Layer { return &passing{} }}},
	}}})
	ctx := t.Context()
	x := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(3)}}
	// The name is the host's, also through a component of another plugin's layer.
	for typ, c := range map[string]plugin.Config{"halving": nil, "passing": {"activation": plugin.Component{Ref: plugin.Ref{Type: "halving"}}}} {
		m, err := h.TraceLayer(ctx, plugin.Ref{Type: typ}, c, []graph.Type{x})
		if err != nil {
			t.Fatal(err)
		}
		if got := plugin.Opaque(m); !slices.Equal(got, []plugin.Ref{{Type: "halves"}}) || !strings.Contains(m.String(), `gradient="halves/gradient/1"`) && !strings.Contains(m.String(), "gradient=halves/gradient/1") {
			t.Errorf("%s computes with %v:\n%v", typ, got, m)
		}
	}
	if _, err := h.TraceLayer(ctx, plugin.Ref{Type: "halving"}, plugin.Config{"strange": true}, []graph.Type{x}); err == nil || !strings.Contains(err.Error(), "register it") {
		t.Errorf("a component that is not registered: %v", err)
	}
	s, err := h.Component(ctx, sdk.OpaqueKind, plugin.Ref{Type: "halves"})
	if err != nil || !s.Has("gradient") {
		t.Errorf("it is described as %+v, %v", s, err)
	}

	view := func(v *graph.Tensor) kernels.View {
		return kernels.View{DType: v.DType, Shape: v.Shape, Data: v.Data}
	}
	in, count := graph.Float32s([]float32{1, 2, -4}, 1, 3), graph.NewTensor(graph.I64)
	y, dx := graph.NewTensor(graph.F32, 1, 3), graph.NewTensor(graph.F32, 1, 3)
	call := func(component, config string, in, out []*graph.Tensor) error {
		var a, b []kernels.View
		for _, v := range in {
			a = append(a, view(v))
		}
		for _, v := range out {
			b = append(b, view(v))
		}
		return h.Call(ctx, &graph.OpaqueAttrs{Component: component, Config: config}, a, b)
	}
	if err := call("halves", `{"Factor": 0.5}`, []*graph.Tensor{in}, []*graph.Tensor{y, count}); err != nil || y.Float(2) != -2 || count.Int(0) != 3 {
		t.Errorf("it gives %v, %v, %v", y, count, err)
	}
	if err := call("halves/gradient/1", `{"Factor": 3}`, []*graph.Tensor{in, y, count, in}, []*graph.Tensor{dx}); err != nil || dx.Float(1) != 6 {
		t.Errorf("its gradient is %v, %v", dx, err)
	}
	for _, c := range []struct {
		component, config string
		in, out           []*graph.Tensor
		want              string
	}{
		{"halves", `{"Mood": "panic"}`, []*graph.Tensor{in}, []*graph.Tensor{y, count}, "opaque_test.go"},
		{"halves", `{"Mood": "fail"}`, []*graph.Tensor{in}, []*graph.Tensor{y, count}, "not today"},
		{"halves", `no JSON`, []*graph.Tensor{in}, []*graph.Tensor{y, count}, "settings"},
		{"halves", `{}`, []*graph.Tensor{{DType: graph.F32, Shape: []int64{2}, Data: []byte{1}}}, []*graph.Tensor{y, count}, "1 bytes"},
		{"halves/gradient/9", `{}`, []*graph.Tensor{in}, []*graph.Tensor{dx}, "no gradient for 9"},
		{"halves/gradient/x", `{}`, nil, nil, "names no opaque component"},
		{"thirds", `{}`, nil, nil, `no opaque "thirds"`},
		{"acme.halves", `{}`, nil, nil, `no plugin called "acme"`},
	} {
		if err := call(c.component, c.config, c.in, c.out); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, wanted %q", c.component, c.config, err, c.want)
		}
	}
	// More than a message holds is refused before it is sent.
	large := graph.NewTensor(graph.F32, 1<<26)
	if err := call("halves", `{}`, []*graph.Tensor{large}, []*graph.Tensor{y, count}); err == nil || !strings.Contains(err.Error(), "256 MiB a batch") {
		t.Errorf("a batch that is too large: %v", err)
	}
}
