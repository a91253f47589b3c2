"""Writes golden.json: what NumPy, PyTorch and mpmath (50 digits, for the
transcendental functions) compute for small cases of hone's ops. Versions used:
numpy 2.4.6, torch 2.15.0, mpmath 1.3.0.

    python golden.py | gzip -9n > golden.json.gz
"""
import json
import math

import mpmath
import numpy as np
import torch
import torch.nn.functional as F

mpmath.mp.dps = 50
rng = np.random.default_rng(7)
DT = {"f64": 1, "f32": 2, "bf16": 3, "f16": 4, "i64": 5, "i32": 6, "i8": 7, "u64": 8, "u32": 9, "u8": 10, "bool": 11}
NP = {np.dtype("float64"): "f64", np.dtype("float32"): "f32", np.dtype("float16"): "f16", np.dtype("int64"): "i64",
      np.dtype("int32"): "i32", np.dtype("int8"): "i8", np.dtype("uint64"): "u64", np.dtype("uint32"): "u32",
      np.dtype("uint8"): "u8", np.dtype("bool"): "bool"}
cases = []


def number(x):
    if isinstance(x, (bool, np.bool_)):
        return int(x)
    if isinstance(x, (int, np.integer)):
        return str(int(x))
    x = float(x)
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Inf" if x > 0 else "-Inf"
    return x


def tensor(a):
    a = a.detach().numpy() if isinstance(a, torch.Tensor) else np.asarray(a)
    return {"type": NP[a.dtype], "shape": list(a.shape), "data": [number(x) for x in a.reshape(-1)]}


def case(name, op, attrs, ins, outs, tol=0.0):
    """tol is relative to the largest element of the result; 0 asks for equality."""
    cases.append({"name": name, "op": op, "attrs": attrs, "in": [tensor(a) for a in ins], "out": [tensor(a) for a in outs], "tol": tol})


def const(*n):
    return [{"Add": int(i)} for i in n]


def f32(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def f64(*shape):
    return rng.standard_normal(shape)


# Elementwise: correctly rounded by mpmath. At f32 the reference, which computes in
# f64, is to have the same bits; at f64 a last bit is left to the library behind it.
grid = np.array([-87.3, -20.5, -3.7, -1.5, -1.0, -0.6, -0.3, -1e-3, -1e-10, 0.0, 1e-10, 1e-3, 0.25, 0.5, 0.7, 1.0, 1.5, 2.5, 3.3, 7.25, 31.4, 88.0], np.float32)
positive = np.array([1e-40, 1e-30, 1e-3, 0.3, 0.9999999, 1.0, 1.0000001, 1.7, 10.0, 12345.678, 3e38], np.float32)
functions = {
    "exp": (mpmath.exp, grid), "expm1": (mpmath.expm1, grid), "tanh": (mpmath.tanh, grid), "erf": (mpmath.erf, grid),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), grid), "sin": (mpmath.sin, grid), "cos": (mpmath.cos, grid),
    "log": (mpmath.log, positive), "log1p": (mpmath.log1p, positive), "sqrt": (mpmath.sqrt, positive), "rsqrt": (lambda x: 1 / mpmath.sqrt(x), positive),
}
for name, (f, x) in functions.items():
    case(name, name, None, [x], [np.array([float(f(mpmath.mpf(float(v)))) for v in x]).astype(np.float32)])
    x64 = x.astype(np.float64) * (1 + 1e-9)
    for v in x64:  # one by one, so that every element has its own scale
        case(f"{name} f64 of {v:.6g}", name, None, [np.array([v])], [np.array([float(f(mpmath.mpf(float(v))))])], 4e-16)
special = np.array([np.nan, np.inf, -np.inf, 0.0, -2.0], np.float32)
with np.errstate(all="ignore"):
    for name, f in {"exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "tanh": np.tanh, "sin": np.sin, "cos": np.cos,
                    "floor": np.floor, "ceil": np.ceil, "round": np.round, "abs": np.abs, "neg": np.negative, "sign": np.sign, "is_finite": np.isfinite}.items():
        case(f"{name} of special values", name, None, [special], [f(special) if name == "is_finite" else f(special.astype(np.float64)).astype(np.float32)])
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999998, 1e10, -0.2], np.float32)
    for name, f in {"floor": np.floor, "ceil": np.ceil, "round": np.round}.items():
        case(name, name, None, [halves], [f(halves)])
    a = np.array([5.5, -5.5, 5.5, -5.5, np.inf, 3, 0, np.nan, 2, 0], np.float32)
    b = np.array([2, 2, -2, -2, 2, np.inf, 0, 1, np.nan, -1], np.float32)
    for name, f in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "rem": np.fmod, "max": np.maximum, "min": np.minimum}.items():
        case(f"{name} of special values", name, None, [a, b], [f(a, b)])
        x, y = f32(40), f32(40)
        case(name, name, None, [x, y], [f(x, y)])
        case(f"{name} f16", name, None, [x.astype(np.float16), y.astype(np.float16)], [f(x.astype(np.float16), y.astype(np.float16))])
    for d in ["eq", "ne", "lt", "le", "gt", "ge"]:
        f = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}[d]
        case(f"compare {d}", "compare", {"Direction": d}, [a, b], [f(a, b)])
        u = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
        case(f"compare {d} u64", "compare", {"Direction": d}, [u, u[::-1].copy()], [f(u, u[::-1])])
x, y = np.abs(f64(20)) * 3, f64(20) * 3
case("pow", "pow", None, [x, y], [np.array([float(mpmath.power(mpmath.mpf(p), mpmath.mpf(q))) for p, q in zip(x, y)])], 1e-15)

for name in ["i8", "u8", "i32", "u32", "i64", "u64"]:
    dt = {v: k for k, v in NP.items()}[name]
    info = np.iinfo(dt)
    a = np.concatenate([rng.integers(info.min, info.max, 30, dtype=dt, endpoint=True), np.array([info.min, info.max, info.min, 0, 1], dt)])
    b = np.concatenate([rng.integers(info.min, info.max, 30, dtype=dt, endpoint=True), np.array([1, info.max, info.max, 5, 3], dt)])
    b[b == 0] = 7
    with np.errstate(all="ignore"):
        case(f"add {name}", "add", None, [a, b], [a + b])
        case(f"sub {name}", "sub", None, [a, b], [a - b])
        case(f"mul {name}", "mul", None, [a, b], [a * b])
        small = (b % dt.type(5)).astype(dt)
        small = np.abs(small) if info.min < 0 else small
        case(f"pow {name}", "pow", None, [a, small], [np.power(a, small)])
        q = np.array([int(p) // int(r) if (int(p) < 0) == (int(r) < 0) else -(-int(p) // int(r)) for p, r in zip(a, b)], object)
        q = np.array([((int(v) - info.min) % (2 ** (8 * dt.itemsize))) + info.min for v in q], object).astype(dt)
        case(f"div {name}", "div", None, [a, b], [q])
        case(f"rem {name}", "rem", None, [a, b], [np.fmod(a, b)])
        for op, f in {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "max": np.maximum, "min": np.minimum}.items():
            case(f"{op} {name}", op, None, [a, b], [f(a, b)])
        s = rng.integers(0, 8 * dt.itemsize, len(a)).astype(dt)
        case(f"shl {name}", "shl", None, [a, s], [np.left_shift(a, s)])
        case(f"shr {name}", "shr", None, [a, s], [np.right_shift(a, s)])
        case(f"not {name}", "not", None, [a], [~a])
        case(f"neg {name}", "neg", None, [a], [-a])
        case(f"sign {name}", "sign", None, [a], [np.sign(a)])
        for to in ["i8", "u8", "i32", "u32", "i64", "u64", "f64", "f32", "bool"]:
            t = {v: k for k, v in NP.items()}[to]
            case(f"convert {name} to {to}", "convert", {"To": DT[to]}, [a], [a.astype(t)])
x = np.concatenate([f64(50), f64(50) * 1e-6, f64(20) * 7e4, np.array([65519.9999, 65520.0, 5.96e-8, 2.98e-8, 2.9802322387695312e-08, 1 + 2.0**-11 + 2.0**-40])])
case("convert f64 to f16", "convert", {"To": DT["f16"]}, [x], [x.astype(np.float16)])
case("convert f16 to f64", "convert", {"To": DT["f64"]}, [x.astype(np.float16)], [x.astype(np.float16).astype(np.float64)])
case("convert f64 to f32", "convert", {"To": DT["f32"]}, [x], [x.astype(np.float32)])
x = f32(60) * 100
case("convert f32 to i32", "convert", {"To": DT["i32"]}, [x], [np.trunc(x).astype(np.int32)])
case("bitcast", "bitcast", {"To": DT["u32"]}, [x], [x.view(np.uint32)])

# Reductions and orders.
x = f64(3, 4, 5)
for kind, f in {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}.items():
    for axes in [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2], []]:
        case(f"reduce {kind} {axes}", "reduce", {"Kind": kind, "Axes": axes}, [x], [f(x, axis=tuple(axes))], 1e-14)
b = rng.integers(0, 2, (4, 6)).astype(bool)
case("reduce and", "reduce", {"Kind": "and", "Axes": [1]}, [b], [b.all(1)])
case("reduce or", "reduce", {"Kind": "or", "Axes": [0]}, [b], [b.any(0)])
ties = rng.integers(-3, 4, (4, 9, 3)).astype(np.float32)
for axis in range(3):
    case(f"arg max {axis}", "arg_reduce", {"Kind": "max", "Axis": axis}, [ties], [ties.argmax(axis).astype(np.int32)])
    case(f"arg min {axis}", "arg_reduce", {"Kind": "min", "Axis": axis}, [ties], [ties.argmin(axis).astype(np.int32)])
    order = ties.argsort(axis, kind="stable")
    tag = rng.integers(0, 100, ties.shape).astype(np.int32)
    case(f"sort {axis}", "sort", {"Axis": axis}, [ties, tag], [np.take_along_axis(ties, order, axis), np.take_along_axis(tag, order, axis)])
    order = (-ties).argsort(axis, kind="stable")
    case(f"sort descending {axis}", "sort", {"Axis": axis, "Descending": True}, [ties, tag], [np.take_along_axis(ties, order, axis), np.take_along_axis(tag, order, axis)])
    x = f64(4, 7, 3)
    case(f"cumsum {axis}", "cumsum", {"Axis": axis}, [x], [x.cumsum(axis)], 1e-14)
    case(f"cumsum reverse {axis}", "cumsum", {"Axis": axis, "Reverse": True}, [x], [np.flip(np.flip(x, axis).cumsum(axis), axis)], 1e-14)
    case(f"cumsum exclusive {axis}", "cumsum", {"Axis": axis, "Exclusive": True}, [x], [x.cumsum(axis) - x], 1e-14)
nan = ties.copy()
nan[1, 4, 0] = nan[2, 0, 1] = np.nan
case("sort NaN", "sort", {"Axis": 1}, [nan], [np.sort(nan, 1, kind="stable")])
case("arg max NaN", "arg_reduce", {"Kind": "max", "Axis": 1}, [nan], [nan.argmax(1).astype(np.int32)])
case("arg min NaN", "arg_reduce", {"Kind": "min", "Axis": 1}, [nan], [nan.argmin(1).astype(np.int32)])
x = rng.permutation(40).reshape(5, 8).astype(np.float32)
v, i = torch.topk(torch.tensor(x), 3)
case("top_k", "top_k", {"K": 3}, [x], [v, i.to(torch.int32)])

# Movement.
x = np.arange(120, dtype=np.int32).reshape(2, 3, 4, 5)
case("transpose", "transpose", {"Perm": [2, 0, 3, 1]}, [x], [x.transpose(2, 0, 3, 1)])
case("reshape", "reshape", {"Shape": const(6, 20)}, [x], [x.reshape(6, 20)])
case("slice", "slice", {"Start": const(0, 1, 0, 1), "Limit": const(2, 3, 4, 5), "Stride": [1, 1, 3, 2]}, [x], [x[:, 1:3, ::3, 1:5:2]])
case("reverse", "reverse", {"Axes": [1, 3]}, [x], [x[:, ::-1, :, ::-1]])
case("concat", "concat", {"Axis": 2}, [x, x[:, :, :2].copy()], [np.concatenate([x, x[:, :, :2]], 2)])
case("broadcast", "broadcast", {"Dims": [0, 2], "Shape": const(2, 3, 4)}, [x[:, 0, :1, 0].copy()], [np.broadcast_to(x[:, 0, :1, 0][:, None, :], (2, 3, 4))])
m = f32(3, 4)
padded = np.full((3 + 2 + 4, 1 + 4 + 2), 9, np.float32)
padded[2:2 + 7:3, 1:1 + 4] = m
case("pad interior", "pad", {"Low": const(2, 1), "High": const(0, 2), "Interior": [2, 0]}, [m, np.float32(9)], [padded])
case("pad negative", "pad", {"Low": const(-1, 2), "High": const(1, -3), "Interior": [0, 0]}, [m, np.float32(0)],
     [np.pad(m, ((0, 1), (2, 0)))[1:, :-3]])
idx = np.array([[2, 0], [1, 1], [0, 2]], np.int64)
case("gather", "gather", {"Axis": 1}, [x, idx], [x[:, idx]])
case("gather clamps", "gather", {"Axis": 2}, [x, np.array([-5, 99], np.int32)], [x[:, :, [0, 3]]])
bidx = np.array([[3, 0], [1, 2]], np.int32)
case("gather batched", "gather", {"Axis": 2, "BatchDims": 1}, [x, bidx], [np.stack([x[b][:, bidx[b]] for b in range(2)])])
base, upd = f64(5, 3), f64(7, 3)
i = np.array([0, 4, 4, 2, 0, 0, 1])
case("scatter_add", "scatter_add", {"Axis": 0}, [base, i, upd], [torch.tensor(base).index_add(0, torch.tensor(i), torch.tensor(upd))], 1e-15)
j = i.copy()
j[1], j[3] = -1, 5
kept = [k for k in range(7) if 0 <= j[k] < 5]
case("scatter_add drops", "scatter_add", {"Axis": 0}, [base, j, upd], [torch.tensor(base).index_add(0, torch.tensor(j[kept]), torch.tensor(upd[kept]))], 1e-15)
case("dynamic_slice clamps", "dynamic_slice", {"Sizes": const(1, 2, 2, 5)}, [x, np.int32(1), np.int64(2), np.int8(-3), np.uint8(200)], [x[1:2, 1:3, 0:2, :]])
y = x.copy()
y[0:1, 1:3, 2:4, 0:5] = -x[1:2, 0:2, 0:2, :]
case("dynamic_update_slice", "dynamic_update_slice", None, [x, -x[1:2, 0:2, 0:2, :], np.int32(-7), np.int32(1), np.int32(3), np.int32(0)], [y])

# Contractions.
def dot(name, spec, left, right, lb, rb, lc, rc, **more):
    case(name, "dot", {"LeftBatch": lb, "RightBatch": rb, "LeftContract": lc, "RightContract": rc, **more}, [left, right], [np.einsum(spec, left, right)], 1e-14)

dot("dot matrix", "ik,kj->ij", f64(3, 5), f64(5, 4), [], [], [1], [0])
dot("dot transposed", "ki,jk->ij", f64(5, 3), f64(4, 5), [], [], [0], [1])
dot("dot batch", "bik,bkj->bij", f64(2, 3, 5), f64(2, 5, 4), [0], [0], [2], [1])
dot("dot batch inside", "ibk,jkb->bij", f64(3, 2, 5), f64(4, 5, 2), [1], [2], [2], [1])
dot("dot two of each", "aibkl,lbjak->abij", f64(2, 3, 2, 4, 3), f64(3, 2, 3, 2, 4), [0, 2], [3, 1], [3, 4], [4, 0])
dot("dot outer", "i,j->ij", f64(3), f64(4), [], [], [], [])
dot("dot scalar", "i,i->", f64(6), f64(6), [], [], [0], [0])
dot("dot empty", "ik,kj->ij", f64(3, 0), f64(0, 4), [], [], [1], [0])
p, q = rng.integers(-128, 128, (4, 50)).astype(np.int8), rng.integers(-128, 128, (50, 3)).astype(np.int8)
case("dot i8 to i32", "dot", {"LeftContract": [1], "RightContract": [0], "Accum": DT["i32"], "Out": DT["i32"]}, [p, q], [p.astype(np.int32) @ q.astype(np.int32)])
case("dot i8 wraps", "dot", {"LeftContract": [1], "RightContract": [0]}, [p, q], [(p.astype(np.int32) @ q.astype(np.int32)).astype(np.int8)])


def conv(name, n, spatial, c, window, o, groups=1, stride=None, low=None, high=None, inner=None, dilation=None):
    r = len(spatial)
    stride, inner, dilation = stride or [1] * r, inner or [1] * r, dilation or [1] * r
    low, high = low or [0] * r, high or [0] * r
    x = torch.tensor(f64(n, *spatial, c), requires_grad=True)
    w = torch.tensor(f64(*window, c // groups, o), requires_grad=True)
    v = x.permute(0, r + 1, *range(1, r + 1))
    for a, k in enumerate(inner):  # spread the elements
        if k > 1:
            shape = list(v.shape)
            shape[2 + a] = (shape[2 + a] - 1) * k + 1
            at = [slice(None)] * v.dim()
            at[2 + a] = slice(None, None, k)
            z = torch.zeros(shape, dtype=v.dtype)
            z[tuple(at)] = v
            v = z
    pads = []
    for a in reversed(range(r)):
        pads += [low[a], high[a]]
    v = F.pad(v, pads)
    f = [F.conv1d, F.conv2d, F.conv3d][r - 1]
    y = f(v, w.permute(r + 1, r, *range(r)), stride=stride, dilation=dilation, groups=groups).permute(0, *range(2, r + 2), 1)
    g = torch.tensor(f64(*y.shape))
    dx, dw = torch.autograd.grad(y, [x, w], g)
    attrs = {"Strides": stride, "PadLow": low, "PadHigh": high, "InputDilation": inner, "FilterDilation": dilation, "Groups": groups}
    case("conv " + name, "conv", attrs, [x, w], [y], 1e-14)
    case("conv_input_grad " + name, "conv_input_grad", attrs, [g, w, x], [dx], 1e-14)
    case("conv_filter_grad " + name, "conv_filter_grad", attrs, [x, g, w], [dw], 1e-14)

conv("1d", 2, [7], 3, [3], 4)
conv("2d same", 2, [5, 6], 3, [3, 3], 4, low=[1, 1], high=[1, 1])
conv("2d strided, uneven padding", 1, [7, 8], 2, [3, 2], 3, stride=[2, 3], low=[0, 1], high=[1, 2])
conv("2d groups", 2, [4, 5], 4, [2, 3], 6, groups=2, low=[1, 0], high=[0, 1])
conv("2d depthwise", 1, [5, 5], 3, [3, 3], 6, groups=3, low=[1, 1], high=[1, 1])
conv("2d dilated", 1, [9, 8], 2, [3, 2], 2, dilation=[2, 3], low=[1, 1], high=[1, 1])
conv("2d spread", 1, [3, 4], 2, [3, 3], 2, inner=[2, 3], stride=[1, 2], low=[1, 2], high=[2, 1])
conv("2d cropped", 1, [6, 6], 1, [2, 2], 1, low=[-1, 0], high=[0, -2])
conv("3d", 1, [3, 4, 3], 2, [2, 2, 3], 3, stride=[1, 2, 1], low=[0, 1, 1], high=[1, 0, 1])
conv("pointwise", 2, [2, 2], 5, [1, 1], 3)


# Windows.
def pool(name, x, window, stride, low, high, dilation=None):
    r = len(window)
    dilation = dilation or [1] * r
    attrs = {"Window": [1, *window, 1], "Strides": [1, *stride, 1], "PadLow": [0, *low, 0], "PadHigh": [0, *high, 0], "Dilation": [1, *dilation, 1]}
    pads = []
    for a in reversed(range(r)):
        pads += [low[a], high[a]]
    for kind in ["sum", "max", "min"]:
        t = torch.tensor(x, requires_grad=True)
        v = t.permute(0, r + 1, *range(1, r + 1))
        v = -v if kind == "min" else v
        v = F.pad(v, pads, value=0.0 if kind == "sum" else -math.inf)
        for a in range(r):
            span = (window[a] - 1) * dilation[a] + 1
            v = v.unfold(2 + a, span, stride[a])
        # v: n, c, positions..., spans...
        for a in range(r):
            v = v.index_select(2 + r + a, torch.arange(0, (window[a] - 1) * dilation[a] + 1, dilation[a]))
        v = v.flatten(2 + r)
        if kind == "sum":
            y = v.sum(-1)
        else:
            at = np.argmax(v.detach().numpy(), -1)  # the first maximum
            y = torch.gather(v, -1, torch.tensor(at)[..., None])[..., 0]
            y = -y if kind == "min" else y
        y = y.permute(0, *range(2, r + 2), 1)
        g = torch.tensor(f64(*y.shape))
        (dx,) = torch.autograd.grad(y, [t], g)
        case(f"reduce_window {kind} {name}", "reduce_window", {"Kind": kind, **attrs}, [x], [y], 1e-14)
        case(f"reduce_window_grad {kind} {name}", "reduce_window_grad", {"Kind": kind, **attrs}, [x, g], [dx], 1e-14)

pool("1d", f64(2, 9, 2), [3], [2], [0], [0])
pool("2d", f64(2, 6, 6, 3), [2, 2], [2, 2], [0, 0], [0, 0])
pool("2d overlapping, padded, ties", rng.integers(-2, 3, (1, 7, 6, 2)).astype(np.float64), [3, 3], [2, 1], [1, 1], [1, 0])
pool("2d dilated", f64(1, 8, 7, 1), [2, 3], [1, 2], [0, 1], [1, 1], [3, 2])
pool("3d", f64(1, 4, 4, 3, 2), [2, 2, 2], [2, 1, 1], [0, 0, 1], [0, 1, 0])

print("[")
print(",\n".join(json.dumps(c, separators=(",", ":")) for c in cases))
print("]")
