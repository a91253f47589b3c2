hone {
  required_version = ">= 9"
  required_plugins {
    acme  = { source = "github.com/acme/x", version = "~> x" }
    block = { source = "github.com/acme/y" }
    other = { version = "1.0" }
    short = "github.com/acme/z"
    wrong = { sourc = "a" }
  }
}
hone {}
