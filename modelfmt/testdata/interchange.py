"""Files of other formats, made and read by their own libraries.

  interchange.py make FOLDER    writes the inputs of the Go tests under FOLDER
                                (safetensors/testdata and npz/testdata)
  interchange.py dump FILE...   prints, as JSON, what the libraries read in files

The committed files were made with Python 3.11.7, numpy 2.4.6, safetensors 0.8.0
and ml_dtypes 0.6.0.
"""

import json
import os
import sys

import ml_dtypes
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

NAMES = {
    "float64": "f64", "float32": "f32", "bfloat16": "bf16", "float16": "f16", "int64": "i64", "int32": "i32",
    "int8": "i8", "uint64": "u64", "uint32": "u32", "uint8": "u8", "bool": "bool",
}


def describe(arrays):
    return {
        name: {
            "dtype": NAMES[str(a.dtype)],
            "shape": list(a.shape),
            "hex": np.ascontiguousarray(a).astype(a.dtype.newbyteorder("<")).tobytes().hex()
            if a.dtype != ml_dtypes.bfloat16
            else a.tobytes().hex(),
        }
        for name, a in arrays.items()
    }


def sample(with_bf16):
    rng = np.random.default_rng(7)
    out = {}
    for i, t in enumerate(NAMES):
        if t == "bfloat16":
            if not with_bf16:
                continue
            a = rng.normal(size=(3, 4)).astype(np.float32).astype(ml_dtypes.bfloat16)
        elif t.startswith("float"):
            a = rng.normal(size=(2, 3, i + 1)).astype(t)
        elif t == "bool":
            a = rng.integers(0, 2, size=9).astype(bool)
        else:
            info = np.iinfo(t)
            a = rng.integers(info.min, info.max, size=(i + 1, 2), dtype=t)
        out["layer.%d.%s" % (i, t)] = a
    out["scalar"] = np.array(3.25, dtype=np.float32)
    out["empty"] = np.zeros((0, 5), dtype=np.float32)
    out["ünïcode \"quoted\""] = np.arange(5, dtype=np.int32)
    return out


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1, sort_keys=True, ensure_ascii=False)
        f.write("\n")


def make(root):
    st = os.path.join(root, "safetensors", "testdata")
    arrays = sample(True)
    save_file(arrays, os.path.join(st, "all.safetensors"), metadata={"format": "np", "note": "a<b"})
    write_json(os.path.join(st, "all.json"), describe(arrays))
    names = sorted(arrays)
    weight_map = {}
    for i, part in enumerate([names[::2], names[1::2]]):
        shard = "model-%05d-of-00002.safetensors" % (i + 1)
        save_file({n: arrays[n] for n in part}, os.path.join(st, shard))
        weight_map.update({n: shard for n in part})
    write_json(os.path.join(st, "model.safetensors.index.json"),
               {"metadata": {"total_size": sum(a.nbytes for a in arrays.values())}, "weight_map": weight_map})

    nz = os.path.join(root, "npz", "testdata")
    arrays = sample(False)
    del arrays["ünïcode \"quoted\""]
    arrays["fortran"] = np.asfortranarray(np.arange(24, dtype=np.int32).reshape(2, 3, 4))
    arrays["big"] = np.arange(6, dtype=">f4").reshape(3, 2)
    expected = describe({k: v for k, v in arrays.items() if k != "big"})
    expected.update(describe({"big": arrays["big"].astype("<f4")}))
    np.savez(os.path.join(nz, "stored.npz"), **arrays)
    np.savez_compressed(os.path.join(nz, "deflated.npz"), **arrays)
    np.save(os.path.join(nz, "one.npy"), arrays["fortran"])
    write_json(os.path.join(nz, "arrays.json"), expected)


def dump(path):
    if path.endswith(".safetensors.index.json"):
        # As transformers reads it: the shards of the map, each tensor from its own.
        with open(path, encoding="utf-8") as f:
            index = json.load(f)
        out = {}
        for name, shard in index["weight_map"].items():
            with safe_open(os.path.join(os.path.dirname(path), shard), framework="np") as f:
                out[name] = f.get_tensor(name)
        if index["metadata"]["total_size"] != sum(a.nbytes for a in out.values()):
            raise ValueError("total_size")
        return {"tensors": describe(out), "metadata": None}
    if path.endswith(".safetensors"):
        with safe_open(path, framework="np") as f:
            return {"tensors": describe({k: f.get_tensor(k) for k in f.keys()}), "metadata": f.metadata()}
    with np.load(path, allow_pickle=False) as z:
        return {"tensors": describe({k: z[k] for k in z.files}), "metadata": None}


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2])
    else:
        json.dump([dump(p) for p in sys.argv[2:]], sys.stdout)
