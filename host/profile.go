package host

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/hone-ml/hone/kernels"
)

// StepTimes is what all steps of one kind and number of examples took.
type StepTimes struct {
	What  string // step, evaluation or parameters of evaluation
	Batch int64
	Ops   []kernels.OpTime // by instruction, in the order in which they run
}

// WriteProfile writes the time that steps took: by layer and by op over all of
// them, and for each kind of step by every instruction in the order in which they run.
func WriteProfile(w io.Writer, steps []StepTimes) error {
	p := &profileText{w: w}
	p.all(steps)
	return p.err
}

// profileText writes until the first error.
type profileText struct {
	w   io.Writer
	err error
}

func (p *profileText) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// layerTime is the time of one layer by what it was spent on.
type layerTime struct{ forward, gradient, update int64 }

func (t layerTime) total() int64 { return t.forward + t.gradient + t.update }

// byLayer adds the times up under the layers' paths. Names in parentheses stand
// for what belongs to no layer: the batch, the loss, metrics.
func byLayer(times []kernels.OpTime) map[string]layerTime {
	out := map[string]layerTime{}
	for _, t := range times {
		scope := t.Scope
		var l layerTime
		switch {
		case scope == "":
			scope, l.forward = "(rest)", t.Nanos
		case strings.HasPrefix(scope, "gradient of "):
			scope, l.gradient = strings.TrimPrefix(scope, "gradient of "), t.Nanos
		case strings.HasPrefix(scope, "update of "):
			scope, l.update = strings.TrimPrefix(scope, "update of "), t.Nanos
		default:
			l.forward = t.Nanos
		}
		sum := out[scope]
		out[scope] = layerTime{sum.forward + l.forward, sum.gradient + l.gradient, sum.update + l.update}
	}
	return out
}

func (p *profileText) all(steps []StepTimes) {
	var times []kernels.OpTime
	for _, s := range steps {
		times = append(times, s.Ops...)
	}
	total := int64(0)
	ops := map[string]int64{}
	for _, t := range times {
		total += t.Nanos
		ops[t.Name] += t.Nanos
	}
	share := func(nanos int64) float64 { return 100 * float64(nanos) / float64(max(total, 1)) }
	ms := func(nanos int64) float64 { return float64(nanos) / 1e6 }

	layers := byLayer(times)
	p.printf("by layer\n%7s  %10s  %10s  %10s  %10s\n", "share", "ms", "forward", "gradient", "update")
	for _, name := range descending(layers, layerTime.total) {
		l := layers[name]
		p.printf("%6.2f%%  %10.3f  %10.3f  %10.3f  %10.3f  %s\n", share(l.total()), ms(l.total()), ms(l.forward), ms(l.gradient), ms(l.update), name)
	}
	p.printf("\nby op\n%7s  %10s\n", "share", "ms")
	for _, name := range descending(ops, func(n int64) int64 { return n }) {
		p.printf("%6.2f%%  %10.3f  %s\n", share(ops[name]), ms(ops[name]), name)
	}
	for _, step := range steps {
		sum := int64(0)
		for _, t := range step.Ops {
			sum += t.Nanos
		}
		p.printf("\n%s of %d examples, in order: %d of %.3f ms each\n%10s  %8s  %8s\n", step.What, step.Batch, step.Ops[0].Calls, ms(sum)/float64(step.Ops[0].Calls), "ms", "GFLOP/s", "GB/s")
		for _, t := range step.Ops {
			s := float64(max(t.Nanos, 1)) / 1e9
			p.printf("%10.3f  %8.2f  %8.2f  %s  %s\n", ms(t.Nanos), float64(t.FLOPs)*float64(t.Calls)/s/1e9, float64(t.Bytes)*float64(t.Calls)/s/1e9, t.Name, t.Scope)
		}
	}
}

// descending returns the keys, those of the largest values first.
func descending[V any](m map[string]V, size func(V) int64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(m[b]), size(m[a])), strings.Compare(a, b))
	})
}
