package host

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/host/internal/diag"
	"github.com/hone-ml/hone/host/internal/feed"
	"github.com/hone-ml/hone/host/internal/prep"
	"github.com/hone-ml/hone/host/internal/spec"
	"github.com/hone-ml/hone/host/internal/train"
	"github.com/hone-ml/hone/sdk/graph"
)

// What of the data lies in memory, for a limit of L bytes:
//
// A file's rows are a table in memory where that takes at most L/2, and lie on
// disk otherwise. The parts, transformed, and the arrays made of them lie in
// memory where all of that, and the file's rows, take at most L. Otherwise the
// training part lies on disk and is staged, and so is any other part that
// takes more than L/4.

// loadParts reads a data block within the limit.
func loadParts(ctx context.Context, o Options, d *spec.Data, seed uint64) (*feed.Parts, diag.Diagnostics) {
	return feed.Load(ctx, d, feed.Options{Seed: seed, Memory: max(o.dataMemory()/2, 1)})
}

// exactValues is how many numbers of a column the fit of transforms keeps to tell
// quantiles exactly: no fewer than a million, however little memory there is, and
// no more than prep's own bound.
func (o Options) exactValues() int {
	return int(min(max(o.dataMemory()/64, 1<<20), 16<<20))
}

// placeParts applies the pipeline, where there is one, and moves each part to
// where the limit has it.
func placeParts(ctx context.Context, o Options, pipe *prep.Pipeline, parts *feed.Parts) error {
	limit := o.dataMemory()
	total := int64(0)
	sources := map[string]data.Source{}
	err := parts.Named(func(name string, t *data.Dataset) error {
		src, err := transformed(ctx, pipe, name, *t)
		if err != nil {
			return partError(parts, name, *t, err)
		}
		sources[name] = src
		total += 2 * src.Schema().Bytes(src.Rows())
		if table, ok := (*t).(*data.Table); ok && pipe != nil {
			total += table.Schema().Bytes(table.Rows())
		}
		return nil
	})
	if err != nil {
		return err
	}
	return parts.Named(func(name string, t *data.Dataset) error {
		src := sources[name]
		if total <= limit || name != "train" && 2*src.Schema().Bytes(src.Rows()) <= limit/4 {
			table, err := data.ReadAll(ctx, src)
			if err != nil {
				return partError(parts, name, *t, err)
			}
			*t = table.WithDigest((*t).Digest())
			return nil
		}
		if pipe == nil {
			if _, ok := src.(*data.Table); !ok {
				return nil // lies on disk already
			}
		}
		s, err := data.Spill(ctx, src, "")
		if err != nil {
			return partError(parts, name, *t, err)
		}
		*t = parts.Keep(s)
		return nil
	})
}

// transformed returns a part as the pipeline leaves it.
func transformed(ctx context.Context, pipe *prep.Pipeline, part string, rows data.Dataset) (data.Source, error) {
	if pipe == nil {
		return rows, nil
	}
	use := prep.Evaluate
	if part == "train" {
		use = prep.Train
	}
	return pipe.Prepare(ctx, use, rows)
}

// partError says in which part an error is, and in which line of its file.
func partError(parts *feed.Parts, part string, rows data.Dataset, err error) error {
	return parts.Explain(part, rows.Rows(), diag.From(fmt.Errorf("%s part: %w", part, err)))
}

// columnsOf returns a table of no rows with the dataset's columns and dictionaries.
func columnsOf(ctx context.Context, d data.Dataset) (*data.Table, error) {
	if t, ok := d.(*data.Table); ok {
		return t, nil
	}
	return d.Take(ctx, nil)
}

// arraysOf binds a part's columns: as arrays in memory, or staged where it lies on
// disk. Diagnostics name the place in its file.
func arraysOf(ctx context.Context, b *feed.Binding, p *train.Program, parts *feed.Parts, part string, rows data.Dataset) (*train.Arrays, diag.Diagnostics) {
	a, diags := bindPart(ctx, b, p, part, rows)
	return a, parts.Explain(part, rows.Rows(), diags)
}

func bindPart(ctx context.Context, b *feed.Binding, p *train.Program, part string, rows data.Dataset) (*train.Arrays, diag.Diagnostics) {
	limits := classLimits(p)
	t, ok := rows.(*data.Table)
	if !ok {
		return b.Stage(ctx, rows, limits, part)
	}
	a, diags := b.Arrays(t, true)
	if diags.HasErrors() {
		return nil, diags
	}
	for _, target := range sortedKeys(limits) {
		if err := feed.CheckClasses(a, target, limits[target], part); err != nil {
			diags.AppendErr(err)
		}
	}
	return a, diags
}

// classLimits returns, by target, which class numbers all losses take that
// compare an output with them.
func classLimits(p *train.Program) map[string]feed.ClassLimit {
	limits := map[string]feed.ClassLimit{}
	outs := p.Outputs()
	for _, l := range p.Losses {
		i := slices.IndexFunc(outs, func(q graph.Param) bool { return q.Name == l.Output })
		if i < 0 || !strings.Contains(l.Func, "sparse_categorical") {
			continue
		}
		k, ok := outs[i].Type.Shape[outs[i].Type.Rank()-1].Const()
		if !ok {
			continue
		}
		limit := feed.ClassLimit{Classes: k, Ignored: l.Ignored}
		if other, ok := limits[l.Target]; ok {
			limit.Classes = min(k, other.Classes)
			if other.Ignored == nil || l.Ignored == nil || *other.Ignored != *l.Ignored {
				limit.Ignored = nil
			}
		}
		limits[l.Target] = limit
	}
	return limits
}

// weighClasses gives the training examples the weights of their classes.
func weighClasses(ctx context.Context, a *train.Arrays, w *spec.ClassWeight, tb *feed.TargetBinding) error {
	v := a.Fields["target:"+tb.Name]
	if v.DType != graph.I32 || len(v.Shape) != 1 {
		return diag.Errorf("class_weight", "the target %q has no classes to weigh", tb.Name).Hint("Remove class_weight, or name a target of classes.")
	}
	staged, ok := a.Source.(*feed.Staged)
	counts := map[int64]int{}
	if ok {
		var err error
		if counts, err = staged.Counts(ctx, tb.Name); err != nil {
			return err
		}
	} else {
		feed.CountClasses(a, tb.Name, counts)
	}
	factors, err := classFactors(counts, int(a.Examples), w, tb)
	if err != nil {
		return err
	}
	if ok {
		staged.Weigh(tb.Name, factors)
		a.Weighted = true
		return nil
	}
	feed.WeighClasses(a, tb.Name, factors)
	return nil
}

// classFactors returns the weight of each class: where balanced that of
// scikit-learn, rows / (classes * rows of the class), else 1, but for those named.
func classFactors(counts map[int64]int, rows int, w *spec.ClassWeight, tb *feed.TargetBinding) (map[int64]float64, error) {
	factors := map[int64]float64{}
	for c, k := range counts {
		factors[c] = 1
		if w.Balanced {
			factors[c] = float64(rows) / (float64(len(counts)) * float64(k))
		}
	}
	for _, x := range w.Weights {
		found := false
		for c := range counts {
			if tb.ClassName(int(c)) == x.Class {
				factors[c], found = x.Weight, true
			}
		}
		if !found {
			var names []string
			for c := range counts {
				names = append(names, tb.ClassName(int(c)))
			}
			slices.Sort(names)
			d := diag.Errorf("class_weight", "the training rows have no class %q of %q", x.Class, tb.Name).Hint("Its classes are %s.", strings.Join(names, ", "))
			if w.Range.File != "" {
				d = d.At(w.Range)
			}
			return nil, d
		}
	}
	return factors, nil
}
