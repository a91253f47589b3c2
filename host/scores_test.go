package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogits trains on one logit: metrics that take it for a
// probability are warned of, those that are told are not.
func TestLogits(t *testing.T) {
	dir := t.TempDir()
	rows := "x,y\n"
	for i := range 40 {
		rows += fmt.Sprintf("%d,%d\n", i%10, i%10/5)
	}
	if err := os.WriteFile(filepath.Join(dir, "rows.csv"), []byte(rows), 0o644); err != nil {
		t.Fatal(err)
	}
	rowsOfX := filepath.Join(dir, "predict.csv")
	if err := os.WriteFile(rowsOfX, []byte("x\n0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ metrics, want string }{
		{`metrics = ["accuracy", "auc"]`, "accuracy auc"},
		{"metric \"accuracy\" {\n threshold = 0\n }\n metric \"auc\" {\n from_logits = true\n }", ""},
		{`metrics = ["mean_squared_error"]`, ""},
	} {
		path := filepath.Join(dir, "x.hone.hcl")
		text := `
data "csv" "d" {
  path   = "rows.csv"
  target = "y"
}
model "m" {
  input "x" {}
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs = 1
  loss "binary_crossentropy" {
    from_logits = true
  }
  optimizer "sgd" {}
  ` + c.metrics + "\n}\n"
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Load(path, Options{Builtin: bundle})
		if err != nil {
			t.Fatal(err)
		}
		var warned []string
		_, err = p.Train(t.Context(), TrainOptions{Out: filepath.Join(dir, "x.hone"), Events: func(e Event) {
			if w, ok := e.(WarningEvent); ok {
				for _, d := range w.Diagnostics {
					if d.Code == "metric_of_logits" {
						warned = append(warned, strings.TrimPrefix(d.Path, "train.metric."))
					}
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(filepath.Join(dir, "x.hone"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		y, err := m.PredictFile(t.Context(), rowsOfX)
		if err != nil {
			t.Fatal(err)
		}
		// A logit says yes from zero on.
		for i, label := range y.Outputs[0].Labels {
			if z := y.Outputs[0].Values.Float(i); (label == "1") != (z > 0) {
				t.Errorf("the logit %v has the label %q", z, label)
			}
		}
		if len(y.Outputs[0].Labels) != 10 {
			t.Errorf("%d labels of 10", len(y.Outputs[0].Labels))
		}
		if got := strings.Join(warned, " "); got != c.want {
			t.Errorf("%s: warned of %q, want %q", c.metrics, got, c.want)
		}
	}
}

// TestEstimatesOfWholeNumbersHaveNoLabels: a regression's target may happen to be whole.
func TestEstimatesOfWholeNumbersHaveNoLabels(t *testing.T) {
	dir := t.TempDir()
	rows := filepath.Join(dir, "rows.csv")
	if err := os.WriteFile(rows, []byte("x,age\n1,20\n2,30\n3,40\n4,50\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := load(t, `
data "csv" "d" {
  path   = "`+filepath.ToSlash(rows)+`"
  target = "age"
}
model "m" {
  input "x" {}
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs = 1
  loss "mean_squared_error" {}
  optimizer "sgd" {}
}
`, Options{})
	out := filepath.Join(dir, "x.hone")
	if _, err := p.Train(t.Context(), TrainOptions{Out: out}); err != nil {
		t.Fatal(err)
	}
	m, err := Open(out, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	y, err := m.PredictFile(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	if l := y.Outputs[0].Labels; l != nil {
		t.Errorf("labels %v", l)
	}
}
