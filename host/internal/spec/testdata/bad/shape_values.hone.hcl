model "n" {
  input "a" { shape = [28, 0] }
  layer "dense" "s" {}
}
model "empty" {
}
