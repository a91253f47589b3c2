data "csv" "d" {
  path   = "d.csv"
  target = "a"
  targets = ["b"]
  source "tset" {}
  column "age" {}
  column "age" {}
  split {
    validation = 0.5
    test       = 0.5
    folds      = 1
    fold       = 3
    strtify    = "a"
  }
}
data "csv" "d" {}
