package layers_test

import (
	"math"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host/plugintest"
	"github.com/hone-ml/hone/plugins/layers"
	"github.com/hone-ml/hone/sdk"
	"github.com/hone-ml/hone/sdk/graph"
)

// TestF1OfASingleScore: the largest of one score is always that one, so a threshold
// is asked for; with it 2 of 3 positives are found among 3 answers of yes.
func TestF1OfASingleScore(t *testing.T) {
	k := plugintest.New(t, layers.Plugin())
	batch, labels := graph.T(graph.F32, 4, 1), graph.T(graph.I32, 4)
	batch.Shape[0], labels.Shape[0] = graph.Batch, graph.Batch
	if _, err := k.Trace(sdk.MetricKind, "f1_score", nil, batch, labels); err == nil || !strings.Contains(err.Error(), "threshold") {
		t.Errorf("without a threshold: %v", err)
	}
	for _, average := range []string{"micro", "macro", "weighted"} {
		m := k.MustTrace(sdk.MetricKind, "f1_score", plugintest.Config{"threshold": 0.5, "average": average}, batch, labels)
		args := k.Run(m, "init", graph.Any, nil)
		args["output"], args["target"], args["weight"] = graph.NewTensor(graph.F32, 4, 1), graph.NewTensor(graph.I32, 4), graph.NewTensor(graph.F32, 4)
		for i, p := range []float64{0.9, 0.8, 0.2, 0.7} {
			args["output"].SetFloat(i, p)
			args["weight"].SetFloat(i, 1)
		}
		for i, y := range []int64{1, 0, 1, 1} {
			args["target"].SetInt(i, y)
		}
		if got := k.Run(m, "result", graph.Any, k.Run(m, "update", graph.Any, args))["value"].Float(0); math.Abs(got-2.0/3) > 1e-9 {
			t.Errorf("%s: %v, wanted 2/3", average, got)
		}
	}
}
