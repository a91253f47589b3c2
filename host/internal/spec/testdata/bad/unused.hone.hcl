model "m" {
  input "x" {}
  input "y" {}
  layer "dense" "a" { from = input.x }
  layer "dense" "lost" {}
  layer "dense" "b" { from = layer.a }
}
