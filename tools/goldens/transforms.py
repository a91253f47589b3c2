"""Table transforms, splits and weights: scikit-learn in float64 on its own data sets."""
import inspect

import numpy as np
from sklearn import datasets, decomposition, feature_selection, impute, model_selection, preprocessing
from sklearn.utils import class_weight

import golden
import recipe
from golden import tensor

PACKAGES = ("scikit-learn", "numpy")
ABOUT = ("Each case fits on the rows fit_rows [from, to, stride] of a data set's columns and transforms all its rows, unless it says otherwise. "
         "sklearn is the call that made it; learned is what the fit found; NaN and null are missing. Tables are [rows, columns], float64.")


class Table:
    """A golden file's data sets and cases."""

    def __init__(self):
        self.datasets, self.cases = {}, []

    def data(self, name, x, columns):
        self.datasets[name] = {"columns": list(columns), "data": tensor(x)}
        return name, x, list(columns)

    def case(self, label, kind, config, data, transform, learned, columns=None, fit=(0, None, 2), output=None, named=False):
        """Fits transform on the chosen rows; learned names its attributes, or is a function of it."""
        name, x, names = data
        columns = columns or names
        x = x[:, [names.index(c) for c in columns]]
        rows = [fit[0], len(x) if fit[1] is None else fit[1], fit[2]]
        transform.fit(x[slice(*rows)])
        out = transform.transform(x)
        out = out.toarray() if hasattr(out, "toarray") else np.asarray(out)
        found = {a.rstrip("_"): learned_value(getattr(transform, a)) for a in learned}
        case = {"name": f"{kind}/{label}", "type": kind, "config": config, "sklearn": call(transform), "dataset": name,
                "columns": columns, "fit_rows": rows, "learned": found, "output": tensor(out.astype(np.float64))}
        if named:
            case["output_columns"] = list(transform.get_feature_names_out(columns))
        self.cases.append(case)
        return case

    def file(self, name, about=ABOUT):
        document = golden.file(name, about, self.cases, PACKAGES)
        if self.datasets:
            document["datasets"] = self.datasets
        return f"plugins/preprocess/testdata/{name}.json", document


def learned_value(v):
    if isinstance(v, list) or (isinstance(v, np.ndarray) and v.dtype == object and v.ndim == 1 and isinstance(v[0], (list, np.ndarray))):
        return [learned_value(x) for x in v]
    return tensor(v) if isinstance(v, np.ndarray) else golden.number(v) if isinstance(v, (int, float, np.generic)) else v


def call(transform):
    """StandardScaler(with_mean=False): the class with the arguments that differ from its defaults."""
    defaults = {p.name: p.default for p in inspect.signature(type(transform).__init__).parameters.values()}
    given = {k: v for k, v in transform.get_params().items() if not same(v, defaults.get(k))}
    return f"{type(transform).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"


def same(a, b):
    return a is b or (isinstance(a, float) and isinstance(b, float) and (a == b or (a != a and b != b))) or (type(a) is type(b) and a == b)


def numbers(name, columns=None, stride=1, missing=0.0):
    """One of scikit-learn's tables, thinned, with a share of its cells made missing by recipe."""
    kwargs = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, "load_" + name)(**kwargs)
    names = [c.replace(" (cm)", "").replace(" ", "_").replace("/", "_") for c in bunch.feature_names]
    columns = columns or names
    x = bunch.data[::stride, [names.index(c) for c in columns]].astype(np.float64)
    if missing:
        x = np.where(recipe.unit(name + ".missing", x.shape) < missing, np.nan, x)
    return name + ("_missing" if missing else ""), x, columns


def strings(rows=40):
    """A made-up table of words: rare ones, missing ones, and some that only later rows have."""
    pick = lambda name, words, weights: np.array(words, object)[
        np.searchsorted(np.cumsum(weights) / sum(weights), recipe.unit("rows." + name, (rows,)).astype(np.float64), side="right")]
    x = np.stack([pick("colour", ["red", "green", "blue", "mauve", "Ärmel"], [9, 7, 5, 2, 3]), pick("size", ["S", "M", "L", "XL"], [3, 6, 3, 1]),
                  pick("grade", ["10", "9", "2"], [4, 3, 3])], 1)
    x[-1, 0], x[-2, 1], x[-3, 2] = "ochre", "XXL", ""
    return "words", x, ["colour", "size", "grade"]


def imputation():
    t = Table()
    iris, wine = t.data(*numbers("iris", stride=4, missing=0.15)), t.data(*numbers("wine", ["alcohol", "malic_acid", "magnesium", "hue", "proline"], 5, 0.2))
    for data in (iris, wine):
        for strategy in ("mean", "median", "most_frequent"):
            t.case(f"{strategy}_{data[0]}", "impute", {"strategy": strategy}, data, impute.SimpleImputer(strategy=strategy), ["statistics_"])
    t.case("constant", "impute", {"strategy": "constant", "fill_value": -1.5}, iris, impute.SimpleImputer(strategy="constant", fill_value=-1.5), [])
    t.case("mean_indicator", "impute", {"strategy": "mean", "add_indicator": True}, iris, impute.SimpleImputer(add_indicator=True), ["statistics_"], named=True)
    t.case("median_indicator", "impute", {"strategy": "median", "add_indicator": True}, wine, impute.SimpleImputer(strategy="median", add_indicator=True), ["statistics_"], named=True)

    name, x, columns = strings()
    x = x.copy()
    x[recipe.unit("words.missing", x.shape) < 0.2] = None
    words = t.data("words_missing", x, columns)
    for label, config, transform in (("most_frequent_words", {"strategy": "most_frequent"}, impute.SimpleImputer(missing_values=None, strategy="most_frequent")),
                                     ("constant_words", {"strategy": "constant", "fill_value": "absent"}, impute.SimpleImputer(missing_values=None, strategy="constant", fill_value="absent"))):
        transform.fit(x[::2])
        t.cases.append({"name": f"impute/{label}", "type": "impute", "config": config, "sklearn": call(transform), "dataset": "words_missing", "columns": columns,
                        "fit_rows": [0, len(x), 2], "learned": {"statistics": tensor(transform.statistics_)}, "output": tensor(transform.transform(x))})
    for axis in ("rows", "columns"):
        gone = np.isnan(iris[1])
        share = gone.mean(0)
        for threshold in (0.0, 0.15):
            kept = ~gone.any(1) if axis == "rows" and threshold == 0 else gone.mean(1) <= threshold if axis == "rows" else share <= threshold
            t.cases.append({"name": f"drop_missing/{axis}_{threshold}", "type": "drop_missing", "config": {"axis": axis, "threshold": threshold},
                            "numpy": "kept where the share of missing cells is <= threshold", "dataset": "iris_missing", "columns": iris[2],
                            "fit_rows": [0, len(iris[1]), 1], "learned": {"missing_share": tensor(share)}, "kept": tensor(np.flatnonzero(kept).astype(np.int64))})
    return t.file("impute")


def scaling():
    t = Table()
    name, x, columns = numbers("wine", ["alcohol", "malic_acid", "magnesium", "proline"], 4)
    x = np.column_stack([x, np.full(len(x), 0.1)])  # a column without variance, at a value that sums inexactly
    wine = t.data("wine", x, columns + ["constant"])
    gaps = t.data(*numbers("diabetes", ["age", "bmi", "bp", "s5"], 10, 0.15))
    P = preprocessing
    moments, ranges = ["mean_", "var_", "scale_"], ["data_min_", "data_max_", "scale_", "min_"]
    for data, tag in ((wine, ""), (gaps, "_missing")):
        t.case("default" + tag, "standardize", {}, data, P.StandardScaler(), moments)
        t.case("default" + tag, "min_max", {}, data, P.MinMaxScaler(), ranges)
        t.case("default" + tag, "max_abs", {}, data, P.MaxAbsScaler(), ["max_abs_"])
        t.case("default" + tag, "robust", {}, data, P.RobustScaler(), ["center_", "scale_"])
    t.case("no_mean", "standardize", {"with_mean": False}, wine, P.StandardScaler(with_mean=False), ["scale_"])
    t.case("no_std", "standardize", {"with_std": False}, wine, P.StandardScaler(with_std=False), ["mean_"])
    t.case("range", "min_max", {"feature_range": [-1, 1]}, wine, P.MinMaxScaler(feature_range=(-1, 1)), ranges)
    t.case("clip", "min_max", {"clip": True}, wine, P.MinMaxScaler(clip=True), ranges, fit=(0, 15, 1))
    t.case("beyond_range", "min_max", {}, wine, P.MinMaxScaler(), ranges, fit=(0, 15, 1))
    t.case("quantile_range", "robust", {"quantile_range": [10, 90]}, wine, P.RobustScaler(quantile_range=(10, 90)), ["center_", "scale_"])
    t.case("no_centering", "robust", {"with_centering": False}, wine, P.RobustScaler(with_centering=False), ["scale_"])
    t.case("unit_variance", "robust", {"unit_variance": True}, wine, P.RobustScaler(unit_variance=True), ["center_", "scale_"])
    t.case("unit_variance_quantile_range", "robust", {"quantile_range": [10, 95], "unit_variance": True}, gaps, P.RobustScaler(quantile_range=(10, 95), unit_variance=True), ["center_", "scale_"])
    t.case("one_row", "standardize", {}, wine, P.StandardScaler(), moments, fit=(0, 1, 1))

    # Far from zero: a sum of squares loses what a shifted or two-pass variance keeps.
    far = t.data("far_from_zero", 1e8 + recipe.short("far", (30, 2), 2.0).astype(np.float64), ["a", "b"])
    t.case("far_from_zero", "standardize", {}, far, P.StandardScaler(), moments)

    data = t.data("gains", np.floor(np.exp(recipe.unit("gains", (40, 2)).astype(np.float64) * 11)) * (recipe.unit("gains.zero", (40, 2)) < 0.6), ["gain", "loss"])
    t.case("default", "log1p", {}, data, P.FunctionTransformer(np.log1p), [])
    for label, config, bounds in (
        ("iqr", {"method": "iqr", "factor": 1.5}, lambda a: quartile_fence(a, 1.5)), ("iqr_3", {"method": "iqr", "factor": 3.0}, lambda a: quartile_fence(a, 3.0)),
        ("z_score", {"method": "zscore", "threshold": 3.0}, lambda a: deviation_fence(a, 3.0)), ("z_score_1.5", {"method": "zscore", "threshold": 1.5}, lambda a: deviation_fence(a, 1.5)),
    ):
        for d in (data, gaps):
            low, high = bounds(d[1][::2])
            t.cases.append({"name": f"clip_outliers/{label}_{d[0]}", "type": "clip_outliers", "config": config,
                            "numpy": "low, high = Q1 - f IQR, Q3 + f IQR (linear quantiles)" if "iqr" in label else "low, high = mean -+ t std (population)",
                            "dataset": d[0], "columns": d[2], "fit_rows": [0, len(d[1]), 2],
                            "learned": {"low": tensor(low), "high": tensor(high)}, "output": tensor(np.clip(d[1], low, high))})
    return t.file("scale")


def quartile_fence(a, factor):
    q1, q3 = np.nanquantile(a, [0.25, 0.75], axis=0)
    return q1 - factor * (q3 - q1), q3 + factor * (q3 - q1)


def deviation_fence(a, threshold):
    return np.nanmean(a, 0) - threshold * np.nanstd(a, 0), np.nanmean(a, 0) + threshold * np.nanstd(a, 0)


def encoding():
    t = Table()
    words = t.data(*strings())
    O = lambda **k: preprocessing.OneHotEncoder(**{"handle_unknown": "ignore", **k})
    fit = (0, 32, 1)
    one = lambda label, config, e, learned=("categories_",): t.case(label, "one_hot", config, words, e, list(learned), fit=fit, named=True)
    one("default_ignore", {"handle_unknown": "ignore"}, O())
    one("min_frequency_6", {"handle_unknown": "infrequent_if_exist", "min_frequency": 6}, O(handle_unknown="infrequent_if_exist", min_frequency=6), ("categories_", "infrequent_categories_"))
    one("min_frequency_share", {"handle_unknown": "ignore", "min_frequency": 0.25}, O(min_frequency=0.25), ("categories_", "infrequent_categories_"))
    one("max_categories_3", {"handle_unknown": "infrequent_if_exist", "max_categories": 3}, O(handle_unknown="infrequent_if_exist", max_categories=3), ("categories_", "infrequent_categories_"))
    one("drop_first", {"handle_unknown": "ignore", "drop": "first"}, O(drop="first"))
    one("drop_if_binary", {"handle_unknown": "ignore", "drop": "if_binary"}, O(drop="if_binary"))
    one("given_categories", {"handle_unknown": "ignore", "categories": [["red", "green"], ["S", "M", "L"], ["2", "9", "10"]]},
        O(categories=[["red", "green"], ["S", "M", "L"], ["2", "9", "10"]]))
    t.case("numbers", "one_hot", {"handle_unknown": "ignore"}, t.data("digits_of", (recipe.hash32("digits_of", 24) % 5).astype(np.float64).reshape(12, 2), ["a", "b"]),
           O(), ["categories_"], fit=(0, 8, 1), named=True)

    t.case("unknown_minus_1", "ordinal", {"handle_unknown": "use_encoded_value", "unknown_value": -1}, words,
           preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["categories_"], fit=fit)
    t.case("given_order", "ordinal", {"categories": [["S", "M", "L", "XL"]], "handle_unknown": "use_encoded_value", "unknown_value": -1}, words,
           preprocessing.OrdinalEncoder(categories=[["S", "M", "L", "XL"]], handle_unknown="use_encoded_value", unknown_value=-1), ["categories_"], ["size"], fit=fit)
    t.case("min_frequency_6", "ordinal", {"min_frequency": 6, "handle_unknown": "use_encoded_value", "unknown_value": -1}, words,
           preprocessing.OrdinalEncoder(min_frequency=6, handle_unknown="use_encoded_value", unknown_value=-1), ["categories_", "infrequent_categories_"], fit=fit)
    name, x, columns = strings()
    gaps = x.copy()
    gaps[recipe.unit("words.missing", gaps.shape) < 0.2] = None
    t.case("missing_is_a_category", "one_hot", {"handle_unknown": "ignore"}, t.data("words_missing", gaps, columns), O(), ["categories_"], fit=fit, named=True)
    # encoded_missing_value is for NaN alone: None would be a category like any other.
    t.case("missing_encoded", "ordinal", {"encoded_missing_value": -2, "handle_unknown": "use_encoded_value", "unknown_value": -1},
           ("words_missing", np.where(gaps == None, np.nan, gaps), columns),  # noqa: E711
           preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2), ["categories_"], fit=fit)

    iris = datasets.load_iris()
    for label, y in (("species", iris.target_names[iris.target][::10]), ("words", x[:, 0]), ("numbers_as_words", x[:, 2]), ("integers", np.array([30, -2, 30, 7, 7, -2]))):
        encoder = preprocessing.LabelEncoder()
        codes = encoder.fit_transform(y)
        t.cases.append({"name": f"label/{label}", "type": "label", "config": {}, "sklearn": "LabelEncoder()", "input": tensor(np.asarray(y)),
                        "learned": {"classes": tensor(encoder.classes_)}, "output": tensor(codes.astype(np.int64))})
    return t.file("encode", ABOUT + " Words sort by code point. infrequent_categories: per column, null where there are none; their own output column is the last.")


def discretizing():
    t = Table()
    iris = t.data(*numbers("iris", ["sepal_length", "petal_width"], 4))
    gains = t.data("gains", np.floor(np.exp(recipe.unit("gains", (40, 1)).astype(np.float64) * 11)) * (recipe.unit("gains.zero", (40, 1)) < 0.6), ["gain"])
    K = preprocessing.KBinsDiscretizer
    for data in (iris, gains):
        for strategy in ("uniform", "quantile"):
            methods = ("averaged_inverted_cdf", "linear") if strategy == "quantile" else (None,)
            for method in methods:
                for encode in ("ordinal", "onehot-dense") if data is iris else ("ordinal",):
                    extra = {"quantile_method": method} if method else {}
                    label = "_".join(filter(None, (strategy, method, encode.split("-")[0], data[0])))
                    config = {"n_bins": 5, "strategy": strategy, "encode": encode.split("-")[0], **extra}
                    t.case(label, "bucketize", config, data, K(5, encode=encode, strategy=strategy, subsample=None, **extra), ["bin_edges_", "n_bins_"])
    t.case("uniform_beyond_range", "bucketize", {"n_bins": 4, "strategy": "uniform", "encode": "ordinal"}, iris,
           K(4, encode="ordinal", strategy="uniform", subsample=None), ["bin_edges_", "n_bins_"], fit=(0, 12, 1))
    about = (" Bin i holds edge[i] <= x < edge[i + 1], with the outer bins open to both infinities; edges closer than 1e-8 to the one before are dropped, "
             f"so a column may have fewer bins. quantile_method's default in this version is {inspect.signature(K).parameters['quantile_method'].default!r}.")
    return t.file("bucketize", ABOUT + about)


def reducing():
    t = Table()
    cancer = t.data(*numbers("breast_cancer", ["mean_radius", "mean_texture", "mean_perimeter", "mean_smoothness", "mean_compactness", "mean_symmetry"], 14))
    iris = t.data(*numbers("iris", stride=4))
    learned = ["mean_", "components_", "explained_variance_", "explained_variance_ratio_", "n_components_"]
    for label, config, data in (
        ("two", {"n_components": 2}, iris), ("all", {}, iris), ("variance_95", {"n_components": 0.95}, iris), ("variance_999", {"n_components": 0.999}, cancer),
        ("whiten", {"n_components": 3, "whiten": True}, cancer), ("whiten_variance", {"n_components": 0.99, "whiten": True}, iris), ("three", {"n_components": 3}, cancer),
    ):
        pca = decomposition.PCA(**config, svd_solver="full")
        t.case(label, "pca", config, data, pca, learned)
        largest = np.abs(pca.components_).argmax(1)
        if (pca.components_[np.arange(len(largest)), largest] < 0).any():
            raise AssertionError("the sign rule that the file states does not hold")
    t.case("rank_deficient", "pca", {"n_components": 2}, t.data("collinear", np.outer(np.arange(12.0), [1, 2, -1]) + 3, ["a", "b", "c"]),
           decomposition.PCA(n_components=2, svd_solver="full"), ["mean_", "explained_variance_ratio_"])
    t.cases[-1]["output"] = tensor(np.array(t.cases[-1]["output"]["data"]).reshape(-1, 2)[:, :1])  # the second is rounding noise
    t.cases[-1]["note"] = "only the first component's output is kept: the second has no variance"

    V = feature_selection.VarianceThreshold
    name, x, columns = cancer
    flat = t.data("with_constant", np.column_stack([x[:, :4], np.full(len(x), 0.1), (np.arange(len(x)) == 2) * 1.0]), columns[:4] + ["constant", "once"])
    for label, config in (("default", {}), ("set", {"threshold": 0.05})):
        t.case(label, "variance_threshold", config, flat, V(**config), ["variances_"], named=True)
    return t.file("reduce", ABOUT + " pca: explained variances divide by n - 1; each component's entry of largest magnitude is positive; svd_solver is 'full'. "
                  "variance_threshold: variances are of the population; at threshold 0 scikit-learn keeps min(variance, range) instead.")


def splitting():
    cases = []
    iris, wine, cancer = (getattr(datasets, "load_" + n)().target for n in ("iris", "wine", "breast_cancer"))
    uneven = np.repeat([0, 1, 2, 3], [47, 13, 7, 5])
    labels = {"wine": wine, "breast_cancer": cancer, "uneven": uneven, "iris": iris}
    M = model_selection
    for name, y in labels.items():
        for k in (3, 5):
            folds = [test for _, test in M.StratifiedKFold(k).split(y, y)]
            cases.append({"name": f"stratified_k_fold/{name}_{k}", "type": "stratified_k_fold", "config": {"n_splits": k}, "sklearn": f"StratifiedKFold({k})", "labels": name,
                          "test_class_counts": [np.bincount(y[f]).tolist() for f in folds],
                          "fold_of_row": golden.tensor(fold_of_row(folds, len(y)))})
            folds = [test for _, test in M.KFold(k).split(y)]
            cases.append({"name": f"k_fold/{name}_{k}", "type": "k_fold", "config": {"n_splits": k}, "sklearn": f"KFold({k})", "labels": name, "test_sizes": [len(f) for f in folds]})
        for share in (0.2, 0.25, 0.3):
            counts = {}
            for seed in range(20):
                train, test = next(M.StratifiedShuffleSplit(1, test_size=share, random_state=seed).split(y, y))
                counts[tuple(np.bincount(y[train]).tolist()) + tuple(np.bincount(y[test]).tolist())] = True
            n = len(np.unique(y))
            case = {"name": f"stratified_split/{name}_{share}", "type": "stratified_split", "config": {"test_size": share},
                    "sklearn": f"StratifiedShuffleSplit(1, test_size={share})", "labels": name,
                    "test_size": sum(next(iter(counts))[n:]), "train_size": sum(next(iter(counts))[:n])}
            if len(counts) == 1:
                case["train_class_counts"], case["test_class_counts"] = list(next(iter(counts))[:n]), list(next(iter(counts))[n:])
            else:
                case["note"] = "equal remainders: which class gets the odd row depends on scikit-learn's seed"
                case["possible_test_class_counts"] = sorted(list(c[n:]) for c in counts)
            cases.append(case)
        weights = class_weight.compute_class_weight("balanced", classes=np.unique(y), y=y)
        cases.append({"name": f"class_weight/{name}", "type": "class_weight", "config": {"class_weight": "balanced"}, "sklearn": "compute_class_weight('balanced')",
                      "labels": name, "output": tensor(weights)})
    cases.append({"name": "sample_weight/balanced", "type": "sample_weight", "config": {"class_weight": "balanced"}, "sklearn": "compute_sample_weight('balanced')", "labels": "uneven",
                  "output": tensor(class_weight.compute_sample_weight("balanced", uneven))})
    given = {0: 1.0, 1: 2.5, 2: 0.5, 3: 4.0}
    cases.append({"name": "sample_weight/given", "type": "sample_weight", "config": {"class_weight": {str(k): v for k, v in given.items()}},
                  "sklearn": f"compute_sample_weight({given})", "labels": "uneven", "output": tensor(class_weight.compute_sample_weight(given, uneven))})

    groups = (recipe.hash32("groups", 60) % 9).astype(np.int64)
    for k in (3, 4):
        folds = [test for _, test in M.GroupKFold(k).split(groups, groups=groups)]
        cases.append({"name": f"group_k_fold/{k}", "type": "group_k_fold", "config": {"n_splits": k}, "sklearn": f"GroupKFold({k})", "groups": tensor(groups),
                      "test_sizes": [len(f) for f in folds], "fold_of_row": tensor(fold_of_row(folds, len(groups)))})
    document = golden.file("split", "Splits and weights. Without shuffling, fold_of_row is the fold that tests each row. Stratified shuffled splits: the counts per class, "
                           "which do not depend on the seed but where a note says so: sizes are ceil(n * test_size) for the test part and the rest for training, "
                           "then training is shared out by class in proportion, by largest remainder, and the test part likewise over the rows left.", cases, PACKAGES)
    document["labels"] = {n: tensor(y.astype(np.int64)) for n, y in labels.items()}
    return "plugins/preprocess/testdata/split.json", document


def fold_of_row(folds, n):
    out = np.zeros(n, np.int64)
    for i, rows in enumerate(folds):
        out[rows] = i
    return out


def make():
    for build in (imputation, scaling, encoding, discretizing, reducing, splitting):
        yield build()
