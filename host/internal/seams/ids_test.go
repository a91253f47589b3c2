package seams

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

// Seam: whole numbers that choose rows of an embedding's table are checked: in
// training, before its first step, and in rows to predict. Where two columns feed two
// tables, each has its own bounds.
const idsSpec = `
data "csv" "rows" {
  path   = FILE
  target = "y"
}
model "net" {
  input "city" {}
  input "shop" {}
  layer "embedding" "cities" {
    input_dim  = 4
    output_dim = 2
    from       = input.city
  }
  layer "embedding" "shops" {
    input_dim  = 9
    output_dim = 2
    from       = input.shop
  }
  layer "concat" "both" {
    from = [layer.cities, layer.shops]
  }
  layer "flatten" "flat" {}
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs = 1
  loss "mean_squared_error" {}
  optimizer "sgd" {}
}
`

func idRows(edit map[int]string) string {
	var b strings.Builder
	b.WriteString("city,shop,y\n")
	for i := range 12 {
		row := fmt.Sprintf("%d,%d,%d", i%4, i%9, i%2)
		if e, ok := edit[i+1]; ok {
			row = e
		}
		b.WriteString(row + "\n")
	}
	return b.String()
}

func wantError(t *testing.T, about string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", about)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q is not in: %v", about, w, err)
		}
	}
}

func TestIndicesBeyondATableAreRefused(t *testing.T) {
	for _, c := range []struct {
		about string
		rows  map[int]string
		words []string
	}{
		{"too large", map[int]string{7: "4,4,0", 9: "6,4,0"}, []string{`"city"`, "is 4 in row 7", `"cities"`, "rows 0 to 3", "from 0 to 6", "input_dim = 7", "ordinal"}},
		{"the other column's bound is its own", map[int]string{3: "1,9,0"}, []string{`"shop"`, "is 9 in row 3", `"shops"`, "rows 0 to 8"}},
		{"negative", map[int]string{2: "-1,1,0"}, []string{`"city"`, "is -1 in row 2"}},
		{"not whole", map[int]string{5: "1.5,1,0"}, []string{`"city"`, "1.5 in row 5", "whole numbers"}},
	} {
		p := project(t, idsSpec, idRows(c.rows), host.Options{})
		_, err := p.Train(t.Context(), host.TrainOptions{Out: t.TempDir() + "/out.hone"})
		wantError(t, c.about, err, c.words...)
		// Rows that lie on disk are looked at too.
		p = project(t, idsSpec, idRows(c.rows), host.Options{DataMemory: 1})
		_, err = p.Train(t.Context(), host.TrainOptions{Out: t.TempDir() + "/out.hone"})
		wantError(t, c.about+", on disk", err, c.words[:2]...)
	}
	for _, dtype := range []string{"", "dtype = \"i32\"\n"} {
		text := strings.Replace(idsSpec, "input \"city\" {}", "input \"city\" {\n"+dtype+"}", 1)
		out, _, _ := train(t, project(t, text, idRows(nil), host.Options{}), host.TrainOptions{})
		m, err := host.Open(out, host.Options{Backend: "reference"})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if _, err = m.PredictFile(t.Context(), write(t, "good.csv", "city,shop\n3,8\n0,0\n")); err != nil {
			t.Error(err)
		}
		_, err = m.PredictFile(t.Context(), write(t, "bad.csv", "city,shop\n3,8\n0,9\n"))
		wantError(t, "predict"+dtype, err, `"shop"`, "9 in row 2", "rows 0 to 8")
		_, err = m.PredictFile(t.Context(), write(t, "odd.csv", "city,shop\n3,8\n0.5,1\n"))
		wantError(t, "predict"+dtype, err, `"city"`, "0.5 in row 2", "whole numbers")
	}
}

// Seam: a column whose training rows are whole numbers by chance counts as numbers
// where transforms and inputs take it as such; one that the spec calls integer stays
// one.
const numbersSpec = `
data "csv" "rows" {
  path   = FILE
  target = "y"
  COLUMN
  transform "standardize" {
    columns = ["city"]
  }
}
model "net" {
  input "x" {
    columns = ["city", "shop"]
  }
  layer "dense" "out" {
    units = 1
  }
}
train {
  epochs = 1
  loss "mean_squared_error" {}
  optimizer "sgd" {}
}
`

func TestANumberMayHaveAFractionLater(t *testing.T) {
	predict := func(column, rows string) (*host.Prediction, error) {
		out, _, _ := train(t, project(t, strings.Replace(numbersSpec, "COLUMN", column, 1), idRows(nil), host.Options{}), host.TrainOptions{})
		m, err := host.Open(out, host.Options{Backend: "reference"})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return m.PredictFile(t.Context(), write(t, "new.csv", rows))
	}
	p, err := predict("", "city,shop\n3,8\n3.5,8\n4,8\n3,0.5\n3,0\n3,1\n")
	if err != nil {
		t.Fatal(err)
	}
	// The model is linear: what lies half way is predicted half way.
	y := make([]float64, 6)
	for i := range y {
		y[i] = p.Outputs[0].Values.Float(i)
	}
	near(t, "half way", []float64{y[1], y[3]}, []float64{(y[0] + y[2]) / 2, (y[4] + y[5]) / 2}, 1e-6)
	if y[0] == y[2] || y[4] == y[5] {
		t.Error("the columns make no difference")
	}
	_, err = predict("column \"city\" {\n type = \"integer\"\n }", "city,shop\n3,8\n3.5,8\n")
	wantError(t, "declared", err, `"city"`, "3.5", "row 2", "whole number")
}
