"""Metrics over several batches, with and without weights: scikit-learn's value over the whole set, and Keras's."""
import warnings

import keras
import numpy as np
from keras import metrics as K
from sklearn import metrics as sk

import golden
from golden import tensor
from keras_cases import defaults
from recipe import short, unit

ABOUT = ("A metric is updated with each batch in turn. truth: scikit-learn over all rows at once, in float64 (null where it is undefined); "
         "keras: Keras's float32 result. AUC's truth is the exact area; Keras's is an approximation by 200 thresholds, for information.")

TYPES = {
    "accuracy": None, "binary_accuracy": K.BinaryAccuracy, "categorical_accuracy": K.CategoricalAccuracy,
    "sparse_categorical_accuracy": K.SparseCategoricalAccuracy, "top_k_categorical_accuracy": K.TopKCategoricalAccuracy,
    "sparse_top_k_categorical_accuracy": K.SparseTopKCategoricalAccuracy, "precision": K.Precision, "recall": K.Recall,
    "auc": K.AUC, "mean_squared_error": K.MeanSquaredError, "mean_absolute_error": K.MeanAbsoluteError,
    "root_mean_squared_error": K.RootMeanSquaredError, "f1_score": K.F1Score,
}


def case(kind, label, config, y_true, y_pred, truth, weight=None, sizes=(16, 16, 16, 2)):
    """truth(y_true, y_pred, weight) is scikit-learn's value; None where only Keras has one."""
    cuts = np.cumsum(sizes)[:-1]
    metric = TYPES[kind](**config) if TYPES[kind] else compiled_accuracy(y_true, y_pred)
    out = {"name": f"{kind}/{label}", "type": kind, "config": config, "batches": []}
    parts = zip(np.split(y_true, cuts), np.split(y_pred, cuts), np.split(weight, cuts) if weight is not None else [None] * len(sizes))
    for t, p, w in parts:
        metric.update_state(t, p, sample_weight=w)
        batch = {"y_true": tensor(t), "y_pred": tensor(p)}
        if w is not None:
            batch["sample_weight"] = tensor(w)
        out["batches"].append(batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = None if truth is None else float(truth(y_true, y_pred, None if weight is None else weight.astype(np.float64)))
    out["truth"] = None if value is None or np.isnan(value) else value
    result = np.asarray(metric.result())
    out["keras"] = golden.number(result) if result.ndim == 0 else tensor(result)
    return out


def compiled_accuracy(y_true, y_pred):
    """What Keras makes of metrics=["accuracy"] for such shapes."""
    if y_pred.shape[-1] == 1:
        return K.BinaryAccuracy()
    return K.CategoricalAccuracy() if y_true.shape == y_pred.shape else K.SparseCategoricalAccuracy()


def cases():
    n, classes = 50, 7
    rows = np.arange(n)
    scores = short("metrics/scores", (n, classes), 4.0, 256)
    labels = (scores + short("metrics/noise", (n, classes), 3.0, 256)).argmax(1).astype(np.int32)
    one_hot = np.eye(classes, dtype=np.float32)[labels]
    weight = np.abs(short("metrics/weight", (n,), 2.0, 16))
    weight[::7] = 0

    hit = lambda t, p, w: sk.accuracy_score(t if t.ndim == 1 else t.argmax(1), p.argmax(1), sample_weight=w)
    for w, tag in ((None, ""), (weight, "_weighted")):
        yield case("sparse_categorical_accuracy", "scores" + tag, {}, labels, scores, hit, w)
        yield case("categorical_accuracy", "scores" + tag, {}, one_hot, scores, hit, w)
        yield case("accuracy", "sparse" + tag, {}, labels, scores, hit, w)
        yield case("accuracy", "one_hot" + tag, {}, one_hot, scores, hit, w)
        top = lambda k: lambda t, p, w: sk.top_k_accuracy_score(
            t if t.ndim == 1 else t.argmax(1), p, k=k, sample_weight=w, labels=range(classes))
        yield case("sparse_top_k_categorical_accuracy", "k_5" + tag, {"k": 5}, labels, scores, top(5), w)
        yield case("top_k_categorical_accuracy", "k_2" + tag, {"k": 2}, one_hot, scores, top(2), w)
    ties = np.round(scores / 2) * 2 + 0  # + 0: Keras takes -0 for smaller than 0
    yield case("sparse_top_k_categorical_accuracy", "ties", {"k": 2}, labels, ties.astype(np.float32), None)
    yield case("sparse_categorical_accuracy", "ties", {}, labels, ties.astype(np.float32), hit)

    p = np.round(unit("metrics/p", (n, 1)) * 40) / np.float32(40)  # many ties, some exactly at the thresholds
    p[0], p[1] = 0.5, 0.25
    y = (p + short("metrics/flip", (n, 1), 0.75) > 0.5).astype(np.float32)
    flat = lambda f: lambda t, q, w: f(t.ravel(), q.ravel(), w)
    above = lambda threshold, f: flat(lambda t, q, w: f(t, q > threshold, sample_weight=w, **({} if f is sk.accuracy_score else {"zero_division": 0})))
    for w, tag in ((None, ""), (weight, "_weighted")):
        yield case("binary_accuracy", "half" + tag, {}, y, p, above(0.5, sk.accuracy_score), w)
        yield case("accuracy", "binary" + tag, {}, y, p, above(0.5, sk.accuracy_score), w)
        for threshold in (0.5, 0.25):
            config = {} if threshold == 0.5 else {"thresholds": threshold}
            mark = ("half" if threshold == 0.5 else "quarter") + tag
            yield case("precision", mark, config, y, p, above(threshold, sk.precision_score), w)
            yield case("recall", mark, config, y, p, above(threshold, sk.recall_score), w)
        yield case("binary_accuracy", "quarter" + tag, {"threshold": 0.25}, y, p, above(0.25, sk.accuracy_score), w)
        yield case("auc", "roc_ties" + tag, {}, y, p, flat(lambda t, q, w: sk.roc_auc_score(t, q, sample_weight=w)), w)
        yield case("auc", "roc" + tag, {}, y, unit("metrics/plain", (n, 1)), flat(lambda t, q, w: sk.roc_auc_score(t, q, sample_weight=w)), w)
        yield case("auc", "pr" + tag, {"curve": "PR"}, y, p, None, w)
    yield case("auc", "perfect", {}, y, y * np.float32(0.5) + np.float32(0.25), flat(lambda t, q, w: sk.roc_auc_score(t, q)))
    yield case("auc", "constant_scores", {}, y, np.full_like(y, 0.5), flat(lambda t, q, w: sk.roc_auc_score(t, q)))
    yield case("auc", "one_class", {}, np.ones_like(y), p, None)
    yield case("precision", "none_predicted", {}, y, np.zeros_like(p), above(0.5, sk.precision_score))
    yield case("recall", "no_positives", {}, np.zeros_like(y), p, above(0.5, sk.recall_score))

    t, u = short("metrics/target", (n, 2)), short("metrics/guess", (n, 2))
    for w, tag in ((None, ""), (weight, "_weighted")):
        yield case("mean_squared_error", "vectors" + tag, {}, t, u, lambda t, u, w: sk.mean_squared_error(t, u, sample_weight=w), w)
        yield case("mean_absolute_error", "vectors" + tag, {}, t, u, lambda t, u, w: sk.mean_absolute_error(t, u, sample_weight=w), w)
        yield case("root_mean_squared_error", "column" + tag, {}, t[:, :1], u[:, :1],
                   lambda t, u, w: np.sqrt(sk.mean_squared_error(t, u, sample_weight=w)), w)
    positive = np.eye(classes, dtype=np.float32)[scores.argmax(1)]
    for average in ("macro", "micro", "weighted"):
        yield case("f1_score", average, {"average": average}, one_hot, positive,
                   lambda t, q, w: sk.f1_score(t.argmax(1), q.argmax(1), average=average, labels=range(classes), zero_division=0))


def evaluation():
    """A whole evaluation set with ties and weights: scikit-learn's values over all its rows."""
    n = 900
    p = np.round(unit("evaluation/p", (n,)) * 60) / np.float32(64) + np.float32(1 / 64)  # exact in binary, many ties
    y = (p + short("evaluation/flip", (n,), 0.75) > 0.6).astype(np.int32)
    weight = np.abs(short("evaluation/weight", (n,), 2.0, 16))
    weight[::11] = 0
    truths = {
        "roc": lambda w: sk.roc_auc_score(y, p, sample_weight=w),
        "pr": lambda w: sk.average_precision_score(y, p, sample_weight=w),
        "accuracy": lambda w: sk.accuracy_score(y, p > 0.5, sample_weight=w),
        "precision": lambda w: sk.precision_score(y, p > 0.5, sample_weight=w),
        "recall": lambda w: sk.recall_score(y, p > 0.5, sample_weight=w),
        "loss": lambda w: sk.log_loss(y, p.astype(np.float64), sample_weight=w),
    }
    case = {"name": "evaluation", "type": "evaluation", "config": {},
            "score": tensor(p), "target": tensor(y), "sample_weight": tensor(weight),
            "truth": {k: float(f(None)) for k, f in truths.items()},
            "truth_weighted": {k: float(f(weight.astype(np.float64))) for k, f in truths.items()}}
    about = "scikit-learn's figures of scores against targets over all rows at once, in float64, without and with weights. pr is the average precision."
    return golden.file("evaluation", about, [case], ("scikit-learn", "numpy"))


def make():
    yield "host/testdata/goldens/evaluation.json", evaluation()
    document = golden.file("metrics", ABOUT, list(cases()), ("keras", "tensorflow", "scikit-learn", "numpy"))
    document["keras_defaults"] = {k: defaults(v, leave_out=("name", "dtype")) for k, v in TYPES.items() if v}
    yield "plugins/testdata/goldens/metrics.json", document
