# Census income, wide & deep: the survey's model on raw rows.
#   hone train examples/census-wide-deep --var adult=FILE
# FILE is the UCI Census Income training file, adult.data, compressed or not.

variable "adult" {
  type        = path
  description = "The file adult.data."
}

locals {
  numbers    = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
  categories = ["workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country"]
}

data "csv" "adult" {
  path = var.adult
  columns = [
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship",
    "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
  ]
  skip_initial_space = true
  missing            = ["?"]
  target             = "income"

  transform "impute" {
    columns  = local.categories
    strategy = "most_frequent"
  }
  transform "one_hot" {
    columns = local.categories
  }
  transform "min_max" {
    columns = local.numbers
  }
  split {
    test     = 0.2
    stratify = "income"
  }
}

model "wide_deep" {
  input "features" {
    columns = ["*"]
  }
  layer "dense" "wide" {
    units      = 1
    activation = "sigmoid"
    from       = input.features
  }
  layer "dense" "deep1" {
    units      = 32
    activation = "relu"
    from       = input.features
  }
  layer "dense" "deep2" {
    units      = 64
    activation = "relu"
  }
  layer "dense" "deep3" {
    units      = 128
    activation = "relu"
  }
  layer "dense" "deep4" {
    units      = 256
    activation = "relu"
  }
  layer "dense" "deep" {
    units      = 1
    activation = "sigmoid"
  }
  layer "concat" "both" {
    from = [layer.wide, layer.deep]
  }
  layer "dense" "income" {
    units      = 2
    activation = "softmax"
  }
}

train {
  batch_size = 64
  loss "sparse_categorical_crossentropy" {}
  optimizer "adam" {}
  metrics = ["accuracy"]

  # First the wide part alone, then both.
  phase "wide" {
    epochs = 2
    freeze = ["deep1", "deep2", "deep3", "deep4", "deep"]
  }
  phase "all" {
    epochs = 10
  }
}
