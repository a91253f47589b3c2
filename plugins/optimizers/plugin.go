package optimizers

import "github.com/hone-ml/hone/sdk"

// Version is the plugin's version; it moves with hone's.
const Version = "0.1.0"

// Plugin describes all that this package offers.
func Plugin() sdk.Plugin {
	return sdk.Plugin{
		Name:    "optimizers",
		Version: Version,
		Optimizers: sdk.Optimizers{
			"adadelta":  func() sdk.Optimizer { return &Adadelta{} },
			"adagrad":   func() sdk.Optimizer { return &Adagrad{} },
			"adam":      func() sdk.Optimizer { return &Adam{} },
			"adamax":    func() sdk.Optimizer { return &Adamax{} },
			"adamw":     func() sdk.Optimizer { return &AdamW{} },
			"lamb":      func() sdk.Optimizer { return &Lamb{} },
			"lion":      func() sdk.Optimizer { return &Lion{} },
			"lookahead": func() sdk.Optimizer { return &Lookahead{} },
			"nadam":     func() sdk.Optimizer { return &Nadam{} },
			"rmsprop":   func() sdk.Optimizer { return &RMSprop{} },
			"sam":       func() sdk.Optimizer { return &SAM{} },
			"sgd":       func() sdk.Optimizer { return &SGD{} },
		},
		Schedules: sdk.Schedules{
			"constant":                 func() sdk.Schedule { return &Constant{} },
			"cosine_decay":             func() sdk.Schedule { return &CosineDecay{} },
			"cosine_decay_restarts":    func() sdk.Schedule { return &CosineDecayRestarts{} },
			"exponential_decay":        func() sdk.Schedule { return &ExponentialDecay{} },
			"inverse_time_decay":       func() sdk.Schedule { return &InverseTimeDecay{} },
			"linear_decay":             func() sdk.Schedule { return &LinearDecay{} },
			"linear_warmup":            func() sdk.Schedule { return &LinearWarmup{} },
			"natural_exponential":      func() sdk.Schedule { return &NaturalExponential{} },
			"piecewise_constant_decay": func() sdk.Schedule { return &PiecewiseConstantDecay{} },
			"plateau":                  func() sdk.Schedule { return &Plateau{} },
			"polynomial_decay":         func() sdk.Schedule { return &PolynomialDecay{} },
			"table":                    func() sdk.Schedule { return &Table{} },
			"warm_up":                  func() sdk.Schedule { return &WarmUp{} },
		},
	}
}
