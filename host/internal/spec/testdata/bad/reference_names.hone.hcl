model "m" {
  input "image" {}
  layer "dense" "hidden" { units = 1 }
  layer "dense" "a" { from = layer.hiden }
  layer "dense" "b" { from = layer.image }
  layer "dense" "c" { from = input.imag }
  output "y" { from = layer.logits }
}
