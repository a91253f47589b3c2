package seams

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// Seam: structured pruning. A checkpoint alone, no plugin at hand, tells which
// channels hang together, and gives up one of them: a filter of a convolution
// goes with its batch normalization's statistics, the residual branch that is
// added to it, the offset and factor of a layer normalization over the flattened
// image, and the rows of the dense kernel behind. What is left says to the bit
// what the network written with fewer filters says with the same weights:
//
//	m, err := host.Open("big.hone", host.Options{NoPlugins: true})
//	err = m.RemoveChannels("small.hone", host.Channel("stem.kernel", 3, 2))
const residual = `
data "csv" "pixels" {
  path   = FILE
  target = "label"
}
model "net" {
  input "pixels" {
    columns = [COLUMNS]
  }
  layer "reshape" "image" {
    target_shape = [4, 4, 1]
  }
  layer "conv2d" "stem" {
    filters     = FILTERS
    kernel_size = 3
    padding     = "same"
  }
  layer "batch_norm" "norm" {}
  layer "conv2d" "branch" {
    filters     = FILTERS
    kernel_size = 3
    padding     = "same"
    activation  = "relu"
  }
  layer "add" "sum" {
    from = [layer.norm, layer.branch]
  }
  layer "flatten" "flat" {}
  layer "layer_norm" "even" {}
  layer "dense" "logits" {
    units = 2
  }
}
train {
  epochs     = EPOCHS
  batch_size = 8
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {
    learning_rate = 0.01
  }
  metrics = ["accuracy"]
  MORE
}`

// pixels are rows of 16 numbers of which the first half is larger in one class.
func pixels(n int) (csv string, columns string) {
	var names []string
	for i := range 16 {
		names = append(names, fmt.Sprintf("p%d", i))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s,label\n", strings.Join(names, ","))
	for i := range n {
		for j := range 16 {
			v := (i*7+j*5)%11 - 5
			if (j < 8) == (i%2 == 0) {
				v += 3
			}
			fmt.Fprintf(&b, "%g,", float64(v)/8)
		}
		fmt.Fprintf(&b, "%s\n", []string{"left", "right"}[i%2])
	}
	return b.String(), `"` + strings.Join(names, `", "`) + `"`
}

func TestAChannelRemovedWithoutItsPlugin(t *testing.T) {
	rows, columns := pixels(20)
	text := func(filters, epochs, more string) string {
		return replace(residual, "FILTERS", filters, "EPOCHS", epochs, "MORE", more, "COLUMNS", columns)
	}
	alone := host.Options{NoPlugins: true, Backend: "reference"}
	big, _, _ := train(t, project(t, text("4", "2", ""), rows, host.Options{}), host.TrainOptions{})
	m, err := host.Open(big, alone)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	groups, err := m.Channels()
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != 1 || groups[0].Size != 4 || len(groups[0].Members) != 12 {
		t.Fatalf("the groups are %v", groups)
	}
	small := filepath.Join(t.TempDir(), "small.hone")
	if err := m.RemoveChannels(small, host.Channel("stem.kernel", 3, 2)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]int64{
		"stem.kernel": {3, 3, 1, 3}, "norm.moving_variance": {3}, "branch.kernel": {3, 3, 3, 3}, "even.gamma": {48}, "logits.kernel": {48, 2},
		"logits.kernel:velocity": {48, 2},
	} {
		if v := stored(t, small)[name]; v == nil || !slices.Equal(v.Shape, want) {
			t.Errorf("%q is %v, wanted the shape %v", name, v, want)
		}
	}

	// The network written with three filters, with those weights.
	built := before(t, project(t, text("3", "2", `init_from {
    path = "`+filepath.ToSlash(small)+`"
  }`), rows, host.Options{}))
	same(t, predictions(t, small, alone), predictions(t, built, alone))

	// It trains on, still without a plugin.
	out, _, epochs := train(t, project(t, text("4", "5", ""), rows, alone), host.TrainOptions{Resume: small})
	if len(epochs) != 3 || !(epochs[2].Metrics["loss"] < epochs[0].Metrics["loss"]) {
		t.Errorf("trained on, the epochs are %+v", epochs)
	}
	if v := stored(t, out)["stem.kernel"]; v.Shape[3] != 3 {
		t.Errorf("after training on, stem.kernel is %v", v.Type())
	}

	// What cannot be removed is refused with what holds it, and nothing is written.
	for param, want := range map[string]string{"logits.kernel": `"output" leaves the model`, "stem.kernel": "conv"} {
		none := filepath.Join(t.TempDir(), "none.hone")
		err := m.RemoveChannels(none, host.Channel(param, map[string]int{"logits.kernel": 1}[param], 0))
		var d host.Diagnostic
		if !errors.As(err, &d) || !strings.Contains(d.Summary, want) {
			t.Errorf("removing from %s: %v", param, err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(none), "*")); len(left) > 0 {
			t.Errorf("a refused removal leaves %v", left)
		}
	}
}

// predictions runs a checkpoint on images of its own.
func predictions(t *testing.T, path string, o host.Options) *graph.Tensor {
	t.Helper()
	m, err := host.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	x := graph.NewTensor(graph.F32, 5, 16)
	for i := range x.Len() {
		x.SetFloat(i, float64(i*i%17)/8-1)
	}
	p, err := m.Predict(t.Context(), map[string]*host.Tensor{"pixels": x})
	if err != nil {
		t.Fatal(err)
	}
	return p.Outputs[0].Values
}

func same(t *testing.T, a, b *graph.Tensor) {
	t.Helper()
	if !slices.Equal(a.Shape, b.Shape) || !bytes.Equal(a.Data, b.Data) {
		t.Errorf("the predictions differ:\n%v\n%v", a, b)
	}
}

// share divides by the number of channels, as a number: traced for fewer it is
// another layer, and no rule can see that in its graph.
type share struct{}

func (*share) Build(_ *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Times(1 / float64(x.ConstDim(-1)))
}

// The host sees it, by tracing a stranger's layer once more for inputs of another
// width, and the checkpoint remembers.
func TestALayerOfFixedShapeLosesNoChannel(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const network = `
hone {
  required_plugins {
    acme = { source = "github.com/acme/hone-acme" }
  }
}
data "csv" "rows" {
  path   = FILE
  target = "y"
}
model "shared" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "dense" "free" {
    units = 4
  }
  layer "acme.log_cosh" "follows" {}
  layer "dense" "held" {
    units = 4
  }
  layer "acme.share" "each" {}
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs = 1
  loss "mean_squared_error" {}
  optimizer "sgd" {}
}`
	out, _, _ := train(t, project(t, network, csvOf(examples(6)), host.Options{Plugins: map[string]string{"acme": self}}), host.TrainOptions{})
	m, err := host.Open(out, host.Options{NoPlugins: true, Backend: "reference"})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	groups, err := m.Channels()
	if err != nil || len(groups) != 1 || groups[0].String() != "4 of free.kernel[1], free.bias[0], held.kernel[0]" {
		t.Errorf("the groups are %v, %v", groups, err)
	}
	err = m.RemoveChannels(filepath.Join(t.TempDir(), "small.hone"), host.Channel("held.kernel", 1, 0))
	if err == nil || !strings.Contains(err.Error(), `layer in "each"`) {
		t.Errorf("removing what a layer of fixed shape takes: %v", err)
	}
}
