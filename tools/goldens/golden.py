"""The golden file: how tensors and cases are written, and where exact input values come from.

A golden file holds numbers that another program (Keras, scikit-learn, plain NumPy) computed, so that hone's own
output is never its own judge. README.md gives the format field by field.
"""
import json
import platform

import numpy as np

DTYPES = {
    "float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "uint8": "u8", "bool": "bool",
}


def tensor(a):
    """An array as {"shape", "dtype", "data"}; data is flat, in row-major order."""
    a = np.asarray(a)
    if a.dtype.kind in "UO":
        return {"shape": list(a.shape), "dtype": "str", "data": [None if v is None or v != v else str(v) for v in a.ravel()]}
    return {"shape": list(a.shape), "dtype": DTYPES[str(a.dtype)], "data": [number(v) for v in a.ravel()]}


def number(v):
    """A JSON value whose shortest decimal form reads back to v in v's own type."""
    if isinstance(v, (bool, np.bool_)):
        return bool(v)
    if isinstance(v, (int, np.integer)):
        return int(v)
    if np.isnan(v):
        return "NaN"
    if np.isinf(v):
        return "Infinity" if v > 0 else "-Infinity"
    f = float(str(v)) if isinstance(v, np.float32) else float(v)
    return int(f) if f == int(f) and abs(f) < 2**53 else f


def made_with(*packages):
    """Names and versions of the programs behind a file: what `make.py` records in its header."""
    versions = {"python": platform.python_version()}
    for name in packages:
        module = __import__({"scikit-learn": "sklearn"}.get(name, name))
        versions[name] = module.__version__
    return versions


def file(family, about, cases, packages):
    """The document of one golden file."""
    return {"format": "hone-goldens", "version": 0, "family": family, "about": about,
            "made_with": made_with(*packages), "cases": cases}


def text(document):
    """The document as JSON: objects indented, tensors and lists of numbers on one line."""
    return _render(document, 0) + "\n"


def _render(v, depth):
    flat = json.dumps(v, ensure_ascii=False, allow_nan=False)
    leaf = not isinstance(v, (dict, list)) or not v
    if leaf or len(flat) <= 120 or (isinstance(v, dict) and "data" in v) or _plain(v):
        return flat
    pad = "  " * (depth + 1)
    if isinstance(v, dict):
        rows = [pad + json.dumps(k, ensure_ascii=False) + ": " + _render(x, depth + 1) for k, x in v.items()]
        return "{\n" + ",\n".join(rows) + "\n" + "  " * depth + "}"
    return "[\n" + ",\n".join(pad + _render(x, depth + 1) for x in v) + "\n" + "  " * depth + "]"


def _plain(v):
    return isinstance(v, list) and not any(isinstance(x, (dict, list)) for x in v)
