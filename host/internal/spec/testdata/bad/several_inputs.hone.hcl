model "m" {
  input "a" {}
  input "b" {}
  layer "dense" "c" {}
}
