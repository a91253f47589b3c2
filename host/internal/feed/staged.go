package feed

import (
	"context"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// Staged is a part of the data that does not fit into memory: its rows lie on
// disk, and a batch's arrays are made when it is wanted, as Arrays makes those of a table.
type Staged struct {
	// Change replaces the rows of a batch, which have the given numbers in the
	// part; nil leaves them as they are. It is set between epochs alone.
	Change func(ctx context.Context, t *data.Table, rows []int64) (*data.Table, error)

	b       *Binding
	rows    data.Dataset
	target  string
	factors map[int64]float64
}

// Stage makes the arrays of a part whose rows stay where they are. It goes over
// them once: what Arrays and CheckClasses would find wrong is found here.
// limits are those of the class numbers by target.
func (b *Binding) Stage(ctx context.Context, rows data.Dataset, limits map[string]ClassLimit, where string) (*train.Arrays, diag.Diagnostics) {
	s := &Staged{b: b, rows: rows}
	none, err := rows.Take(ctx, nil)
	if err != nil {
		return nil, diag.From(err)
	}
	a, diags := b.Arrays(none, true)
	if diags.HasErrors() {
		return nil, diags
	}
	a.Examples, a.Source, a.Weighted, a.Weights = int64(rows.Rows()), s, b.Weight != "", nil
	for name, v := range a.Fields {
		v.Shape[0], v.Data = a.Examples, nil
		a.Fields[name] = v
	}
	err = s.each(ctx, func(chunk *train.Arrays, first int, ds diag.Diagnostics) error {
		if ds.HasErrors() {
			return ds
		}
		for target, n := range limits {
			if err := checkClasses(chunk, first, target, n, where); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, diag.From(err)
	}
	return a, diags
}

// each calls f with the arrays of one chunk after another.
func (s *Staged) each(ctx context.Context, f func(a *train.Arrays, first int, ds diag.Diagnostics) error) error {
	return data.Each(ctx, s.rows, func(t *data.Table, first int64) error {
		a, ds := s.b.arrays(t, int(first), true)
		return f(a, int(first), ds)
	})
}

// Counts returns how many rows have each class of a target.
func (s *Staged) Counts(ctx context.Context, target string) (map[int64]int, error) {
	counts := map[int64]int{}
	err := s.each(ctx, func(a *train.Arrays, _ int, _ diag.Diagnostics) error {
		CountClasses(a, target, counts)
		return nil
	})
	return counts, err
}

// CountClasses adds up how many examples have each class of a target.
func CountClasses(a *train.Arrays, target string, counts map[int64]int) {
	v := a.Fields["target:"+target]
	t := graph.Tensor{DType: v.DType, Shape: v.Shape, Data: v.Data}
	for i := range t.Len() {
		counts[t.Int(i)]++
	}
}

// Weigh multiplies the weights of the examples by a factor for their class.
func (s *Staged) Weigh(target string, factors map[int64]float64) {
	s.target, s.factors = target, factors
}

// WeighClasses multiplies the weights of a by a factor for the class of each example.
func WeighClasses(a *train.Arrays, target string, factors map[int64]float64) {
	v := a.Fields["target:"+target]
	t := graph.Tensor{DType: v.DType, Shape: v.Shape, Data: v.Data}
	if a.Weights == nil {
		a.Weights = make([]float32, t.Len())
		for i := range a.Weights {
			a.Weights[i] = 1
		}
	}
	for i := range a.Weights {
		a.Weights[i] *= float32(factors[t.Int(i)])
	}
}

// Batch is that of train.Source.
func (s *Staged) Batch(ctx context.Context, rows []int64, fields map[string][]byte, weights []float32) error {
	t, err := s.rows.Take(ctx, rows)
	if err != nil {
		return err
	}
	if s.Change != nil {
		if t, err = s.Change(ctx, t, rows); err != nil {
			return err
		}
	}
	a, diags := s.b.Arrays(t, true)
	if diags.HasErrors() {
		return diags
	}
	if s.factors != nil {
		WeighClasses(a, s.target, s.factors)
	}
	for name, to := range fields {
		copy(to, a.Fields[name].Data)
	}
	copy(weights, a.Weights)
	return nil
}

var _ train.Source = (*Staged)(nil)
