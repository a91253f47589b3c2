data "csv" "d" { path = "d.csv" }

model "m" {
  input "x" {}
  layer "dense" "a" {}
  output "first" { from = layer.a }
  output "second" { from = layer.a }
}
model "other" {
  input "x" {}
  layer "dense" "a" {}
}
train {
  model            = model.m
  data             = data.dd
  epochs           = 0
  batch_size       = -1
  validation_split = 1
  clip_norm        = 0
  class_weight     = { 0 = -1 }
  metrics          = ["accuracy"]
  loss "mse" {}
  loss "mse" "b" {
    output = output.secnd
    weight = -1
  }
  optimizer "adam" {
    learning_rate = 0.1
    schedule "cosine" {}
  }
  early_stopping {
    monitor  = "val_loss"
    mode     = "mni"
    patience = -1
  }
  checkpoint {
    every      = 0
    keep_every = 0
    full_every = 2
    on_error   = "ignore"
    best {
      monitor = "val_accuracy"
      keep    = 0
    }
  }
  ema { decay = 1 }
  init_from {
    map     = { "" = "a", "b" = "B c", "c.*" = "c", "d.*" = "d.$2", "e" = "e.*" }
    axes    = { "a" = [0, 2], "b" = [0], "c c" = [1, 0] }
    exclude = ["a..b"]
  }
  phase "one" {
    epochs = 1
    freeze = ["A b"]
  }
  phase "one" {}
}
