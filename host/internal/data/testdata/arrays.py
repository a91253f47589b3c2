"""Makes arrays.npz (numpy 2.4.6): python arrays.py. Every array has three examples."""
import numpy as np

arrays = {
    "bool": np.array([True, False, True]),
    "i1": np.array([[-128, 127], [0, 1], [2, 3]], "i1"),
    "big_i2": np.array([-300, 300, 0], ">i2"),
    "i4": np.array([-2**31, 2**31 - 1, 0], "<i4"),
    "i8": np.array([-2**63, 2**63 - 1, 0], "<i8"),
    "u1": np.arange(12, dtype="u1").reshape(3, 2, 2),
    "u2": np.array([0, 65535, 1], "<u2"),
    "u4": np.array([0, 2**32 - 1, 1], "<u4"),
    "u8": np.array([0, 2**63 - 1, 1], "<u8"),
    "f2": np.array([1.5, -65504, 6e-8], "<f2"),
    "big_f4": np.array([1.5, -np.inf, 1e-45], ">f4"),
    "fortran": np.asfortranarray(np.arange(18, dtype="<f8").reshape(3, 2, 3)),
    "text": np.array(["é", "😀 and more", ""]),
    "bytes": np.array([b"ab", b"", b"abc"]),
}
np.savez_compressed("arrays.npz", **arrays)
