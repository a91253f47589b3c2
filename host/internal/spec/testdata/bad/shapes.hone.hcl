model "m" {
  input "a" { shape = [28, 0] }
  input "b" { shape = 28 }
  input "c" { shape = [28.5] }
  input "d" { shap = [1] }
  layer "add" "s" { from = [input.a, input.b, input.c, input.d] }
}
model "n" {
  input "a" { shape = [28, -1] }
  layer "dense" "s" {}
}
