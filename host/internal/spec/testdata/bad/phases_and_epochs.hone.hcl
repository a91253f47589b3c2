data "csv" "d" { path = "d.csv" }

model "m" {
  input "x" { shape = [4] }
  layer "dense" "out" { units = 1 }
}

train {
  epochs = 5
  loss "mse" {}
  optimizer "sgd" {}
  phase "one" { epochs = 1 }
}
