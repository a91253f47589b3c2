"""Activations: value and gradient, away from kinks, at kinks, and far out."""
import keras
import numpy as np
import tensorflow as tf
from keras import activations as A

import golden
from golden import tensor
from keras_cases import PACKAGES, PRECISIONS, defaults, precision
from recipe import short

ABOUT = ("Keras activations: y = f(x), grad = d sum(y * cotangent) / dx. The 'grid' cases stay away from points without a "
         "derivative; the 'kink' cases record which one-sided derivative TensorFlow takes there; 'far' cases must stay finite.")

FUNCTIONS = {
    "linear": A.linear, "sigmoid": A.sigmoid, "tanh": A.tanh, "relu": A.relu, "leaky_relu": A.leaky_relu, "elu": A.elu,
    "selu": A.selu, "softmax": A.softmax, "log_softmax": A.log_softmax, "gelu": A.gelu, "silu": A.silu,
    "softplus": A.softplus, "mish": A.mish, "hard_sigmoid": A.hard_sigmoid, "hard_silu": A.hard_silu,
    "exponential": A.exponential, "softsign": A.softsign, "relu6": A.relu6,
}
KINKS = {"relu": [0], "leaky_relu": [0], "elu": [0], "selu": [0], "hard_sigmoid": [-3, 3], "hard_silu": [-3, 3],
         "softsign": [0], "relu6": [0, 6]}
VARIANTS = [("relu", {"negative_slope": 0.25}), ("relu", {"max_value": 2.0}), ("relu", {"threshold": 1.0}),
            ("leaky_relu", {"negative_slope": 0.3}), ("leaky_relu", {"negative_slope": 0.01}), ("elu", {"alpha": 0.5}),
            ("gelu", {"approximate": True}), ("softmax", {"axis": 1})]


def case(label, kind, config, x):
    out = {"name": f"{kind}/{label}", "type": kind, "config": config, "input": tensor(x),
           "cotangent": tensor(short(f"{kind}/{label}", x.shape, 1.0))}
    w = np.array(out["cotangent"]["data"]).reshape(x.shape)
    for key, dtype in PRECISIONS:
        with precision(dtype):
            v = tf.constant(x, dtype)
            with tf.GradientTape() as tape:
                tape.watch(v)
                y = FUNCTIONS[kind](v, **config)
                total = tf.reduce_sum(y * tf.constant(w, dtype))
            out[key] = {"output": tensor(y.numpy()), "grad": tensor(tape.gradient(total, v).numpy())}
    return out


def cases():
    line = np.array([k / 4 + 0.125 for k in range(-20, 20)] + [0.001953125, -0.001953125, 7.5, -7.5, 12, -12, 20, -20], np.float32)
    rows = short("softmax/rows", (5, 4), 4.0)
    for kind in FUNCTIONS:
        yield case("grid", kind, {}, rows if "softmax" in kind else line)
    for kind, at in KINKS.items():
        yield case("kink", kind, {}, np.array(at, np.float32))
    for kind in FUNCTIONS:
        if "softmax" in kind:
            yield case("far", kind, {}, np.array([[1000, 999, -1000], [-2000, -2000, -2001], [0, 88, 100]], np.float32))
        elif kind != "exponential":
            yield case("far", kind, {}, np.array([-1000, -200, -90, -40, 40, 90, 200, 1000], np.float32))
    for kind, config in VARIANTS:
        x = short("softmax/axis", (2, 3, 2)) if kind == "softmax" else line[:40]
        yield case("_".join(f"{k}_{v}" for k, v in config.items()), kind, config, x)


def make():
    document = golden.file("activations", ABOUT, list(cases()), PACKAGES)
    document["keras_defaults"] = {k: defaults(f) for k, f in FUNCTIONS.items()}
    yield "plugins/testdata/goldens/activations.json", document
