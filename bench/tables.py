"""pandas and scikit-learn on the work of BenchmarkCensus (host/internal/prep): read the Census Income file repeated 20
times, fit the transforms of examples/census-wide-deep, apply them. Prints the median seconds of each as JSON.

    python bench/tables.py adult.data.gz [--rounds 5] [--jobs 2]
"""
import argparse
import gzip
import json
import os
import statistics
import tempfile
import time
import warnings

import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, MinMaxScaler, OneHotEncoder

NUMBERS = ["age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"]
CATEGORIES = ["workclass", "education", "marital_status", "occupation", "relationship", "race", "sex", "native_country"]
COLUMNS = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
           "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income"]


def transforms(jobs):
    return ColumnTransformer([
        ("categories", make_pipeline(SimpleImputer(strategy="most_frequent"),
                                     OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)), CATEGORIES),
        ("numbers", MinMaxScaler(), NUMBERS),
    ], n_jobs=jobs)


def timed(f, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        out = f()
        times.append(time.perf_counter() - start)
    return statistics.median(times), out


def main():
    args = argparse.ArgumentParser()
    args.add_argument("file")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--jobs", type=int, default=None, help="of ColumnTransformer; scikit-learn's own default is 1")
    args = args.parse_args()
    warnings.simplefilter("ignore")
    with gzip.open(args.file) as f:
        text = f.read().rstrip() + b"\n"
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = os.path.join(folder, "adult.csv"), os.path.join(folder, "adult.csv.gz")
        with open(plain, "wb") as f:
            f.write(text * 20)
        with gzip.open(packed, "wb") as f:
            f.write(text * 20)

        def read(path, **engine):
            return pd.read_csv(path, names=COLUMNS, skipinitialspace=True, na_values=["?"], **engine)

        out = {"pandas": pd.__version__, "scikit-learn": sklearn.__version__}
        out["read_gzip"], _ = timed(lambda: read(packed), args.rounds)
        out["read"], table = timed(lambda: read(plain), args.rounds)

        def fit():
            LabelEncoder().fit(table["income"])
            return transforms(args.jobs).fit(table)

        out["fit"], fitted = timed(fit, args.rounds)

        def apply():
            fitted.transform(table)

        out["apply"], _ = timed(apply, args.rounds)

        def fit_apply():
            LabelEncoder().fit_transform(table["income"])
            transforms(args.jobs).fit_transform(table)

        out["fit_apply"], _ = timed(fit_apply, args.rounds)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
