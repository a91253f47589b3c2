"""Whole training runs: the loss of every step, from exact initial weights, in a fixed order of examples.

float32 is Keras. The truth is plain NumPy in float64, written here from the formulas; Keras in float64 must agree with
it to 1e-9, or no file is written.
"""
import gzip
import hashlib
import os
import sys

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

import golden
import recipe
from golden import tensor
from keras_cases import PACKAGES, precision

ABOUT = ("Every epoch takes the examples in order, unshuffled, batch_size at a time; where they do not divide, its last batch is smaller. loss[t] is "
         "the mean sparse categorical cross-entropy from logits over the batch before the update, in train mode. Weights start from recipe.py: "
         "kernels scaled(NAME.kernel, limit = sqrt(6 / (fan_in + fan_out))), biases and betas 0, gammas 1, moving means 0, moving variances 1. "
         "final holds some tensors after the last step, accuracy is in infer mode over all examples.")

DIGITS = ("640 examples of 8x8: pixel = hash32('digits.pixel', i) >> 28, i = example * 64 + position; x = pixel / 16. label = the class c "
          "with the largest sum of the six pixels 6c..6c+5, the first of equal ones.")
MNIST = ("the first 6400 images of the train10k IDX files, in file order: x = float32(pixel) / float32(255). "
         "sha256 is that of their raw pixels followed by their labels.")
CLASSES = 10


def digits():
    pixel = (recipe.hash32("digits.pixel", 640 * 64) >> 28).astype(np.int32).reshape(640, 64)
    labels = pixel[:, :60].reshape(640, CLASSES, 6).sum(2).argmax(1)
    return (pixel / 16).astype(np.float32), labels.astype(np.int32), hashlib.sha256(pixel.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes())


def mnist():
    """The arrays, or None where the files are absent: MNIST=FOLDER, default ../shared/data/mnist beside the repository."""
    here = os.path.dirname(os.path.abspath(__file__))
    folder = os.environ.get("MNIST", os.path.join(here, "..", "..", "..", "shared", "data", "mnist"))
    raw = []
    for kind, head in (("images-idx3", 16), ("labels-idx1", 8)):
        path = os.path.join(folder, f"train10k-{kind}-ubyte.gz")
        if not os.path.exists(path):
            return None
        with gzip.open(path) as f:
            raw.append(np.frombuffer(f.read(), np.uint8, offset=head))
    pixels, labels = raw[0][: 6400 * 784], raw[1][:6400]
    x = pixels.astype(np.float32) / np.float32(255)
    return x.reshape(6400, 784), labels.astype(np.int32), hashlib.sha256(pixels.tobytes() + labels.tobytes())


# The networks: hone's layers, and the same in Keras.

def mlp(inputs, hidden):
    layers = [{"type": "dense", "name": "hidden", "config": {"units": hidden, "activation": "relu"}},
              {"type": "dense", "name": "logits", "config": {"units": CLASSES}}]
    weights = {"hidden.kernel": recipe.glorot("hidden.kernel", (inputs, hidden)), "hidden.bias": np.zeros(hidden, np.float32),
               "logits.kernel": recipe.glorot("logits.kernel", (hidden, CLASSES)), "logits.bias": np.zeros(CLASSES, np.float32)}
    build = lambda: keras.Sequential([L.Input((inputs,)), L.Dense(hidden, "relu", name="hidden"), L.Dense(CLASSES, name="logits")])
    return {"input": [inputs], "layers": layers, "weights": weights, "keras": build, "numpy": NumpyMLP, "final": ["logits.bias"]}


def cnn():
    """No bias before the batch norm: its gradient is rounding noise, which Adam would turn into steps."""
    layers = [{"type": "conv2d", "name": "conv", "config": {"filters": 4, "kernel_size": 3, "use_bias": False}},
              {"type": "batch_norm", "name": "norm", "config": {}},
              {"type": "max_pooling2d", "name": "pool", "config": {"pool_size": 2}},
              {"type": "flatten", "name": "flat", "config": {}},
              {"type": "dense", "name": "logits", "config": {"units": CLASSES}}]
    one, zero = np.ones(4, np.float32), np.zeros(4, np.float32)
    weights = {"conv.kernel": recipe.glorot("conv.kernel", (3, 3, 1, 4)), "norm.gamma": one, "norm.beta": zero,
               "logits.kernel": recipe.glorot("logits.kernel", (36, CLASSES)), "logits.bias": np.zeros(CLASSES, np.float32),
               "norm.moving_mean": zero, "norm.moving_variance": one}
    build = lambda: keras.Sequential([L.Input((8, 8, 1)), L.Conv2D(4, 3, use_bias=False, name="conv"), L.BatchNormalization(name="norm"),
                                      L.MaxPooling2D(2, name="pool"), L.Flatten(name="flat"), L.Dense(CLASSES, name="logits")])
    return {"input": [8, 8, 1], "layers": layers, "weights": weights, "keras": build, "numpy": NumpyCNN,
            "final": ["logits.bias", "norm.gamma", "norm.moving_mean", "norm.moving_variance"]}


def batches(count, batch, steps):
    """The rows of each step: whole epochs in order, the remainder as a batch of its own."""
    per_epoch = -(-count // batch)
    for t in range(steps):
        start = t % per_epoch * batch
        yield np.arange(start, min(start + batch, count))


# Keras

def run_keras(network, optimizer, x, y, batch, steps, dtype):
    with precision(dtype):
        model = network["keras"]()
        variables = {".".join(v.path.split("/")[-2:]): v for v in model.weights}
        if variables.keys() != network["weights"].keys():
            raise AssertionError(f"Keras has {sorted(variables)}, the recipe {sorted(network['weights'])}")
        for name, value in network["weights"].items():
            variables[name].assign(value)
        update = getattr(keras.optimizers, optimizer["type"].capitalize().replace("Sgd", "SGD"))(**optimizer["config"])
        update.build(model.trainable_variables)
        criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

        @tf.function
        def step(a, b):
            with tf.GradientTape() as tape:
                loss = criterion(b, model(a, training=True))
            update.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]), model.trainable_variables)
            return loss

        shaped = x.reshape([-1] + network["input"]).astype(dtype)
        losses = []
        for rows in batches(len(x), batch, steps):
            losses.append(step(tf.constant(shaped[rows]), tf.constant(y[rows])).numpy())
        right = model(tf.constant(shaped), training=False).numpy().argmax(1) == y
        return {"loss": losses, "final": {n: variables[n].numpy() for n in network["final"]}, "accuracy": float(right.mean())}


# NumPy, float64

class NumpyMLP:
    def __init__(self, weights):
        self.p = dict(weights)

    def infer(self, x):
        return np.maximum(x @ self.p["hidden.kernel"] + self.p["hidden.bias"], 0) @ self.p["logits.kernel"] + self.p["logits.bias"]

    def step(self, x, y):
        h = np.maximum(x @ self.p["hidden.kernel"] + self.p["hidden.bias"], 0)
        loss, dz = cross_entropy(h @ self.p["logits.kernel"] + self.p["logits.bias"], y)
        dh = (dz @ self.p["logits.kernel"].T) * (h > 0)
        return loss, {"hidden.kernel": x.T @ dh, "hidden.bias": dh.sum(0), "logits.kernel": h.T @ dz, "logits.bias": dz.sum(0)}


class NumpyCNN:
    MOMENTUM, EPSILON = 0.99, 1e-3

    def __init__(self, weights):
        self.p = dict(weights)

    def patches(self, x):
        """All 3x3 windows of [n, 8, 8] as [n, 6, 6, 9]."""
        return np.lib.stride_tricks.sliding_window_view(x.reshape(-1, 8, 8), (3, 3), (1, 2)).reshape(-1, 6, 6, 9)

    def pool(self, x):
        """2x2 maxima of [n, 6, 6, c], and which of the four each was."""
        windows = x.reshape(-1, 3, 2, 3, 2, 4).transpose(0, 1, 3, 5, 2, 4).reshape(-1, 3, 3, 4, 4)
        return windows.max(-1), windows.argmax(-1)

    def infer(self, x):
        c = self.patches(x) @ self.p["conv.kernel"].reshape(9, 4)
        n = (c - self.p["norm.moving_mean"]) / np.sqrt(self.p["norm.moving_variance"] + self.EPSILON)
        return self.pool(n * self.p["norm.gamma"] + self.p["norm.beta"])[0].reshape(-1, 36) @ self.p["logits.kernel"] + self.p["logits.bias"]

    def step(self, x, y):
        patches = self.patches(x)
        c = patches @ self.p["conv.kernel"].reshape(9, 4)
        mean, variance = c.mean((0, 1, 2)), c.var((0, 1, 2))
        inverse = 1 / np.sqrt(variance + self.EPSILON)
        n = (c - mean) * inverse
        pooled, which = self.pool(n * self.p["norm.gamma"] + self.p["norm.beta"])
        flat = pooled.reshape(-1, 36)
        loss, dz = cross_entropy(flat @ self.p["logits.kernel"] + self.p["logits.bias"], y)

        d = np.zeros(which.shape + (4,))
        np.put_along_axis(d, which[..., None], (dz @ self.p["logits.kernel"].T).reshape(pooled.shape + (1,)), -1)
        d = d.reshape(-1, 3, 3, 4, 2, 2).transpose(0, 1, 4, 2, 5, 3).reshape(n.shape)
        dgamma, dbeta = (d * n).sum((0, 1, 2)), d.sum((0, 1, 2))
        count = n[..., 0].size
        dc = self.p["norm.gamma"] * inverse * (d - dbeta / count - n * dgamma / count)
        for name, value in (("norm.moving_mean", mean), ("norm.moving_variance", variance)):
            self.p[name] = self.p[name] * self.MOMENTUM + value * (1 - self.MOMENTUM)
        return loss, {"conv.kernel": np.tensordot(patches, dc, ([0, 1, 2], [0, 1, 2])).reshape(3, 3, 1, 4), "norm.gamma": dgamma, "norm.beta": dbeta,
                      "logits.kernel": flat.T @ dz, "logits.bias": dz.sum(0)}


def cross_entropy(z, y):
    z = z - z.max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    return loss, p / len(y)


class NumpySGD:
    def __init__(self, learning_rate, momentum=0.0, nesterov=False):
        self.rate, self.momentum, self.nesterov, self.m = learning_rate, momentum, nesterov, {}

    def update(self, p, grads):
        for n, g in grads.items():
            self.m[n] = self.momentum * self.m.get(n, 0) - self.rate * g
            p[n] = p[n] + (self.momentum * self.m[n] - self.rate * g if self.nesterov else self.m[n])


class NumpyAdam:
    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.rate, self.b1, self.b2, self.epsilon, self.m, self.v, self.t = learning_rate, beta_1, beta_2, epsilon, {}, {}, 0

    def update(self, p, grads):
        self.t += 1
        alpha = self.rate * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        for n, g in grads.items():
            self.m[n] = self.b1 * self.m.get(n, 0) + (1 - self.b1) * g
            self.v[n] = self.b2 * self.v.get(n, 0) + (1 - self.b2) * g * g
            p[n] = p[n] - alpha * self.m[n] / (np.sqrt(self.v[n]) + self.epsilon)


def run_numpy(network, optimizer, x, y, batch, steps):
    model = network["numpy"]({n: w.astype(np.float64) for n, w in network["weights"].items()})
    update = {"sgd": NumpySGD, "adam": NumpyAdam}[optimizer["type"]](**optimizer["config"])
    wide, losses = x.astype(np.float64), []
    for rows in batches(len(x), batch, steps):
        loss, grads = model.step(wide[rows], y[rows])
        update.update(model.p, grads)
        losses.append(loss)
    right = model.infer(wide).argmax(1) == y
    return {"loss": losses, "final": {n: model.p[n] for n in network["final"]}, "accuracy": float(right.mean())}


def case(name, network, optimizer, data, about, steps, batch=32):
    x, y, digest = data
    narrow = run_keras(network, optimizer, x, y, batch, steps, "float32")
    truth = run_numpy(network, optimizer, x, y, batch, steps)
    again = run_keras(network, optimizer, x, y, batch, steps, "float64")
    np.testing.assert_allclose(again["loss"], truth["loss"], rtol=1e-9, err_msg=name)
    for n in network["final"]:
        np.testing.assert_allclose(again["final"][n], truth["final"][n], rtol=1e-8, atol=1e-12, err_msg=f"{name}: {n}")
    return {"name": name, "data": about, "count": len(x), "sha256": digest.hexdigest(), "input": network["input"],
            "layers": network["layers"], "loss": {"type": "sparse_categorical_crossentropy", "config": {"from_logits": True}},
            "optimizer": optimizer, "batch_size": batch, "steps": steps,
            "largest_relative_difference": max(abs(a / b - 1) for a, b in zip(map(float, narrow["loss"]), truth["loss"])),
            "weights": {n: list(w.shape) for n, w in network["weights"].items()},
            "f32": written(narrow), "f64": written(truth)}


def written(run):
    return {"loss": [golden.number(v) for v in run["loss"]], "final": {n: tensor(v) for n, v in run["final"].items()}, "accuracy": run["accuracy"]}


def make():
    sgd = {"type": "sgd", "config": {"learning_rate": 0.1}}
    nesterov = {"type": "sgd", "config": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}}
    adam = {"type": "adam", "config": {}}
    data = digits()
    cases = [case("digits_mlp/sgd", mlp(64, 32), sgd, data, DIGITS, 200),
             case("digits_mlp/nesterov", mlp(64, 32), nesterov, data, DIGITS, 200),
             case("digits_mlp/adam", mlp(64, 32), adam, data, DIGITS, 200),
             case("digits_mlp/remainder", mlp(64, 32), adam, data, DIGITS, 60, batch=24),
             case("digits_cnn/adam", cnn(), adam, data, DIGITS, 50),
             case("digits_cnn/sgd", cnn(), sgd, data, DIGITS, 50)]
    yield "host/testdata/goldens/training_digits.json", golden.file("training_digits", ABOUT, cases, PACKAGES)

    data = mnist()
    if data is None:
        print("training_mnist.json: left as it is, no MNIST files (MNIST=FOLDER)", file=sys.stderr)
        return
    cases = [case("mnist_mlp/adam", mlp(784, 128), adam, data, MNIST, 200),
             case("mnist_mlp/sgd", mlp(784, 128), sgd, data, MNIST, 200)]
    yield "host/testdata/goldens/training_mnist.json", golden.file("training_mnist", ABOUT, cases, PACKAGES)
