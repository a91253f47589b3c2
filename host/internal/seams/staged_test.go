package seams

// Staged data equal resident data to the bit.
//
// Data that do not fit into memory lie on disk; the host gathers each batch
// ahead of the step that takes it. A user writes nothing for it, and may say how much
// memory examples may take:
//
//	hone train spec --data-memory 512MiB
//
// Here the same specs train with all the memory there is and with one byte, so
// that every part is read from disk: file, split, fit, transforms, training,
// validation and test. Parameters, slots, metrics and history are the same bits, also
// where a staged run is interrupted and goes on resident, and the other way round.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/hone-ml/hone/host"
)

// stagedTable is a table with everything that a batch may hold: numbers and words, some
// missing, classes, weights, groups that are sampled, and a remainder batch.
const stagedTable = `
data "csv" "people" {
  path   = FILE
  target = "income"
  weight = "weight"
  transform "impute" {
    columns  = ["age", "job"]
    strategy = "most_frequent"
  }
  transform "one_hot" {
    columns = ["job"]
  }
  transform "bucketize" {
    columns = ["hours"]
    n_bins  = 4
  }
  transform "standardize" {
    columns = ["age"]
  }
  transform "over_sample" {
    ratio = 0.7
  }
  split {
    validation = 0.2
    test       = 0.1
    stratify   = "income"
  }
}
model "net" {
  input "features" {
    columns = ["*"]
  }
  layer "dense" "hidden" {
    units      = 8
    activation = "relu"
  }
  layer "batch_norm" "norm" {}
  layer "dropout" "drop" {
    rate = 0.3
  }
  layer "dense" "logits" {
    units = 2
  }
}
train {
  epochs       = 3
  batch_size   = 24
  class_weight = "balanced"
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {}
  metric "accuracy" "acc" {
    weighted = true
  }
}
`

// stagedImages draws new variants of the training images in every epoch.
const stagedImages = `
data "digits" "digits" {
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 16
  }
  transform "random_crop" {
    columns = ["image"]
    padding = 1
  }
  split {
    test = 0.9
  }
}
model "net" {
  input "image" {}
  layer "flatten" "flat" {}
  layer "dense" "logits" {
    units = 10
  }
}
train {
  epochs     = 2
  batch_size = 32
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {}
  metrics = ["accuracy"]
}
`

func people(rows int) string {
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	b.WriteString("age,job,hours,weight,income\n")
	cell := func(s string) string {
		if r.IntN(9) == 0 {
			return ""
		}
		return s
	}
	for range rows {
		class := "<=50K"
		if r.IntN(4) == 0 {
			class = ">50K"
		}
		job := []string{"clerk", "farmer", "sales"}[r.IntN(3)]
		fmt.Fprintf(&b, "%s,%s,%.1f,%.2f,%s\n", cell(fmt.Sprint(17+r.IntN(60))), cell(job), 40+10*r.NormFloat64(), 0.5+r.Float64(), class)
	}
	return b.String()
}

func TestStagedEqualsResident(t *testing.T) {
	// 13,000 rows are several chunks, so that fits and sums cross their borders.
	many, few := people(13_000), people(260)
	for _, c := range []struct{ name, spec, rows, backend string }{
		{"table", stagedTable, few, "reference"},
		{"table on cpu", replace(stagedTable, "batch_size   = 24", "batch_size   = 240"), many, "cpu"},
		{"images with augmentation", stagedImages, "", "reference"},
		{"images with augmentation on cpu", stagedImages, "", "cpu"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			resident, a, _ := train(t, project(t, c.spec, c.rows, host.Options{Backend: c.backend}), host.TrainOptions{})
			onDisk := host.Options{Backend: c.backend, DataMemory: 1}
			staged, b, _ := train(t, project(t, c.spec, c.rows, onDisk), host.TrainOptions{})
			sameBits(t, resident, staged)
			if !reflect.DeepEqual(a.Metrics, b.Metrics) {
				t.Errorf("metrics: %v\nstaged:  %v", a.Metrics, b.Metrics)
			}
			for _, memory := range [][2]int64{{1, 0}, {0, 1}, {1, 1}} {
				first, then := onDisk, onDisk
				first.DataMemory, then.DataMemory = memory[0], memory[1]
				broken := interrupted(t, project(t, c.spec, c.rows, first), first.DataMemory == 1)
				whole, r, _ := train(t, project(t, c.spec, c.rows, then), host.TrainOptions{Resume: broken})
				sameBits(t, resident, whole)
				if !reflect.DeepEqual(a.Metrics, r.Metrics) {
					t.Errorf("metrics: %v\nresumed: %v", a.Metrics, r.Metrics)
				}
			}
		})
	}
}

// interrupted trains until somewhere in the second epoch. staged says whether
// every part must lie on disk, or none.
func interrupted(t *testing.T, p *host.Project, staged bool) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "broken.hone")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := p.Train(ctx, host.TrainOptions{Out: out, Events: func(e host.Event) {
		switch e := e.(type) {
		case host.StartEvent:
			if n := len(e.Staged); staged && n != len(e.Examples) || !staged && n != 0 {
				t.Errorf("of the parts %v these are staged: %v", e.Examples, e.Staged)
			}
		case host.EpochEvent:
			cancel()
		}
	}})
	if !errors.Is(err, host.ErrInterrupted) {
		t.Fatalf("the run ended with %v", err)
	}
	return out
}
