"""Optimizers: ten steps on two parameters with given gradients."""
import keras
import numpy as np
import tensorflow as tf

import golden
from golden import tensor
from keras_cases import PACKAGES, PRECISIONS, defaults, precision
from recipe import short

ABOUT = ("Keras optimizers. Every case starts at 'problem.params' and takes 'problem.grads' in order; tensors of several steps have "
         "the step as their first axis. trajectory holds the parameters after each step, slots the optimizer's own tensors after the last (global ones without a parameter's name), ema "
         "the moving average after each step. learning_rate may be a schedule: {type, config}. Order within a step: accumulate, clip, "
         "decay the parameter by weight_decay * learning_rate * parameter, update, average. exclude_from_weight_decay lists "
         "parameters that are not decayed.")

O = keras.optimizers
TYPES = {"sgd": O.SGD, "rmsprop": O.RMSprop, "adam": O.Adam, "adamw": O.AdamW, "adagrad": O.Adagrad, "nadam": O.Nadam,
         "adamax": O.Adamax, "adadelta": O.Adadelta, "lamb": O.Lamb, "lion": O.Lion}
SCHEDULES = {"exponential_decay": O.schedules.ExponentialDecay, "piecewise_constant_decay": O.schedules.PiecewiseConstantDecay}
STEPS = 10

CASES = [
    ("sgd", "default", {}),
    ("sgd", "momentum", {"learning_rate": 0.1, "momentum": 0.9}),
    ("sgd", "nesterov", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("sgd", "weight_decay", {"learning_rate": 0.1, "weight_decay": 0.05}),
    ("sgd", "clipnorm", {"learning_rate": 0.1, "clipnorm": 1.0}),
    ("sgd", "global_clipnorm", {"learning_rate": 0.1, "global_clipnorm": 1.5}),
    ("sgd", "clipvalue", {"learning_rate": 0.1, "clipvalue": 0.5}),
    ("sgd", "ema", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.9}),
    ("sgd", "ema_overwrite", {"learning_rate": 0.1, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 4}),
    ("sgd", "accumulation", {"learning_rate": 0.1, "gradient_accumulation_steps": 2}),
    ("sgd", "schedule", {"learning_rate": {"type": "exponential_decay", "config": {
        "initial_learning_rate": 0.2, "decay_steps": 4, "decay_rate": 0.5}}}),
    ("rmsprop", "default", {}),
    ("rmsprop", "momentum", {"learning_rate": 0.01, "momentum": 0.9}),
    ("rmsprop", "centered", {"learning_rate": 0.01, "centered": True}),
    ("rmsprop", "centered_momentum", {"learning_rate": 0.01, "rho": 0.95, "centered": True, "momentum": 0.5, "epsilon": 1e-4}),
    ("adam", "default", {}),
    ("adam", "amsgrad", {"learning_rate": 0.01, "amsgrad": True}),
    ("adam", "betas", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3}),
    ("adam", "weight_decay", {"learning_rate": 0.01, "weight_decay": 0.1}),
    ("adam", "global_clipnorm_ema", {"learning_rate": 0.01, "global_clipnorm": 1.0, "use_ema": True, "ema_momentum": 0.9}),
    ("adam", "accumulation", {"learning_rate": 0.01, "gradient_accumulation_steps": 3}),
    ("adam", "schedule", {"learning_rate": {"type": "piecewise_constant_decay", "config": {
        "boundaries": [3, 6], "values": [0.1, 0.01, 0.001]}}}),
    ("adamw", "default", {}),
    ("adamw", "set", {"learning_rate": 0.01, "weight_decay": 0.2}),
    ("adamw", "exclude_bias", {"learning_rate": 0.01, "weight_decay": 0.2, "exclude_from_weight_decay": ["bias"]}),
    ("adagrad", "default", {}),
    ("adagrad", "set", {"learning_rate": 0.5, "initial_accumulator_value": 0.01}),
    ("nadam", "default", {}),
    ("nadam", "set", {"learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.95}),
    ("adamax", "default", {}),
    ("adadelta", "set", {"learning_rate": 1.0}),
    ("lamb", "default", {}),
    ("lamb", "set", {"learning_rate": 0.05, "beta_1": 0.8, "beta_2": 0.95, "weight_decay": 0.1}),
    ("lion", "default", {}),
]


def problem():
    """Two parameters; gradients of varied size, one step of zeros and one of tiny values."""
    shapes = {"kernel": (2, 3), "bias": (3,)}
    params = {n: short(f"optimizers/{n}", s, 1.0) for n, s in shapes.items()}
    size = [1, 0.5, 1, 2, 0.25, 0, 1, 2**-20, 1, 0.5]
    grads = [{n: short(f"optimizers/{n}/{t}", s, 2.0, 16) * np.float32(size[t]) for n, s in shapes.items()} for t in range(STEPS)]
    return params, grads


def case(kind, label, config, params, grads):
    out = {"name": f"{kind}/{label}", "type": kind, "config": config}
    for key, dtype in PRECISIONS:
        with precision(dtype):
            out[key] = run(kind, dict(config), dtype, params, grads)
    return out


def run(kind, config, dtype, params, grads):
    exclude = config.pop("exclude_from_weight_decay", None)
    rate = config.get("learning_rate")
    if isinstance(rate, dict):
        config["learning_rate"] = SCHEDULES[rate["type"]](**rate["config"])
    optimizer = TYPES[kind](**config)
    if exclude:
        optimizer.exclude_from_weight_decay(var_names=exclude)
    variables = [keras.Variable(v, dtype=dtype, name=n) for n, v in params.items()]
    trajectory, ema = [], []
    for g in grads:
        optimizer.apply([tf.constant(g[n], dtype) for n in params], variables)
        trajectory.append([v.numpy() for v in variables])
        if optimizer.use_ema:
            ema.append([v.numpy() for v in optimizer._model_variables_moving_average])
    out = {"trajectory": by_name(params, trajectory)}
    if ema:
        out["ema"] = by_name(params, ema)
    out["slots"] = {"u_product" if v.name.startswith("variable") else v.name: tensor(v.numpy()) for v in optimizer.variables
                    if v.name not in ("iteration", "learning_rate") and not v.name.endswith("_average")}
    return out


def by_name(params, steps):
    """Values per step as one tensor a parameter, steps first."""
    return {n: tensor(np.stack(values)) for n, values in zip(params, zip(*steps))}


def make():
    params, grads = problem()
    document = golden.file("optimizers", ABOUT, [case(*c, params, grads) for c in CASES], PACKAGES)
    document["problem"] = {"params": {n: tensor(v) for n, v in params.items()},
                           "grads": by_name(params, [list(g.values()) for g in grads])}
    document["keras_defaults"] = {k: defaults(v, leave_out=("name",)) for k, v in TYPES.items()}
    yield "plugins/testdata/goldens/optimizers.json", document
