model "m" {
  layer "dense" "a" { units = 1, activation = "relu" }
}
