"""Runs Keras components once in float32 and once in float64, with gradients.

Inputs and parameters are float32 values in both runs, so that the float64 result is the truth for the same problem.
The scalar that is differentiated is always sum(output * cotangent).
"""
import inspect

import keras
import numpy as np
import tensorflow as tf

from golden import tensor
from recipe import short

PACKAGES = ("keras", "tensorflow", "numpy")
PRECISIONS = (("f32", "float32"), ("f64", "float64"))


class precision:
    """Keras's default type, for as long as a component is made and run: with precision("float64"): ...

    TensorFlow turns a Python float without a type into float32 before anything else happens, and holds leaky_relu's
    slope and gelu's constants in float32. In float64 that would cost the truth half of its digits, so these few
    functions are replaced meanwhile.
    """

    def __init__(self, dtype):
        self.dtype = dtype

    def __enter__(self):
        keras.config.set_floatx(self.dtype)
        keras.config.set_dtype_policy(self.dtype)
        self.replaced = []
        if self.dtype == "float64":
            exact = lambda f: lambda x, *args, **kwargs: f(np.float64(x) if isinstance(x, float) else x, *args, **kwargs)
            self._replace(tf, "cast", exact(tf.cast))
            self._replace(tf, "convert_to_tensor", exact(tf.convert_to_tensor))
            self._replace(tf.nn, "leaky_relu", _leaky_relu)
            self._replace(tf.nn, "gelu", _gelu)

    def _replace(self, module, name, function):
        self.replaced.append((module, name, getattr(module, name)))
        setattr(module, name, function)

    def __exit__(self, *_):
        for module, name, function in self.replaced:
            setattr(module, name, function)
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def _leaky_relu(x, alpha=0.2):
    return tf.where(x > 0, x, tf.constant(alpha, x.dtype) * x)


def _gelu(x, approximate=False):
    c = lambda v: tf.constant(v, x.dtype)
    if approximate:
        return c(0.5) * x * (c(1) + tf.tanh(c(np.sqrt(2 / np.pi)) * (x + c(0.044715) * x * x * x)))
    return c(0.5) * x * (c(1) + tf.math.erf(x / c(np.sqrt(2))))


def defaults(component, leave_out=()):
    """The default of every parameter of a Keras class or function that is a plain value."""
    target = component.__init__ if inspect.isclass(component) else component
    out = {}
    for p in inspect.signature(target).parameters.values():
        plain = p.default is None or isinstance(p.default, (bool, int, float, str, tuple, list))
        if p.default is not inspect.Parameter.empty and plain and p.name not in leave_out:
            out[p.name] = list(p.default) if isinstance(p.default, tuple) else p.default
    return out


def as_array(grad, like):
    """A gradient as a dense array; zeros where the output does not depend on the variable."""
    if grad is None:
        return np.zeros(like.shape, like.dtype)
    return tf.convert_to_tensor(grad).numpy()


def layer_case(name, kind, config, make, calls, values=None):
    """One layer, called several times in sequence.

    make() returns a new Keras layer. calls is a list of (mode, inputs), mode "train", "infer" or "any" (the same
    in both). values gives weights by their Keras name; the others are recipe.short(NAME/WEIGHT).
    """
    values = dict(values or {})
    case = {"name": name, "type": kind, "config": config, "params": {}, "state": {}, "calls": []}
    for i, (mode, inputs) in enumerate(calls):
        case["calls"].append({"mode": mode, "inputs": [tensor(x) for x in inputs]})
    for key, dtype in PRECISIONS:
        with precision(dtype):
            _run(case, key, dtype, make(), calls, values)
    return case


def _run(case, key, dtype, layer, calls, values):
    cast = lambda x: tf.constant(x, dtype) if x.dtype.kind == "f" else tf.constant(x)
    first = [cast(x) for x in calls[0][1]]
    layer(first if len(first) > 1 else first[0])
    names = _weight_names(layer)
    trainable = {id(v) for v in layer.trainable_variables}
    for n, v in names.items():
        if n not in values:
            values[n] = short(case["name"] + "/" + n, v.shape, scale=1.0)
        v.assign(values[n])
        state = n.startswith("moving_")
        case["state" if state else "params"][n] = tensor(values[n])
    for (mode, inputs), call in zip(calls, case["calls"]):
        xs = [cast(x) for x in inputs]
        weights = {n: v for n, v in names.items() if id(v) in trainable}
        with tf.GradientTape() as tape:
            tape.watch([x for x in xs if x.dtype.is_floating])
            y = layer(xs if len(xs) > 1 else xs[0], training=mode == "train")
            if "cotangent" not in call:
                call["cotangent"] = tensor(short(f"{case['name']}/cotangent", y.shape, scale=1.0))
            w = np.array(call["cotangent"]["data"]).reshape(y.shape)
            total = tf.reduce_sum(y * tf.constant(w, dtype))
        sources = [x for x in xs if x.dtype.is_floating] + [v.value for v in weights.values()]
        grads = tape.gradient(total, sources)
        out = {"output": tensor(y.numpy())}
        floating = [x for x in xs if x.dtype.is_floating]
        if floating:
            out["grad_inputs"] = [tensor(as_array(g, x.numpy())) for g, x in zip(grads, floating)]
        if weights:
            out["grad_params"] = {n: tensor(as_array(g, v.numpy()))
                                  for (n, v), g in zip(weights.items(), grads[len(floating):])}
        if case["state"]:
            out["state_after"] = {n: tensor(v.numpy()) for n, v in names.items() if n.startswith("moving_")}
        call[key] = out


def _weight_names(layer):
    """Weights by name, without the owner's name: kernel, bias, gamma, moving_mean, ..."""
    return {v.name: v for v in layer.weights}
