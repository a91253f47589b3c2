epochs = 5
modell "m" {
}
prune {
  sparsity = 0.9
}
train {
  precision = "bf16"
  distribute {}
}

data "csv" "d" { path = "d.csv" }

model "m" {
  input "x" { shape = [4] }
  layer "dense" "out" { units = 1 }
}
