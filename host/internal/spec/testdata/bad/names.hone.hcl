model "m" {
  input "x" {}
  input "x" {}
  layer "dense" "My Layer" {}
  layer "dense" "a" {}
  layer "dense" "a" {}
  layer "dense" "b" { count = 2 }
  layer "dense" "b[1]" {}
  layer "Dense" "c" {}
  layer "acme.swish" "d" {}
  output "y" { from = layer.a }
  output "y" { from = layer.d }
}
