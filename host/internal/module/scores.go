package module

import (
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/plugin"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/sdk/graph"
)

// readsScores warns where a loss takes an output for logits and a metric, by its
// defaults, takes the same output for probabilities: its figure would be of the
// right form and mean nothing.
func readsScores(s *plugin.Schema, k *spec.Metric, cfg plugin.Config, output graph.Type, path string) diag.Diagnostics {
	remedy := ""
	for _, p := range s.Parameters {
		if _, given := cfg[p.Name]; given {
			continue
		}
		switch p.Name {
		case "from_logits":
			remedy = "from_logits = true"
		case "threshold", "thresholds":
			// Of several scores the largest is the answer, in logits as in probabilities.
			if p.Default != nil && single(output) {
				remedy = p.Name + " = 0"
			}
		}
	}
	if remedy == "" {
		return nil
	}
	d := diag.Warnf("metric_of_logits", "the metric %q takes probabilities, and the loss takes the same output for logits", k.Name).
		Hint("Write metric %q { %s }, or give the last layer an activation and take from_logits from the loss.", k.Type, remedy)
	return Locate(diag.Diagnostics{d}, k.Node, path)
}

// single reports whether there is one score an example.
func single(t graph.Type) bool {
	return len(t.Shape) < 2 || t.Shape[len(t.Shape)-1].Is(1)
}
