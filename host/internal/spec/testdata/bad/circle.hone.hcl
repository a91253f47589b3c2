model "m" {
  input "x" {}
  layer "dense" "a" { from = [input.x, layer.c] }
  layer "dense" "b" {}
  layer "dense" "c" {}
  layer "dense" "self" { from = layer.self }
}
