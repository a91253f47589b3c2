package seams

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: transform "label" numbers the target's classes for the loss, and
// predictions come back under the classes' own names, be they words or numbers,
// from the checkpoint alone.
const labelled = `
data "csv" "rows" {
  path   = FILE
  target = "kind"
  transform "label" {}
  split {
    test     = 0.25
    stratify = "kind"
  }
}
model "net" {
  input "features" {
    columns = ["x", "y", "z"]
  }
  layer "dense" "logits" {
    units = 3
  }
}
train {
  epochs     = 30
  batch_size = 8
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {
    learning_rate = 0.1
  }
  metrics = ["accuracy"]
}
`

func TestPredictionsBearTheNamesThatLabelNumbered(t *testing.T) {
	for about, kinds := range map[string][]string{
		"words":   {"dog", "ant", "Éclair"}, // of the order dog, ant, Éclair in the file; Éclair is the last in bytes
		"numbers": {"30", "7", "100"},
	} {
		t.Run(about, func(t *testing.T) {
			// A class is where its own column is large.
			var rows, raw strings.Builder
			var want []string
			rows.WriteString("x,y,z,kind\n")
			raw.WriteString("x,y,z\n")
			for i := range 48 {
				v := [3]float64{0.1, -0.1, float64(i%5) / 20}
				v[i%3] += 3
				fmt.Fprintf(&rows, "%g,%g,%g,%s\n", v[0], v[1], v[2], kinds[i%3])
				if i < 7 {
					fmt.Fprintf(&raw, "%g,%g,%g\n", v[0], v[1], v[2])
					want = append(want, kinds[i%3])
				}
			}
			out, r, _ := train(t, project(t, labelled, rows.String(), host.Options{}), host.TrainOptions{})
			if got := float64(r.Metrics["test_accuracy"]); got != 1 {
				t.Errorf("accuracy %g among the test rows, of %v", got, r.Metrics)
			}
			m, err := host.Open(out, host.Options{Backend: "reference"})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			p, err := m.PredictFile(t.Context(), write(t, "new.csv", raw.String()))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Outputs[0].Labels; !slices.Equal(got, want) {
				t.Errorf("predicted %v, wanted %v", got, want)
			}
			e, err := m.Evaluate(t.Context(), write(t, "more.csv", rows.String()), host.Options{Backend: "reference"})
			if err != nil {
				t.Fatal(err)
			}
			if got := float64(e.Metrics["accuracy"]); got != 1 {
				t.Errorf("evaluated on the words: accuracy %g of %v", got, e.Metrics)
			}
		})
	}
}
