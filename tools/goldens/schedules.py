"""Learning-rate schedules: the rate at given steps."""
import keras
import numpy as np
import tensorflow as tf

import golden
from keras_cases import PACKAGES, defaults, precision

ABOUT = ("rates[i] is the learning rate at steps[i]; step counts from 0, the first update. source 'keras': the class of that name; "
         "'formula': plain NumPy, the formula is given. f64 is the truth for both.")

S = keras.optimizers.schedules
TYPES = {"exponential_decay": S.ExponentialDecay, "piecewise_constant_decay": S.PiecewiseConstantDecay,
         "polynomial_decay": S.PolynomialDecay, "inverse_time_decay": S.InverseTimeDecay, "cosine_decay": S.CosineDecay,
         "cosine_decay_restarts": S.CosineDecayRestarts}
STEPS = [0, 1, 2, 5, 9, 10, 11, 19, 20, 21, 49, 50, 51, 99, 100, 101, 149, 150, 199, 200, 201, 350, 1000]

KERAS = [
    ("exponential_decay", "smooth", {"initial_learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.96}),
    ("exponential_decay", "staircase", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.5, "staircase": True}),
    ("piecewise_constant_decay", "three", {"boundaries": [10, 100], "values": [0.1, 0.05, 0.001]}),
    ("piecewise_constant_decay", "one_boundary", {"boundaries": [50], "values": [1.0, 0.5]}),
    ("polynomial_decay", "linear", {"initial_learning_rate": 0.1, "decay_steps": 150, "end_learning_rate": 0.01}),
    ("polynomial_decay", "linear_to_zero", {"initial_learning_rate": 0.1, "decay_steps": 100, "end_learning_rate": 0.0}),
    ("polynomial_decay", "square", {"initial_learning_rate": 0.1, "decay_steps": 200, "power": 2.0}),
    ("polynomial_decay", "cycle", {"initial_learning_rate": 0.1, "decay_steps": 100, "end_learning_rate": 0.01, "cycle": True}),
    ("inverse_time_decay", "smooth", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("inverse_time_decay", "staircase", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.5, "staircase": True}),
    ("cosine_decay", "to_zero", {"initial_learning_rate": 0.1, "decay_steps": 200}),
    ("cosine_decay", "alpha", {"initial_learning_rate": 0.1, "decay_steps": 150, "alpha": 0.1}),
    ("cosine_decay", "warmup", {"initial_learning_rate": 0.0, "decay_steps": 150, "warmup_target": 0.1, "warmup_steps": 20}),
    ("cosine_decay", "warmup_alpha",
     {"initial_learning_rate": 0.01, "decay_steps": 100, "alpha": 0.05, "warmup_target": 0.2, "warmup_steps": 50}),
    ("cosine_decay_restarts", "default", {"initial_learning_rate": 0.1, "first_decay_steps": 50}),
    ("cosine_decay_restarts", "equal_periods", {"initial_learning_rate": 0.1, "first_decay_steps": 50, "t_mul": 1.0}),
    ("cosine_decay_restarts", "set", {"initial_learning_rate": 0.1, "first_decay_steps": 20, "t_mul": 2.0, "m_mul": 0.5, "alpha": 0.02}),
]


def warmup(initial, target, steps):
    return lambda t: initial + (target - initial) * t / steps if t < steps else target


def natural(rate, k, steps=1, staircase=False):
    return lambda t: rate * np.exp(-k * (t // steps if staircase else t / steps))


FORMULAS = [
    ("constant", "plain", {"learning_rate": 0.05}, "learning_rate", lambda t: 0.05),
    ("natural_exponential", "per_step", {"initial_learning_rate": 0.1, "decay_rate": 0.01},
     "initial_learning_rate * exp(-decay_rate * step)", natural(0.1, 0.01)),
    ("natural_exponential", "decay_steps", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.5},
     "initial_learning_rate * exp(-decay_rate * step / decay_steps)", natural(0.1, 0.5, 50)),
    ("natural_exponential", "staircase", {"initial_learning_rate": 0.1, "decay_steps": 50, "decay_rate": 0.5, "staircase": True},
     "initial_learning_rate * exp(-decay_rate * floor(step / decay_steps))", natural(0.1, 0.5, 50, True)),
    ("linear_warmup", "from_zero", {"initial_learning_rate": 0.0, "warmup_target": 0.1, "warmup_steps": 20},
     "initial + (target - initial) * min(step / warmup_steps, 1)", warmup(0.0, 0.1, 20)),
    ("linear_warmup", "from_some", {"initial_learning_rate": 0.02, "warmup_target": 0.1, "warmup_steps": 50},
     "initial + (target - initial) * min(step / warmup_steps, 1)", warmup(0.02, 0.1, 50)),
]


def keras_case(kind, label, config):
    out = {"name": f"{kind}/{label}", "type": kind, "config": config, "source": "keras"}
    for key, dtype, real in (("f32", "float32", np.float32), ("f64", "float64", np.float64)):
        with precision(dtype):
            schedule = TYPES[kind](**config)
            out[key] = [golden.number(real(keras.ops.convert_to_numpy(schedule(tf.constant(t, "int64"))))) for t in STEPS]
    return out


def formula_case(kind, label, config, formula, f):
    rates = [np.float64(f(t)) for t in STEPS]
    if kind == "natural_exponential":
        theirs = tf.compat.v1.train.natural_exp_decay
        for t, r in zip(STEPS, rates):
            got = theirs(config["initial_learning_rate"], t, config.get("decay_steps", 1), config["decay_rate"], config.get("staircase", False))()
            np.testing.assert_allclose(got, r, rtol=1e-5)
    return {"name": f"{kind}/{label}", "type": kind, "config": config, "source": "formula", "formula": formula,
            "f32": [golden.number(np.float32(r)) for r in rates], "f64": [golden.number(r) for r in rates]}


def make():
    cases = [keras_case(*c) for c in KERAS] + [formula_case(*c) for c in FORMULAS]
    document = golden.file("schedules", ABOUT, cases, PACKAGES)
    document["steps"] = STEPS
    document["keras_defaults"] = {k: defaults(v, leave_out=("name",)) for k, v in TYPES.items()}
    yield "plugins/testdata/goldens/schedules.json", document
