package host

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/hone-ml/hone/kernels"
)

// Plan describes what predicting a batch of that size runs.
func (m *Model) Plan(ctx context.Context, batch int64) (kernels.Plan, error) {
	return m.pred.Plan(ctx, batch)
}

// WritePasses writes what each pass of a compilation did, a line a pass.
func WritePasses(w io.Writer, p kernels.Plan) error {
	width := 0
	for _, r := range p.Passes {
		width = max(width, len(r.Name))
	}
	for _, r := range p.Passes {
		var did []string
		for _, c := range r.Did {
			did = append(did, fmt.Sprintf("%s: %d", c.What, c.N))
		}
		if len(did) == 0 {
			did = []string{"nothing"}
		}
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, r.Name, strings.Join(did, ", ")); err != nil {
			return err
		}
	}
	if len(p.Passes) == 0 {
		_, err := fmt.Fprintln(w, "this backend runs the graph as it is")
		return err
	}
	return nil
}
