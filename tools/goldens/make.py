"""Rewrites the golden files: `python tools/goldens/make.py [family ...]`, all families when none is named."""
import importlib
import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

FAMILIES = ("layers", "activations", "initializers", "regularizers", "losses", "metrics", "optimizers", "schedules",
            "training", "seams", "networks", "transforms")
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
LARGEST = 200_000  # bytes; a larger golden is too large to read in a review


def documents(family):
    """(path relative to the repository, document) of every golden file of a family."""
    yield from importlib.import_module(family).make()


def write(path, document):
    import golden
    body = golden.text(document)
    if len(body) > LARGEST:
        raise SystemExit(f"{path}: {len(body)} bytes, the limit is {LARGEST}: take smaller tensors")
    full = os.path.join(ROOT, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as f:
        f.write(body)
    return len(body)


def main(names):
    unknown = [n for n in names if n not in FAMILIES]
    if unknown:
        raise SystemExit(f"unknown family {unknown[0]}; there are: {' '.join(FAMILIES)}")
    for family in names or FAMILIES:
        start = time.time()
        for path, document in documents(family):
            size = write(path, document)
            print(f"{path}: {len(document['cases'])} cases, {size} bytes, {time.time() - start:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
