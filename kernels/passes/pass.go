package passes

import (
	"context"
	"fmt"

	"github.com/hone-ml/hone/kernels"
)

// Pass is one rewriting of a graph.
type Pass interface {
	// Name is a word or two, as reports show it.
	Name() string
	// Run rewrites g and says what it did: counts by what was counted, none
	// where it found nothing to do.
	Run(ctx context.Context, g *Graph) ([]kernels.Count, error)
}

// Run applies passes in order and returns what each did. A pass that stands in
// the list twice is reported once, with both counts added up.
func Run(ctx context.Context, g *Graph, list ...Pass) ([]kernels.PassReport, error) {
	var out []kernels.PassReport
	for _, p := range list {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		did, err := p.Run(ctx, g)
		if err != nil {
			return nil, fmt.Errorf("pass %s: %w", p.Name(), err)
		}
		out = Merge(out, kernels.PassReport{Name: p.Name(), Did: did})
	}
	return out, nil
}

// Merge adds reports to a list: to the report of that name, else behind it.
func Merge(list []kernels.PassReport, more ...kernels.PassReport) []kernels.PassReport {
next:
	for _, r := range more {
		for i := range list {
			if list[i].Name == r.Name {
				list[i].Did = addCounts(list[i].Did, r.Did)
				continue next
			}
		}
		list = append(list, kernels.PassReport{Name: r.Name, Did: addCounts(nil, r.Did)})
	}
	return list
}

func addCounts(list, more []kernels.Count) []kernels.Count {
next:
	for _, c := range more {
		if c.N == 0 {
			continue
		}
		for i := range list {
			if list[i].What == c.What {
				list[i].N += c.N
				continue next
			}
		}
		list = append(list, c)
	}
	return list
}
