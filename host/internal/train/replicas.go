package train

import "github.com/hone-ml/hone/sdk/graph"

// Replicas run one step function in lockstep, each on an equal share of the
// batch: replica r of n is bound to the indices r*b to (r+1)*b-1, so that it
// takes those examples of the global batch, and draws their random numbers.
// Everything else is bound alike, and stays alike to the bit, since whatever a
// step makes of the examples is joined by all_reduce along the aligned tree:
//
//   - gradients, before anything is done with them, and losses: their mean;
//   - states of layers, such as the moving averages of batch normalization,
//     whose statistics are those of the replica's own share: their mean.
//
// The states of metrics alone are each replica's own; MetricTerm.Merge joins them.

// reduce adds a value up over the replicas.
func (s *step) reduce(v graph.Value) graph.Value {
	return s.b.Apply(graph.OpAllReduce, &graph.AllReduceAttrs{Kind: graph.Sum, Shards: s.cfg.Replicas, Order: "tree"}, v)[0]
}

// mean returns the mean over the replicas.
func (s *step) mean(v graph.Value) graph.Value {
	if s.cfg.Replicas <= 1 || s.failed() {
		return v
	}
	return s.reduce(v).Times(1 / float64(s.cfg.Replicas))
}

// joinState is mean for floating-point states; others are equal everywhere, or
// the layer's own affair.
func (s *step) joinState(v graph.Value) graph.Value {
	if s.failed() || !v.Valid() || !v.DType().IsFloat() {
		return v
	}
	return s.mean(v)
}

// joined returns the results of a batch with the losses of all replicas: the
// mean of the loss, the sums of its terms.
func (s *step) joined(res map[string]graph.Value) map[string]graph.Value {
	if s.cfg.Replicas <= 1 || s.failed() {
		return res
	}
	for _, l := range s.p.Losses {
		k := key(graph.Output, "loss:"+l.Name)
		res[k] = s.reduce(res[k])
	}
	k := key(graph.Output, "loss")
	res[k] = s.mean(res[k])
	return res
}

// share returns how many examples all replicas have where each has n.
func (s *step) share(n graph.Value) graph.Value {
	if s.cfg.Replicas <= 1 {
		return n
	}
	return n.Mul(s.b.Scalar(n.DType(), float64(s.cfg.Replicas)))
}
