# Census income, tuned: missing as a category, log of gains, quantile buckets,
# dropout, a cosine schedule.
#   hone train examples/census-tuned --var adult=FILE

variable "adult" {
  type        = path
  description = "The file adult.data."
}

locals {
  bucketed   = ["age", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
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
    columns    = local.categories
    strategy   = "constant"
    fill_value = "missing"
  }
  transform "one_hot" {
    columns = local.categories
  }
  transform "log1p" {
    columns = ["capital_gain", "capital_loss"]
  }
  transform "copy" {
    columns = local.bucketed
    suffix  = "_bucket"
  }
  transform "bucketize" {
    columns  = [for c in local.bucketed : "${c}_bucket"]
    n_bins   = 20
    strategy = "quantile"
    encode   = "onehot"
  }
  transform "standardize" {
    columns = concat(local.bucketed, ["fnlwgt"])
  }
  split {
    test     = 0.2
    stratify = "income"
  }
}

model "census" {
  input "features" {
    columns = ["*"]
  }
  layer "dense" "wide" {
    units = 2
    from  = input.features
  }
  layer "dense" "deep1" {
    units      = 64
    activation = "relu"
    from       = input.features
  }
  layer "dropout" "drop1" {
    rate = 0.3
  }
  layer "dense" "deep2" {
    units      = 64
    activation = "relu"
  }
  layer "dropout" "drop2" {
    rate = 0.3
  }
  layer "dense" "deep" {
    units = 2
  }
  layer "add" "logits" {
    from = [layer.wide, layer.deep]
  }
}

train {
  epochs     = 12
  batch_size = 128
  loss "sparse_categorical_crossentropy" {
    from_logits = true
  }
  optimizer "adam" {
    learning_rate "cosine_decay" {
      initial_learning_rate = 0.002
    }
  }
  metrics = ["accuracy"]
}
