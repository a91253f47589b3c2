hone {
  required_version = ">= 0.1"
  required_plugins {
    acme = { source = "github.com/acme/hone-layers", version = "~> 1.0" }
  }
}

variable "mnist" {
  type        = path
  description = "folder of the IDX files"
  default     = "data/mnist"
}

variable "epochs" {
  type    = number
  default = 5
  validation {
    condition     = var.epochs > 0
    error_message = "Train for at least one epoch."
  }
}

variable "token" {
  type      = string
  sensitive = true
  default   = "hunter2"
}

locals {
  scale  = 1 / 255
  widths = [for i in range(3) : 16 * pow(2, i)]
}

data "idx" "mnist" {
  path   = var.mnist
  token  = var.token
  target = "label"

  source "test" {
    path = "${var.mnist}/t10k"
  }
  column "label" {
    type    = "int"
    missing = ["?", ""]
    classes = 10
  }
  transform "rescale" { scale = local.scale }
  transform "acme.blur" "soft" {
    columns = ["image"]
    sigma   = 0.5
  }
  split {
    validation = 0.1
    stratify   = "label"
    seed       = 18446744073709551615
  }
}

# A residual group.
block "res" {
  arg "filters" {}
  arg "activation" { default = "relu" }
  input "x" {}
  layer "conv2d" "a" {
    filters     = arg.filters
    kernel_size = [3, 3]
    kernel_regularizer "l2" { l = 0.01 }
    activation = arg.activation
  }
  layer "conv2d" "b" {
    filters = arg.filters
  }
  layer "add" "sum" { from = [layer.b, input.x] }
}

model "net" {
  input "image" { shape = [28, 28, 1] }
  layer "block.res" "s" {
    count   = 2
    filters = local.widths[0]
  }
  layer "split" "parts" {}
  layer "acme.swish" "a" { from = parts.out[1] }
  layer "dense" "h" {
    count = 3
    units = local.widths[count.index]
  }
  layer "dense" "twin" {
    from  = layer.parts.left
    share = layer.h[0]
  }
  layer "concat" "both" { from = [layer.h, layer.twin] }
  layer "dense" "logits" {
    units     = 10
    trainable = true
  }
  output "digit" { from = layer.logits }
}

train {
  model        = model.net
  data         = data.mnist
  batch_size   = 32
  seed         = 1
  clip_norm    = 1
  accumulate   = 2
  metrics      = ["accuracy"]
  class_weight = { 0 = 1, 1 = 2.5 }

  loss "sparse_categorical_crossentropy" {
    output      = output.digit
    from_logits = true
  }
  metric "auc" "area" { weighted = true }
  optimizer "adam" {
    beta_1 = 0.9
    schedule "cosine" {
      initial_learning_rate = 0.001
      warmup "linear" { steps = 100 }
    }
  }
  early_stopping {
    monitor      = "val_loss"
    patience     = 3
    restore_best = true
  }
  checkpoint {
    every      = 1
    keep       = 2
    keep_every = 10
    full_every = 5
    on_error   = "continue"
    best {
      monitor = "val_loss"
      mode    = "min"
      keep    = 3
    }
  }
  ema { decay = 0.999 }
  init_from {
    path    = "base.hone"
    map     = { "z" = "a", "model/Enc-*.**" = "s[$1].$2" }
    axes    = { "a.kernel" = [1, 0], "s[*].**.kernel" = [2, 3, 1, 0] }
    exclude = ["logits"]
    cut     = layer.both
    strict  = false
  }
  phase "head" {
    epochs = var.epochs
    freeze = ["s[*]", "**.bias"]
  }
  phase "all" {
    epochs        = 2
    unfreeze      = ["s"]
    learning_rate = 1e-4
  }
}
