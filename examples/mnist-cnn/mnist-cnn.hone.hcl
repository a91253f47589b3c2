# MNIST with convolutions and batch normalization.
#   hone train examples/mnist-cnn --var mnist=FOLDER
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

model "mnist_cnn" {
  input "image" {
    shape = [28, 28]
  }
  layer "reshape" "pixels" {
    target_shape = [28, 28, 1]
  }
  layer "conv2d" "conv1" {
    filters     = 32
    kernel_size = [3, 3]
  }
  layer "batch_norm" "norm1" {}
  layer "max_pooling2d" "pool1" {}
  layer "conv2d" "conv2" {
    filters     = 64
    kernel_size = [3, 3]
  }
  layer "batch_norm" "norm2" {}
  layer "max_pooling2d" "pool2" {}
  layer "flatten" "flat" {}
  layer "dense" "hidden" {
    units      = 64
    activation = "relu"
  }
  layer "batch_norm" "norm3" {}
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
