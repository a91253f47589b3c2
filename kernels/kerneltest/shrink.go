package kerneltest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// Shrink makes a recipe that fails with err smaller while it goes on failing:
// an earlier value as the output, fewer outputs, then steps whose results are
// handed in instead of computed. It returns the smallest one and how that fails.
func Shrink(ctx context.Context, backend kernels.Backend, kind int, r *Recipe, err error) (*Recipe, error) {
	fails := func(c *Recipe) bool {
		refused, e := c.Check(ctx, backend, kind)
		if e == nil || refused || ctx.Err() != nil {
			return false
		}
		err = e
		return true
	}
	// The first value that is off as the only output, if there is one.
	for _, s := range r.Steps {
		if c := r.with(s.Outs); fails(c) {
			r = c
			break
		}
	}
	for again := true; again; {
		again = false
		// Drop outputs: all but one first, then one by one.
		for _, o := range r.Outputs {
			if len(r.Outputs) < 2 {
				break
			}
			if c := r.with([]int{o}); fails(c) {
				r, again = c, true
				break
			}
		}
		for i := 0; i < len(r.Outputs) && len(r.Outputs) > 1; {
			if c := r.with(slices.Delete(slices.Clone(r.Outputs), i, i+1)); fails(c) {
				r, again = c, true
			} else {
				i++
			}
		}
		for i := range r.Steps {
			if s := r.Steps[i]; s.Given || !r.uses(s.Outs) {
				continue
			}
			c := r.with(r.Outputs)
			c.Steps = slices.Clone(r.Steps)
			c.Steps[i].Given = true
			if !slices.ContainsFunc(c.Outputs, func(o int) bool { return slices.Contains(c.Steps[i].Outs, o) }) && fails(c) {
				r, again = c, true
			}
		}
	}
	return r, err
}

func (r *Recipe) with(outputs []int) *Recipe {
	c := *r
	c.Outputs = outputs
	return &c
}

// uses reports whether any output depends on the values.
func (r *Recipe) uses(values []int) bool {
	needed := map[int]bool{}
	for _, o := range r.Outputs {
		needed[o] = true
	}
	for _, s := range slices.Backward(r.Steps) {
		if !s.Given && slices.ContainsFunc(s.Outs, func(o int) bool { return needed[o] }) {
			for _, a := range s.Args {
				needed[a] = true
			}
		}
	}
	return slices.ContainsFunc(values, func(v int) bool { return needed[v] })
}

// String prints the function and its arguments.
func (r *Recipe) String() string {
	m, args, err := r.Module()
	if err != nil {
		return "ill-typed: " + err.Error()
	}
	var b strings.Builder
	b.WriteString(m.String())
	for i, p := range m.Func("f", graph.Any).Params {
		fmt.Fprintf(&b, "%s = %v", p.Name, args[i].Type())
		for j := range min(args[i].Len(), 24) {
			fmt.Fprintf(&b, " %s", element(args[i], j))
		}
		if args[i].Len() > 24 {
			b.WriteString(" ...")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
