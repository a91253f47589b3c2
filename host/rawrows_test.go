package host

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rawSpec reads a file without a header line whose missing cells are "?", as the
// Census file is.
const rawSpec = `
data "csv" "people" {
  path               = "people.data"
  columns            = ["age", "zip", "job", "income"]
  skip_initial_space = true
  missing            = ["?"]
  target             = "income"
  column "zip" {
    type = "string"
  }
  transform "impute" {
    columns  = ["age", "job"]
    strategy = "most_frequent"
  }
  transform "one_hot" {
    columns = ["job", "zip"]
  }
  transform "standardize" {
    columns = ["age"]
  }
  split {
    test     = 0.3
    stratify = "income"
  }
}
model "net" {
  input "features" {
    columns = ["*"]
  }
  layer "dense" "out" {
    units      = 2
    activation = "softmax"
  }
}
train {
  epochs = 20
  loss "sparse_categorical_crossentropy" {}
  optimizer "adam" {
    learning_rate = 0.05
  }
  metrics = ["accuracy"]
}
`

// Raw rows are read and transformed as the training rows were, whatever the file:
// with a header line or none, CSV or JSON lines, with targets or without. Their
// labels are those that evaluation counts, and no plugin is started.
func TestPredictTakesRawRows(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(5, 6))
	names := []string{"age", "zip", "job", "income"}
	var rows [][]string
	for range 400 {
		age, job, zip := 20+r.IntN(50), []string{"clerk", "farmer", "sales"}[r.IntN(3)], fmt.Sprintf("%05d", r.IntN(4)*1001)
		income := "<=50K"
		if float64(age)+30*r.Float64()+10*float64(len(job)-5) > 65 {
			income = ">50K"
		}
		row := []string{fmt.Sprint(age), zip, job, income}
		for i := range 3 {
			if i != 1 && r.IntN(8) == 0 {
				row[i] = "?"
			}
		}
		rows = append(rows, row)
	}
	lines := func(header []string, columns ...int) string {
		var b strings.Builder
		if header != nil {
			b.WriteString(strings.Join(header, ",") + "\n")
		}
		for _, row := range rows {
			var cells []string
			for _, c := range columns {
				cells = append(cells, row[c])
			}
			b.WriteString(strings.Join(cells, ", ") + "\n")
		}
		return b.String()
	}
	var objects strings.Builder
	for _, row := range rows {
		o := map[string]any{}
		for i, n := range names[:3] {
			switch {
			case row[i] == "?" && r.IntN(2) == 0:
				o[n] = nil
			case row[i] == "?": // absent
			case n == "age":
				o[n] = json.Number(row[i])
			default:
				o[n] = row[i]
			}
		}
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		objects.Write(append(b, '\n'))
	}
	for name, text := range map[string]string{
		"test.hone.hcl": rawSpec, "people.data": lines(nil, 0, 1, 2, 3), "unlabelled.data": lines(nil, 0, 1, 2),
		"turned.csv": lines([]string{"job", "zip", "age"}, 2, 1, 0), "people.jsonl": objects.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Load(dir, Options{Builtin: bundle})
	if err != nil {
		t.Fatal(err)
	}
	res, err := p.Train(context.Background(), TrainOptions{Out: filepath.Join(dir, "out.hone")})
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(res.Checkpoint, Options{NoPlugins: true})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	labels := func(file string) []string {
		t.Helper()
		q, err := m.PredictFile(context.Background(), filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return q.Outputs[0].Labels
	}
	want := labels("people.data")
	right := 0
	for i, l := range want {
		if l == rows[i][3] {
			right++
		}
	}
	e, err := m.Evaluate(context.Background(), filepath.Join(dir, "people.data"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	accuracy := float64(right) / float64(len(rows))
	if math.Abs(float64(e.Metrics["accuracy"])-accuracy) > 1e-12 || accuracy < 0.7 {
		t.Errorf("the labels are right in %v, evaluation says %v", accuracy, e.Metrics["accuracy"])
	}
	for _, file := range []string{"unlabelled.data", "turned.csv", "people.jsonl"} {
		if got := labels(file); !slices.Equal(got, want) {
			t.Errorf("%s has other labels", file)
		}
	}
	// A category that training did not see is none of those it knows; a missing cell is
	// filled as in training. Zip codes keep their zeros, alone in a file or not.
	odd := "30, 00000, astronaut\n?, 99999, clerk\n30, 01001, ?\n"
	if err := os.WriteFile(filepath.Join(dir, "odd.data"), []byte(odd), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := labels("odd.data"); len(got) != 3 {
		t.Errorf("labels %v", got)
	}
}
