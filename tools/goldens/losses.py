"""Losses: one value per example, gradients, and Keras's three ways to reduce with sample weights."""
import keras
import numpy as np
import tensorflow as tf
from keras import losses as K

import golden
from golden import tensor
from keras_cases import PACKAGES, PRECISIONS, defaults, precision
from recipe import short, unit

ABOUT = ("Keras losses with reduction 'none': per_example, and grad = d sum(per_example * cotangent) / d y_pred. Probabilities are "
         "clipped to [1e-7, 1 - 1e-7]; categorical_crossentropy first divides them by their sum; sparse_categorical_crossentropy takes "
         "log(clipped) as logits, which also normalizes. 'reduced' applies sample_weight w: sum_over_batch_size = sum(w l) / n, "
         "mean_with_sample_weight = sum(w l) / sum(w), sum = sum(w l), l and n over per-example values. "
         "'after_softmax' and 'after_sigmoid': y_pred is fed through the activation first; Keras then computes from the logits, "
         "unclipped, and grad is with respect to them.")

TYPES = {
    "sparse_categorical_crossentropy": K.SparseCategoricalCrossentropy, "categorical_crossentropy": K.CategoricalCrossentropy,
    "binary_crossentropy": K.BinaryCrossentropy, "mean_squared_error": K.MeanSquaredError,
    "mean_absolute_error": K.MeanAbsoluteError, "huber": K.Huber,
}


def case(kind, label, config, y_true, y_pred, activation=None):
    name = f"{kind}/{label}"
    out = {"name": name, "type": kind, "config": config, "y_true": tensor(y_true), "y_pred": tensor(y_pred)}
    if activation:
        out["after"] = activation
    for key, dtype in PRECISIONS:
        with precision(dtype):
            out[key] = compute(out, name, dtype, y_true, y_pred, getattr(keras.activations, activation or "linear"))
    return out


def compute(out, name, dtype, y_true, y_pred, activation):
    make = lambda reduction: TYPES[out["type"]](**out["config"], reduction=reduction, dtype=dtype)
    target = tf.constant(y_true, dtype if y_true.dtype.kind == "f" else y_true.dtype)
    v = tf.constant(y_pred, dtype)
    with tf.GradientTape() as tape:
        tape.watch(v)
        each = make("none")(target, activation(v))
        if "cotangent" not in out:
            out["cotangent"] = tensor(short(name + "/cotangent", each.shape, 1.0))
            out["sample_weight"] = tensor(np.abs(short(name + "/weight", each.shape, 2.0)))
        w = np.array(out["cotangent"]["data"]).reshape(each.shape)
        total = tf.reduce_sum(each * tf.constant(w, dtype))
    grad = tape.gradient(total, v)
    weight = tf.constant(np.array(out["sample_weight"]["data"]).reshape(each.shape), dtype)
    reduced = {r: golden.number(make(r)(target, activation(v), sample_weight=weight).numpy())
               for r in ("sum_over_batch_size", "mean_with_sample_weight", "sum")}
    return {"per_example": tensor(each.numpy()), "grad": tensor(grad.numpy()), "reduced": reduced}


def softmax(x):
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(np.float32)


def cases():
    logits = short("losses/logits", (6, 4), 4.0)
    far = np.array([[100, 0, -100], [-1000, 1000, 0], [50, 50, 50]], np.float32)
    labels = np.array([0, 3, 1, 2, 2, 0], np.int32)
    one_hot = np.eye(4, dtype=np.float32)[labels]
    soft = softmax(short("losses/soft", (6, 4)))
    p = softmax(logits)
    certain = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], np.float32)
    unnormalized = (unit("losses/unnormalized", (3, 3)) + np.float32(0.1)).astype(np.float32)

    s = "sparse_categorical_crossentropy"
    yield case(s, "logits", {"from_logits": True}, labels, logits)
    yield case(s, "logits_far", {"from_logits": True}, np.array([2, 0, 1], np.int32), far)
    yield case(s, "probabilities", {}, labels, p)
    yield case(s, "probabilities_certain", {}, np.array([0, 0, 2], np.int32), certain)
    yield case(s, "probabilities_not_normalized", {}, np.array([0, 1, 2], np.int32), unnormalized)
    yield case(s, "after_softmax", {}, labels, logits, "softmax")
    yield case(s, "after_softmax_far", {}, np.array([2, 0, 1], np.int32), far, "softmax")
    yield case(s, "labels_as_column", {"from_logits": True}, labels[:, None], logits)
    yield case(s, "sequence", {"from_logits": True}, labels.reshape(2, 3), logits.reshape(2, 3, 4))

    c = "categorical_crossentropy"
    for smoothing in (0.0, 0.1):
        tag = "_smoothed" if smoothing else ""
        extra = {"label_smoothing": smoothing} if smoothing else {}
        yield case(c, "logits" + tag, {"from_logits": True, **extra}, one_hot, logits)
        yield case(c, "probabilities" + tag, extra, one_hot, p)
        yield case(c, "soft_targets" + tag, {"from_logits": True, **extra}, soft, logits)
    yield case(c, "logits_far", {"from_logits": True}, np.eye(3, dtype=np.float32)[[2, 0, 1]], far)
    yield case(c, "probabilities_certain", {}, np.eye(3, dtype=np.float32)[[0, 0, 2]], certain)
    yield case(c, "probabilities_not_normalized", {}, np.eye(3, dtype=np.float32), unnormalized)
    yield case(c, "after_softmax", {}, one_hot, logits, "softmax")
    yield case(c, "after_softmax_smoothed", {"label_smoothing": 0.1}, one_hot, logits, "softmax")
    yield case(c, "after_softmax_far", {}, np.eye(3, dtype=np.float32)[[2, 0, 1]], far, "softmax")

    b = "binary_crossentropy"
    z = short("losses/binary", (6, 1), 4.0)
    zs = short("losses/binary_three", (4, 3), 4.0)
    y, ys = (z * 64 % 2 > 0.5).astype(np.float32), np.abs((zs * 64).astype(np.int64) % 3 == 0).astype(np.float32)
    q, qs = (1 / (1 + np.exp(-z.astype(np.float64)))).astype(np.float32), (1 / (1 + np.exp(-zs.astype(np.float64)))).astype(np.float32)
    for smoothing in (0.0, 0.2):
        tag = "_smoothed" if smoothing else ""
        extra = {"label_smoothing": smoothing} if smoothing else {}
        yield case(b, "logits" + tag, {"from_logits": True, **extra}, y, z)
        yield case(b, "probabilities" + tag, extra, y, q)
        yield case(b, "three_outputs" + tag, {"from_logits": True, **extra}, ys, zs)
        yield case(b, "three_probabilities" + tag, extra, ys, qs)
    yield case(b, "logits_far", {"from_logits": True}, np.array([[0], [1], [0], [1]], np.float32),
               np.array([[100], [-100], [-1000], [1000]], np.float32))
    yield case(b, "probabilities_certain", {}, np.array([[0], [1], [0], [1]], np.float32), np.array([[1], [0], [0], [1]], np.float32))
    yield case(b, "after_sigmoid", {}, y, z, "sigmoid")
    yield case(b, "after_sigmoid_three", {"label_smoothing": 0.2}, ys, zs, "sigmoid")
    yield case(b, "after_sigmoid_far", {}, np.array([[0], [1], [0], [1]], np.float32),
               np.array([[100], [-100], [-1000], [1000]], np.float32), "sigmoid")

    t, u = short("losses/target", (5, 3)), short("losses/guess", (5, 3))
    for kind in ("mean_squared_error", "mean_absolute_error", "huber"):
        yield case(kind, "vectors", {}, t, u)
        yield case(kind, "one_column", {}, t[:, :1], u[:, :1])
        yield case(kind, "images", {}, t[:4].reshape(2, 2, 3), u[:4].reshape(2, 2, 3))
    yield case("huber", "delta", {"delta": 0.5}, t, u)


def make():
    document = golden.file("losses", ABOUT, list(cases()), PACKAGES)
    document["keras_defaults"] = {k: defaults(v, leave_out=("name", "dtype")) for k, v in TYPES.items()}
    document["epsilon"] = keras.config.epsilon()
    yield "plugins/testdata/goldens/losses.json", document
