package axes_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/axes"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// odd is a layer of a stranger's that moves channels about in a way of its own.
type odd struct {
	Units int `hone:"units,default=0" doc:"Channels of its own."`
	Heads int `hone:"heads,default=2" doc:"Heads."`
	build func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value
}

func (o *odd) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value { return o.build(o, b, x) }

func (o *odd) dense(b *sdk.LayerBuilder, name string, x graph.Value, units int64) graph.Value {
	return x.MatMul(b.Param(name, graph.T(x.DType(), x.ConstDim(-1), units), sdk.Param{Initializer: sdk.Named("glorot_uniform")}))
}

// solved is an opaque component.
type solved struct{}

func (*solved) Results(in []graph.Type) ([]graph.Type, error) { return in, nil }
func (*solved) Compute(_ context.Context, in, out []*graph.Tensor) error {
	copy(out[0].Data, in[0].Data)
	return nil
}

func oddPlugin() sdk.Plugin {
	p := sdk.Plugin{Name: "odd", Version: "1.0.0", Layers: sdk.Layers{}, Opaques: sdk.Opaques{"solved": func() sdk.Opaque { return &solved{} }}}
	for name, build := range map[string]func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value{
		// Gated: one product, of which one half gates the other.
		"gated": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			y := o.dense(b, "kernel", x, 2*int64(o.Units))
			half := y.Dim(1).Over(2)
			return y.SliceAxis(1, graph.E(0), half).Mul(y.SliceAxis(1, half, y.Dim(1)).Sigmoid())
		},
		// Attention between the rows of an image, several heads; sizes are written
		// as numbers, as careless authors do.
		"attention": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			rows, h, d := x.ConstDim(1), int64(o.Heads), int64(o.Units)
			split := func(name string) graph.Value {
				y := o.dense(b, name, x, h*d)
				return y.Reshape(y.Dim(0), graph.E(rows), graph.E(h), graph.E(d)).Transpose(0, 2, 1, 3)
			}
			q, k, v := split("query"), split("key"), split("value")
			scores := q.Dot(k, graph.DotAttrs{LeftBatch: []int64{0, 1}, RightBatch: []int64{0, 1}, LeftContract: []int64{3}, RightContract: []int64{3}}).Softmax(-1)
			y := scores.MatMul(v).Transpose(0, 2, 1, 3).Reshape(x.Dim(0), graph.E(rows), graph.E(h*d))
			return o.dense(b, "joined", y, 3)
		},
		// Mirrored: the channels in both orders, one after the other.
		"mirrored": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return b.Concat(-1, x, x.Reverse(-1))
		},
		// Widened: zeros behind the channels, where a shortcut has fewer.
		"widened": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Pad(0, graph.Es(0, 1), graph.Es(0, 2), []int64{0, 0})
		},
		// Tabled: a constant and a draw for each channel.
		"tabled": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			n := x.ConstDim(1)
			t := graph.NewTensor(graph.F32, n)
			for i := range int(n) {
				t.SetFloat(i, float64(i+1))
			}
			x = x.Mul(b.Const(t))
			if b.Training() {
				x = x.Add(b.Uniform(graph.E(n)).Times(0.1))
			}
			return x
		},
		// Cosh has a gradient of its own.
		"cosh": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return b.CompositeWithGradient("odd/cosh@1", nil, []graph.Value{x}, func(_ *graph.Builder, x []graph.Value) []graph.Value {
				return []graph.Value{x[0].Add(x[0].Times(-2).Softplus()).Plus(-math.Ln2)}
			}, func(_ *graph.Builder, x, _, dy []graph.Value) []graph.Value {
				return []graph.Value{x[0].Tanh().Mul(dy[0])}
			})[0]
		},
		// Tied: one square kernel, under two names.
		"tied": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			n := x.ConstDim(1)
			y := o.dense(b, "kernel", x, n).Tanh()
			return y.MatMul(b.Param("again", graph.T(x.DType(), n, n), sdk.Param{Alias: "kernel"}))
		},
		// Those hold their operand's last axis.
		"sorted": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value { return x.Sort(-1, false)[0] },
		"best":   func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value { v, _ := x.TopK(2); return v },
		"place": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Add(x.ArgMax(-1).Convert(graph.F32).Unreduce(x, -1))
		},
		"counted": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Add(b.Iota(graph.F32, 1, x.Dims()...))
		},
		"mixed": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Reshape(x.Dim(0), graph.E(4), graph.E(3)).Transpose(0, 2, 1).Reshape(x.Dim(0), graph.E(2), graph.E(6)).Reduce(graph.Max, 1)
		},
		"every_other": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value {
			return x.Slice(graph.Es(0, 0), x.Dims(), []int64{1, 2})
		},
		"solved": func(o *odd, b *sdk.LayerBuilder, x graph.Value) graph.Value { return b.Opaque(&solved{}, x)[0] },
	} {
		p.Layers[name] = func() sdk.Layer { return &odd{build: build} }
	}
	return p
}

// chain writes layers one behind the other: kind, or kind(arguments).
func chain(layers ...string) string {
	var b strings.Builder
	for i, l := range layers {
		kind, args, _ := strings.Cut(l, " ")
		fmt.Fprintf(&b, "layer %q \"l%d\" {\n", kind, i)
		for arg := range strings.SplitSeq(args, ",") {
			if arg != "" {
				fmt.Fprintf(&b, "    %s\n", strings.TrimSpace(arg))
			}
		}
		b.WriteString("  }\n  ")
	}
	return b.String()
}

var number = regexp.MustCompile(`(units|heads|filters) = (\d+)`)

// less writes a model with other numbers of units and the like, in their order.
func less(text string, to ...int) string {
	i := -1
	return number.ReplaceAllStringFunc(text, func(s string) string {
		if i++; i < len(to) {
			name, _, _ := strings.Cut(s, " ")
			return name + " = " + strconv.Itoa(to[i])
		}
		return s
	})
}

// TestChannelsOfStrangers removes channels of layers that no rule was written
// for, and compares with the layers built smaller.
func TestChannelsOfStrangers(t *testing.T) {
	for _, c := range []struct {
		name  string
		image []int64
		text  string
		cuts  []axes.Cut
		less  []int
	}{
		{"both halves", []int64{5}, chain("gated units = 4", "dense units = 3"), []axes.Cut{axes.Channel("l0.kernel", 1, 6)}, []int{3}},
		{"a head", []int64{4, 6}, chain("attention units = 2, heads = 3", "flatten", "dense units = 3"), []axes.Cut{axes.Channel("l0.value", 1, 2)}, nil},
		{"twice in a mirror", []int64{5}, chain("dense units = 4", "mirrored", "dense units = 3"), []axes.Cut{axes.Channel("l2.kernel", 0, 5)}, []int{3}},
		{"recurrent units", []int64{4, 3}, chain("simple_rnn units = 5, return_sequences = true", "simple_rnn units = 4, activation = \"relu\"", "dense units = 3"),
			[]axes.Cut{axes.Channel("l0.recurrent_kernel", 0, 1, 3), axes.Channel("l1.bias", 0, 0)}, []int{3, 3}},
		{"a gradient of its own", []int64{5}, chain("dense units = 4", "cosh", "dense units = 3"), []axes.Cut{axes.Channel("l0.bias", 0, 1, 2)}, []int{2}},
		{"values under two names", []int64{5}, chain("dense units = 4", "tied", "dense units = 3"), []axes.Cut{axes.Channel("l0.bias", 0, 2)}, []int{3}},
		{"two that share functions", []int64{4}, chain("dense units = 4, activation = \"gelu\"", "dense units = 4, activation = \"gelu\"", "dense units = 4, activation = \"gelu\"", "dense units = 3"),
			[]axes.Cut{axes.Channel("l0.bias", 0, 1), axes.Channel("l2.bias", 0, 0, 2)}, []int{3, 4, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.image...)
			p := l.program(c.text)
			a, err := axes.Follow(p)
			if err != nil {
				t.Fatal(err)
			}
			vals := l.trained(p, values(p))
			if c.name == "a head" {
				// Element 2 of the values' kernel is the first of a head's two: as head or
				// as one of the two, the group has to be named.
				if _, _, err := a.Remove(vals, c.cuts...); err == nil || !strings.Contains(err.Error(), "2 groups") {
					t.Fatalf("an element of two groups: %v", err)
				}
				var head, each []axes.Cut
				for _, g := range a.Groups() {
					switch {
					case strings.HasPrefix(g.String(), "3 of l0.query"):
						head = append(head, g.Channel(1))
					case g.Size == 2: // those that queries meet keys by, and those of the values
						each = append(each, g.Channel(0))
					}
				}
				if len(head) != 1 || len(each) != 2 {
					t.Fatalf("the groups are %v", a.Groups())
				}
				for _, c := range []struct {
					cuts []axes.Cut
					text string
				}{{head, less(c.text, 2, 2)}, {each, less(c.text, 1, 3)}, {append(head, each...), less(c.text, 1, 2)}} {
					smaller, left, err := a.Remove(vals, c.cuts...)
					if err != nil {
						t.Fatal(err)
					}
					l.equals(smaller, left, c.text)
				}
				return
			}
			smaller, left, err := a.Remove(vals, c.cuts...)
			if err != nil {
				t.Fatal(err)
			}
			l.equals(smaller, left, less(c.text, c.less...))
		})
	}
}

// TestConstantsAndPadsLoseTheirChannel compares with what the whole network says
// where the weights behind the channel are zero: such a layer cannot be built
// without one of its middle channels.
func TestConstantsAndPadsLoseTheirChannel(t *testing.T) {
	l := newLab(t, 5)
	text := chain("dense units = 4", "tabled", "widened", "dense units = 3")
	p := l.program(text)
	a, err := axes.Follow(p)
	if err != nil {
		t.Fatal(err)
	}
	vals := values(p)
	kernel := find(vals, graph.ParamRole, "l3.kernel") // behind 1 zero, 4 channels, 2 zeros
	for j := range 3 {
		for _, i := range []int{0, 2, 6} {
			kernel.SetFloat(i*3+j, 0)
		}
	}
	smaller, left, err := a.Remove(vals, axes.Channel("l3.kernel", 0, 0, 2, 6))
	if err != nil {
		t.Fatal(err)
	}
	if got := find(left, graph.ParamRole, "l0.kernel"); got.Shape[1] != 3 || find(left, graph.ParamRole, "l3.kernel").Shape[0] != 4 {
		t.Errorf("the first kernel is %v", got.Type())
	}
	same(t, "without channels that do not count", l.predict(smaller, left, graph.Infer), l.predict(p, vals, graph.Infer))
	l.trained(smaller, left)
}

func TestWhatCannotBeCutIsRefused(t *testing.T) {
	for _, c := range []struct{ layer, want string }{
		{"sorted", `sort in "l1"`}, {"best", `top_k in "l1"`}, {"place", `arg_reduce in "l1"`}, {"counted", `iota in "l1"`},
		{"mixed", `reshape in "l1"`}, {"every_other", `slice in "l1"`}, {"solved", `opaque_call in "l1": the component "solved"`},
	} {
		l := newLab(t, 5)
		p := l.program(chain("dense units = 12", c.layer, "dense units = 3"))
		a, err := axes.Follow(p)
		if err != nil {
			t.Fatal(err)
		}
		vals := values(p)
		_, _, err = a.Remove(vals, axes.Channel("l0.kernel", 1, 3))
		var held *axes.HeldError
		if !errors.As(err, &held) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `axis 1 of "l0.kernel"`) {
			t.Errorf("%s: %v, wanted %s", c.layer, err, c.want)
		}
	}
	l := newLab(t, 4, 4, 2)
	p := l.program(chain("conv2d filters = 3, kernel_size = 3, padding = \"same\"", "flatten", "dense units = 3"))
	a, err := axes.Follow(p)
	if err != nil {
		t.Fatal(err)
	}
	vals := values(p)
	for _, c := range []struct {
		cut  axes.Cut
		want string
	}{
		{axes.Channel("l0.kernel", 0, 1), "conv in \"l0\": slides"},
		{axes.Channel("l0.kernel", 2, 0), "enters the model"},
		{axes.Channel("l2.bias", 0, 0), "leaves the model"},
		{axes.Channel("l0.kernel", 3, 0, 1, 2), "one has to stay"},
		{axes.Channel("l0.kernel", 3, 3), "there is no 3"},
		{axes.Channel("l0.kernel", 4, 0), "no axis 4"},
		{axes.Channel("l9.kernel", 0, 0), "no parameter"},
		{a.Groups()[0].Channel(7), "there is no 7"},
	} {
		if _, _, err := a.Remove(vals, c.cut); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, wanted %s", err, c.want)
		}
	}
	// A value of another shape is refused, not sliced.
	find(vals, graph.ParamRole, "l0.bias").Shape = []int64{1, 3}
	if _, _, err := a.Remove(vals, axes.Channel("l0.kernel", 3, 0)); err == nil {
		t.Error("a value with another shape is taken")
	}
	// Where the elements of a group lie.
	for _, g := range a.Groups() {
		for _, m := range g.Members {
			if got, want := fmt.Sprint(g.Indices(m, 1)), map[string]string{"l0.kernel[3]": "[1]", "l0.bias[0]": "[1]"}[m.String()]; want != "" && got != want {
				t.Errorf("channel 1 lies at %s of %v, wanted %s", got, m, want)
			} else if m.String() == "l2.kernel[0]" && len(g.Indices(m, 1)) != 16 {
				t.Errorf("channel 1 lies at %s of %v", got, m)
			}
		}
	}
}
