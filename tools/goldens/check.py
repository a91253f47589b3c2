"""Recomputes golden files and compares them with the committed ones.

check.py [family ...]   all families, or those named
check.py --sample       the quick ones: what CI runs

Without Python packages of requirements.txt it says that it skips, and succeeds. Exit status 1: a value differs.
Floats may differ by the rounding of another processor: 2e-5 of a tensor's largest value in f32, 1e-10 in f64.
"""
import importlib.util
import json
import math
import os
import sys

import make

SAMPLE = ("activations", "regularizers", "losses", "schedules", "metrics")
NEEDED = ("keras", "tensorflow", "sklearn", "numpy")
TOLERANCE = {"f32": 2e-5, "f64": 1e-10}


def differences(want, got, where="", dtype="f64"):
    """The paths at which two documents differ by more than rounding."""
    if where == ".made_with":
        return
    if isinstance(want, dict) and isinstance(got, dict):
        dtype = want.get("dtype", dtype)
        for key in sorted(want.keys() | got.keys()):
            if key not in want or key not in got:
                yield f"{where}.{key}: only in the {'new' if key in got else 'committed'} file"
            else:
                yield from differences(want[key], got[key], f"{where}.{key}", key if key in TOLERANCE else dtype)
    elif isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            yield f"{where}: {len(want)} entries committed, {len(got)} now"
            return
        largest = max([abs(v) for v in want if is_number(v)], default=0)
        for i, (w, g) in enumerate(zip(want, got)):
            if is_number(w) and is_number(g):
                if abs(w - g) > TOLERANCE.get(dtype, 0) * max(largest, 1e-6):
                    yield f"{where}[{i}]: {w} committed, {g} now"
            else:
                label = f"{where}[{w['name']}]" if isinstance(w, dict) and "name" in w else f"{where}[{i}]"
                yield from differences(w, g, label, dtype)
    elif is_number(want) and is_number(got):
        if not math.isclose(want, got, rel_tol=2e-5 if dtype == "f32" or where.endswith(".keras") else 1e-9, abs_tol=1e-12):
            yield f"{where}: {want} committed, {got} now"
    elif want != got:
        yield f"{where}: {want!r} committed, {got!r} now"


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def main(args):
    missing = [m for m in NEEDED if importlib.util.find_spec(m) is None]
    if missing:
        print(f"goldens: skipped, this Python has no {', '.join(missing)} (tools/goldens/requirements.txt)")
        return 0
    families = SAMPLE if "--sample" in args else [a for a in args if not a.startswith("-")] or make.FAMILIES
    bad = 0
    for family in families:
        for path, document in make.documents(family):
            with open(os.path.join(make.ROOT, path), encoding="utf-8") as f:
                committed = json.load(f)
            import golden
            found = list(differences(committed, json.loads(golden.text(document))))
            print(f"goldens: {path}: {'as committed' if not found else f'{len(found)} differences'}")
            for line in found[:10]:
                print("  " + line)
            bad += len(found)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
