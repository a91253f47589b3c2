# Wide & deep on random rows, for the speed of its step: 108 features, both parts
# trained from the start, batch 64.
#   hone train bench/wide-deep.hone.hcl --var rows=FILE
# FILE is an .npz of features, f32[rows, 108], and label, i32[rows] of 0 and 1.

variable "rows" {
  type        = path
  description = "The file of features and labels."
}

data "npz" "rows" {
  path   = var.rows
  target = "label"
}

model "wide_deep" {
  input "features" {
    shape = [108]
  }
  layer "dense" "wide" {
    units      = 1
    activation = "sigmoid"
    from       = input.features
  }
  layer "dense" "deep1" {
    units      = 32
    activation = "relu"
    from       = input.features
  }
  layer "dense" "deep2" {
    units      = 64
    activation = "relu"
  }
  layer "dense" "deep3" {
    units      = 128
    activation = "relu"
  }
  layer "dense" "deep4" {
    units      = 256
    activation = "relu"
  }
  layer "dense" "deep" {
    units      = 1
    activation = "sigmoid"
  }
  layer "concat" "both" {
    from = [layer.wide, layer.deep]
  }
  layer "dense" "label" {
    units      = 2
    activation = "softmax"
  }
}

train {
  epochs     = 3
  batch_size = 64
  loss "sparse_categorical_crossentropy" {}
  optimizer "adam" {}
}
