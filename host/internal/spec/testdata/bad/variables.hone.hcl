# --var mnits=x --var epochs=many --var rate=0.5
variable "mnist" {
  type = path
}
variable "epochs" {
  type    = number
  default = 1
}
variable "rate" {
  type = number
  validation {
    condition     = var.rate < 0.5
    error_message = "The rate must be below 0.5."
  }
}
variable "shape" {
  type    = lst(number)
  default = []
}
variable "secret" {
  type      = number
  sensitive = true
  default   = "hunter2"
}
variable "mnist" {}
variable "Bad-Name" {}
