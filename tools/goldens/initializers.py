"""Initializers: the limits and deviations that follow from a shape, as Keras's own fan rule gives them."""
import math

import keras
import numpy as np
from keras.src.initializers.random_initializers import compute_fans

import golden
from keras_cases import defaults

ABOUT = ("Variance-scaling initializers. uniform: U[-limit, limit); normal: a normal of standard deviation drawn_stddev, redrawn "
         "outside mean +- 2 drawn_stddev, so that the truncated result has standard deviation stddev. observed: the same statistics "
         "of one Keras draw, a check on the formulas, within sampling error.")

SHAPES = [[784, 128], [128, 10], [7], [3, 3, 1, 32], [3, 3, 32, 64], [7, 7, 3, 64], [1, 1, 256, 64], [3, 3, 16, 2]]
KINDS = {
    "glorot_uniform": (1.0, "fan_avg", "uniform"), "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"), "he_normal": (2.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"), "lecun_normal": (1.0, "fan_in", "truncated_normal"),
}
PLAIN = {"random_normal": keras.initializers.RandomNormal, "random_uniform": keras.initializers.RandomUniform,
         "truncated_normal": keras.initializers.TruncatedNormal, "constant": keras.initializers.Constant,
         "variance_scaling": keras.initializers.VarianceScaling, "orthogonal": keras.initializers.Orthogonal}
# Standard deviation of a unit normal truncated to [-2, 2].
TRUNCATED = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def case(kind, shape):
    scale, mode, distribution = KINDS[kind]
    fan_in, fan_out = compute_fans(tuple(shape))
    fan = {"fan_avg": (fan_in + fan_out) / 2, "fan_in": fan_in}[mode]
    stddev = math.sqrt(scale / max(1.0, fan))
    out = {"name": f"{kind}/{'x'.join(map(str, shape))}", "type": kind, "shape": shape, "fan_in": fan_in, "fan_out": fan_out,
           "scale": scale, "mode": mode, "distribution": distribution, "mean": 0, "stddev": stddev}
    if distribution == "uniform":
        out["limit"] = stddev * math.sqrt(3)
    else:
        out["drawn_stddev"] = stddev / TRUNCATED
        out["limit"] = 2 * out["drawn_stddev"]
    draw = getattr(keras.initializers, kind)(seed=1)(shape=tuple(shape)).numpy().astype(np.float64)
    out["observed"] = {"count": draw.size, "mean": float(draw.mean()), "stddev": float(draw.std()), "largest": float(abs(draw).max())}
    if abs(draw).max() > out["limit"] * (1 + 1e-6) or (draw.size > 5000 and abs(draw.std() / stddev - 1) > 0.05):
        raise AssertionError(f"{out['name']}: the formula and Keras's draw disagree: {out}")
    return out


def make():
    cases = [case(k, s) for k in KINDS for s in SHAPES]
    document = golden.file("initializers", ABOUT, cases, ("keras", "tensorflow", "numpy"))
    document["truncated_unit_normal_stddev"] = TRUNCATED
    document["keras_defaults"] = {k: defaults(v, leave_out=("seed",)) for k, v in PLAIN.items()}
    yield "plugins/testdata/goldens/initializers.json", document
