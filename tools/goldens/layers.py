"""Layers: core, merging, normalization, convolution, pooling, embedding, recurrence."""
from keras import layers as L

import golden
from keras_cases import PACKAGES, defaults, layer_case
from recipe import distinct, short, unit

import numpy as np

ABOUT = ("Keras layers: outputs and gradients of sum(output * cotangent) for inputs and parameters, float32 and float64. "
         "A case's calls are made in sequence: state_after carries over to the next call.")

TYPES = {
    "flatten": L.Flatten, "reshape": L.Reshape, "dense": L.Dense, "activation": L.Activation, "dropout": L.Dropout,
    "add": L.Add, "concat": L.Concatenate, "multiply": L.Multiply, "average": L.Average, "maximum": L.Maximum,
    "batch_norm": L.BatchNormalization, "layer_norm": L.LayerNormalization, "conv2d": L.Conv2D,
    "depthwise_conv2d": L.DepthwiseConv2D, "separable_conv2d": L.SeparableConv2D, "max_pooling2d": L.MaxPooling2D,
    "average_pooling2d": L.AveragePooling2D, "global_average_pooling2d": L.GlobalAveragePooling2D,
    "global_max_pooling2d": L.GlobalMaxPooling2D, "zero_padding2d": L.ZeroPadding2D, "embedding": L.Embedding,
    "simple_rnn": L.SimpleRNN, "leaky_relu": L.LeakyReLU, "elu": L.ELU, "relu": L.ReLU,
}


def case(kind, label, config, *shapes, mode="any", values=None, inputs=None):
    name = f"{kind}/{label}"
    if inputs is None:
        inputs = [short(f"{name}/input{i}", s) for i, s in enumerate(shapes)]
    return layer_case(name, kind, config, lambda: TYPES[kind](**config), [(mode, inputs)], values)


def core():
    out = [
        case("flatten", "images", {}, (2, 3, 2, 2)),
        case("flatten", "vectors", {}, (2, 5)),
        case("reshape", "fixed", {"target_shape": [4, 3]}, (2, 2, 6)),
        case("reshape", "inferred", {"target_shape": [-1, 2]}, (2, 3, 4)),
        case("dense", "plain", {"units": 4}, (3, 5)),
        case("dense", "no_bias", {"units": 4, "use_bias": False}, (3, 5)),
        case("dense", "one_unit", {"units": 1}, (4, 3)),
        case("dense", "batch_of_one", {"units": 3, "activation": "tanh"}, (1, 7)),
        case("dense", "rank_3", {"units": 3, "activation": "relu"}, (2, 4, 5)),
    ]
    for a in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "softmax", "gelu", "silu", "softplus",
              "mish", "hard_sigmoid", "exponential", "softsign", "relu6"):
        out.append(case("dense", a, {"units": 4, "activation": a}, (3, 3)))
    return out


def merging():
    s = (2, 3, 4)
    return [
        case("add", "two", {}, s, s),
        case("add", "three", {}, s, s, s),
        case("add", "broadcast", {}, (2, 3, 4), (2, 1, 4)),
        case("multiply", "three", {}, s, s, s),
        case("average", "three", {}, s, s, s),
        case("maximum", "three", {}, s, s, s, inputs=np.split(distinct("maximum/three", (6, 3, 4)), 3)),
        case("concat", "last", {"axis": -1}, (2, 3, 1), (2, 3, 4), (2, 3, 2)),
        case("concat", "axis_1", {"axis": 1}, (2, 1, 4), (2, 3, 4)),
        case("concat", "default_vectors", {}, (3, 2), (3, 5)),
    ]


def normalization():
    out = []
    batch_norm(out, "vectors", {}, [(6, 3)] * 3)
    batch_norm(out, "images", {}, [(2, 3, 3, 2)] * 2)
    batch_norm(out, "remainder_batch", {}, [(5, 2), (2, 2)])
    batch_norm(out, "momentum_epsilon", {"momentum": 0.9, "epsilon": 1e-5}, [(4, 3)])
    batch_norm(out, "no_scale", {"scale": False}, [(4, 3)])
    batch_norm(out, "no_center", {"center": False}, [(4, 3)])
    batch_norm(out, "axis_1", {"axis": 1}, [(3, 2, 4)])
    batch_norm(out, "batch_of_one", {}, [(1, 2, 2, 2)])

    # Frozen: trainable=False makes a train call behave as infer, and nothing has a gradient but the input.
    config = {"trainable": False}
    out.append(layer_case("batch_norm/frozen", "batch_norm", config, lambda: L.BatchNormalization(**config),
                          [("train", [short("frozen/0", (4, 3))]), ("infer", [short("frozen/1", (4, 3))])],
                          batch_norm_values("frozen", 3)))
    for label, config, shape in (
        ("vectors", {}, (3, 6)), ("images", {}, (2, 2, 2, 4)), ("epsilon", {"epsilon": 1e-6}, (3, 4)),
        ("no_scale", {"scale": False}, (3, 4)), ("no_center", {"center": False}, (3, 4)),
        ("axes", {"axis": [1, 2]}, (2, 3, 4)),
    ):
        out.append(case("layer_norm", label, config, shape))
    return out


def batch_norm_values(label, n):
    """Statistics as a network has them after some training, not the initial zeros and ones."""
    return {"gamma": unit(label + "/gamma", (n,)) + np.float32(0.5), "beta": short(label + "/beta", (n,), 1.0),
            "moving_mean": short(label + "/mean", (n,), 1.0),
            "moving_variance": unit(label + "/variance", (n,)) + np.float32(0.5)}


def batch_norm(out, label, config, shapes):
    """Per batch: a train call, then an infer call that sees the new moving statistics."""
    calls = []
    for i, s in enumerate(shapes):
        calls.append(("train", [short(f"batch_norm/{label}/{i}", s)]))
        calls.append(("infer", [short(f"batch_norm/{label}/{i}/infer", s)]))
    n = shapes[0][config.get("axis", -1)]
    values = batch_norm_values(label, n)
    out.append(layer_case(f"batch_norm/{label}", "batch_norm", config, lambda: L.BatchNormalization(**config), calls, values))


def convolution():
    c = {"filters": 3, "kernel_size": 3}
    return [
        case("conv2d", "valid", c, (2, 5, 6, 2)),
        case("conv2d", "same", {**c, "padding": "same"}, (1, 5, 4, 2)),
        case("conv2d", "same_strided_even", {**c, "padding": "same", "strides": 2}, (1, 6, 6, 2)),
        case("conv2d", "same_strided_odd", {**c, "padding": "same", "strides": 2}, (1, 7, 5, 2)),
        case("conv2d", "valid_strided", {**c, "strides": [2, 1]}, (1, 7, 5, 2)),
        case("conv2d", "dilated", {**c, "dilation_rate": 2}, (1, 7, 6, 2)),
        case("conv2d", "dilated_same", {**c, "dilation_rate": [2, 1], "padding": "same"}, (1, 6, 5, 2)),
        case("conv2d", "groups", {"filters": 6, "kernel_size": 3, "groups": 3}, (1, 5, 5, 6)),
        case("conv2d", "no_bias", {**c, "use_bias": False}, (1, 4, 4, 1)),
        case("conv2d", "one_by_one", {"filters": 4, "kernel_size": 1, "activation": "relu"}, (2, 3, 3, 3)),
        case("conv2d", "even_kernel_same", {"filters": 2, "kernel_size": [2, 4], "padding": "same"}, (1, 5, 5, 2)),
        case("conv2d", "stem_7x7_stride_2", {"filters": 2, "kernel_size": 7, "strides": 2, "padding": "same"}, (1, 9, 9, 2)),
        case("conv2d", "kernel_as_large_as_image", {"filters": 2, "kernel_size": [3, 4]}, (2, 3, 4, 2)),
        case("depthwise_conv2d", "valid", {"kernel_size": 3}, (1, 5, 5, 3)),
        case("depthwise_conv2d", "same_multiplier", {"kernel_size": 3, "padding": "same", "depth_multiplier": 2}, (1, 4, 5, 2)),
        case("depthwise_conv2d", "strided", {"kernel_size": 3, "strides": 2, "padding": "same"}, (1, 6, 6, 2)),
        case("depthwise_conv2d", "dilated", {"kernel_size": 3, "dilation_rate": 2, "use_bias": False}, (1, 6, 7, 2)),
        case("separable_conv2d", "same", {**c, "padding": "same"}, (1, 5, 5, 2)),
        case("separable_conv2d", "multiplier_strided", {**c, "depth_multiplier": 2, "strides": 2, "activation": "tanh"}, (1, 7, 7, 2)),
    ]


def pooling():
    out = []
    for kind in ("max_pooling2d", "average_pooling2d"):
        for label, config, shape in (
            ("valid", {"pool_size": 2}, (1, 4, 6, 2)),
            ("valid_drops_rest", {"pool_size": 2}, (1, 5, 5, 2)),
            ("same", {"pool_size": 2, "padding": "same"}, (1, 5, 5, 2)),
            ("overlap_same", {"pool_size": 3, "strides": 2, "padding": "same"}, (1, 6, 7, 2)),
            ("overlap_valid", {"pool_size": 3, "strides": 1}, (1, 5, 4, 2)),
            ("rectangle", {"pool_size": [2, 3]}, (1, 4, 6, 1)),
        ):
            name = f"{kind}/{label}"
            out.append(case(kind, label, config, inputs=[distinct(name, shape)]))
    for kind in ("global_average_pooling2d", "global_max_pooling2d"):
        out.append(case(kind, "default", {}, inputs=[distinct(kind, (2, 3, 4, 3))]))
        out.append(case(kind, "keepdims", {"keepdims": True}, inputs=[distinct(kind + "/keep", (2, 2, 3, 2))]))
    out += [
        case("max_pooling2d", "default_pool_size", {}, inputs=[distinct("default_pool_size", (2, 4, 4, 1))]),
        case("zero_padding2d", "default", {}, (1, 2, 3, 2)),
        case("zero_padding2d", "symmetric", {"padding": [1, 2]}, (1, 2, 3, 2)),
        case("zero_padding2d", "uneven", {"padding": [[0, 1], [2, 0]]}, (2, 2, 2, 1)),
    ]
    return out


def sequence():
    tokens = lambda shape, n: (short("tokens", shape) * 64 % n).astype(np.int32)
    return [
        case("embedding", "sequence", {"input_dim": 7, "output_dim": 3}, inputs=[tokens((3, 4), 7)]),
        case("embedding", "one_column", {"input_dim": 5, "output_dim": 2}, inputs=[tokens((6, 1), 5)]),
        case("simple_rnn", "last_output", {"units": 3}, (2, 5, 4)),
        case("simple_rnn", "sequences", {"units": 3, "return_sequences": True}, (2, 4, 2)),
        case("simple_rnn", "backwards_relu_no_bias",
             {"units": 3, "go_backwards": True, "activation": "relu", "use_bias": False, "return_sequences": True}, (2, 4, 2)),
    ]


def make():
    d = {k: defaults(v, leave_out=("data_format", "name", "dtype")) for k, v in TYPES.items()}
    groups = {"layers_core": core, "layers_merging": merging, "layers_normalization": normalization,
              "layers_convolution": convolution, "layers_pooling": pooling, "layers_sequence": sequence}
    for family, build in groups.items():
        cases = build()
        document = golden.file(family, ABOUT, cases, PACKAGES)
        document["keras_defaults"] = {k: d[k] for k in dict.fromkeys(c["type"] for c in cases)}
        yield f"plugins/testdata/goldens/{family}.json", document
