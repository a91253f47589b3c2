hone {
  required_version = "new"
  required_plugins {
    acme  = { source = "github.com/acme/x", version = "~> x" }
    block = { source = "github.com/acme/y" }
    other = { version = "1.0" }
  }
}
model "m" {
  input "x" {}
  layer "acne.swish" "a" {}
}
