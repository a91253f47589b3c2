"""VGG16 and ResNet50: parameter counts, layers, and outputs for one image with weights from integers."""
import keras
import numpy as np

import golden
import recipe
from golden import tensor
from keras_cases import PACKAGES, precision

ABOUT = ("keras.applications with weights from recipe.py, no stored ones. The stream of a weight is NETWORK/LAYER/WEIGHT, for example "
         "resnet50/conv2_block1_1_conv/kernel: kernel scaled(limit = sqrt(6 / fan_in)), bias scaled(limit = 0.1), gamma uniform(0.5, 1.5), "
         "beta and moving_mean scaled(limit = 0.1), moving_variance uniform(0.5, 1.5). In ResNet50 the gamma of the last batch norm of a "
         "block (NAME_3_bn) is uniform(0.1, 0.3), so that the sum over blocks stays small. input: image = signed('NETWORK/image'), [1, h, w, 3]. "
         "stages: of a layer's output the shape, mean, standard deviation, and its first 8 values in row-major order, in infer mode; "
         "output is every (length / 128)th value of the result. f32 is Keras in float32, f64 the truth.")

STAGES = {
    "vgg16": ["block1_conv1", "block1_pool", "block2_pool", "block3_pool", "block4_pool", "block5_conv3", "block5_pool"],
    "resnet50": ["conv1_conv", "conv1_bn", "pool1_pool", "conv2_block1_0_bn", "conv2_block1_out", "conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out"],
}
BUILD = {"vgg16": keras.applications.VGG16, "resnet50": keras.applications.ResNet50}


def fill(network, name, shape):
    """The weight's value: name is LAYER/WEIGHT."""
    full, kind = f"{network}/{name}", name.split("/")[-1]
    if kind == "kernel":
        return recipe.he(full, shape)
    if kind == "gamma" and name.split("/")[0].endswith("_3_bn"):
        return recipe.uniform(full, shape, 0.1, 0.3)
    if kind in ("gamma", "moving_variance"):
        return recipe.uniform(full, shape, 0.5, 1.5)
    return recipe.scaled(full, shape, 0.1)


def describe(model):
    """Layers in Keras's order, with the settings, the weights and the shape that each has."""
    out = []
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            entry = {"name": layer.name, "type": type(layer).__name__, "output": list(layer.output.shape[1:])}
            config = {k: plain(getattr(layer, k)) for k in ("strides", "padding", "use_bias", "pool_size", "epsilon", "momentum") if hasattr(layer, k)}
            if config:
                entry["config"] = config
            if layer.weights:
                entry["weights"] = {v.name: list(v.shape) for v in layer.weights}
            out.append(entry)
    return out


def plain(v):
    return [plain(x) for x in v] if isinstance(v, (tuple, list)) else v


def counts(model):
    size = lambda vs: int(sum(np.prod(v.shape) for v in vs))
    return {"total": size(model.weights), "trainable": size(model.trainable_weights), "not_trainable": size(model.non_trainable_weights)}


def structure(network):
    """Counts with and without the top, at the sizes that papers quote."""
    with_top = BUILD[network](weights=None)
    out = {"name": f"{network}/structure", "type": network, "parameters_with_top": counts(with_top), "top_layers": describe(with_top)[-4:]}
    del with_top
    keras.backend.clear_session()
    body = BUILD[network](weights=None, include_top=False, input_shape=(64, 64, 3))
    out["parameters_no_top"], out["input"], out["layers"] = counts(body), [64, 64, 3], describe(body)
    return out


def outputs(network, size):
    case = {"name": f"{network}/{size}x{size}", "type": network, "config": {"include_top": False, "pooling": "avg", "input_shape": [size, size, 3]},
            "input": f"signed('{network}/image'), [1, {size}, {size}, 3]"}
    image = recipe.signed(f"{network}/image", (1, size, size, 3))
    for key, dtype in (("f32", "float32"), ("f64", "float64")):
        keras.backend.clear_session()
        with precision(dtype):
            model = BUILD[network](weights=None, include_top=False, input_shape=(size, size, 3), pooling="avg")
            for v in model.weights:
                v.assign(fill(network, "/".join(v.path.split("/")[-2:]), tuple(v.shape)))
            tap = keras.Model(model.input, [model.get_layer(n).output for n in STAGES[network]] + [model.output])
            values = [np.asarray(v) for v in tap(image.astype(dtype), training=False)]
        case[key] = {"stages": {n: summary(v) for n, v in zip(STAGES[network], values)}, "output": tensor(values[-1][0, :: values[-1].size // 128])}
    return case


def summary(v):
    return {"shape": list(v.shape[1:]), "mean": float(v.mean(dtype=np.float64)), "stddev": float(v.std(dtype=np.float64)),
            "first": [golden.number(x) for x in v.ravel()[:8]]}


def make():
    cases = []
    for network, size in (("vgg16", 32), ("resnet50", 32), ("resnet50", 47)):
        if not cases or cases[-1]["type"] != network:
            cases.append(structure(network))
        cases.append(outputs(network, size))
    yield "host/testdata/goldens/networks.json", golden.file("networks", ABOUT, cases, PACKAGES)
