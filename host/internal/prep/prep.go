package prep

import (
	"slices"
	"strings"

	"github.com/hone-ml/hone/host/internal/data"
	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Part says what rows are for, and so which transforms apply to them.
type Part uint8

// The parts. Maps apply to all of them, filters to Train and Evaluate, samples to
// Train. Augmentations apply to batches, by Augment.
const (
	Train Part = iota
	Evaluate
	Predict
)

// Options say how to fit and run. Only Backend is required.
type Options struct {
	Backend kernels.Backend
	// Targets are the columns to predict. Transforms reach them only where they are named in
	// full, or by their own choice (label); they may be absent from rows to predict.
	Targets []string
	// Aside are columns that are neither features nor targets, such as weights and groups.
	// They pass, unless a transform names them in full. Empty names are ignored.
	Aside []string
	// Numbers are columns of whole numbers that count as numbers of any kind: they
	// are float64 from the first transform on, and rows to predict may have 3.5.
	Numbers []string
	// Seed decides which rows samples draw and what augmentations do.
	Seed uint64
	// ExactValues bounds the values of a column's element that are kept to find its quantiles
	// exactly; beyond, they are approximate (see data.Quantiles). 0 is 16 million (128 MiB).
	ExactValues int
	// Float64 keeps float64 columns at the end instead of rounding them to float32.
	Float64 bool
	// Limits bound what the functions of transforms may ask for.
	Limits kernels.Limits
}

// Pipeline is fitted transforms in order. Its methods may be called from several
// goroutines; it does not change.
type Pipeline struct {
	o      Options
	raw    []field // of the training source
	steps  []*step
	module *graph.Module

	fitting bool // steps are still to come
}

// field is a column with what is known of it beside its values.
type field struct {
	data.Field
	target   bool
	aside    bool
	features []string
	labels   []string
}

func find(fs []field, name string) int {
	return slices.IndexFunc(fs, func(f field) bool { return f.Name == name })
}

// final returns the fields after all steps.
func (p *Pipeline) final() []field {
	fs := p.raw
	for _, s := range p.steps {
		fs = s.out(fs)
	}
	if !p.o.Float64 {
		fs = slices.Clone(fs)
		for i := range fs {
			if fs[i].Type == data.F64 {
				fs[i].Type = data.F32
			}
		}
	}
	return fs
}

// Outputs returns the columns that Apply gives for training rows.
func (p *Pipeline) Outputs() data.Schema {
	var s data.Schema
	for _, f := range p.final() {
		s = append(s, f.Field)
	}
	return s
}

// Inputs returns the columns that rows to predict must have, as the training
// source had them: those from which a transform computes, targets apart.
func (p *Pipeline) Inputs() data.Schema {
	var s data.Schema
	for i, f := range p.raw {
		if !f.target && p.reads(i) {
			s = append(s, f.Field)
		}
	}
	return s
}

// reads reports whether a step computes from the raw column.
func (p *Pipeline) reads(raw int) bool {
	names := map[string]bool{p.raw[raw].Name: true} // those that its values have, step by step
	fs := p.raw
	for _, s := range p.steps {
		fs = s.out(fs)
		next := map[string]bool{}
		for name := range names {
			if s.reads(name) {
				return true
			}
			if slices.Contains(s.Given, name) {
				for _, as := range s.passedAs(name) {
					next[as] = true
				}
			} else if find(fs, name) >= 0 {
				next[name] = true
			}
		}
		names = next
	}
	return false
}

// Labels returns the names of the classes that a column holds the numbers of, or
// nil: a transform such as label gave it.
func (p *Pipeline) Labels(column string) []string {
	fs := p.final()
	if i := find(fs, column); i >= 0 {
		return fs[i].labels
	}
	return nil
}

// Features returns the names of the elements of a column, or nil.
func (p *Pipeline) Features(column string) []string {
	fs := p.final()
	if i := find(fs, column); i >= 0 {
		return fs[i].features
	}
	return nil
}

// Augments reports whether there are augmentations.
func (p *Pipeline) Augments() bool {
	return slices.ContainsFunc(p.steps, func(s *step) bool { return s.Augment })
}

// Module returns the functions of all transforms, for a checkpoint. The caller
// does not change it.
func (p *Pipeline) Module() *graph.Module { return p.module }

// Close frees what running the transforms has taken. The pipeline stays usable.
func (p *Pipeline) Close() error {
	for _, s := range p.steps {
		s.run.close()
	}
	return nil
}

// matches reports whether a name fits a pattern, in which * is any run of characters.
func matches(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	if !strings.HasPrefix(name, parts[0]) {
		return false
	}
	name = name[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}
