package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hone-ml/hone/kernels"
)

// deepSpec is a network whose activations are most of what a step holds.
func deepSpec() string {
	var layers strings.Builder
	for i := range 6 {
		fmt.Fprintf(&layers, `
  layer "conv2d" "conv%d" {
    filters     = 8
    kernel_size = [3, 3]
    padding     = "same"
  }
  layer "batch_norm" "norm%d" {}
  layer "silu" "act%d" {}`, i, i, i)
	}
	return `
data "digits" "digits" {
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 16
  }
  split {
    test = 0.8
  }
}
model "net" {
  input "image" {}
  layer "reshape" "pixels" {
    target_shape = [8, 8, 1]
  }` + layers.String() + `
  layer "global_average_pooling2d" "pool" {}
  layer "dropout" "drop" {
    rate = 0.1
  }
  layer "dense" "logits" {
    units = 10
  }
}
train {
  epochs     = 1
  batch_size = 64
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {}
}
`
}

// A step under a limit of memory fits into it, computes values again to do so,
// and gives the bits of the step without a limit; where nothing helps, the error
// names the least, and the least is possible.
func TestMemoryIsBoundedAtTheSameBits(t *testing.T) {
	ctx := context.Background()
	inspect := func(memory int64) (kernels.Plan, error) {
		in, err := load(t, deepSpec(), Options{Memory: memory}).Inspect(ctx)
		if err != nil {
			return kernels.Plan{}, err
		}
		return in.Plan, nil
	}
	free, err := inspect(0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = inspect(1)
	var short *kernels.LimitError
	if !errors.As(err, &short) || short.Limit != 1 {
		t.Fatalf("with a byte of memory: %v", err)
	}
	least, whole := short.Got, free.ParamBytes+free.ArenaBytes
	t.Logf("parameters %d, values %d KiB; least %d KiB", free.ParamBytes>>10, free.ArenaBytes>>10, (least-free.ParamBytes)>>10)
	if least > free.ParamBytes+free.ArenaBytes*7/10 {
		t.Errorf("no less than %d of %d bytes is possible", least, whole)
	}
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.hone")
	if _, err := load(t, deepSpec(), Options{}).Train(ctx, TrainOptions{Out: plain}); err != nil {
		t.Fatal(err)
	}
	for i, limit := range []int64{free.ParamBytes + free.ArenaBytes*9/10, least} {
		plan, err := inspect(limit)
		if err != nil {
			t.Fatalf("with %d bytes: %v", limit, err)
		}
		if need := plan.ParamBytes + plan.ArenaBytes; need > limit {
			t.Errorf("the step takes %d bytes, the limit is %d", need, limit)
		}
		again := int64(0)
		for _, r := range plan.Passes {
			for _, c := range r.Did {
				if r.Name == "recomputation" && c.What == "nodes computed again" {
					again = c.N
				}
			}
		}
		if again == 0 {
			t.Errorf("under %d bytes nothing is computed again", limit)
		}
		bounded := filepath.Join(dir, fmt.Sprintf("bounded%d.hone", i))
		if _, err := load(t, deepSpec(), Options{Memory: limit}).Train(ctx, TrainOptions{Out: bounded}); err != nil {
			t.Fatal(err)
		}
		sameTensors(t, plain, bounded)
	}
}
