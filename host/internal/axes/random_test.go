package axes_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/axes"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// widths says how many channels each layer that has its own makes, by name.
type widths map[string]int64

// tensor is a layer of a random network.
type tensor struct {
	name     string
	size     int // of the image; 0 for a vector
	channels func(w widths) int64
}

// network is a random network whose text can be written again for other widths.
type network struct {
	rng   *rand.Rand
	n     int
	parts []func(w, groups widths) string
	first widths
	// grouped are the convolutions in groups, with the channels that they take.
	grouped map[string]func(w widths) int64
}

func (n *network) layer(kind string, from []tensor, args func(w, groups widths) string) string {
	n.n++
	name := fmt.Sprintf("l%d", n.n)
	var in []string
	for _, t := range from {
		in = append(in, t.name)
	}
	n.parts = append(n.parts, func(w, groups widths) string {
		text := ""
		if args != nil {
			text = strings.ReplaceAll(args(w, groups), "NAME", name)
		}
		return fmt.Sprintf("  layer %q %q {\n    from = [%s]\n%s  }\n", kind, name, strings.Join(in, ", "), text)
	})
	return "layer." + name
}

// own makes a layer that has channels of its own.
func (n *network) own(kind, width string, from tensor, count int64, more string) tensor {
	var name string
	name = strings.TrimPrefix(n.layer(kind, []tensor{from}, func(w, groups widths) string {
		return fmt.Sprintf("    %s = %d\n", width, w[name]) + strings.ReplaceAll(more, "GROUPS", fmt.Sprint(groups[name]))
	}), "layer.")
	n.first[name] = count
	return tensor{"layer." + name, from.size, func(w widths) int64 { return w[name] }}
}

func (n *network) text(w, groups widths) string {
	var b strings.Builder
	for _, p := range n.parts {
		b.WriteString(p(w, groups))
	}
	return b.String()
}

func randomNetwork(seed uint64, image int, channels int64) *network {
	n := &network{rng: rand.New(rand.NewPCG(seed, 1)), first: widths{}, grouped: map[string]func(widths) int64{}}
	x := tensor{"input.image", image, func(widths) int64 { return channels }}
	few := func() int64 { return 2 + n.rng.Int64N(4) }
	conv := func(from tensor, filters int64) tensor {
		return n.own("conv2d", "filters", from, filters, "    kernel_size = 3\n    padding = \"same\"\n")
	}
	through := func(kind, args string, x tensor) tensor {
		return tensor{n.layer(kind, []tensor{x}, func(widths, widths) string { return args }), x.size, x.channels}
	}
	for range 2 + n.rng.IntN(4) {
		switch n.rng.IntN(11) {
		case 0, 1:
			x = conv(x, few())
		case 2:
			x = through("batch_norm", "", x)
		case 3:
			x = through([]string{"relu", "gelu", "tanh", "softplus"}[n.rng.IntN(4)], "", x)
		case 4: // residual
			y := conv(x, few())
			z := conv(y, n.first[strings.TrimPrefix(y.name, "layer.")])
			x = tensor{n.layer("add", []tensor{y, z}, nil), y.size, y.channels}
		case 5: // branches
			y, z := conv(x, few()), conv(x, few())
			x = tensor{n.layer("concat", []tensor{y, z}, nil), x.size, func(w widths) int64 { return y.channels(w) + z.channels(w) }}
		case 6:
			in := x.channels
			x = n.own("depthwise_conv2d", "depth_multiplier", x, 2, "    kernel_size = 2\n    padding = \"same\"\n")
			own := x.channels
			x.channels = func(w widths) int64 { return own(w) * in(w) }
		case 7:
			if x.size >= 4 {
				x = through([]string{"max_pooling2d", "average_pooling2d"}[n.rng.IntN(2)], "    padding = \"same\"\n", x)
				x.size = (x.size + 1) / 2
			}
		case 8:
			x = n.own("separable_conv2d", "filters", x, few(), "    kernel_size = 2\n    padding = \"same\"\n")
		case 9:
			x = conv(x, 4)
			in := x.channels
			x = n.own("conv2d", "filters", x, 6, "    kernel_size = 1\n    groups = GROUPS\n")
			n.grouped[strings.TrimPrefix(x.name, "layer.")] = in
		case 10:
			x = through("dropout", "    rate = 0.3\n", x)
		}
	}
	if n.rng.IntN(3) == 0 {
		x = through("global_average_pooling2d", "", x)
		x.size = 0
	} else {
		in, area := x.channels, int64(x.size*x.size)
		x = tensor{n.layer("flatten", []tensor{x}, nil), 0, func(w widths) int64 { return area * in(w) }}
	}
	for range n.rng.IntN(3) {
		switch n.rng.IntN(3) {
		case 0:
			x = n.own("dense", "units", x, few(), "    activation = \"silu\"\n    kernel_constraint = \"unit_norm\"\n")
		case 1:
			x = through("layer_norm", "", x)
		case 2:
			x = n.own("dense", "units", x, few(), "")
			y := n.own("dense", "units", x, n.first[strings.TrimPrefix(x.name, "layer.")], "    bias_regularizer = \"l2\"\n")
			x = tensor{n.layer("multiply", []tensor{x, y}, nil), 0, x.channels}
		}
	}
	n.own("dense", "units", x, 3, "")
	return n
}

// read returns the widths, and the groups of grouped convolutions, that the
// shapes of a model's kernels tell.
func (n *network) read(vals []train.Value) (w, groups widths) {
	w, groups = widths{}, widths{}
	for _, v := range vals {
		name, kernel, _ := strings.Cut(v.Name, ".")
		if _, own := n.first[name]; own && v.Role == graph.ParamRole && (kernel == "kernel" || kernel == "pointwise_kernel") {
			w[name] = v.Tensor.Shape[len(v.Tensor.Shape)-1]
		}
	}
	for name, in := range n.grouped {
		groups[name] = in(w) / find(vals, graph.ParamRole, name+".kernel").Shape[2]
	}
	return w, groups
}

// TestRandomNetworks removes random channels of random networks and compares
// what is left with the network that the plugins build that small.
func TestRandomNetworks(t *testing.T) {
	trials := uint64(32)
	if testing.Short() {
		trials = 10
	}
	l := newLab(t, 5, 5, 2)
	cuts, removed := 0, 0
	for seed := range trials {
		n := randomNetwork(seed, 5, 2)
		two := widths{}
		for name := range n.grouped {
			two[name] = 2
		}
		text := n.text(n.first, two)
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := &lab{TB: t, host: l.host, inputs: l.inputs, target: l.target}
			p := l.program(text)
			vals := values(p)
			if seed%2 == 0 {
				vals = l.trained(p, vals)
			}
			for range 2 { // the second time from what the first has left
				a, err := axes.Follow(p)
				if err != nil {
					t.Fatal(err)
				}
				var what []axes.Cut
				for _, g := range a.Groups() {
					if g.Size > 1 && n.rng.IntN(2) == 0 {
						gone := int64(0)
						for i := range g.Size {
							if gone < g.Size-1 && n.rng.IntN(2) == 0 {
								what = append(what, g.Channel(i))
								gone++
							}
						}
						removed += int(gone)
					}
				}
				if len(what) == 0 {
					return
				}
				cuts++
				if p, vals, err = a.Remove(vals, what...); err != nil {
					t.Fatal(err)
				}
				l.equals(p, vals, n.text(n.read(vals)))
				if t.Failed() {
					return
				}
			}
		})
		if !ok {
			t.Fatalf("the network of seed %d:\n%s", seed, text)
		}
	}
	if cuts < int(trials) || removed < 2*int(trials) {
		t.Errorf("%d removals of %d channels are too few to say anything", cuts, removed)
	}
}
