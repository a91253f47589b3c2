package kerneltest

import (
	"context"

	"github.com/hone-ml/hone/kernels"
	"github.com/hone-ml/hone/sdk/graph"
)

// CheckFunc runs a function of floats on a backend and compares its results with
// the reference's within the noise that roundings make in it. It returns what
// the backend computed. refused tells an op that the backend does not run.
func CheckFunc(ctx context.Context, backend kernels.Backend, m *graph.Module, entry string, o kernels.Options, args ...*graph.Tensor) (got []*graph.Tensor, refused bool, err error) {
	h := &harness{backend: backend}
	if got, err = h.run(ctx, m, entry, o, args...); err != nil {
		return nil, h.refusal(err), err
	}
	o.Memory = 0
	want, tol, err := noisy(ctx, newDice(99), m, entry, o, args)
	if err != nil {
		return nil, false, err
	}
	return got, false, checkNoisy(got, want, tol)
}
