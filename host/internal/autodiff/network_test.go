package autodiff

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/kernels/cpu"
	"github.com/hone-ml/hone/kernels/kerneltest"
	"github.com/hone-ml/hone/sdk/graph"
)

// network is a random convolution network: layers drawn one by one, each of which
// fits whatever came before it, so that any of them can be left out.
type network struct {
	seed   uint64
	shape  []int64 // of the images: batch, height, width, channels
	layers []piece
}

type piece struct {
	kind                                  string
	filters, size, stride, groups, spread int64
	same                                  bool
	activation                            string
}

var (
	pieceKinds  = []string{"conv", "conv", "conv", "depthwise", "norm", "norm", "activation", "max", "average", "residual", "scale", "transpose"}
	activations = []string{"", "relu", "tanh", "sigmoid", "gelu", "silu", "softplus"}
)

func drawNetwork(seed uint64) network {
	r := rand.New(rand.NewPCG(seed, 11))
	pick := func(n ...int64) int64 { return n[r.IntN(len(n))] }
	n := network{seed: seed, shape: []int64{pick(1, 2, 3), pick(4, 5, 6, 9, 12), pick(4, 5, 7, 8), pick(1, 2, 3, 8)}}
	for range 2 + r.IntN(7) {
		n.layers = append(n.layers, piece{
			kind: pieceKinds[r.IntN(len(pieceKinds))], filters: pick(1, 2, 4, 6, 8, 16, 20), size: pick(1, 2, 3, 3, 3, 5), stride: pick(1, 1, 1, 2, 3),
			groups: pick(1, 1, 1, 2), spread: pick(1, 1, 1, 2), same: r.IntN(3) > 0, activation: activations[r.IntN(len(activations))],
		})
	}
	return n
}

// String lists the layers.
func (n network) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, images %v", n.seed, n.shape)
	for _, p := range n.layers {
		fmt.Fprintf(&b, "\n\t%+v", p)
	}
	return b.String()
}

// build writes the function step: the loss of the network and its parameters
// after one update, and the arguments.
func (n network) build() (*graph.Module, []*graph.Tensor, error) {
	r := rand.New(rand.NewPCG(n.seed, 12))
	m := graph.NewModule()
	b := graph.NewBuilder(m, "forward", graph.Any)
	var args []*graph.Tensor
	value := func(scale, at float64, shape ...int64) *graph.Tensor {
		t := graph.NewTensor(graph.F32, shape...)
		for i := range t.Len() {
			t.SetFloat(i, at+scale*r.NormFloat64())
		}
		args = append(args, t)
		return t
	}
	param := func(scale, at float64, shape ...int64) graph.Value {
		return b.Param(fmt.Sprintf("p%d", len(args)), value(scale, at, shape...).Type(), graph.Decl{})
	}
	x := b.Input("x", value(1, 0, n.shape...).Type())
	for _, p := range n.layers {
		x = p.apply(x, param)
	}
	h := x.Flatten(1)
	y := h.MatMul(param(1/math.Sqrt(float64(h.ConstDim(1))), 0, h.ConstDim(1), 5))
	logits := y.Sub(y.Reduce(graph.Max, 1).Unreduce(y, 1))
	b.Output("loss", logits.Exp().Sum(1).Log().Sub(logits.Mul(y.Sigmoid()).Sum(1)).Mean())
	f, err := b.Finish()
	if err != nil {
		return nil, nil, err
	}
	var wrt []int
	for i, q := range f.Params {
		if q.Role == graph.ParamRole {
			wrt = append(wrt, i)
		}
	}
	g, err := Gradient(m, f, wrt, 0)
	if err != nil {
		return nil, nil, err
	}
	s := graph.NewBuilder(m, "step", graph.Any)
	in := make([]graph.Value, len(g.Params))
	for i, q := range g.Params {
		in[i] = s.Argument(q)
	}
	out := s.Apply(graph.OpCall, &graph.CallAttrs{Callee: g.Name}, in...)
	s.Output("loss", out[0])
	for k, i := range wrt {
		s.Replace(graph.ParamRole, g.Params[i].Name, in[i].Sub(out[len(f.Results)+k].Times(0.1)))
	}
	_, err = s.Finish()
	return m, args, err
}

func (p piece) apply(x graph.Value, param func(scale, at float64, shape ...int64) graph.Value) graph.Value {
	channels := x.ConstDim(3)
	switch p.kind {
	case "conv", "residual", "depthwise":
		size := min(p.size, x.ConstDim(1), x.ConstDim(2))
		spread, groups, filters, stride := p.spread, int64(1), p.filters, p.stride
		if (size-1)*spread >= min(x.ConstDim(1), x.ConstDim(2)) || stride > 1 {
			spread = 1
		}
		if p.groups > 1 && channels%p.groups == 0 && filters%p.groups == 0 {
			groups = p.groups
		}
		same := p.same || p.kind == "residual"
		if p.kind == "residual" {
			groups, filters, stride = 1, channels, 1
		}
		if p.kind == "depthwise" {
			groups, filters = channels, channels*min(p.groups, 2)
		}
		a := graph.ConvAttrs{Strides: []int64{stride, stride}, InputDilation: []int64{1, 1}, FilterDilation: []int64{spread, spread}, Groups: groups}
		a.PadLow, a.PadHigh = padding(x, size, stride, spread, same)
		w := param(1/math.Sqrt(float64(size*size*channels/groups)), 0, size, size, channels/groups, filters)
		y := activate(p.activation, x.Conv(w, a).Add(param(0.1, 0, filters)))
		if p.kind == "residual" {
			y = y.Add(x)
		}
		return y
	case "norm":
		y, _, _ := x.BatchNorm(param(0.2, 1, channels), param(0.2, 0, channels), 3, 1e-2)
		return activate(p.activation, y)
	case "max", "average":
		size := min(p.size, x.ConstDim(1), x.ConstDim(2))
		low, high := padding(x, size, p.stride, 1, p.same)
		w := graph.WindowAttrs{
			Kind: graph.Max, Window: []int64{1, size, size, 1}, Strides: []int64{1, p.stride, p.stride, 1},
			PadLow: []int64{0, low[0], low[1], 0}, PadHigh: []int64{0, high[0], high[1], 0}, Dilation: []int64{1, 1, 1, 1},
		}
		if p.kind == "average" {
			w.Kind = graph.Sum
			return x.ReduceWindow(w).Times(1 / float64(size*size))
		}
		return x.ReduceWindow(w)
	case "scale":
		return x.Mul(param(0.3, 1, channels)).Mul(x.Mean(1, 2).Sigmoid().Unreduce(x, 1, 2))
	case "transpose":
		return activate(p.activation, x.Transpose(0, 2, 1, 3))
	}
	return activate(p.activation, x)
}

func padding(x graph.Value, size, stride, spread int64, same bool) (low, high []int64) {
	low, high = []int64{0, 0}, []int64{0, 0}
	for i := range 2 {
		n := x.ConstDim(i + 1)
		if total := ((n+stride-1)/stride-1)*stride + (size-1)*spread + 1 - n; same && total > 0 {
			low[i], high[i] = total/2, total-total/2
		}
	}
	return low, high
}

func activate(name string, x graph.Value) graph.Value {
	switch name {
	case "relu":
		return x.Relu()
	case "tanh":
		return x.Tanh()
	case "sigmoid":
		return x.Sigmoid()
	case "gelu":
		return x.Gelu(false)
	case "silu":
		return x.Silu()
	case "softplus":
		return x.Softplus()
	}
	return x
}

// check runs a step of the network on every backend, which must come near the
// reference. The first compiles within the least memory too, to the same bits,
// and so do those that differ from it in the number of threads alone.
func (n network) check(ctx context.Context, backends []*cpu.Backend) error {
	m, args, err := n.build()
	if err != nil {
		return err
	}
	bits := map[string][]*graph.Tensor{}
	for _, b := range backends {
		got, _, err := kerneltest.CheckFunc(ctx, b, m, "step", kernels.Options{}, args...)
		if err != nil {
			return fmt.Errorf("%s: %w", b.Variant(), err)
		}
		if first := bits[b.Variant()]; first == nil {
			bits[b.Variant()] = got
		} else if err := equal(got, first); err != nil {
			return fmt.Errorf("%s, by the number of threads: %w", b.Variant(), err)
		}
	}
	b := backends[0]
	_, err = b.Compile(ctx, m, "step", kernels.Options{Memory: 1})
	var short *kernels.LimitError
	if !errors.As(err, &short) {
		return fmt.Errorf("with a byte of memory: %v", err)
	}
	got, _, err := kerneltest.CheckFunc(ctx, b, m, "step", kernels.Options{Memory: short.Got}, args...)
	if err != nil {
		return fmt.Errorf("within %d bytes: %w", short.Got, err)
	}
	if err := equal(got, bits[b.Variant()]); err != nil {
		return fmt.Errorf("within %d bytes: %w", short.Got, err)
	}
	return nil
}

func equal(got, want []*graph.Tensor) error {
	for i := range want {
		if !bytes.Equal(got[i].Data, want[i].Data) {
			return fmt.Errorf("result %d has other bits", i)
		}
	}
	return nil
}

// shrink leaves layers out for as long as the network goes on failing.
func (n network) shrink(fails func(network) error, err error) (network, error) {
	for again := true; again; {
		again = false
		for i := range n.layers {
			less := n
			less.layers = slices.Delete(slices.Clone(n.layers), i, i+1)
			if e := fails(less); e != nil {
				n, err, again = less, e, true
				break
			}
		}
	}
	return n, err
}

func TestRandomNetworksTrainAsOnTheReference(t *testing.T) {
	var backends []*cpu.Backend
	for _, c := range []cpu.Config{{Threads: 2}, {Threads: 1}, {Threads: 2, Variant: "avx2"}, {Threads: 2, Variant: "portable"}} {
		b, err := cpu.New(c)
		if err != nil {
			t.Logf("skipped: %v", err)
			continue
		}
		defer b.Close()
		backends = append(backends, b)
	}
	count := uint64(12)
	if testing.Short() {
		count = 3
	}
	for seed := range count {
		n := drawNetwork(seed)
		check := func(n network) error { return n.check(t.Context(), backends) }
		if err := check(n); err != nil {
			small, err := n.shrink(check, err)
			t.Errorf("%v\n%v", err, small)
		}
	}
}

// A mistake that needs two layers is shrunk to them.
func TestNetworksAreShrunk(t *testing.T) {
	n := drawNetwork(5)
	n.layers = append(n.layers, piece{kind: "max", size: 2, stride: 2}, piece{kind: "norm"}, piece{kind: "activation"}, piece{kind: "residual", size: 3, stride: 1})
	broken := func(n network) error {
		norm := slices.IndexFunc(n.layers, func(p piece) bool { return p.kind == "norm" })
		if norm >= 0 && slices.ContainsFunc(n.layers[norm:], func(p piece) bool { return p.kind == "residual" }) {
			return errors.New("a residual behind a norm")
		}
		return nil
	}
	small, err := n.shrink(broken, broken(n))
	if err == nil || len(small.layers) != 2 || small.layers[0].kind != "norm" || small.layers[1].kind != "residual" {
		t.Errorf("shrunk to %v: %v", small, err)
	}
}
