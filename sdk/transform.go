package sdk

import (
	"fmt"

	"github.com/hone-ml/hone/sdk/graph"
)

// Transform maps the columns of examples to new columns, the same for training,
// evaluation and prediction. A column's first axis is the batch.
//
// The host receives the function "apply": one input and one output per column,
// under the columns' names.
type Transform interface {
	Apply(b *graph.Builder, columns []Column) []Column
}

// Column is a named value per example.
type Column struct {
	Name  string
	Value graph.Value
}

func (t *tracer) transform(x Transform, names []string, types []graph.Type) error {
	b := graph.NewBuilder(t.m, "apply", graph.Any)
	var in []Column
	for i, n := range names {
		in = append(in, Column{n, b.Input(n, types[i])})
	}
	out := x.Apply(b, in)
	if len(out) == 0 && b.Err() == nil {
		return fmt.Errorf("no column is left")
	}
	for _, c := range out {
		b.Output(c.Name, c.Value)
	}
	_, err := b.Finish()
	return err
}
