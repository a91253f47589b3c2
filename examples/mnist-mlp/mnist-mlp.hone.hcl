# MNIST with a multilayer perceptron and dropout.
#   hone train examples/mnist-mlp --var mnist=FOLDER
# FOLDER holds the IDX files train* and t10k*, compressed or not.

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

model "mnist_mlp" {
  input "image" {
    shape = [28, 28]
  }
  layer "flatten" "flat" {}
  layer "dense" "hidden" {
    units      = 128
    activation = "relu"
  }
  layer "dropout" "drop" {
    rate = 0.2
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
  optimizer "adam" {}
  metrics = ["accuracy"]
}
