"""Small trainings that show one thing each: frozen batch normalization, several inputs, losses and outputs, shared weights."""
import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

import golden
import recipe
from golden import tensor
from keras_cases import PACKAGES, PRECISIONS, precision

ABOUT = ("Keras models that start at 'weights' and train on the rows of 'data' in order, unshuffled, batch_size at a time, the last batch of an "
         "epoch smaller. Each epoch of f32 and f64 has the mean over the examples of the losses before their updates, 'loss' with the weights and one "
         "of each output without them, and 'after', what the model in inference then makes of all rows. 'final' holds the weights after "
         "the last epoch. Layers named in 'frozen' have trainable = False.")

ROWS, BATCH, EPOCHS = 26, 8, 3
BN = {"gamma": (0.5, 1.5), "beta": (-0.2, 0.2), "moving_mean": (-0.3, 0.3), "moving_variance": (0.5, 1.5), "bias": (-0.1, 0.1)}


def column(name):
    return recipe.short(f"seams/{name}", (ROWS,), 1.5, 8)


def columns(*names):
    return np.stack([column(n) for n in names], 1)


DATA = {n: column(n) for n in ("a", "b", "c", "d", "e", "amount")}
DATA["kind"] = (recipe.hash32("seams/kind", ROWS) % 3).astype(np.int32)
LEFT, RIGHT = columns("a", "b", "c"), columns("d", "e")


# The networks: inputs, outputs with their loss and its weight, what is frozen.

def frozen_norm():
    x = L.Input((3,), name="x")
    y = L.Dense(6, use_bias=False, name="body")(x)
    y = L.BatchNormalization(momentum=0.9, name="norm1")(y)
    y = L.Dense(5, activation="tanh", name="middle")(y)
    y = L.BatchNormalization(momentum=0.9, name="norm2")(y)
    y = L.Dense(3, name="kind")(y)
    return {"x": x}, {"kind": y}


def two_losses():
    left, right = L.Input((3,), name="left"), L.Input((2,), name="right")
    both = L.Concatenate(name="both")([L.Dense(4, activation="relu", name="l")(left), L.Dense(3, activation="tanh", name="r")(right)])
    return {"left": left, "right": right}, {"kind": L.Dense(3, name="logits")(both), "amount": L.Dense(1, name="size")(both)}


def shared():
    left, right = L.Input((3,), name="left"), L.Input((3,), name="right")
    tower = L.Dense(4, activation="tanh", name="tower")
    y = L.Concatenate(name="both")([tower(left), tower(right)])
    for i in range(2):
        inner = L.Dense(8, activation="tanh", name=f"s_{i}_.inner")(y)
        y = L.Add(name=f"s_{i}_.sum")([y, inner])
    return {"left": left, "right": right}, {"amount": L.Dense(1, name="out")(y)}


CASES = [
    ("frozen_norm", frozen_norm, {"x": LEFT}, {"kind": 1.0}, ["body", "norm1"]),
    ("two_losses", two_losses, {"left": LEFT, "right": RIGHT}, {"kind": 1.0, "amount": 0.25}, []),
    ("shared", shared, {"left": LEFT, "right": np.concatenate([RIGHT, LEFT[:, :1]], 1)}, {"amount": 1.0}, []),
]


def losses(output, y, rows=slice(None)):
    """One value for each example."""
    if output == "kind":
        return keras.losses.sparse_categorical_crossentropy(tf.constant(DATA["kind"][rows]), y, from_logits=True)
    return tf.square(y[:, 0] - tf.constant(DATA["amount"][rows], y.dtype))


def first(name, shape):
    kind = name.split(".")[-1]
    if kind in BN:
        return recipe.uniform(f"seams/{name}", shape, *BN[kind])
    return recipe.glorot(f"seams/{name}", shape)


def run(build, inputs, weighted, frozen, dtype, start):
    with precision(dtype):
        keras.backend.clear_session()
        into, out = build()
        model = keras.Model(into, out)
        for name in frozen:
            model.get_layer(name).trainable = False
        # Keras's names cannot hold brackets: s_0_.inner is s[0].inner.
        variables = {v.path.replace("/", ".").replace("_0_", "[0]").replace("_1_", "[1]"): v for v in model.weights}
        for name, v in variables.items():
            start.setdefault(name, first(name, tuple(v.shape)))
            v.assign(start[name])
        update = keras.optimizers.SGD(learning_rate=0.1, momentum=0.5)
        update.build(model.trainable_variables)
        x = {n: tf.constant(v, dtype) for n, v in inputs.items()}
        epochs = []
        for _ in range(EPOCHS):
            sums = dict.fromkeys(("loss", *weighted), 0.0)
            for at in range(0, ROWS, BATCH):
                rows = slice(at, min(at + BATCH, ROWS))
                with tf.GradientTape() as tape:
                    y = model({n: v[rows] for n, v in x.items()}, training=True)
                    parts = {n: losses(n, y[n], rows) for n in weighted}
                    loss = tf.add_n([tf.cast(w, dtype) * tf.reduce_mean(parts[n]) for n, w in weighted.items()])
                update.apply(tape.gradient(loss, [v.value for v in model.trainable_variables]), model.trainable_variables)
                sums["loss"] += float(loss) * (rows.stop - rows.start)
                for n, p in parts.items():
                    sums[n] += float(tf.reduce_sum(p))
            y = model(x, training=False)
            after = {n: float(tf.reduce_mean(losses(n, y[n]))) for n in weighted}
            after["loss"] = sum(w * after[n] for n, w in weighted.items())
            epochs.append({**{n: s / ROWS for n, s in sums.items()}, "after": after})
        return {"epochs": epochs, "final": {n: tensor(v.numpy()) for n, v in variables.items()}}


def case(name, build, inputs, weighted, frozen):
    start = {}
    out = {"name": name, "batch_size": BATCH, "frozen": frozen, "loss_weights": weighted}
    for key, dtype in PRECISIONS:
        out[key] = run(build, inputs, weighted, frozen, dtype, start)
    out["weights"] = {n: tensor(v) for n, v in start.items()}
    return out


def make():
    document = golden.file("seams", ABOUT, [case(*c) for c in CASES], PACKAGES)
    document["data"] = {n: tensor(v) for n, v in DATA.items()}
    yield "host/testdata/goldens/seams.json", document
