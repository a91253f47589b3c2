model {
}
model "a" "b" {
}
model "m" {
  input "x" {}
  layer "dense" {}
  layer "" "x" {}
}
