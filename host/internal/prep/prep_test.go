package prep_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/kernels/reference"
	"github.com/hone-ml/hone/plugins/preprocess"
	"github.com/hone-ml/hone/sdk"
)

// host serves the plugins in this process.
func host(t *testing.T, more ...sdk.Plugin) *plugin.Host {
	t.Helper()
	h, err := plugin.New(plugin.Options{Builtin: sdk.Bundle{Plugins: append([]sdk.Plugin{preprocess.Plugin()}, more...)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// transform builds one of a spec: its type, its columns, and arguments in pairs.
func transform(typ string, columns []string, args ...any) spec.Transform {
	t := spec.Transform{Type: spec.Type(typ), Name: typ, Columns: columns}
	for i := 0; i+1 < len(args); i += 2 {
		t.Args = append(t.Args, spec.Arg(args[i].(string), args[i+1]))
	}
	return t
}

func table(t *testing.T, columns ...*data.Column) *data.Table {
	t.Helper()
	out, err := data.NewTable(columns...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func fit(t *testing.T, train data.Source, o prep.Options, transforms ...spec.Transform) *prep.Pipeline {
	t.Helper()
	p, ds := tryFit(t, train, o, transforms...)
	if err := ds.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func tryFit(t *testing.T, train data.Source, o prep.Options, transforms ...spec.Transform) (*prep.Pipeline, diag.Diagnostics) {
	t.Helper()
	if o.Backend == nil {
		o.Backend = reference.New()
	}
	return prep.Fit(context.Background(), host(t), transforms, train, o)
}

func apply(t *testing.T, p *prep.Pipeline, part prep.Part, in *data.Table) *data.Table {
	t.Helper()
	out, _, err := p.Apply(context.Background(), part, in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// reload saves the pipeline and loads it without any plugin.
func reload(t *testing.T, p *prep.Pipeline) *prep.Pipeline {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	q, err := prep.Load(text, p.Module(), prep.Options{Backend: reference.New()})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestRescaleImages(t *testing.T) {
	pixels := make([]uint8, 20*4)
	for i := range pixels {
		pixels[i] = uint8(3 * i)
	}
	labels := make([]int64, 20)
	in := table(t, data.NewColumn("image", []int{2, 2}, pixels), data.NewColumn("label", nil, labels))
	p := fit(t, in, prep.Options{Targets: []string{"label"}}, transform("rescale", nil, "scale", 1.0/255))
	for _, p := range []*prep.Pipeline{p, reload(t, p)} {
		out := apply(t, p, prep.Train, in)
		image := out.Column("image")
		if image.Type != data.F32 || len(image.Shape) != 2 || out.Column("label").Type != data.I64 || out.Columns[0] != image {
			t.Fatalf("the table is %v", out.Schema())
		}
		for i, x := range data.Values[float32](image) {
			if want := float32(pixels[i]) * float32(1.0/255); x != want {
				t.Fatalf("pixel %d is %v, wanted %v", i, x, want)
			}
		}
		only, _ := in.Slice(3, 4).Select("image")
		one := apply(t, p, prep.Predict, only)
		if got, want := data.Values[float32](one.Column("image"))[1], data.Values[float32](image)[13]; got != want {
			t.Errorf("one row to predict gives %v, the row in training %v", got, want)
		}
		if got := p.Inputs(); len(got) != 1 || got[0].String() != "image: u8[2, 2]" {
			t.Errorf("inputs %v", got)
		}
		if got := p.Outputs(); len(got) != 2 || got[0].String() != "image: f32[2, 2]" {
			t.Errorf("outputs %v", got)
		}
	}
}
