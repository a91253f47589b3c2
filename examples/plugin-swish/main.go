// Plugin-swish is the smallest hone plugin: one layer, x * sigmoid(beta * x).
package main

import (
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

type Swish struct {
	Beta float64 `hone:"beta,default=1" doc:"Steepness."`
}

func (s *Swish) Build(b *sdk.LayerBuilder, x graph.Value) graph.Value {
	return x.Mul(x.Times(s.Beta).Sigmoid())
}

func main() {
	sdk.Serve(sdk.Plugin{Name: "swish", Version: "1.0.0", Layers: sdk.Layers{"swish": func() sdk.Layer { return &Swish{} }}})
}
