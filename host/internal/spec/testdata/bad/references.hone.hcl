model "m" {
  input "image" {}
  layer "dense" "hidden" { units = 1 }
  layer "dense" "a" { from = layer.hiden }
  layer "dense" "b" { from = layer.image }
  layer "dense" "c" { from = input.imag }
  layer "add" "d" { from = [layer.a, "b"] }
  layer "dense" "e" { from = var.x }
  layer "dense" "f" { from = layer.a.out[1].x }
  layer "dense" "g" { from = input.image.left }
  layer "dense" "h" { from = [] }
  output "y" { from = layer.logits }
  output "z" {}
}
