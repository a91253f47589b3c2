block "res" {
  arg "filters" {}
  arg "stride" { default = 1 }
  layer "conv2d" "a" {
    filters = arg.filter
    kernel  = var.k
  }
  layer "block.res" "again" { filters = 1 }
}
model "m" {
  input "x" {}
  layer "block.rse" "a" {}
  layer "block.res" "b" {}
  layer "block.res" "c" {
    filters = 1
    strides = 2
  }
  layer "block.res" "d" { count = 0 }
  layer "block.res" "e" { count = "two" }
}
