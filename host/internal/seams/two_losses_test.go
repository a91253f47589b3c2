package seams

import "testing"

// Seam: two inputs, two named outputs, each with its own target, loss, weight and
// metric. Data columns are bound by name; what is minimized is the weighted sum.
const twoLosses = `
data "csv" "rows" {
  path   = FILE
  target = ["kind", "amount"]
  source "validation" {
    path = FILE
  }
}
model "both" {
  input "left" {
    columns = ["a", "b", "c"]
  }
  input "right" {
    columns = ["d", "e"]
  }
  layer "dense" "l" {
    units      = 4
    activation = "relu"
    from       = input.left
  }
  layer "dense" "r" {
    units      = 3
    activation = "tanh"
    from       = input.right
  }
  layer "concat" "both" {
    from = [layer.l, layer.r]
  }
  layer "dense" "logits" {
    units = 3
    from  = layer.both
  }
  layer "dense" "size" {
    units = 1
    from  = layer.both
  }
  output "class" {
    from = layer.logits
  }
  output "quantity" {
    from = layer.size
  }
}
train {
  epochs     = 3
  batch_size = 8
  shuffle    = false
  loss "sparse_categorical_crossentropy" "what" {
    output      = output.class
    target      = "kind"
    from_logits = true
  }
  loss "mean_squared_error" "how_much" {
    output = output.quantity
    target = "amount"
    weight = 0.25
  }
  metric "sparse_categorical_crossentropy" "again" {
    output      = output.class
    target      = "kind"
    from_logits = true
  }
  metric "mean_squared_error" "error" {
    output = output.quantity
    target = "amount"
  }
  optimizer "sgd" {
    learning_rate = 0.1
    momentum      = 0.5
  }
  init_from {
    path = ARCHIVE
  }
}
`

func TestTwoInputsTwoLosses(t *testing.T) {
	follows(t, "two_losses", twoLosses,
		"loss", "loss", "loss_what", "kind", "loss_how_much", "amount", // the terms without their weights
		"again", "kind", "error", "amount")
}
