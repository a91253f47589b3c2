package feed

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

func table(t *testing.T, columns ...*data.Column) *data.Table {
	t.Helper()
	tab, err := data.NewTable(columns...)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestBindJoinsColumnsAndNumbersClasses(t *testing.T) {
	tab := table(t,
		data.NewColumn("a", nil, []float64{1, 2, 3}), data.NewColumn("b", []int{2}, []uint8{1, 2, 3, 4, 5, 6}),
		data.StringsOf("kind", []string{"pear", "apple", "pear"}), data.NewColumn("w", nil, []float64{1, 0, 2}))
	m := &spec.Model{Name: "m", Inputs: []spec.Input{{Name: "x", Columns: []string{"*"}}}}
	d := &spec.Data{Name: "d", Targets: []string{"kind"}, Weight: "w"}
	b, diags := Bind(m, d, tab, nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	a, diags := b.Arrays(tab, true)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	x := a.Fields["x"]
	if got := b.InputTypes()["x"].String(); got != "f32[batch, 3]" {
		t.Errorf("the input is %s", got)
	}
	if x.Data[3*4] != 0 || len(x.Data) != 3*3*4 {
		t.Errorf("%v", x)
	}
	if b.Targets[0].Classes[0] != "apple" || a.Fields["target:kind"].Data[0] != 1 || a.Fields["target:kind"].Data[4] != 0 {
		t.Errorf("classes %v, codes %v", b.Targets[0].Classes, a.Fields["target:kind"].Data)
	}
	if a.Weights[1] != 0 || a.Weights[2] != 2 {
		t.Errorf("weights %v", a.Weights)
	}
}

func TestArraysRefuseWhatNoModelCanTake(t *testing.T) {
	missing := data.NewColumn("x", nil, []float64{1, 2, 3})
	missing.SetMissing(1)
	for _, c := range []struct {
		name string
		col  *data.Column
		want string
	}{
		{"missing", missing, "the first in row 2"},
		{"infinite", data.NewColumn("x", nil, []float64{1, 1e300, 3}), "row 2"},
	} {
		tab := table(t, c.col, data.NewColumn("label", nil, []int64{0, 1, 0}))
		b, diags := Bind(&spec.Model{Inputs: []spec.Input{{Name: "x"}}}, &spec.Data{}, tab, nil)
		if !diags.HasErrors() {
			_, diags = b.Arrays(tab, true)
		}
		if !diags.HasErrors() || !strings.Contains(diags.Error(), c.want) {
			t.Errorf("%s: %v", c.name, diags)
		}
	}
	tab := table(t, data.StringsOf("x", []string{"a", "b"}), data.NewColumn("label", nil, []int64{0, 1}))
	if _, diags := Bind(&spec.Model{Inputs: []spec.Input{{Name: "x"}}}, &spec.Data{}, tab, nil); !strings.Contains(diags.Error(), "one_hot") {
		t.Errorf("strings: %v", diags)
	}
	one := table(t, data.NewColumn("x", nil, []float64{1, 2}), data.StringsOf("label", []string{"a", "a"}))
	if _, diags := Bind(&spec.Model{Inputs: []spec.Input{{Name: "x"}}}, &spec.Data{}, one, nil); !strings.Contains(diags.Error(), "one class") {
		t.Errorf("one class: %v", diags)
	}
}

func TestLoadSplitsTheDigits(t *testing.T) {
	d := &spec.Data{Type: spec.Type("digits"), Name: "d", Split: &spec.Split{Validation: 0.1, Test: 0.2, Stratify: "label"}}
	p, diags := Load(context.Background(), d, Options{Seed: 1})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if n := p.Train.Rows() + p.Validation.Rows() + p.Test.Rows(); n != 1797 || p.Test.Rows() != 359 {
		t.Errorf("%d + %d + %d rows", p.Train.Rows(), p.Validation.Rows(), p.Test.Rows())
	}
	q, _ := Load(context.Background(), d, Options{Seed: 2})
	if p.Digest != q.Digest {
		t.Error("the digest depends on the seed")
	}
	if _, diags := Load(context.Background(), &spec.Data{Type: spec.Type("cvs"), Name: "d"}, Options{}); !strings.Contains(diags.Error(), `"csv"`) {
		t.Errorf("%v", diags)
	}
}

func TestCheckClassesNamesTheRow(t *testing.T) {
	labels := []int32{0, 1, 2, 0, -1, 7} // two of each row
	a := &train.Arrays{Examples: 3, Fields: map[string]kernels.View{"target:y": {DType: graph.I32, Shape: []int64{3, 2}, Data: bytesOf(labels)}}}
	minus, other := int64(-1), int64(3)
	for _, c := range []struct {
		limit ClassLimit
		want  string
	}{
		{ClassLimit{Classes: 8}, "row 3 of the train part has the label -1"},
		{ClassLimit{Classes: 8, Ignored: &other}, "row 3 of the train part has the label -1"},
		{ClassLimit{Classes: 8, Ignored: &minus}, ""},
		{ClassLimit{Classes: 7, Ignored: &minus}, "row 3 of the train part has the label 7"},
		{ClassLimit{Classes: 2, Ignored: &minus}, "row 2 of the train part has the label 2"},
	} {
		err := CheckClasses(a, "y", c.limit, "train")
		if got := fmt.Sprint(err); c.want == "" && err != nil || c.want != "" && !strings.Contains(got, c.want) {
			t.Errorf("limit %v: %v, wanted %q", c.limit, err, c.want)
		}
	}
}
