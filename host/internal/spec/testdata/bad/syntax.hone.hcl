model "m" {
  layer "dense" "a" { units = }
}
