data "csv" "d" { path = "d.csv" }

model "m" {
  input "x" { shape = [4] }
  layer "dense" "out" { units = 1 }
}

train {
  epochs       = "five"
  batch_size   = 2.5
  seed         = -1
  shuffle      = 1
  class_weight = "balancd"
  metrics      = "accuracy"
  model        = data.d
  learning_rte = 0.1
  patience     = 3
  schedule "cosine" {}
  optimizer "adam" {
    beta = null
    inner {}
  }
  optimizer "sgd" {}
  early_stoping {}
}
