package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/modelfmt"
	"github.com/hone-ml/hone/sdk/graph"
)

// CheckPredictionFormat reports a file name whose ending is no format that
// predictions are written in.
func CheckPredictionFormat(path string) error {
	switch formatOf(path) {
	case "npy", "csv", "jsonl":
		return nil
	}
	return diag.Errorf("output_format", "predictions cannot be written as %s", filepath.Base(path)).Hint("End the name in .npy, .csv or .jsonl.")
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
// outputs), jsonl (an object each) or npy (the raw values of the only output).
func (p *Prediction) Write(w io.Writer, format string) error {
	switch format {
	case "npy":
		if len(p.Outputs) != 1 {
			return diag.Errorf("output_format", "an .npy file holds one array, and the model has %d outputs", len(p.Outputs)).Hint("Write .csv or .jsonl.")
		}
		return writeNPY(w, p.Outputs[0].Values)
	case "jsonl":
		return p.writeJSON(w)
	}
	return p.writeCSV(w)
}

func (p *Prediction) writeCSV(w io.Writer) error {
	var head []string
	for _, o := range p.Outputs {
		if o.Labels != nil {
			head = append(head, o.Name+"_label", o.Name+"_score")
		}
		for j := range o.width() {
			name := o.Name
			if o.width() > 1 {
				name += "_" + strconv.Itoa(j)
			}
			head = append(head, name)
		}
	}
	if _, err := fmt.Fprintln(w, strings.Join(head, ",")); err != nil {
		return err
	}
	var line []byte
	for i := range int(p.Examples) {
		line = line[:0]
		for _, o := range p.Outputs {
			if o.Labels != nil {
				line = append(append(line, csvField(o.Labels[i])...), ',')
				line = append(strconv.AppendFloat(line, o.Scores[i], 'g', 8, 64), ',')
			}
			for j := range o.width() {
				line = append(strconv.AppendFloat(line, o.Values.Float(i*o.width()+j), 'g', 8, 64), ',')
			}
		}
		line[len(line)-1] = '\n'
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func csvField(s string) string {
	if strings.ContainsAny(s, ",\"\r\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

func (o *OutputValues) width() int {
	if len(o.Values.Shape) == 0 || o.Values.Shape[0] == 0 {
		n := 1
		for _, e := range o.Values.Shape[1:] {
			n *= int(e)
		}
		return n
	}
	return o.Values.Len() / int(o.Values.Shape[0])
}

func (p *Prediction) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // labels such as <=50K are for people
	for i := range int(p.Examples) {
		row := map[string]any{}
		for _, o := range p.Outputs {
			v := make([]Number, o.width())
			for j := range v {
				v[j] = Number(o.Values.Float(i*o.width() + j))
			}
			row[o.Name] = v
			if len(v) == 1 {
				row[o.Name] = v[0]
			}
			if o.Labels != nil {
				row[o.Name+"_label"], row[o.Name+"_score"] = o.Labels[i], Number(o.Scores[i])
			}
		}
		if err := e.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

var npyTypes = map[graph.DType]string{
	graph.F64: "<f8", graph.F32: "<f4", graph.F16: "<f2", graph.I64: "<i8", graph.I32: "<i4", graph.I8: "|i1", graph.U64: "<u8", graph.U32: "<u4", graph.U8: "|u1", graph.Bool: "|b1",
}

// writeNPY writes NumPy's format, version 1.0.
func writeNPY(w io.Writer, t *Tensor) error {
	d, ok := npyTypes[t.DType]
	if !ok {
		return diag.Errorf("output_format", "NumPy has no element type %v", t.DType).Hint("Write .csv or .jsonl.")
	}
	var shape bytes.Buffer
	for _, e := range t.Shape {
		fmt.Fprintf(&shape, "%d, ", e)
	}
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", d, strings.TrimSuffix(shape.String(), " "))
	for (10+len(head)+1)%64 != 0 {
		head += " "
	}
	head += "\n"
	if _, err := fmt.Fprintf(w, "\x93NUMPY\x01\x00%s%s", string([]byte{byte(len(head)), byte(len(head) >> 8)}), head); err != nil {
		return err
	}
	_, err := w.Write(t.Data)
	return err
}
