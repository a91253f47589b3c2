# 1,797 handwritten digits of 8x8 pixels, built into hone: trains in seconds.

data "digits" "digits" {
  transform "rescale" {
    columns = ["image"]
    scale   = 1 / 16
  }
  split {
    test     = 0.2
    stratify = "label"
  }
}

model "digits" {
  input "image" {}
  layer "flatten" "flat" {}
  layer "dense" "hidden" {
    units      = 64
    activation = "relu"
  }
  layer "dropout" "drop" {
    rate = 0.1
  }
  layer "dense" "logits" {
    units = 10
  }
}

train {
  epochs           = 20
  batch_size       = 32
  validation_split = 0.1
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {
    learning_rate = 0.003
  }
  metrics = ["accuracy"]
}
