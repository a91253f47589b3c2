package host

import (
	"bufio"
	"bytes"
	"io"
	"path/filepath"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/modelfmt/npz"
	"github.com/hone-ml/hone/sdk/graph"
)

// CheckPredictionFormat reports a file name whose ending is no format that
// predictions are written in.
func CheckPredictionFormat(path string) error {
	switch formatOf(path) {
	case "npy", "npz", "csv", "jsonl":
		return nil
	}
	return diag.Errorf("output_format", "predictions cannot be written as %s", filepath.Base(path)).Hint("End the name in .npy, .npz, .csv or .jsonl.")
}

func formatOf(path string) string {
	return strings.TrimPrefix(strings.ToLower(filepath.Ext(path)), ".")
}

// WriteFile writes the predictions in the format of the name's ending, at once:
// a failure leaves nothing behind.
func (p *Prediction) WriteFile(path string) error {
	if err := CheckPredictionFormat(path); err != nil {
		return err
	}
	return modelfmt.ReplaceFile(path, func(w io.Writer) error {
		b := bufio.NewWriter(w)
		if err := p.Write(b, formatOf(path)); err != nil {
			return err
		}
		return b.Flush()
	})
}

// Write writes the predictions as csv (a row each: label, score and the raw
// outputs), jsonl (an object each), npz (the raw values, an array for each output)
// or npy (those of the only output).
func (p *Prediction) Write(w io.Writer, format string) error {
	switch format {
	case "npy":
		if len(p.Outputs) != 1 {
			return diag.Errorf("output_format", "an .npy file holds one array, and the model has %d outputs", len(p.Outputs)).Hint("Write .npz, .csv or .jsonl.")
		}
		info, err := arrayOf(p.Outputs[0])
		if err != nil {
			return err
		}
		head, err := npz.AppendHeader(nil, info.DType, info.Shape)
		if err != nil {
			return err
		}
		if _, err := w.Write(head); err != nil {
			return err
		}
		_, err = w.Write(p.Outputs[0].Values.Data)
		return err
	case "npz":
		z := npz.NewWriter(w)
		for _, o := range p.Outputs {
			info, err := arrayOf(o)
			if err != nil {
				return err
			}
			if err := z.Add(info, bytes.NewReader(o.Values.Data)); err != nil {
				return err
			}
		}
		return z.Close()
	}
	t, err := p.table()
	if err != nil {
		return err
	}
	var out data.Writer
	if format == "jsonl" {
		out = data.NewJSONLinesWriter(w, t.Schema())
	} else if out, err = data.NewCSVWriter(w, t.Schema()); err != nil {
		return err
	}
	if err := out.Write(t); err != nil {
		return err
	}
	return out.Close()
}

func arrayOf(o OutputValues) (modelfmt.TensorInfo, error) {
	d, err := modelfmt.ParseDType(o.Values.DType.String())
	info := modelfmt.TensorInfo{Name: o.Name, DType: d, Shape: []int{}}
	for _, n := range o.Values.Shape {
		info.Shape = append(info.Shape, int(n))
	}
	return info, err
}

// table has the label, the score and the raw values of each output.
func (p *Prediction) table() (*data.Table, error) {
	var cols []*data.Column
	for _, o := range p.Outputs {
		if o.Labels != nil {
			cols = append(cols, data.StringsOf(o.Name+"_label", o.Labels), scores(o))
		}
		cols = append(cols, o.column())
	}
	return data.NewTable(cols...)
}

// scores are written with the digits that the output's own type has.
func scores(o OutputValues) *data.Column {
	if o.Values.DType == graph.F64 {
		return data.NewColumn(o.Name+"_score", nil, o.Scores)
	}
	s := make([]float32, len(o.Scores))
	for i, v := range o.Scores {
		s[i] = float32(v)
	}
	return data.NewColumn(o.Name+"_score", nil, s)
}

// column has the raw values; one value an example is no tensor.
func (o OutputValues) column() *data.Column {
	t := o.Values
	var shape []int
	one := true
	for _, n := range t.Shape[1:] {
		shape = append(shape, int(n))
		one = one && n == 1
	}
	if one {
		shape = nil
	}
	switch t.DType {
	case graph.F64:
		return data.NewColumn(o.Name, shape, elements(t, t.Float))
	case graph.F32, graph.BF16, graph.F16:
		return data.NewColumn(o.Name, shape, elements(t, func(i int) float32 { return float32(t.Float(i)) }))
	case graph.Bool:
		return data.NewColumn(o.Name, shape, elements(t, func(i int) bool { return t.Int(i) != 0 }))
	}
	return data.NewColumn(o.Name, shape, elements(t, t.Int))
}

func elements[T data.Element](t *Tensor, at func(int) T) []T {
	out := make([]T, t.Len())
	for i := range out {
		out[i] = at(i)
	}
	return out
}
