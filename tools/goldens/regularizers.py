"""Regularizers (value and gradient) and constraints (projected weights)."""
import keras
import tensorflow as tf

import golden
from golden import tensor
from keras_cases import PACKAGES, PRECISIONS, defaults, precision
from recipe import short

ABOUT_REGULARIZERS = "Keras regularizers: penalty = f(weights), grad = d penalty / d weights."
ABOUT_CONSTRAINTS = "Keras constraints: output is what the weights become after an update. Norms are taken over config.axis, default 0."

REGULARIZERS = {"l1": keras.regularizers.L1, "l2": keras.regularizers.L2, "l1l2": keras.regularizers.L1L2}
CONSTRAINTS = {"max_norm": keras.constraints.MaxNorm, "non_neg": keras.constraints.NonNeg,
               "unit_norm": keras.constraints.UnitNorm, "min_max_norm": keras.constraints.MinMaxNorm}


def regularizer(kind, label, config):
    w = short(f"{kind}/{label}", (3, 4))
    out = {"name": f"{kind}/{label}", "type": kind, "config": config, "weights": tensor(w)}
    for key, dtype in PRECISIONS:
        with precision(dtype):
            v = tf.constant(w, dtype)
            with tf.GradientTape() as tape:
                tape.watch(v)
                penalty = REGULARIZERS[kind](**config)(v)
            out[key] = {"penalty": golden.number(penalty.numpy()), "grad": tensor(tape.gradient(penalty, v).numpy())}
    return out


def constraint(kind, label, config, shape):
    w = short(f"{kind}/{label}", shape, 3.0)
    out = {"name": f"{kind}/{label}", "type": kind, "config": config, "weights": tensor(w)}
    for key, dtype in PRECISIONS:
        with precision(dtype):
            out[key] = {"output": tensor(CONSTRAINTS[kind](**config)(tf.constant(w, dtype)).numpy())}
    return out


def make():
    cases = [regularizer(k, "default", {}) for k in ("l1", "l2")]
    cases += [regularizer("l1", "set", {"l1": 0.05}), regularizer("l2", "set", {"l2": 0.001}),
              regularizer("l1l2", "both", {"l1": 0.02, "l2": 0.03}), regularizer("l1l2", "one", {"l2": 0.5})]
    document = golden.file("regularizers", ABOUT_REGULARIZERS, cases, PACKAGES)
    document["keras_defaults"] = {k: defaults(v) for k, v in REGULARIZERS.items()}
    yield "plugins/testdata/goldens/regularizers.json", document

    cases = [
        constraint("max_norm", "default", {}, (3, 4)), constraint("max_norm", "set", {"max_value": 3.5, "axis": 1}, (3, 4)),
        constraint("max_norm", "filters", {"axis": [0, 1, 2]}, (2, 2, 2, 3)), constraint("non_neg", "default", {}, (3, 4)),
        constraint("unit_norm", "default", {}, (3, 4)), constraint("unit_norm", "filters", {"axis": [0, 1, 2]}, (2, 2, 2, 3)),
        constraint("min_max_norm", "default", {}, (3, 4)),
        constraint("min_max_norm", "slow", {"min_value": 1.0, "max_value": 2.0, "rate": 0.5}, (3, 4)),
    ]
    document = golden.file("constraints", ABOUT_CONSTRAINTS, cases, PACKAGES)
    document["keras_defaults"] = {k: defaults(v) for k, v in CONSTRAINTS.items()}
    yield "plugins/testdata/goldens/constraints.json", document
