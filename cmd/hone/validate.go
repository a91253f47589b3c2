package main

import (
	"fmt"
	"strings"

	"github.com/hone-ml/hone/host"
)

type validateCmd struct {
	specFlags
	JSON bool `name:"json" help:"The result as JSON."`
}

// validation is the result of validate as JSON.
type validation struct {
	Model        string         `json:"model"`
	Parameters   int64          `json:"parameters"`
	NonTrainable int64          `json:"non_trainable"`
	Layers       []layerRow     `json:"layers"`
	ArenaBytes   int64          `json:"arena_bytes"`
	ParamBytes   int64          `json:"param_bytes"`
	FLOPs        int64          `json:"flops"` // of one training step
	BatchSize    int64          `json:"batch_size"`
	Examples     map[string]int `json:"examples"`
}

type layerRow struct {
	Name         string   `json:"name"`
	Type         string   `json:"type"`
	Outputs      []string `json:"outputs"`
	Parameters   int64    `json:"parameters"`
	NonTrainable int64    `json:"non_trainable"`
}

func (validation) EventName() string { return "result" }

func (c *validateCmd) Run(a *app) error {
	p, err := c.load(a)
	if err != nil {
		return a.tell(c.JSON, nil, err)
	}
	in, err := p.Inspect(a.ctx)
	if err != nil {
		return a.tell(c.JSON, nil, usageError{err})
	}
	a.warn(in.Warnings)
	v := validation{
		Model: in.Model, Parameters: in.Parameters, NonTrainable: in.NonTrainable, ArenaBytes: in.Plan.ArenaBytes, ParamBytes: in.Plan.ParamBytes,
		FLOPs: in.Plan.FLOPs, BatchSize: in.Batch, Examples: in.Examples,
	}
	for _, l := range in.Layers {
		r := layerRow{Name: l.Name, Type: l.Type, Parameters: l.Params, NonTrainable: l.NonTrainable}
		for _, t := range l.Outputs {
			r.Outputs = append(r.Outputs, t.String())
		}
		v.Layers = append(v.Layers, r)
	}
	if c.JSON {
		return a.jsonLine(v)
	}
	return v.print(a, in)
}

func (v validation) print(a *app, in *host.Inspection) error {
	rows := [][]string{{"layer", "type", "output", "parameters", "other"}}
	for _, l := range v.Layers {
		rows = append(rows, []string{l.Name, l.Type, strings.Join(l.Outputs, ", "), fmt.Sprint(l.Parameters), fmt.Sprint(l.NonTrainable)})
	}
	table(a.stdout, rows)
	fmt.Fprintf(a.stdout, "\n%s: %d parameters to train, %d others; %s\n", v.Model, v.Parameters, v.NonTrainable, partsText(v.Examples))
	if v.BatchSize > 0 {
		fmt.Fprintf(a.stdout, "a step of %d examples: %s of intermediate values, %s of parameters and data, %.1f MFLOP\n",
			v.BatchSize, bytesText(v.ArenaBytes), bytesText(v.ParamBytes), float64(v.FLOPs)/1e6)
	}
	return nil
}
