"""PyTorch on what `go test ./kernels/cpu -run xx -bench Movement` measures: ops that move numbers.

    python bench/movement.py [threads]

prints the time of the fastest of 15 runs of each, in microseconds.
"""

import sys
import time

import torch

torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
N = 4 << 20


def r(*shape):
    return torch.randn(*shape)


def order(n):
    return (torch.arange(n) * 40503) % n


x, square, table = r(N), r(2048, 2048), r(65536, 64)
nchw, heads, tiny = r(8, 64, 90, 91), r(16, 512, 8, 64), r(16, 512, 128, 4)
images, half, wide = r(32, 40, 56, 56).to(memory_format=torch.channels_last), r(32, 56, 56, 20), r(4096, 1024)
some, million = (torch.arange(1 << 20) * 40503) % N, r(1 << 20)
ids, many = order(65536), order(1 << 20)
tens, middle = r(400000, 10), r(64, 256, 256)

works = {
    "add one": lambda: x + 1,
    "transpose 2048x2048": lambda: square.t().contiguous(),
    "transpose nchw-nhwc": lambda: nchw.permute(0, 2, 3, 1).contiguous(),
    "transpose heads": lambda: heads.transpose(1, 2).contiguous(),
    "transpose 0213 tiny": lambda: tiny.transpose(1, 2).contiguous(),
    "pad images": lambda: torch.nn.functional.pad(images, (1, 1, 1, 1)),
    "concat channels": lambda: torch.cat([half, half], 3),
    "slice columns": lambda: wide[:, 100:900].contiguous(),
    "gather rows of 64": lambda: torch.index_select(table, 0, ids),
    "gather rows of 1": lambda: torch.index_select(x, 0, some),
    "scatter-add rows": lambda: table.index_add(0, ids, table),
    "scatter-add elements": lambda: million.index_add(0, many, million),
    "reverse columns": lambda: wide.flip(1),
    "sum of rows": lambda: wide.sum(1),
    "sum of columns": lambda: wide.sum(0),
    "sum of the middle": lambda: middle.sum(1),
    "max of rows": lambda: wide.amax(1),
    "max of columns": lambda: wide.amax(0),
    "sum of rows of 10": lambda: tens.sum(1),
    "softmax of rows": lambda: torch.softmax(wide, 1),
    "softmax of columns": lambda: torch.softmax(wide, 0),
    "to bf16": lambda: x.to(torch.bfloat16),
    "to f16": lambda: x.to(torch.float16),
    "to i8": lambda: x.to(torch.int8),
}
for name, f in works.items():
    f()
    best = 9.0
    for _ in range(15):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    print("%-22s %9.0f" % (name, best * 1e6))
