package layers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu"
	"github.com/hone-ml/hone/plugins/internal/golden"
	"github.com/hone-ml/hone/plugins/layers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// networkCase is a case of the goldens of Keras's applications: either the
// structure of a network, or what it computes for an image.
type networkCase struct {
	Name      string            `json:"name"`
	Type      string            `json:"type"`
	Config    plugintest.Config `json:"config"`
	WithTop   *networkCounts    `json:"parameters_with_top"`
	NoTop     *networkCounts    `json:"parameters_no_top"`
	Layers    []networkLayer    `json:"layers"`
	TopLayers []networkLayer    `json:"top_layers"`
	F32, F64  struct {
		Stages map[string]struct {
			Shape        []int64
			Mean, Stddev float64
			First        []golden.Number
		} `json:"stages"`
		Output golden.Tensor `json:"output"`
	}
}

type networkCounts struct {
	Total     int64 `json:"total"`
	Trainable int64 `json:"trainable"`
}

type networkLayer struct {
	Name    string             `json:"name"`
	Output  []int64            `json:"output"`
	Weights map[string][]int64 `json:"weights"`
}

func networkCases(t *testing.T) []networkCase {
	data, err := os.ReadFile(filepath.Join("..", "..", "host", "testdata", "goldens", "networks.json"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Cases []networkCase `json:"cases"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Cases
}

func TestNetworksAreKeras(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	for _, c := range networkCases(t) {
		if c.WithTop == nil {
			continue
		}
		t.Run(c.Type, func(t *testing.T) {
			whole := k.MustTrace(sdk.LayerKind, c.Type, nil, images(224))
			counted(t, whole, *c.WithTop)
			scopes := calls(whole)
			for _, l := range c.TopLayers {
				l.check(t, whole, scopes)
			}
			body := k.MustTrace(sdk.LayerKind, c.Type, plugintest.Config{"include_top": false}, images(64))
			counted(t, body, *c.NoTop)
			scopes = calls(body)
			for _, l := range c.Layers {
				l.check(t, body, scopes)
			}
			if len(scopes) != len(c.Layers) {
				t.Errorf("%d layers, wanted %d", len(scopes), len(c.Layers))
			}
		})
	}
}

func images(size int64) graph.Type {
	return graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(size), graph.N(size), graph.N(3)}}
}

// counted compares the numbers of weights with Keras's, which counts the moving
// averages among them.
func counted(t *testing.T, m *graph.Module, want networkCounts) {
	t.Helper()
	var got networkCounts
	for _, p := range m.Resolve("layer", graph.Train).Params {
		if p.Role != graph.ParamRole && p.Role != graph.StateRole {
			continue
		}
		n := int64(1)
		for _, d := range p.Type.Shape {
			e, _ := d.Const()
			n *= e
		}
		got.Total += n
		if p.Role == graph.ParamRole && !p.Decl.NonTrainable {
			got.Trainable += n
		}
	}
	if got != want {
		t.Errorf("%+v weights, wanted %+v", got, want)
	}
}

// calls returns the type of the first result of each sub-layer.
func calls(m *graph.Module) map[string]graph.Type {
	f := m.Resolve("layer", graph.Infer)
	out := map[string]graph.Type{}
	for _, n := range f.Nodes {
		if n.Op == graph.OpCall {
			out[n.Attrs.(*graph.CallAttrs).Scope] = f.Types[n.Out]
		}
	}
	return out
}

func (l networkLayer) check(t *testing.T, m *graph.Module, scopes map[string]graph.Type) {
	t.Helper()
	typ, ok := scopes[l.Name]
	if want := graph.T(graph.F32, append([]int64{1}, l.Output...)...); !ok || !slices.Equal(typ.Shape[1:], want.Shape[1:]) {
		t.Errorf("%s gives %v, wanted %v", l.Name, typ, l.Output)
	}
	f := m.Resolve("layer", graph.Train)
	for name, shape := range l.Weights {
		path := l.Name + "." + name
		i := slices.IndexFunc(f.Params, func(p graph.Param) bool { return p.Name == path })
		if i < 0 || !f.Params[i].Type.Equal(graph.T(graph.F32, shape...)) {
			t.Errorf("there is no weight %s of shape %v", path, shape)
		}
	}
}

func TestNetworksEqualKeras(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	backend := backend(t)
	for _, c := range networkCases(t) {
		if c.WithTop != nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			delete(c.Config, "input_shape")
			stages := c.F64.Stages
			size := int64(0)
			if _, err := fmt.Sscanf(c.Name[strings.Index(c.Name, "/"):], "/%dx", &size); err != nil {
				t.Fatal(err)
			}
			m := k.MustTrace(sdk.LayerKind, c.Type, c.Config, images(size)).Clone()
			f := m.Resolve("layer", graph.Infer)
			own := len(f.Results) // the output, then the states
			for _, n := range f.Nodes {
				if n.Op != graph.OpCall {
					continue
				}
				if scope := n.Attrs.(*graph.CallAttrs).Scope; stages[scope].Shape != nil {
					f.Results = append(f.Results, graph.Result{Name: scope, Role: graph.Output, Value: n.Out})
				}
			}
			if len(f.Results) != own+len(stages) {
				t.Fatalf("%d of the stages are there, wanted %d", len(f.Results)-own, len(stages))
			}
			out := eval(t, backend, m, kernels.Options{Mode: graph.Infer}, c.fill)
			y := out[0]
			step := y.Len() / 128
			sample := graph.NewTensor(graph.F32, int64(len(c.F64.Output.Data)))
			for i := range sample.Len() {
				sample.SetFloat(i, y.Float(i*step))
			}
			golden.Check(t, "output", sample, &c.F64.Output, 2e-5, 1)
			for i, r := range f.Results[own:] {
				v, want := out[own+i], stages[r.Name]
				if !slices.Equal(v.Shape[1:], want.Shape) {
					t.Errorf("%s has the shape %v, wanted %v", r.Name, v.Shape[1:], want.Shape)
					continue
				}
				for j, x := range want.First {
					if got := v.Float(j); !golden.Near(got, float64(x), 2e-5, 1) {
						t.Errorf("%s: element %d is %v, wanted %v", r.Name, j, got, x)
					}
				}
				mean, square := 0.0, 0.0
				for j := range v.Len() {
					mean += v.Float(j) / float64(v.Len())
				}
				for j := range v.Len() {
					square += (v.Float(j) - mean) * (v.Float(j) - mean) / float64(v.Len())
				}
				if !golden.Near(mean, want.Mean, 2e-6, 1) || !golden.Near(math.Sqrt(square), want.Stddev, 2e-6, 1) {
					t.Errorf("%s has mean %v and deviation %v, wanted %v and %v", r.Name, mean, math.Sqrt(square), want.Mean, want.Stddev)
				}
			}
		})
	}
}

func backend(t *testing.T) *cpu.Backend {
	b, err := cpu.New(cpu.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A frozen part of a network keeps its moving averages while the rest trains.
func TestFrozenPartOfANetwork(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	c := networkCase{Type: "resnet50"}
	m := k.MustTrace(sdk.LayerKind, c.Type, plugintest.Config{"include_top": false}, images(32))
	f := m.Resolve("layer", graph.Train)
	values := map[string]*graph.Tensor{}
	frozen := []string{"conv1_bn", "conv2_block1_0_bn", "conv2_block1_1_bn"}
	out := eval(t, backend(t), m, kernels.Options{Mode: graph.Train, Frozen: frozen}, func(p graph.Param, v *graph.Tensor) {
		c.fill(p, v)
		values[p.Name] = v
	})
	states := 0
	for i, r := range f.Results {
		if r.Role != graph.StateRole {
			continue
		}
		states++
		layer, _, _ := strings.Cut(r.Name, ".")
		stays := bytes.Equal(out[i].Data, values[r.Name].Data)
		if stays != slices.Contains(frozen, layer) {
			t.Errorf("%s stays as it was: %v", r.Name, stays)
		}
	}
	if states != 106 {
		t.Errorf("%d moving averages, wanted 106", states)
	}
}

// fill gives a parameter the value that the goldens were made with.
func (c networkCase) fill(p graph.Param, v *graph.Tensor) {
	layer, weight, _ := strings.Cut(p.Name, ".")
	stream := c.Type + "/" + layer + "/" + weight
	low, high := -1.0, 1.0
	switch {
	case p.Role == graph.Input:
		stream = c.Type + "/image"
	case weight == "kernel":
		fan := 1.0
		for _, n := range v.Shape[:len(v.Shape)-1] {
			fan *= float64(n)
		}
		high = float64(float32(math.Sqrt(6 / fan)))
		low = -high
	case weight == "gamma" && strings.HasSuffix(layer, "_3_bn"):
		low, high = 0.1, 0.3
	case weight == "gamma" || weight == "moving_variance":
		low, high = 0.5, 1.5
	default:
		high = float64(float32(0.1))
		low = -high
	}
	h := uint32(2166136261)
	for i := range len(stream) {
		h = (h ^ uint32(stream[i])) * 16777619
	}
	for i := range v.Len() {
		x := uint32(i)*0x9E3779B9 + h
		x ^= x >> 16
		x *= 0x85EBCA6B
		x ^= x >> 13
		x *= 0xC2B2AE35
		x ^= x >> 16
		unit := float64(x>>8) / (1 << 24)
		if low == -high {
			v.SetFloat(i, (2*unit-1)*high)
		} else {
			v.SetFloat(i, low+(high-low)*unit)
		}
	}
}

// eval runs the function layer of m for one image.
func eval(t *testing.T, backend kernels.Backend, m *graph.Module, o kernels.Options, fill func(graph.Param, *graph.Tensor)) []*graph.Tensor {
	t.Helper()
	ctx := context.Background()
	o.Symbols = map[string]int64{graph.BatchSymbol: 1}
	exe, err := backend.Compile(ctx, m, "layer", o)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := backend.NewPool("")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	session, err := exe.NewSession(pool)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	b := &kernels.Bindings{}
	hold := func(v kernels.View) (kernels.Handle, *graph.Tensor) {
		h, err := pool.New(v.DType, v.Shape)
		if err != nil {
			t.Fatal(err)
		}
		return h, graph.NewTensor(v.DType, v.Shape...)
	}
	for i, p := range m.Resolve("layer", o.Mode).Params {
		h, v := hold(exe.Params()[i])
		fill(p, v)
		if err := pool.Write(h, v.Data); err != nil {
			t.Fatal(err)
		}
		b.Params = append(b.Params, h)
	}
	var out []*graph.Tensor
	for _, r := range exe.Results() {
		h, v := hold(r)
		b.Results, out = append(b.Results, h), append(out, v)
	}
	if _, err := session.Run(ctx, b, 1); err != nil {
		t.Fatal(err)
	}
	for i, h := range b.Results {
		if err := pool.Read(h, out[i].Data); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestNetworksTakeAnyImages(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	for _, network := range []string{"vgg16", "resnet50"} {
		in := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(33), graph.N(58), graph.N(1)}}
		channels := int64(512)
		if network == "resnet50" {
			channels = 2048
		}
		for _, c := range []struct {
			config plugintest.Config
			want   []int64
		}{
			{plugintest.Config{"classes": 7}, []int64{7}},
			{plugintest.Config{"include_top": false, "pooling": "avg"}, []int64{channels}},
			{plugintest.Config{"include_top": false, "pooling": "max"}, []int64{channels}},
		} {
			m := k.MustTrace(sdk.LayerKind, network, c.config, in)
			f := m.Resolve("layer", graph.Train)
			got := f.Types[f.Results[0].Value]
			want := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(c.want[0])}}
			if !got.Equal(want) {
				t.Errorf("%s %v gives %v, wanted %v", network, c.config, got, want)
			}
		}
		small := graph.Type{DType: graph.F32, Shape: graph.Shape{graph.Batch, graph.N(31), graph.N(32), graph.N(3)}}
		if _, err := k.Trace(sdk.LayerKind, network, nil, small); err == nil || !strings.Contains(err.Error(), "at least 32 x 32") {
			t.Errorf("%s takes images of 31 x 32: %v", network, err)
		}
	}
}
