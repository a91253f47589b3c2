# A multilayer perceptron that no kernel was tuned for: 784-200-64-10, gelu, RMSprop.
#   hone train bench/mlp-heldout.hone.hcl --var mnist=FOLDER

variable "mnist" {
  type        = path
  description = "Folder of the MNIST files."
}

data "idx" "mnist" {
  path = var.mnist
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 255
  }
}

model "mlp_heldout" {
  input "image" {
    shape = [28, 28]
  }
  layer "flatten" "flat" {}
  layer "dense" "hidden1" {
    units      = 200
    activation = "gelu"
  }
  layer "dense" "hidden2" {
    units      = 64
    activation = "gelu"
  }
  layer "dense" "logits" {
    units = 10
  }
}

train {
  epochs     = 5
  batch_size = 32
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "rmsprop" {}
  metrics = ["accuracy"]
}
