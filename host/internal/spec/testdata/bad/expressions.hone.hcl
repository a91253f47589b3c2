variable "units" {
  default = 128
}
locals {
  width = var.unit
  twice = 2 * local.width
  loop  = local.pool
  pool  = local.loop
  huge  = [for i in range(1000) : [for j in range(1000) : [for k in range(1000) : i]]]
  nan   = pow(-1, 0.5)
  fn    = mx(1, 2)
}
model "m" {
  input "x" {}
  layer "dense" "a" {
    units      = local.width
    activation = relu
    rate       = vra.units
    other      = layer.a
    last       = arg.units
    index      = count.index
    sum        = 1 + "x"
  }
}
