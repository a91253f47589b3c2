package seams

// AUC and weighted metrics equal scikit-learn's, whatever the batch size.
//
// A metric accumulates over batches; those that only a whole set tells exactly,
// such as the area under a curve, are computed of all scores of an evaluation at once,
// where they fit in memory (256 MiB). A user writes
//
//	data "csv" "x" { weight = "w" ... }
//	metric "auc" "roc" { weighted = true }
//
// and class_weight in train multiplies the weights of training rows alone.
//
// The model below passes the column score through and learns nothing (its rate is 0),
// so that every number is that of the golden file's scores.

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

const metricsSpec = `
data "csv" "scores" {
  path   = FILE
  target = "y"
  weight = "w"
  source "validation" {}
}
model "same" {
  input "score" {}
  layer "dense" "out" {
    units              = 1
    kernel_initializer = "ones"
  }
}
train {
  epochs       = 1
  batch_size   = BATCH
  CLASS_WEIGHT
  loss "binary_crossentropy" {}
  optimizer "sgd" {
    learning_rate = 0
  }
  metric "auc" "roc" {}
  metric "auc" "pr" {
    curve = "PR"
  }
  metric "accuracy" "accuracy" {}
  metric "precision" "precision" {}
  metric "recall" "recall" {}
  metric "auc" "roc_weighted" {
    weighted = true
  }
  metric "auc" "pr_weighted" {
    curve    = "PR"
    weighted = true
  }
  metric "accuracy" "accuracy_weighted" {
    weighted = true
  }
  metric "precision" "precision_weighted" {
    weighted = true
  }
  metric "recall" "recall_weighted" {
    weighted = true
  }
}
`

// evaluationGolden is what scikit-learn says of 900 scores.
type evaluationGolden struct {
	Score, Target, Weight struct{ Data []float64 }
	Truth, Weighted       map[string]float64
}

func readEvaluation(t *testing.T) (g evaluationGolden, rows string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "testdata", "goldens", "evaluation.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Score, Target struct{ Data []float64 }
			Weight        struct{ Data []float64 } `json:"sample_weight"`
			Truth         map[string]float64
			Weighted      map[string]float64 `json:"truth_weighted"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) != 1 {
		t.Fatal(err, len(file.Cases))
	}
	c := file.Cases[0]
	g = evaluationGolden{c.Score, c.Target, c.Weight, c.Truth, c.Weighted}
	var b strings.Builder
	b.WriteString("score,y,w\n")
	for i, s := range g.Score.Data {
		fmt.Fprintf(&b, "%v,%v,%v\n", s, g.Target.Data[i], g.Weight.Data[i])
	}
	return g, b.String()
}

func TestMetricsEqualScikitLearn(t *testing.T) {
	g, rows := readEvaluation(t)
	n := float64(len(g.Score.Data))
	total := 0.0
	for _, w := range g.Weight.Data {
		total += w
	}
	// As in Keras, the loss is divided by the examples, not by their weights.
	wantLoss := g.Weighted["loss"] * total / n
	check := func(t *testing.T, r *host.Result, name string, want, tolerance float64) {
		t.Helper()
		if got := float64(r.Metrics[name]); !(math.Abs(got-want) <= tolerance) {
			t.Errorf("%s is %.10f, scikit-learn says %.10f", name, got, want)
		}
	}
	for _, c := range []struct {
		backend string
		batch   int
		memory  int64
	}{
		// 900 rows in evaluation batches of 256, 300, 512 and 900, remainders of
		// 132, 0, 388 and 0; in training batches of 7 with a remainder of 4, and so on.
		{"cpu", 7, 0}, {"cpu", 64, 1}, {"cpu", 300, 0}, {"cpu", 512, 1}, {"cpu", 2000, 0}, {"reference", 128, 0},
	} {
		t.Run(fmt.Sprintf("%s batch %d memory %d", c.backend, c.batch, c.memory), func(t *testing.T) {
			t.Parallel()
			spec := replace(metricsSpec, "BATCH", fmt.Sprint(c.batch), "CLASS_WEIGHT", "")
			_, r, _ := train(t, project(t, spec, rows, host.Options{Backend: c.backend, DataMemory: c.memory}), host.TrainOptions{})
			for name, want := range g.Truth {
				if name == "loss" {
					continue
				}
				check(t, r, "val_"+name, want, 1e-12)
				check(t, r, "val_"+name+"_weighted", g.Weighted[name], 1e-12)
				if name == "roc" || name == "pr" {
					// Of training's own epoch they are counted in bins, from which scores
					// as far apart as these come out whole too.
					check(t, r, name, want, 1e-12)
					continue
				}
				check(t, r, name, want, 1e-12)
				check(t, r, name+"_weighted", g.Weighted[name], 1e-12)
			}
			check(t, r, "val_loss", wantLoss, 1e-6)
			check(t, r, "loss", wantLoss, 1e-6)
		})
	}
}

// class_weight multiplies the weights of training rows and leaves validation alone.
func TestClassWeightMultipliesSampleWeight(t *testing.T) {
	g, rows := readEvaluation(t)
	n := float64(len(g.Score.Data))
	positives := 0.0
	for _, y := range g.Target.Data {
		positives += y
	}
	loss := func(of func(y float64) float64) float64 {
		sum := 0.0
		for i, p := range g.Score.Data {
			y := g.Target.Data[i]
			sum -= of(y) * g.Weight.Data[i] * (y*math.Log(p) + (1-y)*math.Log(1-p))
		}
		return sum / n
	}
	for _, c := range []struct {
		text string
		of   func(y float64) float64
	}{
		{`class_weight = "balanced"`, func(y float64) float64 { return n / (2 * (y*positives + (1-y)*(n-positives))) }},
		{`class_weight = { "0" = 0.25, "1" = 3 }`, func(y float64) float64 { return 0.25 + 2.75*y }},
	} {
		for _, memory := range []int64{0, 1} {
			spec := replace(metricsSpec, "BATCH", "40", "CLASS_WEIGHT", c.text)
			_, r, _ := train(t, project(t, spec, rows, host.Options{Backend: "cpu", DataMemory: memory}), host.TrainOptions{})
			near(t, c.text+": loss", []float64{float64(r.Metrics["loss"])}, []float64{loss(c.of)}, 1e-6)
			near(t, c.text+": val_loss", []float64{float64(r.Metrics["val_loss"])}, []float64{loss(func(float64) float64 { return 1 })}, 1e-6)
		}
	}
}
