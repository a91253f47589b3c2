# A network whose checkpoint is measured in bench/README.md: five epochs of Adam
# on MNIST, with the checkpoints of all epochs as differences to the first.
#   hone train bench/weights.hone.hcl --var mnist=FOLDER --out weights.hone

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

model "weights" {
  input "image" {
    shape = [28, 28]
  }
  layer "flatten" "flat" {}
  layer "dense" "first" {
    units      = 1024
    activation = "relu"
  }
  layer "dense" "second" {
    units      = 512
    activation = "relu"
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
  checkpoint {
    keep       = 5
    full_every = 5
  }
}
