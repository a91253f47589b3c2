package train

import (
	"errors"

	"github.com/hone-ml/hone/kernels"
)

// atOnceBytes is what intermediate values take at most where the number of
// examples that are computed at once is ours to choose: large images come in
// smaller batches than rows of a table.
const atOnceBytes = 512 << 20

// fitBatch returns how many examples to compute at once, most at most: as many
// as a plan with at most atOnceBytes, and within the limits of the run, has room
// for, and at least one.
func fitBatch(most int64, plan func(batch int64) (kernels.Plan, error)) (int64, error) {
	for n := most; ; {
		p, err := plan(n)
		var short *kernels.LimitError
		switch {
		case n > 1 && errors.As(err, &short):
			n = (n + 1) / 2
		case err != nil:
			return 0, err
		case n <= 1 || p.ArenaBytes <= atOnceBytes:
			return n, nil
		default:
			// Some of the memory does not depend on the batch, so that the share
			// of it may still be too much, but hardly by far.
			share := int64(float64(n) * atOnceBytes / float64(p.ArenaBytes))
			least := int64(1)
			for 2*least <= min(share, n/2) {
				least *= 2
			}
			n = least
		}
	}
}
