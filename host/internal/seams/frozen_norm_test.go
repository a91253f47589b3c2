package seams

import (
	"strings"
	"testing"
)

// Seam: half of the network is frozen, and the batches do not divide the rows. A
// frozen batch normalization takes its inference function, as in Keras: it
// normalizes by its moving statistics, which stay. The other one goes on with the
// statistics of each batch, the last of which is smaller. A user says so layer by
// layer (trainable = false) or by phase (freeze = [...]); both are the same.
const frozen = `
data "csv" "rows" {
  path   = FILE
  target = "kind"
  source "validation" {
    path = FILE
  }
}
model "net" {
  input "x" {
    columns = ["a", "b", "c"]
  }
  layer "dense" "body" {
    units    = 6
    use_bias = false
    TRAINABLE
  }
  layer "batch_norm" "norm1" {
    momentum = 0.9
    TRAINABLE
  }
  layer "dense" "middle" {
    units      = 5
    activation = "tanh"
  }
  layer "batch_norm" "norm2" {
    momentum = 0.9
  }
  layer "dense" "kind" {
    units = 3
  }
}
train {
  batch_size = 8
  shuffle    = false
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "sgd" {
    learning_rate = 0.1
    momentum      = 0.5
  }
  init_from {
    path = ARCHIVE
  }
  EPOCHS
}
`

func TestHalfOfTheNetworkIsFrozen(t *testing.T) {
	k, _, _ := keras(t, "frozen_norm")
	for name, text := range map[string]string{
		"by layer": replace(frozen, "TRAINABLE", "trainable = false", "EPOCHS", "epochs = 3"),
		"by phase": replace(frozen, "TRAINABLE", "", "EPOCHS", `phase "head" {
    epochs = 3
    freeze = ["body", "norm1"]
  }`),
	} {
		t.Run(name, func(t *testing.T) {
			out := values(t, follows(t, "frozen_norm", text, "loss", "loss"))
			moved := 0
			for path, v := range k.Weights {
				still := strings.HasPrefix(path, "body") || strings.HasPrefix(path, "norm1")
				for i, x := range v.Data {
					if same := float32(out[path][i]) == float32(x); still && !same {
						t.Errorf("%s[%d] moved while it was frozen", path, i)
					} else if !same {
						moved++
					}
				}
			}
			if moved == 0 {
				t.Error("nothing moved")
			}
		})
	}
}
