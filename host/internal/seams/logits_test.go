package seams

// A softmax followed by a cross-entropy on probabilities is computed from the
// logits, as Keras does where it sees the activation, and so is a sigmoid followed by a
// binary cross-entropy. A user writes either of
//
//	layer "dense" "out" { units = 4 activation = "softmax" }
//	loss "sparse_categorical_crossentropy" {}
//
//	layer "dense" "out" { units = 4 }
//	loss "sparse_categorical_crossentropy" { from_logits = true }
//
// and examples whose probability is 0 to float32 teach alike.
//
// The probe learns a number for each example's every logit, from zeros, in one step of plain
// gradient descent, so that the step is the gradient of the loss by the logits;
// Keras's are in the golden file.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

const logitsSpec = `
data "jsonl" "rows" {
  path   = FILE
  target = "y"
}
model "net" {
  input "which" {}
  input "given" {}
  layer "dense" "learned" {
    units              = UNITS
    use_bias           = false
    kernel_initializer = "zeros"
    from               = input.which
  }
  layer "add" "logits" {
    from = [input.given, layer.learned]
  }
  layer "ACTIVATION" "out" {}
}
train {
  epochs     = 1
  batch_size = EXAMPLES
  loss "LOSS" {
    SETTINGS
  }
  optimizer "sgd" {
    learning_rate = 1
  }
}
`

func TestLossesOnProbabilitiesUseLogits(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "plugins", "testdata", "goldens", "losses.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []json.RawMessage }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, raw := range file.Cases {
		var head struct{ Name, After string }
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatal(err)
		}
		if head.After == "" {
			continue
		}
		tried++
		t.Run(head.Name, func(t *testing.T) {
			t.Parallel()
			var c afterCase
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatal(err)
			}
			for _, backend := range []string{"reference", "cpu"} {
				c.check(t, backend)
			}
		})
	}
	if tried < 8 {
		t.Errorf("%d cases come after an activation", tried)
	}
}

type afterTensor struct {
	Shape []int
	Data  []float64
}

// afterCase is a golden case of logits that go through an activation first.
type afterCase struct {
	Type, After string
	Config      map[string]float64
	Target      afterTensor `json:"y_true"`
	Logits      afterTensor `json:"y_pred"`
	Cotangent   afterTensor
	F64         struct {
		PerExample afterTensor `json:"per_example"`
		Grad       afterTensor
	}
}

func (c *afterCase) check(t *testing.T, backend string) {
	t.Helper()
	examples, units := c.Logits.Shape[0], c.Logits.Shape[1]
	var rows strings.Builder
	for i := range examples {
		which := make([]float64, examples)
		which[i] = 1
		var y any = c.Target.Data[i]
		if len(c.Target.Shape) > 1 && units > 1 {
			y = c.Target.Data[i*units : (i+1)*units]
		}
		line, err := json.Marshal(map[string]any{"which": which, "given": c.Logits.Data[i*units : (i+1)*units], "y": y})
		if err != nil {
			t.Fatal(err)
		}
		rows.Write(append(line, '\n'))
	}
	settings := ""
	for k, v := range c.Config {
		settings += fmt.Sprintf("%s = %v\n", k, v)
	}
	spec := replace(logitsSpec, "UNITS", fmt.Sprint(units), "ACTIVATION", c.After, "EXAMPLES", fmt.Sprint(examples), "LOSS", c.Type, "SETTINGS", settings)
	out, r, _ := train(t, project(t, spec, rows.String(), host.Options{Backend: backend}), host.TrainOptions{})
	loss := 0.0
	for _, x := range c.F64.PerExample.Data {
		loss += x / float64(examples)
	}
	near(t, backend+" loss", []float64{float64(r.Metrics["loss"])}, []float64{loss}, 1e-6)
	// The golden gradient is that of the sum of cotangent * loss.
	want := make([]float64, len(c.F64.Grad.Data))
	for i, g := range c.F64.Grad.Data {
		want[i] = -g / c.Cotangent.Data[i/units] / float64(examples)
	}
	near(t, backend+" step", values(t, out)["learned.kernel"], want, 1e-6)
}
