package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hone-ml/hone/sdk/graph"
	"github.com/hone-ml/hone/sdk/honepb/pluginpb"
)

// Opaque is a computation that cannot be traced: a solver, a renderer, code in
// another language. A layer applies it with [LayerBuilder.Opaque], and the
// plugin's process computes it, batch by batch, while the model trains or
// predicts. It is the exception: it costs a message a batch each way, runs on no
// backend's kernels, cannot be pruned, and a checkpoint of the model needs the
// plugin for ever. Trace what can be traced.
//
// It is a struct whose exported fields are its settings; they travel with the
// graph as JSON. It must be a function of its settings and operands, since the
// host may repeat a call.
type Opaque interface {
	// Results returns the types of the results for operands of those types, in
	// which the batch is symbolic.
	Results(operands []graph.Type) ([]graph.Type, error)
	// Compute fills out, which holds zeros. Tensors are valid during the call.
	Compute(ctx context.Context, in, out []*graph.Tensor) error
}

// Differentiable is the optional power of an [Opaque] that has a gradient.
type Differentiable interface {
	Opaque
	// Gradient fills din, the gradients of the floating-point operands in order,
	// which hold zeros, from operands, results, and the gradients dout of the
	// floating-point results.
	Gradient(ctx context.Context, in, out, dout, din []*graph.Tensor) error
}

// Opaques are a plugin's opaque components.
type Opaques map[string]func() Opaque

// How a graph names the opaque components of the plugin that traced it.
const (
	OwnOpaque      = "own:"
	opaqueGradient = "/gradient/"
)

// Opaque applies an opaque component, one of the plugin's Opaques, and returns
// its results.
func (b *LayerBuilder) Opaque(o Opaque, operands ...graph.Value) []graph.Value {
	failed := []graph.Value{{}}
	types, ok := typesOf(operands)
	if !ok || b.Err() != nil {
		b.Failf("%T is applied to a failed value", o)
		return failed
	}
	name := ""
	for typ, create := range b.t.opaques {
		if reflect.TypeOf(create()) == reflect.TypeOf(o) && (name == "" || typ < name) {
			name = typ
		}
	}
	if name == "" {
		b.Failf("%T is none of the plugin's Opaques; register it there, so that its process can compute it", o)
		return failed
	}
	results, err := o.Results(types)
	if err != nil {
		b.Failf("%s: %v", name, err)
		return failed
	}
	config, err := json.Marshal(o)
	if err != nil {
		b.Failf("%s: its settings cannot be written as JSON: %v", name, err)
		return failed
	}
	a := &graph.OpaqueAttrs{Component: OwnOpaque + name, Config: string(config), Types: results}
	if _, ok := o.(Differentiable); ok {
		a.Gradient = a.Component + opaqueGradient + strconv.Itoa(len(operands))
	}
	return b.Apply(graph.OpOpaque, a, operands...)
}

// SplitOpaque reads the name of an opaque component in a graph: the component,
// and where it names a gradient the number of operands of what it is the gradient of.
func SplitOpaque(name string) (component string, gradientOf int, err error) {
	component, n, ok := strings.Cut(name, opaqueGradient)
	if !ok {
		return component, 0, nil
	}
	if gradientOf, err = strconv.Atoi(n); err != nil || gradientOf < 1 || gradientOf > 1<<16 {
		return "", 0, fmt.Errorf("%q names no opaque component", name)
	}
	return component, gradientOf, nil
}

// opaques answers the part of the protocol that computes.
type opaques struct {
	pluginpb.UnimplementedOpaquesServer
	components []*component
}

// Compute runs a component on a batch. It never panics: an author's panic
// becomes an error with the line that caused it.
func (s *opaques) Compute(ctx context.Context, req *pluginpb.ComputeRequest) (resp *pluginpb.ComputeResponse, err error) {
	var o Opaque
	for _, c := range s.components {
		if c.kind == OpaqueKind && c.typ == req.Type {
			o = c.create().(Opaque)
		}
	}
	if o == nil {
		return nil, status.Error(codes.NotFound, fmt.Sprintf("there is no %s %q", OpaqueKind, req.Type))
	}
	fail := func(format string, args ...any) (*pluginpb.ComputeResponse, error) {
		return nil, status.Error(codes.InvalidArgument, fmt.Sprintf("%s %q: %s", OpaqueKind, req.Type, fmt.Sprintf(format, args...)))
	}
	defer func() {
		if r := recover(); r != nil {
			resp, err = fail("panicked: %v%s", r, panicPosition())
		}
	}()
	if err := json.Unmarshal([]byte(req.Config), o); err != nil {
		return fail("reading its settings: %v", err)
	}
	arrays := make([]*graph.Tensor, len(req.Arrays))
	for i, a := range req.Arrays {
		if arrays[i], err = arrayFromProto(a); err != nil {
			return fail("array %d: %v", i, err)
		}
	}
	types, err := typesFromProto(req.Results)
	if err != nil {
		return fail("%v", err)
	}
	out := make([]*graph.Tensor, len(types))
	for i, t := range types {
		shape, ok := t.Shape.Const()
		if n, err := t.Bytes(nil); !ok || err != nil || n > MaxMessageBytes {
			return fail("result %d is %v", i, t)
		}
		out[i] = graph.NewTensor(t.DType, shape...)
	}
	if n := int(req.GradientOf); n > 0 {
		d, ok := o.(Differentiable)
		if !ok || n > len(arrays) {
			return fail("has no gradient for %d operands", n)
		}
		results := resultsAmong(arrays[n:])
		err = d.Gradient(ctx, arrays[:n], arrays[n:n+results], arrays[n+results:], out)
	} else {
		err = o.Compute(ctx, arrays, out)
	}
	if err != nil {
		return fail("%v", err)
	}
	resp = &pluginpb.ComputeResponse{}
	for _, t := range out {
		resp.Results = append(resp.Results, t.Data)
	}
	return resp, nil
}

// resultsAmong counts the results in a list of results and then the gradients
// of the floating-point ones.
func resultsAmong(ts []*graph.Tensor) int {
	floats := 0
	for i, t := range ts {
		if t.DType.IsFloat() {
			floats++
		}
		if i+1+floats == len(ts) {
			return i + 1
		}
	}
	return len(ts)
}

func arrayFromProto(p *pluginpb.Array) (*graph.Tensor, error) {
	t, err := TypeFromProto(p.GetType())
	if err != nil {
		return nil, err
	}
	shape, ok := t.Shape.Const()
	n, err := t.Bytes(nil)
	if !ok || err != nil || n != int64(len(p.Data)) {
		return nil, fmt.Errorf("%v holds %d bytes", t, len(p.Data))
	}
	return &graph.Tensor{DType: t.DType, Shape: shape, Data: p.Data}, nil
}
