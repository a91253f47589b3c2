model "m" {
  input "x" {}
  layer "dense" "a" { units = 1 }
  layer "dropout" "b" {}
  layer "dense" "c" { share = layer.aa }
  layer "dense" "d" { share = layer.b }
  layer "dense" "e" { share = layer.e }
  layer "dense" "f" { share = layer.c }
  layer "dense" "g" { share = input.x }
  layer "dense" "h" {
    share = layer.a
    units = 2
  }
}
