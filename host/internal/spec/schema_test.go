package spec

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/hone-ml/hone/host/internal/diag"
)

func denseSchema() Schema {
	zero, one := &Bound{Value: 0}, &Bound{Value: 1, Exclusive: true}
	return Schema{Kind: "layer", Type: "dense", Params: []Param{
		{Name: "units", Kind: IntValue, Required: true, Min: &Bound{Value: 1}, Doc: "Number of outputs."},
		{Name: "rate", Kind: FloatValue, Default: cty.NumberFloatVal(0.5), Min: zero, Max: one, Runtime: true},
		{Name: "use_bias", Kind: BoolValue, Default: cty.True},
		{Name: "padding", Kind: TextValue, Default: cty.StringVal("valid"), Enum: []string{"valid", "same"}},
		{Name: "kernel_size", Kind: IntValue, List: true, Optional: true, MinLength: 1, MaxLength: 2},
		{Name: "weights", Kind: PathValue, Optional: true},
		{Name: "kernel_initializer", Kind: ComponentValue, Component: "initializer", Default: cty.StringVal("glorot_uniform")},
		{Name: "kernel_regularizer", Kind: ComponentValue, Component: "regularizer", Optional: true},
	}}
}

// layerArgs reads the arguments of a layer written in HCL.
func layerArgs(t *testing.T, body string) *Layer {
	t.Helper()
	text := "variable \"secret\" {\n sensitive = true\n default = 7\n}\nmodel \"m\" {\n input \"x\" {}\n layer \"dense\" \"a\" {\n" + body + "\n}\n}\n"
	s, diags := Parse("dir", []Source{{"a.hone.hcl", []byte(text)}}, Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return &s.Models[0].Layers[0]
}

func TestDecodeArgs(t *testing.T) {
	l := layerArgs(t, `
units       = 4 * 32
rate        = 1 / 255
use_bias    = false
padding     = "same"
kernel_size = 3
weights     = "w.npy"
kernel_initializer "he_normal" { scale = 2 }
kernel_regularizer = "acme.l2"`)
	v, diags := DecodeArgs(l.Args, denseSchema(), l.Node, "p")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if got := v.Get("units"); got.Int() != 128 || !got.Given || got.Range.Start.Line == 0 {
		t.Errorf("units: %+v", got)
	}
	if got := v.Get("rate").Float(); got != 1.0/255 {
		t.Errorf("rate: %v", got)
	}
	if v.Get("use_bias").Bool() || v.Get("padding").Text() != "same" || !slices.Equal(v.Get("kernel_size").Ints, []int64{3}) {
		t.Errorf("%+v", v)
	}
	if got := v.Get("weights").Path(); got != (Path{"w.npy", filepath.Join("dir", "w.npy")}) {
		t.Errorf("weights: %+v", got)
	}
	if got := v.Get("kernel_initializer").Component(); got.Type != Type("he_normal") || len(got.Args) != 1 {
		t.Errorf("kernel_initializer: %+v", got)
	}
	if got := v.Get("kernel_regularizer").Component(); got.Type != (TypeRef{"acme", "l2"}) {
		t.Errorf("kernel_regularizer: %+v", got)
	}
}

func TestDecodeArgsDefaults(t *testing.T) {
	v, diags := DecodeArgs(Args{Arg("units", 3), Arg("kernel_regularizer", nil)}, denseSchema(), Node{}, "p")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if got := v.Get("rate"); got.Float() != 0.5 || got.Given || got.Null {
		t.Errorf("rate: %+v", got)
	}
	if got := v.Get("kernel_initializer").Component().Type.Name; got != "glorot_uniform" {
		t.Errorf("kernel_initializer: %v", got)
	}
	if !v.Get("kernel_size").Null || !v.Get("kernel_regularizer").Null || !v.Get("nothing").Null {
		t.Errorf("%+v", v)
	}
}

func TestDecodeArgsMistakes(t *testing.T) {
	var out bytes.Buffer
	for _, body := range []string{
		"unit = 3",
		"units = 2.5",
		"units = \"3\"",
		"units = [3]",
		"units = 0",
		"units = 1e30",
		"units = 3\nrate = 1",
		"units = 3\nrate = -0.1",
		"units = 3\nuse_bias = 1",
		"units = 3\npadding = \"sane\"",
		"units = 3\nkernel_size = [1, 2, 3]",
		"units = 3\nkernel_size = []",
		"units = 3\nkernel_size = [1, \"a\"]",
		"units = 3\nweights = 1",
		"units = 3\nkernel_initializer = 1",
		"units = 3\nkernel_regularizer \"l1\" {}\nkernel_regularizer \"l2\" {}",
		"units = 3\nrate \"cosine\" {}",
		"units = 3\nrate = var.secret",
	} {
		l := layerArgs(t, body)
		_, diags := DecodeArgs(l.Args, denseSchema(), l.Node, "model.m.layer.a")
		if !diags.HasErrors() {
			t.Errorf("accepted: %s", body)
		}
		out.WriteString("# " + strings.ReplaceAll(body, "\n", "; ") + "\n")
		// Without the source's text, whose lines the titles already show.
		if err := diag.Write(&out, diags, nil, 100, false); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "decode.txt", out.Bytes())
	if strings.Contains(out.String(), "is 7") {
		t.Error("a sensitive value is shown")
	}
	// The same mistakes in a Spec built in Go have no place, but a path.
	_, diags := DecodeArgs(Args{Arg("units", "x"), Arg("units", make(chan int)), Arg("rate", make(chan int))}, denseSchema(), Node{}, "layer.a")
	if len(diags) != 3 || diags[0].Path != "layer.a.units" || diags[0].Subject != nil {
		t.Error(diags)
	}
}
